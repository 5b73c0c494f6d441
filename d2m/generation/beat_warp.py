"""Feet that stand: a dance moved over the floor so that its planted feet stay where they are.

A body that is made, not recorded, glides: its travel and its legs are told apart and each is a little wrong. Here only
where the body stands is changed, never its pose. A foot is planted as far as it is low and slow,

    w = sigmoid((STANDING_M - height) / SOFT_M) exp(- (speed / SLOW)^2),

and the whole body is moved against the mean velocity of its planted feet; fast feet glide because the dance wants it.

A dance in beat time, put on the beats of a song (paper, section 3.3: beat warping).

In beat time beat k of the dance stands at row 8k. Where the frames of the song read it:

    none       the beats go on evenly in the song's mean tempo, and fall where they fall
    linear     every beat on a beat of the song, straight in between, as published
    cubic      the same, and smooth: no velocity breaks at a beat
    kinematic  the same again, but where the body itself has a kinematic beat close to a beat, that falls on the beat

Movements are cut with their kinematic beats on beats. What the DU-VAE smooths and what seams bring moves some of them
off; the last map looks where they are and brings them back, moving what lies between them evenly.
"""

from pathlib import Path

import numpy as np
from scipy.special import expit

from d2m.clock import POSES_PER_BEAT, frame_count, frame_times
from d2m.errors import ParameterError
from d2m.metrics.physics import STANDING_M
from d2m.motion import pose, warp
from d2m.motion.dance import Dance
from d2m.motion.kinematics import kinematic_beats
from d2m.motion.units import FIRST_BEAT, LEAD, UNIT_BEATS
from d2m.music import beats as music_beats
from d2m.music.analysis import Music

SOFT_M = 0.01  # about the height at which an ankle stands no longer
SLOW = 0.5  # m/s: about as fast as a foot slides by mistake, half of what it does in a step


def plant(poses: np.ndarray, times_s: np.ndarray) -> np.ndarray:
    """Poses (T, 14, 3) at times (T,) whose planted feet stay, from where pose 0 stands."""
    ankles = poses[:, (pose.R_ANKLE, pose.L_ANKLE)]
    step_s = np.diff(times_s)[:, None]
    velocity = np.diff(ankles[..., ::2], axis=0) / step_s[..., None]  # (T - 1, 2 ankles, 2) along the floor
    height = np.maximum(ankles[1:, :, 1], ankles[:-1, :, 1]) - pose.ANKLE_HEIGHT
    speed = np.linalg.norm(velocity, axis=-1)
    planted = expit((STANDING_M - height) / SOFT_M) * np.exp(-((speed / SLOW) ** 2))  # (T - 1, 2)
    glide = (planted[..., None] * velocity).sum(axis=1) / np.maximum(planted.sum(axis=1, keepdims=True), 1.0)
    moved = poses.copy()
    moved[1:, :, ::2] -= np.cumsum(glide * step_s, axis=0)[:, None]
    return moved


WARPS = ("none", "linear", "cubic", "kinematic")
NEAR = 0.35  # beats: a kinematic beat as near to a beat as this is brought onto it, and nothing is moved by more
ROUNDS = 3  # a body that is moved has its kinematic beats a little elsewhere


def danced_beats(heard: Music, given: bool = False) -> np.ndarray:
    """The beats of a song that are danced to, in seconds: one at least before its beginning and after its end.

    Where a pose is `given` to start from, it stands at 0 s, half a beat before the first beat, which leaves it time.
    """
    beats_s = music_beats.extend_beats(music_beats.dance_beats(heard.beats_s), heard.duration_s)
    return beats_s[beats_s > 0.4 * (beats_s[1] - beats_s[0])] if given else beats_s


def movement_count(beats_s: np.ndarray) -> int:
    """How many movements a song with these beats takes."""
    return -(-len(beats_s) // UNIT_BEATS) + 1


def perform(
    rows: np.ndarray, heard: Music, song: Path | None, style: str, seed: int, kind: str = "kinematic",
    given: bool = False,
) -> list[Dance]:  # fmt: skip
    """Dances in beat time put on the beats of a song: `count` of rows (count, LEAD + 32 * `movement_count`, 14, D).

    `kind` is one of `WARPS`. `given`: see `danced_beats`. Raises `ParameterError` for an unknown kind.
    """
    if kind not in WARPS:
        raise ParameterError(f"the warp {kind!r} is unknown", f"one of {', '.join(WARPS)}")
    beats_s = danced_beats(heard, given)
    movements = movement_count(beats_s)
    grid_s = beats_s_for(beats_s, movements)
    if kind == "none":
        grid_s = np.diff(beats_s).mean() * (np.arange(len(grid_s)) + given / 2)
    beats, times_s = np.arange(len(grid_s), dtype=float), grid_s
    if given:
        beats, times_s = np.r_[-(FIRST_BEAT + 1) / POSES_PER_BEAT, beats], np.r_[0.0, grid_s]
    frames_s = frame_times(frame_count(heard.duration_s))
    shown = music_beats.extend_beats(heard.beats_s, heard.duration_s)
    shown = shown[(shown >= 0) & (shown < heard.duration_s)]

    def one(number: int) -> Dance:
        dance_rows = rows[number]
        if dance_rows.shape[-1] == 3:
            row_beats = (np.arange(len(dance_rows)) - LEAD - FIRST_BEAT) / POSES_PER_BEAT
            dance_rows = plant(dance_rows, warp.time_map(beats, times_s, "linear")(row_beats))
        read_at = frames_in_beats(dance_rows, beats, times_s, frames_s, kind)
        poses = _read(dance_rows, read_at)
        if poses.shape[2] == 3:
            poses = pose.fit_bones(poses)  # reading between poses shortens limbs a little
        seams_s = unit_times(read_at, frames_s)
        name = song.stem if song else ""
        return Dance(poses.astype(np.float32), shown, seams_s, style=style, seed=seed + number, song=song, name=name)

    return [one(number) for number in range(len(rows))]


def frames_in_beats(
    rows: np.ndarray, beats: np.ndarray, times_s: np.ndarray, frames_s: np.ndarray, kind: str
) -> np.ndarray:
    """What beat time the frames at `frames_s` (T,) read of the dance `rows`: (T,), increasing.

    Beat `beats[i]` (n,) stands at `times_s[i]` (n,), except as kinematic beats are brought onto beats.
    """
    straight = "linear" if kind in ("none", "linear") else "cubic"
    moved = np.zeros(len(beats))
    for _ in range(ROUNDS if kind == "kinematic" else 0):
        poses = _read(rows, warp.time_map(times_s, beats + moved, straight)(frames_s))
        moved = on_the_beat(*kinematic_beats(poses), beats, times_s, moved)
    return warp.time_map(times_s, beats + moved, straight)(frames_s)


def on_the_beat(
    kinematic_beats_s: np.ndarray, strength: np.ndarray, beats: np.ndarray, times_s: np.ndarray, moved: np.ndarray
) -> np.ndarray:
    """By how many beats the dance must be read later or earlier at each of `beats` (n,), for its own to fall on them.

    `moved` (n,) is by how much it was when the kinematic beats (k,) with their `strength` (k,) were found. Of two near
    one beat the stronger counts; beats that have none move as their neighbours do; a beginning between beats stays.
    """
    found = np.interp(kinematic_beats_s, times_s, beats)
    nearest = np.round(found)
    near = np.flatnonzero((np.abs(found - nearest) <= NEAR) & np.isin(nearest, beats))
    near = near[np.argsort(strength[near], kind="stable")]
    read_from = found[near] + np.interp(found[near], beats, moved)
    off = dict(zip(nearest[near], read_from - nearest[near], strict=True))  # the stronger comes later and stays
    if not off:
        return moved
    has_one = np.array(sorted(off))
    wanted = np.interp(beats, has_one, [off[beat] for beat in has_one])
    wanted[beats % 1 != 0] = 0.0
    return np.clip(wanted, -NEAR, NEAR)


def _read(rows: np.ndarray, at_beats: np.ndarray) -> np.ndarray:
    """Poses (T, 14, D) of a dance in beat time at `at_beats` (T,)."""
    return warp.resample(rows, at_beats * POSES_PER_BEAT + LEAD + FIRST_BEAT)


def beats_s_for(beats_s: np.ndarray, movements: int) -> np.ndarray:
    """The song's beats continued, in its last tempo, to all the beats of `movements` movements."""
    missing = movements * UNIT_BEATS - len(beats_s)
    return np.r_[beats_s, beats_s[-1] + (beats_s[-1] - beats_s[-2]) * np.arange(1, missing + 1)]


def unit_times(beats: np.ndarray, times_s: np.ndarray) -> np.ndarray:
    """When movements begin of a dance in which beat time `beats` (n,) is danced at `times_s` (n,): seconds.

    That is 3/8 of a beat before every fourth beat, but the first, with which the dance itself begins.
    """
    begins = np.arange(UNIT_BEATS, beats[-1] + 1, UNIT_BEATS) - FIRST_BEAT / POSES_PER_BEAT
    return np.interp(begins[(begins > beats[0]) & (begins < beats[-1])], beats, times_s)
