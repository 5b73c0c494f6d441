"""Keypoints of the one who dances in a video, as JSON beside it: `make keypoints VIDEO=take1.mp4`.

MediaPipe 0.10.21, the last version with its models inside the package, finds 33 of them in each picture, in metres
about the hips. It needs NumPy 1, so this runs in an environment of its own, and imports of d2m only what needs no more.
`keypoint_json` reads what is written; the video, which has the same name, is the clip's song.
"""

import argparse
import json
import math
import sys
from collections import Counter
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import numpy as np

from d2m.data.folders import VIDEO, videos_in
from d2m.errors import D2MError, MediaError, OutputError, ParameterError, PoseError
from d2m.files import replacing, resolve
from d2m.progress import progress

MOST_FPS = 31  # pictures a second that are looked at: of 60 every second one
LONGEST_S = 30 * 60  # of which the keypoints fit the largest JSON that is read
ROUNDED_S = 0.001  # by which the time of a picture may be off
GAP_S = 0.5  # between two pictures a body is taken to move evenly for so long, as where a joint is missing
WHOLE = 0.8  # of the time that a video tells: it has pictures for so much, or it is damaged


def videos(path: Path) -> list[Path]:
    """The videos to look at: `path` itself, or those in it and below, but none that has its JSON already.

    Raises `ParameterError` where there is no video, `OutputError` where two would have one JSON.
    """
    if path.is_file():
        if path.suffix.lower() not in VIDEO:
            raise ParameterError(f"{path} is no video by its name", f"an ending of {', '.join(sorted(VIDEO))}")
        return [] if _json_of(path).exists() else [path]
    if not path.is_dir():
        raise ParameterError(f"there is no {path}", "VIDEO: a video, or a folder of videos")
    all_videos = videos_in(path)
    if not all_videos:
        raise ParameterError(f"{path} holds no video", f"files such as take1.mp4 ({', '.join(sorted(VIDEO))})")
    new = [found for found in all_videos if not _json_of(found).exists()]
    for target, times in Counter(map(_json_of, new)).items():
        if times > 1:
            raise OutputError(f"{target} would be of {times} videos", "one of a name", "rename or remove the others")
    return new


def find(video: Path) -> dict:
    """Keypoints of a video as `keypoint_json` has them, at a constant frame rate of at most `MOST_FPS`.

    A frame in which nobody is found, or about which there is no picture for `GAP_S`, is null. Raises `MediaError` for
    what is no video, is damaged or lasts more than half an hour, `PoseError` where nobody is found in it.
    """
    import cv2
    import mediapipe

    fps, pictures = _pictures(video)
    times_s, found = [], []
    try:
        with mediapipe.solutions.pose.Pose(model_complexity=1) as estimator:
            for seconds, picture in pictures:
                times_s.append(seconds)
                found.append(_row(estimator.process(picture)))
    except (cv2.error, RuntimeError, ValueError) as error:
        raise MediaError(f"{video} cannot be looked at ({error})", "a film that MediaPipe takes") from error
    rows = at_constant_rate(np.array(times_s), np.array(found), fps)
    # To 0.1 mm: further digits say nothing and take more than twice the room.
    seen = [None if np.isnan(row).any() else row.tolist() for row in rows.round(4)]
    if not any(seen):
        raise PoseError(f"nobody is found in {video}", "one person, seen from head to foot")
    world = [row and [point[:3] for point in row] for row in seen]
    confidence = [row and [round(point[3], 3) for point in row] for row in seen]
    return {"fps": fps, "frames": len(seen), "world_landmarks": world, "confidence": confidence}


def at_constant_rate(times_s: np.ndarray, rows: np.ndarray, fps: float) -> np.ndarray:
    """Rows (n, ...) seen at increasing `times_s` (n,), as they are at 0, 1 / fps, ... seconds: (frames, ...).

    A frame at a row's time, as all are in a video of a constant rate, is that row; else it lies on the straight line
    between two, and is NaN where one of them is or where they are more than `GAP_S` apart.
    """
    at_s = np.arange(math.floor((times_s[-1] + ROUNDED_S) * fps) + 1) / fps
    before = np.maximum(np.searchsorted(times_s, at_s + ROUNDED_S, side="right") - 1, 0)
    after = np.minimum(np.searchsorted(times_s, at_s - ROUNDED_S), len(times_s) - 1)
    apart_s = times_s[after] - times_s[before]
    share = (at_s - times_s[before]) / np.where(apart_s > 0, apart_s, 1.0)
    share = share.reshape(-1, *[1] * (rows.ndim - 1))
    between = (1 - share) * rows[before] + share * rows[after]
    between[apart_s > GAP_S] = np.nan
    return between


def _row(found) -> np.ndarray:
    """x, y, z in metres and visibility (33, 4) of what MediaPipe finds in a picture; NaN where that is nobody."""
    if found.pose_world_landmarks is None:
        return np.full((33, 4), np.nan)
    points = zip(found.pose_world_landmarks.landmark, found.pose_landmarks.landmark, strict=True)
    return np.array([(point.x, point.y, point.z, flat.visibility) for point, flat in points])


def _pictures(video: Path) -> tuple[float, Iterator]:
    """Frames a second, and of each picture that is to be looked at its time in seconds and its RGB values."""
    import cv2

    opened = cv2.VideoCapture(str(video))  # it turns what a telephone has filmed upright
    rate, told = opened.get(cv2.CAP_PROP_FPS), opened.get(cv2.CAP_PROP_FRAME_COUNT)  # some files do not tell how many
    if not opened.isOpened() or not 1 <= rate <= 1000:
        raise MediaError(f"{video} cannot be read as a video", "a whole film that OpenCV decodes, such as an mp4")
    told_s = max(0.0, told / rate)
    _check_length(video, told_s)

    def shown() -> Iterator:
        looked_s, seconds = -1.0, 0.0
        for number in progress(count(), video.name, int(told) if told > 0 else round(LONGEST_S * rate), unit="picture"):
            there, picture = opened.read()
            if not there:
                break
            # A telephone's pictures come when they come; a file that tells no times has them evenly.
            seconds = opened.get(cv2.CAP_PROP_POS_MSEC) / 1000 or number / rate
            if seconds - looked_s >= 1 / MOST_FPS - ROUNDED_S:
                looked_s = seconds
                _check_length(video, seconds)
                yield seconds, cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)
        opened.release()
        if looked_s < 0 or seconds + 1 / rate < WHOLE * told_s:
            raise MediaError(
                f"{video} is damaged: of {told_s:.1f} seconds there are pictures for {max(0.0, seconds):.1f}",
                "a whole film", "copy or convert it anew",
            )  # fmt: skip

    return rate / math.ceil(rate / MOST_FPS), shown()


def _check_length(video: Path, seconds: float) -> None:
    if seconds > LONGEST_S:
        raise MediaError(f"{video} lasts more than {LONGEST_S // 60} minutes", "at most as much", "cut it in two")


def _json_of(video: Path) -> Path:
    return video.with_suffix(".json")


def main(words: list[str] | None = None) -> int:
    """`python -m d2m.data.video path`: look at a video, or at all in a folder; 1 where one of them failed.

    What failed is told once more at the end, where MediaPipe's own words do not hide it.
    """
    parser = argparse.ArgumentParser(prog="python -m d2m.data.video", description=__doc__.splitlines()[0])
    parser.add_argument("path", help="a video, or a folder of videos")
    path, failed = parser.parse_args(words).path, []
    try:
        if not path:
            raise ParameterError("VIDEO is not given", "a video or a folder: make keypoints VIDEO=path/to/take1.mp4")
        found = videos(resolve(path, "VIDEO"))
    except D2MError as error:
        sys.exit(str(error))
    if not found:
        print(f"{path} has been looked at: beside each video is its JSON; delete one to look once more")
    for video in found:
        try:
            clip = find(video)
            with replacing(_json_of(video)) as temporary:
                temporary.write_text(json.dumps(clip))
            seen = sum(row is not None for row in clip["confidence"])
            print(f"{_json_of(video)}: {clip['frames']} frames, somebody in {seen}", flush=True)
        except D2MError as error:
            failed.append(str(error))
    for reason in failed:
        print(reason, file=sys.stderr)
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
