"""`d2m.data.formats.keypoints`: every layout by the names of its joints, keypoint JSON, and OpenPose's folders."""

import json
from pathlib import Path

import motions
import numpy as np
import pytest

from d2m.clock import frame_times
from d2m.data import sources
from d2m.data.formats import keypoints
from d2m.errors import D2MError, PoseError
from d2m.motion import pose
from d2m.motion.body import recorded


@pytest.fixture
def body(body_at) -> np.ndarray:
    return body_at(frame_times(20))


@pytest.fixture
def picture(body_at) -> np.ndarray:
    """A dancer in the picture, 20 frames of pixels."""
    return motions.in_picture(body_at(frame_times(20)))


def files(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


@pytest.mark.parametrize("layout", motions.LAYOUTS)
@pytest.mark.parametrize("dimensions", [2, 3])
def test_every_layout_gives_the_joints_by_their_names(body_at, layout, dimensions):
    body = body_at(np.arange(5) / 15)[..., :dimensions]
    joints = keypoints.to_joints(motions.keypoints(body, layout))
    np.testing.assert_allclose(joints, body, atol=1e-12)
    assert keypoints.NAMES[len(motions.LAYOUTS[layout])] == layout


def test_a_keypoint_of_low_confidence_is_a_missing_joint_and_so_is_a_neck_between_two_of_which_one_is_missing(body_at):
    points = motions.keypoints(body_at(np.arange(3) / 15), "COCO")
    confidence = np.ones(points.shape[:2])
    confidence[1, 5] = 0.19  # the left shoulder
    confidence[2, 10] = np.nan  # the right wrist
    missing = np.argwhere(np.isnan(keypoints.to_joints(points, confidence)).any(axis=2)).tolist()
    assert missing == [[1, 1], [1, 5], [2, 4]]
    confidence[1, 5] = 0.2
    assert np.isnan(keypoints.to_joints(points, confidence)).any(axis=2).sum() == 1


@pytest.mark.parametrize("shape", [(5, 16, 2), (5, 17, 5), (5, 17), (5, 34, 3), (17, 3, 5), (0,)])
def test_other_shapes_are_no_keypoints(shape):
    with pytest.raises(PoseError, match=r"a\.json have shape .* 17 \(COCO\), 18 \(COCO-18\), 25 \(BODY_25\), 26 \(Hal"):
        keypoints.to_joints(np.zeros(shape), source="keypoints of a.json")


def test_a_confidence_of_another_shape_is_refused():
    with pytest.raises(PoseError, match=r"confidence of a\.json has shape \(5, 16\)"):
        keypoints.to_joints(np.zeros((5, 17, 2)), np.zeros((5, 16)), "a.json")


@pytest.mark.parametrize("layout", motions.LAYOUTS)
def test_keypoints_in_a_picture_are_read_with_y_up(tmp_path, body, layout):
    picture = motions.in_picture(body)
    points = motions.keypoints(picture, layout)
    confidence = np.ones(points.shape[:2])
    path = motions.write_json(tmp_path / "a.json", fps=25, frames=20, keypoints=points, confidence=confidence)
    joints, fps = keypoints.read_keypoint_json(path)
    np.testing.assert_allclose(joints, picture * (1, -1))
    assert fps == 25


def test_world_landmarks_are_turned_upright_and_stand_on_the_floor(tmp_path, body):
    body[10:, :, 1] += 0.1  # a leap, which world landmarks do not contain
    path = motions.write_json(
        tmp_path / "a.json", fps=25, keypoints=motions.keypoints(motions.in_picture(body), "MediaPipe"),
        world_landmarks=motions.world_landmarks(body),
    )  # fmt: skip
    joints, _ = keypoints.read_keypoint_json(path)
    np.testing.assert_allclose(joints[:, (pose.R_ANKLE, pose.L_ANKLE), 1], 0, atol=1e-12)
    about_hips = joints - pose.pelvis(joints)[:, None]
    np.testing.assert_allclose(about_hips, body - pose.pelvis(body)[:, None], atol=1e-12)
    np.testing.assert_allclose(np.unwrap(pose.yaw(joints)), 0.5 * frame_times(20), atol=1e-9)  # it turns the same way


def test_the_floor_is_under_the_foot_that_is_seen(tmp_path, body):
    confidence = np.ones((20, 33))
    confidence[5, 27] = 0  # the left ankle
    path = motions.write_json(
        tmp_path / "a.json", fps=25, world_landmarks=motions.world_landmarks(body), confidence=confidence
    )
    joints, _ = keypoints.read_keypoint_json(path)
    assert np.argwhere(np.isnan(joints).any(axis=2)).tolist() == [[5, pose.L_ANKLE]]
    assert joints[5, pose.R_ANKLE, 1] == 0


def test_a_frame_in_which_nobody_is_found_is_null(tmp_path, body):
    points = motions.keypoints(body, "COCO").tolist()
    points[0] = points[7] = None
    points[3][9] = [None, None, None]
    joints, _ = keypoints.read_keypoint_json(motions.write_json(tmp_path / "a.json", fps=25, keypoints=points))
    missing = np.isnan(joints).any(axis=2)
    assert np.flatnonzero(missing.all(axis=1)).tolist() == [0, 7] and np.flatnonzero(missing[3]).tolist() == [7]
    np.testing.assert_allclose(joints[~missing], body[~missing])


BROKEN = {
    "no keypoints": {}, "text": {"keypoints": "x"}, "a number": {"keypoints": 5}, "empty": {"keypoints": []},
    "null frames": {"keypoints": [None, None]}, "ragged": {"keypoints": [[[1, 2]], [[1, 2], [3, 4]]]},
    "16 keypoints": {"keypoints": [[[1, 2]] * 16] * 3}, "too large": {"keypoints": [[[10**400, 2]] * 17] * 3},
    "frames": {"keypoints": [[[1, 2]] * 17] * 3, "frames": 4},
    "confidence": {"keypoints": [[[1, 2]] * 17] * 3, "confidence": [[1] * 17] * 2},
    "words": {"keypoints": [[["a", "b"]] * 17] * 3}, "an object": {"keypoints": {"a": 1}},
    "world of 17": {"world_landmarks": [[[1, 2, 3]] * 17] * 3}, "flat world": {"world_landmarks": [[[1, 2]] * 33] * 3},
}  # fmt: skip


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN)
def test_a_file_that_holds_no_keypoints_is_refused_by_name(tmp_path, content):
    with pytest.raises(D2MError, match=r"broken\.json"):
        keypoints.read_keypoint_json(motions.write_json(tmp_path / "broken.json", fps=25, **content))


@pytest.mark.parametrize("name", ["keypoints", "world_landmarks"])
def test_a_video_in_which_nobody_is_ever_found_is_refused_for_that(tmp_path, name):
    with pytest.raises(PoseError, match=r"nobody\.json has nobody"):
        keypoints.read_keypoint_json(motions.write_json(tmp_path / "nobody.json", fps=25, **{name: [None, None]}))


@pytest.mark.parametrize(
    ("start", "is_one"),
    [(b'{"fps": 30, "keypoints": [[', True), (b' {\n"world_landmarks": [', True), (b'{"confidence": [', True),
     (b'{"format": "d2m dance 1", "keypoints"', False), (b'{"camera": "c01", "matrix"', False), (b"", False),
     (b"\x80\x04keypoints", False)],
)  # fmt: skip
def test_a_file_is_recognised_by_how_it_begins(tmp_path, start, is_one):
    assert keypoints.is_keypoint_json(tmp_path / "a.json", start) == is_one


@pytest.mark.parametrize("layout", ["BODY_25", "COCO-18"])
def test_a_folder_is_read_as_it_was_written_with_y_up(tmp_path, picture, layout):
    joints, fps = keypoints.read_openpose(files(motions.write_openpose(tmp_path / "a", picture, layout)))
    np.testing.assert_allclose(joints, picture * (1, -1), atol=1e-9)
    assert fps is None


def test_what_was_not_found_is_missing_and_so_is_a_guess(tmp_path, picture):
    picture[3, 4] = np.nan
    joints, _ = keypoints.read_openpose(files(motions.write_openpose(tmp_path / "a", picture)))
    assert np.argwhere(np.isnan(joints).any(axis=2)).tolist() == [[3, 4]]
    joints, _ = keypoints.read_openpose(files(motions.write_openpose(tmp_path / "b", picture, confidence=0.1)))
    assert np.isnan(joints).all()


def test_a_frame_without_a_file_or_without_people_is_missing(tmp_path, picture):
    folder = motions.write_openpose(tmp_path / "a", picture)
    files(folder)[5].unlink()
    files(folder)[9].write_text('{"version": 1.3, "people": []}')
    joints, _ = keypoints.read_openpose(files(folder))
    assert np.flatnonzero(np.isnan(joints).all(axis=(1, 2))).tolist() == [5, 10] and len(joints) == 20


def test_the_same_person_is_followed_whatever_the_order_of_the_list(tmp_path, picture):
    """The dancer is listed first at times, and others walk through the picture."""
    folder = motions.write_openpose(tmp_path / "a", picture, others=(picture + 400,))
    for path in files(folder)[::2]:
        content = json.loads(path.read_text())
        path.write_text(json.dumps(content | {"people": content["people"][::-1]}))
    # Of two people of equal confidence the first in the list is taken: in frame 0 the dancer.
    joints, _ = keypoints.read_openpose(files(folder))
    np.testing.assert_allclose(joints, picture * (1, -1), atol=1e-9)


def test_who_is_found_most_surely_is_followed(tmp_path, picture):
    folder = motions.write_openpose(tmp_path / "a", picture, others=(picture + 400,))
    first = files(folder)[0]
    content = json.loads(first.read_text())
    content["people"][0]["pose_keypoints_2d"][2] = 0.3  # a nose of another
    first.write_text(json.dumps(content))
    np.testing.assert_allclose(keypoints.read_openpose(files(folder))[0], picture * (1, -1), atol=1e-9)


def test_the_first_versions_of_openpose_are_read_too(tmp_path, picture):
    folder = motions.write_openpose(tmp_path / "a", picture, "COCO-18")
    for path in files(folder):
        path.write_text(path.read_text().replace("pose_keypoints_2d", "pose_keypoints"))
    np.testing.assert_allclose(keypoints.read_openpose(files(folder))[0], picture * (1, -1), atol=1e-9)


@pytest.mark.parametrize(
    ("name", "clip"),
    [("a_000000000012_keypoints.json", "a"), ("my.film 2_0007_keypoints.json", "my.film 2"), ("12.json", "folder"),
     ("000000000012_keypoints.json", "folder"), ("a\nb_1_keypoints.json", "a\nb"), ("notes.json", "folder")],
)  # fmt: skip
def test_files_of_one_video_are_one_clip(tmp_path, name, clip):
    assert keypoints.openpose_clip(tmp_path / "folder" / name) == tmp_path / "folder" / clip


def test_the_songs_name_is_the_videos_or_the_folders():
    assert keypoints.openpose_songs(Path("x/folder/video")) == ("video", "folder")


def people(*lists) -> str:
    return json.dumps({"people": [{"pose_keypoints_2d": values} for values in lists]})


BROKEN_FRAMES = {
    "half": '{"version": 1.3, "people": [{"pose', "no people": "{}", "a number": '{"people": 5}',
    "null": '{"people": null}',
    "no keypoints": '{"people": [{}]}', "74 numbers": people([0.5] * 74), "20 keypoints": people([0.5] * 60),
    "text": people(["x"] * 75), "too large": people([10**400] * 75), "a list": "[]", "ragged": people([[1], [2, 3]]),
    "deep": "[" * 100_000,
}  # fmt: skip


@pytest.mark.parametrize("content", BROKEN_FRAMES.values(), ids=BROKEN_FRAMES)
def test_a_broken_frame_is_refused_by_name(tmp_path, picture, content):
    folder = motions.write_openpose(tmp_path / "a", picture)
    files(folder)[7].write_text(content)
    with pytest.raises(D2MError, match=r"clip_000000000007_keypoints\.json"):
        keypoints.read_openpose(files(folder))


@pytest.mark.parametrize(
    "name", ["clip_keypoints.json", "clip_9999999999999_keypoints.json", "clip_9999999_keypoints.json"]
)
def test_a_file_that_names_no_frame_is_refused_by_name(tmp_path, picture, name):
    folder = motions.write_openpose(tmp_path / "a", picture)
    files(folder)[7].rename(folder / name)
    with pytest.raises(D2MError, match=f"{name} names no frame"):
        keypoints.read_openpose(files(folder))


def test_two_files_of_one_frame_are_refused(tmp_path, picture):
    folder = motions.write_openpose(tmp_path / "a", picture)
    (folder / "clip_7_keypoints.json").write_text(files(folder)[7].read_text())
    with pytest.raises(D2MError, match=r"clip_7_keypoints\.json and clip_000000000007_keypoints\.json are the same"):
        keypoints.read_openpose(files(folder))


@pytest.mark.parametrize("start", [0, 3])
def test_every_second_frame_of_openpose_or_a_json_is_at_the_videos_time(tmp_path, body_at, melody_song, start):
    times_s = (2 * np.arange(75) + start) / 30
    body = body_at(times_s)
    (tmp_path / "fps.txt").write_text("30")
    folder = motions.write_openpose(tmp_path / "take", motions.in_picture(body), name="take", step=2)
    for path in sorted(folder.iterdir(), reverse=True):
        number = int(path.stem.split("_")[1]) + start
        path.rename(folder / f"take_{number:012d}_keypoints.json")
    frames = [None] * (149 + start)
    frames[start::2] = motions.keypoints(body, "COCO").tolist()
    motions.write_json(tmp_path / "whole.json", keypoints=frames)
    frames[start::2] = motions.world_landmarks(body).tolist()
    motions.write_json(tmp_path / "world.json", world_landmarks=frames)
    for name in ("take", "whole", "world"):
        (tmp_path / f"{name}.mp3").write_bytes(melody_song.read_bytes())
    with recorded() as changes:
        flat, whole, world = (sources.read(clip) for clip in sources.find(tmp_path)[0])
    assert len(changes) == 3 and all("one of 2 frames shows somebody" in change for change in changes)
    truth = body_at(start / 30 + np.arange(75) / 15)  # at the times of the frames, since 30 / 2 is 15
    for clip in (flat, whole, world):
        assert len(clip.poses) == 75 and clip.start_s == pytest.approx(start / 30)
    np.testing.assert_allclose(whole.poses, truth, atol=2e-4)
    shift = truth[:1, :1, :2]
    np.testing.assert_allclose(flat.poses - flat.poses[:1, :1], truth[..., :2] - shift, atol=1e-3)
    alone = keypoints.read_keypoint_json(
        motions.write_json(tmp_path / "alone.json", world_landmarks=motions.world_landmarks(body))
    )[0]
    every = keypoints.read_keypoint_json(tmp_path / "world.json")[0]
    np.testing.assert_allclose(every[start::2], alone)  # root motion too
    assert np.isnan(np.delete(every, np.s_[start::2], axis=0)).all()
