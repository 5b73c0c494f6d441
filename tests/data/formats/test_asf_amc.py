"""ASF and AMC: forward kinematics as worked out by hand, and a dance that is read back; what is wrong is refused."""

import re
import shutil
from pathlib import Path

import motions
import numpy as np
import pytest

from d2m.data import sources
from d2m.data.formats import asf_amc
from d2m.errors import D2MError
from d2m.motion import pose

# Bones as CMU names them, of d2m's own lengths so that nothing is scaled: name, parent, direction, metres.
BONES = (
    ("lhipjoint", "root", (1, 0, 0), 0.1), ("lfemur", "lhipjoint", (0, -1, 0), 0.43),
    ("ltibia", "lfemur", (0, -1, 0), 0.41), ("lfoot", "ltibia", (0, 0, 1), 0.15),
    ("rhipjoint", "root", (-1, 0, 0), 0.1), ("rfemur", "rhipjoint", (0, -1, 0), 0.43),
    ("rtibia", "rfemur", (0, -1, 0), 0.41), ("rfoot", "rtibia", (0, 0, 1), 0.15), ("thorax", "root", (0, 1, 0), 0.5),
    ("upperneck", "thorax", (0, 1, 0), 0.1), ("head", "upperneck", (0, 1, 0), 0.2),
    ("lclavicle", "thorax", (1, 0, 0), 0.17), ("lhumerus", "lclavicle", (1, 0, 0), 0.29),
    ("lradius", "lhumerus", (1, 0, 0), 0.25), ("lwrist", "lradius", (1, 0, 0), 0.05),
    ("rclavicle", "thorax", (-1, 0, 0), 0.17), ("rhumerus", "rclavicle", (-1, 0, 0), 0.29),
    ("rradius", "rhumerus", (-1, 0, 0), 0.25), ("rwrist", "rradius", (-1, 0, 0), 0.05),
)  # fmt: skip
DOF = {"lfemur": "rx ry rz", "ltibia": "rx", "lhumerus": "rx ry rz", "lradius": "ry"}
AXES = {"ltibia": "0 0 90", "lhumerus": "0 0 0", "lfemur": "0 0 0"}


def write(folder: Path, values: dict[str, str], axes=AXES, root="0 1 0 0 0 0", dof=DOF, frames: int = 2) -> Path:
    """An AMC of equal frames with the `values` of bones, others 0, and its ASF, in CMU's spelling and another unit."""
    data = [
        f"  begin\n     id {number}\n     name {name}\n     direction {' '.join(map(str, along))}\n"
        f"     length {10 * length}\n     axis {axes.get(name, '0 0 0')}  XYZ\n"
        + (f"    dof {dof[name]}\n    limits (-180.0 180.0)\n" if name in dof else "")
        + "  end"
        for number, (name, _, along, length) in enumerate(BONES, 1)
    ]
    parents = [f"    {parent} {name}" for name, parent, *_ in BONES]
    head = [
        "# AST/ASF file generated using VICON BodyLanguage", "# ---", ":version 1.10", ":name VICON", ":units",
        "  mass 1.0", "  length 0.45", "  angle deg", ":documentation", "   .ast/.asf automatically generated", ":root",
        "   order TX TY TZ RX RY RZ", "   axis XYZ", "   position 0 0 0  ", "   orientation 0 0 0 ", ":bonedata",
    ]  # fmt: skip
    (folder / "07.asf").write_text("\n".join([*head, *data, ":hierarchy", "  begin", *parents, "  end"]))
    spot, *turn = [float(word) for word in root.split()][:3], *root.split()[3:]
    frame = [f"root {' '.join(str(10 * number) for number in spot)} {' '.join(turn)}"]
    frame += [f"{name} {values.get(name, ' '.join('0' * len(free.split())))}" for name, free in dof.items()]
    lines = ["#!OML:ASF F:\\VICON\\07.ASF", ":FULLY-SPECIFIED", ":DEGREES"]
    for number in range(1, frames + 1):
        lines += [str(number), *frame]
    (folder / "07_01.amc").write_text("\r\n".join(lines) + "\r\n")
    return folder / "07_01.amc"


def read(path: Path) -> np.ndarray:
    """Joints (14, 3) of the first frame."""
    return asf_amc.read([path, *asf_amc.skeleton_of(path)])[0][0]


def of(body: np.ndarray, name: str) -> np.ndarray:
    return body[pose.JOINTS.index(name)]


REST = {
    "left hip": (0.1, 1, 0), "left knee": (0.1, 0.57, 0), "left ankle": (0.1, 0.16, 0), "right hip": (-0.1, 1, 0),
    "left shoulder": (0.17, 1.5, 0), "left elbow": (0.46, 1.5, 0), "left wrist": (0.71, 1.5, 0), "neck": (0, 1.5, 0),
    "right wrist": (-0.71, 1.5, 0), "right ankle": (-0.1, 0.16, 0),
}  # fmt: skip
BY_HAND = {
    "rest": ({}, {}),
    # The thigh points down; rx turns y to z: it points back, as does the shin.
    "a thigh": ({"lfemur": "90 0 0"}, {"left knee": (0.1, 1, -0.43), "left ankle": (0.1, 1, -0.84)}),
    # First rx, to the back; then rz, which leaves z: in the other order it would point to the left.
    "the order": ({"lfemur": "90 0 90"}, {"left knee": (0.1, 1, -0.43), "left ankle": (0.1, 1, -0.84)}),
    "rz alone": ({"lfemur": "0 0 90"}, {"left knee": (0.53, 1, 0), "left ankle": (0.94, 1, 0)}),
    # The axis of the shin is turned by 90 degrees about z: its rx turns about y, along which it lies. Nothing moves.
    "a turned axis": ({"ltibia": "30"}, {}),
    # A thigh to the left carries the shin; the shin turns about the y of its rest, along which it lies: no more moves.
    "in the parent's frame": (
        {"lfemur": "0 0 90", "ltibia": "90"}, {"left knee": (0.53, 1, 0), "left ankle": (0.94, 1, 0)},
    ),
    "an arm": ({"lhumerus": "0 0 90"}, {"left elbow": (0.17, 1.79, 0), "left wrist": (0.17, 2.04, 0)}),
    # ry turns x to -z; the upper arm is raised, the forearm turns about the y that is now -x: it stays back.
    "a forearm": (
        {"lhumerus": "0 0 90", "lradius": "90"}, {"left elbow": (0.17, 1.79, 0), "left wrist": (0.17, 1.79, -0.25)},
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", BY_HAND)
def test_joints_are_where_they_are_by_hand(tmp_path, kind):
    values, moved = BY_HAND[kind]
    body = read(write(tmp_path, values))
    for name, place in (REST | moved).items():
        np.testing.assert_allclose(of(body, name), place, atol=1e-9, err_msg=name)


def test_the_axis_of_a_bone_turns_the_axis_that_it_turns_about(tmp_path):
    straight = read(write(tmp_path, {"ltibia": "90"}, axes={}))
    np.testing.assert_allclose(of(straight, "left ankle"), (0.1, 0.57, -0.41), atol=1e-9)
    turned = read(write(tmp_path, {"ltibia": "90"}, axes={"ltibia": "0 90 0"}))  # its x is the world's -z
    np.testing.assert_allclose(of(turned, "left ankle"), (0.1 - 0.41, 0.57, 0), atol=1e-9)


def test_the_root_is_placed_and_turns_the_whole_body(tmp_path):
    body = read(write(tmp_path, {}, root="2 1 3 0 90 0"))  # x becomes -z
    np.testing.assert_allclose(of(body, "left wrist"), (2, 1.5, 3 - 0.71), atol=1e-9)
    np.testing.assert_allclose(of(body, "left ankle"), (2, 0.16, 2.9), atol=1e-9)
    assert of(body, "nose")[0] > 2.05  # a body that faces z now faces x


def test_a_dance_written_with_random_axes_is_read_back(tmp_path, body_at):
    body = body_at(np.arange(60) / 15)
    path = motions.write_acclaim(tmp_path, body)
    joints, fps = asf_amc.read([path, *asf_amc.skeleton_of(path)])
    np.testing.assert_allclose(joints, body, atol=1e-9)
    assert fps is None


@pytest.mark.parametrize(("names", "expected"), [
    (["07.asf", "08.asf"], "07.asf"), (["07_01.ASF", "07.asf"], "07_01.ASF"), (["other.asf"], "other.asf"),
    (["a.asf", "b.asf"], None), ([], None), (["../07.asf"], "../07.asf"), (["../07.asf", "only.asf"], "only.asf"),
    (["../../07.asf"], None),
])  # fmt: skip
def test_the_skeleton_of_a_motion_is_that_of_its_name_or_the_only_one(tmp_path, names, expected):
    folder = tmp_path / "a" / "b"
    folder.mkdir(parents=True)
    for name in names:
        (folder / name).write_text("# a comment\n:version 1.10\n:units\n")
    (folder / "film.asf").write_bytes(bytes.fromhex("3026b2758e66cf11") + b":version :units")  # a video is none
    found = [path for path in asf_amc.skeleton_of(folder / "07_01.amc") if path.name != "film.asf"]
    assert found == ([(folder / expected).resolve()] if expected else [])


def test_a_folder_of_motions_of_one_skeleton_is_read_by_the_frame_rate_of_fps_txt(tmp_path, body_at, melody_song):
    for number in (1, 2):
        motions.write_acclaim(tmp_path / "salsa", body_at(np.arange(600) / 120), f"01_0{number}")
        shutil.copy(melody_song, tmp_path / "salsa" / f"01_0{number}.mp3")
    clips, others = sources.find(tmp_path)
    assert [(clip.format, clip.path.name) for clip in clips] == [("ASF/AMC", "01_01"), ("ASF/AMC", "01_02")]
    assert others == []
    with pytest.raises(D2MError, match=r"frame rate of .*01_01 is unknown; expected a file fps\.txt"):
        sources.read(clips[0])
    (tmp_path / "fps.txt").write_text("120")
    clip = sources.read(clips[0])
    assert clip.style == "salsa"
    np.testing.assert_allclose(clip.poses, body_at(np.arange(75) / 15), atol=2e-4)
    before = sources.state(clips)
    (tmp_path / "salsa" / "01.asf").write_text("changed")
    assert sources.state(clips) != before


def test_one_without_the_other_is_said(tmp_path, melody_song):
    path = write(tmp_path, {})
    shutil.copy(melody_song, tmp_path / "07_01.mp3")
    (tmp_path / "07.asf").rename(tmp_path / "07.txt")
    ((files,), _) = sources.find(tmp_path)
    with pytest.raises(D2MError, match=r"07_01\.amc has no skeletons; expected one \.asf beside it"):
        sources.read(files)
    path.unlink()
    (tmp_path / "07.txt").rename(tmp_path / "07.asf")
    clips, others = sources.find(tmp_path)
    assert clips == [] and [other.name for other in others] == ["07.asf", "07_01.mp3"]


WRONG_SKELETON = {
    "radians": ("angle deg", "angle rad", "has angles in 'rad'"),
    "another degree of freedom": ("dof rx\n", "dof rx l\n", "'ltibia' has a wrong field"),
    "moved bones": ("dof rx\n", "dof tx\n", "'ltibia' has a wrong field"),
    "another order": ("dof rx ry rz", "dof rz ry rx", "rotations in the order of its axis"),
    "no length": ("length 4.3", "lengths 4.3", "'lfemur' has a wrong field"),
    "no number": ("direction 0 -1 0", "direction 0 -1 x", "'lfemur' has a wrong field"),
    "not a number": ("direction 0 -1 0", "direction 0 -1 nan", "'lfemur' has a wrong field"),
    "an endless length": ("length 4.3", "length 1e300", "'lfemur' has a wrong field"),
    "two directions": ("direction 0 -1 0", "direction 0 -1", "'lfemur' has a wrong field"),
    "another axis": ("axis 0 0 90  XYZ", "axis 0 0 90  XYY", "'ltibia' has a wrong field"),
    "an unknown bone": ("root lhipjoint", "root tail", "has a wrong parent"),
    "a circle": ("ltibia lfoot", "ltibia lfemur", "has a wrong parent"),
    "no knee": ("name ltibia", "name shin", "has no bone 'ltibia'"),
    "no root": ("order TX TY TZ RX RY RZ", "", "'root' has a wrong field"),
}  # fmt: skip
WRONG_MOTION = {
    "radians": (":DEGREES", ":RADIANS", "angles in radians"),
    "a frame left out": ("\n2\n", "\n3\n", "has '3' in line 10; expected the number of the next frame"),
    "an unknown bone": ("lradius 0", "rradius 0", "has 'rradius 0' in line 9; expected values of lradius"),
    "too many values": ("ltibia 0", "ltibia 0 0", "has 'ltibia 0 0' in line 7"),
    "a text": ("ltibia 0", "ltibia x", "has 'ltibia x' in line 7"),
    "no number": ("ltibia 0", "ltibia nan", "has 'ltibia nan' in line 7"),
    "a bone twice": ("lradius 0", "ltibia 0", "has 'ltibia 0' in line 9"),
    "one frame": ("\n2\n", "\n#", "in line 11; expected the number of the next frame"),
}  # fmt: skip


@pytest.mark.parametrize("kind", WRONG_SKELETON)
def test_a_wrong_skeleton_is_refused_by_name(tmp_path, kind):
    before, after, reason = WRONG_SKELETON[kind]
    path = write(tmp_path, {})
    text = (tmp_path / "07.asf").read_text()
    assert before in text
    (tmp_path / "07.asf").write_text(text.replace(before, after, 1))
    with pytest.raises(D2MError, match=rf"07\.asf.*{re.escape(reason)}"):
        read(path)


@pytest.mark.parametrize("kind", WRONG_MOTION)
def test_a_wrong_motion_is_refused_by_name_and_line(tmp_path, kind):
    before, after, reason = WRONG_MOTION[kind]
    path = write(tmp_path, {})
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after, 1))
    with pytest.raises(D2MError, match=rf"07_01\.amc.*{re.escape(reason)}"):
        read(path)


@pytest.mark.parametrize("lines", [3, 4, 8, 10])
def test_a_motion_that_breaks_off_is_refused(tmp_path, lines):
    path = write(tmp_path, {})
    path.write_text("\n".join(path.read_text().splitlines()[:lines]))
    with pytest.raises(D2MError, match=r"07_01\.amc has [01] frames, or ends within one"):
        read(path)
