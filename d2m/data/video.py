"""Keypoints of the dancer in a video, as JSON beside it: `make keypoints VIDEO=take1.mp4`.

MediaPipe 0.10.21, the last version with its models inside the package, estimates 33 keypoints a frame, in metres from
the hips. It needs NumPy 1, so this module runs in an environment of its own, which has few of d2m's dependencies.
`formats.keypoints` reads the JSON; the video, which has the same name, is the clip's song.
"""

import argparse
import itertools
import json
import math
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from d2m.data.folders import VIDEO, is_video, videos_in
from d2m.data.formats.columns import LAYOUTS, LEAST_CONFIDENCE
from d2m.errors import D2MError, MediaError, OutputError, ParameterError, PoseError
from d2m.files import replacing, resolve
from d2m.motion import pose
from d2m.progress import progress

MOST_FPS = 31  # frames a second that are analysed: of a video at 60 fps every second one
LONGEST_S = 30 * 60  # keypoints of a longer video do not fit `files.LARGEST_JSON`
ROUNDED_S = 0.001  # rounding of the times of frames
GAP_S = 0.5  # longest gap between two frames that is interpolated, as for a missing joint
MOST_HIDDEN = 0.2  # largest share of the frames of a dance in which a joint is interpolated
COMPLETE = 0.8  # least share of the declared duration that must have frames; with less the video is damaged


def videos(path: Path) -> list[Path]:
    """The videos to analyse: `path` itself, or those below it, without those that have a JSON already.

    Raises `ParameterError` where there is no video, `OutputError` where two would have the same JSON.
    """
    if not path.exists():
        raise ParameterError(f"there is no {path}", "VIDEO: a video, or a folder of videos")
    all_videos = videos_in(path) if path.is_dir() else [path] if is_video(path) else []
    if not all_videos:
        problem = f"{path} holds no video" if path.is_dir() else f"{path} does not have the suffix of a video"
        raise ParameterError(problem, f"files such as take1.mp4 ({', '.join(sorted(VIDEO))})")
    new = [video for video in all_videos if not _json_of(video).exists()]
    for target, times in Counter(map(_json_of, new)).items():
        if times > 1:
            raise OutputError(f"{target} would be the JSON of {times} videos", "different names", "rename one")
    return new


def estimate(video: Path) -> dict:
    """Keypoints of a video in the form of a keypoint JSON, at a constant frame rate of at most `MOST_FPS`.

    A frame without a person, or in a gap of more than `GAP_S` between two frames, is null. Raises `MediaError` for a
    file that is not a video, is damaged or lasts more than half an hour, `PoseError` where it shows nobody.
    """
    import cv2
    import mediapipe

    fps, pictures = _pictures(video)
    times_s, rows = [], []
    try:
        with mediapipe.solutions.pose.Pose(model_complexity=1) as estimator:
            for seconds, picture in pictures:
                times_s.append(seconds)
                rows.append(_row(estimator.process(picture)))
    except (cv2.error, RuntimeError, ValueError) as error:
        raise MediaError(f"{video} cannot be analysed ({error})", "a video that MediaPipe accepts") from error
    rows = at_constant_rate(np.array(times_s), np.array(rows), fps)
    # To 0.1 mm: further digits are noise and more than double the size of the file.
    frames = [None if np.isnan(row).any() else row.tolist() for row in rows.round(4)]
    if not any(frames):
        raise PoseError(f"nobody is found in {video}", "one person, visible from head to foot")
    world = [frame and [point[:3] for point in frame] for frame in frames]
    confidence = [frame and [round(point[3], 3) for point in frame] for frame in frames]
    clip = {"fps": fps, "frames": len(frames), "interpolated": _interpolated(np.array(times_s), frames, fps)}
    return clip | {"world_landmarks": world, "confidence": confidence}


def _interpolated(times_s: np.ndarray, frames: list, fps: float) -> int:
    """The number of frames with a person between two pictures at `times_s` (n,), not at one of them."""
    at_s = np.array([number / fps for number, frame in enumerate(frames) if frame is not None])
    after = np.searchsorted(times_s, at_s - ROUNDED_S).clip(max=len(times_s) - 1)
    return int((np.abs(times_s[after] - at_s) > ROUNDED_S).sum())


def summary(clip: dict) -> str:
    """How many frames of a keypoint JSON show somebody, and which share is interpolated or why the clip is refused."""
    persons = np.array([frame is not None for frame in clip["confidence"]])
    confidence = np.array([[0.0] * 33 if frame is None else frame for frame in clip["confidence"]])
    seen = np.stack([(confidence[:, list(joint)] >= LEAST_CONFIDENCE).all(axis=1) for joint in LAYOUTS[33]], axis=1)
    text = f"{len(persons)} frames, a person in {persons.sum()} ({persons.mean():.0%})"
    complete = np.flatnonzero(seen.all(axis=1))
    if len(complete) < 2:
        return f"{text}, the whole body in {len(complete)}: d2m will refuse it; film one person from head to foot"
    dance = slice(complete[0], complete[-1] + 1)
    hidden = {"the person": ~persons[dance]} | {f"the {name}": ~seen[dance, i] for i, name in enumerate(pose.JOINTS)}
    longest = {name: _longest(missing) for name, missing in hidden.items()}
    most = max(1, round(GAP_S * clip["fps"]))
    worst = max(hidden, key=lambda name: max(longest[name] / most, hidden[name].mean() / MOST_HIDDEN))
    if longest[worst] <= most and hidden[worst].mean() <= MOST_HIDDEN:
        filled = clip["interpolated"] + (~seen[dance].all(axis=1)).sum()
        return f"{text}, {filled / len(persons):.0%} interpolated"
    share, seconds = hidden[worst].mean(), longest[worst] / clip["fps"]
    text += f"; d2m will refuse it: {worst} is hidden in {share:.0%} of the dance, for up to {seconds:.1f} s, "
    text += f"and at most {MOST_HIDDEN:.0%} and {GAP_S:g} s are interpolated: cut it"
    return text


def _longest(missing: np.ndarray) -> int:
    """The number of frames of the longest run of True in `missing` (n,)."""
    edges = np.flatnonzero(np.diff(np.r_[0, missing, 0]))
    return int((edges[1::2] - edges[::2]).max(initial=0))


def at_constant_rate(times_s: np.ndarray, rows: np.ndarray, fps: float) -> np.ndarray:
    """Rows (n, 33, 4) at increasing `times_s` (n,), resampled at 0, 1 / fps, ... seconds: (frames, 33, 4).

    A frame at the time of a row is that row, as in any video of constant rate. Others are interpolated linearly between
    two rows, and are NaN where one of these is NaN or where they are more than `GAP_S` apart.
    """
    at_s = np.arange(math.floor((times_s[-1] + ROUNDED_S) * fps) + 1) / fps
    before = np.maximum(np.searchsorted(times_s, at_s + ROUNDED_S, side="right") - 1, 0)
    after = np.minimum(np.searchsorted(times_s, at_s - ROUNDED_S), len(times_s) - 1)
    gap_s = times_s[after] - times_s[before]
    share = ((at_s - times_s[before]) / np.where(gap_s > 0, gap_s, 1.0))[:, None, None]
    resampled = (1 - share) * rows[before] + share * rows[after]
    resampled[gap_s > GAP_S] = np.nan
    return resampled


def _row(estimate) -> np.ndarray:
    """x, y, z in metres and visibility (33, 4) of MediaPipe's estimate for a frame; NaN where it finds nobody."""
    if estimate.pose_world_landmarks is None:
        return np.full((33, 4), np.nan)
    points = zip(estimate.pose_world_landmarks.landmark, estimate.pose_landmarks.landmark, strict=True)
    return np.array([(point.x, point.y, point.z, in_image.visibility) for point, in_image in points])


def _pictures(video: Path) -> tuple[float, Iterator]:
    """The constant rate to resample at, and time in seconds and RGB image of each frame to analyse."""
    import cv2

    capture = cv2.VideoCapture(str(video))  # it applies the rotation that a telephone records
    rate, count = capture.get(cv2.CAP_PROP_FPS), capture.get(cv2.CAP_PROP_FRAME_COUNT)  # the count may be 0: unknown
    if not capture.isOpened() or not 1 <= rate <= 1000:
        raise MediaError(f"{video} cannot be read as a video", "a complete video that OpenCV decodes, such as an mp4")
    declared_s = max(0.0, count / rate)
    _check_length(video, declared_s)

    def pictures() -> Iterator:
        last_s, seconds = -1.0, 0.0  # of the last frame analysed, and of the last frame read
        total = int(count) if count > 0 else round(LONGEST_S * rate)
        for number in progress(itertools.count(), video.name, total, unit="picture"):
            is_read, picture = capture.read()
            if not is_read:
                break
            # A telephone records frames at varying intervals; where a file states no times, they are taken as equal.
            seconds = capture.get(cv2.CAP_PROP_POS_MSEC) / 1000 or number / rate
            if seconds - last_s >= 1 / MOST_FPS - ROUNDED_S:
                last_s = seconds
                _check_length(video, seconds)
                yield seconds, cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)
        capture.release()
        if last_s < 0 or seconds + 1 / rate < COMPLETE * declared_s:
            problem = f"{video} is damaged: only {seconds:.1f} of {declared_s:.1f} seconds can be read"
            raise MediaError(problem, "a complete video", "copy or convert it again")

    return rate / math.ceil(rate / MOST_FPS), pictures()


def _check_length(video: Path, seconds: float) -> None:
    if seconds > LONGEST_S:
        raise MediaError(f"{video} lasts more than {LONGEST_S // 60} minutes", "a shorter one", "cut it in two")


def _json_of(video: Path) -> Path:
    return video.with_suffix(".json")


def main(words: list[str] | None = None) -> int:
    """`python -m d2m keypoints path`: analyse a video, or all in a folder; 1 where one of them failed.

    Errors are printed at the end, after the output of MediaPipe.
    """
    parser = argparse.ArgumentParser(prog="python -m d2m keypoints", description=__doc__.splitlines()[0])
    parser.add_argument("path", help="a video, or a folder of videos")
    path, errors = parser.parse_args(words).path, []
    try:
        if not path:
            raise ParameterError("VIDEO is not given", "a video or a folder: make keypoints VIDEO=path/to/take1.mp4")
        to_analyse = videos(resolve(path, "VIDEO"))
    except D2MError as error:
        sys.exit(str(error))
    if not to_analyse:
        print(f"nothing to do: each video in {path} has its JSON; delete one to analyse its video again")
    for video in to_analyse:
        try:
            clip = estimate(video)
            with replacing(_json_of(video)) as temporary:
                temporary.write_text(json.dumps(clip))
            print(f"{_json_of(video)}: {summary(clip)}", flush=True)
        except D2MError as error:
            errors.append(str(error))
    for reason in errors:
        print(reason, file=sys.stderr)
    return 1 if errors else 0
