"""Keypoints of pose estimators, as the 14 joints of `pose`: OpenPose, AlphaPose, and keypoint JSON of any estimator.

OpenPose (`--write_json`) writes one file a frame, `<video>_<frame>_keypoints.json`: x, y in pixels, y down; 0, 0, 0 is
a missing keypoint.

    {"version": 1.3, "people": [{"pose_keypoints_2d": [x0, y0, c0, x1, y1, c1, ...], ...}, ...]}

AlphaPose: see `read_alphapose`. A keypoint JSON is one file a clip; a frame without a person is null:

    {"fps": 29.97,                 frames a second (else: see `folders.fps_of`)
     "frames": T,                  optional, to recognise a truncated file
     "keypoints": (T, K, 2 to 4),  x, y in pixels, y down; or x, y, z in any unit, right-handed; then a confidence
     "confidence": (T, K),         optional, 0 to 1
     "size": [1280, 720],          width and height of the picture, for coordinates from 0 to 1 (see `columns`)
     "world_landmarks": (T, 33, 3) optional, read instead of keypoints: metres from the hips, y down, z away}
"""

import re
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter1d
from scipy.special import softmax

from d2m.data.formats import columns
from d2m.data.formats.columns import LAYOUTS, LEAST_CONFIDENCE, NAMES
from d2m.errors import CorpusError, PoseError
from d2m.files import read_json, read_object
from d2m.motion import body, pose

FRAME = re.compile(r"(.*?)[-_. ]?(\d+)(_keypoints)?", re.DOTALL)  # the stem of a frame's file
BY_PICTURE = re.compile(rb'\{\s*"[^"{}]*"\s*:\s*\{[^{}]*"(bodies|people)"\s*:')  # AlphaPose's `--format cmu` or `open`
CROWDS = {"bodies": "joints", "people": "pose_keypoints_2d"}  # in these: of a picture, and of a person in it
LAST_FRAME = 1_000_000  # nine hours at 30 fps: bounds the memory that a file's name can ask for
LEG_M = pose.BONE_LENGTHS[8:].sum() / 2
SOFT_M = 0.02  # scale of the height difference at which the lower foot counts as the standing one
SMOOTH_FRAMES = 2  # standard deviation of the Gaussian that smooths steps: 1/15 s at 30 frames a second


def is_openpose(path: Path, start: bytes) -> bool:
    """Whether a file begins like a frame of OpenPose."""
    return re.match(rb'\s*\{[^{}]*"people"\s*:', start) is not None


def openpose_clip(path: Path) -> Path:
    """The clip that a frame belongs to: its folder, and its file's name before the number of the frame."""
    name = FRAME.fullmatch(path.stem)
    return path.parent / (name[1] if name and name[1] else path.parent.name)


def openpose_songs(clip: Path) -> tuple[str, ...]:
    """Possible names of the song of a clip of OpenPose or AlphaPose: the file's and the folder's."""
    return (clip.name, clip.parent.name)


def read_openpose(files: list[Path], size: columns.Size = lambda: None) -> tuple[np.ndarray, None]:
    """Joints (T, 14, 2), y up, NaN where missing, of the files of one clip; OpenPose writes no frame rate.

    Frame i is the file of number i, and missing without one (see `follow`). `size` is the picture's, for coordinates
    from 0 to 1 or from -1 to 1 (`--keypoint_scale 3` and `4`). Raises `PoseError` or `CorpusError`.
    """
    frames = {number: _people(path) for number, path in _numbered(files).items()}
    return _in_picture(follow(frames), size, f"the keypoints of {openpose_clip(files[0])}"), None


def is_alphapose(path: Path, start: bytes) -> bool:
    """Whether a file begins like AlphaPose's results."""
    start = start.lstrip()
    is_list = start.startswith(b"[") and b'"image_id"' in start and b'"keypoints"' in start
    return is_list or BY_PICTURE.match(start) is not None


def read_alphapose(path: Path, size: columns.Size = lambda: None) -> tuple[np.ndarray, None]:
    """Joints (T, 14, 2), y up, NaN where missing, of an `alphapose-results.json`; AlphaPose writes no frame rate.

        [{"image_id": "0.jpg", "keypoints": [x0, y0, c0, x1, y1, c1, ...], ...}, ...], an object a person, or
        {"0.jpg": {"bodies": [{"joints": [...]}, ...]}, ...}, or people and pose_keypoints_2d, an object a picture

    of pixels, y down. Frame i is the picture of number i, and missing without one (see `follow`). `size` is the
    picture's, for coordinates from 0 to 1. Raises `PoseError` or `CorpusError` naming the file.
    """
    content = read_json(path, CorpusError, "a complete JSON file", if_large="cut the take into shorter ones")
    try:
        rows = _by_picture(content)
        numbers = _picture_numbers(list(rows), path)
        frames = {numbers[name]: people(crowd, str(path)) for name, crowd in rows.items()}
    except (AttributeError, KeyError, StopIteration, TypeError, ValueError, OverflowError) as error:
        expected = "a list of people with image_id and keypoints, or an object of pictures with their people"
        raise PoseError(f"{path} holds no results of AlphaPose", expected) from error
    if not frames:
        raise PoseError(f"{path} has nobody in any frame", "a visible dancer", "look at the video")
    return _in_picture(follow(frames), size, f"the keypoints of {path}"), None


def follow(frames: dict[int, np.ndarray]) -> np.ndarray:
    """Joints (T, 14, 2), NaN where missing, of one person: `frames` hold the `people` of a picture, by number.

    Of several people the most confident is chosen at first, then in each frame the one nearest to the last position.
    """
    joints = np.full((max(frames) + 1, 14, 2), np.nan)
    last = None
    for number, crowd in sorted(frames.items()):
        if len(crowd):
            joints[number] = _nearest(crowd, last)
            last = np.where(np.isfinite(joints[number]), joints[number], np.nan if last is None else last)
    return joints


def people(rows: list, source: str) -> np.ndarray:
    """People with at least one joint: (people, 14, 3) of x, y and confidence, NaN where missing.

    A row holds x, y and confidence of each keypoint of a person in turn. Raises `PoseError` naming `source`, or
    `TypeError` or `ValueError`.
    """
    crowd = []
    for row in rows:
        values = np.asarray(row, dtype=np.float64).reshape(-1, 3)
        if len(values):
            crowd.append(to_joints(values[None], values[None, :, 2], f"the keypoints of {source}")[0])
    return np.array([person for person in crowd if np.isfinite(person).any()])


def is_keypoint_json(path: Path, start: bytes) -> bool:
    """Whether a file begins like a keypoint JSON (and not like a dance that d2m wrote)."""
    has_name = any(name in start for name in (b'"keypoints"', b'"world_landmarks"', b'"confidence"'))
    return start.lstrip().startswith(b"{") and has_name and b'"d2m dance' not in start


def read_keypoint_json(path: Path, size: columns.Size = lambda: None) -> tuple[np.ndarray, float | None]:
    """Joints (T, 14, 2 or 3), y up, NaN where missing, and the file's `fps`, unchecked.

    `size` is the picture's, for coordinates from 0 to 1 in a file that does not state it. World landmarks and other
    poses relative to the hips are put on the floor and moved by `root_motion`. Raises `PoseError` or `CorpusError`
    naming the file.
    """
    content = read_object(path)
    world = content.get("world_landmarks") is not None
    name = "world_landmarks" if world else "keypoints"
    keypoints = _array(content, name, path)
    if "frames" in content and content["frames"] != len(keypoints):
        raise PoseError(f"{path} holds {len(keypoints)} frames", f"{str(content['frames'])[:40]}, its own `frames`")
    confidence = _array(content, "confidence", path) if content.get("confidence") is not None else None
    if world and keypoints.shape[1:] not in ((33, 3), (33, 4)):
        raise PoseError(f"world_landmarks of {path} have shape {keypoints.shape}", "(T, 33, 3)")
    if content.get("size") is not None:
        stated = columns.check_size(content["size"], str(path))
        return _joints_of(keypoints, confidence, world, lambda: stated, f"{name} of {path}"), content.get("fps")
    return _joints_of(keypoints, confidence, world, size, f"{name} of {path}"), content.get("fps")


def _joints_of(
    keypoints: np.ndarray, confidence: np.ndarray | None, world: bool, size: columns.Size, source: str
) -> np.ndarray:
    """Joints (T, 14, 2 or 3), y up, of keypoints (T, K, 2 to 4), whose columns are recognised by their values."""
    meaning = columns.columns_of(to_joints(keypoints, source=source))
    if world:
        meaning = columns.Columns(3, keypoints.shape[2] == 4, pictured=True, from_hips=(True, True, True))
    if meaning.has_confidence:
        own = keypoints[..., -1]
        confidence = own if confidence is None else np.minimum(own, confidence)
    joints = to_joints(keypoints[..., : meaning.coordinates], confidence, source)
    if meaning.fractions:
        joints = columns.to_pixels(joints, size, source)
    if meaning.coordinates == 2:
        return body.check(joints * (1, -1), source)
    return _moved(body.check(joints * (1, -1, -1) if meaning.pictured else joints, source), meaning.from_hips)


def _in_picture(joints: np.ndarray, size: columns.Size, source: str) -> np.ndarray:
    """Joints (T, 14, 2), y up and checked, of joints with y down, in pixels or in fractions of a picture."""
    if columns.are_fractions(joints):
        joints = columns.to_pixels(joints, size, source)
    return body.check(joints * (1, -1), source)


def to_joints(keypoints: np.ndarray, confidence: np.ndarray | None = None, source: str = "the keypoints") -> np.ndarray:
    """Joints (T, 14, D) of keypoints (T, K, D), NaN where a keypoint is NaN or its confidence (T, K) is below 0.2.

    Raises `PoseError` naming `source` for a K without a layout.
    """
    if keypoints.ndim != 3 or keypoints.shape[1] not in LAYOUTS or keypoints.shape[2] not in (2, 3, 4):
        layouts = ", ".join(f"{count} ({name})" for count, name in NAMES.items())
        raise PoseError(f"{source} have shape {keypoints.shape}", f"(T, K, 2, 3 or 4) with K of {layouts}")
    if confidence is not None:
        if confidence.shape != keypoints.shape[:2]:
            raise PoseError(f"the confidence of {source} has shape {confidence.shape}", f"{keypoints.shape[:2]}")
        confidence = columns.as_confidence(confidence, source)
        keypoints = np.where(confidence[..., None] >= LEAST_CONFIDENCE, keypoints, np.nan)
    layout = LAYOUTS[keypoints.shape[1]]
    return np.stack([keypoints[:, list(members)].mean(axis=1) for members in layout], axis=1)


def _moved(joints: np.ndarray, from_hips: tuple[bool, ...]) -> np.ndarray:
    """Joints (T, 14, 3), y up, moved along the axes in which they are relative to the hips: the lower foot is on the
    floor in every frame, and the standing foot stays fixed."""
    if not any(from_hips):
        return joints
    ankles = joints[:, (pose.R_ANKLE, pose.L_ANKLE)]
    metre = columns.leg_length(joints, 50) / LEG_M or 1.0
    moved = joints.copy()
    seen = np.isfinite(ankles).any(axis=(1, 2))
    if seen.any():  # steps from one recorded frame to the next, also where every other frame is null
        moved[seen, :, ::2] += (root_motion(ankles[seen] / metre) * metre * from_hips[::2])[:, None]
    if from_hips[1]:
        moved[..., 1] -= np.fmin(ankles[:, 0, 1], ankles[:, 1, 1])[:, None]  # fmin ignores a missing ankle
    return moved


def root_motion(ankles: np.ndarray) -> np.ndarray:
    """Root motion (T, 2) over the floor, metres from frame 0, from a hip-relative pose: the standing foot stays fixed.

        step = - sum_i w_i (a_i(t + 1) - a_i(t)),    w = softmax(- height / SOFT_M)

    over both ankles a_i, `ankles` (T, 2 ankles, 3) relative to the hips, y up, NaN where missing (no step while both
    are); smoothed, since a trembling foot would shake the whole body. On Dance with Melody (test_root_motion.py), feet
    slide by 0.52 m/s without root motion, by 0.22 with it and by 0.32 in the original, and displacements over two
    seconds correlate with the true ones by 0.80. Leaps are lost.
    """
    height = np.maximum(ankles[1:, :, 1], ankles[:-1, :, 1])
    steps = np.diff(ankles[..., ::2], axis=0)  # (T - 1, 2 ankles, 2)
    present = np.isfinite(steps).all(axis=-1)
    weights = np.where(present, softmax(np.where(present, -height / SOFT_M, -1e3), axis=1), 0.0)
    root_steps = -(weights[..., None] * np.nan_to_num(steps)).sum(axis=1)
    smooth = gaussian_filter1d(root_steps, SMOOTH_FRAMES, axis=0)
    return np.concatenate([np.zeros((1, 2)), np.cumsum(smooth, axis=0)])


def _numbered(files: list[Path]) -> dict[int, Path]:
    """The files of frames, by number."""
    frames = {}
    for path in files:
        name = FRAME.fullmatch(path.stem)
        if not name or len(name[2]) > 12 or int(name[2]) > LAST_FRAME:
            raise PoseError(f"{path} names no frame", f"<video>_<frame>_keypoints.json, frames up to {LAST_FRAME}")
        if frames.setdefault(int(name[2]), path) != path:
            raise PoseError(f"{path} and {frames[int(name[2])].name} are the same frame", "one file a frame")
    return frames


def _people(path: Path) -> np.ndarray:
    """The `people` in a frame."""
    try:
        # The first versions of OpenPose used another key.
        rows = [
            person["pose_keypoints_2d"] if "pose_keypoints_2d" in person else person["pose_keypoints"]
            for person in read_object(path)["people"]
        ]
        return people(rows, str(path))
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise PoseError(f"{path} is no frame of OpenPose", 'people with "pose_keypoints_2d"') from error


def _nearest(people: np.ndarray, last: np.ndarray | None) -> np.ndarray:
    """Joints (14, 2) of the person nearest to the `last` joints (14, 2); without any, of the most confident person."""
    if last is None:
        return people[np.nansum(people[..., 2], axis=1).argmax(), :, :2]
    distances = np.ma.masked_invalid(np.linalg.norm(people[..., :2] - last, axis=-1))  # (people, 14)
    return people[distances.mean(axis=1).filled(np.inf).argmin(), :, :2]


def _by_picture(content: list | dict) -> dict:
    """The keypoints of the people in each picture of AlphaPose, by its name or number."""
    rows = {}
    if isinstance(content, list):
        for person in content:
            rows.setdefault(person["image_id"], []).append(person["keypoints"])
    else:
        for name, picture in content.items():
            crowd, key = next((crowd, key) for crowd, key in CROWDS.items() if crowd in picture)
            rows[name] = [person[key] for person in picture[crowd]]
    return rows


def _picture_numbers(names: list, path: Path) -> dict:
    """The number of the frame of each picture: the last one in its name. Raises `PoseError`."""
    numbers, videos, remedy = {}, set(), "number the pictures, as AlphaPose does for a video"
    for name in names:
        match = FRAME.fullmatch(Path(str(name)).stem)
        if not match or len(match[2]) > 12 or int(match[2]) > LAST_FRAME:
            raise PoseError(f"{path} has the picture {str(name)[:40]!r}, whose name is no number", "0.jpg", remedy)
        numbers[name] = int(match[2])
        videos.add(match[1])
    if len(videos) > 1 or len(set(numbers.values())) < len(numbers):
        raise PoseError(f"{path} has pictures of {max(2, len(videos))} videos", "one video a file", remedy)
    return numbers


def _array(content: dict, name: str, path: Path) -> np.ndarray:
    """The array `name` of a keypoint JSON, with NaN for null numbers and for null frames."""
    try:
        frames = list(content[name])
        shape = next(np.shape(frame) for frame in frames if frame is not None)
        return np.array([np.full(shape, np.nan) if frame is None else frame for frame in frames], dtype=np.float64)
    except StopIteration as error:
        raise PoseError(f"{path} has nobody in any frame", "a visible dancer", "look at the video") from error
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise PoseError(f"{path} holds no array {name}", "a list of frames, each a list of keypoints") from error
