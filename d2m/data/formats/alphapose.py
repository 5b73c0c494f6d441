"""AlphaPose's `alphapose-results.json`, one file a clip: the people in each picture of a video, x, y in pixels, y down.

    [{"image_id": "0.jpg", "category_id": 1, "keypoints": [x0, y0, c0, x1, y1, c1, ...], "score": 2.9}, ...]

one object a person, of COCO's 17, Halpe's 26 or 136 or COCO-WholeBody's 133 keypoints; or, with `--format cmu` or
`open`, one object a picture, of 18 keypoints in the order of OpenPose:

    {"0.jpg": {"version": "AlphaPose v0.3", "bodies": [{"joints": [...]}, ...]}, ...}
    {"0.jpg": {"version": "AlphaPose v0.3", "people": [{"pose_keypoints_2d": [...]}, ...]}, ...}

Pictures without people are not in the file. It states no frame rate.
"""

import re
from pathlib import Path

import numpy as np

from d2m.data.formats import keypoints
from d2m.errors import CorpusError, PoseError
from d2m.files import read_json

BY_PICTURE = re.compile(rb'\{\s*"[^"{}]*"\s*:\s*\{[^{}]*"(bodies|people)"\s*:')
LISTS = {"bodies": "joints", "people": "pose_keypoints_2d"}  # of a picture, and the keypoints of a person in it
REMEDY = "number the pictures, as AlphaPose does for a video"


def recognises(path: Path, start: bytes) -> bool:
    """Whether a file begins like AlphaPose's results."""
    start = start.lstrip()
    has_names = b'"image_id"' in start and b'"keypoints"' in start
    return (start.startswith(b"[") and has_names) or BY_PICTURE.match(start) is not None


def songs(clip: Path) -> tuple[str, ...]:
    """Possible names of the song of a clip: the file's, and the folder's, since all files have the same name."""
    return (clip.name, clip.parent.name)


def read(path: Path) -> tuple[np.ndarray, None]:
    """Joints (T, 14, 2), y up, NaN where missing, and no frame rate. Frame i is the picture of number i.

    Of several people one is followed, as in `keypoints.follow`. Raises `PoseError` or `CorpusError` naming the file.
    """
    content = read_json(path, CorpusError, "a complete JSON file", if_large="cut the take into shorter ones")
    try:
        rows = dict(_rows(content))
        numbers = _numbers(list(rows), path)
        frames = {numbers[name]: keypoints.people(people, str(path)) for name, people in rows.items()}
    except (AttributeError, KeyError, StopIteration, TypeError, ValueError, OverflowError) as error:
        expected = "a list of people with image_id and keypoints, or an object of pictures with their people"
        raise PoseError(f"{path} holds no results of AlphaPose", expected) from error
    if not frames:
        raise PoseError(f"{path} has nobody in any frame", "a visible dancer", "look at the video")
    return keypoints.follow(frames), None


def _rows(content: list | dict) -> dict:
    """The keypoints of the people in each picture, by its name or number."""
    rows = {}
    if isinstance(content, list):
        for person in content:
            rows.setdefault(person["image_id"], []).append(person["keypoints"])
    else:
        for name, picture in content.items():
            people, keys = next((people, keys) for people, keys in LISTS.items() if people in picture)
            rows[name] = [person[keys] for person in picture[people]]
    return rows


def _numbers(names: list, path: Path) -> dict:
    """The number of the frame of each picture: the last one in its name. Raises `PoseError`."""
    numbers, videos = {}, set()
    for name in names:
        match = keypoints.FRAME.fullmatch(Path(str(name)).stem)
        if not match or len(match[2]) > 12 or int(match[2]) > keypoints.LAST_FRAME:
            raise PoseError(f"{path} has the picture {str(name)[:40]!r}, whose name is no number", "0.jpg", REMEDY)
        numbers[name] = int(match[2])
        videos.add(match[1])
    if len(videos) > 1 or len(set(numbers.values())) < len(numbers):
        raise PoseError(f"{path} has pictures of {max(2, len(videos))} videos", "one video a file", REMEDY)
    return numbers
