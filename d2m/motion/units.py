"""Dance units: a dance is cut at its beats into units of 4 beats of 8 poses, and units are placed on beats.

As in section 3.1 of the paper. *Anchors* are the kinematic beats and points between them: a gap longer than about one
and a half music beats is divided into equal parts of about a beat. In *beat time* anchor k stands at k, and a dance is
sampled at k + j/8: 8 poses a beat, in equal time steps inside each. A unit whose first beat is anchor k has its 32
poses at k - 3/8, ..., k + 28/8, so its beats are its frames 3, 11, 19 and 27. Before them it holds the LEAD = 2 poses
at k - 5/8 and k - 4/8, from which the movement starts; their difference is its initial velocity. The features of a unit
are relative to the second lead pose, where the unit before ended: chained units repeat no pose and lose no travel.
"""

import itertools
from dataclasses import dataclass

import numpy as np

from d2m.clock import FPS, POSES_PER_BEAT, to_frames
from d2m.errors import PoseError
from d2m.motion import warp

UNIT_BEATS = 4
UNIT_POSES = UNIT_BEATS * POSES_PER_BEAT  # 32
FIRST_BEAT = 3  # the frame of a unit on which its first beat falls
LEAD = 2  # poses before frame 0
WINDOW = LEAD + UNIT_POSES
CLOSEST = 0.5  # in music beats: of two closer kinematic beats only the stronger is an anchor


@dataclass(frozen=True)
class Anchors:
    """The beats of a dance: kinematic beats and divisions of the gaps between them."""

    times_s: np.ndarray  # (n,) increasing
    detected: np.ndarray  # (n,) whether it is a kinematic beat, not a division of a gap


def anchors(kinematic_beats_s, music_beats_s, strength=None) -> Anchors:
    """Anchors of a dance: its kinematic beats, and max(1, round(gap / music beat)) equal parts between two of them.

    `kinematic_beats_s` (k,) and `music_beats_s` (m,), m >= 2, are seconds on one clock. Of two beats closer than half a
    music beat the one of larger `strength` (k,) stays, without strengths the earlier. Raises `PoseError` for m < 2.
    """
    kinematic_beats_s = np.asarray(kinematic_beats_s, dtype=np.float64)
    music_beats_s = np.asarray(music_beats_s, dtype=np.float64)
    if len(music_beats_s) < 2:
        raise PoseError(f"the music has {len(music_beats_s)} beats", "at least two, for the length of a beat")
    middles, lengths = (music_beats_s[1:] + music_beats_s[:-1]) / 2, np.diff(music_beats_s)
    order = np.arange(len(kinematic_beats_s)) if strength is None else np.argsort(-np.asarray(strength), kind="stable")
    kept: list[float] = []
    for time in kinematic_beats_s[order]:
        if all(abs(time - other) >= CLOSEST * np.interp(time, middles, lengths) for other in kept):
            kept.append(time)
    kept = np.sort(kept)
    times, detected = [kept[:1]], [np.ones(len(kept[:1]), dtype=bool)]
    for start, end in itertools.pairwise(kept):
        parts = max(1, round((end - start) / np.interp((start + end) / 2, middles, lengths)))
        times.append(np.linspace(start, end, parts + 1)[1:])
        detected.append(np.arange(1, parts + 1) == parts)
    return Anchors(np.concatenate(times), np.concatenate(detected))


def to_beat_time(poses: np.ndarray, anchors_s: np.ndarray, fps: float = FPS) -> np.ndarray:
    """Poses (T, 14, D) sampled at 8 equal steps inside each beat: ((n - 1) * 8 + 1, 14, D), row 8k on anchor k."""
    steps = np.arange((len(anchors_s) - 1) * POSES_PER_BEAT + 1) / POSES_PER_BEAT
    at_s = np.interp(steps, np.arange(len(anchors_s)), anchors_s)
    return warp.resample(poses, to_frames(at_s, fps))


def from_beat_time(rows: np.ndarray, anchors_s: np.ndarray, at_s, first=0, interpolation="cubic") -> np.ndarray:
    """The inverse of `to_beat_time`: rows, 8 a beat, placed on new anchors, at the times `at_s` (n,): (n, 14, D).

    Row `first` stands on anchor 0. `interpolation` is the time map between anchors (see `warp.time_map`).
    """
    beat_time = warp.time_map(anchors_s, np.arange(len(anchors_s)), interpolation)
    return warp.resample(rows, beat_time(at_s) * POSES_PER_BEAT + first)


def cut(count: int, length: int = 1) -> np.ndarray:
    """The first rows, in beat time, of all sequences of `length` units; a sequence begins with its first lead pose.

    `count` is the number of anchors. A sequence needs one anchor before its first beat and one after its last, so a
    dance of fewer than 4 * length + 2 anchors has none. Sequence i is rows r[i], ..., r[i] + LEAD + 32 * length - 1.
    """
    first_beats = np.arange(1, count - UNIT_BEATS * length)
    return first_beats * POSES_PER_BEAT - FIRST_BEAT - LEAD


def windows(rows: np.ndarray, starts: np.ndarray, length: int = 1) -> np.ndarray:
    """The sequences of `length` units that begin at `starts` (n,): (n, LEAD + 32 * length, ...) of rows (T, ...)."""
    return rows[np.asarray(starts)[:, None] + np.arange(LEAD + UNIT_POSES * length)]
