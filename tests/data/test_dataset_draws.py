"""The dataset on built-in dances: units are what they were cut from, draws are balanced."""

import numpy as np
import pytest
import torch

from d2m.data import dataset
from d2m.motion import pose, units


def all_units(dances: dataset.UnitData) -> torch.Tensor:
    return dances.units(torch.arange(len(dances.unit_rows)))


@pytest.mark.parametrize("dimensions", [2, 3])
def test_units_and_phrases_of_built_in_dances_are_the_poses_they_were_cut_from(small_corpus, dimensions):
    dances = dataset.load(small_corpus, "test", dimensions, phrase=3)
    expected_units, expected_phrases = [], []
    for arrays in map(small_corpus.load, small_corpus.split("test")):
        anchors = units.anchors(arrays["kinematic_beats_s"], arrays["music_beats_s"], arrays["kinematic_strength"])
        poses = pose.front_view(arrays["poses"]) if dimensions == 2 else arrays["poses"]
        in_beat_time = units.to_beat_time(poses, anchors.times_s)
        count = len(anchors.times_s)
        expected_units += [pose.to_features(in_beat_time[i : i + 34], 1) for i in units.cut(count)]
        expected_phrases += [pose.to_features(in_beat_time[i : i + 98], 1) for i in units.cut(count, 3)]
    phrases, _ = dances.phrases(torch.arange(len(dances.phrase_rows)))
    np.testing.assert_allclose(all_units(dances), expected_units, atol=1e-4)  # float32
    np.testing.assert_allclose(pose.rebase(phrases, 1), expected_phrases, atol=1e-4)


def test_statistics_standardise_the_units(small_corpus):
    dances = dataset.load(small_corpus, "train")
    mean, deviation = dances.statistics()
    everything = all_units(dances).flatten(0, 1)
    standard = (everything - mean) / deviation
    torch.testing.assert_close(standard.mean(0), torch.zeros(46), atol=1e-4, rtol=0)
    # A feature that hardly moves is divided by the smallest deviation and stays below 1.
    moving = everything.std(0) > dataset.SMALLEST_DEVIATION
    torch.testing.assert_close(standard.std(0)[moving], torch.ones(int(moving.sum())), atol=1e-3, rtol=0)
    assert (standard.std(0)[~moving] < 1).all() and moving.sum() > 30


def test_balanced_draws_take_every_style_alike():
    styles = torch.tensor([0] * 900 + [1] * 90 + [2] * 10)
    drawn = styles[dataset.balanced(styles, 30_000, torch.Generator().manual_seed(0))]
    # A third each; four standard deviations of sqrt(1/3 2/3 / 30,000) = 0.0027.
    np.testing.assert_allclose(torch.bincount(drawn).numpy() / 30_000, 1 / 3, atol=0.011)


def test_balanced_draws_repeat_with_their_generator():
    styles = torch.tensor([0, 0, 0, 1])
    first, again, other = (dataset.balanced(styles, 50, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again) and not torch.equal(first, other)
