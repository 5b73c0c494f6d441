"""Dances as the measures take them: beside their songs' beats, kinematic beats found, features taken, units cut."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from d2m import pose, units
from d2m.clock import FPS
from d2m.dance import Dance
from d2m.descriptors import describe
from d2m.errors import D2MError
from d2m.kinematics import kinematic_beats
from d2m.units import LEAD

Space = Callable[[np.ndarray], np.ndarray]  # poses (T, 14, D) -> feature vectors (K, C)
Judge = Callable[[np.ndarray], str]  # poses -> the style that an independent classifier sees


@dataclass(frozen=True)
class Sample:
    """One dance as the measures take it. Times are seconds from pose 0."""

    song: str
    style: str
    poses: np.ndarray  # (T, 14, D) metres
    music_beats_s: np.ndarray
    kinematic_beats_s: np.ndarray
    units_s: np.ndarray  # seams between movements; empty where there are none
    features: dict[str, np.ndarray]  # by space: feature vectors (K, C) of its windows
    movements: np.ndarray  # (n, 32, 14, D) its units, cut as in training, each pose told from its own hips and facing
    judged: str = ""  # the style that the independent classifier sees


def measure(
    dances: list[Dance], songs: dict[str, np.ndarray], spaces: dict[str, Space] | None = None,
    judge: Judge | None = None,
) -> list[Sample]:  # fmt: skip
    """Dances as the measures take them. Raises `D2MError` that names the dance which cannot be measured, and why."""
    made = []
    for dance in dances:
        name = str(dance.song)
        poses = pose.validate(dance.poses, f"the poses of {name}")
        if not abs(dance.fps - FPS) <= 1e-6:
            raise D2MError(f"the dance to {name} has {dance.fps:g} frames a second", f"{FPS:g}", "resample it")
        if name not in songs:
            raise D2MError(f"the song {name} has no beats given", "the beats of every song that is danced to")
        beats_s = _times(songs[name], f"the beats of the song {name}")
        units_s = _times(dance.units_s, f"units_s of the dance to {name}")
        beats_s = beats_s[(beats_s >= 0) & (beats_s < dance.duration_s)]
        if len(beats_s) < 2:
            raise D2MError(f"the song {name} has {len(beats_s)} beats while it is danced to", "two at least")
        kinematic_beats_s, strength = kinematic_beats(poses)
        features = {space: embed(poses) for space, embed in ((spaces or {}) | {"motion": describe}).items()}
        movements = _movements(poses, kinematic_beats_s, beats_s, strength)
        judged = judge(poses) if judge else ""
        made.append(Sample(name, dance.style, poses, beats_s, kinematic_beats_s, units_s, features, movements, judged))
    return made


def beside(samples: list[Sample], songs: dict[str, np.ndarray]) -> list[Sample]:
    """The same dances beside other beats of their songs."""
    return [replace(sample, music_beats_s=_within(songs[sample.song], sample)) for sample in samples]


def at_random(samples: list[Sample], seed: int) -> list[Sample]:
    """The same dances with as many kinematic beats at random times."""
    rng = np.random.default_rng(seed)
    times = lambda s: np.sort(rng.uniform(0, len(s.poses) / FPS, len(s.kinematic_beats_s)))  # noqa: E731
    return [replace(sample, kinematic_beats_s=times(sample)) for sample in samples]


def _times(times_s, what: str) -> np.ndarray:
    """Times (n,) in seconds as float64. Raises `D2MError` where they are not numbers that increase."""
    try:
        times = np.asarray(times_s, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise D2MError(f"{what} are not numbers in order", "seconds, each one later") from error
    if times.ndim != 1 or not np.isfinite(times).all() or (np.diff(times) <= 0).any():
        raise D2MError(f"{what} are not numbers in order", "seconds, each one later")
    return times


def _within(beats_s: np.ndarray, sample: Sample) -> np.ndarray:
    return beats_s[(beats_s >= 0) & (beats_s < len(sample.poses) / FPS)]


def _movements(poses: np.ndarray, kinematic_beats_s, music_beats_s, strength) -> np.ndarray:
    """The units of a dance (n, 32, 14, D), one at every anchor, each pose told from its own hips and facing."""
    nothing = np.empty((0, units.UNIT_POSES, *poses.shape[1:]))
    if len(kinematic_beats_s) < 2:
        return nothing
    anchors = units.anchors(kinematic_beats_s, music_beats_s, strength)
    cuts = units.cut(len(anchors.times_s))
    if not len(cuts):
        return nothing
    in_beat_time = units.to_beat_time(poses, anchors.times_s)
    return units.windows(pose.body_frame(in_beat_time), cuts)[:, LEAD:]
