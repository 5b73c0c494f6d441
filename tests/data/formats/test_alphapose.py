"""AlphaPose: each form of its results gives the joints in the pictures of one person; what is wrong is refused."""

import json
import random
from pathlib import Path

import motions
import numpy as np
import pytest

from d2m.data import sources
from d2m.data.formats import keypoints
from d2m.errors import D2MError, PoseError

FILE = "alphapose-results.json"


@pytest.fixture
def picture(body_at) -> np.ndarray:
    """Six pictures (6, 14, 2) of a dancer, in pixels."""
    return motions.in_picture(body_at(np.arange(6) / 15))


@pytest.mark.parametrize(("form", "layout"), [
    ("", "COCO"), ("", "Halpe-26"), ("", "Halpe-136"), ("", "COCO-WholeBody"), ("cmu", "COCO-18"), ("open", "COCO-18"),
])  # fmt: skip
def test_every_form_gives_the_joints_with_y_up(tmp_path, picture, form, layout):
    path = motions.write_alphapose(tmp_path / FILE, picture, layout, form=form)
    assert keypoints.is_alphapose(path, path.read_bytes()[:4096])
    joints, fps = keypoints.read_alphapose(path)
    np.testing.assert_allclose(joints, picture * (1, -1))
    assert fps is None


def test_the_neck_of_halpe_is_its_own_and_that_of_coco_the_middle_of_the_shoulders(tmp_path, picture):
    picture[:, 1] += 7
    own, _ = keypoints.read_alphapose(motions.write_alphapose(tmp_path / "a.json", picture, "Halpe-26"))
    middle, _ = keypoints.read_alphapose(motions.write_alphapose(tmp_path / "b.json", picture, "COCO"))
    np.testing.assert_allclose(own[:, 1], picture[:, 1] * (1, -1))
    np.testing.assert_allclose(middle[:, 1], (picture[:, 1] - 7) * (1, -1))


@pytest.mark.parametrize("names", ["{}.jpg", "frame_{:06d}.png", "{}", None])
def test_a_picture_is_the_frame_of_its_number_and_one_without_people_is_missing(tmp_path, picture, names):
    path = motions.write_alphapose(tmp_path / FILE, picture)
    people = json.loads(path.read_text())
    for frame, person in enumerate(people):
        person["image_id"] = names.format(frame) if names else frame
    del people[3]
    random.Random(0).shuffle(people)
    path.write_text(json.dumps(people))
    joints, _ = keypoints.read_alphapose(path)
    assert np.isnan(joints[3]).all()
    np.testing.assert_allclose(np.delete(joints, 3, axis=0), np.delete(picture * (1, -1), 3, axis=0))


def test_one_person_is_followed_as_in_openpose(tmp_path, picture):
    other = picture + np.array([400, 0])
    people = json.loads(motions.write_alphapose(tmp_path / FILE, picture, others=[other]).read_text())
    people[1]["keypoints"][2::3] = [1.0] * 17  # in the first picture the dancer, who is listed second, is surer
    random.Random(1).shuffle(people)
    (tmp_path / FILE).write_text(json.dumps(people))
    joints, _ = keypoints.read_alphapose(tmp_path / FILE)
    np.testing.assert_allclose(joints, picture * (1, -1))


def test_a_keypoint_of_low_confidence_is_missing(tmp_path, picture):
    people = json.loads(motions.write_alphapose(tmp_path / FILE, picture).read_text())
    people[2]["keypoints"][3 * 9 + 2] = 0.1  # the left wrist
    (tmp_path / FILE).write_text(json.dumps(people))
    joints, _ = keypoints.read_alphapose(tmp_path / FILE)
    assert np.argwhere(np.isnan(joints).any(axis=2)).tolist() == [[2, 7]]


def test_the_folder_names_the_song_and_the_style_and_fps_txt_the_frame_rate(tmp_path, body_at, melody_song):
    body = body_at(np.arange(120) / 30)
    motions.write_alphapose(tmp_path / "Salsa" / "take1" / FILE, motions.in_picture(body))
    (tmp_path / "Salsa" / "take1.mp3").write_bytes(melody_song.read_bytes())
    (tmp_path / "fps.txt").write_text("30")
    ((files,), others) = sources.find(tmp_path)
    clip = sources.read(files)
    assert (files.format, clip.style, clip.song.name, others) == ("AlphaPose", "salsa", "take1.mp3", [])
    expected = body_at(np.arange(len(clip.poses)) / 15)[..., :2]
    assert clip.poses.shape == (60, 14, 2)
    np.testing.assert_allclose(clip.poses - clip.poses[:1, :1], expected - expected[:1, :1], atol=1e-3)


PERSON = {"image_id": "0.jpg", "category_id": 1, "keypoints": [1.0] * 51, "score": 1}
WRONG = {
    "two videos": ([PERSON | {"image_id": name} for name in ("a_1.jpg", "b_1.jpg")], "pictures of 2 videos"),
    "one number twice": ([PERSON | {"image_id": name} for name in ("1.jpg", "01.jpg")], "pictures of 2 videos"),
    "no number": ([PERSON | {"image_id": "a.jpg"}], "'a.jpg', whose name is no number"),
    "a huge number": ([PERSON | {"image_id": "9" * 9}], "whose name is no number"),
    "a number that is none": ([PERSON | {"image_id": None}], "'None', whose name is no number"),
    "another layout": ([PERSON | {"keypoints": [1.0] * 48}], r"shape \(1, 16, 2\)|have shape"),
    "half a keypoint": ([PERSON | {"keypoints": [1.0] * 50}], "holds no results of AlphaPose"),
    "text": ([PERSON | {"keypoints": "text"}], "holds no results of AlphaPose"),
    "no keypoints": ([PERSON, {"image_id": "1.jpg"}], "holds no results of AlphaPose"),
    "no people": ({"0.jpg": {"version": "x"}}, "holds no results of AlphaPose"),
    "no object": ({"0.jpg": 3}, "holds no results of AlphaPose"),
    "empty": ([], "has nobody in any frame"),
    "number": (3, "holds no results of AlphaPose"),
}  # fmt: skip


@pytest.mark.parametrize("kind", WRONG)
def test_what_is_wrong_is_refused_by_the_files_name(tmp_path, kind):
    content, reason = WRONG[kind]
    (tmp_path / FILE).write_text(json.dumps(content))
    with pytest.raises(PoseError, match=rf"alphapose-results\.json.*({reason})"):
        keypoints.read_alphapose(tmp_path / FILE)


def test_half_a_file_is_refused(tmp_path, picture):
    path = motions.write_alphapose(tmp_path / FILE, picture)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(D2MError, match=r"alphapose-results\.json cannot be read"):
        keypoints.read_alphapose(path)


def test_other_json_is_not_recognised(tmp_path, picture):
    frame = motions.write_openpose(tmp_path / "a", picture) / "clip_000000000000_keypoints.json"
    clip = motions.write_json(tmp_path / "b.json", fps=30, keypoints=motions.keypoints(picture, "COCO"))
    for path in (frame, clip):
        assert not keypoints.is_alphapose(path, path.read_bytes()[:4096])
    results = motions.write_alphapose(tmp_path / "c.json", picture, "COCO-18", form="open")
    assert not keypoints.is_openpose(Path("c.json"), results.read_bytes()[:4096])
