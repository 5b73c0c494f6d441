"""The body as a skeleton, a tree of joints with a rest pose: forward and inverse kinematics.

A joint stands at its offset from its parent, in the parent's frame, and its rotation turns all its descendants. In the
rest pose no joint is rotated and all frames are the world's.

14 points do not determine how a bone is twisted about its own axis. Here a limb takes the shortest turn from its rest
direction, then a twist so that its elbow or knee bends about its hinge; the more it bends, the larger the weight of
the twist. Each frame is solved on its own; of equivalent angles, those nearest to the frame before are taken.
"""

import warnings
from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from d2m.motion import pose

ORDER = "ZXY"  # of the angles: intrinsic rotations, about z, then the turned x, then the turned y
ROTATIONS = tuple(f"{axis}rotation" for axis in ORDER)
ROOT_CHANNELS = ("Xposition", "Yposition", "Zposition", *ROTATIONS)
# The name in `SKELETON` of each of pose.JOINTS, in their order.
POSE_JOINTS = (
    "Nose", "Neck", "RightArm", "RightForeArm", "RightHand", "LeftArm", "LeftForeArm", "LeftHand",
    "RightUpLeg", "RightLeg", "RightFoot", "LeftUpLeg", "LeftLeg", "LeftFoot",
)  # fmt: skip
HIPS, TORSO, SHOULDERS, HEAD, UPPER_ARM, FOREARM, *_, THIGH, CALF = (float(length) for length in pose.BONE_LENGTHS)
NOSE = np.array([0.0, 0.85, 0.5]) / np.hypot(0.85, 0.5)  # direction from the neck to the nose of an upright head
X, Y, Z = np.eye(3)
BENT = 0.5  # sine of the bend from which the elbow or knee alone determines the twist of its limb
SMALL = 1e-9  # lower bound of a length that is divided by


@dataclass(frozen=True)
class Joint:
    """A joint of a tree; a tree is a list in which parents come before their children."""

    name: str
    parent: int  # its index in the list; -1: no parent, the root
    offset: tuple[float, float, float]  # from the parent, in the parent's frame
    channels: tuple[str, ...] = ()  # its degrees of freedom, in the order of rotation: "Xposition", "Zrotation", ...
    end: tuple[float, float, float] | None = None  # for a joint without children: the end of its bone, in its own frame


def _rest_pose() -> list[Joint]:
    """The body, with the joint names of motion-capture files: upright, arms spread, facing +z, its left at +x."""
    rows = [
        ("Hips", "", (0, 0, 0)),
        ("Spine", "Hips", (0, 0, 0)),
        ("Neck", "Spine", (0, TORSO, 0)),
        ("Head", "Neck", tuple(HEAD / 2 * NOSE)),
        ("Nose", "Head", tuple(HEAD / 2 * NOSE), (0, 0, 0.02)),
    ]
    for side, x in (("Left", 1), ("Right", -1)):
        rows += [
            (f"{side}Shoulder", "Spine", (0, TORSO, 0)),  # the collar bone
            (f"{side}Arm", f"{side}Shoulder", (x * SHOULDERS / 2, 0, 0)),
            (f"{side}ForeArm", f"{side}Arm", (x * UPPER_ARM, 0, 0)),
            (f"{side}Hand", f"{side}ForeArm", (x * FOREARM, 0, 0), (x * 0.08, 0, 0)),
        ]
    for side, x in (("Left", 1), ("Right", -1)):
        rows += [
            (f"{side}UpLeg", "Hips", (x * HIPS / 2, 0, 0)),
            (f"{side}Leg", f"{side}UpLeg", (0, -THIGH, 0)),
            (f"{side}Foot", f"{side}Leg", (0, -CALF, 0), (0, -pose.ANKLE_HEIGHT, 0.12)),
        ]
    names = [name for name, *_ in rows]
    return [
        Joint(name, names.index(parent) if parent else -1, offset, ROTATIONS if parent else ROOT_CHANNELS, *end)
        for name, parent, offset, *end in rows
    ]


SKELETON = _rest_pose()
NUMBERS = {joint.name: number for number, joint in enumerate(SKELETON)}


def to_angles(poses: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Inverse kinematics of poses (T, 14, 3) of the one body: positions of the pelvis (T, 3) and angles (T, J, 3).

    Angles are in degrees in the order of `ORDER`, of each joint of `SKELETON` against its parent, unwrapped over time.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # SciPy warns of gimbal lock, where any equivalent angles will do
        local = np.moveaxis(local_rotations(poses), 1, 0)
        angles = np.stack([Rotation.from_matrix(matrices).as_euler(ORDER, degrees=True) for matrices in local], axis=1)
    return pose.pelvis(poses), unwrap(angles)


def local_rotations(poses: np.ndarray) -> np.ndarray:
    """The rotation of each joint of `SKELETON` against its parent (T, J, 3, 3), the root's against the world."""
    frames = joint_frames(np.asarray(poses, dtype=np.float64))
    local = [frames["Hips"]]
    for joint in SKELETON[1:]:
        local.append(np.swapaxes(frames[SKELETON[joint.parent].name], 1, 2) @ frames[joint.name])
    return np.stack(local, axis=1)


def from_angles(positions: np.ndarray, angles: np.ndarray) -> np.ndarray:
    """The inverse of `to_angles`: poses (T, 14, 3) of positions (T, 3) and angles (T, J, 3) in degrees."""
    pose_joints = [NUMBERS[name] for name in POSE_JOINTS]
    numbers = ancestry(SKELETON, pose_joints)
    offsets = {number: np.array(SKELETON[number].offset) for number in numbers} | {0: positions}
    rotations = {number: Rotation.from_euler(ORDER, angles[:, number], degrees=True) for number in numbers}
    joints, _ = forward_kinematics(SKELETON, offsets, rotations)
    return np.stack([joints[number] for number in pose_joints], axis=1)


def unwrap(angles: np.ndarray) -> np.ndarray:
    """The same rotations as `angles` (T, ..., 3) in degrees about three different axes, without jumps over time.

    A rotation has two sets of three angles, each up to full turns; the set nearest to the frame before is taken.
    """
    angles = angles.copy()
    equivalent = angles * (1, -1, 1) + 180
    for frame in range(1, len(angles)):
        before = angles[frame - 1]
        sets = np.stack([angles[frame], equivalent[frame]])
        sets += 360 * np.round((before - sets) / 360)
        first, second = np.abs(sets - before).sum(axis=-1, keepdims=True)
        angles[frame] = np.where(first <= second, sets[0], sets[1])
    return angles


def ancestry(joints: list[Joint], numbers: list[int]) -> list[int]:
    """The joints `numbers` and all their ancestors, parents first."""
    family: set[int] = set()
    for joint in numbers:
        while joint >= 0 and joint not in family:
            family.add(joint)
            joint = joints[joint].parent
    return sorted(family)


def forward_kinematics(
    joints: list[Joint], offsets: dict[int, np.ndarray], rotations: dict[int, Rotation]
) -> tuple[dict[int, np.ndarray], dict[int, Rotation]]:
    """Positions (T, 3) and frames (T) in the world, by number, of the joints in `rotations`.

    `offsets` (3,) or (T, 3) and `rotations` (T) are in the parent's frame; every ancestor of a joint comes before it
    (see `ancestry`).
    """
    positions: dict[int, np.ndarray] = {}
    frames: dict[int, Rotation] = {}
    for number, rotation in rotations.items():
        parent = joints[number].parent
        if parent < 0:
            positions[number], frames[number] = np.broadcast_to(offsets[number], (len(rotation), 3)), rotation
        else:
            positions[number] = positions[parent] + frames[parent].apply(offsets[number])
            frames[number] = frames[parent] * rotation
    return positions, frames


def joint_frames(poses: np.ndarray) -> dict[str, np.ndarray]:
    """The frame in the world (T, 3, 3) of every joint of `SKELETON`; its columns are the directions of its axes."""
    bones = np.moveaxis(_unit(pose.BONE_MATRIX @ poses), 1, 0)  # (12, T, 3)
    hips, torso, shoulders, nose = bones[:4]
    arms, legs = bones[4:].reshape(2, 2, 2, -1, 3)  # each right and left, upper and lower bone
    frames = {
        "Hips": _frame(X, hips, Y, torso),
        "Spine": _frame(Y, torso, X, shoulders),
        "LeftShoulder": _frame(X, shoulders, Y, torso),
    }
    frames["RightShoulder"] = frames["LeftShoulder"]
    frames["Neck"] = _limb(frames["Spine"], NOSE, X, nose)
    frames["Nose"] = frames["Head"] = frames["Neck"]
    for side, x, (upper_arm, forearm), (thigh, calf) in zip(("Right", "Left"), (-1, 1), arms, legs, strict=True):
        # The elbow of a spread arm bends forward, about a vertical axis; a knee bends back, about the axis to the left.
        frames[f"{side}Arm"] = _limb(frames[f"{side}Shoulder"], x * X, -x * Y, upper_arm, forearm)
        frames[f"{side}ForeArm"] = _limb(frames[f"{side}Arm"], x * X, -x * Y, forearm)
        frames[f"{side}UpLeg"] = _limb(frames["Hips"], -Y, X, thigh, calf)
        frames[f"{side}Leg"] = _limb(frames[f"{side}UpLeg"], -Y, X, calf)
        frames[f"{side}Hand"], frames[f"{side}Foot"] = frames[f"{side}ForeArm"], frames[f"{side}Leg"]
    return frames


def _limb(parent: np.ndarray, rest: np.ndarray, hinge: np.ndarray, along: np.ndarray, next_bone=None) -> np.ndarray:
    """The frame (T, 3, 3) of a bone that points `along` (T, 3), at rest along `rest` (3,) in the `parent` (T, 3, 3).

    The bone takes the shortest turn. Where `next_bone` (T, 3) bends from it, it is twisted so that its axis `hinge`
    (3,), perpendicular to `rest`, approaches the axis of the bend, unless the joint would bend backwards.
    """
    start, axis = parent @ rest, parent @ hinge
    # Rodrigues' formula for the shortest turn of start to along, applied to axis; undefined for a turn of 180 degrees.
    cross, cos = np.cross(start, along), _dot(start, along)
    axis = axis + np.cross(cross, axis) + np.cross(cross, np.cross(cross, axis)) / np.maximum(1 + cos, 1e-6)
    if next_bone is not None:
        bend = np.cross(along, next_bone)
        sine = np.linalg.norm(bend, axis=-1, keepdims=True)
        bend = bend / np.maximum(sine, SMALL)
        weight = np.clip(sine / BENT, 0, 1)
        axis = axis + weight**2 * (3 - 2 * weight) * (1 + _dot(bend, axis)) / 2 * (bend - axis)
    return _frame(rest, along, hinge, axis)


def _frame(first: np.ndarray, along: np.ndarray, second: np.ndarray, near: np.ndarray) -> np.ndarray:
    """Rotations (T, 3, 3) of `first` (3,) to `along` (T, 3); `second` (3,), perpendicular to `first`, comes as near to
    `near` (T, 3) as possible."""
    across = near - _dot(near, along) * along
    # Where near and along are parallel, any direction perpendicular to along will do.
    other = np.eye(3)[np.abs(along).argmin(axis=-1)]
    parallel = np.linalg.norm(across, axis=-1, keepdims=True) < 1e-6
    across = _unit(np.where(parallel, other - _dot(other, along) * along, across))
    axes = np.stack([along, across, np.cross(along, across)], axis=-1)
    return axes @ np.stack([first, second, np.cross(first, second)])


def _dot(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return (one * other).sum(axis=-1, keepdims=True)


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), SMALL)
