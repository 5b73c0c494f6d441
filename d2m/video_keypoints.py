"""Keypoints of the one who dances in a video, as JSON beside it: `make keypoints VIDEO=take1.mp4`.

MediaPipe 0.10.21, the last version with its models inside the package, finds 33 of them in each picture, in metres
about the hips. It needs NumPy 1, so this runs in an environment of its own, and imports of d2m only what needs no more.
`keypoint_json` reads what is written; the video, which has the same name, is the clip's song.
"""

import argparse
import json
import math
import os
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path

from d2m.errors import D2MError, MediaError, OutputError, ParameterError, PoseError
from d2m.paths import replacing, resolve
from d2m.placement import VIDEO
from d2m.progress import progress

ENOUGH_FPS = 30  # looked at, about: of a video of 60 pictures a second every second one
LONGEST_S = 30 * 60  # of which the keypoints fit the largest JSON that is read
EARLY = 0.1  # of a frame that a picture may come early, since its time may be rounded
QUIET = {"GLOG_minloglevel": "2", "TF_CPP_MIN_LOG_LEVEL": "2"}  # of what MediaPipe says of itself errors are enough


def videos(path: Path) -> list[Path]:
    """The videos to look at: `path` itself, or those in it and below that have no JSON yet.

    Raises `ParameterError` where there is none, `OutputError` where `path` has its JSON.
    """
    if path.is_file():
        if _json_of(path).exists():
            raise OutputError(f"{_json_of(path)} is there already", "", "delete or move it to look once more")
        return [path]
    if not path.is_dir():
        raise ParameterError(f"there is no {path}", "VIDEO: a video, or a folder of videos")
    names = sorted(found for found in path.rglob("*") if found.suffix.lower() in VIDEO and found.is_file())
    visible = [found for found in names if not any(part.startswith(".") for part in found.relative_to(path).parts)]
    if not visible:
        raise ParameterError(f"{path} holds no video", f"files such as take1.mp4 ({', '.join(sorted(VIDEO))})")
    return [found for found in visible if not _json_of(found).exists()]


def find(video: Path) -> dict:
    """Keypoints of a video as `keypoint_json` has them, at a constant frame rate whatever the video's.

    A frame in which nobody is found, or that has no picture, is null. Raises `MediaError` for what is no video or lasts
    more than half an hour, `PoseError` where nobody is found in it.
    """
    os.environ.update(QUIET)
    import mediapipe

    fps, pictures = _pictures(video)
    world, confidence = [], []
    with mediapipe.solutions.pose.Pose(model_complexity=1) as estimator:
        for frame, picture in pictures:
            found = estimator.process(picture)
            empty = [None] * (frame - len(world))
            # To 0.1 mm: further digits say nothing and take more than twice the room.
            world += [*empty, _rows(found.pose_world_landmarks, ("x", "y", "z"), 4)]
            confidence += [*empty, _rows(found.pose_landmarks, ("visibility",), 3)]
    if not any(world):
        raise PoseError(f"nobody is found in {video}", "one person, seen from head to foot")
    flat = [row and [value for (value,) in row] for row in confidence]
    return {"fps": fps, "frames": len(world), "world_landmarks": world, "confidence": flat}


def _rows(landmarks, names: tuple[str, ...], digits: int) -> list[list[float]] | None:
    """Landmarks as lists of rounded numbers; None where there are none."""
    if landmarks is None:
        return None
    return [[round(getattr(point, name), digits) for name in names] for point in landmarks.landmark]


def _pictures(video: Path) -> tuple[float, Iterator]:
    """Frames a second, and (frame number, RGB picture) of each frame that has a picture."""
    import cv2

    opened = cv2.VideoCapture(str(video))  # it turns what a telephone has filmed upright
    rate = opened.get(cv2.CAP_PROP_FPS)
    if not opened.isOpened() or not (math.isfinite(rate) and 1 <= rate <= 1000):
        raise MediaError(f"{video} cannot be read as a video", "a film that OpenCV decodes, such as an mp4")
    fps = rate / max(1, round(rate / ENOUGH_FPS))
    told = int(opened.get(cv2.CAP_PROP_FRAME_COUNT))  # about; some files do not tell
    total = told if told > 0 else int(LONGEST_S * rate)

    def shown() -> Iterator:
        awaited = 0
        for number in progress(count(), video.name, total, unit="picture"):
            there, picture = opened.read()
            if not there:
                break
            # A telephone's pictures come when they come; a file that tells no times has them evenly.
            seconds = opened.get(cv2.CAP_PROP_POS_MSEC) / 1000 or number / rate
            frame = math.floor(seconds * fps + EARLY)
            if frame > LONGEST_S * fps:
                raise MediaError(f"{video} lasts more than {LONGEST_S // 60} minutes", "less", "cut it in two")
            if frame >= awaited:
                awaited = frame + 1
                yield frame, cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)
        opened.release()

    return fps, shown()


def _json_of(video: Path) -> Path:
    return video.with_suffix(".json")


def main(words: list[str] | None = None) -> int:
    """`python -m d2m.video_keypoints path`: look at a video, or at all in a folder; 1 where one of them failed."""
    parser = argparse.ArgumentParser(prog="python -m d2m.video_keypoints", description=__doc__.splitlines()[0])
    parser.add_argument("path", help="a video, or a folder of videos")
    path, failed = parser.parse_args(words).path, False
    try:
        if not path:
            raise ParameterError("VIDEO is not given", "a video or a folder: make keypoints VIDEO=path/to/take1.mp4")
        found = videos(resolve(path, "VIDEO"))
    except D2MError as error:
        sys.exit(str(error))
    if not found:
        print(f"all videos in {path} have been looked at: each has its JSON")
    for video in found:
        try:
            clip = find(video)
            with replacing(_json_of(video)) as temporary:
                temporary.write_text(json.dumps(clip))
            seen = sum(row is not None for row in clip["confidence"])
            print(f"{_json_of(video)}: {clip['frames']} frames, somebody in {seen}", flush=True)
        except D2MError as error:
            print(error, file=sys.stderr, flush=True)
            failed = True
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
