"""Dances as glTF: a reader that is not ours, and forward kinematics by the rules of glTF, give the poses back."""

from dataclasses import replace

import numpy as np
import pygltflib
import pytest
from scipy.spatial.transform import Rotation, Slerp

from d2m.data.builtin import dancers
from d2m.errors import PoseError
from d2m.motion import pose, skeleton, warp
from d2m.motion.dance import Dance
from d2m.visual import body, figures, gltf

TYPES = {5126: "<f4", 5123: "<u2", 5121: "|u1"}  # numpy's, of components
WIDTHS = {"SCALAR": 1, "VEC3": 3, "VEC4": 4, "MAT4": 16}


def danced(style: str = "hip-hop", fps: float = 15.0) -> Dance:
    beats_s = np.arange(0.3, 12, 0.5)
    poses = dancers.dance(style, beats_s, 4, 12.0, seed=1)[0].astype(np.float32)
    return Dance(poses, beats_s, beats_s[4::4], style, 1, None, fps=fps, name="a song")


@pytest.fixture(scope="module")
def dance() -> Dance:
    return danced()


@pytest.fixture(scope="module")
def scene(dance, tmp_path_factory) -> pygltflib.GLTF2:
    path = gltf.write_glb(dance, tmp_path_factory.mktemp("glb") / "new" / "a dance.glb")
    assert list(path.parent.iterdir()) == [path]
    return pygltflib.GLTF2().load(str(path))


def numbers(scene: pygltflib.GLTF2, accessor: int) -> np.ndarray:
    """The values of an accessor, (n,) or (n, width)."""
    about = scene.accessors[accessor]
    view = scene.bufferViews[about.bufferView]
    begin, width = view.byteOffset, WIDTHS[about.type]
    content = scene.binary_blob()[begin : begin + view.byteLength]
    return np.frombuffer(content, TYPES[about.componentType]).reshape((about.count, width) if width > 1 else -1)


def matrices(scene: pygltflib.GLTF2, times_s: np.ndarray) -> dict[str, np.ndarray]:
    """Where the animation puts each node: its matrix (n, 4, 4) in the scene, by name."""
    (animation,) = scene.animations
    moved = {}
    for channel in animation.channels:
        sampler = animation.samplers[channel.sampler]
        keys_s, values = numbers(scene, sampler.input), numbers(scene, sampler.output)
        if channel.target.path == "rotation":
            at = Slerp(keys_s, Rotation.from_quat(values))(np.clip(times_s, keys_s[0], keys_s[-1])).as_matrix()
        else:
            at = np.stack([np.interp(times_s, keys_s, column) for column in values.T], axis=1)
        moved[channel.target.node, channel.target.path] = at
    places: dict[str, np.ndarray] = {}

    def place(number: int, parent: np.ndarray) -> None:
        node, own = scene.nodes[number], np.tile(np.eye(4), (len(times_s), 1, 1))
        own[:, :3, :3] = moved.get((number, "rotation"), np.eye(3))
        own[:, :3, 3] = moved.get((number, "translation"), node.translation or (0, 0, 0))
        assert node.rotation in (None, [0, 0, 0, 1]) and node.scale in (None, [1, 1, 1]) and node.matrix is None
        places[node.name] = parent @ own
        for child in node.children or ():
            place(child, places[node.name])

    for root in scene.scenes[scene.scene].nodes:
        place(root, np.eye(4))
    return places


def joints(scene: pygltflib.GLTF2, times_s: np.ndarray) -> np.ndarray:
    places = matrices(scene, times_s)
    return np.stack([places[name][:, :3, 3] for name in skeleton.POSE_JOINTS], axis=1)


def skinned(scene: pygltflib.GLTF2, times_s: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """For each primitive its points (n, v, 3) at `times_s`, by the rules of skins, and its triangles (m, 3)."""
    (skin,), places = scene.skins, matrices(scene, times_s)
    binds = np.swapaxes(numbers(scene, skin.inverseBindMatrices).reshape(-1, 4, 4), 1, 2)
    turns = np.stack([places[scene.nodes[joint].name] for joint in skin.joints], axis=1) @ binds
    shown = []
    for primitive in scene.meshes[0].primitives:
        about = primitive.attributes
        points = np.c_[numbers(scene, about.POSITION), np.ones(scene.accessors[about.POSITION].count)]
        weights, members = numbers(scene, about.WEIGHTS_0), numbers(scene, about.JOINTS_0)
        np.testing.assert_allclose(weights.sum(axis=1), 1)
        blended = np.einsum("vk,nvkij->nvij", weights, turns[:, members])
        moved = np.einsum("nvij,vj->nvi", blended, points)[..., :3]
        shown.append((moved, numbers(scene, primitive.indices).reshape(-1, 3)))
    return shown


def test_forward_kinematics_gives_all_14_joints_back_at_every_pose(dance, scene):
    np.testing.assert_allclose(joints(scene, np.arange(len(dance.poses)) / 15), dance.poses, atol=1e-4)


@pytest.mark.parametrize("style", ["ballet", "zumba"])
@pytest.mark.parametrize("fps", [15.0, 25.0, 60.0])
def test_keyframes_are_the_poses_of_the_video_with_bones_of_their_length(tmp_path, style, fps):
    dance = danced(style, fps)
    scene = pygltflib.GLTF2().load(str(gltf.write_glb(dance, tmp_path / "a.glb")))
    times_s = numbers(scene, scene.animations[0].samplers[0].input).astype(float)
    np.testing.assert_allclose(times_s, np.arange(len(times_s)) / 30, atol=1e-5)
    assert -1e-5 < (len(dance.poses) - 1) / fps - times_s[-1] < 1 / 30
    expected = pose.fit_bones(warp.resample(dance.poses, times_s * fps))
    np.testing.assert_allclose(joints(scene, times_s), expected, atol=1e-4)


def test_rotations_never_take_the_long_way_round(scene):
    for sampler in scene.animations[0].samplers[1:]:
        quaternions = numbers(scene, sampler.output)
        np.testing.assert_allclose(np.linalg.norm(quaternions, axis=1), 1, atol=1e-5)
        assert ((quaternions[1:] * quaternions[:-1]).sum(axis=1) > 0).all()


def test_the_file_keeps_the_rules_of_glb_and_of_accessors(dance, scene, tmp_path):
    content = gltf.write_glb(dance, tmp_path / "a.glb").read_bytes()
    magic, version, length, text_length, kind = np.frombuffer(content[:20], "<u4")
    assert (content[:4], version, length, kind.tobytes()) == (b"glTF", 2, len(content), b"JSON")
    assert magic and text_length % 4 == 0 and content[20 + text_length + 4 :][:4] == b"BIN\0"
    assert scene.asset.version == "2.0" and scene.buffers[0].byteLength == len(scene.binary_blob())
    bounded = {primitive.attributes.POSITION for primitive in scene.meshes[0].primitives}
    bounded |= {sampler.input for sampler in scene.animations[0].samplers}
    for number, accessor in enumerate(scene.accessors):
        view, values = scene.bufferViews[accessor.bufferView], numbers(scene, number)
        size = np.dtype(TYPES[accessor.componentType]).itemsize
        assert view.byteOffset % 4 == 0 and view.byteLength == values.size * size
        assert view.byteOffset + view.byteLength <= scene.buffers[0].byteLength
        if number in bounded:
            np.testing.assert_array_equal(accessor.min, np.atleast_1d(values.min(axis=0)))
            np.testing.assert_array_equal(accessor.max, np.atleast_1d(values.max(axis=0)))


def test_at_rest_a_body_stands_on_the_floor_with_spread_arms_and_looks_along_z(scene):
    points = np.concatenate([numbers(scene, each.attributes.POSITION) for each in scene.meshes[0].primitives])
    (low_x, low_y, _), (high_x, high_y, _) = points.min(axis=0), points.max(axis=0)
    assert low_y == pytest.approx(0, abs=0.02) and 1.65 < high_y < 1.85 and high_x == pytest.approx(-low_x, abs=1e-5)
    assert 0.8 < high_x < 0.95  # the wrist is at 0.71 m
    head = points[points[:, 1] > 1.5]
    assert np.abs(head[head[:, 2].argmax(), 0]) < 0.02  # the tip of the nose is in the middle, in front


def test_the_body_moves_with_its_joints_and_left_and_right_keep_their_colours(dance, scene):
    frames = np.array([20, 70, 120])
    shown = dict(zip([material.name for material in scene.materials], skinned(scene, frames / 15), strict=True))
    for colour, side in ((figures.LEFT, "left"), (figures.RIGHT, "right")):
        points, _ = shown[colour]
        for number, joint in enumerate(pose.JOINTS):
            nearest = np.linalg.norm(points - dance.poses[frames][:, None, number], axis=-1).min(axis=1)
            if joint.startswith(side):
                assert nearest.max() < 0.1, joint  # a thigh is 9 cm thick
        ends, _ = body.shape(dance.poses[frames].astype(float))
        own = [k for k, part in enumerate(body.PARTS) if part.colour == colour]
        for frame in range(len(frames)):
            low, high = ends[frame, own].min(axis=(0, 1)), ends[frame, own].max(axis=(0, 1))
            assert (points[frame].min(axis=0) > low - 0.11).all() and (points[frame].max(axis=0) < high + 0.11).all()


def test_triangles_face_outwards_and_enclose_the_body(scene):
    volume = 0.0
    for points, triangles in skinned(scene, np.zeros(1)):
        one, two, three = np.moveaxis(points[0][triangles.astype(int)], 1, 0)
        volume += np.einsum("ij,ij->", one, np.cross(two, three)) / 6
        areas = np.linalg.norm(np.cross(two - one, three - one), axis=1)
        assert areas.min() > 1e-9  # none is degenerate
    assert 0.05 < volume < 0.12  # cubic metres: parts overlap, a person has 0.07


def test_normals_are_perpendicular_to_the_surface(scene):
    for primitive in scene.meshes[0].primitives:
        about = primitive.attributes
        points, normals = numbers(scene, about.POSITION).astype(float), numbers(scene, about.NORMAL)
        triangles = numbers(scene, primitive.indices).reshape(-1, 3).astype(int)
        one, two, three = np.moveaxis(points[triangles], 1, 0)
        flat = np.cross(two - one, three - one)
        flat /= np.linalg.norm(flat, axis=1, keepdims=True)
        cosines = np.einsum("tij,tj->ti", normals[triangles], flat)
        np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-6)
        assert cosines.min() > 0.75  # triangles span 22 degrees at most


def test_a_head_whose_nose_is_above_the_neck_looks_ahead(dance, tmp_path):
    still = np.repeat(
        skeleton.from_angles(np.array([[0, 0.93, 0]]), np.zeros((1, len(skeleton.SKELETON), 3))), 4, axis=0
    )
    still[:, pose.NOSE] = still[:, pose.NECK] + (0, 0.2, 0)
    scene = pygltflib.GLTF2().load(str(gltf.write_glb(replace(dance, poses=still), tmp_path / "a.glb")))
    np.testing.assert_allclose(joints(scene, np.zeros(1)), still[:1], atol=1e-4)  # the joint stays where it is
    names = [material.name for material in scene.materials]
    hair, skin = (skinned(scene, np.zeros(1))[names.index(colour)][0][0] for colour in (body.HAIR, body.SKIN))
    assert abs(skin[skin[:, 2].argmax(), 1] - (1.43 + 0.166)) < 0.02  # the tip of the nose is at its height, in front
    assert hair[:, 2].min() < still[0, pose.NECK, 2] - 0.09


def test_equal_dances_give_equal_files(dance, tmp_path):
    one, other = (gltf.write_glb(dance, tmp_path / name).read_bytes() for name in ("a.glb", "b.glb"))
    assert one == other


def test_a_2d_dance_and_a_body_with_other_bones_are_refused(dance, tmp_path):
    with pytest.raises(PoseError, match=r"^a dance in 2D has no joint rotations for glTF"):
        gltf.write_glb(replace(dance, poses=dance.poses[..., :2]), tmp_path / "a.glb")
    with pytest.raises(PoseError, match=r"glTF would misplace the .* by 0\.\d\d m; expected poses with d2m's bone"):
        gltf.write_glb(replace(dance, poses=dance.poses * 1.1), tmp_path / "a.glb")
    assert not list(tmp_path.iterdir())
