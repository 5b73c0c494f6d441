"""SMPL: the joints of motions of AIST++ agree with matrices multiplied one by one, and turn as worked out by hand."""

import shutil

import motions
import numpy as np
import pytest

from d2m.data import sources
from d2m.data.formats import aist
from d2m.errors import D2MError
from d2m.motion import pose

NUMBER = {name: number for number, (name, _) in enumerate(motions.SMPL)}
REST = np.zeros((24, 3))  # metres: the joints of the mean body, pelvis at the origin
for joint, (_, parent, offset) in enumerate(aist.REST):
    REST[joint] = np.array(offset) / 1000 + (REST[parent] if parent >= 0 else 0)
QUARTER = np.pi / 2


def joints(**turned: tuple) -> np.ndarray:
    """Joints (14, 3) where SMPL's joints are turned by rotation vectors; names have "_" for blanks."""
    poses = np.zeros((2, 24, 3))
    for name, vector in turned.items():
        poses[:, NUMBER[name.replace("_", " ")]] = vector
    return aist.smpl_joints(poses, np.zeros((2, 3)), 1.0, "a")[0]


def of(body: np.ndarray, name: str) -> np.ndarray:
    return body[pose.JOINTS.index(name)]


def rodrigues(vector: np.ndarray) -> np.ndarray:
    """The matrix of a rotation vector, from its definition."""
    angle = np.linalg.norm(vector)
    x, y, z = vector / (angle or 1)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


def test_the_tree_is_that_of_smpl():
    assert [(joint.name.replace("spine ", "spine"), joint.parent) for joint in aist.SKELETON] == list(motions.SMPL)


def test_the_mean_body_is_symmetric_to_2_cm_and_has_the_proportions_of_a_person():
    mirrored = [NUMBER[name.replace("left", "RIGHT").replace("right", "left").replace("RIGHT", "right")]
                for name, _ in motions.SMPL]  # fmt: skip
    np.testing.assert_allclose(REST[mirrored] * (-1, 1, 1), REST, atol=0.025)
    lengths = pose.bone_lengths(joints()[None])[0]
    assert lengths[8:].sum() / 2 == pytest.approx(0.81, abs=0.02)  # thigh and calf
    np.testing.assert_allclose(lengths[1:] / pose.BONE_LENGTHS[1:], 1, atol=0.25)  # but hips, which SMPL has closer


def test_at_rest_the_joints_are_those_of_the_mean_body_upright_and_facing_z():
    body = joints()
    for name in pose.JOINTS[2:]:
        np.testing.assert_allclose(of(body, name), REST[NUMBER[name]])
    np.testing.assert_allclose(of(body, "neck"), (REST[NUMBER["left shoulder"]] + REST[NUMBER["right shoulder"]]) / 2)
    np.testing.assert_allclose(of(body, "nose"), REST[NUMBER["head"]] + (0, 0.05, 0.1))
    assert pose.yaw(body[None]) == pytest.approx(0, abs=0.05)


def test_a_quarter_turn_about_y_turns_the_body_to_its_left():
    turned = np.stack([REST[:, 2], REST[:, 1], -REST[:, 0]], axis=1)  # z becomes x, x becomes -z
    body = joints(pelvis=(0, QUARTER, 0))
    for name in pose.JOINTS[2:]:
        np.testing.assert_allclose(of(body, name), turned[NUMBER[name]], atol=1e-12)


def test_a_knee_bent_by_a_quarter_carries_the_ankle_alone():
    body, rest = joints(left_knee=(QUARTER, 0, 0)), joints()
    x, y, z = REST[NUMBER["left ankle"]] - REST[NUMBER["left knee"]]
    np.testing.assert_allclose(of(body, "left ankle"), REST[NUMBER["left knee"]] + (x, -z, y), atol=1e-12)
    assert of(body, "left ankle")[2] < -0.4  # behind: a knee bends so
    others = [name for name in pose.JOINTS if name != "left ankle"]
    np.testing.assert_allclose([of(body, name) for name in others], [of(rest, name) for name in others], atol=1e-12)


def test_a_motion_agrees_with_matrices_multiplied_one_by_one():
    rng = np.random.default_rng(0)
    poses, trans = rng.normal(size=(5, 72)), rng.normal(size=(5, 3)) * 90
    body = aist.smpl_joints(poses, trans, 90.0, "a")
    for frame in range(5):
        matrices, places = [], []
        for number, (_, parent) in enumerate(motions.SMPL):
            matrix = rodrigues(poses[frame, 3 * number : 3 * number + 3])
            if parent < 0:
                matrices.append(matrix)
                places.append(trans[frame] / 90)
            else:
                matrices.append(matrices[parent] @ matrix)
                places.append(places[parent] + matrices[parent] @ (REST[number] - REST[parent]))
        for name in pose.JOINTS[2:]:
            np.testing.assert_allclose(of(body[frame], name), places[NUMBER[name]], atol=1e-12)
        head = NUMBER["head"]
        np.testing.assert_allclose(of(body[frame], "nose"), places[head] + matrices[head] @ (0, 0.05, 0.1), atol=1e-12)


def test_chunks_of_frames_change_nothing(monkeypatch):
    poses = np.random.default_rng(1).normal(size=(10, 72))
    whole = aist.smpl_joints(poses, np.zeros((10, 3)), 1.0, "a")
    monkeypatch.setattr(aist, "CHUNK", 3)
    np.testing.assert_allclose(aist.smpl_joints(poses, np.zeros((10, 3)), 1.0, "a"), whole, atol=1e-12)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e300])
def test_a_frame_with_a_number_that_is_none_is_missing(value):
    poses, trans = np.zeros((3, 72)), np.zeros((3, 3))
    poses[1, 40] = value
    body = aist.smpl_joints(poses, trans, 1.0, "a")
    assert np.isnan(body[1]).all() and np.isfinite(body[[0, 2]]).all()


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("scaling", [np.array([93.8], dtype=np.float32), np.float32(93.8)])
def test_a_motion_of_aist_is_read_from_a_pickle_in_metres_at_60_fps(tmp_path, protocol, scaling):
    trans = np.arange(30).reshape(10, 3)
    content = {"smpl_trans": trans, "smpl_scaling": scaling}
    path = motions.write_smpl(tmp_path, np.zeros((10, 24, 3)), protocol=protocol, **content)
    assert aist.recognises(path, path.read_bytes()[:4096])
    body, fps = aist.read(path)
    expected = joints() + trans[:, None] / np.float64(np.float32(93.8))
    np.testing.assert_allclose(body, expected, atol=1e-9)
    assert fps == 60


def test_a_folder_of_motions_is_read_with_song_and_style_and_the_clock_is_right(tmp_path, melody_song):
    times_s = np.arange(300) / 60
    poses = np.zeros((300, 24, 3))
    poses[:, NUMBER["right shoulder"], 1] = 0.8 * np.sin(times_s)  # the right arm swings forward and back
    motions.write_smpl(tmp_path / "motions", poses)
    (tmp_path / "music").mkdir()
    shutil.copy(melody_song, tmp_path / "music" / "mBR0.mp3")
    ((files,), others) = sources.find(tmp_path)
    clip = sources.read(files)
    assert (files.format, clip.style, clip.song.name, others) == ("AIST++", "break", "mBR0.mp3", [])
    assert clip.poses.shape == (75, 14, 3)
    arm = clip.poses[:, pose.R_ELBOW] - clip.poses[:, pose.R_SHOULDER]
    swing = np.unwrap(np.arctan2(arm[:, 2], -arm[:, 0]))
    np.testing.assert_allclose(swing - swing[0], 0.8 * np.sin(np.arange(75) / 15), atol=0.02)


def test_where_keypoints_are_there_too_they_are_read_and_the_clip_counts_once(tmp_path, body_at, melody_song):
    name = "gBR_sBM_cAll_d04_mBR0_ch01"
    motions.write_smpl(tmp_path / "motions", np.zeros((300, 24, 3)), name)
    motions.write_smpl(tmp_path / "motions", np.zeros((300, 24, 3)), "gBR_sBM_cAll_d04_mBR0_ch02")
    motions.write_aist(tmp_path / "keypoints3d", body_at(np.arange(300) / 60), name)
    shutil.copy(melody_song, tmp_path / "mBR0.mp3")
    clips, others = sources.find(tmp_path)
    assert [clip.path.name[-4:] for clip in clips] == ["ch01", "ch02"] and others == []
    assert sorted(map(len, (clip.files for clip in clips))) == [1, 2]
    np.testing.assert_allclose(sources.read(clips[0]).poses, body_at(np.arange(75) / 15), atol=2e-4)


WRONG = {
    "of EDGE": ({"smpl_scaling": None}, "has no smpl_scaling"),
    "no translation": ({"smpl_trans": None}, "has no smpl_trans"),
    "of another length": ({"smpl_trans": np.zeros((9, 3))}, r"shapes \(10, 72\) and \(9, 3\)"),
    "SMPL-H": ({"smpl_poses": np.zeros((10, 156))}, r"shapes \(10, 156\)"),
    "empty": ({"smpl_poses": np.zeros((0, 72)), "smpl_trans": np.zeros((0, 3))}, r"shapes \(0, 72\)"),
    "scaled by 0": ({"smpl_scaling": np.zeros(1)}, r"smpl_scaling of .* is \[0\.0\]"),
    "scaled by nothing": ({"smpl_scaling": np.array([np.nan])}, r"smpl_scaling of .* is \[nan\]"),
    "scaled by two": ({"smpl_scaling": np.ones(2)}, r"smpl_scaling of .* is \[1\.0, 1\.0\]"),
}  # fmt: skip


@pytest.mark.parametrize("kind", WRONG)
def test_another_motion_is_refused_by_the_files_name(tmp_path, kind):
    content, reason = WRONG[kind]
    path = motions.write_smpl(tmp_path, np.zeros((10, 24, 3)), "dance", **content)
    with pytest.raises(D2MError, match=rf"(dance\.pkl.*)?{reason}"):
        aist.read(path)
