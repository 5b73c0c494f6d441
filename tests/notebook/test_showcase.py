"""The results of a run that the notebooks draw: shapes, splits, values."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from dolls import dance
from toys import GAN, MIXED_GAN, PAPER_GAN, new_mmgan

from d2m.clock import frame_times
from d2m.data.builtin import songs
from d2m.experiments.dances import real_dances, split_music
from d2m.generation import generate
from d2m.models.train import TrainConfig
from d2m.motion import pose, units
from d2m.motion.kinematics import KinematicBeatConfig
from d2m.motion.units import LEAD
from d2m.notebook import showcase

pytestmark = pytest.mark.usefixtures("one_thread")

STYLES = ("ballet", "hip-hop", "zumba")


@pytest.mark.parametrize("style", STYLES)
def test_a_rebuilt_unit_stands_beside_an_unseen_real_one_of_its_style(tiny_run, style):
    pair = showcase.reconstructed(tiny_run, style)
    assert list(pair) == ["real", "rebuilt"] and all(poses.shape == (34, 14, 3) for poses in pair.values())
    data = tiny_run.units("validation")
    of_style = data.units(torch.nonzero(data.unit_styles == STYLES.index(style))[:, 0]).double().numpy()
    assert any(np.allclose(pose.from_features(unit), pair["real"], atol=1e-5) for unit in of_style)
    np.testing.assert_allclose(pair["rebuilt"][:LEAD], pair["real"][:LEAD], atol=0.02)  # settled; real bones give 1 cm
    assert np.abs(pair["rebuilt"] - pair["real"]).max() > 0.05  # not learnt by this tiny network


@pytest.mark.parametrize("every", [2, 4])
def test_a_strip_names_the_poses_that_stand_on_beats(body_at, every):
    times_s = np.arange(0, 12, 1 / 15)
    poses = body_at(0 * times_s)
    poses[..., 1] += 0.3 * np.cos(2 * np.pi * times_s)[:, None]  # highest on each beat, one a second
    anchors_s = np.arange(12.0)
    unit = units.windows(units.to_beat_time(poses, anchors_s), units.cut(len(anchors_s))[2:3])[0]
    (axis,) = showcase.strip({"a unit": unit}, "", every).axes
    heights = np.array([line.get_ydata()[0] for line in axis.lines if line.get_marker() == "o"])
    on_beat = [label.get_text() == "beat" for label in axis.get_xticklabels()]
    assert sum(on_beat) == 4 and on_beat == list(heights > heights.max() - 0.02)


@pytest.mark.parametrize(("name", "event"), [("vae", "half of the KL weight"), ("mmgan", "the games begin")])
def test_a_run_of_half_the_steps_changes_its_losses_at_half_the_step(tiny_run, monkeypatch, name, event):
    vae, gan = TrainConfig(steps=1000), TrainConfig(steps=400)
    preset = replace(tiny_run.preset, vae_training=vae, gan_training=gan)
    preset = replace(preset, vae=replace(preset.vae, kl_anneal_steps=200), gan=replace(preset.gan, games_from=80))
    monkeypatch.setitem(tiny_run.__dict__, "preset", preset)
    monkeypatch.setattr(type(tiny_run), "trained_steps", lambda self: {"vae": 500, "mmgan": 200})
    assert showcase.turning_step(tiny_run, name) == ({"vae": 100, "mmgan": 40}[name], event)


def test_a_style_that_no_unseen_dance_has_shows_nothing(tiny_run, monkeypatch):
    data = tiny_run.units("validation")
    monkeypatch.setattr(type(tiny_run), "units", lambda self, split, phrase=0: data)
    monkeypatch.setitem(data.__dict__, "unit_styles", torch.zeros_like(data.unit_styles))
    assert showcase.reconstructed(tiny_run, "zumba") == {} and len(showcase.reconstructed(tiny_run, "ballet")) == 2


def test_movements_from_the_prior_start_from_one_unseen_pose_and_differ(tiny_run):
    draws = showcase.prior_draws(tiny_run, 3)
    assert list(draws) == ["draw 1", "draw 2", "draw 3"] and all(unit.shape == (34, 14, 3) for unit in draws.values())
    first, second, third = draws.values()
    np.testing.assert_allclose(second[:LEAD], first[:LEAD], atol=1e-6)
    assert min(np.abs(first - second).max(), np.abs(second - third).max()) > 0.05
    data = tiny_run.units("validation")
    leads = data.units(torch.arange(len(data.unit_rows)))[:, :LEAD].double().numpy()
    assert any(np.allclose(pose.from_features(lead), first[:LEAD], atol=0.02) for lead in leads)  # of d2m's bones
    again = showcase.prior_draws(tiny_run, 3)
    assert all(np.array_equal(again[name], unit) for name, unit in draws.items())


def test_a_swap_is_one_movement_from_several_poses(tiny_run, monkeypatch):
    codes, move = [], tiny_run.train_vae().move
    monkeypatch.setattr(tiny_run.train_vae(), "move", lambda lead, code: codes.append((lead, code)) or move(lead, code))
    rows, longer = showcase.swapped(tiny_run, 4), showcase.swapped(tiny_run, 4, times=3)
    assert len(rows) == 4 and next(iter(rows)) == "its own first pose"
    assert all(poses.shape == (34, 14, 3) for poses in rows.values())
    for name, poses in longer.items():
        assert poses.shape == (98, 14, 3)
        np.testing.assert_allclose(poses[:34], rows[name], atol=0.01)
    codes = codes[:1]
    ((leads, code),) = codes
    assert (code == code[:1]).all() and (leads[1:] != leads[:1]).any(dim=2).any(dim=1).all()


def test_the_walk_ends_at_two_unseen_units_and_moves_in_each_latent(tiny_run):
    data, vae = tiny_run.units("validation"), tiny_run.train_vae()
    first, way, last = showcase.interpolated(tiny_run, 0.0, 0.0).values()
    assert way.shape == (34, 14, 3) and np.abs(first - last).max() > 0.05
    np.testing.assert_allclose(way, first, atol=1e-6)
    np.testing.assert_allclose(list(showcase.interpolated(tiny_run, 1.0, 1.0).values())[1], last, atol=1e-5)
    moved, elsewhere = (list(showcase.interpolated(tiny_run, *way).values())[1] for way in ((1.0, 0.0), (0.0, 1.0)))
    # z_ini moves a unit of a network that is hardly trained by a millimetre; nothing else moves it by more than 1e-6.
    assert min(np.abs(unit - end).max() for unit in (moved, elsewhere) for end in (first, last)) > 1e-4
    with torch.no_grad():  # the first row is a unit of the first style, decoded by G_uni from its own latents
        units = data.units(torch.nonzero(data.unit_styles == 0)[:, 0])
        decoded = vae.rigid(vae.generate(vae.encode_initial(units[:, :LEAD])[0], vae.encode_movement(units)[0]))
    poses = [pose.from_features(unit) for unit in decoded.double().numpy()]
    assert any(np.allclose(unit, first, atol=1e-5) for unit in poses)


def test_detected_beats_are_marked_and_counted_and_fewer_with_a_higher_threshold(body_at):
    swinging = body_at(np.sin(np.arange(300) / 5))
    counts = []
    for threshold in (0.1, 5.0):
        config = KinematicBeatConfig(threshold=threshold)
        (axis,) = showcase.detected_beats(swinging, np.arange(0, 20, 0.5), config, (2.0, 8.0)).axes
        marks = len(axis.collections[0].get_segments())
        assert axis.get_title("left").startswith(f"{marks} kinematic beats") and axis.get_xlim() == (2.0, 8.0)
        counts.append(marks)
    assert counts[0] >= 8 and counts[1] == 0


def test_a_chain_has_a_speed_a_step_and_a_seam_a_movement(tiny_run):
    speed, seams_s = showcase.chained(tiny_run, 5)
    assert len(speed) == LEAD + 5 * 32 - 1 and np.isfinite(speed).all() and (speed >= 0).all()
    # Step i leads from pose i to i + 1; movement n begins with pose 2 + 32 n, so the step into it is 1 + 32 n.
    np.testing.assert_allclose(seams_s * 15, 1 + 32 * np.arange(1, 5))


@pytest.mark.parametrize("view", ["music", "dance", "speed"])
def test_a_confusion_is_of_shares_of_the_windows_of_a_split(tiny_run, view):
    table = showcase.style_confusion(tiny_run, view, "validation")
    assert table.shape == (3, 3)
    np.testing.assert_allclose(table.sum(axis=1), 1)
    windows, labels = tiny_run.style_windows(view, "validation")
    predicted = tiny_run.train_style(view).probabilities(windows).argmax(1)
    assert table[1, 2] == pytest.approx(float((predicted[labels == 1] == 2).double().mean()))


def test_accuracy_is_the_mean_over_the_styles_that_are_there():
    assert showcase.accuracy(np.array([[0.5, 0.5, 0], [0, 1.0, 0], [np.nan] * 3])) == pytest.approx(0.75)


def test_the_space_of_dances_holds_real_phrases_and_music_early_and_after_the_training(tiny_run):
    trained = {name: value.clone() for name, value in tiny_run.train_mmgan().state_dict().items()}
    pairs, labels = showcase.dance_space(tiny_run, 30)
    assert list(pairs) == ["step 1", "trained"]
    for real, generated in pairs.values():
        assert real.shape == generated.shape == (30, 8) and np.isfinite(real).all() and np.isfinite(generated).all()
    batch = tiny_run.training_batch("mmgan", 30)
    np.testing.assert_array_equal(labels, batch["style"].argmax(dim=1))
    # All are of the same phrases and the same noise, so that they differ by the weights alone.
    mmgan = tiny_run.train_mmgan()
    torch.manual_seed(tiny_run.seed)
    with torch.no_grad():
        mean, _ = mmgan.encode_dance(*mmgan.sample(batch))
    assert np.corrcoef(mean.flatten(), pairs["trained"][0].flatten())[0, 1] > 0
    again, _ = showcase.dance_space(tiny_run, 30)
    assert all(np.array_equal(again[when], pair) for when, pair in pairs.items())
    assert not np.array_equal(pairs["step 1"][0], pairs["trained"][0])
    assert all(torch.equal(value, trained[name]) for name, value in tiny_run.train_mmgan().state_dict().items())


def test_requested_songs_and_seeds_are_danced(tiny_run):
    dances = showcase.danced(tiny_run, [("ballet_02", 0), ("ballet_02", 1), ("zumba_02", 0)])
    assert list(dances) == ["ballet_02, seed 0", "ballet_02, seed 1", "zumba_02, seed 0"]
    songs_of_split, entries = split_music(tiny_run, "test"), {entry.name: entry for entry in tiny_run.corpus.entries}
    requests = (("ballet_02", 0), ("ballet_02", 1), ("zumba_02", 0))
    for (name, one), (song, seed) in zip(dances.items(), requests, strict=True):
        (expected,) = generate.dance_to(tiny_run.train_dancer(), songs_of_split[song][1], None, seed)
        np.testing.assert_array_equal(one.poses, expected.poses, err_msg=name)
        assert (one.name, one.song) == (song, Path(entries[song].song)) and one.start_s == entries[song].start_s
    one, other, _ = dances.values()
    assert np.abs(one.poses - other.poses).max() > 0.01


@pytest.mark.parametrize(("frames", "first"), [(300, 10.0), (100, 2.7), (45, 0.0)])
def test_a_strip_of_dances_is_of_the_same_four_seconds(body_at, frames, first):
    lengths_s = {"one": frames / 15, "longer": (frames + 60) / 15}
    dances = {
        name: dance(name, poses=body_at(frame_times(round(15 * length_s)))) for name, length_s in lengths_s.items()
    }
    figure = showcase.dance_strip(dances)
    assert [axis.get_title("left") for axis in figure.axes] == ["one", "longer"]
    labels = [float(label.get_text()) for label in figure.axes[-1].get_xticklabels()]
    assert labels[0] == pytest.approx(first, abs=0.05)
    np.testing.assert_allclose(np.diff(labels), 4 / 15, atol=0.1)  # every fourth pose, written to a tenth
    assert len(labels) == len(range(0, min(60, frames), 4))


def test_movements_are_dances_with_a_beat_every_eight_poses():
    poses = np.random.default_rng(0).normal(size=(2 + 64, 14, 3))
    (one,) = showcase.as_dances({"a movement": poses}).values()
    np.testing.assert_allclose(one.beats_s * 15, 2 + np.array([3, 11, 19, 27, 35, 43, 51, 59]))
    np.testing.assert_allclose(one.units_s * 15, [34])
    np.testing.assert_array_equal(one.poses, poses.astype(np.float32))
    assert one.song is None and one.style == "a movement"


def test_an_unseen_real_dance_is_watched_beside_ours_to_its_song(tiny_run):
    real, both = real_dances(tiny_run, "test")[0], showcase.real_and_ours(tiny_run)
    assert list(both) == ["ballet, real", "ballet, ours"]
    assert {(some.name, some.song, some.start_s) for some in both.values()} == {("ballet_02", real.song, 0.0)}
    np.testing.assert_array_equal(both["ballet, real"].poses, real.poses)
    (ours,) = showcase.danced(tiny_run, [("ballet_02", tiny_run.seed)]).values()
    np.testing.assert_array_equal(both["ballet, ours"].poses, ours.poses)


def test_recordings_are_watched_beside_a_built_in_dance(tiny_run, monkeypatch):
    recordings, builtin, runs = replace(tiny_run, source="some/recordings"), replace(tiny_run, source="builtin"), []
    monkeypatch.setattr(showcase, "real_dances", lambda run, split: runs.append((run, split)) or [run.source])
    assert showcase.recorded(recordings) == ["some/recordings", "builtin"]
    assert showcase.recorded(builtin) == ["builtin"]
    assert runs == [(recordings, "test"), (replace(builtin, run=""), "test"), (builtin, "test")]


def test_the_groups_of_losses_name_every_loss_that_is_logged(tiny_run, played_phrases):
    grouped = [name for names in showcase.GAN_LOSSES.values() for name in names]
    logged = set(tiny_run.losses("mmgan"))
    for config in (GAN, MIXED_GAN, PAPER_GAN):
        model = new_mmgan(config)
        logged |= {name for player in model.players() for name in model(played_phrases(config), 0, player)} - {"total"}
    assert logged == set(grouped) and len(grouped) == len(set(grouped))


def test_the_ten_seconds_in_which_two_trackers_agree_least():
    first = np.arange(0, 40, 0.5)
    second = np.where((first >= 20) & (first < 30), first + 0.25, first)
    assert showcase.least_agreement(first, second) == (20.0, 30.0)


def test_music_is_drawn_as_both_trackers_hear_it_from_the_start_of_the_dance():
    song = songs.drum_track(120.0, 12.0)
    onsets, network = showcase.music_tracks(song.samples, 2.0)
    for track in (onsets, network):
        assert len(track.values) == pytest.approx(10 * track.fps, abs=2)
        near = np.abs(track.events_s[:, None] - (song.beats_s - 2.0)).min(axis=0)
        assert np.mean(near < 0.07) > 0.9, track.title
    assert 0 <= network.values.min() and network.values.max() <= 1


def test_the_drift_is_a_sentence_of_its_own_numbers_beside_those_of_real_dances():
    def row(*values):
        names = ("last seconds", "real first seconds", "real last seconds")
        return {"value": values[0], "controls": {n: {"value": v} for n, v in zip(names, values[1:], strict=True)}}

    drift = {"speed, m/s": row(0.4, 0.3, 0.5, 0.45), "style consistency": row(1.0, 1.0, 1.0, 0.9)}
    assert showcase.drift_in_words(drift, "ours") == (
        "From the first seconds to the last (*ours*): speed falls from 0.4 to 0.3 m/s (real dances: from 0.5 to 0.45); "
        "style consistency stays 1 (real dances: from 1 to 0.9)."
    )
    drift["speed, m/s"]["value"], drift["style consistency"]["controls"] = 0.2, {}
    assert "speed rises from 0.2 to 0.3 m/s" in showcase.drift_in_words(drift, "folder: mine")
    assert "style" not in showcase.drift_in_words(drift, "folder: mine")


def test_evaluated_dances_are_called_ours_or_by_their_folder(tmp_path):
    assert showcase.name_of("") == "ours" and showcase.name_of(str(tmp_path / "my dances")) == "folder: my dances"


def test_the_disputed_clip_is_the_one_whose_beats_the_onset_tracker_reads_worst(tiny_run, monkeypatch):
    corpus = tiny_run.corpus
    tracked = iter([corpus.load(e)["music_beats_s"][:: 2 if n == 2 else 1] for n, e in enumerate(corpus.entries)])
    monkeypatch.setattr(showcase.onset_tracker, "track", lambda samples: next(tracked))
    assert all(entry.start_s == 0 for entry in corpus.entries)
    assert showcase.disputed_clip(tiny_run) == corpus.entries[2]
