"""Clips in other people's formats, as their own tools write them: keypoints by name, without d2m's tables."""

import json
import pickle
from pathlib import Path

import numpy as np

from d2m.motion import pose


def _pairs(parts: str) -> list[str]:
    return [f"{side} {part}" for part in parts.split(", ") for side in ("left", "right")]


LAYOUTS = {
    "COCO": ["nose", *_pairs("eye, ear, shoulder, elbow, wrist, hip, knee, ankle")],
    "COCO-18": [*pose.JOINTS, "right eye", "left eye", "right ear", "left ear"],
    "BODY_25": [*pose.JOINTS[:8], "middle of the hips", *pose.JOINTS[8:], "right eye", "left eye", "right ear",
                "left ear", "left big toe", "left small toe", "left heel", "right big toe", "right small toe",
                "right heel"],
    "MediaPipe": ["nose", "left eye (inner)", "left eye", "left eye (outer)", "right eye (inner)", "right eye",
                  "right eye (outer)", "left ear", "right ear", "mouth (left)", "mouth (right)",
                  *_pairs("shoulder, elbow, wrist, pinky, index, thumb, hip, knee, ankle, heel, foot index")],
}  # fmt: skip


def keypoints(joints: np.ndarray, layout: str) -> np.ndarray:
    """Keypoints (T, K, D) of joints (T, 14, D); keypoints that are none of the 14 joints lie far away."""
    names = LAYOUTS[layout]
    points = np.full((len(joints), len(names), joints.shape[2]), 1e4)
    for joint, name in enumerate(pose.JOINTS):
        if name in names:  # COCO and MediaPipe have no neck: it is the middle of the shoulders, as in a test's body
            points[:, names.index(name)] = joints[:, joint]
    return points


def world_landmarks(joints: np.ndarray) -> np.ndarray:
    """MediaPipe's (T, 33, 3) of joints (T, 14, 3): about the middle of the hips, y down, z away from the camera."""
    return keypoints((joints - pose.pelvis(joints)[:, None]) * (1, -1, -1), "MediaPipe")


def in_picture(joints: np.ndarray) -> np.ndarray:
    """Pixels (T, 14, 2), y down, of joints (T, 14, 3) seen from the front."""
    return joints[..., :2] * (200, -200) + (960, 800)


def write_openpose(folder: Path, joints: np.ndarray, layout="BODY_25", name="clip", confidence=0.9, others=()) -> Path:
    """One file a frame of joints (T, 14, 2) in pixels, NaN where not found; `others` are people listed before."""
    folder.mkdir(parents=True, exist_ok=True)
    points = np.stack([keypoints(person, layout) for person in (*others, joints)], axis=1)  # (T, people, K, 2)
    rows = np.concatenate([points, np.full_like(points[..., :1], confidence)], axis=-1)
    rows[~np.isfinite(rows).all(axis=-1)] = 0
    for frame, crowd in enumerate(rows):
        people = [{"person_id": [-1], "pose_keypoints_2d": person.ravel().tolist()} for person in crowd]
        path = folder / f"{name}_{frame:012d}_keypoints.json"
        path.write_text(json.dumps({"version": 1.3, "people": people}))
    return folder


def write_json(path: Path, **content) -> Path:
    """A keypoint JSON; arrays become lists."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, default=np.ndarray.tolist))
    return path


def write_aist(folder: Path, joints: np.ndarray, name="gBR_sBM_cAll_d04_mBR0_ch01", protocol=4, **arrays) -> Path:
    """A pickle of AIST++, of joints (T, 14, 3) in metres at 60 fps; `arrays` replace its own."""
    folder.mkdir(parents=True, exist_ok=True)
    points = keypoints(joints * 100, "COCO")
    path = folder / f"{name}.pkl"
    content = {"keypoints3d": points + 30, "keypoints3d_optim": points} | arrays
    path.write_bytes(pickle.dumps({name: value for name, value in content.items() if value is not None}, protocol))
    return path
