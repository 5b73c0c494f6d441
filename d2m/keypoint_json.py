"""Keypoints of a clip in one JSON file, of any estimator that finds COCO's 17 or MediaPipe's 33 (or OpenPose's).

    {"fps": 29.97,                 frames a second (without it: see `placement`)
     "frames": T,                  optional, to tell a file that is not whole
     "keypoints": (T, K, 2 or 3),  2: x, y in pixels, y down; 3: any unit of length, y up, right-handed
     "confidence": (T, K),         optional, 0 to 1
     "world_landmarks": (T, 33, 3) optional, MediaPipe's: metres about the middle of the hips, y down, z away}

A frame in which nobody is found is null. World landmarks, where there are any, are read instead of keypoints. They do
not tell where the body is: it stands with the lower foot on the floor in every frame, and is carried by it (`travel`).
"""

from pathlib import Path

import numpy as np

from d2m import pose
from d2m.errors import PoseError
from d2m.files import read_object
from d2m.keypoints import to_joints
from d2m.travel import carried


def recognises(path: Path, head: bytes) -> bool:
    """Whether a file begins as such a JSON does (and is no dance that d2m wrote)."""
    named = any(name in head for name in (b'"keypoints"', b'"world_landmarks"', b'"confidence"'))
    return head.lstrip().startswith(b"{") and named and b'"d2m dance' not in head


def read(path: Path) -> tuple[np.ndarray, float | None]:
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
