"""Compositions, each drawn as its name says and warped as d2m's own dances are, and dances of a user's folder."""

from dataclasses import replace
from pathlib import Path

import dolls
import numpy as np
import pytest
import torch
from toys import equal

from d2m.clock import frame_count
from d2m.errors import PoseError
from d2m.experiments import dances as dance_sets
from d2m.experiments import run_evaluation
from d2m.experiments.dances import COMPOSITIONS, LATENT_COMPOSITIONS, read_dances
from d2m.generation import generate
from d2m.generation.beat_warp import NEAR, BeatPlan
from d2m.motion import dance as dance_files
from d2m.motion import pose
from d2m.motion.body import TO_Y, BodyWarning
from d2m.motion.dance import Dance
from d2m.motion.units import LEAD, UNIT_POSES

pytestmark = pytest.mark.usefixtures("one_thread")

STYLE = "hip-hop"


@pytest.fixture(scope="module")
def songs(tiny_run) -> dict:
    return dance_sets.split_music(tiny_run, "test")


@pytest.fixture(scope="module")
def composed(tiny_run, songs) -> dict:
    """The dances of every composition."""
    return dance_sets.compositions(tiny_run, songs)


def codes_of(run, name: str, count: int, seed: int = 0) -> torch.Tensor:
    return dance_sets._codes(run, name, STYLE, count, torch.Generator().manual_seed(seed))


def nearest(rows: torch.Tensor, references: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The distance of each row to its nearest reference, and the index of that."""
    return (rows[:, None] - references[None]).abs().amax(dim=2).min(dim=1)


def test_each_composition_is_one_dance_to_each_song_in_its_style_and_as_long(composed, songs):
    assert tuple(composed) == COMPOSITIONS
    for name, dances in composed.items():
        assert [dance.name for dance in dances] == list(songs), name
        for dance, (style, music) in zip(dances, songs.values(), strict=True):
            assert dance.style == style and len(dance.poses) == frame_count(music.duration_s)
            assert np.isfinite(dance.poses).all() and len(dance.units_s) > 5
            np.testing.assert_allclose(pose.bone_lengths(dance.poses.astype(float)) - pose.BONE_LENGTHS, 0, atol=1e-5)


def test_all_compositions_have_the_same_beats_and_no_two_are_alike(composed, tiny_run):
    for number, own in enumerate(dance_sets.generated_dances(tiny_run, tiny_run.train_dancer(), 1)):
        dances = {name: composed[name][number] for name in COMPOSITIONS}
        for name, dance in dances.items():
            np.testing.assert_array_equal(dance.beats_s, own.beats_s)
            # Each warps its own kinematic beats onto the beats, which moves its seams by as much.
            most = 2 * NEAR * np.diff(own.beats_s).max()
            np.testing.assert_allclose(dance.units_s, own.units_s, rtol=0, atol=most)
            others = [own, *(dances[other] for other in COMPOSITIONS if other != name)]
            assert all(np.abs(dance.poses - other.poses).max() > 0.01 for other in others), name


def test_the_same_seed_composes_the_same_and_another_otherwise(composed, songs, tiny_run):
    reseeded = replace(tiny_run, seed=4)  # with the models of seed 3
    for attribute in ("corpus", "_kept", "_units"):
        reseeded.__dict__[attribute] = tiny_run.__dict__[attribute]
    again, changed = (dance_sets.compositions(run, songs) for run in (tiny_run, reseeded))
    for name in COMPOSITIONS:
        for one, other in zip(composed[name], again[name], strict=True):
            np.testing.assert_array_equal(one.poses, other.poses)
        assert np.abs(composed[name][0].poses - changed[name][0].poses).max() > 0.01, name


def test_the_prior_is_standard_normal(tiny_run):
    codes = codes_of(tiny_run, "prior", 5000)
    # Five standard errors of the mean and of the variance of 5000 numbers.
    assert codes.mean(0).abs().max() < 5 / 5000**0.5 and (codes.var(0) - 1).abs().max() < 5 * (2 / 5000) ** 0.5
    assert (torch.corrcoef(codes.T) - torch.eye(8)).abs().max() < 5 / 5000**0.5


@pytest.mark.parametrize(("name", "styles"), [("codes", {0, 1, 2}), ("style_codes", {1})])
def test_shuffled_codes_are_those_of_training_units_of_all_styles_or_of_one(tiny_run, name, styles):
    data = tiny_run.units("train")
    references = tiny_run.train_vae().encode_movement(data.units(torch.arange(len(data.unit_rows))))[0]
    distances, units = nearest(codes_of(tiny_run, name, 60), references)
    assert tiny_run.corpus.styles[1] == STYLE and distances.max() < 1e-5  # float32 sums of another batch
    assert set(data.unit_styles[units].tolist()) == styles
    assert len(set(units.tolist())) > 20  # not one unit again and again
    consecutive = np.diff(units.numpy()) == 4  # units are cut at every beat, so the next of a dance is four further
    assert consecutive.mean() < 0.2


def test_phrases_are_three_movements_in_a_row_of_one_dance_of_the_style(tiny_run):
    data = tiny_run.units("train", 3)
    with torch.no_grad():
        movements = tiny_run.train_vae().encode_movement(data.units(torch.arange(len(data.unit_rows))))[0]
    references = movements[data.phrase_units]  # (K, 3, 8)
    codes = codes_of(tiny_run, "phrases", 31)
    assert codes.shape == (31, 8)  # ten phrases and a third of one
    distances, phrases = nearest(codes[:30].reshape(10, 24), references.flatten(1))
    assert distances.max() < 1e-5 and set(data.phrase_styles[phrases].tolist()) == {1}
    assert len(set(phrases.tolist())) > 5
    assert nearest(codes[30:], references[data.phrase_styles == 1][:, 0])[0].max() < 1e-5


def test_pasted_units_are_real_ones_of_the_style_each_placed_where_the_one_before_ended(tiny_run):
    data = tiny_run.units("train")
    rows = dance_sets._pasted(tiny_run, STYLE, 6, torch.Generator().manual_seed(0))
    assert rows.shape == (LEAD + 6 * UNIT_POSES, 14, 3)
    references = data.units(torch.arange(len(data.unit_rows)))[:, LEAD:].flatten(1)
    # Relative to the last pose before it (of the previous unit or of its own lead), a unit is as it was recorded.
    parts = [rows[LEAD - 1 + UNIT_POSES * number :][: 1 + UNIT_POSES] for number in range(6)]
    units = torch.from_numpy(np.stack([pose.to_features(part, 0)[1:] for part in parts])).float().flatten(1)
    distances, indices = nearest(units, references)
    assert distances.max() < 1e-5 and set(data.unit_styles[indices].tolist()) == {1}
    assert len(set(indices.tolist())) > 3


def test_compositions_are_chained_from_a_training_pose_of_their_style(tiny_run, songs, monkeypatch):
    chained, chain = [], generate.chain
    monkeypatch.setattr(generate, "chain", lambda *arguments: chained.append(arguments) or chain(*arguments))
    song, (style, music) = next(iter(songs.items()))
    dance_sets.compositions(tiny_run, {song: (style, music)})
    assert len(chained) == len(LATENT_COMPOSITIONS) + 2  # pasted units are not chained
    mmgan, movements = tiny_run.train_mmgan(), BeatPlan(music, 3).movements
    for vae, leads, codes in chained[:-1]:
        assert equal(vae, mmgan.vae) and codes.shape == (movements, 1, 8)
        index = mmgan.lead_styles == tiny_run.corpus.styles.index(style)
        assert nearest(leads.flatten(1), mmgan.leads[index].flatten(1))[0] == 0
    assert not equal(chained[-1][0], mmgan.vae)  # the untrained one


def test_a_replayed_dance_is_of_runs_of_three_movements_of_training_dances(tiny_run, songs, composed, monkeypatch):
    composer, codes = dance_sets.replay(tiny_run), []
    compose, data = type(composer).compose, tiny_run.units("train", 3)
    monkeypatch.setattr(
        type(composer), "compose", lambda self, *music: codes.append(compose(self, *music)) or codes[-1]
    )
    again = dance_sets.compositions(tiny_run, songs)["replay"]
    with torch.no_grad():
        movements = tiny_run.train_vae().encode_movement(data.units(torch.arange(len(data.unit_rows))))[0]
    for dance, other, of_dance in zip(composed["replay"], again, codes, strict=True):
        np.testing.assert_array_equal(dance.poses, other.poses)
        runs = of_dance[:, 0].unflatten(0, (-1, 3)).flatten(1)
        distances, drawn = nearest(runs, movements[data.phrase_units].flatten(1))
        assert distances.max() < 1e-5 and data.phrase_inside[drawn].all()


def test_untrained_networks_have_other_weights_and_the_same_statistics(tiny_run):
    untrained, trained = dance_sets.untrained(tiny_run), tiny_run.train_mmgan()
    assert untrained.mmgan.config == trained.config and untrained.mmgan.vae.config == trained.vae.config
    for (name, buffer), (_, other) in zip(untrained.mmgan.named_buffers(), trained.named_buffers(), strict=True):
        assert torch.equal(buffer, other), name
    weights, trained_weights = dict(untrained.mmgan.named_parameters()), dict(trained.named_parameters())
    for name, weight in weights.items():
        # A constant initialisation may not have changed within the two steps of the run.
        assert not torch.equal(weight, trained_weights[name]) or weight.min() == weight.max(), name
    again = dance_sets.untrained(tiny_run).mmgan
    assert all(torch.equal(weights[name], weight) for name, weight in again.named_parameters())
    assert untrained.composer.mmgan is untrained.mmgan  # it is what composes
    assert untrained.music_style is tiny_run.train_style("music") and untrained.warp == tiny_run.preset.warp
    assert not untrained.mmgan.training


def test_dances_in_a_folder_are_read_with_their_songs_names(tiny_run, tmp_path):
    assert read_dances(tiny_run, "") is None
    written = dance_sets.generated_dances(tiny_run, tiny_run.train_dancer(), 2)
    for dance in written:
        stem = dance_files.file_stem(Path("/m") / dance.name, dance.style, dance.seed)
        dance_files.write_npz(dance, tmp_path / f"{stem}.npz")
    read = read_dances(tiny_run, str(tmp_path))
    for dance, original in zip(read, written, strict=True):
        assert (dance.name, dance.song) == (f"folder/m_{original.name}", None)
        assert (dance.style, dance.seed) == (original.style, original.seed)
        np.testing.assert_array_equal(dance.poses, original.poses)
        np.testing.assert_array_equal(dance.beats_s, original.beats_s)


def test_a_given_dance_keeps_its_own_beats_beside_a_song_of_the_corpus_of_the_same_name(tiny_run, tmp_path):
    def write(dance: Dance) -> None:
        ending = dance_files.stem_ending(dance.style, dance.seed)
        dance_files.write_npz(dance, tmp_path / f"{dance.name}{ending}.npz")

    dance = dance_sets.generated_dances(tiny_run, tiny_run.train_dancer(), 1)[0]
    early = replace(dance, beats_s=dance.beats_s[1:] - 0.2)
    write(early)
    result = run_evaluation.compare(tiny_run, dances=read_dances(tiny_run, str(tmp_path)))
    np.testing.assert_array_equal(result.ours[0].music_beats_s, early.beats_s[early.beats_s >= 0])
    assert "shuffled" not in result.others  # one song has no other
    write(replace(dance, seed=1))
    with pytest.raises(PoseError, match=r"has different beats_s than another file .*; expected the same beats"):
        read_dances(tiny_run, str(tmp_path))


@pytest.mark.parametrize(("changes", "problem"), [
    ({"fps": 30.0}, r"a\.npz has 30 frames a second; expected 15"),
    ({"poses": np.zeros((300, 14, 2))}, r"a\.npz is 2D; expected 3D, as in the preset"),
    ({"poses": np.zeros((300, 13, 3))}, r"a\.npz have shape \(300, 13, 3\)"),
    ({"poses": np.full((300, 14, 3), np.nan)}, r"a\.npz hold a value that is not finite"),
    ({"style": "polka"}, r"a\.npz has the style 'polka'; expected one of ballet, hip-hop, zumba"),
    ({"beats_s": np.array([1.0])}, r"a\.npz has 1 beats in beats_s within the dance; expected at least two"),
    ({"beats_s": np.array([1.0, 20.0, 30.0])}, r"a\.npz has 1 beats in beats_s within the dance"),
    ({"beats_s": np.empty(0)}, r"a\.npz has 0 beats in beats_s"),
])  # fmt: skip
def test_a_dance_that_cannot_be_compared_is_refused_by_its_file(tiny_run, body_at, tmp_path, changes, problem):
    poses = body_at(np.arange(300) / 15).astype(np.float32)
    dance = Dance(poses, np.arange(0.25, 20, 0.5), np.empty(0), "zumba", 0, None)
    dance_files.write_npz(replace(dance, **changes), tmp_path / "a.npz")
    with pytest.raises(PoseError, match=problem):
        read_dances(tiny_run, str(tmp_path))


@pytest.mark.parametrize("axis", sorted(TO_Y))
def test_a_dance_along_another_axis_is_the_same_dance_and_it_is_said(tiny_run, tmp_path, axis):
    upright = dolls.dance(style="zumba")
    fallen = replace(upright, poses=upright.poses @ np.array(TO_Y[axis], dtype=np.float32))
    dance_files.write_npz(upright, tmp_path / "a_zumba_0.npz")
    (expected,) = read_dances(tiny_run, str(tmp_path))
    dance_files.write_npz(fallen, tmp_path / "a_zumba_0.npz")
    with pytest.warns(BodyWarning, match=rf"a_zumba_0\.npz: its bodies have {axis} up, not y"):
        (turned,) = read_dances(tiny_run, str(tmp_path))
    np.testing.assert_array_equal(turned.poses, expected.poses)


@pytest.mark.parametrize(("move", "problem"), [
    ((0, 0, 0), r"a\.npz: its bodies have no clear axis that points up"),
    ((0, 3, 0), r"a\.npz: its bodies are not human, shoulder width to trunk is 0\.\d\d; expected 0\.25 to 1\.5"),
])  # fmt: skip
def test_a_dance_of_no_body_is_refused_by_its_file(tiny_run, tmp_path, move, problem):
    upright = dolls.dance(style="zumba")
    poses = upright.poses @ np.array([[1, 0, 0], [0, 0.7, 0.7], [0, -0.7, 0.7]], dtype=np.float32)
    poses[:, : pose.R_HIP] += np.array(move, dtype=np.float32)
    dance_files.write_npz(replace(upright, poses=poses), tmp_path / "a.npz")
    with pytest.raises(PoseError, match=problem):
        read_dances(tiny_run, str(tmp_path))


def test_a_folder_without_dances_is_refused(tiny_run, tmp_path):
    (tmp_path / "a.npz").write_bytes(b"PK")
    with pytest.raises(PoseError, match=r"a\.npz cannot be read"):
        read_dances(tiny_run, str(tmp_path))
    (tmp_path / "a.npz").unlink()
    with pytest.raises(PoseError, match=rf"the folder {tmp_path} holds no dance; expected npz files"):
        read_dances(tiny_run, str(tmp_path))
    (tmp_path / "a file").touch()
    for nowhere in (tmp_path / "nowhere", tmp_path / "a file"):
        with pytest.raises(PoseError, match=rf"but the folder {nowhere} does not exist; expected a folder of dances"):
            read_dances(tiny_run, str(nowhere))
