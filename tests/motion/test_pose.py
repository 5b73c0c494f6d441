"""pose: what a network sees can be turned back into where a body stood; one body, one floor, and no pose unseen."""

import numpy as np
import pytest
import torch

from d2m.data import retarget
from d2m.errors import PoseError
from d2m.motion import pose

DOWN = (0, -1, 0)
DIRECTIONS = np.array([(1, 0, 0), (0, 1, 0), (1, 0, 0), (0, 0.8, 0.6), *[DOWN] * 8])  # of the BONES, facing +z
BODY = pose.CHAIN_MATRIX @ (DIRECTIONS * pose.BONE_LENGTHS[:, None])
BODY[:, 1] += pose.ANKLE_HEIGHT - BODY[pose.R_ANKLE, 1]  # it stands on the floor
YAWS = np.linspace(0.4, 7.0, 40)  # more than a whole turn
WHERE = np.stack([np.linspace(-1, 2, 40), np.zeros(40), np.linspace(3, -2, 40)], axis=1)  # x, y, z


def dancer(dimensions: int = 3) -> np.ndarray:
    """Poses (40, 14, D) of a body that walks, turns and moves its limbs by some centimetres."""
    limbs = np.random.default_rng(0).normal(0, 0.02, (40, 14, 3))
    return (pose.turn(BODY + limbs, YAWS[:, None]) + WHERE[:, None])[..., :dimensions]


def place(poses: np.ndarray, origin: int) -> tuple[np.ndarray, float]:
    """Where the body stands (x and, in 3D, z) and faces in frame `origin`, as `from_features` takes it."""
    root = pose.pelvis(poses[origin])
    return root[::2], pose.yaw(poses)[origin] if poses.shape[2] == 3 else 0.0


@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize("origin", [0, 1, 17, -1])
def test_poses_come_back_from_their_features(dimensions, origin):
    poses = dancer(dimensions)
    features = pose.to_features(poses, origin)
    assert features.shape == (40, pose.feature_size(dimensions))
    np.testing.assert_allclose(pose.from_features(features, *place(poses, origin)), poses, atol=1e-12)
    elsewhere = pose.from_features(features, (-4.0, 5.0), 2.5)
    np.testing.assert_allclose(pose.to_features(elsewhere, origin), features, atol=1e-12)


def test_travel_and_facing_are_relative_to_where_the_body_stood_and_faced():
    # It faces +x, walks 2 m ahead and 0.5 m to its left (which is -z), and turns left by a right angle.
    poses = np.stack([pose.turn(BODY, np.pi / 2), pose.turn(BODY, np.pi) + np.array([2.0, 0, -0.5])])
    left_ahead_yaw = pose.to_features(poses, 0)[:, :3]
    np.testing.assert_allclose(left_ahead_yaw, [[0, 0, 0], [0.5, 2.0, np.pi / 2]], atol=1e-12)


@pytest.mark.parametrize("kind", [np.asarray, torch.from_numpy])
@pytest.mark.parametrize("dimensions", [2, 3])
def test_rebase_is_the_features_from_another_origin(dimensions, kind):
    poses = dancer(dimensions)
    before, expected = (
        np.stack([pose.to_features(poses, origin), pose.to_features(poses[::-1], origin)])  # a batch of two
        for origin in (2, 29)
    )
    features = kind(before.copy())
    rebased = pose.rebase(features, 29)
    assert type(rebased) is type(features)
    np.testing.assert_allclose(np.asarray(rebased), expected, atol=1e-12)
    np.testing.assert_array_equal(np.asarray(features), before)  # the argument is not changed


@pytest.mark.parametrize("dimensions", [2, 3])
def test_a_mirror_swaps_sides_and_its_mirror_image_is_the_dance(dimensions):
    poses = dancer(dimensions)
    mirrored = pose.mirror(poses)
    np.testing.assert_array_equal(pose.mirror(mirrored), poses)
    np.testing.assert_array_equal(mirrored[:, pose.L_WRIST], poses[:, pose.R_WRIST] * (-1, 1, 1)[:dimensions])
    if dimensions == 3:
        np.testing.assert_allclose(pose.yaw(mirrored), -pose.yaw(poses), atol=1e-12)


def test_yaw_of_a_turned_body_is_the_turn_unwrapped():
    np.testing.assert_allclose(pose.yaw(pose.turn(BODY, YAWS[:, None])), YAWS, atol=1e-12)


def test_yaw_holds_its_last_value_where_the_body_lies():
    poses = pose.turn(BODY, np.linspace(0, 1, 6)[:, None])
    poses[[0, 3, 4]] = BODY[:, [1, 0, 2]]  # upright: left and right are above one another, on no line across the floor
    np.testing.assert_allclose(pose.yaw(poses), [0, 0.2, 0.4, 0.4, 0.4, 1.0], atol=1e-12)


def test_fit_bones_gives_exact_lengths_and_keeps_pelvis_and_directions():
    joints = np.random.default_rng(1).normal(size=(50, 14, 3))
    fitted = pose.fit_bones(joints)
    # The guard against a bone of no length (1e-12 under the root) shortens the shortest bones here by some 1e-10.
    np.testing.assert_allclose(pose.bone_lengths(fitted), np.tile(pose.BONE_LENGTHS, (50, 1)), atol=1e-9)
    np.testing.assert_allclose(pose.pelvis(fitted), pose.pelvis(joints), atol=1e-12)
    cosines = (pose.BONE_MATRIX @ fitted * (pose.BONE_MATRIX @ joints)).sum(-1)
    np.testing.assert_allclose(cosines, pose.bone_lengths(fitted) * pose.bone_lengths(joints), atol=1e-9)


def test_fit_bones_of_tensors_is_that_of_arrays_and_has_gradients_even_without_length():
    joints = np.random.default_rng(2).normal(size=(5, 7, 14, 3))
    joints[0, 0] = 0  # all joints in one point
    tensor = torch.from_numpy(joints).requires_grad_()
    fitted = pose.fit_bones(tensor)
    np.testing.assert_allclose(fitted.detach().numpy(), pose.fit_bones(joints), atol=1e-12)
    fitted.sum().backward()
    assert torch.isfinite(tensor.grad).all()


@pytest.mark.parametrize(
    ("gap", "frames"), [(range(4, 12), range(4, 12)), (range(2), [2, 2]), (range(48, 50), [47, 47])]
)
def test_fill_draws_a_straight_line_and_holds_the_ends(gap, frames):
    poses = np.arange(50.0)[:, None, None] * np.ones((14, 3))  # all coordinates are the frame's number
    broken, expected = poses.copy(), poses.copy()
    broken[gap, pose.R_WRIST, 1] = np.nan  # one coordinate is enough
    expected[gap, pose.R_WRIST] = np.array(frames)[:, None]
    np.testing.assert_allclose(pose.fill(broken), expected, atol=1e-12)
    assert np.isnan(broken[gap, pose.R_WRIST, 1]).all()  # the argument is not changed


@pytest.mark.parametrize("missing", [range(9), range(0, 50, 4), range(50)])  # 9 in a row; 26 % of all; all
def test_fill_refuses_a_joint_that_is_missing_too_often_and_names_it(missing):
    poses = np.zeros((50, 14, 2))
    poses[list(missing), pose.L_KNEE] = np.nan
    with pytest.raises(PoseError, match=r"clip\.json miss the left knee .* 20% and 8"):
        pose.fill(poses, source="clip.json")


SHAPES = [(14, 3), (5, 13, 3), (5, 14, 4), (5, 3, 14), (1, 14, 3), (0, 14, 3), (5, 14), (2, 5, 14, 3)]
NOT_FINITE = [np.pad([[[value]]], ((3, 1), (2, 11), (1, 1))) for value in (np.nan, np.inf, -np.inf)]  # (5, 14, 3)


@pytest.mark.parametrize(("poses", "rule"), [
    (None, "have shape"), *((np.zeros(shape), "have shape") for shape in SHAPES),
    *((poses, "are not an array of numbers") for poses in ("a", [[1, 2], [3]], {"a": 1}, np.ones((5, 14, 3), complex))),
    *((poses, "not finite in frame 3") for poses in NOT_FINITE),
])  # fmt: skip
def test_validate_refuses_what_is_not_poses(poses, rule):
    with pytest.raises(PoseError, match=rf"clip\.npz .*{rule}"):
        pose.validate(poses, "clip.npz")


def test_validate_gives_float64_of_whatever_holds_numbers():
    poses = pose.validate(np.ones((2, 14, 2), dtype=np.float32).tolist())
    assert poses.dtype == np.float64 and poses.shape == (2, 14, 2)


@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize("size", [0.01, 1.3, 170.0])
def test_fit_body_brings_every_size_and_floor_to_the_one_body_and_floor(dimensions, size):
    poses = dancer(dimensions)
    # Travel on the floor grows with the body; how high the floor was must not matter.
    fitted = retarget.fit_body(poses * size + np.array([0, 7.0, 0])[:dimensions])
    np.testing.assert_allclose(fitted, retarget.fit_body(poses), atol=1e-9)
    lower_ankle = fitted[:, (pose.R_ANKLE, pose.L_ANKLE), 1].min(axis=1)
    assert np.percentile(lower_ankle, 10) == pytest.approx(pose.ANKLE_HEIGHT, abs=1e-12)
    legs = pose.bone_lengths(fitted)[:, 8:]
    if dimensions == 3:
        np.testing.assert_allclose(pose.bone_lengths(fitted), np.tile(pose.BONE_LENGTHS, (40, 1)), atol=1e-9)
    else:  # legs foreshorten: nine tenths of them are no longer than the one body's
        assert np.percentile(legs.sum(axis=1) / 2, 90) == pytest.approx(0.84, abs=1e-12)


def test_fit_body_leaves_the_one_body_on_its_floor():
    poses = pose.turn(BODY, YAWS[:, None]) + WHERE[:, None]
    np.testing.assert_allclose(retarget.fit_body(poses), poses, atol=1e-9)


@pytest.mark.parametrize("dimensions", [2, 3])
def test_fit_body_refuses_a_body_without_legs(dimensions):
    with pytest.raises(PoseError, match="legs"):
        retarget.fit_body(np.zeros((5, 14, dimensions)))


def test_front_view_sees_the_dancer_from_the_front_whichever_way_he_faces():
    turned = pose.turn(BODY, np.array([2.0, 2.4, 1.6])[:, None])  # about a mean of 2.0
    seen = pose.front_view(turned)
    np.testing.assert_allclose(seen, pose.turn(BODY, np.array([0.0, 0.4, -0.4])[:, None])[..., :2], atol=1e-12)
    assert (seen[:, pose.L_HIP, 0] > seen[:, pose.R_HIP, 0]).all()


def test_level_takes_out_a_drift_and_leaves_a_leap():
    times_s = np.arange(600) / 15
    still = np.zeros((600, 14, 3))
    still[:, :, 1] = 1.0
    still[:, (pose.R_ANKLE, pose.L_ANKLE), 1] = pose.ANKLE_HEIGHT
    leap = 0.3 * np.clip(np.sin(2 * np.pi * (times_s - 20)), 0, None) * (np.abs(times_s - 20.25) < 0.25)
    drifted = still.copy()
    drifted[..., 1] += (leap + 0.6 * times_s / 40)[:, None]
    heights = retarget.level(drifted, 30)[:, pose.R_ANKLE, 1] - pose.ANKLE_HEIGHT
    # The drift of 1.5 cm/s rises by 3 cm in a window of 2 s; at the ends the filters see half of it.
    np.testing.assert_allclose(heights, leap, atol=0.03)
