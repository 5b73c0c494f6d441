"""OpenPose's folders of JSON (`--write_json`): one file a frame, `<video>_<frame>_keypoints.json`, each of

    {"version": 1.3, "people": [{"pose_keypoints_2d": [x0, y0, c0, x1, y1, c1, ...], ...}, ...]}

with 25 (BODY_25) or 18 (COCO) keypoints, x and y in pixels, y down. What is not found is 0, 0 with confidence 0.
"""

import re
from pathlib import Path

import numpy as np

from d2m.errors import PoseError
from d2m.files import read_object
from d2m.keypoints import to_joints

FRAME = re.compile(r"(.*?)[-_. ]?(\d+)(_keypoints)?", re.DOTALL)
LAST_FRAME = 1_000_000  # nine hours at 30 fps: bounds the memory that a file's name can ask for


def recognises(path: Path, head: bytes) -> bool:
    """Whether a file begins as a frame of OpenPose does."""
    return re.match(rb'\s*\{[^{}]*"people"\s*:', head) is not None


def clip_of(path: Path) -> Path:
    """The clip that a frame belongs to: the folder, and the file's name before the number of the frame."""
    name = FRAME.fullmatch(path.stem)
    return path.parent / (name[1] if name and name[1] else path.parent.name)


def songs(clip: Path) -> tuple[str, ...]:
    """The names that the song of a clip may have: that of the video, and that of the folder."""
    return (clip.name, clip.parent.name)


def read(files: list[Path]) -> tuple[np.ndarray, None]:
    """Joints (T, 14, 2), y up, NaN where not found, of the files of one clip; OpenPose tells no frame rate.

    Frame i is that of number i, and missing where it has no file. Of several people it is the one who is found most
    surely at first, then whoever is nearest to where that one was last. Raises `PoseError` or `CorpusError`.
    """
    frames = _numbered(files)
    joints = np.full((max(frames) + 1, 14, 2), np.nan)
    last = None
    for number, path in sorted(frames.items()):
        people = _people(path)
        if len(people):
            joints[number] = _follow(people, last)
            last = np.where(np.isfinite(joints[number]), joints[number], np.nan if last is None else last)
    return joints * (1, -1), None


def _numbered(files: list[Path]) -> dict[int, Path]:
    frames = {}
    for path in files:
        name = FRAME.fullmatch(path.stem)
        if not name or len(name[2]) > 12 or int(name[2]) > LAST_FRAME:
            raise PoseError(f"{path} names no frame", f"<video>_<frame>_keypoints.json, frames up to {LAST_FRAME}")
        if frames.setdefault(int(name[2]), path) != path:
            raise PoseError(f"{path} and {frames[int(name[2])].name} are the same frame", "one file a frame")
    return frames


def _people(path: Path) -> np.ndarray:
    """Everybody in a frame who was found at all: (people, 14, 3) of x, y and confidence, NaN where not found."""
    people = []
    try:
        for person in read_object(path)["people"]:
            # The first versions of OpenPose had another name for it.
            values = person["pose_keypoints_2d"] if "pose_keypoints_2d" in person else person["pose_keypoints"]
            values = np.asarray(values, dtype=np.float64).reshape(-1, 3)
            if len(values):
                people.append(to_joints(values[None], values[None, :, 2], f"the keypoints of {path}")[0])
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise PoseError(f"{path} is no frame of OpenPose", 'people with "pose_keypoints_2d"') from error
    return np.array([person for person in people if np.isfinite(person).any()])


def _follow(people: np.ndarray, last: np.ndarray | None) -> np.ndarray:
    """Joints (14, 2) of the one of `people` to look at, who was `last` (14, 2) seen there."""
    if last is None:
        return people[np.nansum(people[..., 2], axis=1).argmax(), :, :2]
    apart = np.linalg.norm(people[..., :2] - last, axis=-1)  # (people, 14)
    known = np.isfinite(apart)
    mean = np.where(known, apart, 0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
    return people[np.where(known.any(axis=1), mean, np.inf).argmin(), :, :2]
