"""Every reader of 3D bodies turns them upright and says so: the same dance along any axis, in any unit and format."""

import json
import shutil
from pathlib import Path

import motions
import numpy as np
import pytest
from dolls import dance

from d2m.data import corpus, retarget, sources
from d2m.data.formats import aist, bvh, dance_with_melody, keypoints
from d2m.errors import CorpusError, PoseError
from d2m.motion import bvh as bvh_files
from d2m.motion import pose, skeleton
from d2m.motion.body import TO_Y, BodyWarning, own_up

WRONG_AXES = sorted(TO_Y)
FPS = 15


@pytest.fixture(scope="module")
def upright() -> np.ndarray:
    """Twelve seconds of a built-in dancer (180, 14, 3), its neck in the middle of its shoulders."""
    joints = dance(style="hip-hop", seconds=12.0).poses.astype(np.float64)
    joints[:, pose.NECK] = (joints[:, pose.R_SHOULDER] + joints[:, pose.L_SHOULDER]) / 2
    return joints


def laid(joints: np.ndarray, axis: str) -> np.ndarray:
    """Upright joints as a recording with another axis up."""
    return joints @ np.array(TO_Y[axis], dtype=float) if axis != "y" else joints


def _read_json(folder: Path, joints: np.ndarray, unit: float = 1.0) -> np.ndarray:
    points = motions.keypoints(joints * unit, "COCO")
    return keypoints.read_keypoint_json(motions.write_json(folder / "a.json", fps=FPS, keypoints=points))[0] / unit


def _read_world(folder: Path, joints: np.ndarray) -> np.ndarray:
    path = motions.write_json(folder / "a.json", fps=FPS, world_landmarks=motions.world_landmarks(joints))
    return keypoints.read_keypoint_json(path)[0]


def _read_bvh(folder: Path, joints: np.ndarray, skeleton_of=skeleton.SKELETON, root: tuple = ()) -> np.ndarray:
    place, angles = skeleton.to_angles(joints)
    values = np.concatenate([np.tile(root, (len(joints), 1)), place, angles.reshape(len(joints), -1)], axis=1)
    path = folder / "a.bvh"
    path.write_text(bvh_files.as_text(skeleton_of, values, FPS))
    return bvh.read(path)[0]


def _read_melody(folder: Path, joints: np.ndarray) -> np.ndarray:
    markers = np.zeros((len(joints), 23, 3))
    markers[:, [3, 4, 6, 12, 13, 15, 7, 8, 9, 16, 17, 18]] = joints[:, 2:] * 100
    markers[:, [0, 1]] = joints[:, :1] * 100
    motion = {"center": np.zeros((len(joints), 3)).tolist(), "skeletons": markers.tolist()}
    (folder / "skeletons.json").write_text(json.dumps(motion))
    return dance_with_melody.read_joints(folder / "skeletons.json")


READERS = {
    "keypoint JSON": _read_json,
    "in millimetres": lambda folder, joints: _read_json(folder, joints, 1000.0),
    "world landmarks": _read_world,
    "AIST++": lambda folder, joints: aist.read(motions.write_aist(folder, joints))[0],
    "BVH": _read_bvh,
    "Dance with Melody": _read_melody,
}


@pytest.mark.parametrize("axis", WRONG_AXES)
@pytest.mark.parametrize("reader", READERS)
def test_a_recording_along_another_axis_is_the_same_dance_and_it_is_said(tmp_path, upright, reader, axis, recwarn):
    expected = READERS[reader](tmp_path, upright)
    assert not recwarn.list  # nothing is said of an upright one
    with pytest.warns(BodyWarning, match=rf"{tmp_path.name}.*: its bodies have -?[xyz] up, not y"):
        turned = READERS[reader](tmp_path, laid(upright, axis))
    np.testing.assert_allclose(turned, expected, atol=1e-4)
    assert np.median(own_up(turned), axis=0)[1] > 0.95
    np.testing.assert_allclose(pose.bone_lengths(turned)[:, 8:], pose.bone_lengths(upright)[:, 8:], atol=1e-3)
    retarget.retarget(turned, FPS, reader)  # left is left: a mirror image would be refused


@pytest.mark.parametrize("reader", READERS)
def test_a_recording_between_two_axes_is_refused(tmp_path, upright, reader):
    between = upright @ (np.array([[1, 0, 0], [0, 1, 1], [0, -1, 1]]) / np.array([1, 2**0.5, 2**0.5]))
    with pytest.raises(PoseError, match=r"no clear axis that points up \(it seems to be"):
        READERS[reader](tmp_path, between)


@pytest.mark.parametrize("reader", ["keypoint JSON", "AIST++", "BVH"])
def test_a_mirror_image_is_refused(tmp_path, upright, reader):
    joints = READERS[reader](tmp_path, upright * (1, 1, -1))  # left-handed, as in Unity
    with pytest.raises(PoseError, match="take: its knees bend backwards"):
        retarget.retarget(joints, FPS, "take")


@pytest.mark.parametrize("reader", READERS)
def test_four_seconds_of_floor_work_and_handstand_stay(tmp_path, upright, reader, recwarn):
    some = upright.copy()
    some[20:50], some[90:120] = laid(upright[20:50], "z"), laid(upright[90:120], "-y")
    joints = READERS[reader](tmp_path, some)
    assert not recwarn.list
    about_hips = joints - pose.pelvis(joints)[:, None]
    limbs = slice(pose.R_SHOULDER, None)  # a nose in BVH is made from the median of the body
    np.testing.assert_allclose(about_hips[:, limbs], (some - pose.pelvis(some)[:, None])[:, limbs], atol=1e-3)


def _rooted(name: str = "World") -> list:
    """d2m's skeleton below a root that only turns, as some exporters write it."""
    root = skeleton.Joint(name, -1, (0, 0, 0), ("Xrotation", "Yrotation", "Zrotation"))
    return [root, *(skeleton.Joint(j.name, j.parent + 1, j.offset, j.channels, j.end) for j in skeleton.SKELETON)]


def test_a_root_that_turns_a_bvh_is_undone(tmp_path, upright):
    with pytest.warns(BodyWarning, match="have z up"):
        turned = _read_bvh(tmp_path, upright, _rooted(), (90.0, 0.0, 0.0))
    np.testing.assert_allclose(turned, upright, atol=1e-4)


@pytest.mark.parametrize(("frames", "named"), [(1, "first frame"), (5, "first 5 frames")])
def test_a_rest_pose_before_the_motion_of_a_bvh_does_not_tell_what_is_up(tmp_path, upright, frames, named):
    """The motion has z up; before it a still body stands with y up, as a T-pose does."""
    still = np.repeat(upright[:1], frames, axis=0)
    recorded = np.concatenate([still, laid(upright, "z")])
    with pytest.warns(BodyWarning) as said:
        joints = _read_bvh(tmp_path, recorded)
    assert [str(warning.message).partition("a.bvh: ")[2] for warning in said] == [
        f"the next pose replaces its {named}, a rest pose in another orientation",
        "its bodies have z up, not y; they were turned by a rotation (left stays left)",
    ]
    limbs = slice(pose.R_SHOULDER, None)
    np.testing.assert_allclose(joints[frames:, limbs], upright[:, limbs], atol=1e-4)
    np.testing.assert_array_equal(joints[:frames], np.repeat(joints[frames : frames + 1], frames, axis=0))


def test_a_rest_pose_that_is_upright_stays(tmp_path, upright, recwarn):
    still = np.repeat(upright[90:91], 5, axis=0)
    joints = _read_bvh(tmp_path, np.concatenate([still, upright]))
    assert not recwarn.list
    np.testing.assert_allclose(joints[:5, pose.R_SHOULDER :], still[:, pose.R_SHOULDER :], atol=1e-4)


@pytest.fixture
def folder(tmp_path, upright, melody_song) -> Path:
    """A folder with two dances with z up, and one upright."""
    root = tmp_path / "salsa"
    for name, axis in (("a", "z"), ("b", "-y"), ("c", "y")):
        motions.write_json(root / f"{name}.json", fps=FPS, keypoints=motions.keypoints(laid(upright, axis), "COCO"))
        shutil.copy(melody_song, root / f"{name}.mp3")
    return root


def test_a_corpus_says_what_was_turned_and_holds_upright_dances(folder, own_cache, capfd):
    built = corpus.open_corpus(str(folder), jobs=1)
    printed = capfd.readouterr().err
    assert "changed: a: keypoints of " in printed and "a.json: its bodies have z up, not y; they were turned" in printed
    assert "changed: b: " in printed and "changed: c" not in printed
    notes = {entry.name: entry.note for entry in built.entries}
    assert "z up" in notes["a"] and "-y up" in notes["b"] and notes["c"] == ""
    a, b, c = (built.load(entry)["poses"] for entry in built.entries)
    np.testing.assert_array_equal(a, c)
    np.testing.assert_array_equal(b, c)
    fallen = Path(shutil.copytree(built.folder, folder.parent / "fallen"))
    arrays = dict(np.load(fallen / "a.npz"))
    arrays["poses"] = laid(arrays["poses"], "z").astype(np.float32)
    np.savez(fallen / "a.npz", **arrays)
    with pytest.raises(CorpusError, match=r"a\.npz has poses with z up; expected y up; build the corpus again"):
        corpus.read(fallen).load(built.entries[0])


def test_pixels_and_fractions_of_a_picture_become_the_same_dance_by_the_size_from_any_place(
    tmp_path, upright, melody_song, write_sound
):
    """Of the file, of size.txt, of the video; in keypoint JSON and of OpenPose."""
    width, height = 64, 64  # of `write_sound`'s videos
    picture = motions.in_picture(upright) * (width / 1920, width / 1920) + (0, 20)
    part = picture / (width, height)
    as_json = motions.keypoints(part, "COCO")
    motions.write_json(tmp_path / "pixels.json", fps=FPS, keypoints=motions.keypoints(picture * 20, "COCO"))
    motions.write_json(tmp_path / "of_file.json", fps=FPS, size=[width, height], keypoints=as_json)
    motions.write_json(tmp_path / "text" / "of_text.json", fps=FPS, keypoints=as_json)
    motions.write_openpose(tmp_path / "text" / "open", part, name="open")
    (tmp_path / "text" / "size.txt").write_text(f"{width}x{height}\n")
    (tmp_path / "text" / "fps.txt").write_text(f"{FPS}")
    motions.write_json(tmp_path / "film" / "of_film.json", fps=FPS, keypoints=as_json)
    motions.write_json(tmp_path / "no_size.json", fps=FPS, keypoints=as_json)
    for name in ("pixels", "of_file", "text/of_text", "text/open", "no_size"):
        shutil.copy(melody_song, tmp_path / f"{name}.mp3")
    write_sound(tmp_path / "film" / "of_film.mp4", np.zeros(22050 * 6, dtype=np.float32), 22050)
    clips = {clip.path.name: clip for clip in sources.find(tmp_path)[0]}
    expected = sources.read(clips["pixels"]).poses
    for name in ("of_file", "of_text", "open", "of_film"):
        poses = sources.read(clips[name]).poses
        np.testing.assert_allclose(poses - poses[:1, :1], expected - expected[:1, :1], atol=1e-4, err_msg=name)
    with pytest.raises(
        PoseError, match=r"no_size\.json are fractions of a picture .* whose width and height are not k"
    ):
        sources.read(clips["no_size"])
    state = sources.state([clips["of_text"]])
    assert any(path.endswith("size.txt") for path, *_ in state)
