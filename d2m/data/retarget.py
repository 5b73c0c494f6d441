"""A recording of any frame rate and any body, brought to 15 poses a second on the one body and the one floor."""

import warnings

import numpy as np
from scipy.interpolate import CubicSpline, interp1d
from scipy.ndimage import gaussian_filter1d, minimum_filter1d

from d2m.clock import FPS, frame_times, to_frames, to_seconds
from d2m.errors import PoseError
from d2m.motion import body, pose
from d2m.motion.pose import ANKLE_HEIGHT, BONE_LENGTHS, L_ANKLE, R_ANKLE, bone_lengths, fit_bones
from d2m.music.decoding import MAX_SONG_S

FPS_RANGE = (10.0, 1000.0)  # below 10 a step falls between two frames
LONGEST_GAP_S = 0.5  # longest gap of a missing joint that is filled by a straight line: one beat at 120 BPM
LEAST_PERIODS = 10  # repetitions of a gap that make it regular
LEVEL_S = 2.0  # a recorded height drifts over longer times than this (in Dance with Melody by up to 60 cm)
ANKLES = (R_ANKLE, L_ANKLE)
FARTHEST = 1e9  # largest coordinate, in the recording's unit of length


def check_fps(fps, source: str) -> float:
    """`fps` as a float. Raises `PoseError` naming `source` where it is no frame rate, 10 to 1000."""
    low, high = FPS_RANGE
    if isinstance(fps, bool) or not isinstance(fps, int | float) or not low <= fps <= high:
        raise PoseError(f"the frame rate of {source} is {str(fps)[:40]}", f"a number from {low:g} to {high:g}")
    return float(fps)


def retarget(joints: np.ndarray, fps: float, source: str) -> tuple[np.ndarray, float]:
    """Poses (see `resample`) of joints (T, 14, D), NaN where missing, at `fps`; and the time in seconds of the first.

    They span the first to the last frame with all joints; gaps of up to half a second between are filled. Where only
    every n-th frame shows anybody, the poses are taken as recorded at `fps` / n; other regular gaps are filled too; a
    `BodyWarning` says so. Raises `PoseError` naming `source`, also where fewer than two frames have all joints.
    """
    joints, step, skipped = _recorded(joints)
    fps, skipped_s = fps / step, float(to_seconds(skipped, fps))
    if step == 1:
        joints = _without_regular_gaps(joints, fps, source)
    elif fps < FPS_RANGE[0]:
        problem = f"{source} shows somebody in one of {step} frames, {fps:g} times a second"
        raise PoseError(problem, f"at least {FPS_RANGE[0]:g}", "use more frames, and the frame rate of the video")
    else:
        message = f"{source}: one of {step} frames shows somebody; they were taken as recorded at {fps:g} a second"
        warnings.warn(message, body.BodyWarning, stacklevel=2)
    complete = np.flatnonzero(np.isfinite(joints).all(axis=(1, 2)))
    if len(complete) < 2:
        problem = f"{source} shows the whole body in {len(complete)} of {len(joints)} frames"
        raise PoseError(problem, "all 14 joints at once", "use a recording of one person from head to foot")
    first, last = complete[0], complete[-1]
    gap = max(1, round(to_frames(LONGEST_GAP_S, fps).item()))
    joints = pose.fill(joints[first : last + 1], gap, source=source)
    last_s = float(to_seconds(len(joints) - 1, fps))
    return resample(joints, fps, int(to_frames(last_s) + 1e-6) + 1, source), skipped_s + float(to_seconds(first, fps))


def _recorded(joints: np.ndarray) -> tuple[np.ndarray, int, int]:
    """Every n-th of joints (T, 14, D) where only these show anybody, n, and the number of the first; else all, 1, 0."""
    seen = np.flatnonzero(np.isfinite(joints).any(axis=(1, 2)))
    step = int(np.gcd.reduce(np.diff(seen))) if len(seen) > 2 else 1
    return (joints[seen[0] :: step], step, int(seen[0])) if step > 1 else (joints, 1, 0)


def _without_regular_gaps(joints: np.ndarray, fps: float, source: str) -> np.ndarray:
    """Joints (T, 14, D) with frames without anybody interpolated, where a pattern of up to half a second repeats.

    Seen frames are a tenth of a second apart at most.
    """
    seen = np.isfinite(joints).any(axis=(1, 2))
    frames = np.flatnonzero(seen)
    if not 1 < np.diff(frames).max(initial=0) <= fps / FPS_RANGE[0]:
        return joints
    inside = seen[frames[0] : frames[-1] + 1]
    for period in range(3, int(fps * LONGEST_GAP_S) + 1):
        if len(inside) >= LEAST_PERIODS * period and (inside[period:] == inside[:-period]).all():
            count = period - int(inside[:period].sum())
            message = f"{source}: {count} of every {period} frames show nobody; they were interpolated"
            warnings.warn(message, body.BodyWarning, stacklevel=3)
            empty, filled = frames[0] + np.flatnonzero(~inside), joints.copy()
            filled[empty] = interp1d(frames, joints[seen], axis=0)(empty)
            return filled
    return joints


def resample(joints: np.ndarray, fps: float, count: int, source: str) -> np.ndarray:
    """Joints (T, 14, D) of a dancer of any size, at `fps`, as `count` poses (count, 14, D) float32 at `clock.FPS`.

    A cubic spline is evaluated, then fitted to the one body and floor (`fit_body`, in 3D `level` too). Raises
    `PoseError` naming `source`.
    """
    if count > MAX_SONG_S * FPS:
        raise PoseError(f"{source} lasts {count / FPS / 3600:.1f} hours", f"at most {MAX_SONG_S / 3600:g}", "cut it")
    if len(joints) < 2:
        raise PoseError(f"{source} holds {len(joints)} frames", "at least two")
    if not (np.abs(joints) < FARTHEST).all():
        raise PoseError(f"{source} holds a coordinate of {np.abs(joints).max():.3g}", f"less than {FARTHEST:g}")
    try:
        poses = fit_body(CubicSpline(frame_times(len(joints), fps), joints)(frame_times(count)))
    except PoseError as error:
        raise PoseError(f"{source}: {error.problem}", error.expected, error.remedy) from error
    if poses.shape[2] == 3:
        body.check_mirror(poses, source)
        poses = level(poses, round(to_frames(LEVEL_S).item()))
    poses = poses.astype(np.float32)
    pose.validate(poses, f"the poses of {source}")
    return poses


def fit_body(poses: np.ndarray) -> np.ndarray:
    """Poses (T, 14, D) of any dancer, in any unit of length, on the one body and the one floor.

    The whole dance is scaled by the length of the legs: the median in 3D, the 90th percentile in 2D, where legs are
    foreshortened. In 3D every bone gets its length while the middle of the ankles stays. The floor is where standing
    ankles are `ANKLE_HEIGHT` above it. Raises `PoseError` for legs without length.
    """
    legs = bone_lengths(poses)[:, 8:].sum(axis=1) / 2
    size = np.median(legs) if poses.shape[2] == 3 else np.percentile(legs, 90)
    if not size > 0:
        raise PoseError("the legs of this body have no length", "a standing person", "check the joint order")
    poses = poses * (BONE_LENGTHS[8:].sum() / 2 / size)
    if poses.shape[2] == 3:
        fitted = fit_bones(poses)
        poses = fitted + (poses[:, ANKLES] - fitted[:, ANKLES]).mean(axis=1, keepdims=True)
    poses[..., 1] += ANKLE_HEIGHT - np.percentile(poses[:, ANKLES, 1].min(axis=1), 10)
    return poses


def level(poses: np.ndarray, window: int) -> np.ndarray:
    """Poses (T, 14, D) without the drift of the recorded height: standing ankles are at `ANKLE_HEIGHT`.

    The floor is the smoothed minimum of the lower ankle within `window` frames, which must last longer than any leap.
    """
    lowest = poses[:, ANKLES, 1].min(axis=1)
    floor = gaussian_filter1d(minimum_filter1d(lowest, window, mode="nearest"), window / 2, mode="nearest")
    levelled = poses.copy()
    levelled[..., 1] += (ANKLE_HEIGHT - floor)[:, None]
    return levelled
