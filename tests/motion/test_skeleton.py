"""Inverse kinematics: forward kinematics of its angles gives the body back, and nothing spins or jumps."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from d2m.data.builtin import dancers, moves
from d2m.motion import pose, skeleton

SIDES = (("Left", 1), ("Right", -1))


def there_and_back(poses: np.ndarray) -> np.ndarray:
    return skeleton.from_angles(*skeleton.to_angles(poses))


def danced(style: str) -> np.ndarray:
    return dancers.dance(style, np.arange(0.3, 30, 0.5), 4, 30.0, seed=1)[0].astype(np.float64)


def angles_of(poses: np.ndarray, name: str) -> np.ndarray:
    """(T, 3) degrees about z, x, y of a joint of the skeleton."""
    return skeleton.to_angles(poses)[1][:, skeleton.NUMBERS[name]]


@pytest.fixture
def rest() -> np.ndarray:
    """Two frames of the body at rest: upright, arms spread, facing +z (2, 14, 3)."""
    joints = skeleton.from_angles(np.array([[0.0, 0.93, 0.0]] * 2), np.zeros((2, len(skeleton.SKELETON), 3)))
    np.testing.assert_allclose(pose.bone_lengths(joints), np.tile(pose.BONE_LENGTHS, (2, 1)), atol=1e-12)
    return joints


def with_bone(rest: np.ndarray, start: int, end: int, direction) -> np.ndarray:
    """The body at rest, its bone from `start` to `end` pointing elsewhere and moving the joints below it."""
    moved = rest.copy()
    follows = range(end, {2: 5, 5: 8, 8: 11, 11: 14}[start - (start - 2) % 3])
    length = np.linalg.norm(rest[0, end] - rest[0, start])
    unit = np.array(direction, dtype=float) / np.linalg.norm(direction)
    moved[:, list(follows)] += rest[:, [start]] + length * unit - rest[:, [end]]
    return moved


def test_forward_kinematics_gives_any_poses_back():
    poses = pose.fit_bones(np.random.default_rng(0).normal(size=(500, 14, 3)))
    np.testing.assert_allclose(there_and_back(poses), poses, atol=1e-6)


def test_the_rest_pose_is_no_rotation_and_where_everyone_expects_it(rest):
    place, angles = skeleton.to_angles(rest)
    np.testing.assert_allclose(place, [[0, 0.93, 0]] * 2, atol=1e-12)
    np.testing.assert_allclose(angles, 0, atol=1e-9)
    assert np.allclose(pose.yaw(rest), 0) and np.allclose(rest[0, pose.L_WRIST], [0.71, 1.43, 0])
    assert (rest[:, pose.NOSE, 2] > 0).all()


def test_a_body_that_turns_or_walks_as_a_whole_turns_at_the_root_alone(rest):
    turned = pose.turn(rest, np.radians(70.0)) + np.array([1.0, 0.0, -2.0])
    place, angles = skeleton.to_angles(turned)
    np.testing.assert_allclose(angles[:, 0], [[0, 0, 70]] * 2, atol=1e-9)
    np.testing.assert_allclose(angles[:, 1:], 0, atol=1e-9)
    np.testing.assert_allclose(place, [[1, 0.93, -2]] * 2, atol=1e-12)


@pytest.mark.parametrize(("side", "x"), SIDES)
def test_a_knee_bends_back_about_its_hinge_and_an_elbow_forward(rest, side, x):
    hip, shoulder = (pose.L_HIP, pose.L_SHOULDER) if x > 0 else (pose.R_HIP, pose.R_SHOULDER)
    kneeling = with_bone(rest, hip + 1, hip + 2, (0, 0, -1))
    np.testing.assert_allclose(angles_of(kneeling, f"{side}Leg"), [[0, 90, 0]] * 2, atol=1e-6)
    np.testing.assert_allclose(angles_of(kneeling, f"{side}UpLeg"), 0, atol=1e-6)
    hugging = with_bone(rest, shoulder + 1, shoulder + 2, (0, 0, 1))
    np.testing.assert_allclose(angles_of(hugging, f"{side}ForeArm"), [[0, 0, -x * 90]] * 2, atol=1e-6)
    np.testing.assert_allclose(angles_of(hugging, f"{side}Arm"), 0, atol=1e-6)


@pytest.mark.parametrize(("side", "x"), SIDES)
def test_a_limb_that_hangs_down_is_turned_the_shortest_way(rest, side, x):
    shoulder = pose.L_SHOULDER if x > 0 else pose.R_SHOULDER
    upper = with_bone(rest, shoulder, shoulder + 1, (0, -1, 0))
    hanging = with_bone(upper, shoulder + 1, shoulder + 2, (0, -1, 0))
    np.testing.assert_allclose(angles_of(hanging, f"{side}Arm"), [[-x * 90, 0, 0]] * 2, atol=1e-6)
    np.testing.assert_allclose(angles_of(hanging, f"{side}ForeArm"), 0, atol=1e-6)


def test_a_thigh_turns_about_itself_so_that_its_knee_bends_as_knees_do(rest):
    # The calf points aside, by as much as a knee can be bent: the thigh meets it half-way.
    aside = with_bone(rest, pose.L_KNEE, pose.L_ANKLE, (1, -1, 0))
    np.testing.assert_allclose(angles_of(aside, "LeftUpLeg"), [[0, 0, -45]] * 2, atol=1e-6)
    # It points a little aside, too little to tell noise from a bend.
    hardly = with_bone(rest, pose.L_KNEE, pose.L_ANKLE, (0.03, -1, 0))
    assert np.abs(angles_of(hardly, "LeftUpLeg")).max() < 1


def test_angles_do_not_jump_where_a_body_turns_round_and_round(rest):
    spun = pose.turn(np.repeat(rest[:1], 100, axis=0), np.linspace(0, 6 * np.pi, 100)[:, None])
    angles = skeleton.to_angles(spun)[1]
    np.testing.assert_allclose(angles[:, 0, 2], np.linspace(0, 1080, 100), atol=1e-6)
    np.testing.assert_allclose(angles[:, 1:], 0, atol=1e-6)


def test_unwrapped_angles_are_the_same_rotations_and_go_on_from_each_other():
    smooth = np.cumsum(np.random.default_rng(0).uniform(-9, 9, (300, 4, 3)), axis=0)
    rotations = Rotation.from_euler(skeleton.ORDER, smooth.reshape(-1, 3), degrees=True)
    wrapped = rotations.as_euler(skeleton.ORDER, degrees=True).reshape(smooth.shape)
    assert np.abs(np.diff(wrapped, axis=0)).max() > 170
    unwrapped = skeleton.unwrap(wrapped)
    same = Rotation.from_euler(skeleton.ORDER, unwrapped.reshape(-1, 3), degrees=True)
    assert (rotations.inv() * same).magnitude().max() < 1e-6
    assert np.abs(np.diff(unwrapped, axis=0)).max() < 9 + 1e-6


@pytest.mark.parametrize("style", moves.STYLES)
def test_a_bone_turns_about_itself_no_faster_than_limbs_move(style):
    frames = skeleton.joint_frames(danced(style))
    for side, _ in SIDES:
        for part in ("UpLeg", "Leg", "Arm", "ForeArm"):
            turned = Rotation.from_matrix(np.swapaxes(frames[side + part][:-1], 1, 2) @ frames[side + part][1:])
            # A bone that flips is turned by 180 degrees; these dancers' fastest arms do 110 in a frame.
            assert np.degrees(turned.magnitude()).max() < 130


def test_a_body_folded_onto_itself_is_solved_without_a_word(rest, recwarn):
    folded = with_bone(rest, pose.L_SHOULDER, pose.L_ELBOW, (-1, 0, 0))  # an arm through the trunk: half a turn
    folded[:, pose.NECK] = pose.pelvis(folded) + np.array([0.5, 0, 0])  # a trunk along the line of the hips
    folded = pose.fit_bones(folded)
    np.testing.assert_allclose(there_and_back(folded), folded, atol=1e-6)
    assert len(recwarn) == 0
