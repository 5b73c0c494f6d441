"""A skeleton as animation programs have it: a tree of joints with a rest pose, and forward kinematics.

A joint stands at its offset from its parent, in the parent's frame; its rotation turns all that hangs on it. In the
rest pose, where nothing is turned, all frames are the world's.
"""

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation


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
