"""Time warps: a monotone map through anchors, and poses read between their frames.

Monotone cubic (Fritsch and Carlson 1980, SciPy's PCHIP) keeps the velocity of a dance continuous at each anchor, which
the reference's piecewise linear map breaks; the latter stays for the cutting of units (equal time steps inside a beat,
paper section 3.1) and for the `paper` preset.
"""

from collections.abc import Callable

import numpy as np
from scipy.interpolate import PchipInterpolator

from d2m.errors import D2MError


def time_map(source, target, kind: str = "cubic") -> Callable[[np.ndarray], np.ndarray]:
    """The strictly increasing function through the points (source[i], target[i]); `kind` is "cubic" or "linear".

    `source` and `target` (n,) are strictly increasing, n >= 2, in any units. Outside its anchors the map goes on
    straight, with the mean slope of its end segment.
    """
    source, target = (np.asarray(values, dtype=np.float64) for values in (source, target))
    if (
        len(source) != len(target)
        or len(source) < 2
        or not (np.diff(source) > 0).all()
        or not (np.diff(target) > 0).all()
    ):
        raise D2MError(
            f"{len(source)} and {len(target)} anchors do not make a time map",
            "two strictly increasing lists of one length",
        )
    # One more anchor at either end, on the straight line through the last two, so that the ends are not extrapolated
    # by a cubic; beyond it np.interp's rule is replaced by the same straight line.
    step = np.array([source[1] - source[0], source[-1] - source[-2]])
    rise = np.array([target[1] - target[0], target[-1] - target[-2]])
    knots = np.r_[source[0] - step[0], source, source[-1] + step[1]]
    values = np.r_[target[0] - rise[0], target, target[-1] + rise[1]]
    inside = PchipInterpolator(knots, values) if kind == "cubic" else lambda at: np.interp(at, knots, values)

    def mapped(at) -> np.ndarray:
        at = np.asarray(at, dtype=np.float64)
        low, high = knots[0], knots[-1]
        beyond = np.minimum(at - low, 0) * (rise / step)[0] + np.maximum(at - high, 0) * (rise / step)[1]
        return inside(np.clip(at, low, high)) + beyond

    return mapped


def resample(poses: np.ndarray, positions) -> np.ndarray:
    """Poses (T, ...) read at fractional frame `positions` (n,): (n, ...), exact at whole ones, clamped at the ends.

    Cubic Hermite with central differences: smooth, and no pose depends on frames more than two away.
    """
    poses = np.asarray(poses, dtype=np.float64)
    rows, slopes = poses.reshape(len(poses), -1), np.gradient(poses, axis=0).reshape(len(poses), -1)
    positions = np.clip(np.asarray(positions, dtype=np.float64), 0, len(poses) - 1)
    first = np.minimum(positions.astype(int), len(poses) - 2)
    on = (positions - first)[:, None]  # from 0 at frame `first` to 1 at the next
    back, arrived = 1 - on, on * on * (3 - 2 * on)
    read = (1 - arrived) * rows[first]
    read += arrived * rows[first + 1]
    read += on * back * (back * slopes[first] - on * slopes[first + 1])
    return read.reshape(-1, *poses.shape[1:])
