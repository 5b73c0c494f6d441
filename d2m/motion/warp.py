"""Time warps: monotone time maps through anchors, and poses interpolated between frames.

The cubic map (monotone: Fritsch and Carlson 1980, SciPy's PCHIP) keeps the velocity of a dance continuous at each
anchor. The piecewise linear map of the reference implementation does not; only the preset `paper` uses it, and the cut
into units (equal time steps inside a beat, paper section 3.1).
"""

from collections.abc import Callable

import numpy as np
from scipy.interpolate import PchipInterpolator

from d2m.errors import D2MError


def time_map(source, target, interpolation: str = "cubic") -> Callable[[np.ndarray], np.ndarray]:
    """The strictly increasing function through (source[i], target[i]); `interpolation` is "cubic" or "linear".

    `source` and `target` (n,) are strictly increasing, n >= 2, in any units. Outside the anchors the map is a straight
    line with the mean slope of the first or last segment. Raises `D2MError` for other anchors.
    """
    source, target = np.asarray(source, dtype=np.float64), np.asarray(target, dtype=np.float64)
    if not (len(source) == len(target) >= 2 and (np.diff(source) > 0).all() and (np.diff(target) > 0).all()):
        problem = f"{len(source)} and {len(target)} anchors do not define a time map"
        raise D2MError(problem, "two strictly increasing lists of one length")
    # One more anchor at each end, on the line through the two nearest, so that the cubic map is straight beyond.
    step = np.array([source[1] - source[0], source[-1] - source[-2]])
    rise = np.array([target[1] - target[0], target[-1] - target[-2]])
    knots = np.r_[source[0] - step[0], source, source[-1] + step[1]]
    values = np.r_[target[0] - rise[0], target, target[-1] + rise[1]]
    cubic = PchipInterpolator(knots, values) if interpolation == "cubic" else None

    def mapped(at) -> np.ndarray:
        at = np.asarray(at, dtype=np.float64)
        low, high = knots[0], knots[-1]
        clipped = np.clip(at, low, high)
        inside = np.interp(clipped, knots, values) if cubic is None else cubic(clipped)
        beyond = np.minimum(at - low, 0) * (rise / step)[0] + np.maximum(at - high, 0) * (rise / step)[1]
        return inside + beyond

    return mapped


def resample(poses: np.ndarray, positions) -> np.ndarray:
    """Poses (T, ...) at fractional frame `positions` (n,): (n, ...), exact at whole frames, clamped at the ends.

    Cubic Hermite with central differences: smooth, and no pose depends on frames more than two away.
    """
    poses = np.asarray(poses, dtype=np.float64)
    rows, slopes = poses.reshape(len(poses), -1), np.gradient(poses, axis=0).reshape(len(poses), -1)
    positions = np.clip(np.asarray(positions, dtype=np.float64), 0, len(poses) - 1)
    first = np.minimum(positions.astype(int), len(poses) - 2)
    t = (positions - first)[:, None]  # 0 at frame `first`, 1 at the next
    smooth = t * t * (3 - 2 * t)
    resampled = (1 - smooth) * rows[first]
    resampled += smooth * rows[first + 1]
    resampled += t * (1 - t) * ((1 - t) * slopes[first] - t * slopes[first + 1])
    return resampled.reshape(-1, *poses.shape[1:])
