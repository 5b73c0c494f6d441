"""descriptors: speeds are those of the body, shapes are seen on either side of their limit, and place is no matter."""

from collections.abc import Callable

import numpy as np
import pytest

from d2m.clock import FPS, frame_times
from d2m.errors import PoseError
from d2m.metrics import descriptors
from d2m.motion import pose

DOWN = (0, -1, 0)
DIRECTIONS = np.array([(1, 0, 0), (0, 1, 0), (1, 0, 0), (0, 1, 0), *[DOWN] * 8])  # of the BONES, facing +z
BODY = pose.CHAIN_MATRIX @ (DIRECTIONS * pose.BONE_LENGTHS[:, None])  # it stands, its arms hang
FLOOR, UPRIGHT, ACCELERATION = slice(14), slice(14, 28), slice(28, 42)  # columns, of every joint each
TABLES = (descriptors.BENT, descriptors.ABOVE, descriptors.APART, descriptors.FAST)
SHAPES = [name for table in TABLES for name, *_ in table] + ["leaning"]
AWAY = {"right hand away from the other elbow", "left hand away from the other elbow"}


def dancer(frames: int = 100, dimensions: int = 3) -> np.ndarray:
    """A body that walks, turns and throws its limbs about, each in its own time."""
    times_s, rng = frame_times(frames)[:, None, None], np.random.default_rng(0)
    limbs = 0.3 * np.sin(times_s * rng.uniform(2, 6, (14, 3)) + rng.uniform(0, 6, (14, 3)))
    return (pose.turn(BODY + limbs, 0.5 * times_s[..., 0]) + times_s * np.array([0.3, 0, 0.2]))[..., :dimensions]


def moved(velocity, frames: int = 80) -> np.ndarray:
    """The rigid body at `velocity` (3,) m/s."""
    return BODY + frame_times(frames)[:, None, None] * np.array(velocity)


def put(joint: int, at) -> np.ndarray:
    body = BODY.copy()
    body[joint] = at
    return body


def bent(start: int, middle: int, end: int, degrees: float) -> np.ndarray:
    """The body with `end` where the angle at `middle` is `degrees`, to the body's right; `start` is upright above."""
    angle = np.radians(degrees)
    length = np.linalg.norm(BODY[end] - BODY[middle])
    return put(end, BODY[middle] + length * np.array([-np.sin(angle), np.cos(angle), 0]))


def apart(joint: int, other: int, metres: float) -> np.ndarray:
    """The body with `joint` so far to the right of `other`."""
    return put(joint, BODY[other] - np.array([metres, 0, 0]))


def above(joint: int, other: int, metres: float) -> np.ndarray:
    return put(joint, BODY[joint] * (1, 0, 1) + (BODY[other] + np.array([0, metres, 0])) * (0, 1, 0))


def shapes(body: np.ndarray) -> set[str]:
    """The names of the shapes that a body (14, D) that stands still has."""
    (row, again) = descriptors.geometric(np.stack([body, body]))
    assert row.tolist() == again.tolist() and set(row) <= {0.0, 1.0}
    return {name for name, value in zip(SHAPES, row, strict=True) if value}


def other_side(name: str) -> str:
    """ "right" for "left" and "left" for "right"."""
    return name.replace("right", "?").replace("left", "right").replace("?", "left")


def lean(degrees: float) -> np.ndarray:
    angle = np.radians(degrees)
    return put(pose.NECK, pose.pelvis(BODY) + 0.5 * np.array([np.sin(angle), np.cos(angle), 0]))


# Of every shape a body by one number, and the number on either side of the limit: with the shape and without it.
LIMITS: dict[str, tuple[Callable[[float], np.ndarray], float, float]] = {
    "right elbow": (lambda x: bent(pose.R_SHOULDER, pose.R_ELBOW, pose.R_WRIST, x), 109, 111),
    "right knee": (lambda x: bent(pose.R_HIP, pose.R_KNEE, pose.R_ANKLE, x), 149, 151),
    "right hand above the head": (lambda x: above(pose.R_WRIST, pose.NOSE, x), 0.01, -0.01),
    "right hand above the shoulder": (lambda x: above(pose.R_WRIST, pose.R_SHOULDER, x), 0.01, -0.01),
    "right hand above the hip": (lambda x: above(pose.R_WRIST, pose.R_HIP, x), 0.11, 0.09),
    "right foot raised": (lambda x: above(pose.R_ANKLE, pose.L_ANKLE, x), 0.11, 0.09),
    "hands apart": (lambda x: apart(pose.R_WRIST, pose.L_WRIST, x), 0.41, 0.39),
    "hands wide apart": (lambda x: apart(pose.R_WRIST, pose.L_WRIST, x), 0.91, 0.89),
    "feet apart": (lambda x: apart(pose.R_ANKLE, pose.L_ANKLE, x), 0.26, 0.24),
    "feet wide apart": (lambda x: apart(pose.R_ANKLE, pose.L_ANKLE, x), 0.51, 0.49),
    "right hand away from the other elbow": (lambda x: apart(pose.R_WRIST, pose.L_ELBOW, x), 0.31, 0.29),
    "leaning": (lean, 15.5, 14.5),
}
SPEEDS = {"right hand fast": (pose.R_WRIST, 1.5), "right foot fast": (pose.R_ANKLE, 1.0)}


def test_every_shape_has_a_limit_here():
    right = [*LIMITS, *SPEEDS]
    assert {*right, *map(other_side, right)} == set(SHAPES) and len(SHAPES) == len(set(SHAPES)) == 23


@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize("name", LIMITS)
def test_a_shape_is_seen_beyond_its_limit_and_not_before_on_either_side_of_the_body(name, dimensions):
    body_at, there, not_there = LIMITS[name]
    for value, seen in ((there, True), (not_there, False)):
        body = body_at(value)[..., :dimensions]
        assert (name in shapes(body)) is seen
        assert (other_side(name) in shapes(pose.mirror(body))) is seen


@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize("direction", [(1, 0), (-1, 0), (0, 1), (0.6, -0.8)])
@pytest.mark.parametrize("name", SPEEDS)
def test_hands_and_feet_are_fast_in_any_direction_beyond_their_limit(name, direction, dimensions):
    joint, limit = SPEEDS[name]
    for speed, seen in ((1.01 * limit, {name}), (0.99 * limit, set())):
        poses = np.tile(BODY, (9, 1, 1))
        poses[:, joint, :2] += frame_times(9)[:, None] * speed * np.array(direction)
        rows = descriptors.geometric(poses[..., :dimensions])
        fast = slice(SHAPES.index("right hand fast"), SHAPES.index("leaning"))
        for row in rows:  # the first and the last pose too
            assert {other for other, value in zip(SHAPES[fast], row[fast], strict=True) if value} == seen


def test_fast_is_in_metres_a_second_at_every_frame_rate():
    poses = np.tile(BODY, (9, 1, 1))
    poses[:, pose.L_WRIST, 0] += 0.08 * np.arange(9)  # 1.2 m/s at 15 frames a second, 2.4 at 30
    column = SHAPES.index("left hand fast")
    assert not descriptors.geometric(poses)[:, column].any() and descriptors.geometric(poses, 30)[:, column].all()
    assert [descriptors.describe(poses, fps)[0, 42 + column] for fps in (15, 30)] == [0, 1]


def test_a_limb_that_is_folded_in_any_direction_is_bent():
    poses = np.tile(BODY, (1000, 1, 1))
    poses[:, pose.R_WRIST] = poses[:, pose.R_SHOULDER]  # by rounding the cosine is more than 1 in some of them
    poses[:, pose.R_ELBOW] += np.random.default_rng(0).normal(size=(1000, 3))
    assert descriptors.geometric(poses)[:, SHAPES.index("right elbow")].all()


@pytest.mark.parametrize("dimensions", [2, 3])
def test_known_poses_have_their_shapes_and_no_others(dimensions):
    assert shapes(BODY[..., :dimensions]) == AWAY
    t_pose = DIRECTIONS.copy()
    t_pose[[4, 5]], t_pose[[6, 7]] = (-1, 0, 0), (1, 0, 0)
    body = pose.CHAIN_MATRIX @ (t_pose * pose.BONE_LENGTHS[:, None])
    hips = {"right hand above the hip", "left hand above the hip"}
    body[[pose.R_SHOULDER, pose.L_SHOULDER], 1] += 0.001  # so that the hands are just below them
    assert shapes(body[..., :dimensions]) == {"hands apart", "hands wide apart", *hips, *AWAY}


def test_a_body_that_leans_forward_or_stands_on_its_head_leans():
    assert "leaning" in shapes(put(pose.NECK, BODY[pose.NECK] + np.array([0, 0, 0.2])))
    assert "leaning" in shapes(BODY * (1, -1, 1))


@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize(
    ("frames", "windows"), [(2, 1), (20, 1), (59, 1), (60, 1), (67, 1), (68, 2), (100, 6), (300, 31)]
)
def test_windows_of_4_s_every_half_second_and_a_short_dance_is_one(frames, windows, dimensions):
    assert descriptors.describe(dancer(frames, dimensions)).shape == (windows, 65)


@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize("frames", [25, 100])
def test_a_window_is_the_root_mean_square_of_speeds_and_the_mean_of_the_rest(frames, dimensions):
    poses = dancer(frames, dimensions)
    kinetic, geometric = descriptors.kinetic(poses), descriptors.geometric(poses)
    assert kinetic.shape == (frames, 42) and geometric.shape == (frames, 23)
    for number, row in enumerate(descriptors.describe(poses)):
        window = slice(8 * number, 8 * number + 60)
        np.testing.assert_allclose(row[:28], np.sqrt(kinetic[window, :28].mean(axis=0)), rtol=1e-9)
        np.testing.assert_allclose(row[ACCELERATION], kinetic[window, 28:].mean(axis=0), rtol=1e-9)
        np.testing.assert_allclose(row[42:], geometric[window].mean(axis=0), atol=1e-12)


@pytest.mark.parametrize("dimensions", [2, 3])
def test_a_still_body_has_no_speed_and_no_acceleration(dimensions):
    rows = descriptors.describe(np.tile(BODY, (100, 1, 1))[..., :dimensions])
    assert (rows[:, :42] == 0).all()
    assert {name for name, share in zip(SHAPES, rows[0, 42:], strict=True) if share} == AWAY


@pytest.mark.parametrize(
    ("velocity", "floor", "upright"),
    [((1.0, 0, 0), 1, 0), ((0.6, 0, -0.8), 1, 0), ((0, -1.0, 0), 0, 1), ((0.3, 0.5, 0.4), 0.5, 0.5)],
)
def test_a_body_that_goes_evenly_has_its_speed_in_every_joint(velocity, floor, upright):
    rows = descriptors.describe(moved(velocity))
    # Speeds are differences of metres (1e-15, times 15); a root makes 1e-15 left beside a sum of 1 to 3e-8.
    np.testing.assert_allclose(rows[:, FLOOR], floor, atol=1e-6)
    np.testing.assert_allclose(rows[:, UPRIGHT], upright, atol=1e-6)
    np.testing.assert_allclose(rows[:, ACCELERATION], 0, atol=1e-9)


def test_in_two_dimensions_the_floor_is_a_line():
    rows = descriptors.describe(moved((0.6, 0.5, 0.8))[..., :2])
    np.testing.assert_allclose(rows[:, FLOOR], 0.6, atol=1e-6)
    np.testing.assert_allclose(rows[:, UPRIGHT], 0.5, atol=1e-6)


@pytest.mark.parametrize(("axis", "busy", "idle"), [(0, FLOOR, UPRIGHT), (1, UPRIGHT, FLOOR), (2, FLOOR, UPRIGHT)])
def test_bobbing_is_upright_and_swaying_along_the_floor(axis, busy, idle):
    poses = np.tile(BODY, (92, 1, 1))
    poses[..., axis] += 0.1 * np.sin(2 * np.pi * np.arange(92) / 15)[:, None]  # 10 cm, once a second
    rows = descriptors.describe(poses)[1:-1]  # without the first and last poses, whose differences are one-sided
    assert len(rows) == 3
    # A central difference of a sine is it a quarter ahead, times sin(step): four whole periods a window.
    step = np.sin(2 * np.pi / 15)
    np.testing.assert_allclose(rows[:, busy], 0.1 * FPS * step / 2**0.5, rtol=1e-9)
    assert (rows[:, idle] == 0).all()
    expected = 0.1 * (FPS * step) ** 2 / 9.81 * np.abs(np.sin(2 * np.pi * np.arange(15) / 15)).mean()
    np.testing.assert_allclose(rows[:, ACCELERATION], expected, rtol=1e-9)


@pytest.mark.parametrize("direction", [(1, 0, 0), (0, -1, 0), (0, 0.6, 0.8)])
def test_a_body_that_falls_accelerates_by_one_in_any_direction(direction):
    poses = BODY + 9.81 / 2 * frame_times(40)[:, None, None] ** 2 * np.array(direction)
    # The differences at the two poses of either end are one-sided.
    np.testing.assert_allclose(descriptors.kinetic(poses)[2:-2, ACCELERATION], 1, rtol=1e-9)


def test_one_joint_that_moves_is_seen_in_its_own_columns():
    for joint in range(14):
        poses = np.tile(BODY, (20, 1, 1))
        poses[:, joint] += frame_times(20)[:, None] * np.array([0.3, 0.5, 0.4])
        (row,) = descriptors.describe(poses)
        assert np.flatnonzero(row[:28] > 1e-6).tolist() == [joint, 14 + joint]
        np.testing.assert_allclose(row[[joint, 14 + joint]], 0.5, atol=1e-6)


def test_twice_the_frame_rate_is_twice_the_speed_and_four_times_the_acceleration():
    once, twice = (descriptors.describe(dancer(40), fps) for fps in (15, 30))
    np.testing.assert_allclose(twice[:, :28], 2 * once[:, :28], rtol=1e-9)
    np.testing.assert_allclose(twice[:, ACCELERATION], 4 * once[:, ACCELERATION], rtol=1e-9)


@pytest.mark.parametrize("angle", [0.0, 0.7, np.pi, -2.5])
def test_descriptors_do_not_depend_on_where_the_dance_is_and_which_way_it_faces(angle):
    poses = dancer()
    elsewhere = pose.turn(poses, np.array(angle)) + np.array([-4.0, 1.5, 7.0])
    rows, expected = descriptors.describe(elsewhere), descriptors.describe(poses)
    np.testing.assert_allclose(rows, expected, atol=1e-9)
    fallen = poses[..., [1, 0, 2]]  # and the vertical is no direction like the others
    assert np.abs(descriptors.describe(fallen) - expected).max() > 0.1


@pytest.mark.parametrize("dimensions", [2, 3])
def test_a_mirror_image_swaps_the_columns_of_left_and_right(dimensions):
    poses = dancer(dimensions=dimensions)
    rows, expected = descriptors.describe(pose.mirror(poses)), descriptors.describe(poses)
    swapped = [14 * kind + joint for kind in range(3) for joint in pose.MIRROR]
    swapped += [42 + SHAPES.index(other_side(name)) for name in SHAPES]
    np.testing.assert_allclose(rows, expected[:, swapped], atol=1e-9)
    assert np.abs(rows - expected).max() > 0.1


def test_what_is_no_dance_is_refused():
    hole = dancer(3)
    hole[2, 0, 0] = np.nan
    with pytest.raises(PoseError, match="not finite in frame 2"):
        descriptors.describe(hole)
    for wrong in (dancer(1), dancer(5)[:, :13]):
        with pytest.raises(PoseError, match="have shape"):
            descriptors.describe(wrong)
