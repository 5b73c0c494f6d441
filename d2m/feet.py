"""Feet that stand: a dance moved over the floor so that its planted feet stay where they are.

A body that is made, not recorded, glides: its travel and its legs are told apart and each is a little wrong. Here only
where the body stands is changed, never its pose. A foot is planted as far as it is low and slow,

    w = sigmoid((STANDING_M - height) / SOFT_M) exp(- (speed / SLOW)^2),

and the whole body is moved against the mean velocity of its planted feet; fast feet glide because the dance wants it.
"""

import numpy as np
from scipy.special import expit

from d2m import pose
from d2m.physics import STANDING_M

SOFT_M = 0.01  # about the height at which an ankle stands no longer
SLOW = 0.5  # m/s: about as fast as a foot slides by mistake, half of what it does in a step


def plant(poses: np.ndarray, times_s: np.ndarray) -> np.ndarray:
    """Poses (T, 14, 3) at times (T,) whose planted feet stay, from where pose 0 stands."""
    ankles = poses[:, (pose.R_ANKLE, pose.L_ANKLE)]
    step_s = np.diff(times_s)[:, None]
    velocity = np.diff(ankles[..., ::2], axis=0) / step_s[..., None]  # (T - 1, 2 ankles, 2) along the floor
    height = np.maximum(ankles[1:, :, 1], ankles[:-1, :, 1]) - pose.ANKLE_HEIGHT
    speed = np.linalg.norm(velocity, axis=-1)
    planted = expit((STANDING_M - height) / SOFT_M) * np.exp(-((speed / SLOW) ** 2))  # (T - 1, 2)
    glide = (planted[..., None] * velocity).sum(axis=1) / np.maximum(planted.sum(axis=1, keepdims=True), 1.0)
    moved = poses.copy()
    moved[1:, :, ::2] -= np.cumsum(glide * step_s, axis=0)[:, None]
    return moved
