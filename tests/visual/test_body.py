"""The shape of the body and its camera: parts that follow the pose, feet on the floor, heads that look ahead."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from d2m.data.builtin import dancers
from d2m.motion import pose, skeleton
from d2m.visual import body
from d2m.visual.figures import LEFT, RIGHT


@pytest.fixture
def rest() -> np.ndarray:
    """Two frames of the body at rest, its arms spread, facing +z (2, 14, 3)."""
    return skeleton.from_angles(np.array([[0.0, 0.93, 0.0]] * 2), np.zeros((2, len(skeleton.SKELETON), 3)))


@pytest.fixture(scope="module")
def danced() -> np.ndarray:
    return dancers.dance("hip-hop", np.arange(0.3, 12, 0.5), 4, 12.0, seed=1)[0].astype(float)


def of_frame(name: str) -> list[int]:
    return [number for number, part in enumerate(body.PARTS) if part.frame == name]


def test_limbs_join_the_joints_of_their_side_and_have_its_colour(danced):
    ends, _ = body.shape(danced)
    for side, colour in (("Left", LEFT), ("Right", RIGHT)):
        for number, part in enumerate(body.PARTS):
            if part.frame.startswith(side):
                assert part.colour == colour
                for end, name, offset in zip(np.moveaxis(ends[:, number], 1, 0), part.ends, part.offsets, strict=True):
                    joint = danced[:, skeleton.POSE_JOINTS.index(name)]
                    lifted = 0.1 if part.frame.endswith("Foot") else 1e-6  # onto the floor
                    distance = np.linalg.norm(end - joint, axis=-1)
                    np.testing.assert_allclose(distance, np.linalg.norm(offset), atol=lifted)


def test_the_body_is_symmetric(danced):
    ends, _ = body.shape(danced)
    mirrored, _ = body.shape(pose.mirror(danced))
    for side, other in (("Left", "Right"), ("Right", "Left")):
        for joint in ("Arm", "ForeArm", "UpLeg", "Leg", "Foot"):
            one, two = of_frame(f"{side}{joint}"), of_frame(f"{other}{joint}")
            np.testing.assert_allclose(mirrored[:, one], ends[:, two] * (-1, 1, 1), atol=1e-6)


def test_parts_turn_and_move_with_the_whole_body(danced):
    ends, frames = body.shape(danced)
    shift = np.array([1.0, 0, -2.0])
    turned, turned_frames = body.shape(pose.turn(danced, 0.8) + shift)
    np.testing.assert_allclose(turned, pose.turn(ends, 0.8) + shift, atol=1e-9)
    about_y = Rotation.from_rotvec((0, 0.8, 0)).as_matrix()
    np.testing.assert_allclose(turned_frames, about_y @ frames, atol=1e-9)
    np.testing.assert_allclose(
        np.swapaxes(frames, -1, -2) @ frames, np.broadcast_to(np.eye(3), frames.shape), atol=1e-9
    )


@pytest.mark.parametrize(("ankle_height", "pitch_degrees"), [(0.09, 0), (0.13, 17), (0.16, 35)])
def test_a_standing_foot_has_its_ball_on_the_floor_and_its_heel_rises_with_the_ankle(rest, ankle_height, pitch_degrees):
    rest[..., 1] += ankle_height - pose.ANKLE_HEIGHT
    frames = body.frames(rest)["LeftFoot"][0]
    sole = frames[:, 2]  # its direction, to the toes
    assert np.degrees(np.arcsin(-sole[1])) == pytest.approx(pitch_degrees, abs=3)
    ends, _ = body.shape(rest)
    ball = [number for number in of_frame("LeftFoot") if body.PARTS[number].offsets[1] == tuple(body.BALL)]
    np.testing.assert_allclose(ends[0, ball, 1, 1], 0.03, atol=2e-3)  # the ball's radius above the floor


def test_a_foot_in_the_air_hangs_and_points_where_the_shin_faces(rest):
    rest[:, pose.L_KNEE] = rest[:, pose.L_HIP] + (0, 0, 0.43)
    rest[:, pose.L_ANKLE] = rest[:, pose.L_KNEE] + (0, -0.41, 0)
    sole = body.frames(rest)["LeftFoot"][0, :, 2]
    assert np.degrees(np.arcsin(-sole[1])) == pytest.approx(35, abs=1e-6) and sole[2] > 0.8 and abs(sole[0]) < 1e-6


def test_no_sole_is_below_the_floor(danced):
    ends, _ = body.shape(danced - (0, 0.06, 0))
    soles = ends[..., 1] - body.RADII * body.FLAT[:, 1:2]
    assert soles[:, body.FEET].min() > -1e-9


@pytest.mark.parametrize("bent", [0.0, 0.4])
def test_a_head_looks_where_the_chest_faces_whatever_a_source_calls_the_nose(rest, bent):
    lean = Rotation.from_rotvec((bent, 0, 0))
    hips = pose.pelvis(rest)[:, None]
    leaning = hips + lean.apply((rest - hips).reshape(-1, 3)).reshape(rest.shape)
    up = leaning.copy()
    up[:, pose.NOSE] = up[:, pose.NECK] + lean.apply((0, 0.2, 0))  # the middle of the head, above the neck
    assert body.head_tilt(leaning) == pytest.approx(0, abs=1e-9)
    assert np.degrees(body.head_tilt(up)) == pytest.approx(30, abs=0.5)
    for poses in (leaning, up):
        head = body.frames(poses, body.head_tilt(poses))["Head"][0]
        assert np.degrees(np.arccos(head[:, 2] @ lean.apply((0, 0, 1)))) < 1


def test_a_head_is_turned_as_it_was_in_the_pose_and_its_tilt_has_a_limit(rest):
    looking = np.repeat(rest, 3, axis=0)
    looking[5, pose.NOSE] = looking[5, pose.NECK] + Rotation.from_rotvec((0.5, 0, 0)).apply(0.2 * skeleton.NOSE)
    heads = body.frames(looking, body.head_tilt(looking))["Head"]
    np.testing.assert_allclose(heads[0], np.eye(3), atol=1e-9)
    np.testing.assert_allclose(heads[5], Rotation.from_rotvec((0.5, 0, 0)).as_matrix(), atol=1e-9)
    back = rest.copy()
    back[:, pose.NOSE] = back[:, pose.NECK] - (0, 0, 0.2)
    assert body.head_tilt(back) == pytest.approx(body.LARGEST_TILT)


def test_the_camera_projects_as_a_pinhole_and_sees_a_body_from_its_front(rest):
    camera = body.Camera(rest, 15.0, 400)
    assert camera.angle == pytest.approx(body.VIEW)
    columns, rows, depth = camera._project(np.array([[0.0, body.HEIGHT_M, 0], [1.0, body.HEIGHT_M, 0], [0, 0, 2.3]]))
    metre = 400 / (2 * body.SIDES_M)
    np.testing.assert_allclose(columns + 0.5, [200, 200 + metre, 200])
    np.testing.assert_allclose(depth, [1, 1, 0.5])
    horizon = metre * (body.HIGHEST_M - body.HEIGHT_M)
    np.testing.assert_allclose(rows + 0.5, [horizon, horizon, horizon + metre * body.HEIGHT_M / 0.5])
    turned = body.Camera(pose.turn(rest, 1.2), 15.0, 400)
    assert turned.angle == pytest.approx(body.VIEW - 1.2)


def test_the_linear_camera_is_the_derivative_of_the_projection(rest):
    camera, points = body.Camera(rest, 15.0, 400), np.array([[0.3, 0.4, 0.5], [-0.6, 1.9, -0.8]])
    linear, step = camera._linear(points), 1e-6
    for axis in range(3):
        moved = points + step * np.eye(3)[axis]
        for row, (after, before) in enumerate(
            zip(camera._project(moved)[:2], camera._project(points)[:2], strict=True)
        ):
            np.testing.assert_allclose(linear[:, row, axis], (after - before) / step, rtol=1e-4, atol=1e-4)


def test_a_view_has_its_parts_from_near_to_far_and_shadows_below_the_light(rest):
    camera = body.Camera(rest, 15.0, 400)
    view = camera.views(rest[:1], np.array([[0.0, 1.0, 0.0]]))[0]
    ends, _ = body.shape(rest[:1])
    depths = pose.turn(ends[0], camera.angle)[..., 2].max(axis=1)
    assert (np.diff(depths[view.nearest]) <= 1e-9).all() and sorted(view.nearest) == list(range(len(body.PARTS)))
    heights = ends[0, :, :, 1]
    np.testing.assert_allclose(view.shadows[..., 1], heights, atol=1e-9)
    drift = view.shadows[..., ::2] - pose.turn(ends[0], camera.angle)[..., ::2]
    np.testing.assert_allclose(drift, -heights[..., None] * body.SUN[::2] / body.SUN[1], atol=1e-9)
