"""The evaluation of a run: its sets of dances, its classifiers, the drift of long dances, and `metrics.json`."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from toys import equal

from d2m.data import dataset
from d2m.experiments import dances as dance_sets
from d2m.experiments import run_evaluation
from d2m.experiments.dances import COMPOSITIONS
from d2m.experiments.presets import ABLATIONS
from d2m.generation import generate
from d2m.generation.beat_warp import BeatPlan
from d2m.metrics import beats, hearing
from d2m.models import checkpoint
from d2m.motion.dance import Dance
from d2m.motion.units import LEAD
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


def sliding(body_at, speeds) -> Dance:
    """A held pose that moves at `speeds` (T,) m/s along x, to a song of two beats a second."""
    poses = np.repeat(body_at(np.zeros(1)), len(speeds), axis=0)
    poses[..., 0] += np.cumsum(speeds)[:, None] / 15
    return Dance(poses.astype(np.float32), BEATS_S[BEATS_S < len(speeds) / 15], np.empty(0), "zumba", 0, None, name="a")


def test_every_control_is_in_the_table_with_its_number_of_dances(tiny_run, measured, table):
    assert set(measured.others) == OF_MODEL_FREE | set(COMPOSITIONS) | {"requested_style"}
    counts = {name: cell["n"] for name, cell in table["speed, m/s"]["controls"].items()}
    assert table["speed, m/s"]["n"] == 6 and counts == {
        name: 6 if name in ("shuffled", "random", "requested_style") else 3 for name in measured.others
    }
    # Every style of the small corpus has a test song, so there is no set `training_songs`; ablations are `extra_sets`.
    tables = run_evaluation.CONTROLS_OF_SINGLE_DANCES, run_evaluation.CONTROLS_OF_SETS, run_evaluation.PLOTTED
    assert set().union(*tables) - {"training_songs", *ABLATIONS} <= set(measured.others)
    assert dance_sets.training_song_dances(tiny_run) == []


def test_sets_of_the_same_dances_are_plotted_where_beats_are_scored_only(table):
    plotted = run_evaluation.plotted(table, ("speed, m/s", "beat hit rate"))
    assert plotted["beat hit rate"] == run_evaluation.PLOTTED
    same = {"shuffled", "random", "real_shuffled"}
    assert set(run_evaluation.PLOTTED) - set(plotted["speed, m/s"]) == same


def test_every_song_is_danced_to_in_each_requested_style_but_its_own(tiny_run, measured):
    songs = {entry.name: entry.style for entry in tiny_run.corpus.split("test")}
    dances = {(sample.song, sample.style): sample for sample in measured.others["requested_style"]}
    assert set(dances) == {(song, style) for song in songs for style in tiny_run.corpus.styles if style != songs[song]}
    music = dance_sets.split_music(tiny_run, "test")["zumba_02"][1]
    dance = generate.dance_to(tiny_run.train_dancer(), music, None, tiny_run.seed, "ballet")[0]
    np.testing.assert_array_equal(dances["zumba_02", "ballet"].poses, dance.poses)


def test_training_songs_of_styles_without_a_test_song_are_a_set_of_their_own(tiny_run):
    run = replace(tiny_run)
    entries = tuple(e for e in tiny_run.corpus.entries if (e.style, e.split) != ("zumba", "test"))
    run.__dict__.update(tiny_run.__dict__ | {"corpus": replace(tiny_run.corpus, entries=entries)})
    assert [(d.style, d.name) for d in dance_sets.training_song_dances(run)] == [
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
    for name, row in table.items():
        reference = row["controls"]["real"] if control.startswith("real") else row
        if row["group"] != "beats":
            assert row["controls"][control]["value"] == reference["value"], name
        if name == "beat F1":
            assert row["controls"][control]["value"] != reference["value"]


def test_a_held_pose_and_copies_have_their_known_scores(table):
    held = {name: row["controls"]["mean_pose"]["value"] for name, row in table.items()}
    assert held["freeze share"] == 1.0 and held["speed, m/s"] == 0.0 and held["boundary jump"] is None
    # cm: float32 poses, each relative to its own yaw.
    assert table["nearest training movement, cm"]["controls"]["copy"]["value"] == pytest.approx(0, abs=1e-3)


def test_given_dances_are_measured_as_generated_ones_without_compositions_and_with_more_sets(tiny_run, real, measured):
    dances = dance_sets.generated_dances(tiny_run, tiny_run.train_dancer(), 2)
    result = run_evaluation.compare(tiny_run, dances=dances, extra_sets={"mine": real, "nobody": []})
    assert set(result.others) == OF_MODEL_FREE | {"mine"}  # an empty set is left out
    pairs = [(result.ours, measured.ours), (result.others["mine"], measured.others["real"])]
    for one, other in (samples for pair in pairs for samples in zip(*pair, strict=True)):
        assert np.array_equal(one.poses, other.poses) and np.array_equal(one.music_beats_s, other.music_beats_s)
        assert one.predicted_style == other.predicted_style
        np.testing.assert_array_equal(one.features["style"], other.features["style"])


def test_the_feature_space_and_the_predicted_style_are_those_of_the_reference_run(tiny_run, measured, real):
    def reversed_classifier(view: str) -> SimpleNamespace:
        return SimpleNamespace(
            config=tiny_run.train_style(view).config,
            embed=lambda windows: -tiny_run.train_style(view).embed(windows),
            probabilities=lambda windows: torch.tensor([[0.0, 0.0, 1.0]]).expand(len(windows), -1),
        )

    reference_run = SimpleNamespace(train_style=reversed_classifier, corpus=tiny_run.corpus)
    result = run_evaluation.compare(tiny_run, dances=real, reference_run=reference_run)
    for sample, own in zip(result.ours, measured.others["real"], strict=True):
        np.testing.assert_array_equal(sample.features["style"], -own.features["style"])
        np.testing.assert_array_equal(sample.features["motion"], own.features["motion"])
        assert sample.predicted_style == tiny_run.corpus.styles[2]


def test_the_style_space_is_the_hidden_layer_of_windows_of_4_s_8_frames_apart(tiny_run, real):
    (embed,) = run_evaluation.spaces(tiny_run).values()
    features, classifier = embed(real[0].poses), tiny_run.train_style("dance")
    assert features.shape == ((300 - 60) // 8 + 1, 32)
    view = torch.from_numpy(dataset.view_of("dance", real[0].poses)[16:76][None])
    torch.testing.assert_close(torch.from_numpy(features[2:3]), classifier.embed(view).detach(), atol=1e-5, rtol=0)
    assert embed(real[0].poses[:30]).shape == (1, 32)  # a shorter dance repeats its last pose


def test_the_predicted_style_has_the_highest_mean_probability(tiny_run, real):
    probabilities = torch.tensor([[0.6, 0.4, 0.0]] * 3 + [[0.0, 0.9, 0.1]] * 2)  # means 0.36, 0.6 and 0.04
    config = tiny_run.train_style("speed").config
    classifiers = {"speed": SimpleNamespace(config=config, probabilities=lambda windows: probabilities)}
    reference_run = SimpleNamespace(train_style=classifiers.get, corpus=tiny_run.corpus)
    assert run_evaluation.style_predictor(reference_run)(real[0].poses) == tiny_run.corpus.styles[1]


def test_ours_are_dances_of_following_seeds_to_each_song_with_the_songs_style(tiny_run):
    ours = dance_sets.generated_dances(tiny_run, tiny_run.train_dancer(), 2)
    expected = [(entry.name, entry.style, seed) for entry in tiny_run.corpus.split("test") for seed in (3, 4)]
    assert [(dance.name, dance.style, dance.seed) for dance in ours] == expected
    one = dance_sets.generated_dances(tiny_run, tiny_run.train_dancer(), 1, "train")
    assert [dance.name for dance in one] == [entry.name for entry in tiny_run.corpus.split("train")]


def test_real_dances_have_their_songs_beats_and_the_seams_that_a_generated_dance_would_have(tiny_run, real):
    generated = dance_sets.generated_dances(tiny_run, tiny_run.train_dancer(), 1)
    for entry, dance, other in zip(tiny_run.corpus.split("test"), real, generated, strict=True):
        assert dance.name == other.name == entry.name and dance.style == other.style == entry.style
        assert (dance.song, other.song) == (Path(entry.song), None)
        np.testing.assert_array_equal(dance.poses, tiny_run.corpus.load(entry)["poses"])
        np.testing.assert_allclose(other.beats_s, dance.beats_s, atol=1e-6)
        # Both are 3/8 of a beat before every fourth beat, but may count from another first beat.
        assert len(other.poses) == len(dance.poses) and abs(len(other.units_s) - len(dance.units_s)) <= 1
        np.testing.assert_allclose(np.diff(dance.units_s), 4 * np.median(np.diff(dance.beats_s)), rtol=0.1)


def test_drift_compares_the_first_10_s_with_the_last_and_movement_1_with_100(tiny_run, measured, real, monkeypatch):
    dances, dance_to = [], generate.dance_to
    monkeypatch.setattr(generate, "dance_to", lambda *arguments: dances.extend(dance_to(*arguments)) or dances[-1:])
    speed = run_evaluation.measure_drift(tiny_run, measured)["speed, m/s"]
    assert len(dances) == 3 and all(len(dance.units_s) >= 100 for dance in dances) and speed["n"] == 3
    cells = {"first seconds": speed, **speed["controls"]}

    def check(part: str, spans: list[tuple[Dance, int, int]], tolerance: float) -> None:
        steps = [np.linalg.norm(np.diff(dance.poses[first:last], axis=0), axis=-1) for dance, first, last in spans]
        assert cells[part]["value"] == pytest.approx(15 * np.mean([step.mean() for step in steps]), rel=tolerance)
        assert cells[part]["n"] == 3

    check("first seconds", [(dance, 0, 150) for dance in dances], 1e-5)
    # A frame more or less at the edges: 2 % of a movement.
    check("last seconds", [(dance, len(dance.poses) - 150, len(dance.poses)) for dance in dances], 0.02)
    check("movement 1", [(dance, 0, 60) for dance in dances], 0.02)
    begins = [round(dance.units_s[98] * 15) for dance in dances]  # `units_s` leaves out the first movement
    check("movement 100", [(d, begin, begin + 60) for d, begin in zip(dances, begins, strict=True)], 0.02)
    check("real first seconds", [(dance, 0, 150) for dance in real], 1e-4)
    check("real last seconds", [(dance, 150, 300) for dance in real], 1e-4)
    assert list(cells) == [
        "first seconds", "last seconds", "movement 1", "movement 100", "real first seconds", "real last seconds",
    ]  # fmt: skip


def test_a_dance_that_slows_down_drifts_and_a_short_one_is_measured_whole(tiny_run, measured, body_at):
    slower = sliding(body_at, np.r_[np.full(150, 1.5), np.full(150, 0.5)])
    speed = run_evaluation.measure_drift(tiny_run, measured, [slower])["speed, m/s"]
    # The last 10 s leave out the step from the frame before them.
    assert (speed["value"], speed["controls"]["last seconds"]["value"]) == pytest.approx((1.5, 0.5), rel=1e-4)
    assert not any("movement" in part for part in speed["controls"])  # it has no hundred
    short = sliding(body_at, np.r_[np.full(60, 1.5), np.full(60, 0.5)])  # 8 s
    speed = run_evaluation.measure_drift(tiny_run, measured, [short])["speed, m/s"]
    assert speed["value"] == speed["controls"]["last seconds"]["value"] == pytest.approx(1.0, rel=0.01)


def test_the_hundredth_movement_is_the_one_that_begins_hundredth(tiny_run, measured, body_at):
    long = sliding(body_at, np.where(np.arange(1650) < 1500, 0.5, 1.5))  # faster from 100 s on
    # The first movement begins with the song, the second at 2 s and the hundredth at 100 s.
    long = replace(long, beats_s=np.arange(0.25, 110, 0.5), units_s=np.arange(2.0, 109.0))
    speed = run_evaluation.measure_drift(tiny_run, measured, [long])["speed, m/s"]["controls"]
    assert speed["movement 1"]["value"] == pytest.approx(0.5, rel=1e-4)
    assert speed["movement 100"]["value"] == pytest.approx(1.5, rel=1e-4)
    shorter = run_evaluation.measure_drift(tiny_run, measured, [replace(long, units_s=long.units_s[:98])])
    assert "movement 1" not in shorter["speed, m/s"]["controls"]


def test_a_part_in_which_nothing_can_be_measured_is_left_out_of_the_drift(tiny_run, measured, body_at):
    # The music ends at 15 s, so the last ten seconds have no beat.
    quiet = replace(sliding(body_at, np.full(450, 0.5)), beats_s=np.arange(0.25, 15, 0.5), units_s=np.arange(2.0, 28.0))
    speed = run_evaluation.measure_drift(tiny_run, measured, [quiet])["speed, m/s"]
    assert speed["value"] == pytest.approx(0.5, rel=1e-4) and "last seconds" not in speed["controls"]


def test_a_looped_song_goes_on_in_its_beat_with_the_music_of_each_beat():
    beats_s = np.arange(-0.2, 7.9, 0.5)  # 17 beats from -0.2 to 7.8 s: 8.5 s a round
    features = np.arange(120, dtype=np.float32)[:, None].repeat(28, axis=1)
    music = Music(8.0, 120.0, beats_s, np.empty(0), features, features[:, :26])
    song = run_evaluation.looped(music, movements=10)
    np.testing.assert_allclose(song.beats_s, -0.2 + 0.5 * np.arange(51))  # three rounds, for 40 beats
    assert song.duration_s == pytest.approx(8.0 + 2 * 8.5, abs=1 / 15) and len(song.features) == 375
    # A frame of the second round has the features of the one a round (127.5 frames) before it.
    np.testing.assert_array_equal(song.features[:120], features)
    np.testing.assert_array_equal(song.style_rows, song.features[:, :26])
    assert np.abs(song.features[128:240, 0] - (np.arange(128, 240) - 127.5)).max() <= 0.5
    assert BeatPlan(song, 3).movements > 10


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
        assert all(len(distances) > 10 for distances in each)
        np.testing.assert_array_equal(showcase.beat_distances(samples), np.concatenate(each))
    copied, ours = showcase.nearest_movements(measured, "copy"), showcase.nearest_movements(measured, "ours")
    assert copied.max() < 1e-3 < 1 < ours.min()  # cm; untrained networks repeat no training movement
    each = [measured.reference.memory.distances(sample.poses) for sample in measured.ours]
    np.testing.assert_allclose(ours, 100 * np.concatenate(each))
    assert all(len(distances) > 10 for distances in each)  # of 20 s, one every one or two seconds


def test_the_projection_shows_three_sets_standardised_as_the_training_dances_are(measured):
    points, labels = showcase.feature_points(measured, space="style")
    assert list(points) == list(labels) == ["training", "unseen real", "ours"]
    np.testing.assert_allclose(points["training"].mean(axis=0), 0, atol=1e-4)  # float32
    for name, rows in points.items():
        assert rows.shape == (len(labels[name]), 32) and set(labels[name]) == {0, 1, 2}
    assert len(points["ours"]) == 2 * len(points["unseen real"]) == 2 * 3 * 31


def test_hearing_is_measured_of_real_dances_ours_and_replayed_ones(tiny_run, monkeypatch):
    estimates = run_evaluation.hearing(tiny_run, 2)
    # Every style has one test song, so there is no other one of the same style.
    assert list(estimates) == ["real", "ours", "replay", "ours, another song"]
    assert estimates["ours, another song"].value is None
    assert estimates["ours, another song"].reason == "no other song of the style"
    songs = dance_sets.split_music(tiny_run, "test")
    real = dance_sets.real_dances(tiny_run, "test")
    values = []
    for dance in real:
        music = songs[dance.name][1]
        motion = hearing.bar_motion(dance.poses, music.beats_s)
        values.append(hearing.correlation(motion, hearing.bar_loudness(music.features, music.beats_s)))
    assert estimates["real"].value == pytest.approx(np.mean(values)) and estimates["real"].n == 3
    assert (estimates["ours"].n, estimates["replay"].n) == (6, 6)
    assert all(-1 <= estimates[name].value <= 1 for name in ("real", "ours", "replay"))
    assert estimates["ours"].value != estimates["replay"].value


def test_hearing_of_another_song_is_that_of_the_next_one_of_the_style(tiny_run, monkeypatch):
    songs = dance_sets.split_music(tiny_run, "test")
    names = [f"{name}{copy}" for copy in ("", " again", " and again") for name in songs]
    # The features of a song, its loudness and the motion of the dance to it are its number.
    numbered = {name: replace(songs[name.split()[0]][1], features=number) for number, name in enumerate(names)}
    tripled = {name: (songs[name.split()[0]][0], music) for name, music in numbered.items()}
    dances = [SimpleNamespace(name=name, poses=number) for number, name in enumerate(names)]
    monkeypatch.setattr(dance_sets, "split_music", lambda experiment, split: tripled)
    monkeypatch.setattr(dance_sets, "real_dances", lambda experiment, split: [])
    monkeypatch.setattr(dance_sets, "generated_dances", lambda *_: dances)
    monkeypatch.setattr(hearing, "bar_loudness", lambda features, beats_s: features)
    monkeypatch.setattr(hearing, "bar_motion", lambda poses, beats_s: poses)
    compared = []
    monkeypatch.setattr(hearing, "correlation", lambda *numbers: compared.append(numbers) or 0.5)
    estimates = run_evaluation.hearing(tiny_run)
    assert [pair for pair in compared[:18]] == [(number, number) for number in range(9)] * 2  # ours and replayed ones
    others = {names[dance]: names[song] for dance, song in compared[18:]}
    assert others == {
        f"{name}{copy}": f"{name}{after}" for name in songs
        for copy, after in (("", " again"), (" again", " and again"), (" and again", ""))
    }  # fmt: skip
    assert estimates["ours, another song"].n == 9 and estimates["real"].value is None


def test_figures_of_given_dances_have_a_folder_of_their_own(tiny_run, tmp_path):
    assert showcase.figures_of(tiny_run) == tiny_run.folder / "figures"
    assert showcase.figures_of(tiny_run, str(tmp_path / "peers")) == tiny_run.folder / "figures" / "peers"


def test_metrics_json_holds_the_table_the_protocol_and_the_commit(tiny_run, table, tmp_path):
    run = replace(tiny_run, run=str(tmp_path))
    for attribute in ("corpus", "_kept"):
        run.__dict__[attribute] = tiny_run.__dict__[attribute]
    path = run_evaluation.write_metrics(run, table, {"speed, m/s": {"value": 1.0}}, count=2)
    assert path == tmp_path / "metrics.json" and list(tmp_path.iterdir()) == [path]
    content = json.loads(path.read_text())
    assert {name: content[name] for name in table} == table
    assert content["commit"] == checkpoint.commit() and content["drift"] == {"speed, m/s": {"value": 1.0}}
    protocol = content["protocol"]
    corpus = tiny_run.corpus
    splits = {name: [entry.name for entry in corpus.split(name)] for name in ("train", "validation", "test")}
    expected = {
        "corpus": "small", "corpus fingerprint": corpus.fingerprint(), "splits": splits, "preset": "tiny",
        "ablation": "d2m", "seed": 3, "dances a song": 2, "fps": 15, "tolerance_s": 0.07, "sigma_s": 0.05,
        "seconds of test music": pytest.approx(60.0, abs=0.5), "training steps": {},  # no model in this folder
    }  # fmt: skip
    assert {name: protocol[name] for name in expected} == expected
    assert protocol["style space"]["view"] == "dance" and protocol["style predictor"]["view"] == "speed"
    assert protocol["kinematic beat detector"] and "100 bootstrap draws" in protocol["interval"]
    assert {"beat hit rate", "Frechet distance", "nearest training movement, cm"} < protocol["definitions"].keys()
    other = run_evaluation.write_metrics(run, table, {}, "somebody's/peers")
    assert other == tmp_path / "metrics_peers.json" and path.read_text() == json.dumps(content, indent=1)
    assert json.loads(other.read_text())["protocol"]["dances"].endswith("somebody's/peers")


def test_side_by_side_stand_dances_of_a_style_to_the_same_song(measured):
    by_style = showcase.side_by_side(measured)
    assert set(by_style) == {sample.style for sample in measured.ours}
    sets = {"real": measured.others["real"], "replay": measured.others["replay"], "ours": measured.ours}
    for kind, dances in by_style.items():
        assert list(dances) == [f"{kind}, {name}" for name in sets]
        of_songs = set()
        for name, samples in sets.items():
            sample = dances[f"{kind}, {name}"]
            assert sample.style == kind and any(sample is other for other in samples)
            of_songs.add(sample.song)
        assert len(of_songs) == 1
    without = replace(measured, others={"real": measured.others["real"]})  # as for dances that are read
    for kind, dances in showcase.side_by_side(without).items():
        assert list(dances) == [f"{kind}, real", f"{kind}, ours"]
    others = replace(measured, ours=[replace(measured.ours[0], song="folder/mine")])
    assert list(showcase.side_by_side(others)) == [measured.ours[0].style]
    assert showcase.side_by_side(replace(measured, ours=[replace(measured.ours[0], style="polka")])) == {}


@pytest.mark.parametrize(("offset_m", "expected_cm"), [(0.0, 0.0), (0.07, 7 / 14)])
def test_an_exact_vae_has_no_joint_error_and_one_of_14_joints_7_cm_off_half_a_centimetre(
    tiny_run, monkeypatch, offset_m, expected_cm
):
    def move(lead: torch.Tensor, code: torch.Tensor) -> torch.Tensor:
        unit = torch.cat([lead, code[:, LEAD:]], dim=1)
        unit[..., 4 + 7 * 3] += offset_m  # x of the left wrist
        return unit

    monkeypatch.setattr(tiny_run.train_vae(), "encode_movement", lambda unit: (unit, unit))
    monkeypatch.setattr(tiny_run.train_vae(), "move", move)
    errors = run_evaluation.joint_errors(tiny_run)
    assert {style: row["d2m"] for style, row in errors.items()} == {
        style: pytest.approx(expected_cm, abs=1e-4) for style in ("ballet", "hip-hop", "zumba")
    }


def test_the_linear_error_is_that_of_the_principal_components_that_the_training_began_with(tiny_run):
    untrained, data = tiny_run.untrained_vae(), tiny_run.units("validation")
    assert not equal(untrained, tiny_run.train_vae()) and not untrained.training
    units = data.units(torch.nonzero(data.unit_styles == 1)[:, 0])
    # z_mov of such a DU-VAE are the principal components of the unit, and G_uni sums them up again.
    with torch.no_grad():
        standard = untrained.standardise(units)
        rows = untrained.linear.decoder(untrained.linear.encoder(standard.flatten(1))).view_as(standard)
        rebuilt = untrained.settle(rows * untrained.feature_deviation + untrained.feature_mean, units[:, :LEAD])
    joints = [rows[:, LEAD:, 3:].unflatten(-1, (14, 3)).double() for rows in (units, rebuilt)]
    real, rebuilt = (points - (points[..., 8:9, :] + points[..., 11:12, :]) / 2 for points in joints)
    expected = 100 * float((rebuilt - real).norm(dim=-1).mean())
    errors = run_evaluation.joint_errors(tiny_run)["hip-hop"]
    assert list(errors) == ["d2m", "linear", "mean pose"]
    assert errors["linear"] == pytest.approx(expected, rel=1e-3) and errors["linear"] < errors["mean pose"]


def test_the_error_of_the_mean_pose_is_that_of_the_training_splits_mean(tiny_run):
    data = tiny_run.units("validation")
    units = data.units(torch.nonzero(data.unit_styles == 1)[:, 0])[:, LEAD:]
    joints = units[..., 3:].unflatten(-1, (14, 3)).double()
    mean = tiny_run.units("train").statistics()[0][3:].view(14, 3).double()
    # Features have the hips at the origin of the floor, errors are relative to the middle of both hips.
    joints, mean = (points - (points[..., 8:9, :] + points[..., 11:12, :]) / 2 for points in (joints, mean))
    expected = 100 * float((joints - mean).norm(dim=-1).mean())
    assert run_evaluation.joint_errors(tiny_run)["hip-hop"]["mean pose"] == pytest.approx(expected, rel=1e-4)
