"""`d2m.data.formats.keypoints`: folders of one JSON a frame, of either model, with people who come and go."""

import json
from pathlib import Path

import motions
import numpy as np
import pytest

from d2m.clock import frame_times
from d2m.data.formats import keypoints
from d2m.errors import D2MError


@pytest.fixture
def picture(body_at) -> np.ndarray:
    """A dancer in the picture, 20 frames of pixels."""
    return motions.in_picture(body_at(frame_times(20)))


def files(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


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
    # Of two who are found as surely it is the one who is listed first, in frame 0 the dancer.
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


BROKEN = {
    "half": '{"version": 1.3, "people": [{"pose', "no people": "{}", "a number": '{"people": 5}',
    "null": '{"people": null}',
    "no keypoints": '{"people": [{}]}', "74 numbers": people([0.5] * 74), "20 keypoints": people([0.5] * 60),
    "text": people(["x"] * 75), "too large": people([10**400] * 75), "a list": "[]", "ragged": people([[1], [2, 3]]),
    "deep": "[" * 100_000,
}  # fmt: skip


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN)
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
