"""BVH: any dancer's file is read as the 14 joints, an independent reader agrees, what is wrong is refused by name."""

from dataclasses import replace
from pathlib import Path

import bvhio
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from d2m.data.builtin import dancers
from d2m.data.formats import bvh
from d2m.errors import PoseError
from d2m.motion import bvh as bvh_files
from d2m.motion import pose, skeleton
from d2m.motion.skeleton import Joint

FPS = 30.0
# Names of the same joints in other programs; those of collar bones, head and spine stay.
PARTS = ("Arm", "ForeArm", "Hand", "UpLeg", "Leg", "Foot")
NAMED = {
    "Mixamo": ("mixamorig:{side}Arm", "mixamorig:{side}ForeArm", "mixamorig:{side}Hand", "mixamorig:{side}UpLeg",
               "mixamorig:{side}Leg", "mixamorig:{side}Foot"),
    "Poser": ("{side}UpArm", "{side}LowArm", "{side}Wrist", "{side}Thigh", "{side}Shin", "{side}Ankle"),
    "by joints": ("{side}UpperArm", "{side}Elbow", "{side}Wrist", "{side}Hip", "{side}Knee", "{side}Ankle"),
    "DAZ": ("{s}Shldr", "{s}ForeArm", "{s}Hand", "{s}Thigh", "{s}Shin", "{s}Foot"),
    "Blender": ("upper_arm.{S}", "forearm.{S}", "hand.{S}", "thigh.{S}", "shin.{S}", "foot.{S}"),
    "Unreal": ("upperarm_{s}", "lowerarm_{s}", "hand_{s}", "thigh_{s}", "calf_{s}", "foot_{s}"),
    "Biped": ("Bip01 {S} UpperArm", "Bip01 {S} Forearm", "Bip01 {S} Hand", "Bip01 {S} Thigh", "Bip01 {S} Calf",
              "Bip01 {S} Foot"),
    "capitals": ("{side}ARM", "{side}FOREARM", "{side}HAND", "{side}UPLEG", "{side}LEG", "{side}FOOT"),
    "Unity": ("{side}UpperArm", "{side}LowerArm", "{side}Hand", "{side}UpperLeg", "{side}LowerLeg", "{side}Foot"),
}  # fmt: skip
BODY = """HIERARCHY
ROOT Hips
{
  OFFSET 0 0 0
  CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation
  %s
}
MOTION
Frames: 2
Frame Time: 0.04
0 1 0 0 0 0
0 1 0 0 90 0
"""


@pytest.fixture(scope="module")
def poses() -> np.ndarray:
    """Four seconds of a built-in dancer (60, 14, 3)."""
    return dancers.dance("hip-hop", np.arange(0.3, 4, 0.5), 4, 4.0, seed=2)[0].astype(np.float64)


def motion(poses: np.ndarray) -> np.ndarray:
    """The values of the channels of `ik.SKELETON`."""
    place, angles = skeleton.to_angles(poses)
    return np.concatenate([place, angles.reshape(len(poses), -1)], axis=1)


def written(path: Path, joints: list[Joint], values: np.ndarray, fps: float = FPS) -> Path:
    path.write_text(bvh_files.as_text(joints, values, fps))
    return path


def renamed(names: tuple[str, ...]) -> list[Joint]:
    """The skeleton with its limbs named otherwise."""
    called = {
        side + part: name.format(side=side, s=side[0].lower(), S=side[0])
        for side in ("Left", "Right")
        for part, name in zip(PARTS, names, strict=True)
    }
    return [replace(joint, name=called.get(joint.name, joint.name)) for joint in skeleton.SKELETON]


@pytest.mark.parametrize("suffix", [".bvh", ".BVH"])
def test_what_was_written_is_read_to_a_tenth_of_a_millimetre(tmp_path, poses, suffix):
    body, fps = bvh.read(written(tmp_path / f"a{suffix}", skeleton.SKELETON, motion(poses)))
    assert fps == FPS and body.shape == poses.shape and body.dtype == np.float64
    np.testing.assert_allclose(body, poses, atol=1e-4)


def test_an_independent_reader_puts_every_joint_where_it_was(tmp_path, poses):
    root = bvhio.readAsHierarchy(str(written(tmp_path / "a.bvh", skeleton.SKELETON, motion(poses))))
    for frame in (0, 17, 59):
        root.loadPose(frame)
        positions = {joint.Name: np.array(joint.PositionWorld) for joint, *_ in root.layout()}
        np.testing.assert_allclose([positions[name] for name in skeleton.POSE_JOINTS], poses[frame], atol=1e-4)


def test_forward_kinematics_of_any_tree_and_any_order_agrees_with_an_independent_reader(tmp_path):
    rng = np.random.default_rng(3)
    joints = [Joint("root", -1, (0.0, 0.0, 0.0), ("Xposition", "Yposition", "Zposition", "Yrotation", "Zrotation"))]
    for number in range(1, 20):
        order = rng.permutation(["Xrotation", "Yrotation", "Zrotation"])[: rng.integers(1, 4)]
        joints.append(Joint(f"j{number}", int(rng.integers(0, number)), tuple(rng.normal(size=3)), tuple(order)))
    # A file lists a tree depth first: writing and reading it puts the joints and their numbers into that order.
    path = written(tmp_path / "tree.bvh", joints, np.zeros((2, sum(len(joint.channels) for joint in joints))))
    joints, *_ = bvh_files.load(path)
    joints = [replace(joint, end=joint.end or (0.0, 0.1, 0.0)) for joint in joints]
    values = rng.uniform(-170, 170, (4, sum(len(joint.channels) for joint in joints)))
    path = written(path, joints, values)
    joints, values, _ = bvh_files.load(path)
    places, _ = bvh._forward(joints, values, list(range(20)))
    root = bvhio.readAsHierarchy(str(path))
    for frame in range(4):
        root.loadPose(frame)
        for joint, *_ in root.layout():
            number = [own.name for own in joints].index(joint.Name)
            np.testing.assert_allclose(places[number][frame], np.array(joint.PositionWorld), atol=2e-3)


@pytest.mark.parametrize("names", NAMED.values(), ids=NAMED)
def test_joints_are_found_whatever_they_are_called(tmp_path, poses, names):
    body, _ = bvh.read(written(tmp_path / "a.bvh", renamed(names), motion(poses)))
    np.testing.assert_allclose(body, poses, atol=1e-4)


def test_a_collar_bone_is_no_shoulder_and_toes_are_no_ankle(tmp_path, poses):
    # As body models name them: the collar stands at the neck, where our LeftShoulder does; feet end in L_Foot.
    joints = renamed(("{S}_Shoulder", "{S}_Elbow", "{S}_Wrist", "{S}_Hip", "{S}_Knee", "{S}_Ankle"))
    collars = {"LeftShoulder": "L_Collar", "RightShoulder": "R_Collar"}
    joints = [replace(joint, name=collars.get(joint.name, joint.name)) for joint in joints]
    values = motion(poses)
    for side in ("L", "R"):
        ankle = [joint.name for joint in joints].index(f"{side}_Ankle")
        joints.append(Joint(f"{side}_Foot", ankle, (0.0, -0.05, 0.1), (), (0.0, 0.0, 0.05)))
    path = tmp_path / "a.bvh"
    path.write_text(bvh_files.as_text(joints, values, FPS).replace("\tCHANNELS 0 \n", "\tCHANNELS 0\n"))
    np.testing.assert_allclose(bvh.read(path)[0], poses, atol=1e-4)


@pytest.mark.parametrize("unit", [0.01, 1 / 0.0254, 100.0, 1000.0])
def test_any_unit_of_length_becomes_metres(tmp_path, poses, unit):
    joints = [replace(joint, offset=tuple(unit * np.array(joint.offset))) for joint in skeleton.SKELETON]
    values = motion(poses)
    values[:, :3] *= unit
    body, _ = bvh.read(written(tmp_path / "a.bvh", joints, values))
    np.testing.assert_allclose(body, poses, atol=1e-3)  # hundredths of a metre are written to 5 places


def test_a_long_file_is_read_piece_by_piece(tmp_path, poses, monkeypatch):
    path = written(tmp_path / "a.bvh", skeleton.SKELETON, motion(poses))
    whole, _ = bvh.read(path)
    monkeypatch.setattr(bvh, "CHUNK", 7)
    np.testing.assert_array_equal(bvh.read(path)[0], whole)


@pytest.mark.parametrize("order", ["XYZ", "XZY", "YXZ", "YZX", "ZXY", "ZYX"])
def test_any_order_of_channels_is_understood(tmp_path, poses, order):
    values = motion(poses)
    angles = values[:, 3:].reshape(-1, 3)
    again = Rotation.from_euler(skeleton.ORDER, angles, degrees=True).as_euler(order, degrees=True)
    turns = tuple(f"{axis}rotation" for axis in order)
    # The root's position comes last, and its axes in another order; every other joint has rotations in upper case.
    moved = np.concatenate([again.reshape(len(poses), -1), values[:, 2::-1]], axis=1)
    columns = np.r_[0:3, moved.shape[1] - 3 : moved.shape[1], 3 : moved.shape[1] - 3]
    joints = [
        replace(joint, channels=turns if number else (*turns, "Zposition", "Yposition", "Xposition"))
        for number, joint in enumerate(skeleton.SKELETON)
    ]
    path = written(tmp_path / "a.bvh", joints, moved[:, columns])
    path.write_text(path.read_text().replace("rotation", "ROTATION").replace("JOINT", "joint"))
    np.testing.assert_allclose(bvh.read(path)[0], poses, atol=1e-4)


def test_position_channels_of_a_joint_stand_in_place_of_its_offset(tmp_path, poses):
    values, number = motion(poses), skeleton.NUMBERS["LeftForeArm"]
    joints = list(skeleton.SKELETON)
    joints[number] = replace(joints[number], channels=(*skeleton.ROOT_CHANNELS,), offset=(9.0, 9.0, 9.0))
    at = 3 + 3 * number
    offset = np.tile(skeleton.SKELETON[number].offset, (len(values), 1))
    path = written(tmp_path / "a.bvh", joints, np.concatenate([values[:, :at], offset, values[:, at:]], axis=1))
    np.testing.assert_allclose(bvh.read(path)[0], poses, atol=1e-4)


def test_a_nose_that_a_file_has_not_is_ahead_of_the_head_whatever_its_axes_are(tmp_path, poses):
    # A head upright on the neck, whose top is its end; in the second file its own axes are turned by a right angle.
    plain = [joint for joint in skeleton.SKELETON if joint.name != "Nose"]
    head = skeleton.NUMBERS["Head"]
    values = np.delete(motion(poses), range(3 + 3 * head + 3, 3 + 3 * head + 6), axis=1)
    shift = {number: number - (number > head + 1) for number in range(len(skeleton.SKELETON))}
    plain = [replace(joint, parent=shift.get(joint.parent, -1)) for joint in plain]
    plain[head] = replace(plain[head], offset=(0.0, 0.1, 0.0), end=(0.0, 0.2, 0.0))
    values[:, 3 + 3 * skeleton.NUMBERS["Neck"] :][:, :6] = 0  # the neck and the head go with the trunk
    body, _ = bvh.read(written(tmp_path / "a.bvh", plain, values))
    trunk = Rotation.from_matrix(skeleton.joint_frames(poses)["Spine"])
    expected = poses[:, pose.NECK] + trunk.apply([0.0, 0.2, bvh.FACE * 0.84])
    np.testing.assert_allclose(body[:, 1:], poses[:, 1:], atol=1e-4)
    np.testing.assert_allclose(body[:, 0], expected, atol=0.02)  # bodies that twist do not face all the time alike
    plain[head] = replace(plain[head], end=(0.2, 0.0, 0.0))
    values[:, 3 + 3 * head] = 90
    turned, _ = bvh.read(written(tmp_path / "b.bvh", plain, values))
    np.testing.assert_allclose(turned, body, atol=1e-4)


@pytest.mark.parametrize(("frame_time", "fps"), [
    ("0.0333333", 30.0), ("0.03333333", 30.0), ("0.033333", 30.0), ("0.00833333", 120.0), ("0.0416667", 24.0),
    ("0.0333667", 29.97), ("0.1", 10.0), (".0666667", 15.0), ("1", 1.0), ("1e-3", 1000.0),
])  # fmt: skip
def test_the_frame_rate_is_the_one_that_was_rounded(tmp_path, poses, frame_time, fps):
    path = written(tmp_path / "a.bvh", skeleton.SKELETON, motion(poses[:2]))
    path.write_text(path.read_text().replace("Frame Time: 0.03333333", f"Frame Time: {frame_time}"))
    assert bvh.read(path)[1] == pytest.approx(fps, rel=1e-5)


def test_lines_may_end_and_be_indented_as_they_like(tmp_path, poses):
    path = written(tmp_path / "a.bvh", skeleton.SKELETON, motion(poses[:3]))
    text = path.read_text()
    for same in (text.replace("\n", "\r\n"), text.replace("\t", "    "), "\ufeff" + text, text + "\n \n",
                 text.replace("\n{", " {"), text.replace("Frames: ", "Frames:\t")):  # fmt: skip
        path.write_bytes(same.encode())
        np.testing.assert_allclose(bvh.read(path)[0], poses[:3], atol=1e-4)


def hips(children: str) -> str:
    return BODY % children


JOINT = "JOINT a { OFFSET 0 1 0\nCHANNELS 0\n%s }"
UNFIT = [
    ("", "ends in line 0"), ("HIERARCHY", "ends in line 1"), ("no BVH at all", "'no BVH at all' in line 1"),
    ("\x00\x01\x02", "line 1"), (hips(""), "no nose, right shoulder, "),
    (hips("}"), "in line 7; expected MOTION"), (hips("{"), "'{' in line 6"), (hips(JOINT % "{"), "'{' in line"),
    (hips("JOINT"), "'JOINT' in line 6"), (hips("JOINT a {"), "in line 7; expected OFFSET"),
    (hips("JOINT a { OFFSET 0 1 }"), "'0 1' in line 6; expected 3 numbers"),
    (hips("JOINT a { OFFSET 0 1 nan"), "3 numbers"), (hips("JOINT a { OFFSET 0 1 1e300"), "3 numbers"),
    (hips("JOINT a { OFFSET 0 1 x"), "3 numbers"), (hips("ROOT b"), "'ROOT b' in line 6"),
    (hips("End Site { OFFSET 0 0 }"), "3 numbers"), (hips("End Site"), "in line 7"),
    (hips("JOINT a { OFFSET 0 0 0\nCHANNELS 2 Xrotation"), "has 2 channels Xrotation"),
    (hips("JOINT a { OFFSET 0 0 0\nCHANNELS 2 Xrotation Xrotation"), "has 2 channels"),
    (hips("JOINT a { OFFSET 0 0 0\nCHANNELS 1 Wrotation"), "has 1 channels"),
    (hips("JOINT a { OFFSET 0 0 0\nCHANNELS x"), "has x channels"),
    (hips(JOINT * 600 % (("",) * 600)), "too many joints"),
    (hips("JOINT a { OFFSET 0 1 0\nCHANNELS 0\n" * 600), "too many joints"),
    (hips("").replace("MOTION", "MOTIONS: none"), "'MOTIONS: none' in line 8; expected MOTION"),
    (hips("").replace("Frames: 2", "Frames: two"), "'two' in line 9; expected 1 numbers"),
    (hips("").replace("Frames: 2", "Frames: 1"), "1 frames in line 10"),
    (hips("").replace("Frames: 2", "Frames: 1.5"), "1.5 frames"),
    (hips("").replace("Frames: 2", "Frames: -3"), "-3 frames"),
    (hips("").replace("Frames: 2", "Frames: 3"), "0 words for frame 3 of 3"),
    (hips("").replace("Frames: 2", "Frames: 9999999"), "promises 9999999 frames of 6 numbers"),
    (hips("").replace("CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation", "CHANNELS 0"),
     "promises 2 frames of 0 numbers"),
    (hips("").replace("0.04", "0"), "frame time of 0 s"), (hips("").replace("0.04", "-1"), "frame time of -1 s"),
    (hips("").replace("0.04", "nan"), "1 numbers"), (hips("").replace("0.04", "3600"), "frame time of 3600 s"),
    (hips("").replace("0 1 0 0 90 0", "0 1 0 0 90"), "5 words for frame 2 of 2 in line 12; expected 6 numbers"),
    (hips("").replace("0 1 0 0 90 0", "0 1 0 0 90 0 0"), "7 words for frame 2"),
    (hips("").replace("90", "nan"), "frame 2"), (hips("").replace("90", "inf"), "frame 2"),
    (hips("").replace("90", "1e30"), "frame 2"), (hips("").replace("90", "ninety"), "frame 2"),
    (hips("") + "0 1 0 0 0 0\n", "continues after its 2 frames"),
]  # fmt: skip


@pytest.mark.parametrize(("content", "reason"), UNFIT)
def test_what_is_no_motion_is_refused_by_name_and_line(tmp_path, content, reason):
    (tmp_path / "song.bvh").write_text(content)
    with pytest.raises(PoseError, match=rf"song\.bvh .*({reason})"):
        bvh.read(tmp_path / "song.bvh")


def test_a_body_without_some_joints_is_refused_with_what_it_has(tmp_path, poses):
    joints = [replace(joint, name=joint.name.replace("LeftUpLeg", "Stilt")) for joint in skeleton.SKELETON]
    with pytest.raises(PoseError, match=r"a\.bvh has no left hip \(only Hips, .*Stilt"):
        bvh.read(written(tmp_path / "a.bvh", joints, motion(poses)))


def test_a_body_without_size_is_refused(tmp_path, poses):
    joints = [replace(joint, offset=(0.0, 0.0, 0.0)) for joint in skeleton.SKELETON]
    with pytest.raises(PoseError, match=r"a\.bvh: the legs of this body have no length"):
        bvh.read(written(tmp_path / "a.bvh", joints, motion(poses)))


def test_a_missing_file_a_folder_and_one_that_is_too_large_are_refused(tmp_path, monkeypatch):
    for path in (tmp_path, tmp_path / "none.bvh"):
        with pytest.raises(PoseError, match=rf"{path.name} cannot be read"):
            bvh.read(path)
    monkeypatch.setattr(bvh_files, "LARGEST_FILE", 100)
    (tmp_path / "large.bvh").write_text(hips(""))
    with pytest.raises(PoseError, match=r"large\.bvh .*it has 0 MB, more than 0"):
        bvh.read(tmp_path / "large.bvh")


def test_a_truncated_file_is_refused_wherever_it_ends(tmp_path, poses):
    whole = bvh_files.as_text(skeleton.SKELETON, motion(poses[:4]), FPS)
    path = tmp_path / "a.bvh"
    for size in range(0, len(whole) - 10, 41):  # of its last number some digits may be missed by nobody
        path.write_text(whole[:size])
        with pytest.raises(PoseError, match=r"a\.bvh"):
            bvh.read(path)


NAMED_ENDS = {
    "End Site": "End Site Tip", "a foot": "End Site LeftToe", "in capitals": "END SITE TOE", "joined": "EndSite Toe",
    "End Effector": "End Effector", "named too": "End Effector Toe", "End alone": "End Toe_end",
    "tabs": "End\tSite\tToe", "blanks": "End  Site   left toe",
}  # fmt: skip


@pytest.mark.parametrize("kind", NAMED_ENDS)
@pytest.mark.parametrize("channels", ["", "\nCHANNELS 0"])
def test_an_end_site_with_a_name_is_read_as_without(tmp_path, poses, kind, channels):
    path = written(tmp_path / "a.bvh", skeleton.SKELETON, motion(poses))
    bare, _ = bvh.read(path)
    text = path.read_text()
    assert text.count("End Site\n") == 5
    text = text.replace("End Site\n", NAMED_ENDS[kind] + "\n").replace("\t0.020000", f"\t0.020000{channels}")
    path.write_text(text)
    np.testing.assert_array_equal(bvh.read(path)[0], bare)


def test_a_hand_that_is_named_by_an_end_site_alone_is_read(tmp_path, poses):
    path = written(tmp_path / "a.bvh", skeleton.SKELETON, motion(poses))
    joint, end = "JOINT LeftHand", "End Site LeftHand"
    before, _, after = path.read_text().partition(joint)
    block = after[: after.index("}\n", after.index("}\n") + 1) + 2]
    offset = next(line for line in block.splitlines() if "OFFSET" in line)
    hierarchy, _, _ = (before + f"{end}\n{{\n{offset}\n}}\n" + after[len(block) :]).partition("MOTION")
    names = [joint.name for joint in skeleton.SKELETON]
    first = 3 + 3 * names.index("LeftHand")
    values = np.delete(motion(poses), np.s_[first : first + 3], axis=1)
    tail = bvh_files.as_text(skeleton.SKELETON, values, FPS).partition("MOTION")[2]
    path.write_text(f"{hierarchy}MOTION{tail}")
    np.testing.assert_allclose(bvh.read(path)[0], poses, atol=1e-4)


@pytest.mark.parametrize("line", ["Endless Site", "Site", "End Site Tip OFFSET"])
def test_what_is_no_end_site_is_refused(tmp_path, poses, line):
    path = written(tmp_path / "a.bvh", skeleton.SKELETON, motion(poses))
    text = path.read_text().replace("End Site", line, 1)
    path.write_text(text.replace("OFFSET 0.000000 0.000000 0.020000", "0 0 0") if "OFFSET" in line else text)
    with pytest.raises(PoseError, match=r"a\.bvh has .* in line \d+"):
        bvh.read(path)
