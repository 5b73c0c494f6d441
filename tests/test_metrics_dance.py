"""metrics, of one dance: perfect is 1, nothing is 0, and every measure of beats, seams and bodies knows its unit."""

import mir_eval
import numpy as np
import pytest

from d2m import metrics, pose, units
from d2m.clock import FPS, frame_times
from d2m.errors import D2MError

MUSIC = 0.5 * np.arange(1, 40)  # seconds


def stepping(steps: np.ndarray) -> np.ndarray:
    """A rigid body that goes along x by `steps` (T - 1,) metres: poses (T, 14, 3)."""
    poses = np.tile(np.random.default_rng(0).normal(size=(14, 3)), (len(steps) + 1, 1, 1))
    poses[..., 0] += np.r_[0, np.cumsum(steps)][:, None]
    return poses


def walk(frames: int = 300) -> np.ndarray:
    """It walks 1 m/s."""
    return stepping(np.full(frames - 1, 1 / FPS))


@pytest.mark.parametrize(("shift_s", "found"), [(0.0, 1.0), (0.06, 1.0), (-0.06, 1.0), (0.08, 0.0), (0.25, 0.0)])
def test_beats_hit_within_the_tolerance_of_70_ms_and_not_beyond(shift_s, found):
    assert metrics.hits(MUSIC, MUSIC + shift_s).tolist() == [bool(found)] * len(MUSIC)
    assert metrics.beat_f1(MUSIC, MUSIC + shift_s) == found


@pytest.mark.parametrize("music", [1, 2, 3, 40])
def test_hits_and_f1_are_those_of_every_pair_and_of_mir_eval(music):
    rng = np.random.default_rng(music)
    music, kinematic = np.sort(rng.uniform(1, 9, music)), np.sort(rng.uniform(0, 10, 60))
    nearest = np.abs(kinematic[:, None] - music).min(axis=1)
    np.testing.assert_array_equal(metrics.hits(music, kinematic), nearest <= 0.07)
    assert metrics.beat_f1(music, kinematic) == mir_eval.beat.f_measure(music, kinematic)  # whose default is 70 ms


def test_coverage_counts_beats_and_nothing_is_zero():
    assert metrics.beat_coverage(MUSIC, MUSIC) == 1
    assert metrics.beat_coverage(MUSIC[:10], MUSIC[:4]) == 0.4
    assert metrics.beat_coverage(MUSIC, []) == metrics.beat_f1(MUSIC, []) == metrics.beat_f1([], MUSIC) == 0
    assert metrics.hits([], MUSIC).tolist() == [False] * len(MUSIC) and len(metrics.hits(MUSIC, [])) == 0
    with pytest.raises(D2MError, match="the music has no beats"):
        metrics.beat_coverage([], MUSIC)


def test_beats_at_seams_are_within_a_quarter_of_a_beat_of_one():
    assert metrics.at_seams([2.0], [1.86, 1.88, 2.0, 2.12, 2.14], MUSIC).tolist() == [False, True, True, True, False]
    with pytest.raises(D2MError, match="1 beats; expected two"):
        metrics.at_seams([2.0], [1.0], [1.0])


def test_bones_of_a_rigid_body_do_not_vary_and_of_a_breathing_one_as_it_breathes():
    assert metrics.bone_variation(walk()) == pytest.approx(0, abs=1e-12)
    breath = 1 + 0.1 * np.sin(2 * np.pi * np.arange(300) / 50)  # six whole breaths
    assert metrics.bone_variation(walk() * breath[:, None, None]) == pytest.approx(0.1 / 2**0.5, rel=1e-9)


@pytest.mark.parametrize(
    ("heights_m", "speeds", "found"),
    [((0, 0), (0, 0), 0), ((0, 0), (0.6, 0), 0.3), ((0.1, 0), (0.6, 0.2), 0.2), ((0.1, 0.1), (1, 1), 0)],
)
def test_feet_slide_as_fast_as_those_that_stand_move(heights_m, speeds, found):
    poses = np.zeros((60, 14, 3))
    for ankle, height, speed in zip((pose.R_ANKLE, pose.L_ANKLE), heights_m, speeds, strict=True):
        poses[:, ankle] = frame_times(60)[:, None] * speed * np.array([0.6, 0, 0.8])
        poses[:, ankle, 1] += pose.ANKLE_HEIGHT + height
    assert metrics.foot_sliding(poses) == pytest.approx(found, abs=1e-9)


def test_a_foot_does_not_slide_while_it_is_lifted_moved_and_set_down():
    poses = np.zeros((60, 14, 3))
    poses[:, pose.L_ANKLE, 1] = 1.0  # the other foot is never down
    poses[:, pose.R_ANKLE, 0] = np.clip((np.arange(60) - 20) * 0.05, 0, 1)  # 1 m, from frame 20 to frame 40
    poses[21:40, pose.R_ANKLE, 1] = pose.ANKLE_HEIGHT + 0.1
    assert metrics.foot_sliding(poses) == 0


@pytest.mark.parametrize(("frozen", "share"), [(0, 0.0), (75, 0.25), (300, 1.0)])
def test_freeze_share_is_that_of_the_frames_that_stand(frozen, share):
    poses = walk(301)
    poses[: frozen + 1] = poses[frozen]
    assert metrics.joint_speed(poses)[frozen:] == pytest.approx(1.0)
    assert metrics.freeze_share(poses, 0.5) == pytest.approx(share)


BEGINS = np.array([32, 64, 96])  # frames with the first pose of a movement


@pytest.mark.parametrize("before", [0.0, 0.4])  # frames: a movement begins on a frame, or between it and the one before
@pytest.mark.parametrize("factor", [0.0, 1.0, 3.0])
def test_a_jump_is_the_step_to_the_first_pose_of_a_movement_over_the_others(factor, before):
    steps = np.full(127, 0.1)
    steps[BEGINS - 1] *= factor  # from the last pose of a movement to the first of the next
    assert metrics.boundary_jump(stepping(steps), (BEGINS - before) / FPS) == pytest.approx(factor, abs=1e-9)


@pytest.mark.parametrize("before", [0.0, 0.4])
def test_a_jump_of_velocity_is_the_change_on_the_way_into_a_movement_over_the_others(before):
    steps = 0.10 + 0.01 * (np.arange(127) % 2)  # accelerations of 0.01 everywhere
    for begin in BEGINS:
        steps[begin - 1 :] += 0.05  # and of 0.06 here
    found = metrics.boundary_jump(stepping(steps), (BEGINS - before) / FPS, order=2)
    assert found == pytest.approx(6, rel=1e-9)


@pytest.mark.parametrize("tempo", [84, 100, 112.5, 120, 138])
def test_a_pose_shown_twice_is_seen_at_every_tempo(tempo):
    steps = np.where(np.arange(32 * 40 - 1) % 32 == 31, 0.0, 0.1)  # in beat time: no step from a movement to the next
    found = []
    for phase in np.arange(8) / 8:  # of a frame
        beats_s = 0.3 + phase / FPS + 60 / tempo * np.arange(160)
        poses = units.from_beat_time(stepping(steps), beats_s, frame_times(int(beats_s[-4] * FPS)), first=3)
        begins_s = np.interp(np.arange(1, 38) * 4 - 3 / 8, np.arange(160), beats_s)
        found.append(metrics.boundary_jump(poses, begins_s))
    # Frames and poses do not fall together, so the step at a seam is not quite 0; but it is nearer to 0 than to 1.
    assert max(found) < 0.5


@pytest.mark.parametrize(("poses", "seams_s"), [(walk(), []), (walk(), [99.0]), (np.zeros((50, 14, 3)), [1.0])])
def test_a_jump_without_seams_or_movement_is_refused(poses, seams_s):
    with pytest.raises(D2MError, match="seams inside a dance that moves"):
        metrics.boundary_jump(poses, seams_s)
