"""clock: seconds and frames are one another's inverse, a song has as many frames as times, and times increase."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from made_up import QUICK

from d2m import clock


@pytest.mark.parametrize("fps", [15.0, 29.97, 60.0])
def test_seconds_and_frames_are_inverse(fps):
    seconds = np.linspace(-2, 10_800, 1001)
    # One multiplication and one division: two roundings of at most 2^-53 each.
    np.testing.assert_allclose(clock.to_seconds(clock.to_frames(seconds, fps), fps), seconds, rtol=3e-16)


def test_frames_are_fractional_and_times_of_frames_are_exact():
    assert clock.to_frames(0.5) == 7.5 and clock.to_seconds(7.5) == 0.5
    assert clock.to_seconds(np.array([0, 15, 30], dtype=np.int32)).tolist() == [0.0, 1.0, 2.0]
    assert clock.frame_times(4, fps=4.0).tolist() == [0.0, 0.25, 0.5, 0.75] and clock.frame_times(0).shape == (0,)


@pytest.mark.parametrize(
    ("duration_s", "fps", "count"),
    [(1.0, 15.0, 15), (1.01, 15.0, 16), (0.0, 15.0, 1), (1 / 15, 15.0, 1), (180.0, 15.0, 2700), (4 / 3, 30.0, 40)],
)
def test_frame_count_is_of_the_times_below_the_duration(duration_s, fps, count):
    assert clock.frame_count(duration_s, fps) == count


@pytest.mark.parametrize("count", [1, 31, 125, 250, 631, 162_000])  # 31 / 15 * 15 comes out above 31, 250 too
@pytest.mark.parametrize("fps", [15.0, 24.0, 29.97])
def test_frame_count_of_whole_frames_is_not_moved_by_rounding(count, fps):
    assert clock.frame_count(float(clock.to_seconds(count, fps)), fps) == count


def test_every_frame_holds_the_same_number_of_samples():
    assert clock.samples_per_frame() == 1470  # 22050 / 15, exactly
    assert clock.samples_per_frame() * clock.FPS == clock.SAMPLE_RATE
    assert clock.samples_per_frame(44100, 30.0) == 1470


def test_a_span_holds_its_begin_and_not_its_end():
    times_s = np.array([-0.5, 0.0, 1.0, 2.5, 3.0])
    assert clock.within(times_s, 0.0, 3.0).tolist() == [0.0, 1.0, 2.5]
    assert np.concatenate([clock.within(times_s, -1, 1), clock.within(times_s, 1, 4)]).tolist() == times_s.tolist()


@QUICK
@given(values=arrays.arrays(arrays.scalar_dtypes(), arrays.array_shapes(min_dims=0, max_dims=2, min_side=0)))
def test_times_are_finite_numbers_that_increase(values):
    if clock.are_times(values):
        numbers = values.tolist()
        assert values.ndim == 1 and all(early < late for early, late in itertools.pairwise(numbers))
        assert all(abs(value) < float("inf") for value in numbers)


@QUICK
@given(values=st.lists(st.floats(-1e9, 1e9), unique=True))
def test_increasing_numbers_are_times(values):
    assert clock.are_times(np.array(sorted(values), dtype=np.float64))


@pytest.mark.parametrize("values", [np.array([3, 2], np.uint8), np.zeros(2), np.array([0, np.nan]), np.zeros((1, 1))])
def test_what_does_not_increase_or_is_no_list_of_numbers_is_not_times(values):
    assert not clock.are_times(values)  # 2 - 3 would be 255 in the first
