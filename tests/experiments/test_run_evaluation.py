"""The evaluation of a run: what is compared, each what it says it is, and a file that says how it was made."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from d2m.data import corpus, dataset
from d2m.experiments import dances as dance_sets
from d2m.experiments import run_evaluation
from d2m.experiments.dances import NAMES
from d2m.experiments.presets import ABLATIONS
from d2m.generation import generate
from d2m.generation.beat_warp import danced_beats, movement_count
from d2m.metrics import beats
from d2m.models import checkpoint
from d2m.motion.dance import Dance
from d2m.music.analysis import Music
from d2m.notebook import showcase

pytestmark = pytest.mark.usefixtures("one_thread")

OF_MODEL_FREE = {"real", "shuffled", "random", "mean_pose", "copy", "real_shuffled", "real_random"}
BEATS_S = np.arange(0.25, 20, 0.5)


@pytest.fixture(scope="module")
def measured(tiny_run):
    """The tiny run, two dances to a song, and all controls."""
    return run_evaluation.compare(tiny_run, 2)


@pytest.fixture(scope="module")
def table(measured) -> dict:
    return measured.table(3)


@pytest.fixture(scope="module")
def real(tiny_run) -> list:
    return dance_sets.real_dances(tiny_run, "test")


def sliding(body_at, speeds, song: str = "a") -> Dance:
    """A body whose every joint moves at `speeds` (T,) m/s along x, in its sleep, to a song of two beats a second."""
    poses = np.repeat(body_at(np.zeros(1)), len(speeds), axis=0)
    poses[..., 0] += np.cumsum(speeds)[:, None] / 15
    duration_s = len(speeds) / 15
    return Dance(poses.astype(np.float32), BEATS_S[BEATS_S < duration_s], np.empty(0), "zumba", 0, Path(song))


def test_every_control_stands_beside_our_dances_with_as_many_dances_as_it_has(tiny_run, measured, table):
    assert set(measured.others) == OF_MODEL_FREE | set(NAMES) | {"asked"}
    counts = {name: cell["n"] for name, cell in table["speed, m/s"]["controls"].items()}
    assert table["speed, m/s"]["n"] == 6 and counts == {
        name: 6 if name in ("shuffled", "random", "asked") else 3 for name in measured.others
    }
    # Every style of the small corpus has an unseen song, so that none is danced to as seen; variants come as `more`.
    shown = set(run_evaluation.OF_DANCES) | set(run_evaluation.OF_SETS) | set(run_evaluation.PLOTTED)
    assert shown - {"seen", *ABLATIONS} <= set(measured.others) and dance_sets.seen_dances(tiny_run) == []


def test_every_song_is_asked_for_the_styles_that_it_is_not(tiny_run, measured):
    songs = {entry.name: entry.style for entry in tiny_run.corpus.split("test")}
    asked = {(sample.song, sample.style) for sample in measured.others["asked"]}
    assert asked == {(song, style) for song, own in songs.items() for style in tiny_run.corpus.styles if style != own}
    made = generate.dance_to(
        tiny_run.train_dancer(), dance_sets.heard_in(tiny_run, "test")["zumba_02"][1], None, tiny_run.seed, "ballet"
    )[0]
    (kept,) = [s for s in measured.others["asked"] if (s.song, s.style) == ("zumba_02", "ballet")]
    np.testing.assert_array_equal(kept.poses, made.poses)


def test_styles_without_an_unseen_song_are_danced_to_and_told_apart(tiny_run):
    known = replace(tiny_run)
    entries = tuple(e for e in tiny_run.corpus.entries if (e.style, e.split) != ("zumba", "test"))
    known.__dict__.update(tiny_run.__dict__ | {"corpus": replace(tiny_run.corpus, entries=entries)})
    seen = dance_sets.seen_dances(known)
    assert [(d.style, str(d.song)) for d in seen] == [
        (e.style, e.name) for e in tiny_run.corpus.split("train") if e.style == "zumba"
    ]


def test_every_score_is_a_number_in_its_interval_or_says_why_not(table):
    for name, row in table.items():
        for cell in (row, *row["controls"].values()):
            if cell["value"] is None:
                assert cell["reason"] and cell["low"] is None and cell["high"] is None, name
            else:
                assert np.isfinite([cell["value"], cell["low"], cell["high"]]).all() and cell["n"] > 0, name
                assert cell["low"] <= cell["high"]
    assert {"Frechet distance (style)", "Frechet distance (motion)", "kernel distance (style), zumba"} <= table.keys()


@pytest.mark.parametrize("control", ["shuffled", "random", "real_shuffled", "real_random"])
def test_other_beats_change_the_scores_of_beats_alone(table, control):
    cell_of = lambda row: row["controls"]["real"] if control.startswith("real") else row  # noqa: E731
    for name, row in table.items():
        if not name.startswith("beat"):
            assert row["controls"][control]["value"] == cell_of(row)["value"], name
    assert table["beat F1"]["controls"][control]["value"] != cell_of(table["beat F1"])["value"]


def test_what_is_the_same_by_its_making_scores_so(table):
    held = {name: row["controls"]["mean_pose"]["value"] for name, row in table.items()}
    assert held["freeze share"] == 1.0 and held["speed, m/s"] == 0.0 and held["boundary jump"] is None
    # cm: float32 poses, told from their own yaws.
    assert table["nearest training movement, cm"]["controls"]["copy"]["value"] == pytest.approx(0, abs=1e-3)


def test_the_comparison_repeats(tiny_run, table):
    assert run_evaluation.compare(tiny_run, 2).table(3) == table


def test_given_dances_are_measured_as_ours_are_and_without_compositions(tiny_run, measured):
    ours = dance_sets.our_dances(tiny_run, tiny_run.train_dancer(), 2)
    given = run_evaluation.compare(tiny_run, dances=ours)
    assert set(given.others) == OF_MODEL_FREE
    for one, other in zip(given.ours, measured.ours, strict=True):
        assert np.array_equal(one.poses, other.poses) and np.array_equal(one.music_beats_s, other.music_beats_s)


def test_more_sets_stand_beside_the_controls_measured_as_they_are(tiny_run, real, measured):
    given = run_evaluation.compare(tiny_run, dances=real, more={"mine": real, "nobody": []})
    assert set(given.others) == OF_MODEL_FREE | {"mine"}  # without dances there is no set
    for one, other in zip(given.others["mine"], measured.others["real"], strict=True):
        assert np.array_equal(one.poses, other.poses) and one.predicted_style == other.predicted_style
        np.testing.assert_array_equal(one.features["style"], other.features["style"])


def test_dances_to_a_song_of_their_own_stand_beside_its_beats(tiny_run, body_at):
    given = run_evaluation.compare(tiny_run, dances=[sliding(body_at, np.full(300, 0.5), "mine")])
    assert given.ours[0].song == "mine" and np.array_equal(given.ours[0].music_beats_s, BEATS_S)
    assert "shuffled" not in given.others  # one song has no other


def test_the_feature_space_and_the_predict_style_are_those_of_the_reference_run(tiny_run, measured, real):
    other = replace(tiny_run)
    for name in ("corpus", "_kept", "_dances"):
        other.__dict__[name] = tiny_run.__dict__[name]
    reversed_ = lambda view: SimpleNamespace(  # noqa: E731
        config=tiny_run.train_style(view).config,
        embed=lambda windows: -tiny_run.train_style(view).embed(windows),
        probabilities=lambda windows: torch.tensor([[0.0, 0.0, 1.0]]).expand(len(windows), -1),
    )
    reference_run = SimpleNamespace(train_style=reversed_, corpus=tiny_run.corpus)
    by_others = run_evaluation.compare(tiny_run, dances=real, reference_run=reference_run)
    for sample, own in zip(by_others.ours, measured.others["real"], strict=True):
        np.testing.assert_array_equal(sample.features["style"], -own.features["style"])
        np.testing.assert_array_equal(sample.features["motion"], own.features["motion"])
        assert sample.predicted_style == tiny_run.corpus.styles[2]


def test_the_style_space_is_the_hidden_layer_of_windows_of_4_s_8_frames_apart(tiny_run, real):
    (embed,) = run_evaluation.spaces(tiny_run).values()
    made, classifier = embed(real[0].poses), tiny_run.train_style("dance")
    assert made.shape == ((300 - 60) // 8 + 1, 32)
    view = torch.from_numpy(dataset.view_of("dance", real[0].poses)[16:76][None])
    torch.testing.assert_close(torch.from_numpy(made[2:3]), classifier.embed(view).detach(), atol=1e-5, rtol=0)
    assert embed(real[0].poses[:30]).shape == (1, 32)  # a shorter dance repeats its last pose


def test_the_predict_style_names_the_style_that_most_of_a_dance_speaks_for(tiny_run, real):
    seen = torch.tensor([[0.6, 0.4, 0.0]] * 3 + [[0.0, 0.9, 0.1]] * 2)  # means 0.36, 0.6 and 0.04
    predict_style = SimpleNamespace(config=tiny_run.train_style("motion").config, probabilities=lambda windows: seen)
    reference_run = SimpleNamespace(
        train_style=lambda view: predict_style if view == "motion" else None, corpus=tiny_run.corpus
    )
    assert run_evaluation.style_predictor(reference_run)(real[0].poses) == tiny_run.corpus.styles[1]


def test_ours_are_dances_of_following_seeds_to_each_song_with_the_songs_style(tiny_run):
    ours = dance_sets.our_dances(tiny_run, tiny_run.train_dancer(), 2)
    expected = [(entry.name, entry.style, seed) for entry in tiny_run.corpus.split("test") for seed in (3, 4)]
    assert [(str(dance.song), dance.style, dance.seed) for dance in ours] == expected
    one = dance_sets.our_dances(tiny_run, tiny_run.train_dancer(), 1, "train")
    assert [str(dance.song) for dance in one] == [entry.name for entry in tiny_run.corpus.split("train")]


def test_real_dances_have_their_songs_beats_and_seams_where_movements_of_ours_would_begin(tiny_run, real):
    ours = dance_sets.our_dances(tiny_run, tiny_run.train_dancer(), 1)
    for entry, dance, made in zip(tiny_run.corpus.split("test"), real, ours, strict=True):
        assert str(dance.song) == str(made.song) == entry.name and dance.style == made.style == entry.style
        np.testing.assert_array_equal(dance.poses, tiny_run.corpus.load(entry)["poses"])
        np.testing.assert_allclose(made.beats_s, dance.beats_s, atol=1e-6)
        # Both have 3/8 of a beat before every fourth beat; which beat is the first may differ at the very beginning.
        assert len(made.poses) == len(dance.poses) and abs(len(made.units_s) - len(dance.units_s)) <= 1
        np.testing.assert_allclose(np.diff(dance.units_s), 4 * np.median(np.diff(dance.beats_s)), rtol=0.1)


def test_drift_compares_the_first_10_s_with_the_last_and_movement_1_with_100(tiny_run, measured, real, monkeypatch):
    made, dance_to = [], generate.dance_to
    monkeypatch.setattr(generate, "dance_to", lambda *given: made.append(dance_to(*given)) or made[-1])
    found = run_evaluation.measure_drift(tiny_run, measured)
    assert len(made) == 3 and all(len(dances[0].units_s) >= 100 for dances in made)
    speed, dances = found["speed, m/s"], [dances[0] for dances in made]
    # Real dances have no hundred movements.
    shown = ["last seconds", "movement 1", "movement 100", "real first seconds", "real last seconds"]
    assert list(speed["controls"]) == shown and speed["n"] == 3
    for part, first, last in (("first", 0, 150), ("last", 150, 300)):
        told = [np.linalg.norm(np.diff(dance.poses[first:last], axis=0), axis=-1).mean() * 15 for dance in real]
        cell = speed["controls"][f"real {part} seconds"]
        assert cell["value"] == pytest.approx(np.mean(told), rel=1e-4) and cell["n"] == 3

    def speed_in(dance: Dance, first: int, last: int) -> float:
        return np.linalg.norm(np.diff(dance.poses[first:last], axis=0), axis=-1).mean() * 15

    at = [round(dance.units_s[98] * 15) for dance in dances]  # of movement 2 on: the first begins with the song
    expected = {
        "last seconds": [speed_in(dance, len(dance.poses) - 150, len(dance.poses)) for dance in dances],
        "movement 1": [speed_in(dance, 0, 60) for dance in dances],
        "movement 100": [speed_in(dance, first, first + 60) for dance, first in zip(dances, at, strict=True)],
    }
    assert speed["value"] == pytest.approx(np.mean([speed_in(dance, 0, 150) for dance in dances]), rel=1e-5)
    for part, speeds in expected.items():  # a frame more or less at the edges: 2 % of a movement
        assert speed["controls"][part]["value"] == pytest.approx(np.mean(speeds), rel=0.02)


def test_a_dance_that_slows_down_drifts_and_a_short_one_is_seen_whole(tiny_run, measured, body_at):
    slower = sliding(body_at, np.r_[np.full(150, 1.5), np.full(150, 0.5)])
    speed = run_evaluation.measure_drift(tiny_run, measured, [slower])["speed, m/s"]
    # The step into the first of the last 10 s is cut away with the frame before it.
    assert (speed["value"], speed["controls"]["last seconds"]["value"]) == pytest.approx((1.5, 0.5), rel=1e-4)
    assert not any("movement" in part for part in speed["controls"])  # it has no hundred
    short = sliding(body_at, np.r_[np.full(60, 1.5), np.full(60, 0.5)])  # 8 s
    speed = run_evaluation.measure_drift(tiny_run, measured, [short])["speed, m/s"]
    assert speed["value"] == speed["controls"]["last seconds"]["value"] == pytest.approx(1.0, rel=0.01)


def test_the_hundredth_movement_is_the_one_that_begins_hundredth(tiny_run, measured, body_at):
    long = sliding(body_at, np.where(np.arange(1650) < 1500, 0.5, 1.5))  # faster from 100 s on
    # The first movement begins with the song, the second at 2 s and the hundredth at 100 s.
    long = replace(long, beats_s=np.arange(0.25, 110, 0.5), units_s=np.arange(2.0, 109.0))
    found = run_evaluation.measure_drift(tiny_run, measured, [long])["speed, m/s"]["controls"]
    assert found["movement 1"]["value"] == pytest.approx(0.5, rel=1e-4)
    assert found["movement 100"]["value"] == pytest.approx(1.5, rel=1e-4)
    briefer = run_evaluation.measure_drift(tiny_run, measured, [replace(long, units_s=long.units_s[:98])])
    assert "movement 1" not in briefer["speed, m/s"]["controls"]


def test_a_looped_song_goes_on_in_its_beat_with_the_music_of_each_beat():
    beats_s = np.arange(-0.2, 7.9, 0.5)  # 17 beats from -0.2 to 7.8 s: 8.5 s a round
    features = np.arange(120, dtype=np.float32)[:, None].repeat(28, axis=1)
    song = run_evaluation.looped(Music(8.0, 120.0, beats_s, np.empty(0), features), movements=10)
    np.testing.assert_allclose(song.beats_s, -0.2 + 0.5 * np.arange(51))  # three rounds, for 40 beats
    assert song.duration_s == pytest.approx(8.0 + 2 * 8.5, abs=1 / 15) and len(song.features) == 375
    # A frame of the second round is heard as the one a round (127.5 frames) before it.
    np.testing.assert_array_equal(song.features[:120], features)
    assert np.abs(song.features[128:240, 0] - (np.arange(128, 240) - 127.5)).max() <= 0.5
    assert movement_count(danced_beats(song)) > 10


def test_an_excerpt_has_a_clock_of_its_own(body_at):
    dance = replace(sliding(body_at, np.full(300, 0.5)), units_s=np.array([2.0, 4.0, 6.0, 8.0]), start_s=30.0)
    part = run_evaluation.excerpt(dance, 4.0, 8.0)
    np.testing.assert_array_equal(part.poses, dance.poses[60:120])
    np.testing.assert_allclose(part.beats_s, np.arange(0.25, 4, 0.5))
    np.testing.assert_allclose(part.units_s, [0.0, 2.0])
    assert part.start_s == 34.0 and part.duration_s == 4.0 and part.style == dance.style


def test_distances_of_beats_and_movements_are_of_all_dances_of_a_set(measured):
    for samples in (measured.ours, measured.others["real"]):
        each = [beats.beat_distances(sample.music_beats_s, sample.kinematic_beats_s) for sample in samples]
        assert all(len(found) > 10 for found in each)
        np.testing.assert_array_equal(showcase.beat_distances(samples), [beat for found in each for beat in found])
    copied, ours = showcase.nearest_movements(measured, "copy"), showcase.nearest_movements(measured, "ours")
    assert copied.max() < 1e-3 < 1 < ours.min()  # cm: copies were trained on, untrained networks make nothing known
    each = [measured.yardstick.memory.distances(sample.poses) for sample in measured.ours]
    np.testing.assert_allclose(ours, 100 * np.concatenate(each))
    assert all(len(found) > 10 for found in each)  # one a second or two: of 20 s


def test_the_projection_shows_three_sets_told_as_the_training_dances_are(measured):
    points, labels = showcase.feature_points(measured, "style")
    assert list(points) == list(labels) == ["training", "unseen real", "ours"]
    np.testing.assert_allclose(points["training"].mean(axis=0), 0, atol=1e-4)  # float32
    for name, rows in points.items():
        assert rows.shape == (len(labels[name]), 32) and set(labels[name]) == {0, 1, 2}
    assert len(points["ours"]) == 2 * len(points["unseen real"]) == 2 * 3 * 31


def test_figures_of_given_dances_stand_apart_from_the_runs_own(tiny_run, tmp_path):
    assert showcase.figures_of(tiny_run) == tiny_run.folder / "figures"
    assert showcase.figures_of(tiny_run, str(tmp_path / "peers")) == tiny_run.folder / "figures" / "peers"


def test_metrics_json_holds_the_table_the_protocol_and_the_commit(tiny_run, table, tmp_path):
    run = replace(tiny_run, run=str(tmp_path))
    for kept in ("corpus", "_kept"):
        run.__dict__[kept] = tiny_run.__dict__[kept]
    path = run_evaluation.write_metrics(run, table, {"speed, m/s": {"value": 1.0}}, count=2)
    assert path == tmp_path / "metrics.json" and list(tmp_path.iterdir()) == [path]
    content = json.loads(path.read_text())
    assert {name: content[name] for name in table} == table
    assert content["commit"] == checkpoint.commit() and content["drift"] == {"speed, m/s": {"value": 1.0}}
    protocol = content["protocol"]
    assert (protocol["corpus"], protocol["corpus fingerprint"]) == ("small", tiny_run.corpus.fingerprint())
    assert (protocol["preset"], protocol["ablation"], protocol["seed"]) == ("tiny", "d2m", 3)
    assert (protocol["dances a song"], protocol["fps"]) == (2, 15)
    assert (protocol["tolerance_s"], protocol["sigma_s"]) == (0.07, 0.05)
    for split in ("train", "validation", "test"):
        assert protocol["splits"][split] == [entry.name for entry in tiny_run.corpus.split(split)]
    assert protocol["seconds of test music"] == pytest.approx(60.0, abs=0.5)
    assert protocol["style space"]["view"] == "dance" and protocol["style predictor"]["view"] == "motion"
    assert protocol["kinematic beat detector"] and "100 bootstrap draws" in protocol["interval"]
    assert protocol["training steps"] == {}  # nothing is trained in this folder
    assert {"beat hit rate", "Frechet distance", "nearest training movement, cm"} < protocol["definitions"].keys()
    theirs = run_evaluation.write_metrics(run, table, {}, "somebody's/peers")
    assert theirs == tmp_path / "metrics_peers.json" and path.read_text() == json.dumps(content, indent=1)
    assert json.loads(theirs.read_text())["protocol"]["dances"].endswith("somebody's/peers")


def test_a_split_of_nothing_has_neither_dances_nor_songs(tiny_run):
    alone = replace(tiny_run)
    entries = tuple(entry for entry in tiny_run.corpus.entries if entry.split != "test")
    alone.__dict__["corpus"] = corpus.Corpus("alone", tiny_run.corpus.folder, tiny_run.corpus.styles, entries, ())
    assert dance_sets.real_dances(alone, "test") == [] and dance_sets.heard_in(alone, "test") == {}


def test_a_part_in_which_nothing_can_be_measured_is_left_out_of_the_drift(tiny_run, measured, body_at):
    long = sliding(body_at, np.full(450, 0.5))
    # The music ends at 15 s, so that the last ten seconds have no beat.
    quiet = replace(long, beats_s=np.arange(0.25, 15, 0.5), units_s=np.arange(2.0, 28.0))
    found = run_evaluation.measure_drift(tiny_run, measured, [quiet])["speed, m/s"]
    assert found["value"] == pytest.approx(0.5, rel=1e-4) and "last seconds" not in found["controls"]


def test_side_by_side_stand_dances_of_a_style_to_the_same_song(measured):
    pairs = showcase.side_by_side(measured)
    assert set(pairs) == {sample.style for sample in measured.ours}
    for kind, pair in pairs.items():
        (real,) = [s for s in measured.others["real"] if s.style == kind and np.array_equal(s.poses, pair["real"])]
        (ours,) = [s for s in measured.ours if s.style == kind and np.array_equal(s.poses, pair["ours"])]
        assert real.song == ours.song
    others = replace(measured, ours=[replace(measured.ours[0], song="given/mine")])
    assert list(showcase.side_by_side(others)) == [measured.ours[0].style]
    assert showcase.side_by_side(replace(measured, ours=[replace(measured.ours[0], style="polka")])) == {}
