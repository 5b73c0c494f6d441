"""Dances prepared for scoring, and the real training dances that they are compared with.

A `Sample` is one dance with its song's beats, its kinematic beats and its features. The `ReferenceSet` holds the real
training dances with all that scores need of them, computed once: standardised features, movements, speeds.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from numbers import Real

import numpy as np

from d2m.clock import FPS, within
from d2m.errors import D2MError
from d2m.metrics import distances, physics
from d2m.metrics.beats import precision_recall
from d2m.metrics.descriptors import describe
from d2m.metrics.memory import Memory
from d2m.motion import pose
from d2m.motion.dance import Dance
from d2m.motion.kinematics import kinematic_beats

Space = Callable[[np.ndarray], np.ndarray]  # poses (T, 14, D) -> feature vectors (K, C)
StylePredictor = Callable[[np.ndarray], str]  # poses -> the style that the independent style classifier predicts
# Longest side of a body in metres. Dolls and giants may dance; poses in millimetres or kilometres are refused.
SMALLEST_BODY_M, LARGEST_BODY_M = 0.1, 20.0
SMALLEST_DEVIATION = 0.05  # of a feature, in its unit: lower bound, so that constant features are not amplified


@dataclass(frozen=True)
class Sample:
    """One dance, prepared for scoring. Times are seconds from pose 0."""

    song: str
    style: str
    poses: np.ndarray  # (T, 14, D) metres
    music_beats_s: np.ndarray
    kinematic_beats_s: np.ndarray
    units_s: np.ndarray  # seams between movements; may be empty
    features: dict[str, np.ndarray]  # by space: feature vectors (K, C) of its windows
    predicted_style: str = ""  # by the independent style classifier; "" without one

    @property
    def is_3d(self) -> bool:
        """Whether the poses have depth."""
        return self.poses.shape[2] == 3

    @cached_property
    def precision_recall(self) -> tuple[float, float]:
        """Precision and recall of the kinematic beats, see `beats.precision_recall`."""
        return precision_recall(self.music_beats_s, self.kinematic_beats_s)


def measure(
    dances: list[Dance], songs: dict[str, np.ndarray], spaces: dict[str, Space] | None = None,
    predict_style: StylePredictor | None = None,
) -> list[Sample]:  # fmt: skip
    """The samples of dances, each with the beats of its song (`songs`, in seconds from pose 0, by `Dance.name`).

    Raises `D2MError` that names the dance and the rule that it breaks.
    """
    return [_sample(dance, songs, (spaces or {}) | {"motion": describe}, predict_style) for dance in dances]


def measure_each(
    dances: list[Dance], spaces: dict[str, Space] | None = None, predict_style: StylePredictor | None = None
) -> list[Sample]:
    """As `measure`, each dance with its own beats: two dances may be to different parts of one song."""
    return [measure([dance], {dance.name: dance.beats_s}, spaces, predict_style)[0] for dance in dances]


def _sample(
    dance: Dance, songs: dict[str, np.ndarray], spaces: dict[str, Space], predict_style: StylePredictor | None
) -> Sample:
    name, poses = dance.name, _checked_poses(dance)
    if name not in songs:
        raise D2MError(f"the song {name} has no beats in songs", "the beats of every song that is danced to")
    beats_s = _times(songs[name], f"the beats of the song {name}")
    units_s = _times(dance.units_s, f"units_s of the dance to {name}")
    beats_s = within(beats_s, 0.0, dance.duration_s)
    if len(beats_s) < 2:
        raise D2MError(f"the song {name} has {len(beats_s)} beats during its dance", "two at least")
    kinematic_beats_s, _ = kinematic_beats(poses)
    features = {space: _features(embed(poses), space, name) for space, embed in spaces.items()}
    predicted_style = predict_style(poses) if predict_style else ""
    return Sample(name, dance.style, poses, beats_s, kinematic_beats_s, units_s, features, predicted_style)


def _checked_poses(dance: Dance) -> np.ndarray:
    """The poses of a dance that has a name, `FPS` frames a second and a body in metres, else `D2MError`."""
    name = dance.name
    if not name:
        raise D2MError("a dance has no name", "the name of its song: dances to one song share it")
    poses = pose.validate(dance.poses, f"the poses of {name}")
    if not isinstance(dance.fps, Real) or not abs(dance.fps - FPS) <= 1e-6:
        raise D2MError(f"the dance to {name} has {dance.fps!r} frames a second", f"the number {FPS:g}", "resample it")
    side = float(np.median(np.ptp(poses, axis=1).max(axis=-1)))
    if not SMALLEST_BODY_M < side < LARGEST_BODY_M:
        raise D2MError(f"the body of the dance to {name} measures {side:.3g} m", "a body in metres")
    return poses


def _times(times_s, what: str) -> np.ndarray:
    """Times (n,) in seconds as float64. Raises `D2MError` where they are not numbers that increase."""
    try:
        times = np.asarray(times_s, dtype=np.float64)
    except (TypeError, ValueError):
        times = np.array(np.nan)
    if times.ndim != 1 or not np.isfinite(times).all() or (np.diff(times) <= 0).any():
        raise D2MError(f"{what} do not increase, or are no numbers", "increasing numbers, in seconds")
    return times


def _features(features, space: str, name: str) -> np.ndarray:
    """Feature vectors (K, C) of a space as float64. Raises `D2MError` that names the dance and the space."""
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


def with_beats(samples: list[Sample], songs: dict[str, np.ndarray]) -> list[Sample]:
    """The same dances with other beats of their songs."""
    return [replace(one, music_beats_s=within(songs[one.song], 0.0, len(one.poses) / FPS)) for one in samples]


def with_random_beats(samples: list[Sample], seed: int) -> list[Sample]:
    """The same dances with as many kinematic beats at random times."""
    rng, changed = np.random.default_rng(seed), []
    for sample in samples:
        times_s = rng.uniform(0, len(sample.poses) / FPS, len(sample.kinematic_beats_s))
        changed.append(replace(sample, kinematic_beats_s=np.sort(times_s)))
    return changed


@dataclass(frozen=True)
class ReferenceSet:
    """The real training dances that others are compared with."""

    samples: list[Sample]
    scale: dict[str, tuple[np.ndarray, np.ndarray]]  # by space: mean and deviation (C,) of its features
    features: dict[tuple[str, str], list[np.ndarray]]  # by space and style: standardised, dance by dance
    of_style: dict[tuple[str, str], distances.Reference]  # by space and style: what distances need of these
    memory: Memory  # of all movements
    freeze_speed: float  # m/s: 1 % of the frames are slower

    @classmethod
    def of(cls, samples: list[Sample]) -> "ReferenceSet":
        """The reference set of real training dances, two windows of each style at least. Raises `D2MError`."""
        scale, features, of_style = {}, {}, {}
        for space in samples[0].features:
            vectors = np.concatenate([sample.features[space] for sample in samples])
            scale[space] = vectors.mean(axis=0), np.maximum(vectors.std(axis=0), SMALLEST_DEVIATION)
            for style in sorted({sample.style for sample in samples}):
                members = [sample for sample in samples if sample.style == style]
                if sum(len(sample.features[space]) for sample in members) < 2:
                    raise D2MError(
                        f"the reference has one window of {style}, of the dance to {members[0].song}",
                        "two of every style at least", "give longer or more dances",
                    )  # fmt: skip
                features[space, style] = [standardised(sample, space, scale) for sample in members]
                of_style[space, style] = distances.Reference.of(features[space, style])
        speeds = np.concatenate([physics.joint_speed(sample.poses) for sample in samples])
        memory = Memory.of([sample.poses for sample in samples])
        return cls(samples, scale, features, of_style, memory, float(np.percentile(speeds, 1)))

    @property
    def spaces(self) -> list[str]:
        """The feature spaces, in the order of the table."""
        return list(self.scale)

    @property
    def styles(self) -> list[str]:
        """The styles of the dances, sorted."""
        return sorted({sample.style for sample in self.samples})


def standardised(sample: Sample, space: str, scale: dict) -> np.ndarray:
    """Feature vectors (K, C) of a dance, by the mean and deviation of the reference."""
    mean, deviation = scale[space]
    return (sample.features[space] - mean) / deviation
