"""A recording of any frame rate and any body, brought to 15 poses a second on the one body and the one floor."""

import numpy as np
from scipy.interpolate import CubicSpline
from scipy.ndimage import gaussian_filter1d, minimum_filter1d

from d2m.clock import FPS, frame_times, to_frames, to_seconds
from d2m.errors import PoseError
from d2m.motion import pose
from d2m.motion.pose import ANKLE_HEIGHT, BONE_LENGTHS, L_ANKLE, R_ANKLE, bone_lengths, fit_bones
from d2m.music.audio import MAX_SONG_S


def fit_body(poses: np.ndarray) -> np.ndarray:
    """Poses of any dancer (T, 14, 3) or (T, 14, 2), in any unit of length, brought to the one body and the one floor.

    The whole dance is scaled by the length of the legs (2D, where legs foreshorten: by the 90th percentile of their
    length), in 3D every bone is brought to its length with the feet held where they stood, and the floor is put where
    standing ankles are `ANKLE_HEIGHT` above it.
    """
    legs = bone_lengths(poses)[:, 8:].sum(axis=1) / 2
    size = np.median(legs) if poses.shape[2] == 3 else np.percentile(legs, 90)
    if not size > 0:
        raise PoseError("the legs of this body have no length", "a person who stands", "check the joint order")
    poses = poses * (BONE_LENGTHS[8:].sum() / 2 / size)
    if poses.shape[2] == 3:
        fitted = fit_bones(poses)
        feet = (R_ANKLE, L_ANKLE)
        poses = fitted + (poses[:, feet] - fitted[:, feet]).mean(axis=1, keepdims=True)
    standing = np.percentile(poses[:, (R_ANKLE, L_ANKLE), 1].min(axis=1), 10)
    poses = poses.copy()
    poses[..., 1] += ANKLE_HEIGHT - standing
    return poses


def level(poses: np.ndarray, window: int) -> np.ndarray:
    """Poses (T, 14, D) of a recording whose height drifts, on a floor that stays: ankles stand at `ANKLE_HEIGHT`.

    The floor is where the lower ankle gets to within every `window` frames; it must be longer than any leap.
    """
    lowest = poses[:, (R_ANKLE, L_ANKLE), 1].min(axis=1)
    floor = gaussian_filter1d(minimum_filter1d(lowest, window, mode="nearest"), window / 2, mode="nearest")
    levelled = poses.copy()
    levelled[..., 1] += (ANKLE_HEIGHT - floor)[:, None]
    return levelled


LEVEL_S = 2.0  # recordings know no floor: heights drift, slower than this (in Dance with Melody by up to 60 cm)
LONGEST_GAP_S = 0.5  # of a joint that is not seen: a beat at 120 BPM, over which a straight line is no movement lost
FPS_RANGE = (10.0, 1000.0)  # below, a step falls between two frames
FARTHEST = 1e9  # in the recording's unit of length; beyond it is no place where anybody dances


def check_fps(fps, source: str) -> float:
    """`fps` as a float. Raises `PoseError` naming `source` where it is no frame rate, 10 to 1000."""
    low, high = FPS_RANGE
    if isinstance(fps, bool) or not isinstance(fps, int | float) or not low <= fps <= high:
        raise PoseError(f"the frame rate of {source} is {str(fps)[:40]}", f"a number from {low:g} to {high:g}")
    return float(fps)


def seen_whole(joints: np.ndarray, source: str) -> slice:
    """The frames of joints (T, 14, D) from the first to the last in which no joint is missing (NaN).

    Raises `PoseError` naming `source` where there are not two.
    """
    whole = np.flatnonzero(np.isfinite(joints).all(axis=(1, 2)))
    if len(whole) < 2:
        raise PoseError(
            f"{source} shows the whole body in {len(whole)} of {len(joints)} frames", "all 14 joints seen at once",
            "use a recording of one person from head to foot",
        )  # fmt: skip
    return slice(whole[0], whole[-1] + 1)


def danced(joints: np.ndarray, fps: float, source: str) -> tuple[np.ndarray, float]:
    """What is danced in joints (T, 14, D), NaN where missing, at `fps`: poses as of `on_clock`, and their first's time.

    It begins and ends where the body is seen whole; gaps of half a second at most between are filled. Raises
    `PoseError` naming `source`.
    """
    shown = seen_whole(joints, source)
    joints = pose.fill(joints[shown], max(1, round(to_frames(LONGEST_GAP_S, fps).item())), source=source)
    last_s = float(to_seconds(len(joints) - 1, fps))
    return on_clock(joints, fps, int(to_frames(last_s) + 1e-6) + 1, source), float(to_seconds(shown.start, fps))


def on_clock(joints: np.ndarray, fps: float, count: int, source: str) -> np.ndarray:
    """Joints (T, 14, D) of a dancer of any size, at `fps`, as `count` poses (count, 14, D) float32 at `clock.FPS`.

    They are read off a cubic spline and brought to the one body and floor, in 3D by `pose.level` too. Raises
    `PoseError` naming `source`.
    """
    if count > MAX_SONG_S * FPS:
        raise PoseError(f"{source} lasts {count / FPS / 3600:.1f} hours", f"{MAX_SONG_S / 3600:g} at most", "cut it")
    if len(joints) < 2:
        raise PoseError(f"{source} holds {len(joints)} frames", "two at least")
    if not (np.abs(joints) < FARTHEST).all():
        raise PoseError(f"{source} holds a coordinate of {np.abs(joints).max():.3g}", f"less than {FARTHEST:g}")
    try:
        poses = fit_body(CubicSpline(frame_times(len(joints), fps), joints)(frame_times(count)))
    except PoseError as error:
        raise PoseError(f"{source}: {error.problem}", error.expected, error.remedy) from error
    if poses.shape[2] == 3:
        poses = level(poses, round(to_frames(LEVEL_S).item()))
    poses = poses.astype(np.float32)
    pose.validate(poses, f"the poses of {source}")
    return poses
