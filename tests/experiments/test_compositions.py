"""Other ways to fill a dance with movements: each is what it says it is, and chained and performed as d2m's own."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from d2m.clock import frame_count
from d2m.experiments import dances as dance_sets
from d2m.experiments.dances import CODES, NAMES
from d2m.generation import generate
from d2m.generation.beat_warp import NEAR, danced_beats, movement_count, perform
from d2m.motion import pose
from d2m.motion.units import LEAD, UNIT_POSES

pytestmark = pytest.mark.usefixtures("one_thread")

STYLE = "hip-hop"


@pytest.fixture(scope="module")
def heard(tiny_run) -> dict:
    return dance_sets.heard_in(tiny_run, "test")


@pytest.fixture(scope="module")
def made(tiny_run, heard) -> dict:
    """The dances of every composition."""
    return dance_sets.compositions(tiny_run, heard)


@pytest.fixture(scope="module")
def real(tiny_run) -> tuple[torch.Tensor, torch.Tensor]:
    """z_mov of every training unit, and the style of each."""
    data = tiny_run.dances("train")
    units = data.units(torch.arange(len(data.unit_rows)))
    return tiny_run.train_mmgan().vae.encode_movement(units)[0], data.unit_styles


def drawn(run, name: str, count: int, style: str = STYLE, seed: int = 0) -> torch.Tensor:
    return dance_sets._codes(run, name, style, count, torch.Generator().manual_seed(seed))


def nearest(rows: torch.Tensor, known: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """How far each row is from the nearest known one, and which that is."""
    apart = (rows[:, None] - known[None]).abs().amax(dim=2)
    return apart.min(dim=1)


def test_each_composition_is_one_dance_to_each_song_in_its_style_and_as_long(made, heard):
    assert tuple(made) == NAMES
    for name, dances in made.items():
        assert [str(dance.song) for dance in dances] == list(heard), name
        for dance, (style, song) in zip(dances, heard.values(), strict=True):
            assert dance.style == style and len(dance.poses) == frame_count(song.duration_s)
            assert np.isfinite(dance.poses).all() and len(dance.units_s) > 5
            np.testing.assert_allclose(pose.bone_lengths(dance.poses.astype(float)) - pose.BONE_LENGTHS, 0, atol=1e-5)


def test_all_stand_on_the_same_beats_and_no_two_are_alike(made, tiny_run):
    for number, ours in enumerate(dance_sets.our_dances(tiny_run, tiny_run.train_dancer(), 1)):
        for name in NAMES:
            np.testing.assert_array_equal(made[name][number].beats_s, ours.beats_s)
            # Each brings its own kinematic beats onto the beats, and so its seams by as much.
            most = 2 * NEAR * np.diff(ours.beats_s).max()
            np.testing.assert_allclose(made[name][number].units_s, ours.units_s, rtol=0, atol=most)
            others = [ours.poses, *(made[other][number].poses for other in NAMES if other != name)]
            assert all(np.abs(made[name][number].poses - poses).max() > 0.01 for poses in others), name


def test_the_same_seed_composes_the_same_and_another_otherwise(made, heard, tiny_run):
    again = dance_sets.compositions(tiny_run, heard)
    for name in NAMES:
        for one, other in zip(made[name], again[name], strict=True):
            np.testing.assert_array_equal(one.poses, other.poses)
    reseeded = replace(tiny_run, seed=4)  # with the models of seed 3
    for kept in ("corpus", "_kept", "_dances"):
        reseeded.__dict__[kept] = tiny_run.__dict__[kept]
    changed = dance_sets.compositions(reseeded, heard)
    for name in NAMES:
        assert np.abs(made[name][0].poses - changed[name][0].poses).max() > 0.01, name


@pytest.mark.parametrize("name", CODES)
def test_codes_are_drawn_by_the_seed_and_as_many_as_are_asked_for(tiny_run, name):
    first, again, other = (drawn(tiny_run, name, 10, seed=seed) for seed in (5, 5, 6))
    assert first.shape == (10, 8) and torch.equal(first, again) and not torch.equal(first, other)


def test_the_prior_is_standard_normal(tiny_run):
    codes = drawn(tiny_run, "prior", 5000)
    # Five standard errors of the mean and of the variance of 5000 numbers.
    assert codes.mean(0).abs().max() < 5 / 5000**0.5 and (codes.var(0) - 1).abs().max() < 5 * (2 / 5000) ** 0.5
    assert (torch.corrcoef(codes.T) - torch.eye(8)).abs().max() < 5 / 5000**0.5


@pytest.mark.parametrize(("name", "styles"), [("codes", {0, 1, 2}), ("style_codes", {1})])
def test_shuffled_codes_are_those_of_training_units_of_all_styles_or_of_one(tiny_run, real, name, styles):
    known, of = real
    apart, which = nearest(drawn(tiny_run, name, 60), known)
    assert tiny_run.corpus.styles[1] == STYLE and apart.max() < 1e-5  # sums over another batch, in float32
    assert set(of[which].tolist()) == styles
    assert len(set(which.tolist())) > 20  # not one unit again and again
    following = np.diff(which.numpy()) == 4  # units are cut at every beat: the next one of a dance stands four on
    assert following.mean() < 0.2


def test_runs_are_three_movements_in_a_row_of_one_dance_of_the_style(tiny_run):
    data = tiny_run.dances("train")
    known = tiny_run.train_mmgan().movements(data.phrases(torch.arange(len(data.phrase_rows)))[0])  # (K, 3, 8)
    codes = drawn(tiny_run, "phrases", 31)
    assert codes.shape == (31, 8)  # ten runs and a third of one
    apart, which = nearest(codes[:30].reshape(10, 24), known.flatten(1))
    assert apart.max() < 1e-5 and set(data.phrase_styles[which].tolist()) == {1} and len(set(which.tolist())) > 5
    assert nearest(codes[30:], known[data.phrase_styles == 1][:, 0])[0].max() < 1e-5


def test_pasted_are_real_units_of_the_style_each_set_down_where_the_one_before_ended(tiny_run):
    data = tiny_run.dances("train")
    rows = dance_sets._pasted(tiny_run, STYLE, 6, torch.Generator().manual_seed(0))
    assert rows.shape == (LEAD + 6 * UNIT_POSES, 14, 3)
    known = data.units(torch.arange(len(data.unit_rows)))
    used = set()
    for number in range(6):
        # Seen from the last pose of the unit before (or of its own lead), a unit is as it was recorded.
        seen = pose.to_features(rows[LEAD - 1 + UNIT_POSES * number :][: 1 + UNIT_POSES], 0)[1:]
        apart, which = nearest(torch.from_numpy(seen).float().reshape(1, -1), known[:, LEAD:].flatten(1))
        assert float(apart) < 1e-5 and int(data.unit_styles[which]) == 1
        used.add(int(which))
    assert len(used) > 3


def test_compositions_are_chained_from_a_training_pose_and_put_on_the_beats(tiny_run, heard, monkeypatch):
    chained, performed, chain = [], [], generate.chain
    monkeypatch.setattr(generate, "chain", lambda *given: chained.append(given) or chain(*given))
    for module in (generate, dance_sets):
        monkeypatch.setattr(module, "perform", lambda *given: performed.append(given) or perform(*given))
    song, (style, music) = next(iter(heard.items()))
    dance_sets.compositions(tiny_run, {song: (style, music)})
    assert len(chained) == len(CODES) + 1 and len(performed) == len(NAMES)  # pasted ones are not chained
    movements = movement_count(danced_beats(music))
    for vae, leads, codes in chained[:-1]:
        assert vae is tiny_run.train_mmgan().vae and codes.shape == (movements, 1, 8)
        index = tiny_run.train_mmgan().lead_styles == tiny_run.corpus.styles.index(style)
        assert nearest(leads.flatten(1), tiny_run.train_mmgan().leads[index].flatten(1))[0] == 0
    assert chained[-1][0] is not tiny_run.train_mmgan().vae  # the untrained one
    assert all(given[0].shape == (1, LEAD + UNIT_POSES * movements, 14, 3) for given in performed)


def test_untrained_networks_are_other_weights_with_the_same_statistics(tiny_run):
    fresh, trained = dance_sets.untrained(tiny_run), tiny_run.train_mmgan()
    assert fresh.mmgan.config == trained.config and fresh.mmgan.vae.config == trained.vae.config
    for (name, made), (_, buffer) in zip(fresh.mmgan.named_buffers(), trained.named_buffers(), strict=True):
        assert torch.equal(made, buffer), name
    theirs = dict(trained.named_parameters())
    for name, weight in fresh.mmgan.named_parameters():
        # What begins as a constant, as all weights of a kind do, may not have moved within the two steps of the run.
        assert not torch.equal(weight, theirs[name]) or weight.min() == weight.max(), name
    again = dance_sets.untrained(tiny_run).mmgan
    assert all(torch.equal(a, b) for a, b in zip(fresh.mmgan.parameters(), again.parameters(), strict=True))
    assert fresh.music_style is tiny_run.train_style("music") and fresh.warp == tiny_run.preset.warp
    assert not fresh.mmgan.training
