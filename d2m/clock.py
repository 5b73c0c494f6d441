"""Time: the frame rate, the sample rate, conversions between seconds and frames, and lists of times.

Events (beats, cuts) are seconds and their names end in `_s`; arrays are frames. Frame i stands at i / fps seconds.
"""

import numpy as np

FPS = 15.0  # poses and music features a second (paper, section 4.1)
SAMPLE_RATE = 22050  # audio samples a second in analysis; 22050 / 15 = 1470 samples a frame, exactly
POSES_PER_BEAT = 8  # in a dance unit every beat holds 8 poses, whatever its tempo
ROUNDING = 1e-6  # frames by which a product of seconds and frame rate may exceed a whole number


def to_frames(seconds, fps: float = FPS):
    """Positions in frames (float, not rounded) of `seconds` (number or array)."""
    return np.asarray(seconds, dtype=np.float64) * fps


def to_seconds(frames, fps: float = FPS):
    """Times in seconds of `frames` (number or array, may be fractional)."""
    return np.asarray(frames, dtype=np.float64) / fps


def frame_times(count: int, fps: float = FPS) -> np.ndarray:
    """Times in seconds (count,) of the frames 0 to count - 1."""
    return to_seconds(np.arange(count), fps)


def frame_count(duration_s: float, fps: float = FPS) -> int:
    """Number of frames at times below `duration_s` seconds, at least the one at 0."""
    return max(1, int(np.ceil(to_frames(duration_s, fps) - ROUNDING)))


def samples_per_frame(sample_rate: int = SAMPLE_RATE, fps: float = FPS) -> int:
    """Audio samples in one frame: the hop of the audio features, which have one row a pose."""
    return round(sample_rate / fps)


def within(times_s: np.ndarray, begin_s: float, end_s: float) -> np.ndarray:
    """The times (m,) of `times_s` (n,) with `begin_s` <= time < `end_s`.

    Consecutive spans share no time.
    """
    return times_s[(times_s >= begin_s) & (times_s < end_s)]


def are_times(values: np.ndarray) -> bool:
    """Whether `values` is a list of finite real numbers, each larger than the one before."""
    if values.ndim != 1 or values.dtype.kind not in "fiu":
        return False
    # In float64, since differences of unsigned integers cannot be negative.
    return bool(np.isfinite(values).all() and (np.diff(values.astype(np.float64)) > 0).all())
