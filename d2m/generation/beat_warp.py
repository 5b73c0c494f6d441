"""Warp a dance onto the beats of a song (paper, section 3.3: beat warping) and keep its planted feet in place.

In beat time, beat k of a dance is row LEAD + 3 + 8k. Four warps map beat time to seconds:

    none       evenly spaced beats in the song's mean tempo: the beats of the dance miss those of the song
    linear     every beat on a beat of the song, linear in between, as published
    cubic      the same, smooth: the velocity has no jump at a beat
    kinematic  as cubic, and a kinematic beat of the body close to a beat of the song is shifted onto it

Training units have kinematic beats on beats. The DU-VAE and the seams move some of them; `kinematic` moves them back.
"""

import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from scipy.special import expit

from d2m.clock import POSES_PER_BEAT, frame_count, frame_times, within
from d2m.errors import ParameterError
from d2m.metrics.physics import STANDING_M
from d2m.motion import pose, warp
from d2m.motion.dance import Dance
from d2m.motion.kinematics import kinematic_beats
from d2m.motion.units import FIRST_BEAT, LEAD, UNIT_BEATS
from d2m.music import beats as music_beats
from d2m.music import features as music_features
from d2m.music.analysis import Music

WARPS = ("none", "linear", "cubic", "kinematic")
START_BEAT = -(FIRST_BEAT + 1) / POSES_PER_BEAT  # beat time of the last lead pose: half a beat before beat 0
NEAR = 0.35  # beats: a kinematic beat this close to a beat is shifted onto it, and no shift is larger
SHIFT_ROUNDS = 3  # rounds of detecting kinematic beats and shifting them: a shift moves them a little
SOFT_M = 0.01  # metres over which a foot changes from standing to lifted
SLOW = 0.5  # m/s: about the speed of a foot that slides by mistake; a stepping foot is about twice as fast


@dataclass(frozen=True)
class BeatPlan:
    """The beats of a song that are danced to, and the movements and phrases that they take.

    A song of n danced beats takes ceil(n / 4) + 1 movements, in phrases of `phrase` movements; the last phrase may
    reach past the last movement. With `has_start_pose` the dance starts from a given pose, at rest at 0 s. Raises
    `MediaError` for music with fewer than two beats.
    """

    music: Music
    phrase: int
    has_start_pose: bool = False

    @cached_property
    def beats_s(self) -> np.ndarray:
        """The danced beats (n,) in seconds: the first at or before 0, the last at or after the end of the song.

        A start pose at 0 s is half a beat before the first beat, so beats before 0.4 of a beat are left out.
        """
        beats_s = music_beats.extend_beats(music_beats.dance_beats(self.music.beats_s), self.music.duration_s)
        return beats_s[beats_s > 0.4 * (beats_s[1] - beats_s[0])] if self.has_start_pose else beats_s

    @property
    def movements(self) -> int:
        """Number of movements: one for every four beats, and one more."""
        return math.ceil(len(self.beats_s) / UNIT_BEATS) + 1

    @property
    def phrases(self) -> int:
        """Number of phrases that hold all movements."""
        return math.ceil(self.movements / self.phrase)

    @cached_property
    def phrase_beats_s(self) -> np.ndarray:
        """The danced beats, continued at the last tempo to fill all phrases: (phrases, 4 * phrase)."""
        missing = self.phrases * self.phrase * UNIT_BEATS - len(self.beats_s)
        last_s, interval_s = self.beats_s[-1], self.beats_s[-1] - self.beats_s[-2]
        continued_s = np.r_[self.beats_s, last_s + interval_s * np.arange(1, missing + 1)]
        return continued_s.reshape(self.phrases, self.phrase * UNIT_BEATS)

    @property
    def beat_lengths_s(self) -> np.ndarray:
        """Mean seconds a beat of each phrase: (phrases,)."""
        return np.diff(self.phrase_beats_s).mean(axis=1)

    @property
    def phrase_centres_s(self) -> np.ndarray:
        """The beat in the middle of each phrase, or the last danced beat where that is earlier: (phrases,)."""
        beats = self.phrase * UNIT_BEATS
        centres = np.arange(self.phrases) * beats + beats // 2
        return self.beats_s[np.minimum(centres, len(self.beats_s) - 1)]

    @cached_property
    def audio_rows(self) -> np.ndarray:
        """Audio input of E_mus, a row for each beat of each phrase: (4 * phrase * phrases, 28), see `beat_rows`.

        Beats after the last danced one repeat its row, so that they do not count in the song's mean.
        """
        rows = music_features.beat_rows(self.music.features, self.beats_s)
        return np.pad(rows, ((0, self.phrase_beats_s.size - len(rows)), (0, 0)), mode="edge")

    @cached_property
    def song_beats_s(self) -> np.ndarray:
        """All beats of the song, whether danced or not, from its start to its end."""
        beats_s = music_beats.extend_beats(self.music.beats_s, self.music.duration_s)
        return within(beats_s, 0.0, self.music.duration_s)

    def anchors(self, kind: str) -> tuple[np.ndarray, np.ndarray]:
        """Beat time (m,) of the start pose, if any, and of all beats of all movements; their times (m,) in seconds."""
        times_s = self.phrase_beats_s.ravel()[: self.movements * UNIT_BEATS]
        beats = np.arange(len(times_s), dtype=float)
        if kind == "none":
            first = -START_BEAT if self.has_start_pose else 0.0
            times_s = np.diff(self.beats_s).mean() * (beats + first)
        if self.has_start_pose:
            beats, times_s = np.r_[START_BEAT, beats], np.r_[0.0, times_s]
        return beats, times_s


def perform(
    rows: np.ndarray, plan: BeatPlan, song: Path | None, style: str, seed: int, kind: str = "kinematic"
) -> list[Dance]:
    """Dances in beat time, `rows` (count, LEAD + 32 * plan.movements, 14, D), warped onto the beats of a song.

    `kind` is one of `WARPS`; the seeds are `seed`, `seed` + 1, ... Raises `ParameterError` for an unknown kind.
    """
    if kind not in WARPS:
        raise ParameterError(f"the warp {kind!r} is unknown", f"one of {', '.join(WARPS)}")
    beats, times_s = plan.anchors(kind)
    frames_s = frame_times(frame_count(plan.music.duration_s))
    dances = []
    for number, dance_rows in enumerate(rows):
        if dance_rows.shape[-1] == 3:
            row_beats = (np.arange(len(dance_rows)) - LEAD - FIRST_BEAT) / POSES_PER_BEAT
            dance_rows = plant(dance_rows, warp.time_map(beats, times_s, "linear")(row_beats))
        frame_beats = frames_in_beats(dance_rows, beats, times_s, frames_s, kind)
        poses = _poses_at(dance_rows, frame_beats)
        if poses.shape[2] == 3:
            poses = pose.fit_bones(poses)  # interpolated poses have slightly shorter limbs
        seams_s = unit_times(frame_beats, frames_s)
        poses, name = poses.astype(np.float32), song.stem if song else ""
        dances.append(Dance(poses, plan.song_beats_s, seams_s, style, seed + number, song, name=name))
    return dances


def plant(poses: np.ndarray, times_s: np.ndarray) -> np.ndarray:
    """Poses (T, 14, 3) at times (T,) moved along the floor so that planted feet do not slide; pose 0 stays in place.

    Root motion and legs are generated separately, each with small errors, so the feet glide. A foot is planted by

        w = sigmoid((STANDING_M - height) / SOFT_M) exp(- (speed / SLOW)^2),

    and the whole body moves against the mean velocity of its planted feet; its poses do not change. Fast feet keep
    their glide, which is part of the dance.
    """
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


def frames_in_beats(
    rows: np.ndarray, beats: np.ndarray, times_s: np.ndarray, frames_s: np.ndarray, kind: str
) -> np.ndarray:
    """Beat time (T,), increasing, at which the frames at `frames_s` (T,) read the dance `rows` (R, 14, D).

    Beat `beats[i]` (m,) is danced at `times_s[i]` (m,), apart from the shifts of kinematic beats.
    """
    interpolation = "linear" if kind in ("none", "linear") else "cubic"
    shift = np.zeros(len(beats))
    if kind == "kinematic":
        for _ in range(SHIFT_ROUNDS):
            poses = _poses_at(rows, warp.time_map(times_s, beats + shift, interpolation)(frames_s))
            shift = shift_onto_beats(*kinematic_beats(poses), beats, times_s, shift)
    return warp.time_map(times_s, beats + shift, interpolation)(frames_s)


def shift_onto_beats(
    kinematic_beats_s: np.ndarray, strength: np.ndarray, beats: np.ndarray, times_s: np.ndarray, shift: np.ndarray
) -> np.ndarray:
    """By how many beats later (m,) the dance is read at each of `beats` (m,), to bring its kinematic beats onto beats.

    The kinematic beats (k,) with their `strength` (k,) were detected with the current `shift` (m,). Of two near a beat
    the stronger counts. Other beats take shifts interpolated from their neighbours; a start pose is not shifted.
    """
    positions = np.interp(kinematic_beats_s, times_s, beats)
    nearest = np.round(positions)
    near = np.flatnonzero((np.abs(positions - nearest) <= NEAR) & np.isin(nearest, beats))
    near = near[np.argsort(strength[near], kind="stable")]
    sources = positions[near] + np.interp(positions[near], beats, shift)
    offsets = dict(zip(nearest[near], sources - nearest[near], strict=True))  # the strongest is last and overwrites
    if not offsets:
        return shift
    matched = np.array(sorted(offsets))
    new_shift = np.interp(beats, matched, [offsets[beat] for beat in matched])
    new_shift[beats % 1 != 0] = 0.0
    return np.clip(new_shift, -NEAR, NEAR)


def _poses_at(rows: np.ndarray, at_beats: np.ndarray) -> np.ndarray:
    """Poses (T, 14, D) of a dance in beat time at `at_beats` (T,)."""
    return warp.resample(rows, at_beats * POSES_PER_BEAT + LEAD + FIRST_BEAT)


def unit_times(beats: np.ndarray, times_s: np.ndarray) -> np.ndarray:
    """When the movements of a dance begin, in seconds, where beat time `beats` (n,) is danced at `times_s` (n,).

    A movement begins 3/8 of a beat before every fourth beat; the first is left out, since it begins with the dance.
    """
    begins = np.arange(UNIT_BEATS, beats[-1] + 1, UNIT_BEATS) - FIRST_BEAT / POSES_PER_BEAT
    return np.interp(begins[(begins > beats[0]) & (begins < beats[-1])], beats, times_s)
