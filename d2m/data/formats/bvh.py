"""BVH files of any dancer read as the 14 joints: whatever their bones are called and whatever their unit of length is.

y is up. A joint's rotations are applied in the order of its channels, each about an axis that the ones before have
turned (v = R1 R2 R3 v'). Position channels stand in place of the offset, as Blender reads them.
"""

from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from d2m.errors import PoseError
from d2m.motion import bvh, pose
from d2m.motion.skeleton import Joint, ancestry, forward_kinematics

AT_ONCE = 4096  # frames whose joints are computed together: bounds the memory

# What animation programs, motion-capture houses and body models call our joints, the likeliest first: "left" or "l"
# goes before or after. `LeftShoulder` is a collar bone where there is a LeftArm too, `L_Foot` the toes beside an ankle.
PARTS = {
    "shoulder": ("arm", "uparm", "upperarm", "shldr", "shoulder", "humerus"),
    "elbow": ("forearm", "lowarm", "lowerarm", "elbow", "radius"),
    "wrist": ("wrist", "hand"),
    "hip": ("upleg", "upperleg", "thigh", "femur", "hip"),
    "knee": ("knee", "leg", "lowleg", "lowerleg", "shin", "calf", "tibia"),
    "ankle": ("ankle", "foot"),
}
PREFIXES = ("mixamorig", "bip001", "bip01", "def")
FACE = 0.12  # legs: by how much the nose is ahead of the middle of the head
SHORTEST = 1e-9


def read(path: Path | str) -> tuple[np.ndarray, float]:
    """The motion in a BVH file as joints (T, 14, 3) in the order of `pose.JOINTS`, metres, y up, and its frame rate.

    Joints are found by their names, as Mixamo, CMU, Blender, Unreal, SMPL and d2m give them; the neck is the middle of
    the shoulders, the nose d2m's own, else ahead of the middle of the head. Whatever the file's unit of length is, the
    body is scaled to legs as long as d2m's; its bones and floor are its own (`pose.fit_body` brings them to d2m's).
    Raises `PoseError` that names the file, for one that is missing, damaged, too large, or of no such body.
    """
    path = Path(path)
    joints, values, fps = bvh.load(path)
    numbers = _named(joints, path)
    body, heads = np.zeros((len(values), len(pose.JOINTS), 3)), np.zeros((len(values), 3, 3))
    for first in range(0, len(values), AT_ONCE):
        some = slice(first, first + AT_ONCE)
        places, frames = _forward(joints, values[some], list(numbers.values()))
        for name, number in numbers.items():
            body[some, pose.JOINTS.index(name)] = places[number]
        heads[some] = frames[numbers["nose"]].as_matrix()
    body[:, pose.NECK] = (body[:, pose.R_SHOULDER] + body[:, pose.L_SHOULDER]) / 2
    legs = np.median(pose.bone_lengths(body)[:, 8:].sum(axis=1) / 2)
    if not legs > SHORTEST:
        raise PoseError(
            f"{path}: the legs of this body have no length", "a person who stands", "check the names of the joints"
        )
    if (pose.pelvis(body)[:, 1] - body[:, (pose.R_ANKLE, pose.L_ANKLE), 1].mean(axis=1)).max() < 0.5 * legs:
        raise PoseError(f"{path}: the body never stands upright", "y to point up", "export it with y up")
    head = joints[numbers["nose"]]
    if _plain(head.name) != "nose":
        ends = [joint.offset for joint in joints if joint.parent == numbers["nose"]] + [head.end or (0.0, 0.0, 0.0)]
        top = max(np.array(ends), key=np.linalg.norm)
        body[:, pose.NOSE] += heads @ (top / 2 + FACE * legs * _ahead(heads, body))
    body *= pose.BONE_LENGTHS[8:].sum() / 2 / legs
    return pose.validate(body, str(path)), fps


def _forward(joints: list[Joint], values: np.ndarray, wanted: list[int]) -> tuple[dict, dict]:
    """Places and frames in the world of the joints `wanted` and all that they hang on, in frames (T, C)."""
    columns = np.cumsum([0, *(len(joint.channels) for joint in joints)])
    offsets, rotations = {}, {}
    for number in ancestry(joints, wanted):
        joint = joints[number]
        own = values[:, columns[number] : columns[number + 1]]
        offset = np.tile(np.array(joint.offset), (len(values), 1))
        for column, channel in enumerate(joint.channels):
            if channel.endswith("position"):
                offset[:, "XYZ".index(channel[0])] = own[:, column]
        turns = [column for column, channel in enumerate(joint.channels) if channel.endswith("rotation")]
        order = "".join(joint.channels[column][0] for column in turns)
        offsets[number] = offset
        rotations[number] = (
            Rotation.from_euler(order, own[:, turns], degrees=True) if turns else Rotation.identity(len(values))
        )
    return forward_kinematics(joints, offsets, rotations)


def _named(joints: list[Joint], path: Path) -> dict[str, int]:
    """The number in a file of each of our joints but the neck; for the nose the head's, where the file has no nose."""
    plain: dict[str, int] = {}
    for number, joint in enumerate(joints):
        plain.setdefault(_plain(joint.name), number)
    spelt = {"nose": ["nose", "head", "skull"]}
    for side in ("right", "left"):
        for part, known in PARTS.items():
            forms = [(side + name, side[0] + name, name + side, name + side[0]) for name in known]
            spelt[f"{side} {part}"] = [form for some in forms for form in some]
    found = {ours: next((plain[form] for form in forms if form in plain), -1) for ours, forms in spelt.items()}
    missing = [ours for ours, number in found.items() if number < 0]
    if missing:
        raise PoseError(
            f"{path} has no joint known as {', '.join(missing)} (but {', '.join(joint.name for joint in joints[:30])})",
            "names as Mixamo, CMU or Blender give them (LeftUpLeg, LeftLeg, LeftFoot, ...)", "rename the joints",
        )  # fmt: skip
    return found


def _plain(name: str) -> str:
    """A joint's name without what programs put around it: "mixamorig:LeftUpLeg" -> "leftupleg"."""
    plain = "".join(sign for sign in name.lower().rpartition(":")[2] if sign.isalnum())
    for prefix in PREFIXES:
        plain = plain.removeprefix(prefix)
    return plain


def _ahead(heads: np.ndarray, body: np.ndarray) -> np.ndarray:
    """The direction (3,) in the frame of a head, in the world (T, 3, 3), in which it looks.

    No file says which it is; but on the whole heads look where bodies face.
    """
    across = body[:, pose.L_SHOULDER] - body[:, pose.R_SHOULDER]
    facing = np.cross(across, body[:, pose.NECK] - pose.pelvis(body))
    facing /= np.maximum(np.linalg.norm(facing, axis=1, keepdims=True), SHORTEST)
    own = np.einsum("tij,ti->j", heads, facing)
    return own / max(np.linalg.norm(own), SHORTEST)
