"""Dances as the measures take them: beside their songs' beats, kinematic beats found, features taken.

What dances are measured by: the real training dances' features, movements and speeds, made once.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from numbers import Real

import numpy as np

from d2m.clock import FPS
from d2m.errors import D2MError
from d2m.metrics import distances, physics
from d2m.metrics.beats import precision_recall
from d2m.metrics.descriptors import describe
from d2m.metrics.memory import Memory
from d2m.motion import pose
from d2m.motion.dance import Dance
from d2m.motion.kinematics import kinematic_beats

Space = Callable[[np.ndarray], np.ndarray]  # poses (T, 14, D) -> feature vectors (K, C)
StylePredictor = Callable[[np.ndarray], str]  # poses -> the style that an independent classifier sees
# From end to end, in any direction: a doll is danced with as well as a giant, but neither millimetres nor kilometres.
SMALLEST_BODY_M, LARGEST_BODY_M = 0.1, 20.0


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
    predicted_style: str = ""  # the style that the independent classifier sees

    @property
    def is_3d(self) -> bool:
        return self.poses.shape[2] == 3

    @cached_property
    def precision_recall(self) -> tuple[float, float]:
        """Precision and recall of the kinematic beats, see `beats.precision_recall`."""
        return precision_recall(self.music_beats_s, self.kinematic_beats_s)


def measure(
    dances: list[Dance], songs: dict[str, np.ndarray], spaces: dict[str, Space] | None = None,
    predict_style: StylePredictor | None = None,
) -> list[Sample]:  # fmt: skip
    """Dances as the measures take them. Raises `D2MError` that names the dance which cannot be measured, and why."""
    made = []
    for dance in dances:
        name = dance.name
        if not name:
            raise D2MError("a dance has no name", "the name of its song: dances to one song share it")
        poses = pose.validate(dance.poses, f"the poses of {name}")
        if not isinstance(dance.fps, Real):
            raise D2MError(f"the dance to {name} has {dance.fps!r} frames a second", f"{FPS:g}, a number")
        if not abs(dance.fps - FPS) <= 1e-6:
            raise D2MError(f"the dance to {name} has {dance.fps:g} frames a second", f"{FPS:g}", "resample it")
        reach = float(np.median(np.ptp(poses, axis=1).max(axis=-1)))
        if not SMALLEST_BODY_M < reach < LARGEST_BODY_M:
            raise D2MError(f"the body of the dance to {name} reaches over {reach:.3g} m", "a body told in metres")
        if name not in songs:
            raise D2MError(f"the song {name} has no beats given", "the beats of every song that is danced to")
        beats_s = _times(songs[name], f"the beats of the song {name}")
        units_s = _times(dance.units_s, f"units_s of the dance to {name}")
        beats_s = beats_s[(beats_s >= 0) & (beats_s < dance.duration_s)]
        if len(beats_s) < 2:
            raise D2MError(f"the song {name} has {len(beats_s)} beats while it is danced to", "two at least")
        kinematic_beats_s, _ = kinematic_beats(poses)
        embeddings = (spaces or {}) | {"motion": describe}
        features = {space: _features(embed(poses), space, name) for space, embed in embeddings.items()}
        predicted_style = predict_style(poses) if predict_style else ""
        made.append(Sample(name, dance.style, poses, beats_s, kinematic_beats_s, units_s, features, predicted_style))
    return made


def measure_each(
    dances: list[Dance], spaces: dict[str, Space] | None = None, predict_style: StylePredictor | None = None
) -> list[Sample]:
    """As `measure`, each dance beside its own beats: two may be to different parts of one song."""
    return [measure([dance], {dance.name: dance.beats_s}, spaces, predict_style)[0] for dance in dances]


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


def _features(features, space: str, name: str) -> np.ndarray:
    """Feature vectors (K, C) as a space gave them, checked. Raises `D2MError` that names the dance and the space."""
    expected = "finite numbers (windows, features)"
    try:
        features = np.asarray(features, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise D2MError(f"the space {space!r} gives no numbers for the dance to {name}", expected) from error
    if features.ndim != 2 or not features.size:
        raise D2MError(f"the space {space!r} gives an array {features.shape} for the dance to {name}", expected)
    if not np.isfinite(features).all():
        raise D2MError(f"the space {space!r} gives values that are not finite for the dance to {name}", expected)
    return features


def _within(beats_s: np.ndarray, sample: Sample) -> np.ndarray:
    return beats_s[(beats_s >= 0) & (beats_s < len(sample.poses) / FPS)]


SMALLEST_DEVIATION = 0.05  # of a feature, in its unit: what never happens in the reference must not weigh without end


@dataclass(frozen=True)
class Yardstick:
    """What dances are measured by, made once of the real training dances."""

    samples: list[Sample]
    scale: dict[str, tuple[np.ndarray, np.ndarray]]  # by space: mean and deviation (C,) that features are told in
    features: dict[tuple[str, str], list[np.ndarray]]  # by space and style: standardised, song by song
    references: dict[tuple[str, str], distances.Reference]
    memory: Memory  # of all movements
    slow: float  # m/s: the slowest 1 % of frames

    @property
    def spaces(self) -> list[str]:
        """The feature spaces, in the order of the table."""
        return list(self.scale)

    @property
    def styles(self) -> list[str]:
        """The styles that have a reference, sorted."""
        return sorted({sample.style for sample in self.samples})

    @classmethod
    def of(cls, samples: list[Sample]) -> "Yardstick":
        """The yardstick of real training dances, two windows of each style at least. Raises `D2MError`."""
        scale, features, references = {}, {}, {}
        for space in samples[0].features:
            stacked = np.concatenate([sample.features[space] for sample in samples])
            scale[space] = stacked.mean(axis=0), np.maximum(stacked.std(axis=0), SMALLEST_DEVIATION)
            for style in sorted({sample.style for sample in samples}):
                of_style = [sample for sample in samples if sample.style == style]
                if sum(len(sample.features[space]) for sample in of_style) < 2:
                    raise D2MError(
                        f"the reference has one window of {style}, of the dance to {of_style[0].song}",
                        "two of every style at least", "give longer or more dances",
                    )  # fmt: skip
                features[space, style] = [standardised(sample, space, scale) for sample in of_style]
                references[space, style] = distances.Reference.of(features[space, style])
        speeds = np.concatenate([physics.joint_speed(sample.poses) for sample in samples])
        memory = Memory.of([sample.poses for sample in samples])
        return cls(samples, scale, features, references, memory, float(np.percentile(speeds, 1)))


def standardised(sample: Sample, space: str, scale: dict) -> np.ndarray:
    """Feature vectors (K, C) of a dance, told in the mean and deviation of the training dances'."""
    mean, deviation = scale[space]
    return (sample.features[space] - mean) / deviation
