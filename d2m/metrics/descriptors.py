"""Kinetic and geometric descriptors of a dance: a feature space without training.

They follow the features of Onuma et al. (2008) and Mueller et al. (2005) that FACT (Li et al. 2021) uses, for 14 joints
in windows of 4 s. *Kinetic*: each joint's root mean square horizontal and vertical speed in m/s, and mean acceleration
in g. *Geometric*: the share of frames in which the body has a certain shape (hands above the head, knee bent, feet
apart, ...). All are computed from heights, distances and angles, so they are defined in 2D too.
"""

import numpy as np

from d2m.clock import FPS
from d2m.motion import pose

WINDOW_FRAMES, HOP_FRAMES = 60, 8
GRAVITY = 9.81  # m/s^2: accelerations in g, to match the scale of speeds
# Limbs (a, b, c), bent if the angle at b is smaller than this, in degrees.
BENT = (
    ("right elbow", (pose.R_SHOULDER, pose.R_ELBOW, pose.R_WRIST), 110),
    ("left elbow", (pose.L_SHOULDER, pose.L_ELBOW, pose.L_WRIST), 110),
    ("right knee", (pose.R_HIP, pose.R_KNEE, pose.R_ANKLE), 150),
    ("left knee", (pose.L_HIP, pose.L_KNEE, pose.L_ANKLE), 150),
)
# The first joint is higher than the second by more than this, in metres.
ABOVE = (
    ("right hand above the head", pose.R_WRIST, pose.NOSE, 0.0),
    ("left hand above the head", pose.L_WRIST, pose.NOSE, 0.0),
    ("right hand above the shoulder", pose.R_WRIST, pose.R_SHOULDER, 0.0),
    ("left hand above the shoulder", pose.L_WRIST, pose.L_SHOULDER, 0.0),
    ("right hand above the hip", pose.R_WRIST, pose.R_HIP, 0.1),
    ("left hand above the hip", pose.L_WRIST, pose.L_HIP, 0.1),
    ("right foot raised", pose.R_ANKLE, pose.L_ANKLE, 0.1),
    ("left foot raised", pose.L_ANKLE, pose.R_ANKLE, 0.1),
)
# The distance of two joints is larger than this, in metres.
APART = (
    ("hands apart", pose.R_WRIST, pose.L_WRIST, 0.4),
    ("hands wide apart", pose.R_WRIST, pose.L_WRIST, 0.9),
    ("feet apart", pose.R_ANKLE, pose.L_ANKLE, 0.25),
    ("feet wide apart", pose.R_ANKLE, pose.L_ANKLE, 0.5),
    ("right hand away from the other elbow", pose.R_WRIST, pose.L_ELBOW, 0.3),
    ("left hand away from the other elbow", pose.L_WRIST, pose.R_ELBOW, 0.3),
)
# The joint is faster than this, in m/s.
FAST = (
    ("right hand fast", pose.R_WRIST, 1.5),
    ("left hand fast", pose.L_WRIST, 1.5),
    ("right foot fast", pose.R_ANKLE, 1.0),
    ("left foot fast", pose.L_ANKLE, 1.0),
)
LEANING = 15.0  # degrees between trunk and vertical: the body leans if it is larger


def describe(poses: np.ndarray, fps: float = FPS) -> np.ndarray:
    """Descriptors (K, C) of poses (T, 14, D): a row for each window of 4 s, windows about half a second apart.

    A dance shorter than 4 s is one window. C = 65: 42 kinetic, then 23 geometric descriptors.
    """
    poses = pose.validate(poses)
    frames = np.concatenate([kinetic(poses, fps), geometric(poses, fps)], axis=1)  # (T, C)
    length = min(WINDOW_FRAMES, len(frames))
    sums = np.vstack([np.zeros(frames.shape[1]), frames.cumsum(axis=0)])
    first = np.arange(0, len(frames) - length + 1, HOP_FRAMES)
    means = (sums[first + length] - sums[first]) / length
    speeds = 2 * poses.shape[1]
    means[:, :speeds] = np.sqrt(np.maximum(means[:, :speeds], 0))
    return means


def kinetic(poses: np.ndarray, fps: float = FPS) -> np.ndarray:
    """Per frame (T, 42): squared horizontal and vertical speeds in m^2/s^2, and accelerations in g, of each joint."""
    velocity = np.gradient(poses, axis=0) * fps  # (T, 14, D)
    acceleration = np.linalg.norm(np.gradient(velocity, axis=0) * fps, axis=-1) / GRAVITY
    vertical = velocity[..., 1] ** 2
    return np.concatenate([np.square(velocity).sum(axis=-1) - vertical, vertical, acceleration], axis=1)


def geometric(poses: np.ndarray, fps: float = FPS) -> np.ndarray:
    """Per frame (T, 23): 1 if the body has the shape, else 0; shapes in the order of the tables above, leaning last."""
    speed = np.linalg.norm(np.gradient(poses, axis=0), axis=-1) * fps
    shapes = [_angle(poses, *joints) < degrees for _, joints, degrees in BENT]
    shapes += [poses[:, upper, 1] > poses[:, lower, 1] + metres for _, upper, lower, metres in ABOVE]
    shapes += [np.linalg.norm(poses[:, a] - poses[:, b], axis=-1) > metres for _, a, b, metres in APART]
    shapes += [speed[:, joint] > limit for _, joint, limit in FAST]
    trunk = poses[:, pose.NECK] - pose.pelvis(poses)
    shapes.append(trunk[:, 1] < np.cos(np.radians(LEANING)) * np.linalg.norm(trunk, axis=-1))
    return np.stack(shapes, axis=1).astype(np.float64)


def _angle(poses: np.ndarray, start: int, middle: int, end: int) -> np.ndarray:
    """The angle (T,) in degrees at joint `middle`; 180 is straight."""
    first, second = poses[:, start] - poses[:, middle], poses[:, end] - poses[:, middle]
    lengths = np.linalg.norm(first, axis=-1) * np.linalg.norm(second, axis=-1)
    return np.degrees(np.arccos(np.clip((first * second).sum(axis=-1) / np.maximum(lengths, 1e-9), -1, 1)))
