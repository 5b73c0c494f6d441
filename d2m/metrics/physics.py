"""Measures of a moving body: floats from poses (T, 14, D) in metres, y up.

boundary jump     joint step across a seam / median step elsewhere; 1 is smooth, 0 means a repeated frame
bone variation    standard deviation over mean of each bone's length, averaged over the bones
foot sliding      mean horizontal speed of ankles that stand, m/s
foot contact      physical foot contact score (Tseng et al. 2023, EDGE): 0 if the hips accelerate only while a foot
                  stands still
freeze share      share of frames no faster than a threshold (the slowest 1 % of real frames)
"""

import numpy as np

from d2m.clock import FPS
from d2m.errors import D2MError
from d2m.motion import pose

STANDING_M = 0.03  # a foot stands if its ankle is lower than this above ANKLE_HEIGHT
RESTING = 1e-3  # m/s^2: smaller accelerations of the hips are rounding (1e-4 in float32)


def boundary_jump(poses: np.ndarray, seams_s, fps: float = FPS, order: int = 1) -> float:
    """Mean joint step across the seams / median step elsewhere; with `order` 2, change of step instead of step.

    `seams_s` are times in s. Raises `D2MError` if there is no seam or no motion.
    """
    steps = np.linalg.norm(np.diff(poses, n=order, axis=0), axis=-1).mean(axis=1)
    # The step that crosses a seam ends at the first pose of the movement.
    seam = np.unique(np.floor(np.asarray(seams_s) * fps - 0.5).astype(int) - (order - 1))
    seam = seam[(seam >= 0) & (seam < len(steps))]
    inside = np.delete(steps, seam)
    if len(seam) == 0 or len(inside) == 0 or np.median(inside) == 0:
        raise D2MError("a jump cannot be measured", "seams inside a dance that moves")
    return float(steps[seam].mean() / np.median(inside))


def bone_variation(poses: np.ndarray) -> float:
    """Standard deviation over mean of each bone's length, averaged over the bones; 0 for a rigid body."""
    lengths = pose.bone_lengths(_at_least(poses, 2))
    return float((lengths.std(axis=0) / np.maximum(lengths.mean(axis=0), 1e-9)).mean())  # a bone may have no length


def foot_sliding(poses: np.ndarray, fps: float = FPS) -> float:
    """Mean horizontal speed in m/s of standing ankles (3D), those lower than ANKLE_HEIGHT + `STANDING_M` in two
    successive frames; 0 if no ankle stands."""
    ankles = _at_least(poses, 2)[:, (pose.R_ANKLE, pose.L_ANKLE)]
    low = ankles[..., 1] < pose.ANKLE_HEIGHT + STANDING_M
    speed = np.linalg.norm(np.diff(ankles[..., ::2], axis=0), axis=-1) * fps
    standing = low[1:] & low[:-1]
    return float(speed[standing].mean()) if standing.any() else 0.0


def foot_contact(poses: np.ndarray, fps: float = FPS) -> float:
    """Physical foot contact (3D) in m^2/s^2: mean of |a| |v_right| |v_left| over the largest |a|.

    a is the acceleration of the middle of the hips, its downward part set to 0 (gravity needs no foot); v are the
    horizontal velocities of the ankles. 0 if the hips do not accelerate. T >= 3. EDGE's score (section 4.2) differs: it
    uses metres a frame, toes as well as ankles, and 10^4 times the mean.
    """
    poses = _at_least(poses, 3)
    acceleration = np.diff(pose.pelvis(poses), n=2, axis=0) * fps**2
    acceleration[:, 1] = np.maximum(acceleration[:, 1], 0)
    push = np.linalg.norm(acceleration, axis=-1)
    steps = np.diff(poses[:, (pose.R_ANKLE, pose.L_ANKLE)], axis=0)[1:, :, ::2]
    feet = np.linalg.norm(steps, axis=-1) * fps
    return float((push * feet.prod(axis=1)).mean() / push.max()) if push.max() > RESTING else 0.0


def joint_speed(poses: np.ndarray, fps: float = FPS) -> np.ndarray:
    """Mean joint speed of each frame after the first (T - 1,) in m/s."""
    return np.linalg.norm(np.diff(_at_least(poses, 2), axis=0), axis=-1).mean(axis=1) * fps


def freeze_share(poses: np.ndarray, threshold: float, fps: float = FPS) -> float:
    """Share of frames whose mean joint speed is at most `threshold` m/s."""
    return float((joint_speed(poses, fps) <= threshold).mean())


def _at_least(poses: np.ndarray, fewest: int) -> np.ndarray:
    """The validated poses. Raises `D2MError` if there are fewer than `fewest`."""
    poses = pose.validate(poses)
    if len(poses) < fewest:
        raise D2MError(f"there are {len(poses)} poses", f"at least {fewest}")
    return poses
