"""Kinematic beats: where a movement suddenly slows or turns (paper, section 3.1; Davis and Agrawala 2018).

The *directogram* of a dance is, in every frame, a histogram of motion over directions: the speeds of all joints, each
added to the bins nearest its direction. In 2D the bins are 8 directions of the plane, in 3D the 12 vertices of an
icosahedron. A kinematic beat is a frame where the directogram changes sharply from just before to just after (the body
turns or stops), or where all motion dips between two movements in one direction.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy.ndimage import gaussian_filter1d, maximum_filter1d, uniform_filter1d
from scipy.signal import find_peaks

from d2m.clock import FPS, to_frames, to_seconds
from d2m.motion import pose

BLOCK = 256  # frames of a directogram computed at once: they fit a core's cache


@dataclass(frozen=True)
class KinematicBeatConfig:
    """Parameters of the beat detector, tuned on built-in dancers of one seed and tested on others."""

    smoothing_s: float = 0.04  # standard deviation of the Gaussian that removes jitter before differentiation
    window_s: float = 0.33  # length of "just before" and of "just after"
    neighbourhood_s: float = 2.0  # window of the average motion that a change is divided by
    stillness: float = 0.15  # m/s added to that average (mean joint speed), so that a standing body has no beats
    threshold: float = 0.45  # lower bound of a beat's strength, which is a change relative to the average motion
    prominence: float = 0.40  # lower bound of the prominence of a peak of the strength
    closest_s: float = 0.20  # lower bound of the time between two beats


DEFAULT = KinematicBeatConfig()


def joint_motion(poses: np.ndarray, fps: float = FPS, smoothing_s: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Speed (T, 14) in m/s and direction (T, 14, D), of unit length or zero, of every joint of poses (T, 14, D)."""
    poses = np.asarray(poses, dtype=np.float64)
    if smoothing_s:
        poses = gaussian_filter1d(poses, to_frames(smoothing_s, fps), axis=0, mode="nearest")
    velocity = np.gradient(poses, axis=0) * fps
    speed = np.sqrt(np.einsum("tji,tji->tj", velocity, velocity))  # twice as fast as np.linalg.norm
    return speed, velocity / np.maximum(speed, 1e-9)[..., None]


def directogram(speed: np.ndarray, direction: np.ndarray) -> np.ndarray:
    """Motion by direction (T, 8 in 2D or 12 in 3D) in m/s, averaged over joints, from the results of `joint_motion`.

    A joint's speed is shared among the nearest directions in proportion to the fourth power of the cosine, so that a
    movement that turns from one direction to the next passes between bins smoothly.
    """
    frames, joints, dimensions = direction.shape
    bins = directions(dimensions)
    histogram = np.empty((frames, len(bins)))
    for first in range(0, frames, BLOCK):
        block = slice(first, first + BLOCK)
        # One matrix product, then in place: most of the time of beat detection is spent here.
        weights = direction[block].reshape(-1, dimensions) @ bins.T  # cosines (BLOCK * 14, bins)
        np.square(np.square(np.maximum(weights, 0, out=weights), out=weights), out=weights)
        total = np.maximum(weights @ np.ones(weights.shape[1]), 1e-9).reshape(-1, joints)
        scale = speed[block] / total / joints
        histogram[block] = (scale[:, None] @ weights.reshape(*scale.shape, -1))[:, 0]
    return histogram


def beat_strength(poses: np.ndarray, fps: float = FPS, config: KinematicBeatConfig = DEFAULT) -> np.ndarray:
    """Change of motion in each frame (T,): 0 in even motion, about 1 where all of it stops or turns."""
    speed, direction = joint_motion(poses, fps, config.smoothing_s)
    histogram, motion = directogram(speed, direction), speed.mean(axis=1)
    width = max(1, round(to_frames(config.window_s, fps)))
    padded = np.pad(histogram, ((width, width), (0, 0)), mode="edge")
    sums = np.vstack([np.zeros(histogram.shape[1]), np.cumsum(padded, axis=0)])
    frames = np.arange(len(motion)) + width
    before = (sums[frames] - sums[frames - width]) / width
    after = (sums[frames + width + 1] - sums[frames + 1]) / width
    change = np.abs(after - before).sum(axis=1) / 2
    # maxima[i] is over padded frames i to i + width - 1; padded frame i is frame i - width of the dance.
    maxima = maximum_filter1d(np.pad(motion, width, mode="edge"), width, origin=-(width // 2))
    dip = np.minimum(maxima[: len(motion)], maxima[width + 1 :][: len(motion)]) - motion
    average = uniform_filter1d(motion, max(1, round(to_frames(config.neighbourhood_s, fps))), mode="nearest")
    return (change + np.maximum(dip, 0)) / (average + config.stillness)


def kinematic_beats(
    poses: np.ndarray, fps: float = FPS, config: KinematicBeatConfig = DEFAULT
) -> tuple[np.ndarray, np.ndarray]:
    """Kinematic beats of poses (T, 14, D): times in seconds (k,), also between frames, and strengths (k,).

    Raises `PoseError` for an array that does not hold poses.
    """
    strength = beat_strength(pose.validate(poses), fps, config)
    closest = max(1, round(to_frames(config.closest_s, fps)))
    peaks, _ = find_peaks(strength, height=config.threshold, prominence=config.prominence, distance=closest)
    return to_seconds(_between_frames(strength, peaks), fps), strength[peaks]


def _between_frames(curve: np.ndarray, peaks: np.ndarray) -> np.ndarray:
    """Fractional frames of `peaks`: the vertex of the parabola through each peak and its two neighbours."""
    left, top, right = curve[peaks - 1], curve[peaks], curve[peaks + 1]
    curvature = left - 2 * top + right
    return peaks + np.where(curvature < 0, 0.5 * (left - right) / np.minimum(curvature, -1e-12), 0)


@cache
def directions(dimensions: int) -> np.ndarray:
    """Unit vectors, evenly spread: 8 in the plane, the 12 vertices of an icosahedron in space."""
    if dimensions == 2:
        angles = np.arange(8) * np.pi / 4
        return np.stack([np.cos(angles), np.sin(angles)], axis=1)
    golden = (1 + 5**0.5) / 2
    corners = [(0, a, b * golden) for a in (-1, 1) for b in (-1, 1)]
    vertices = np.array([np.roll(corner, shift) for corner in corners for shift in range(3)])
    return vertices / np.linalg.norm(vertices[0])


def direction_names(dimensions: int) -> list[str]:
    """A name of each of `directions`, as a dancer with yaw 0 sees it: its larger component, then its smaller one."""
    positive, negative = ("left", "up", "forward"), ("right", "down", "backward")
    names = []
    for direction in directions(dimensions):
        largest_first = [
            axis for axis in np.argsort(-np.abs(direction).round(6), kind="stable") if abs(direction[axis]) > 0.1
        ]
        names.append(" ".join((positive if direction[axis] > 0 else negative)[axis] for axis in largest_first))
    return names
