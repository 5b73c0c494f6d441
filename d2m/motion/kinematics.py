"""Kinematic beats: where a movement suddenly slows or turns (paper, section 3.1; Davis and Agrawala 2018).

The *directogram* of a dance holds, frame by frame, how much motion goes which way: the speeds of all joints, sorted
into directions. A kinematic beat is a frame where it changes sharply from just before to just after (the body turns, or
stops), or where all motion dips between two movements the same way. Directions are those of the plane in 2D (8 of them)
and of the sphere in 3D (the 12 vertices of an icosahedron).
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy.ndimage import gaussian_filter1d, maximum_filter1d, uniform_filter1d
from scipy.signal import find_peaks

from d2m.clock import FPS, to_frames, to_seconds
from d2m.motion import pose

BLOCK = 256  # frames that are sorted into directions at once: they fit a core's own memory


@dataclass(frozen=True)
class KinematicBeatConfig:
    """How kinematic beats are found; tuned on built-in dancers of one seed, checked on another (tests)."""

    smoothing_s: float = 0.04  # deviation of the Gaussian that takes out jitter before differences are taken
    window_s: float = 0.33  # what "just before" and "just after" mean
    neighbourhood_s: float = 2.0  # over which motion is averaged to tell a sharp change from a small one
    stillness: float = 0.15  # m/s added to that average (mean joint speed), so that a standing body has no beats
    threshold: float = 0.45  # of the strength, which is a change relative to the average motion
    prominence: float = 0.40  # by which a peak of the strength stands out from its surroundings
    closest_s: float = 0.20  # between two beats


def joint_motion(poses: np.ndarray, fps: float = FPS, smoothing_s: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Speed (T, 14) in m/s and direction (T, 14, D), of unit length or zero, of every joint of poses (T, 14, D)."""
    if smoothing_s:
        poses = gaussian_filter1d(
            np.asarray(poses, dtype=np.float64), to_frames(smoothing_s, fps), axis=0, mode="nearest"
        )
    velocity = np.gradient(np.asarray(poses, dtype=np.float64), axis=0) * fps
    speed = np.sqrt(np.einsum("tji,tji->tj", velocity, velocity))  # the norm, in half of its time
    return speed, velocity / np.maximum(speed, 1e-9)[..., None]


def directogram(speed: np.ndarray, direction: np.ndarray) -> np.ndarray:
    """Motion by direction (T, 8 in 2D or 12 in 3D) in m/s, averaged over joints, of a `joint_motion`.

    A joint's speed is shared among the nearest directions, by the fourth power of the cosine, so that no motion
    vanishes or jumps when it turns from one to the next.
    """
    frames, joints, dimensions = direction.shape
    shares = np.empty((frames, len(_directions(dimensions))))
    for first in range(0, frames, BLOCK):
        block = slice(first, first + BLOCK)
        # As one product of matrices and in place: this is most of the time that finding beats takes.
        nearness = direction[block].reshape(-1, dimensions) @ _directions(dimensions).T  # (BLOCK * 14, bins)
        np.square(np.square(np.maximum(nearness, 0, out=nearness), out=nearness), out=nearness)
        shared = np.maximum(nearness @ np.ones(nearness.shape[1]), 1e-9).reshape(-1, joints)
        weight = speed[block] / shared / joints
        shares[block] = (weight[:, None] @ nearness.reshape(*weight.shape, -1))[:, 0]
    return shares


def beat_strength(poses: np.ndarray, fps: float = FPS, config: KinematicBeatConfig | None = None) -> np.ndarray:
    """How sharply motion changes in each frame (T,): 0 in even motion, about 1 where all of it stops or turns."""
    config = config or KinematicBeatConfig()
    speed, direction = joint_motion(poses, fps, config.smoothing_s)
    histogram, motion = directogram(speed, direction), speed.mean(axis=1)
    width = max(1, round(to_frames(config.window_s, fps)))
    padded = np.pad(histogram, ((width, width), (0, 0)), mode="edge")
    sums = np.vstack([np.zeros(histogram.shape[1]), np.cumsum(padded, axis=0)])
    frames = np.arange(len(motion)) + width
    before = (sums[frames] - sums[frames - width]) / width
    after = (sums[frames + width + 1] - sums[frames + 1]) / width
    change = np.abs(after - before).sum(axis=1) / 2
    most = maximum_filter1d(np.pad(motion, width, mode="edge"), width, origin=-(width // 2))  # of a frame and the next
    dip = np.minimum(most[: len(motion)], most[width + 1 :][: len(motion)]) - motion
    average = uniform_filter1d(motion, max(1, round(to_frames(config.neighbourhood_s, fps))), mode="nearest")
    return (change + np.maximum(dip, 0)) / (average + config.stillness)


def kinematic_beats(
    poses: np.ndarray, fps: float = FPS, config: KinematicBeatConfig | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Kinematic beats of poses (T, 14, D): their times in seconds (k,), between frames, and their strengths (k,).

    Raises `PoseError` for what is not a dance.
    """
    config = config or KinematicBeatConfig()
    strength = beat_strength(pose.validate(poses), fps, config)
    peaks, _ = find_peaks(
        strength,
        height=config.threshold,
        prominence=config.prominence,
        distance=max(1, round(to_frames(config.closest_s, fps))),
    )
    return to_seconds(_between_frames(strength, peaks), fps), strength[peaks]


def _between_frames(curve: np.ndarray, peaks: np.ndarray) -> np.ndarray:
    """Tops of the parabolas through each peak and its two neighbours."""
    left, top, right = curve[peaks - 1], curve[peaks], curve[peaks + 1]
    bend = left - 2 * top + right
    return peaks + np.where(bend < 0, 0.5 * (left - right) / np.minimum(bend, -1e-12), 0)


@cache
def _directions(dimensions: int) -> np.ndarray:
    """Unit vectors, evenly spread: 8 in the plane, the 12 vertices of an icosahedron in space."""
    if dimensions == 2:
        angles = np.arange(8) * np.pi / 4
        return np.stack([np.cos(angles), np.sin(angles)], axis=1)
    golden = (1 + 5**0.5) / 2
    corners = [(0, a, b * golden) for a in (-1, 1) for b in (-1, 1)]
    vertices = np.array([np.roll(corner, shift) for corner in corners for shift in range(3)])
    return vertices / np.linalg.norm(vertices[0])
