"""`d2m.data.video`: which frames of a video are analysed, what is written, what is refused.

OpenCV and MediaPipe are in another environment (`make keypoints`); stand-ins for them are here.
"""

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import motions
import numpy as np
import pytest

from d2m import files
from d2m.clock import frame_times
from d2m.data import retarget, video
from d2m.data.formats import keypoints
from d2m.errors import MediaError, OutputError, ParameterError, PoseError
from d2m.files import ROOT

PAGE = (ROOT / "d2m" / "data" / "FORMATS.md").read_text()


def mark(picture: int) -> SimpleNamespace:
    """A landmark, with the digits of a real one; it moves to the right by a millimetre a picture."""
    return SimpleNamespace(x=-0.512345678 + 0.001 * picture, y=-0.223456789, z=-0.10123456789, visibility=0.987654321)


class Film:
    """A video as OpenCV opens it: pictures at times in seconds; `declared` is the number of them in its header."""

    def __init__(self, times: list[float], rate: float, declared: float | None = None, timeless: bool = False):
        self.times, self.rate, self.timeless, self.read_to = times, rate, timeless, 0
        self.declared = len(times) if declared is None else declared

    def isOpened(self) -> bool:
        return self.rate > 0

    def get(self, what: str) -> float:
        shown = 0.0 if self.timeless or not self.read_to else self.times[self.read_to - 1]
        return {"fps": self.rate, "count": self.declared, "ms": 1000 * shown}[what]

    def read(self) -> tuple[bool, object]:
        self.read_to += 1
        return self.read_to <= len(self.times), self.read_to - 1

    def release(self) -> None:
        self.read_to = 0


class Pose:
    """MediaPipe's estimator: finds somebody in each picture but those of `EMPTY`; fails at those of `FAULTY`."""

    EMPTY: ClassVar[set[int]] = set()
    FAULTY: ClassVar[set[int]] = set()
    looked_at: ClassVar[list[int]] = []

    def __init__(self, model_complexity: int):
        Pose.looked_at = []

    def __enter__(self) -> "Pose":
        return self

    def __exit__(self, *error) -> None:
        pass

    def process(self, picture: int) -> SimpleNamespace:
        Pose.looked_at.append(picture)
        if picture in Pose.FAULTY:
            raise RuntimeError("Graph has errors")
        landmarks = None if picture in Pose.EMPTY else SimpleNamespace(landmark=[mark(picture)] * 33)
        return SimpleNamespace(pose_landmarks=landmarks, pose_world_landmarks=landmarks)


@pytest.fixture
def film(tmp_path, monkeypatch):
    """`film(times, rate, ...)`: the path of a video with these pictures; nobody is in those of `empty`."""
    films: dict[str, Film] = {}

    def make(times, rate: float, name: str = "salsa/take1.mp4", empty=(), faulty=(), **how) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"a film")
        films[str(path)] = Film(list(times), rate, **how)
        monkeypatch.setattr(Pose, "EMPTY", set(empty))
        monkeypatch.setattr(Pose, "FAULTY", set(faulty))
        return path

    names = {"CAP_PROP_FPS": "fps", "CAP_PROP_FRAME_COUNT": "count", "CAP_PROP_POS_MSEC": "ms", "COLOR_BGR2RGB": ""}
    opencv = SimpleNamespace(**names, VideoCapture=films.__getitem__, cvtColor=lambda picture, how: picture)
    opencv.error = type("error", (Exception,), {})
    mediapipe = SimpleNamespace(solutions=SimpleNamespace(pose=SimpleNamespace(Pose=Pose)))
    monkeypatch.setitem(sys.modules, "cv2", opencv)
    monkeypatch.setitem(sys.modules, "mediapipe", mediapipe)
    return make


def even(count: int, rate: float) -> np.ndarray:
    """Times as OpenCV gives them, in whole milliseconds."""
    return np.round(np.arange(count) / rate, 3)


def test_what_is_written_is_read(film, capsys):
    path = film(even(6, 30), 30.0, empty=[1])
    assert video.main([str(path)]) == 0
    written = path.with_suffix(".json")
    assert capsys.readouterr().out == f"{written}: 6 frames, a person in 5 (83%), 17% interpolated\n"
    content = json.loads(written.read_text())
    assert content["confidence"] == [[0.988] * 33, None, *[[0.988] * 33] * 4]
    joints, fps = keypoints.read_keypoint_json(written)
    assert joints.shape == (6, 14, 3) and fps == 30.0
    np.testing.assert_allclose(joints[0, 0], (-0.5123, 0.0, 0.1012))  # upright, and on the floor
    assert np.isnan(joints[1]).all()


@pytest.mark.parametrize("rate, every", [
    (15, 1), (23.976, 1), (25, 1), (29.97, 1), (30, 1), (31, 1), (40, 2), (48, 2), (50, 2), (59.94, 2), (60, 2),
    (90, 3), (120, 4), (240, 8),
])  # fmt: skip
def test_of_a_constant_rate_some_thirty_pictures_a_second_are_looked_at_and_kept_as_they_are(film, rate, every):
    clip = video.estimate(film(even(480, rate), rate, empty=[96]))
    looked_at = list(range(0, 480, every))
    assert Pose.looked_at == looked_at and clip["fps"] == pytest.approx(rate / every)
    x = [row and row[0][0] for row in clip["world_landmarks"]]
    assert x == [None if picture == 96 else round(mark(picture).x, 4) for picture in looked_at]


@pytest.mark.parametrize("steps", [(1 / 30, 1 / 24, 1 / 15), (1 / 30, 1 / 15), (1 / 60, 1 / 20), (1 / 30, 0.4)])
def test_pictures_at_varying_times_are_told_at_the_times_at_which_they_were_seen(film, steps):
    times = np.cumsum(np.random.default_rng(0).choice(steps, 300))
    times = np.round(times - times[0], 3)
    clip = video.estimate(film(times, len(times) / times[-1]))
    frames = np.arange(clip["frames"]) / clip["fps"]
    moved = np.array([row[0][0] for row in clip["world_landmarks"]])  # none is null: there is no gap
    np.testing.assert_allclose(moved, np.interp(frames, times, mark(0).x + 0.001 * np.arange(300)), atol=1.1e-3)
    assert frames[-1] == pytest.approx(times[-1], abs=1.01 / clip["fps"])


def test_frames_in_a_long_gap_and_beside_a_picture_without_anybody_are_null(film):
    times = [*even(30, 30), *(2.0 + even(30, 30))]  # a second and more without a picture
    clip = video.estimate(film(times, 30.0, empty=[10]))
    null = [number for number, row in enumerate(clip["confidence"]) if row is None]
    assert null == [10, *range(30, 60)] and clip["frames"] == 90
    assert null == [number for number, row in enumerate(clip["world_landmarks"]) if row is None]


@pytest.mark.parametrize("header", [{"declared": 0, "timeless": True}, {"declared": 10}, {"declared": 49}])
def test_all_pictures_are_analysed_whatever_the_header_says(film, header):
    clip = video.estimate(film(even(40, 25), 25.0, **header))
    assert clip["frames"] == 40 and None not in clip["confidence"]


@pytest.mark.parametrize("fps", [30, video.MOST_FPS])
def test_the_largest_json_that_is_read_has_room_for_the_longest_video(film, fps):
    content = video.estimate(film(even(2, fps), fps))
    assert content["fps"] == fps
    frames = video.LONGEST_S // 3 * fps  # of a third of it
    for name in ("world_landmarks", "confidence"):  # of the most digits that numbers below 1 have, all with a sign
        content[name] = content[name][:1] * frames
    text = json.dumps(content | {"frames": frames})
    assert 3 * len(text) < files.LARGEST_JSON and 3 * files.json_memory(text) < files.LARGEST_PARSED


def test_a_video_that_is_too_long_is_refused_before_it_is_looked_at_or_as_soon_as_it_shows(film, monkeypatch):
    assert video.LONGEST_S == 1800 and "half an hour at most" in " ".join(PAGE.split())
    with pytest.raises(MediaError, match="more than 30 minutes"):
        video.estimate(film([], 30.0, declared=1801 * 30))
    monkeypatch.setattr(video, "LONGEST_S", 10)
    with pytest.raises(MediaError, match="more than 0 minutes"):
        video.estimate(film(even(400, 30), 30.0, declared=0))
    assert len(Pose.looked_at) == 301


@pytest.mark.parametrize("count", [0, 1, 147, 239])
def test_a_video_that_breaks_off_is_damaged(film, count):
    with pytest.raises(MediaError, match=r"take1\.mp4 is damaged: only \d\.\d of 10\.0 seconds"):
        video.estimate(film(even(count, 30), 30.0, declared=300))


def test_a_picture_that_mediapipe_fails_at_is_told_with_the_video(film, capsys):
    path = film(even(9, 30), 30.0, faulty=[4])
    assert video.main([str(path)]) == 1
    assert f"{path} cannot be analysed (Graph has errors)" in capsys.readouterr().err
    assert not path.with_suffix(".json").exists()


def test_a_video_without_anybody_and_a_file_that_is_none_are_refused_and_nothing_is_written(film, capsys):
    none = film([], 0.0, "salsa/text.mp4")
    with pytest.raises(MediaError, match=r"text\.mp4 cannot be read as a video"):
        video.estimate(none)
    nobody = film(even(3, 30), 30.0, empty=range(3))
    with pytest.raises(PoseError, match=r"nobody is found in .*take1\.mp4"):
        video.estimate(nobody)
    assert video.main([str(nobody)]) == 1 and "nobody is found" in capsys.readouterr().err
    assert sorted(path.name for path in nobody.parent.iterdir()) == ["take1.mp4", "text.mp4"]


@pytest.mark.parametrize("rate", [float("nan"), float("inf"), 0.5, 90_000.0])
def test_a_frame_rate_that_no_camera_has_is_refused(film, rate):
    with pytest.raises(MediaError, match="cannot be read as a video"):
        video.estimate(film(even(3, 30), rate))


def test_a_folder_goes_on_where_it_was_and_one_bad_video_does_not_stop_it(film, tmp_path, capsys):
    film([], 0.0, "a/bad.mp4")
    film(even(3, 30), 30.0, "b/good.MOV")
    film(even(3, 30), 30.0, "b/known.mp4").with_suffix(".json").write_text("mine")
    film(even(3, 30), 30.0, ".hidden/not.mp4")
    (tmp_path / "b/notes.txt").write_text("no film")
    assert video.main([str(tmp_path)]) == 1
    printed = capsys.readouterr()
    assert "good.json: 3 frames, a person in 3" in printed.out and "bad.mp4 cannot be read" in printed.err
    assert {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.json")} == {"b/good.json", "b/known.json"}
    (tmp_path / "a/bad.mp4").unlink()
    assert video.main([str(tmp_path)]) == 0
    assert "has its JSON; delete one to analyse" in capsys.readouterr().out
    assert (tmp_path / "b/known.json").read_text() == "mine" and video.videos(tmp_path / "b/known.mp4") == []


def test_two_videos_that_would_have_one_json_are_refused(film, tmp_path):
    film(even(3, 30), 30.0, "salsa/take1.mp4")
    film(even(3, 30), 30.0, "salsa/take1.mov")
    with pytest.raises(OutputError, match=r"take1\.json would be the JSON of 2 videos"):
        video.videos(tmp_path)
    (tmp_path / "salsa/take1.json").write_text("mine")
    assert video.videos(tmp_path) == []


def test_no_video_is_one_sentence(tmp_path):
    (tmp_path / "take1.json").write_text("{}")
    reasons = {"": "VIDEO is not given", "none.mp4": "there is no", "take1.json": "does not have the suffix of a video"}
    for name, reason in reasons.items():
        with pytest.raises(SystemExit, match=reason):
            video.main([name and str(tmp_path / name)])
    with pytest.raises(ParameterError, match=r"files such as take1\.mp4 \(\.3g2"):
        video.videos(tmp_path)


def clip_of(shown: str, fps: float = 4.0, interpolated: int = 0) -> dict:
    """A keypoint JSON with a person in the frames that are no "."; in those that are "e", an elbow is hidden."""
    rows = {".": None, "x": [1.0] * 33, "e": [1.0] * 33}
    rows["e"][14] = 0.1
    return {"fps": fps, "frames": len(shown), "interpolated": interpolated,
            "confidence": [rows[mark] for mark in shown]}  # fmt: skip


LIMITS = "and at most 20% and 0.5 s are interpolated: cut it"


@pytest.mark.parametrize(("shown", "interpolated", "expected"), [
    ("xxxxxxxxxx", 0, "10 frames, a person in 10 (100%), 0% interpolated"),
    ("xxxx.xxxxx", 0, "10 frames, a person in 9 (90%), 10% interpolated"),
    ("xx..xxxxxexxxxxx.xxx", 2, "20 frames, a person in 17 (85%), 30% interpolated"),
    ("e.xxxxxx.e", 0, "10 frames, a person in 8 (80%), 0% interpolated"),  # the dance begins and ends with all joints
    ("xx...xxxxxxxxxxxxxxx", 0, "20 frames, a person in 17 (85%); d2m will refuse it: the person is hidden in 15% of"
     f" the dance, for up to 0.8 s, {LIMITS}"),
    ("xxeexeexxx", 0, "10 frames, a person in 10 (100%); d2m will refuse it: the right elbow is hidden in 40% of"
     f" the dance, for up to 0.5 s, {LIMITS}"),
    ("..eeeexeee", 0, "10 frames, a person in 8 (80%), the whole body in 1: d2m will refuse it; film one person from"
     " head to foot"),
])  # fmt: skip
def test_the_last_line_says_how_many_frames_show_somebody_and_what_is_interpolated(shown, interpolated, expected):
    assert video.summary(clip_of(shown, interpolated=interpolated)) == expected


@pytest.mark.parametrize(
    "shown", ["x" * 60, "x" * 30 + "e" * 3 + "x" * 30, "xxe" * 20 + "x", "xxxxe....xxx" + "x" * 20]
)
def test_a_clip_is_refused_where_the_last_line_says_so(tmp_path, body_at, shown):
    clip, path = clip_of(shown, fps=15.0), tmp_path / "a.json"
    world = motions.world_landmarks(body_at(frame_times(len(shown)))).tolist()
    clip["world_landmarks"] = [None if mark == "." else row for mark, row in zip(shown, world, strict=True)]
    path.write_text(json.dumps(clip))
    joints, fps = keypoints.read_keypoint_json(path)
    refused = False
    try:
        retarget.retarget(joints, fps, "a")
    except PoseError:
        refused = True
    assert refused == ("d2m will refuse it" in video.summary(clip)) == (shown == "xxe" * 20 + "x")


def test_frames_between_two_pictures_are_counted(film):
    times = np.array([0, 0.1, 0.2, 0.4, 0.5, 0.6])  # one picture is missing at 10 a second
    assert video.estimate(film(times, 10.0))["interpolated"] == 1
    assert video.estimate(film(even(480, 29.97), 29.97))["interpolated"] == 0
