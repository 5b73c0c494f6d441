"""`d2m.video_keypoints`: which pictures of a video are looked at, what is written, what is refused.

OpenCV and MediaPipe are in another environment (`make keypoints`); what is used of them stands here.
"""

import json
import sys
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest

from d2m import files, keypoint_json, video_keypoints
from d2m.errors import MediaError, OutputError, ParameterError, PoseError
from d2m.paths import ROOT

PAGE = (ROOT / "d2m" / "FORMATS.md").read_text()
MARK = SimpleNamespace(x=-0.512345678, y=-0.223456789, z=-0.10123456789, visibility=0.987654321)


class Film:
    """A video as OpenCV opens it: pictures at times in seconds, of which `told` says how many there are."""

    def __init__(self, times: list[float], rate: float, told: int | None = None):
        self.times, self.rate, self.told, self.read_to = times, rate, len(times) if told is None else told, 0

    def isOpened(self) -> bool:
        return self.rate > 0

    def get(self, what: str) -> float:
        shown = self.times[self.read_to - 1] if self.read_to else 0.0
        return {"fps": self.rate, "count": self.told, "ms": 1000 * shown}[what]

    def read(self) -> tuple[bool, object]:
        self.read_to += 1
        return self.read_to <= len(self.times), self.read_to - 1

    def release(self) -> None:
        self.read_to = 0


class Pose:
    """MediaPipe's estimator: finds somebody in each picture but those of `EMPTY`."""

    EMPTY: ClassVar[set[int]] = set()
    looked_at: ClassVar[list[int]] = []

    def __init__(self, model_complexity: int):
        Pose.looked_at = []

    def __enter__(self) -> "Pose":
        return self

    def __exit__(self, *error) -> None:
        pass

    def process(self, picture: int) -> SimpleNamespace:
        Pose.looked_at.append(picture)
        found = None if picture in Pose.EMPTY else SimpleNamespace(landmark=[MARK] * 33)
        return SimpleNamespace(pose_landmarks=found, pose_world_landmarks=found)


@pytest.fixture
def film(tmp_path, monkeypatch):
    """`film(times, rate, ...)`: the path of a video with these pictures, in some of which nobody is found."""
    films: dict[str, Film] = {}

    def make(times, rate: float, name: str = "salsa/take1.mp4", empty=(), **how) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"a film")
        films[str(path)] = Film(list(times), rate, **how)
        monkeypatch.setattr(Pose, "EMPTY", set(empty))
        return path

    names = {"CAP_PROP_FPS": "fps", "CAP_PROP_FRAME_COUNT": "count", "CAP_PROP_POS_MSEC": "ms", "COLOR_BGR2RGB": ""}
    opencv = SimpleNamespace(**names, VideoCapture=films.__getitem__, cvtColor=lambda picture, how: picture)
    mediapipe = SimpleNamespace(solutions=SimpleNamespace(pose=SimpleNamespace(Pose=Pose)))
    monkeypatch.setitem(sys.modules, "cv2", opencv)
    monkeypatch.setitem(sys.modules, "mediapipe", mediapipe)
    for name in video_keypoints.QUIET:
        monkeypatch.delenv(name, raising=False)
    return make


def even(count: int, rate: float) -> np.ndarray:
    """Times as OpenCV tells them, in whole milliseconds."""
    return np.round(np.arange(count) / rate, 3)


def test_what_is_written_is_read(film, capsys):
    path = film(even(3, 30), 30.0, empty=[1])
    assert video_keypoints.main([str(path)]) == 0
    written = path.with_suffix(".json")
    assert capsys.readouterr().out == f"{written}: 3 frames, somebody in 2\n"
    content = json.loads(written.read_text())
    assert content["confidence"] == [[0.988] * 33, None, [0.988] * 33]
    joints, fps = keypoint_json.read(written)
    assert joints.shape == (3, 14, 3) and fps == 30.0
    np.testing.assert_allclose(joints[0, 0], (-0.5123, 0.0, 0.1012))  # upright, and on the floor
    assert np.isnan(joints[1]).all()


@pytest.mark.parametrize("rate, every", [
    (15, 1), (23.976, 1), (25, 1), (29.97, 1), (30, 1), (48, 2), (50, 2), (59.94, 2), (60, 2), (120, 4), (240, 8),
])  # fmt: skip
def test_about_thirty_pictures_a_second_are_looked_at_and_none_twice_or_in_vain(film, rate, every):
    clip = video_keypoints.find(film(even(480, rate), rate))
    assert clip["fps"] == pytest.approx(rate / every) and clip["frames"] == len(range(0, 480, every))
    assert Pose.looked_at == list(range(0, 480, every)) and None not in clip["confidence"]


def test_pictures_at_varying_times_stand_where_they_were_seen(film):
    times = np.cumsum(np.random.default_rng(0).choice([1 / 30, 1 / 24, 1 / 15], 200))
    times -= times[0]
    rate = len(times) / times[-1]
    clip = video_keypoints.find(film(times, rate))
    frames = [number for number, row in enumerate(clip["confidence"]) if row]
    assert len(frames) == len(Pose.looked_at) < clip["frames"]  # some frames got no picture
    off = np.array(frames) / clip["fps"] - times[Pose.looked_at]
    assert np.abs(off).max() <= 0.9 / rate + 1e-9 and all(one < two for one, two in pairwise(frames))


def test_a_video_that_tells_no_times_and_no_count_has_its_pictures_evenly(film):
    clip = video_keypoints.find(film([0.0] * 40, 25.0, told=0))
    assert clip["frames"] == 40 and None not in clip["confidence"]


def test_more_pictures_than_the_video_tells_of_are_looked_at(film):
    assert video_keypoints.find(film(even(40, 25), 25.0, told=10))["frames"] == 40


def test_the_largest_json_that_is_read_has_room_for_the_longest_video(film, monkeypatch):
    path = film(even(2, 30), 30.0)
    assert video_keypoints.LONGEST_S == 1800 and "half\nan hour at most" in PAGE
    content = video_keypoints.find(path)
    frames = 10 * 60 * 30  # of a third of it
    for name in ("world_landmarks", "confidence"):  # of the most digits that numbers below 1 have, all with a sign
        content[name] = content[name][:1] * frames
    text = json.dumps(content | {"frames": frames})
    assert 3 * len(text) < files.LARGEST_JSON and 3 * files.memory_of(text) < files.LARGEST_PARSED
    monkeypatch.setattr(video_keypoints, "LONGEST_S", 10)
    with pytest.raises(MediaError, match="more than 0 minutes"):
        video_keypoints.find(film(even(400, 30), 30.0))
    assert len(Pose.looked_at) == 301  # and no more


def test_a_video_without_anybody_and_a_file_that_is_none_are_refused_and_nothing_is_written(film, capsys):
    none = film([], 0.0, "salsa/text.mp4")
    with pytest.raises(MediaError, match=r"text\.mp4 cannot be read as a video"):
        video_keypoints.find(none)
    nobody = film(even(3, 30), 30.0, empty=range(3))
    with pytest.raises(PoseError, match=r"nobody is found in .*take1\.mp4; expected one person"):
        video_keypoints.find(nobody)
    assert video_keypoints.main([str(nobody)]) == 1 and "nobody is found" in capsys.readouterr().err
    assert sorted(path.name for path in nobody.parent.iterdir()) == ["take1.mp4", "text.mp4"]


@pytest.mark.parametrize("rate", [float("nan"), float("inf"), 0.5, 90_000.0])
def test_a_frame_rate_that_no_camera_has_is_refused(film, rate):
    with pytest.raises(MediaError, match="cannot be read as a video"):
        video_keypoints.find(film(even(3, 30), rate))


def test_a_json_that_is_there_is_kept(film):
    path = film(even(3, 30), 30.0)
    path.with_suffix(".json").write_text("mine")
    with pytest.raises(OutputError, match=r"take1\.json is there already; delete or move it"):
        video_keypoints.videos(path)
    with pytest.raises(SystemExit, match="is there already"):
        video_keypoints.main([str(path)])
    assert path.with_suffix(".json").read_text() == "mine"


def test_a_folder_goes_on_where_it_was_and_one_bad_video_does_not_stop_it(film, tmp_path, capsys):
    film([], 0.0, "a/bad.mp4")
    film(even(3, 30), 30.0, "b/good.MOV")
    film(even(3, 30), 30.0, "b/known.mp4").with_suffix(".json").write_text("mine")
    film(even(3, 30), 30.0, ".hidden/not.mp4")
    (tmp_path / "b/notes.txt").write_text("no film")
    assert video_keypoints.main([str(tmp_path)]) == 1
    said = capsys.readouterr()
    assert "good.json: 3 frames, somebody in 3" in said.out and "bad.mp4 cannot be read" in said.err
    assert {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.json")} == {"b/good.json", "b/known.json"}
    (tmp_path / "a/bad.mp4").unlink()
    assert video_keypoints.main([str(tmp_path)]) == 0
    assert "all videos in" in capsys.readouterr().out and (tmp_path / "b/known.json").read_text() == "mine"


def test_no_video_is_one_sentence(tmp_path):
    for path, said in (("", "VIDEO is not given"), (tmp_path / "none.mp4", "there is no"), (tmp_path, "no video")):
        with pytest.raises(SystemExit, match=said):
            video_keypoints.main([str(path)])
    with pytest.raises(ParameterError, match=r"files such as take1\.mp4 \(\.3g2"):
        video_keypoints.videos(tmp_path)
