"""beats: perfect beats score 1, none 0, and every measure of beats is that of all pairs and of mir_eval."""

import mir_eval
import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment
from scipy.special import erf

from d2m.errors import D2MError
from d2m.metrics import beats as beat_scores

MUSIC = 0.5 * np.arange(1, 40)  # seconds: 120 BPM


@pytest.mark.parametrize("others", [1, 2, 3, 40])
def test_distances_are_those_of_every_pair(others):
    rng = np.random.default_rng(others)
    others, beats = np.sort(rng.uniform(1, 9, others)), rng.uniform(0, 10, 60)  # beats in any order
    expected = np.abs(beats[:, None] - others).min(axis=1)
    np.testing.assert_array_equal(beat_scores.distances(beats, others), expected)


def test_distances_to_nothing_are_infinite_and_of_nothing_none():
    assert beat_scores.distances([1.0, 2.0], []).tolist() == [np.inf, np.inf]
    assert beat_scores.distances([], MUSIC).shape == beat_scores.distances([], []).shape == (0,)
    assert beat_scores.distances([1.0, 3.0], [2.0]).tolist() == [1, 1]


@pytest.mark.parametrize(("shift_s", "score"), [(0.0, 1.0), (0.0699, 1.0), (-0.0699, 1.0), (0.0701, 0.0), (0.25, 0.0)])
def test_beats_hit_within_the_tolerance_of_70_ms_and_not_beyond(shift_s, score):
    assert beat_scores.hits(MUSIC, MUSIC + shift_s).tolist() == [bool(score)] * len(MUSIC)
    assert beat_scores.precision_recall(MUSIC, MUSIC + shift_s) == (score, score)
    assert beat_scores.beat_f1(MUSIC, MUSIC + shift_s) == score
    late = MUSIC + 0.125  # with another tolerance
    assert beat_scores.hits(MUSIC, late, 0.125).all() and not beat_scores.hits(MUSIC, late, 0.124).any()
    assert beat_scores.beat_f1(MUSIC, late, 0.125) == 1 and beat_scores.beat_f1(MUSIC, late, 0.124) == 0


def test_hits_are_of_kinematic_beats_and_none_without_music():
    assert beat_scores.hits([1.0, 2.0], [0.95, 1.05, 1.5, 2.1]).tolist() == [True, True, False, False]
    assert beat_scores.hits([], MUSIC).tolist() == [False] * len(MUSIC)
    assert len(beat_scores.hits(MUSIC, [])) == 0


def test_beats_at_seams_are_those_nearest_to_the_first_beat_after_one():
    seams = [1.8]  # before the beat at 2.0
    kinematic = [1.5, 1.74, 1.76, 2.0, 2.24, 2.26]
    assert beat_scores.at_seams(seams, kinematic, MUSIC).tolist() == [False, False, True, True, True, False]
    assert beat_scores.at_seams([], kinematic, MUSIC).tolist() == [False] * 6
    assert beat_scores.at_seams([1.5], [1.4, 1.6], [1.0, 2.0]).tolist() == [False, True]  # two beats are enough
    with pytest.raises(D2MError, match=r"^the music has 1 beats; expected at least 2\.$"):
        beat_scores.at_seams([2.0], [1.0], [1.0])


@pytest.mark.parametrize("bpm", [80, 100, 120, 140])
def test_random_beats_are_hits_as_often_at_seams_as_away_from_them(bpm):
    music = np.arange(1, 4000) * 60 / bpm
    seams = music[::4] - 3 / 8 * 60 / bpm
    random = np.random.default_rng(0).uniform(music[0], music[-1], 20_000)
    at, hit = beat_scores.at_seams(seams, random, music), beat_scores.hits(music, random)
    # Of 5,000 and 15,000 beats; four standard errors of the smaller share.
    assert hit[at].mean() == pytest.approx(hit[~at].mean(), abs=4 * 0.5 / np.sqrt(5000))
    assert at.mean() == pytest.approx(0.25, abs=0.02)


def test_beat_distances_are_in_beats_of_their_own_length_and_early_ones_negative():
    music, kinematic = [1.0, 2.0, 4.0], [0.9, 1.0, 1.25, 1.75, 2.5, 3.5, 4.0, 4.1]  # the first and last are outside
    assert beat_scores.beat_distances(music, kinematic).tolist() == [0, 0.25, -0.25, 0.25, -0.25, 0]
    assert np.abs(beat_scores.beat_distances(music, [1.5, 3.0])).tolist() == [0.5, 0.5]
    assert beat_scores.beat_distances([1.0, 2.0], [1.0, 1.25, 1.75]).tolist() == [0, 0.25, -0.25]
    assert len(beat_scores.beat_distances(music, [])) == 0
    with pytest.raises(D2MError, match=r"^the music has 1 beats; expected at least 2\.$"):
        beat_scores.beat_distances([1.0], [1.0])


@pytest.mark.parametrize("kind", [np.uint8, np.int64, np.float32, float])
def test_beats_of_any_kind_of_number_are_measured_as_doubles(kind):
    # Bytes would wrap around at 256 and below 0.
    music, kinematic = np.array([100, 180, 240], kind), np.array([90, 139, 141, 209, 211], kind)
    distances = beat_scores.distances(kinematic, music)
    assert distances.dtype == np.float64 and distances.tolist() == [10, 39, 39, 29, 29]
    assert beat_scores.at_seams([150], kinematic, music).tolist() == [False, False, True, True, False]
    assert beat_scores.precision_recall(music, kinematic, 29.0) == (0.6, 1)


def test_coverage_counts_beats_and_may_exceed_one():
    assert beat_scores.beat_coverage(MUSIC, MUSIC) == 1
    assert beat_scores.beat_coverage(MUSIC[:10], MUSIC[:4]) == 0.4
    assert beat_scores.beat_coverage(MUSIC[:4], MUSIC[:10]) == 2.5
    assert beat_scores.beat_coverage(MUSIC, []) == 0
    with pytest.raises(D2MError, match=r"^the music has no beats; expected at least 1\.$"):
        beat_scores.beat_coverage([], MUSIC)


@pytest.mark.parametrize("music", [1, 2, 3, 40, 120])
@pytest.mark.parametrize("tolerance_s", [0.07, 0.3])  # 0.3: most beats have several to be paired with
def test_precision_recall_and_f1_are_those_of_the_best_pairing_and_of_mir_eval(music, tolerance_s):
    rng = np.random.default_rng(music)
    music, kinematic = np.sort(rng.uniform(1, 9, music)), np.sort(rng.uniform(0, 10, 60))
    near = np.abs(kinematic[:, None] - music) <= tolerance_s
    pairs = near[linear_sum_assignment(near, maximize=True)].sum()
    expected = (pairs / 60, pairs / len(music))
    assert beat_scores.precision_recall(music, kinematic, tolerance_s) == expected
    f1 = beat_scores.beat_f1(music, kinematic, tolerance_s)
    assert f1 == pytest.approx(2 * pairs / (60 + len(music)), rel=1e-12)
    by_mir_eval = mir_eval.beat.f_measure(music, kinematic, f_measure_threshold=tolerance_s)
    assert f1 == pytest.approx(by_mir_eval, rel=1e-12)


def test_a_beat_is_in_one_pair_at_most():
    assert beat_scores.precision_recall([1.0, 2.0], [0.96, 1.0, 1.04]) == (1 / 3, 1 / 2)
    assert beat_scores.hits([1.0, 2.0], [0.96, 1.0, 1.04]).all()  # which the hit rate does not see
    # The nearest pair first (1.03 with 1.02) would leave both others alone.
    assert beat_scores.precision_recall([0.97, 1.03], [1.02, 1.09]) == (1, 1)


@pytest.mark.parametrize(("music", "kinematic"), [([], MUSIC), (MUSIC, []), ([], [])])
def test_without_beats_precision_recall_f1_and_alignment_are_zero(music, kinematic):
    assert beat_scores.precision_recall(music, kinematic) == (0, 0)
    assert beat_scores.beat_f1(music, kinematic) == 0
    assert beat_scores.beat_alignment(music, kinematic) == beat_scores.beat_alignment(kinematic, music) == 0


@pytest.mark.parametrize("shift_s", [0.0, 0.02, -0.05, 0.1, 0.25])
@pytest.mark.parametrize("sigma_s", [0.05, 0.1])
def test_alignment_of_beats_moved_by_d_is_the_bell_at_d(shift_s, sigma_s):
    expected = np.exp(-(shift_s**2) / (2 * sigma_s**2))
    assert beat_scores.beat_alignment(MUSIC + shift_s, MUSIC, sigma_s) == pytest.approx(expected, rel=1e-9)


def test_alignment_over_motion_beats_and_over_music_beats_differ():
    assert beat_scores.beat_alignment(MUSIC + 0.05, MUSIC) == pytest.approx(np.exp(-0.5), rel=1e-9)  # sigma is 50 ms
    # One beat danced, perfectly: over motion beats that is perfect, over music beats it is one of four.
    music, kinematic = [1.0, 2.0, 3.0, 4.0], [2.0]
    assert beat_scores.beat_alignment(kinematic, music) == 1
    assert beat_scores.beat_alignment(music, kinematic) == pytest.approx(0.25, abs=1e-12)  # the others: exp(-200)
    # Restless feet hit every music beat and miss with three of four.
    assert beat_scores.beat_alignment(np.arange(1, 5, 0.25), music) == pytest.approx(0.25, abs=1e-5)
    assert beat_scores.beat_alignment(music, np.arange(1, 5, 0.25)) == 1


def test_the_alignment_of_random_motion_beats_at_120_bpm_is_its_integral():
    music = 0.5 * np.arange(2001)
    random = np.random.default_rng(0).uniform(0, 1000, 200_000)
    # d is uniform from 0 to 0.25 s: the mean of the bell over it.
    chance = beat_scores.SIGMA_S * np.sqrt(np.pi / 2) * erf(0.25 / (beat_scores.SIGMA_S * 2**0.5)) / 0.25
    assert chance == pytest.approx(0.2507, abs=1e-4)
    # The bell deviates by 0.35 from its mean: 0.0008 for the mean of 200,000. Four of them.
    assert beat_scores.beat_alignment(random, music) == pytest.approx(chance, abs=0.0032)
