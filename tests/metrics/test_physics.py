"""physics: a rigid body has rigid bones, a foot that stands does not slide, and every measure knows its unit."""

import numpy as np
import pytest

from d2m.clock import FPS, frame_times
from d2m.errors import D2MError, PoseError
from d2m.metrics import physics
from d2m.motion import pose, units

FEET = (pose.R_ANKLE, pose.L_ANKLE)
HIPS = (pose.R_HIP, pose.L_HIP)


def stepping(steps: np.ndarray) -> np.ndarray:
    """A rigid body that goes along x by `steps` (T - 1,) metres: poses (T, 14, 3)."""
    poses = np.tile(np.random.default_rng(0).normal(size=(14, 3)), (len(steps) + 1, 1, 1))
    poses[..., 0] += np.r_[0, np.cumsum(steps)][:, None]
    return poses


def walk(frames: int = 300) -> np.ndarray:
    """It walks 1 m/s."""
    return stepping(np.full(frames - 1, 1 / FPS))


def driven(hips: np.ndarray, feet: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """A body whose hips and right and left ankle go by these paths (T, 3), 20 cm apart: poses (T, 14, 3)."""
    poses = np.zeros((len(hips), 14, 3))
    for joint, side in zip(HIPS, (-0.1, 0.1), strict=True):
        poses[:, joint] = hips + np.array([side, 0.9, 0])
    for joint, path in zip(FEET, feet, strict=True):
        poses[:, joint] = path
    return poses


def speeding(rate=(3.0, 0, 4.0), right=(0.3, 0, 0.4), left=(0, 0, 2.0), frames: int = 40, fps: float = FPS):
    """Hips that speed up at `rate` m/s^2, and ankles that go at `right` and `left` m/s."""
    times_s = frame_times(frames, fps)[:, None]
    return driven(np.array(rate) * times_s**2 / 2, (np.array(right) * times_s, np.array(left) * times_s))


def restless(frames: int = 50) -> np.ndarray:
    return np.random.default_rng(1).normal(size=(frames, 14, 3)).cumsum(axis=0) * 0.02


def test_bones_of_a_rigid_body_do_not_vary_and_of_a_breathing_one_as_it_breathes():
    assert physics.bone_variation(walk()) == pytest.approx(0, abs=1e-12)
    breath = 1 + 0.1 * np.sin(2 * np.pi * np.arange(300) / 50)  # six whole breaths
    assert physics.bone_variation(walk() * breath[:, None, None]) == pytest.approx(0.1 / 2**0.5, rel=1e-9)


def test_one_bone_that_varies_weighs_as_one_of_twelve():
    poses = np.tile(np.random.default_rng(0).normal(size=(14, 3)), (4, 1, 1))
    shin = poses[0, pose.R_ANKLE] - poses[0, pose.R_KNEE]
    poses[1::2, pose.R_ANKLE] += 0.5 * shin  # lengths 1 and 1.5: deviation 0.25, mean 1.25
    assert physics.bone_variation(poses) == pytest.approx(0.2 / 12, rel=1e-9)


@pytest.mark.parametrize(
    ("heights_m", "speeds", "expected"),
    [((0, 0), (0, 0), 0), ((0, 0), (0.6, 0), 0.3), ((0.1, 0), (0.6, 0.2), 0.2), ((0.1, 0.1), (1, 1), 0)],
)
def test_feet_slide_as_fast_as_those_that_stand_move(heights_m, speeds, expected):
    poses = np.zeros((60, 14, 3))
    for ankle, height, speed in zip(FEET, heights_m, speeds, strict=True):
        poses[:, ankle] = frame_times(60)[:, None] * speed * np.array([0.6, 0, 0.8])
        poses[:, ankle, 1] += pose.ANKLE_HEIGHT + height
    assert physics.foot_sliding(poses) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(("height_m", "expected"), [(0.029, 1.0), (0.031, 0.0)])
def test_a_foot_stands_while_it_is_lower_than_3_cm_above_the_floor(height_m, expected):
    poses = np.zeros((60, 14, 3))
    for ankle in FEET:
        poses[:, ankle, 0], poses[:, ankle, 1] = frame_times(60), pose.ANKLE_HEIGHT + height_m
    assert physics.foot_sliding(poses) == pytest.approx(expected, abs=1e-9)


def test_a_foot_that_stands_slides_along_the_floor_alone():
    poses = np.zeros((60, 14, 3))
    poses[:, FEET, 1] = pose.ANKLE_HEIGHT - 0.02 * (np.arange(60) % 2)[:, None]  # up and down, 0.3 m/s
    poses[:, FEET, 2] = 0.5 * frame_times(60)[:, None]
    assert physics.foot_sliding(poses) == pytest.approx(0.5, rel=1e-9)
    assert physics.foot_sliding(poses, 2 * FPS) == pytest.approx(1.0, rel=1e-9)


def test_a_foot_does_not_slide_while_it_is_lifted_moved_and_set_down():
    poses = np.zeros((60, 14, 3))
    poses[:, pose.L_ANKLE, 1] = 1.0  # the other foot is never down
    poses[:, pose.R_ANKLE, 0] = np.clip((np.arange(60) - 20) * 0.05, 0, 1)  # 1 m, from frame 20 to frame 40
    poses[21:40, pose.R_ANKLE, 1] = pose.ANKLE_HEIGHT + 0.1
    assert physics.foot_sliding(poses) == 0


@pytest.mark.parametrize("rate", [(3.0, 0, 4.0), (0, 0.1, 0)])
def test_foot_contact_of_hips_that_speed_up_evenly_is_the_product_of_the_speeds_of_the_feet(rate):
    # Every frame pushes as hard as the hardest; the feet go at 0.5 and 2 m/s.
    assert physics.foot_contact(speeding(rate)) == pytest.approx(0.5 * 2, rel=1e-9)


@pytest.mark.parametrize(("right", "left"), [((0, 0, 0), (0, 0, 2.0)), ((3.0, 0, 0), (0, 0, 0))])
def test_foot_contact_is_zero_while_either_foot_stands(right, left):
    assert physics.foot_contact(speeding(right=right, left=left)) == 0


def test_foot_contact_of_one_push_among_many_frames_is_its_share():
    hips = np.zeros((42, 3))
    hips[21:, 0] = 0.1 * np.arange(1, 22)  # it stands until frame 20, and goes on evenly: one of 40 accelerations
    feet = np.array([1.0, 0, 0]) * frame_times(42)[:, None]
    assert physics.foot_contact(driven(hips, (feet, feet))) == pytest.approx(1 / 40, rel=1e-9)
    landed = feet.copy()
    landed[21:] = landed[20]  # a foot that stands from the frame of the push on bears it
    assert physics.foot_contact(driven(hips, (feet, landed))) == pytest.approx(0, abs=1e-10)  # rounding is 1e-13


def test_a_body_that_falls_needs_no_foot_and_one_that_rises_does():
    assert physics.foot_contact(speeding(rate=(0, -9.81, 0))) == 0
    assert physics.foot_contact(speeding(rate=(0, 9.81, 0))) == pytest.approx(1, rel=1e-9)


def test_foot_contact_is_the_published_formula():
    poses = restless()
    hips = (poses[:, pose.R_HIP] + poses[:, pose.L_HIP]) / 2
    pushes, scores = [], []
    for now in range(1, 49):
        x, y, z = (hips[now + 1] - 2 * hips[now] + hips[now - 1]) * FPS**2
        pushes.append((x**2 + max(y, 0) ** 2 + z**2) ** 0.5)
        right, left = (np.linalg.norm((poses[now + 1, foot] - poses[now, foot])[::2]) * FPS for foot in FEET)
        scores.append(pushes[-1] * right * left)
    expected = sum(scores) / (48 * max(pushes))
    assert physics.foot_contact(poses) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("fps", [15.0, 30.0, 60.0])
def test_foot_contact_and_joint_speed_are_the_same_at_every_frame_rate(fps):
    assert physics.foot_contact(speeding(fps=fps), fps) == pytest.approx(1, rel=1e-9)
    rate = stepping(np.full(20, 1 / fps))
    np.testing.assert_allclose(physics.joint_speed(rate, fps), 1, rtol=1e-9)
    rate[:, 1:] = 0  # one joint of 14 moves
    np.testing.assert_allclose(physics.joint_speed(rate, fps), [1 / 14] * 20, rtol=1e-9)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_foot_contact_of_the_mean_pose_and_of_one_that_slides_evenly_is_zero(dtype):
    poses = np.tile(restless().mean(axis=0), (300, 1, 1))
    assert physics.foot_contact(poses.astype(dtype)) == 0
    # Hips that go evenly do not speed up: what rounding makes of them is no push.
    assert physics.foot_contact(walk().astype(dtype)) == 0


@pytest.mark.parametrize(("frozen", "share"), [(0, 0.0), (75, 0.25), (300, 1.0)])
def test_freeze_share_is_that_of_the_frames_that_stand(frozen, share):
    poses = walk(301)
    poses[: frozen + 1] = poses[frozen]
    assert physics.joint_speed(poses)[frozen:] == pytest.approx(1.0)
    assert physics.freeze_share(poses, 0.5) == pytest.approx(share)
    assert physics.freeze_share(poses, 0.0) == pytest.approx(share)  # as fast as the threshold is frozen


@pytest.mark.parametrize(("threshold", "share"), [(0.99, 0.0), (1.01, 1.0), (1.99, 1.0)])
def test_freeze_share_takes_its_threshold_in_metres_a_second(threshold, share):
    assert physics.freeze_share(walk(), threshold) == share
    assert physics.freeze_share(walk(), threshold, 2 * FPS) == float(threshold >= 2)


BEGINS = np.array([32, 64, 96])  # frames with the first pose of a movement


@pytest.mark.parametrize("before", [0.0, 0.4])  # frames: a movement begins on a frame, or between it and the one before
@pytest.mark.parametrize("factor", [0.0, 1.0, 3.0])
def test_a_jump_is_the_step_to_the_first_pose_of_a_movement_over_the_others(factor, before):
    steps = np.full(127, 0.1)
    steps[BEGINS - 1] *= factor  # from the last pose of a movement to the first of the next
    assert physics.boundary_jump(stepping(steps), (BEGINS - before) / FPS) == pytest.approx(factor, abs=1e-9)


@pytest.mark.parametrize("tempo", [84, 100, 112.5, 120, 138])
def test_a_pose_shown_twice_is_seen_at_every_tempo(tempo):
    steps = np.where(np.arange(32 * 40 - 1) % 32 == 31, 0.0, 0.1)  # in beat time: no step from a movement to the next
    jumps = []
    for phase in np.arange(8) / 8:  # of a frame
        beats_s = 0.3 + phase / FPS + 60 / tempo * np.arange(160)
        poses = units.from_beat_time(stepping(steps), beats_s, frame_times(int(beats_s[-4] * FPS)), first=3)
        begins_s = np.interp(np.arange(1, 38) * 4 - 3 / 8, np.arange(160), beats_s)
        jumps.append(physics.boundary_jump(poses, begins_s))
    # Frames and poses do not fall together, so the step at a seam is not quite 0; but it is nearer to 0 than to 1.
    assert max(jumps) < 0.5


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("fps", [FPS, 30.0])
def test_a_jump_is_the_mean_step_of_the_joints_at_seams_over_the_median_of_the_others(order, fps):
    poses, begins = restless(), (5, 18, 33)
    change = lambda now: poses[now] - poses[now - 1] if order == 1 else poses[now] - 2 * poses[now - 1] + poses[now - 2]  # noqa: E731
    steps = {now: np.mean([np.linalg.norm(joint) for joint in change(now)]) for now in range(order, 50)}
    others = [step for now, step in steps.items() if now not in begins]
    expected = np.mean([steps[now] for now in begins]) / np.median(others)
    outside_s = (-2.0, 0.0, 50 / fps, 99.0)  # no step of the dance leads there
    jump = physics.boundary_jump(poses, (*(np.array(begins) / fps), *outside_s), fps, order)
    assert jump == pytest.approx(expected, rel=1e-9)
    assert physics.boundary_jump(poses, [order / fps], fps, order) == pytest.approx(
        steps.pop(order) / np.median(list(steps.values())), rel=1e-9
    )
    assert physics.boundary_jump(poses, [49 / fps], fps, order) > 0  # the last step


@pytest.mark.parametrize(
    ("poses", "seams_s"),
    [
        (walk(), []), (walk(), [99.0]), (walk(), [0.0]), (np.zeros((50, 14, 3)), [1.0]),
        (walk(4), [1 / FPS, 2 / FPS, 3 / FPS]),  # seams alone
        (stepping(np.r_[np.zeros(30), np.full(10, 0.1)]), [35 / FPS]),  # it stands for most of the time
    ],
)  # fmt: skip
def test_a_jump_without_seams_or_movement_is_refused(poses, seams_s):
    with pytest.raises(D2MError, match=r"^a jump cannot be measured; expected seams inside a dance that moves\.$"):
        physics.boundary_jump(poses, seams_s)


BODIES = [
    physics.bone_variation, physics.foot_sliding, physics.foot_contact, physics.joint_speed,
    lambda poses: physics.freeze_share(poses, 0.1),
]  # fmt: skip


@pytest.mark.parametrize("measure", BODIES)
def test_the_fewest_poses_are_enough_and_what_is_no_dance_is_refused(measure):
    assert np.all(np.isfinite(measure(walk(3 if measure is physics.foot_contact else 2))))
    hole = walk(3)
    hole[1, 4, 2] = np.nan
    with pytest.raises(PoseError, match="not finite in frame 1"):
        measure(hole)
    for wrong in (walk(3)[:1], walk(3)[:, :13], walk(3)[0]):
        with pytest.raises(PoseError, match="have shape"):
            measure(wrong)


def test_hips_that_speed_up_less_than_rounding_does_push_nobody():
    at = lambda rate: physics.foot_contact(speeding((rate, 0, 0)))  # noqa: E731
    assert at(0.99e-3) == 0 and at(1.01e-3) == pytest.approx(1, rel=1e-6)


def test_two_poses_have_no_acceleration():
    with pytest.raises(D2MError, match="there are 2 poses; expected at least 3"):
        physics.foot_contact(walk(2))
