"""clock: seconds and frames are one another's inverse, and a song has as many frames as it has times."""

import numpy as np
import pytest

from d2m import clock


@pytest.mark.parametrize("fps", [15.0, 29.97, 60.0])
def test_seconds_and_frames_are_inverse(fps):
    seconds = np.linspace(-2, 10_800, 1001)
    # One multiplication and one division: two roundings of at most 2^-53 each.
    np.testing.assert_allclose(clock.to_seconds(clock.to_frames(seconds, fps), fps), seconds, rtol=3e-16)


def test_frames_are_fractional_not_rounded():
    assert clock.to_frames(0.5) == 7.5
    assert clock.to_seconds(7.5) == 0.5


def test_integer_frames_become_exact_seconds():
    assert clock.to_seconds(np.array([0, 15, 30], dtype=np.int32)).tolist() == [0.0, 1.0, 2.0]


def test_frame_times_start_at_zero_and_step_by_one_frame():
    assert clock.frame_times(4, fps=4.0).tolist() == [0.0, 0.25, 0.5, 0.75]
    assert clock.frame_times(0).shape == (0,)


@pytest.mark.parametrize(
    ("duration_s", "fps", "count"),
    [
        (1.0, 15.0, 15),  # the frame at 1.0 s is no longer inside
        (1.01, 15.0, 16),  # and now it is
        (0.0, 15.0, 1),  # the frame at 0 is always there
        (1 / 15, 15.0, 1),
        (180.0, 15.0, 2700),
        (4 / 3, 30.0, 40),
    ],
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
