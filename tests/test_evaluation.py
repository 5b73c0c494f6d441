"""The table of a run: all controls in one row, each what it says it is, and a file that says how it was made."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from d2m import checkpoint, corpus, evaluation, metrics
from d2m.evaluation import CONTROLS

pytestmark = pytest.mark.usefixtures("one_thread")

OF_BEATS = {
    "beat coverage", "beat hit rate", "beat hit rate at seams", "beat hit rate away from seams", "beat F1",
}  # fmt: skip
SCORES = OF_BEATS | {
    "boundary jump", "boundary velocity jump", "bone variation", "foot sliding", "freeze share", "speed",
    "style consistency", "Frechet distance", "kernel distance", "diversity", "multimodality",
}  # fmt: skip


@pytest.fixture(scope="module")
def table(tiny_run) -> dict:
    """The table of the tiny run, two dances to a song."""
    return evaluation.evaluate(tiny_run, 2)


@pytest.fixture(scope="module")
def real(tiny_run) -> list:
    return evaluation.real_dances(tiny_run, "test")


def test_every_score_stands_beside_all_its_controls(table):
    assert set(table) == SCORES
    for name, row in table.items():
        assert tuple(row["controls"]) == CONTROLS
        for cell in (row, *row["controls"].values()):
            assert {"value", "low", "high", "n"} <= set(cell)
            if cell["value"] is None:
                assert cell["reason"] and cell["low"] is None and cell["high"] is None, name
            else:
                assert np.isfinite([cell["value"], cell["low"], cell["high"]]).all() and cell["n"] > 0
                assert cell["low"] <= cell["high"]


def test_ours_are_two_dances_to_each_of_three_songs_and_the_real_ones_are_those_songs_dances(table):
    row = table["speed"]
    assert row["n"] == 6 and {name: cell["n"] for name, cell in row["controls"].items()} == {
        "real": 3, "shuffled": 6, "random": 6, "mean_pose": 3, "copy": 3, "untrained": 3,
    }  # fmt: skip


def test_a_held_pose_is_frozen_and_has_neither_beats_nor_seams(table):
    held = {name: row["controls"]["mean_pose"]["value"] for name, row in table.items()}
    assert held["freeze share"] == 1.0 and held["speed"] == 0.0 and held["beat coverage"] == 0.0
    assert held["boundary jump"] is None and held["beat hit rate"] is None


def test_frozen_is_what_is_no_faster_than_the_slowest_hundredth_of_real_frames(table, real):
    speeds = [metrics.joint_speed(dance.poses) for dance in real]
    slow = np.percentile(np.concatenate(speeds), 1)
    share = np.mean([(speed <= slow).mean() for speed in speeds])
    assert share >= 0.01  # more where several frames stand equally still
    assert table["freeze share"]["controls"]["real"]["value"] == pytest.approx(share)


@pytest.mark.parametrize("control", ["shuffled", "random"])
def test_other_beats_change_the_scores_of_beats_alone(table, control):
    unchanged = SCORES - OF_BEATS
    # As many beats at random times cover the music as ours do; the beats of another song are another number.
    changed = OF_BEATS - {"beat coverage"} if control == "random" else OF_BEATS
    for name in unchanged:
        assert table[name]["controls"][control]["value"] == table[name]["value"], name
    assert any(table[name]["controls"][control]["value"] != table[name]["value"] for name in changed)
    if control == "random":
        assert table["beat coverage"]["controls"]["random"]["value"] == table["beat coverage"]["value"]


def test_copies_are_training_dances_of_the_style_to_the_music_of_the_test(tiny_run, real):
    train = evaluation.real_dances(tiny_run, "train")
    ours = evaluation.our_dances(tiny_run, tiny_run.dancer, 1)
    made = evaluation.controls(tiny_run, ours, real, train)
    assert set(made) == set(CONTROLS) - {"random"} and made["real"] is real
    for copy, dance in zip(made["copy"], real, strict=True):
        (source,) = [candidate for candidate in train if np.array_equal(candidate.poses, copy.poses)]
        assert source.style == copy.style == dance.style and copy.song == dance.song
        np.testing.assert_array_equal(copy.beats_s, dance.beats_s)
    mean = np.concatenate([dance.poses for dance in train]).mean(axis=0)
    for held, dance in zip(made["mean_pose"], real, strict=True):
        assert held.poses.shape == dance.poses.shape
        np.testing.assert_allclose(held.poses, np.broadcast_to(mean, held.poses.shape), atol=1e-6)
    for shuffled, dance in zip(made["shuffled"], ours, strict=True):
        assert np.array_equal(shuffled.poses, dance.poses) and shuffled.song == dance.song
        (other,) = [d for d in real if len(np.intersect1d(np.round(d.beats_s, 6), np.round(shuffled.beats_s, 6))) > 5]
        assert other.song != dance.song and shuffled.beats_s.max() < shuffled.duration_s


def test_beats_of_a_shorter_song_go_on_to_the_end_of_the_dance():
    np.testing.assert_allclose(evaluation._lasting(np.arange(0.25, 5, 0.5), 7.0), np.arange(0.25, 7, 0.5))
    np.testing.assert_allclose(evaluation._lasting(np.arange(0.25, 9, 0.5), 7.0), np.arange(0.25, 7, 0.5))


def test_real_dances_have_their_songs_beats_and_seams_where_movements_of_ours_would_begin(tiny_run, real):
    ours = evaluation.our_dances(tiny_run, tiny_run.dancer, 1)
    for entry, dance, made in zip(tiny_run.corpus.split("test"), real, ours, strict=True):
        assert str(dance.song) == str(made.song) == entry.name and dance.style == made.style == entry.style
        arrays = tiny_run.corpus.load(entry)
        np.testing.assert_array_equal(dance.poses, arrays["poses"])
        np.testing.assert_allclose(made.beats_s, dance.beats_s, atol=1e-6)
        # Both have 3/8 of a beat before every fourth beat; which beat is the first may differ at the very beginning.
        assert len(made.poses) == len(dance.poses) and abs(len(made.units_s) - len(dance.units_s)) <= 1
        np.testing.assert_allclose(np.diff(dance.units_s), 4 * np.median(np.diff(dance.beats_s)), rtol=0.1)


def test_untrained_networks_are_other_weights_with_the_same_statistics(tiny_run):
    fresh, trained = evaluation.untrained(tiny_run).mmgan, tiny_run.mmgan
    assert fresh.config == trained.config and fresh.vae.config == trained.vae.config
    for (name, made), (_, buffer) in zip(fresh.named_buffers(), trained.named_buffers(), strict=True):
        assert torch.equal(made, buffer), name
    assert not torch.equal(fresh.dance_decoder.layers[0].weight, trained.dance_decoder.layers[0].weight)
    assert not torch.equal(fresh.vae.decoder.layers[0].weight, trained.vae.decoder.layers[0].weight)
    again = evaluation.untrained(tiny_run).mmgan
    assert all(torch.equal(a, b) for a, b in zip(fresh.parameters(), again.parameters(), strict=True))


def test_a_sample_has_its_dances_beats_a_feature_a_window_and_a_style(tiny_run, real):
    found, random = evaluation.samples(tiny_run, real), evaluation.samples(tiny_run, real, random_beats=True)
    for sample, thrown, dance in zip(found, random, real, strict=True):
        assert (sample.song, sample.style) == (str(dance.song), dance.style) and sample.judged in tiny_run.corpus.styles
        # Windows of 60 frames, 8 apart.
        assert sample.features.shape == ((len(dance.poses) - 60) // 8 + 1, 32)
        assert len(thrown.kinematic_beats_s) == len(sample.kinematic_beats_s) > 5
        assert (np.diff(thrown.kinematic_beats_s) >= 0).all() and thrown.kinematic_beats_s.max() < dance.duration_s
        assert not np.array_equal(thrown.kinematic_beats_s, sample.kinematic_beats_s)


def test_the_table_repeats(tiny_run, table):
    assert evaluation.evaluate(tiny_run, 2) == table


def test_metrics_json_holds_the_table_the_protocol_and_the_commit(tiny_run, table, tmp_path):
    run = replace(tiny_run, run=str(tmp_path))
    for kept in ("corpus", "_classifiers"):
        run.__dict__[kept] = tiny_run.__dict__[kept]
    path = evaluation.write(run, table, 2)
    assert path == tmp_path / "metrics.json" and list(tmp_path.iterdir()) == [path]
    content = json.loads(path.read_text())
    assert {name: content[name] for name in table} == table
    assert content["commit"] == checkpoint.commit()
    protocol = content["protocol"]
    assert (protocol["corpus"], protocol["corpus fingerprint"]) == ("small", tiny_run.corpus.fingerprint())
    assert (protocol["preset"], protocol["seed"], protocol["dances a song"]) == ("tiny", 3, 2)
    assert protocol["tolerance_s"] == metrics.TOLERANCE_S and protocol["fps"] == 15
    assert protocol["splits"]["test"] == [entry.name for entry in tiny_run.corpus.split("test")]
    assert protocol["seconds of test music"] == pytest.approx(60.0, abs=0.5)
    assert protocol["feature network"]["view"] == "dance" and protocol["style judge"]["view"] == "motion"


def test_the_table_as_text_has_a_line_a_score_and_a_column_a_set(table):
    head, *lines = evaluation.as_text(table).splitlines()
    assert head.split() == ["score", "d2m", "95", "%", *CONTROLS] and len(lines) == len(SCORES)
    for line, (name, row) in zip(lines, table.items(), strict=True):
        assert line.startswith(name)
        shown = line[30:].split()
        assert shown[0] == ("-" if row["value"] is None else format(row["value"], ".3g"))
        last = row["controls"]["untrained"]["value"]
        assert shown[-1] == ("-" if last is None else format(last, ".3g"))


def test_a_corpus_without_a_split_is_refused(tiny_run):
    alone = replace(tiny_run)
    entries = tuple(entry for entry in tiny_run.corpus.entries if entry.split != "test")
    alone.__dict__["corpus"] = corpus.Corpus("alone", tiny_run.corpus.folder, tiny_run.corpus.styles, entries, ())
    assert evaluation.real_dances(alone, "test") == [] and evaluation.heard_in(alone, "test") == {}
