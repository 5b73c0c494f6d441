"""`d2m.data.formats.keypoints`: keypoints of a clip in one file, flat or in space, of MediaPipe with its own axes."""

import motions
import numpy as np
import pytest

from d2m.clock import frame_times
from d2m.data.formats import keypoints
from d2m.errors import D2MError, PoseError
from d2m.motion import pose


@pytest.fixture
def body(body_at) -> np.ndarray:
    return body_at(frame_times(20))


@pytest.mark.parametrize("layout", motions.LAYOUTS)
def test_keypoints_in_a_picture_are_read_with_y_up(tmp_path, body, layout):
    picture = motions.in_picture(body)
    points = motions.keypoints(picture, layout)
    path = motions.write_json(
        tmp_path / "a.json", fps=25, frames=20, keypoints=points, confidence=points[..., 0] * 0 + 1
    )
    joints, fps = keypoints.read_keypoint_json(path)
    np.testing.assert_allclose(joints, picture * (1, -1))
    assert fps == 25


def test_keypoints_in_space_are_read_as_they_are(tmp_path, body):
    path = motions.write_json(tmp_path / "a.json", fps=25, keypoints=motions.keypoints(body, "COCO"))
    np.testing.assert_allclose(keypoints.read_keypoint_json(path)[0], body)


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
