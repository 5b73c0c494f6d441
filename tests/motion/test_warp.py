"""warp: time maps go through their anchors and never back; poses are exact on frames and near between them."""

import numpy as np
import pytest
from scipy.interpolate import CubicHermiteSpline

from d2m.errors import D2MError
from d2m.motion import warp

KINDS = ("cubic", "linear")
SOURCE = np.array([0.31, 0.80, 1.42, 1.90, 2.55])
TARGET = np.array([2.0, 2.9, 3.3, 4.4, 4.9])


@pytest.mark.parametrize("kind", KINDS)
def test_the_map_goes_through_its_anchors(kind):
    np.testing.assert_allclose(warp.time_map(SOURCE, TARGET, kind)(SOURCE), TARGET, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(5))
def test_the_map_always_goes_forward(kind, seed):
    rng = np.random.default_rng(seed)
    source, target = (np.cumsum(rng.lognormal(0, 1, 40)) for _ in range(2))  # gaps of very different lengths
    at = np.linspace(source[0] - 5, source[-1] + 5, 20_001)
    assert (np.diff(warp.time_map(source, target, kind)(at)) > 0).all()


def test_the_map_is_cubic_by_default_and_the_linear_map_of_the_way_back_is_its_inverse():
    at = np.linspace(0, 3, 101)
    default, cubic, linear = (warp.time_map(SOURCE, TARGET, *kind) for kind in ((), ("cubic",), ("linear",)))
    np.testing.assert_array_equal(default(at), cubic(at))
    assert not np.allclose(default(at), linear(at))
    np.testing.assert_allclose(warp.time_map(TARGET, SOURCE, "linear")(linear(at)), at, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_two_anchors_make_a_map(kind):
    np.testing.assert_allclose(warp.time_map([1.0, 3.0], [5.0, 6.0], kind)([0, 1, 2, 3, 4]), [4.5, 5, 5.5, 6, 6.5])


@pytest.mark.parametrize("kind", KINDS)
def test_even_anchors_make_a_straight_line(kind):
    at = np.linspace(-10, 10, 201)
    mapped = warp.time_map(np.arange(6) * 0.5, 7 + np.arange(6) * 0.4, kind)(at)
    np.testing.assert_allclose(mapped, 7 + at * 0.8, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_outside_its_anchors_the_map_goes_on_with_the_mean_slope_of_the_end(kind):
    mapped = warp.time_map(SOURCE, TARGET, kind)
    first, *_, last = np.diff(TARGET) / np.diff(SOURCE)
    # Beyond one end segment of lead-in, where even the cubic is straight.
    assert mapped(-4.0) == pytest.approx(TARGET[0] + first * (-4.0 - SOURCE[0]), abs=1e-12)
    assert mapped(9.0) == pytest.approx(TARGET[-1] + last * (9.0 - SOURCE[-1]), abs=1e-12)


def test_the_cubic_keeps_velocity_at_anchors_and_the_linear_breaks_it():
    step = 1e-6

    def break_of_velocity(kind):
        mapped = warp.time_map(SOURCE, TARGET, kind)
        after, before = (mapped(SOURCE + step) - mapped(SOURCE)), (mapped(SOURCE) - mapped(SOURCE - step))
        return np.abs(after - before).max() / step

    assert break_of_velocity("cubic") < 1e-3  # curvature (below 100 here) times the step of 1e-6, ten times over
    slopes = np.diff(TARGET) / np.diff(SOURCE)
    assert break_of_velocity("linear") == pytest.approx(np.abs(np.diff(slopes)).max(), rel=1e-6)


@pytest.mark.parametrize(
    ("source", "target"),
    [([0, 1, 2], [0, 1]), ([0], [0]), ([], []), ([0, 2, 1], [0, 1, 2]), ([0, 1, 2], [0, 1, 1]), ([0, 0, 2], [0, 1, 2]),
     ([0, np.nan], [0, 1]), (np.array([0, 2, 1], np.uint8), [0, 1, 2])],  # 1 - 2 would be 255
)  # fmt: skip
def test_what_is_no_time_map_is_refused_with_the_rule(source, target):
    with pytest.raises(
        D2MError, match=f"^{len(source)} and {len(target)} anchors .*; expected two strictly increasing"
    ):
        warp.time_map(source, target)


@pytest.mark.parametrize("kind", KINDS)
def test_texts_and_large_integers_are_numbers_too(kind):
    map_ = warp.time_map(["0", "1", "3"], ["0", "2", "4"], kind)
    assert map_(["0.5", "3"]).tolist() == warp.time_map([0, 1, 3], [0, 2, 4], kind)([0.5, 3]).tolist()


def test_resample_is_exact_on_whole_frames_and_holds_the_poses_at_the_ends():
    poses = np.random.default_rng(0).normal(size=(20, 14, 3))
    np.testing.assert_allclose(warp.resample(poses, np.arange(20)), poses, atol=1e-14)
    np.testing.assert_allclose(warp.resample(poses, [-3, 99]), poses[[0, -1]], atol=1e-14)


def test_poses_of_single_precision_are_read_in_double():
    poses = np.random.default_rng(0).normal(size=(20, 14, 3)).astype(np.float32)
    positions = np.linspace(0, 19, 100)
    resampled = warp.resample(poses, positions)
    assert resampled.dtype == np.float64
    np.testing.assert_array_equal(resampled, warp.resample(poses.astype(np.float64), positions))


@pytest.mark.parametrize("count", [2, 3, 40])
def test_poses_are_read_by_a_cubic_hermite_spline_of_central_differences(count):
    poses = np.random.default_rng(0).normal(size=(count, 14, 3))
    positions = np.r_[np.random.default_rng(1).uniform(-1, count, 100), np.arange(count)]
    spline = CubicHermiteSpline(np.arange(count), poses, np.gradient(poses, axis=0))
    expected = spline(np.clip(positions, 0, count - 1))
    np.testing.assert_allclose(warp.resample(poses, positions), expected, atol=1e-12)
