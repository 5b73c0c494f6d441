"""BVH files of any dancer as the 14 joints, for the usual names of bones and any unit of length.

A joint's rotations are applied in the order of its channels, each about an axis that the previous ones have
turned (v = R1 R2 R3 v'). Position channels replace the offset, as in Blender.
"""

import warnings
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from d2m.errors import PoseError
from d2m.motion import body as bodies
from d2m.motion import bvh, pose
from d2m.motion.skeleton import Joint, ancestry, forward_kinematics

CHUNK = 4096  # frames whose joints are computed together: bounds the memory

# Names of our joints in animation programs, motion-capture data and body models, in order of preference, with "left" or
# "l" before or after. `LeftShoulder` is a collar bone in a file with a LeftArm, `L_Foot` the toes in one with an ankle.
PARTS = {
    "shoulder": ("arm", "uparm", "upperarm", "shldr", "shoulder", "humerus"),
    "elbow": ("forearm", "lowarm", "lowerarm", "elbow", "radius"),
    "wrist": ("wrist", "hand"),
    "hip": ("upleg", "upperleg", "thigh", "femur", "hip"),
    "knee": ("knee", "leg", "lowleg", "lowerleg", "shin", "calf", "tibia"),
    "ankle": ("ankle", "foot"),
}
PREFIXES = ("mixamorig", "bip001", "bip01", "def")
FACE = 0.12  # distance of the nose from the middle of the head, in lengths of a leg
STILL_M = 1e-4  # movement of a joint between two frames of a rest pose
TURNED = 0.5  # cosine of the angle by which a body does not turn between two frames
SHORTEST = 1e-9  # lower bound of lengths, against division by zero


def read(path: Path) -> tuple[np.ndarray, float]:
    """The motion in a BVH file as joints (T, 14, 3) in the order of `pose.JOINTS`, metres, y up, and its frame rate.

    Joints are recognised by their names in Mixamo, CMU, Blender, Unreal, SMPL and d2m. The neck is the middle of the
    shoulders; the nose is the file's, else in front of the middle of the head. The body is scaled to the length of
    d2m's legs; its proportions and floor stay the same (`retarget.fit_body` changes them). Raises `PoseError` naming
    the file where it is missing, damaged, too large, or has no such body.
    """
    joints, values, fps = bvh.load(path)
    return to_body(joints, values, path), fps


def to_body(joints: list[Joint], values: np.ndarray, path: Path) -> np.ndarray:
    """`read` of the values (T, C) of the channels of `joints`."""
    numbers = _named(joints, path)
    body, heads = np.zeros((len(values), len(pose.JOINTS), 3)), np.zeros((len(values), 3, 3))
    for first in range(0, len(values), CHUNK):
        chunk = slice(first, first + CHUNK)
        positions, frames = _forward(joints, values[chunk], list(numbers.values()))
        for name, number in numbers.items():
            body[chunk, pose.JOINTS.index(name)] = positions[number]
        heads[chunk] = frames[numbers["nose"]].as_matrix()
    body[:, pose.NECK] = (body[:, pose.R_SHOULDER] + body[:, pose.L_SHOULDER]) / 2
    legs = np.median(pose.bone_lengths(body)[:, 8:].sum(axis=1) / 2)
    if not legs > SHORTEST:
        raise PoseError(f"{path}: the legs of this body have no length", "a standing person", "check the joint names")
    head = joints[numbers["nose"]]
    if _plain(head.name) != "nose":
        ends = [joint.offset for joint in joints if joint.parent == numbers["nose"]] + [head.end or (0.0, 0.0, 0.0)]
        top = max(np.array(ends), key=np.linalg.norm)
        body[:, pose.NOSE] += heads @ (top / 2 + FACE * legs * _ahead(heads, body))
    body *= pose.BONE_LENGTHS[8:].sum() / 2 / legs
    body = pose.validate(_without_rest_pose(body, str(path)), str(path))
    return bodies.check(body, str(path))


def _without_rest_pose(body: np.ndarray, source: str) -> np.ndarray:
    """Joints (T, 14, 3) that hold the first pose of the motion in place of a rest pose in another orientation.

    Exporters put it before the motion: its frames are still, and at their end the body turns at once.
    """
    up = bodies.own_up(body)
    if len(up) < len(body):
        return body
    still = np.linalg.norm(np.diff(body, axis=0), axis=2).max(axis=1) < STILL_M
    last = int(np.argmin(np.r_[still, False]))  # the last frame that equals all before it
    if last + 1 == len(body) or (up[last] * up[last + 1]).sum() > TURNED:
        return body
    frames = f"first {last + 1} frames" if last else "first frame"
    message = f"{source}: the next pose replaces its {frames}, a rest pose in another orientation"
    warnings.warn(message, bodies.BodyWarning, stacklevel=2)
    return np.concatenate([np.repeat(body[last + 1 : last + 2], last + 1, axis=0), body[last + 1 :]])


def _forward(joints: list[Joint], values: np.ndarray, numbers: list[int]) -> tuple[dict, dict]:
    """World positions and orientations, over channel values (T, C), of the joints `numbers` and their ancestors."""
    columns = np.cumsum([0, *(len(joint.channels) for joint in joints)])
    offsets, rotations = {}, {}
    for number in ancestry(joints, numbers):
        joint = joints[number]
        channels = values[:, columns[number] : columns[number + 1]]
        offsets[number] = np.tile(joint.offset, (len(values), 1))
        rotations[number] = Rotation.identity(len(values))
        for column, channel in enumerate(joint.channels):
            if channel.endswith("position"):
                offsets[number][:, "XYZ".index(channel[0])] = channels[:, column]
        turns = [column for column, channel in enumerate(joint.channels) if channel.endswith("rotation")]
        if turns:
            order = "".join(joint.channels[column][0] for column in turns)
            rotations[number] = Rotation.from_euler(order, channels[:, turns], degrees=True)
    return forward_kinematics(joints, offsets, rotations)


def _named(joints: list[Joint], path: Path) -> dict[str, int]:
    """The index among `joints` of each of `pose.JOINTS` except the neck; a head may stand for the nose."""
    # Reversed, so that of equal names the first is used.
    plain = {_plain(joint.name): number for number, joint in reversed(list(enumerate(joints)))}
    spellings = {"nose": ["nose", "head", "skull"]}
    for side in ("right", "left"):
        for part, names in PARTS.items():
            spellings[f"{side} {part}"] = [
                spelling for name in names for spelling in (side + name, side[0] + name, name + side, name + side[0])
            ]
    numbers = {joint: next((plain[name] for name in names if name in plain), -1) for joint, names in spellings.items()}
    missing = [joint for joint, number in numbers.items() if number < 0]
    if missing:
        present = ", ".join(joint.name for joint in joints[:30])
        expected = "names as in Mixamo, CMU or Blender (LeftUpLeg, LeftLeg, LeftFoot, ...)"
        raise PoseError(f"{path} has no {', '.join(missing)} (only {present})", expected, "rename the joints")
    return numbers


def _plain(name: str) -> str:
    """A joint's name without prefixes of programs: "mixamorig:LeftUpLeg" -> "leftupleg"."""
    plain = "".join(sign for sign in name.lower().rpartition(":")[2] if sign.isalnum())
    for prefix in PREFIXES:
        plain = plain.removeprefix(prefix)
    return plain


def _ahead(heads: np.ndarray, body: np.ndarray) -> np.ndarray:
    """The direction (3,) in which the head looks, in its own frame, from its orientations `heads` (T, 3, 3).

    A file does not state it; the mean direction in which the body faces is used.
    """
    across = body[:, pose.L_SHOULDER] - body[:, pose.R_SHOULDER]
    facing = np.cross(across, body[:, pose.NECK] - pose.pelvis(body))
    facing /= np.maximum(np.linalg.norm(facing, axis=1, keepdims=True), SHORTEST)
    own = np.einsum("tij,ti->j", heads, facing)
    return own / max(np.linalg.norm(own), SHORTEST)
