"""Whether a dance follows the loudness of its music: the correlation of motion and loudness over bars.

A bar is four beats from the song's first on; its motion is the mean speed of the joints, its loudness the mean log
energy of the music. The correlation with another song's loudness shows what the style and the form of songs alone give.
"""

import itertools

import numpy as np

from d2m.clock import FPS, to_frames
from d2m.metrics import physics
from d2m.metrics.bootstrap import Estimate, mean_over_songs
from d2m.motion.units import UNIT_BEATS
from d2m.music.features import ENERGY

FEWEST_BARS = 4


def bar_motion(poses: np.ndarray, beats_s: np.ndarray) -> np.ndarray:
    """The mean joint speed in m/s in each bar (n,) of a dance (T, 14, D) to beats (m,) in seconds from pose 0."""
    return _bar_means(physics.joint_speed(poses), beats_s)


def bar_loudness(features: np.ndarray, beats_s: np.ndarray) -> np.ndarray:
    """The mean log energy in each bar (n,) of a song with `features.features` (T, 28) and beats (m,) in seconds."""
    return _bar_means(features[:, ENERGY], beats_s)


def correlation(motion: np.ndarray, loudness: np.ndarray) -> float | None:
    """Pearson's correlation of the bars that both have; None for fewer than `FEWEST_BARS`, or without any change."""
    count = min(len(motion), len(loudness))
    motion, loudness = motion[:count], loudness[:count]
    if count < FEWEST_BARS or np.std(motion) < 1e-9 or np.std(loudness) < 1e-9:
        return None
    return float(np.corrcoef(motion, loudness)[0, 1])


def mean_correlation(dances: list[tuple[str, np.ndarray, np.ndarray]], seed: int = 0) -> Estimate:
    """The mean correlation of dances over songs, with its bootstrap draws.

    A dance is the name of the song whose loudness it is compared with, its motion and that loudness in each bar.
    """
    values = [(song, correlation(motion, loudness)) for song, motion, loudness in dances]
    defined = [(song, value) for song, value in values if value is not None]
    reason = f"no song with {FEWEST_BARS} bars of different loudness" if dances else "no other song of the style"
    return mean_over_songs(defined, reason, seed)


def _bar_means(values: np.ndarray, beats_s: np.ndarray) -> np.ndarray:
    """The mean of values (T,) at `clock.FPS` in each whole bar."""
    edges = np.round(to_frames(beats_s[::UNIT_BEATS], FPS)).astype(int)
    edges = edges[(edges >= 0) & (edges <= len(values))]
    return np.array([values[first:last].mean() for first, last in itertools.pairwise(edges)])
