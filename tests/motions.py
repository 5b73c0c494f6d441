"""Clips in other people's formats, as their own tools write them: keypoints by name, without d2m's tables."""

import json
import pickle
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from d2m.motion import pose
from d2m.motion import skeleton as motion_skeleton


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
LAYOUTS["Halpe-26"] = [*LAYOUTS["COCO"], "head", "neck", "hip", *_pairs("big toe, small toe, heel")]
LAYOUTS["COCO-WholeBody"] = [*LAYOUTS["COCO"], *["foot, face or hand"] * 116]
LAYOUTS["Halpe-136"] = [*LAYOUTS["Halpe-26"], *["face or hand"] * 110]
# The joints of SMPL, parents first: name, number of the parent.
SMPL = (
    ("pelvis", -1), ("left hip", 0), ("right hip", 0), ("spine1", 0), ("left knee", 1), ("right knee", 2),
    ("spine2", 3), ("left ankle", 4), ("right ankle", 5), ("spine3", 6), ("left foot", 7), ("right foot", 8),
    ("neck", 9), ("left collar", 9), ("right collar", 9), ("head", 12), ("left shoulder", 13), ("right shoulder", 14),
    ("left elbow", 16), ("right elbow", 17), ("left wrist", 18), ("right wrist", 19), ("left hand", 20),
    ("right hand", 21),
)  # fmt: skip


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


def write_openpose(
    folder: Path, joints: np.ndarray, layout="BODY_25", name="clip", confidence=0.9, others=(), step=1
) -> Path:
    """One file a frame of joints (T, 14, 2) in pixels, NaN where not found; `others` are people listed before.

    With a `step` they are of every step-th frame of the video.
    """
    folder.mkdir(parents=True, exist_ok=True)
    points = np.stack([keypoints(person, layout) for person in (*others, joints)], axis=1)  # (T, people, K, 2)
    rows = np.concatenate([points, np.full_like(points[..., :1], confidence)], axis=-1)
    rows[~np.isfinite(rows).all(axis=-1)] = 0
    for frame, crowd in enumerate(rows):
        people = [{"person_id": [-1], "pose_keypoints_2d": person.ravel().tolist()} for person in crowd]
        path = folder / f"{name}_{frame * step:012d}_keypoints.json"
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


def write_alphapose(path: Path, joints: np.ndarray, layout="COCO", confidence=0.9, others=(), step=1, form="") -> Path:
    """AlphaPose's results of joints (T, 14, 2) in pixels; `form`: "", "cmu" or "open", the last two of COCO-18."""
    points = np.stack([keypoints(person, layout) for person in (*others, joints)], axis=1)  # (T, people, K, 2)
    rows = np.concatenate([points, np.full_like(points[..., :1], confidence)], axis=-1)
    people, key = {"": ("", ""), "cmu": ("bodies", "joints"), "open": ("people", "pose_keypoints_2d")}[form]
    results, pictures = [], {}
    for frame, crowd in enumerate(rows):
        name = f"{frame * step}.jpg"
        for person in crowd:
            values = person.ravel().tolist()
            results.append({"image_id": name, "category_id": 1, "keypoints": values, "score": 2.5, "box": [0, 0, 9, 9]})
            picture = pictures.setdefault(name, {"version": "AlphaPose v0.3", people: []})
            picture[people].append({key: values})
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(pictures if form else results))
    return path


def write_smpl(folder: Path, poses: np.ndarray, name="gBR_sBM_cAll_d04_mBR0_ch01", protocol=4, **content) -> Path:
    """A motion of AIST++: rotation vectors (T, 24, 3), pelvis at the origin; `content` replaces its own."""
    folder.mkdir(parents=True, exist_ok=True)
    poses = np.asarray(poses, dtype=np.float32).reshape(len(poses), -1)
    scaling = np.array([93.8], dtype=np.float32)
    motion = {"smpl_loss": 1.6, "smpl_poses": poses, "smpl_scaling": scaling, "smpl_trans": np.zeros((len(poses), 3))}
    path = folder / f"{name}.pkl"
    motion |= content
    path.write_bytes(pickle.dumps({name: value for name, value in motion.items() if value is not None}, protocol))
    return path


def write_acclaim(folder: Path, joints: np.ndarray, name="01_02", skeleton="01", seed=0) -> Path:
    """An ASF and an AMC of joints (T, 14, 3), by d2m's inverse kinematics, its axes turned at random; the AMC's path.

    For each joint there are two bones: a stiff one that leads to it, and one without length that turns there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    place, angles = motion_skeleton.to_angles(joints)
    rng = np.random.default_rng(seed)
    data, hierarchy, rows = [], [], [[f"root {' '.join(map(repr, spot.tolist()))}" for spot in place * 20]]
    for number, joint in enumerate(motion_skeleton.SKELETON):
        parent = motion_skeleton.SKELETON[joint.parent].name if joint.parent >= 0 else "root"
        length = float(np.linalg.norm(joint.offset))
        along = np.array(joint.offset) / (length or 1)
        data += [f"begin\n name {joint.name}_bone\n direction {' '.join(map(repr, along.tolist()))}"]
        data += [f" length {20 * length!r}\n axis 0 0 0 XYZ\nend"]
        axis = rng.uniform(-180, 180, 3)
        data += [f"begin\n name {joint.name}\n direction 0 0 1\n length 0\n axis {' '.join(map(str, axis))} XYZ"]
        data += [" dof rx ry rz\n limits (-180.0 180.0)\n        (-180.0 180.0)\n        (-180.0 180.0)\nend"]
        hierarchy += [f"{parent} {joint.name}_bone", f"{joint.name}_bone {joint.name}"]
        turn = Rotation.from_euler("xyz", axis, degrees=True)
        own = turn.inv() * Rotation.from_euler(motion_skeleton.ORDER, angles[:, number], degrees=True) * turn
        values = own.as_euler("xyz", degrees=True)
        rows.append([f"{joint.name} {' '.join(map(repr, row.tolist()))}" for row in values])
    root = ":root\n order TX TY TZ\n axis XYZ\n position 0 0 0\n orientation 0 0 0"
    head = f"# made by a test\n:version 1.10\n:name VICON\n:units\n mass 1.0\n length 0.45\n angle deg\n{root}"
    lines = [head, ":bonedata", *data, ":hierarchy", "begin", *hierarchy, "end"]
    (folder / f"{skeleton}.asf").write_text("\n".join(lines))
    frames = [line for number, frame in enumerate(zip(*rows, strict=True), 1) for line in (str(number), *frame)]
    path = folder / f"{name}.amc"
    path.write_text("\n".join(["#!OML:ASF F:\\VICON\\USERDATA", ":FULLY-SPECIFIED", ":DEGREES", *frames, ""]))
    return path
