"""The keypoints that pose estimators find, as the 14 joints of `pose`. How many there are tells which layout it is.

17   COCO         nose, eyes, ears, shoulders, elbows, wrists, hips, knees, ankles, the left one first
18   COCO-18      OpenPose's COCO model: the 14 joints, then eyes and ears
25   BODY_25      OpenPose's body model: the 14 joints with the middle of the hips at 8, then eyes, ears and feet
33   MediaPipe    face 0 to 10, then pairs from the shoulders down, the left one first

Where a body goes of which only the pose is known: it is carried by the foot that it stands on.

Estimators of pose tell joints about the hips. A foot that stands stays where it is, so the hips go as it does not:

    step = - sum_i w_i (a_i(t + 1) - a_i(t)),    w = softmax(- height / SOFT_M)

over both ankles a_i on the floor; made smooth, since what trembles in a foot would shake the whole body. Dance with
Melody told about its hips (tests/test_travel.py): feet slide by 0.52 m/s on the spot, by 0.22 carried, by 0.32 as they
truly were, and the way of two seconds correlates with the true one by 0.80. The way of a leap is lost.

OpenPose's folders of JSON (`--write_json`): one file a frame, `<video>_<frame>_keypoints.json`, each of

    {"version": 1.3, "people": [{"pose_keypoints_2d": [x0, y0, c0, x1, y1, c1, ...], ...}, ...]}

with 25 (BODY_25) or 18 (COCO) keypoints, x and y in pixels, y down. What is not found is 0, 0 with confidence 0.

Keypoints of a clip in one JSON file, of any estimator that finds COCO's 17 or MediaPipe's 33 (or OpenPose's).

    {"fps": 29.97,                 frames a second (without it: see `placement`)
     "frames": T,                  optional, to tell a file that is not whole
     "keypoints": (T, K, 2 or 3),  2: x, y in pixels, y down; 3: any unit of length, y up, right-handed
     "confidence": (T, K),         optional, 0 to 1
     "world_landmarks": (T, 33, 3) optional, MediaPipe's: metres about the middle of the hips, y down, z away}

A frame in which nobody is found is null. World landmarks, where there are any, are read instead of keypoints. They do
not tell where the body is: it stands with the lower foot on the floor in every frame, and is carried by it (`travel`).
"""

import re
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter1d
from scipy.special import softmax

from d2m.errors import PoseError
from d2m.files import read_object
from d2m.motion import pose

LEAST_CONFIDENCE = 0.2  # below it a keypoint is a guess, and counts as missing
# For each of the 14 joints the keypoints whose mean it is: where there is no neck it is the middle of the shoulders.
LAYOUTS = {
    17: ((0,), (5, 6), (6,), (8,), (10,), (5,), (7,), (9,), (12,), (14,), (16,), (11,), (13,), (15,)),
    18: tuple((number,) for number in range(14)),
    25: tuple((number,) for number in (*range(8), *range(9, 15))),
    33: ((0,), (11, 12), (12,), (14,), (16,), (11,), (13,), (15,), (24,), (26,), (28,), (23,), (25,), (27,)),
}
NAMES = {17: "COCO", 18: "COCO-18", 25: "BODY_25", 33: "MediaPipe"}


def to_joints(keypoints: np.ndarray, confidence: np.ndarray | None = None, source: str = "the keypoints") -> np.ndarray:
    """Joints (T, 14, D) of keypoints (T, K, D), NaN where a keypoint is NaN or its confidence (T, K) is below 0.2.

    Raises `PoseError` naming `source` for a K that is no layout.
    """
    if keypoints.ndim != 3 or keypoints.shape[1] not in LAYOUTS or keypoints.shape[2] not in (2, 3):
        known = ", ".join(f"{count} ({name})" for count, name in NAMES.items())
        raise PoseError(f"{source} have shape {keypoints.shape}", f"(T, K, 2 or 3) with K of {known}")
    if confidence is not None:
        if confidence.shape != keypoints.shape[:2]:
            raise PoseError(f"the confidence of {source} has shape {confidence.shape}", f"{keypoints.shape[:2]}")
        keypoints = np.where(confidence[..., None] >= LEAST_CONFIDENCE, keypoints, np.nan)
    layout = LAYOUTS[keypoints.shape[1]]
    return np.stack([keypoints[:, list(members)].mean(axis=1) for members in layout], axis=1)


SOFT_M = 0.02  # by how much the lower foot must be lower to be the one that is stood on
SMOOTH_FRAMES = 2  # standard deviation of the Gaussian that steps are smoothed by: 1/15 s at 30 frames a second


def carried(ankles: np.ndarray) -> np.ndarray:
    """How far over the floor, in metres from frame 0, feet have carried a body: (T, 2).

    `ankles` (T, 2 ankles, 3) are about the hips, y up, NaN where missing; the body does not go on while none is seen.
    """
    height = np.maximum(ankles[1:, :, 1], ankles[:-1, :, 1])
    steps = np.diff(ankles[..., ::2], axis=0)  # (T - 1, 2 ankles, 2)
    seen = np.isfinite(steps).all(axis=-1)
    stands = np.where(seen, softmax(np.where(seen, -height / SOFT_M, -1e3), axis=1), 0.0)
    going = -(stands[..., None] * np.nan_to_num(steps)).sum(axis=1)
    smooth = gaussian_filter1d(going, SMOOTH_FRAMES, axis=0)
    return np.concatenate([np.zeros((1, 2)), np.cumsum(smooth, axis=0)])


FRAME = re.compile(r"(.*?)[-_. ]?(\d+)(_keypoints)?", re.DOTALL)
LAST_FRAME = 1_000_000  # nine hours at 30 fps: bounds the memory that a file's name can ask for


def is_openpose(path: Path, head: bytes) -> bool:
    """Whether a file begins as a frame of OpenPose does."""
    return re.match(rb'\s*\{[^{}]*"people"\s*:', head) is not None


def openpose_clip(path: Path) -> Path:
    """The clip that a frame belongs to: the folder, and the file's name before the number of the frame."""
    name = FRAME.fullmatch(path.stem)
    return path.parent / (name[1] if name and name[1] else path.parent.name)


def openpose_songs(clip: Path) -> tuple[str, ...]:
    """The names that the song of a clip may have: that of the video, and that of the folder."""
    return (clip.name, clip.parent.name)


def read_openpose(files: list[Path]) -> tuple[np.ndarray, None]:
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


def is_keypoint_json(path: Path, head: bytes) -> bool:
    """Whether a file begins as such a JSON does (and is no dance that d2m wrote)."""
    named = any(name in head for name in (b'"keypoints"', b'"world_landmarks"', b'"confidence"'))
    return head.lstrip().startswith(b"{") and named and b'"d2m dance' not in head


def read_keypoint_json(path: Path) -> tuple[np.ndarray, float | None]:
    """Joints (T, 14, 2 or 3), y up, NaN where missing, and `fps` as the file has it, for the caller to check.

    Raises `PoseError` or `CorpusError` naming the file.
    """
    content = read_object(path)
    world = content.get("world_landmarks") is not None
    name = "world_landmarks" if world else "keypoints"
    keypoints = _array(content, name, path)
    if "frames" in content and content["frames"] != len(keypoints):
        raise PoseError(f"{path} holds {len(keypoints)} frames", f"{str(content['frames'])[:40]}, as it says itself")
    confidence = _array(content, "confidence", path) if content.get("confidence") is not None else None
    if world and keypoints.shape[1:] != (33, 3):
        raise PoseError(f"world_landmarks of {path} have shape {keypoints.shape}", "(T, 33, 3)")
    joints = to_joints(keypoints, confidence, f"{name} of {path}")
    if world:
        joints *= (1, -1, -1)
        ankles = joints[:, (pose.R_ANKLE, pose.L_ANKLE)]
        joints[..., ::2] += carried(ankles)[:, None]
        joints[..., 1] -= np.fmin(ankles[:, 0, 1], ankles[:, 1, 1])[:, None]  # fmin: the one that is seen
    elif joints.shape[2] == 2:
        joints *= (1, -1)
    return joints, content.get("fps")


def _array(content: dict, name: str, path: Path) -> np.ndarray:
    """The array `name`, with NaN for null: numbers, or whole frames."""
    try:
        frames = list(content[name])
        shape = next(np.shape(frame) for frame in frames if frame is not None)
        return np.array([np.full(shape, np.nan) if frame is None else frame for frame in frames], dtype=np.float64)
    except StopIteration as error:
        raise PoseError(f"{path} has nobody in any frame", "a dancer who is seen", "look at the video") from error
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise PoseError(f"{path} holds no array {name}", "a list of frames, each a list of keypoints") from error
