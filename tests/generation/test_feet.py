"""Planted feet stay, fast and lifted ones go on, and the body keeps its poses."""

import numpy as np
import pytest
from toys import music_of

from d2m.clock import frame_times
from d2m.generation import beat_warp, generate
from d2m.generation.beat_warp import plant
from d2m.metrics.physics import STANDING_M, foot_sliding
from d2m.motion import pose

FEET = (pose.R_ANKLE, pose.L_ANKLE)


def gliding(speeds, heights_m, frames: int = 60) -> np.ndarray:
    """A body at rest but for its ankles, which move along x at `speeds` m/s, `heights_m` above a standing ankle."""
    poses = np.zeros((frames, 14, 3))
    poses[..., 1] = 1.0
    for ankle, speed, height in zip(FEET, speeds, heights_m, strict=True):
        poses[:, ankle, 0] = speed * frame_times(frames)
        poses[:, ankle, 1] = pose.ANKLE_HEIGHT + height
    return poses


@pytest.mark.parametrize(
    ("speeds", "heights_m", "remaining"),
    [
        ((0.1, 0.1), (0.0, 0.0), 0.004),  # both slide together: exp(-0.04) of the speed is removed
        ((0.1, 3.0), (0.0, 0.3), 0.01),  # one stands, the other swings
        ((2.0, 2.0), (0.0, 0.0), 2.0),  # a fast glide is part of the dance
        ((0.1, 0.1), (0.2, 0.2), 0.1),  # no foot on the floor
    ],
)
def test_slow_feet_on_the_floor_stay_and_others_go_on(speeds, heights_m, remaining):
    poses = gliding(speeds, heights_m)
    moved = plant(poses, frame_times(60))
    velocity = np.diff(moved[:, pose.R_ANKLE, 0]) * 15
    assert velocity == pytest.approx(remaining, abs=0.006)
    np.testing.assert_allclose(moved - moved[:, :1], poses - poses[:, :1], atol=1e-12)  # no pose changes
    np.testing.assert_array_equal(moved[0], poses[0])
    np.testing.assert_array_equal(moved[..., 1], poses[..., 1])


def test_speeds_are_measured_in_the_given_times():
    slow = gliding((0.2, 0.2), (0.0, 0.0))
    same = plant(slow, frame_times(60))
    fast = plant(slow, frame_times(60) / 10)  # the same path at 2 m/s
    assert abs(same[-1, pose.R_ANKLE, 0]) < 0.2 and fast[-1, pose.R_ANKLE, 0] > 0.75


def test_a_foot_is_the_less_planted_the_higher_it_is():
    remaining_m = [
        np.ptp(plant(gliding((0.1, 0.1), (height, height)), frame_times(60))[:, pose.R_ANKLE, 0])
        for height in (0.0, STANDING_M - 0.01, STANDING_M, STANDING_M + 0.01, 0.1)
    ]
    assert remaining_m == sorted(remaining_m) and remaining_m[0] < 0.15 * remaining_m[-1]


def test_a_planted_generated_dance_slides_less(dancer, monkeypatch):
    music = music_of(np.arange(0.0, 20.0, 0.5), 20.0)
    (planted,) = generate.dance_to(dancer, music, None)
    monkeypatch.setattr(beat_warp, "plant", lambda rows, times_s: rows)
    (glides,) = generate.dance_to(dancer, music, None)
    assert foot_sliding(planted.poses) < foot_sliding(glides.poses)
