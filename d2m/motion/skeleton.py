"""A skeleton as animation programs have it: a tree of joints with a rest pose, and forward kinematics.

A joint stands at its offset from its parent, in the parent's frame; its rotation turns all that hangs on it. In the
rest pose, where nothing is turned, all frames are the world's.

Inverse kinematics of the 14-joint body: from where joints are to how the joints of a skeleton are turned.

Fourteen points do not tell how a bone is turned about itself. So a limb turns as little as it can from the rest pose of
what it hangs on, and about itself so that its elbow or knee bends as elbows and knees do, the more the further it is
bent. Nothing depends on the frame before, and angles go on from those of the frame before without a jump.
"""

import warnings
from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from d2m.motion import pose


@dataclass(frozen=True)
class Joint:
    """A joint of a tree that is told as a list in which parents come before their children."""

    name: str
    parent: int  # its place in the list; -1: the root
    offset: tuple[float, float, float]  # from the parent, in its frame
    channels: tuple[str, ...] = ()  # what of it moves, in the order of rotation; "Xposition", "Zrotation", ...
    end: tuple[float, float, float] | None = None  # where its bone ends, in its own frame, if nothing hangs on it


def ancestry(joints: list[Joint], wanted: list[int]) -> list[int]:
    """The joints `wanted` and all that they hang on, in the order of the list."""
    found: set[int] = set()
    for joint in wanted:
        while joint >= 0 and joint not in found:
            found.add(joint)
            joint = joints[joint].parent
    return sorted(found)


def forward(
    joints: list[Joint], offsets: dict[int, np.ndarray], rotations: dict[int, Rotation]
) -> tuple[dict[int, np.ndarray], dict[int, Rotation]]:
    """Forward kinematics: places (T, 3) of joints in the world, and their frames.

    `offsets` (3,) or (T, 3) and `rotations` (T) in the parent's frame, of every joint that is asked for and of all that
    it hangs on, parents first (see `ancestry`).
    """
    places: dict[int, np.ndarray] = {}
    frames: dict[int, Rotation] = {}
    for number, rotation in rotations.items():
        parent = joints[number].parent
        if parent < 0:
            places[number], frames[number] = np.broadcast_to(offsets[number], (len(rotation), 3)), rotation
        else:
            places[number] = places[parent] + frames[parent].apply(offsets[number])
            frames[number] = frames[parent] * rotation
    return places, frames


ORDER = "ZXY"  # of rotations: about z first, about the x that has been turned next
ROTATIONS = tuple(f"{axis}rotation" for axis in ORDER)
ROOT = ("Xposition", "Yposition", "Zposition", *ROTATIONS)
HIPS, TORSO, SHOULDERS, HEAD, UPPER_ARM, FOREARM, *_, THIGH, CALF = (float(length) for length in pose.BONE_LENGTHS)
NOSE = np.array([0.0, 0.85, 0.5]) / np.hypot(0.85, 0.5)  # from the neck, of a head that is upright
X, Y, Z = np.eye(3)
BENT = 0.5  # sine of the angle at which an elbow or knee alone says how its limb is turned about itself
SMALL = 1e-9


def _tree() -> list[Joint]:
    """The body in its rest pose, as motion-capture files name it: upright, arms spread, facing +z, its left at +x."""
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
        Joint(name, names.index(parent) if parent else -1, offset, ROTATIONS if parent else ROOT, *end)
        for name, parent, offset, *end in rows
    ]


SKELETON = _tree()
NUMBERS = {joint.name: number for number, joint in enumerate(SKELETON)}
# The joint of the skeleton that stands where each of pose.JOINTS does.
STANDS = (
    "Nose", "Neck", "RightArm", "RightForeArm", "RightHand", "LeftArm", "LeftForeArm", "LeftHand",
    "RightUpLeg", "RightLeg", "RightFoot", "LeftUpLeg", "LeftLeg", "LeftFoot",
)  # fmt: skip


def solve(poses: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where the pelvis is (T, 3), and how each joint of `SKELETON` is turned against its parent: angles (T, J, 3) in
    degrees in the order of `ORDER`, without jumps, of the one body in poses (T, 14, 3)."""
    frames = _frames(np.asarray(poses, dtype=np.float64))
    local = []
    for joint in SKELETON:
        own = frames[joint.name]
        local.append(own if joint.parent < 0 else np.swapaxes(frames[SKELETON[joint.parent].name], 1, 2) @ own)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of gimbal lock, where one of many right answers is given
        angles = np.stack([Rotation.from_matrix(turned).as_euler(ORDER, degrees=True) for turned in local], axis=1)
    return pose.pelvis(poses), continuous(angles)


def body(place: np.ndarray, angles: np.ndarray) -> np.ndarray:
    """The inverse of `solve`, forward kinematics: poses (T, 14, 3) of places (T, 3) and angles (T, J, 3) in degrees."""
    wanted = [NUMBERS[name] for name in STANDS]
    numbers = ancestry(SKELETON, wanted)
    offsets = {number: np.array(SKELETON[number].offset) for number in numbers} | {0: place}
    rotations = {number: Rotation.from_euler(ORDER, angles[:, number], degrees=True) for number in numbers}
    places, _ = forward(SKELETON, offsets, rotations)
    return np.stack([places[number] for number in wanted], axis=1)


def continuous(angles: np.ndarray) -> np.ndarray:
    """Angles (T, ..., 3) in degrees of three rotations about different axes, each frame told as near to the one before
    as can be: the same rotations, of which every one has two forms and any number of full turns."""
    angles = angles.copy()
    other = angles * (1, -1, 1) + 180
    for frame in range(1, len(angles)):
        before = angles[frame - 1]
        forms = np.stack([angles[frame], other[frame]])
        forms += 360 * np.round((before - forms) / 360)
        first, second = np.abs(forms - before).sum(axis=-1, keepdims=True)
        angles[frame] = np.where(first <= second, forms[0], forms[1])
    return angles


def _frames(poses: np.ndarray) -> dict[str, np.ndarray]:
    """The frame in the world (T, 3, 3) of every joint; its columns are where its axes point."""
    bones = pose.BONE_MATRIX @ poses  # (T, 12, 3)
    hips, torso, shoulders, nose, *limbs = np.moveaxis(_unit(bones), 1, 0)
    frames = {
        "Hips": _frame(X, hips, Y, torso),
        "Spine": _frame(Y, torso, X, shoulders),
        "LeftShoulder": _frame(X, shoulders, Y, torso),
    }
    frames["RightShoulder"] = frames["LeftShoulder"]
    frames["Neck"] = _limb(frames["Spine"], NOSE, X, nose)
    frames["Nose"] = frames["Head"] = frames["Neck"]
    for number, (side, x) in enumerate((("Right", -1), ("Left", 1))):
        upper, fore, thigh, calf = (*limbs[2 * number : 2 * number + 2], *limbs[4 + 2 * number : 6 + 2 * number])
        # A spread arm bends forward, so about an axis up or down; a leg bends back, about the axis to the left.
        frames[f"{side}Arm"] = _limb(frames[f"{side}Shoulder"], x * X, -x * Y, upper, fore)
        frames[f"{side}ForeArm"] = _limb(frames[f"{side}Arm"], x * X, -x * Y, fore)
        frames[f"{side}UpLeg"] = _limb(frames["Hips"], -Y, X, thigh, calf)
        frames[f"{side}Leg"] = _limb(frames[f"{side}UpLeg"], -Y, X, calf)
        frames[f"{side}Hand"], frames[f"{side}Foot"] = frames[f"{side}ForeArm"], frames[f"{side}Leg"]
    return frames


def _limb(parent: np.ndarray, rest: np.ndarray, axis: np.ndarray, along: np.ndarray, following=None) -> np.ndarray:
    """The frame (T, 3, 3) of a bone that points `along` (T, 3), at rest along `rest` in that of `parent` (T, 3, 3).

    It turns there on the shortest way; where the bone `following` (T, 3) is bent against it, its `axis`, square to
    `rest`, is turned to the one about which that is bent, unless that is bent the wrong way.
    """
    start, about = parent @ rest, parent @ axis
    # The shortest turn of start to along, applied to about (Rodrigues); it is not defined for a turn by 180 degrees.
    cross, cos = np.cross(start, along), _dot(start, along)
    about = about + np.cross(cross, about) + np.cross(cross, np.cross(cross, about)) / np.maximum(1 + cos, 1e-6)
    if following is not None:
        bend = np.cross(along, following)
        sine = np.linalg.norm(bend, axis=-1, keepdims=True)
        bend = bend / np.maximum(sine, SMALL)
        weight = np.clip(sine / BENT, 0, 1)
        about = about + weight**2 * (3 - 2 * weight) * (1 + _dot(bend, about)) / 2 * (bend - about)
    return _frame(rest, along, axis, about)


def _frame(first: np.ndarray, along: np.ndarray, second: np.ndarray, near: np.ndarray) -> np.ndarray:
    """Rotations (T, 3, 3) that turn `first` (3,) to `along` (T, 3), and `second` (3,), square to it, as
    near to `near` (T, 3) as can be."""
    across = near - _dot(near, along) * along
    # Where near is along, any direction square to it will do.
    other = np.eye(3)[np.abs(along).argmin(axis=-1)]
    lost = np.linalg.norm(across, axis=-1, keepdims=True) < 1e-6
    across = _unit(np.where(lost, other - _dot(other, along) * along, across))
    here = np.stack([along, across, np.cross(along, across)], axis=-1)
    return here @ np.stack([first, second, np.cross(first, second)])


def _dot(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return (one * other).sum(axis=-1, keepdims=True)


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), SMALL)
