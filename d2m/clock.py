"""Time: the frame rate, the sample rate, and the only conversions between seconds and frames.

Events (beats, cuts) are seconds and their names end in `_s`; arrays are frames. Frame i stands at i / fps seconds.
"""

import numpy as np

FPS = 15.0  # poses and music features a second (paper, section 4.1)
SAMPLE_RATE = 22050  # audio samples a second in analysis; 22050 / 15 = 1470 samples a frame, exactly
POSES_PER_BEAT = 8  # in a dance unit every beat holds 8 poses, whatever its tempo


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
    """Number of frames that lie in `duration_s` seconds: those at times below it, and always the one at 0."""
    return max(1, int(np.ceil(to_frames(duration_s, fps) - 1e-6)))


def samples_per_frame(sample_rate: int = SAMPLE_RATE, fps: float = FPS) -> int:
    """Audio samples in one frame (the hop of features that stand beside poses)."""
    return round(sample_rate / fps)
