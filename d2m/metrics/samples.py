"""Dances prepared for scoring, and the real training dances that they are compared with.

A `Sample` is one dance with its song's beats, its kinematic beats and its features. The `ReferenceSet` holds the real
training dances and what scores compare with: their standardised features, their movements, their slowest speed.
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
from d2m.motion import body, pose
from d2m.motion.dance import Dance
from d2m.motion.kinematics import kinematic_beats

Space = Callable[[np.ndarray], np.ndarray]  # poses (T, 14, D) -> feature vectors (K, C)
StylePredictor = Callable[[np.ndarray], str]  # poses -> the style that the independent style classifier predicts
# Limits of the longest side of a body: wide enough for dolls and giants, but poses in millimetres are refused.
SMALLEST_BODY_M, LARGEST_BODY_M = 0.1, 20.0
SMALLEST_DEVIATION = 0.05  # standard deviation of a feature: lower bound, so that constant features are not amplified


@dataclass(frozen=True)
class Sample:
    """One dance, prepared for scoring. Times are seconds from pose 0."""

    song: str
    style: str
    poses: np.ndarray  # (T, 14, D) metres
    music_beats_s: np.ndarray
    kinematic_beats_s: np.ndarray
    units_s: np.ndarray  # seams, where a movement follows another; may be empty
    features: dict[str, np.ndarray]  # by space: feature vectors (K, C) of its windows
    predicted_style: str = ""  # by the independent style classifier; "" without one

    @property
    def is_3d(self) -> bool:
        """Whether the poses are 3D."""
        return self.poses.shape[2] == 3

    @cached_property
    def precision_recall(self) -> tuple[float, float]:
        """Precision and recall of the kinematic beats, see `beats.precision_recall`."""
        return precision_recall(self.music_beats_s, self.kinematic_beats_s)


def measure(
    dances: list[Dance], songs: dict[str, np.ndarray], spaces: dict[str, Space] | None = None,
    predict_style: StylePredictor | None = None,
) -> list[Sample]:  # fmt: skip
    """The samples of dances; `songs` holds the beats of each song, in seconds from pose 0, by `Dance.name`.

    Raises `D2MError` that names the dance and the rule that it breaks.
    """
    return [_sample(dance, songs, (spaces or {}) | {"motion": describe}, predict_style) for dance in dances]


def measure_each(
    dances: list[Dance], spaces: dict[str, Space] | None = None, predict_style: StylePredictor | None = None
) -> list[Sample]:
    """As `measure`, but with each dance's own beats: two dances may be to different parts of one song."""
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
        raise D2MError(f"the song {name} has {len(beats_s)} beats during its dance", "at least 2")
    kinematic_beats_s, _ = kinematic_beats(poses)
    features = {space: _features(embed(poses), space, name) for space, embed in spaces.items()}
    predicted_style = predict_style(poses) if predict_style else ""
    return Sample(name, dance.style, poses, beats_s, kinematic_beats_s, units_s, features, predicted_style)


def _checked_poses(dance: Dance) -> np.ndarray:
    """The poses of a dance, turned upright where another axis than y is clearly up.

    Raises `D2MError` if it has no name, not `FPS` frames a second, or no body in metres.
    """
    name = dance.name
    if not name:
        raise D2MError("a dance has no name", "the name of its song, the same for all dances to it")
    poses = pose.validate(dance.poses, f"the poses of {name}")
    if not isinstance(dance.fps, Real) or not abs(dance.fps - FPS) <= 1e-6:
        raise D2MError(f"the dance to {name} has {dance.fps!r} frames a second", f"the number {FPS:g}", "resample it")
    side = float(np.median(np.ptp(poses, axis=1).max(axis=-1)))
    if not SMALLEST_BODY_M < side < LARGEST_BODY_M:
        raise D2MError(f"the body of the dance to {name} measures {side:.3g} m", "a body in metres")
    # A dance of a model may lie, so a body without a clear axis is scored as it is.
    return body.turn_upright(poses, f"the dance to {name}") if poses.shape[2] == 3 else poses


def _times(times_s, label: str) -> np.ndarray:
    """Times (n,) in seconds as float64. Raises `D2MError` if they are not increasing numbers."""
    try:
        times = np.asarray(times_s, dtype=np.float64)
    except (TypeError, ValueError):
        times = np.array(np.nan)
    if times.ndim != 1 or not np.isfinite(times).all() or (np.diff(times) <= 0).any():
        raise D2MError(f"{label} do not increase, or are no numbers", "increasing numbers, in seconds")
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
    """The same dances with other music beats: `songs` holds them in seconds by song."""
    return [replace(each, music_beats_s=within(songs[each.song], 0.0, len(each.poses) / FPS)) for each in samples]


def with_random_beats(samples: list[Sample], seed: int) -> list[Sample]:
    """The same dances with their kinematic beats moved to random times."""
    rng, changed = np.random.default_rng(seed), []
    for sample in samples:
        times_s = rng.uniform(0, len(sample.poses) / FPS, len(sample.kinematic_beats_s))
        changed.append(replace(sample, kinematic_beats_s=np.sort(times_s)))
    return changed


@dataclass(frozen=True)
class ReferenceSet:
    """The real training dances, with which other dances are compared."""

    samples: list[Sample]
    scale: dict[str, tuple[np.ndarray, np.ndarray]]  # by space: mean and standard deviation (C,) of its features
    features: dict[tuple[str, str], list[np.ndarray]]  # by space and style: standardised, (K, C) for each dance
    of_style: dict[tuple[str, str], distances.Reference]  # by space and style: the same, prepared for distances
    memory: Memory  # of all movements
    freeze_speed: float  # m/s; 1 % of the frames are slower

    @classmethod
    def of(cls, samples: list[Sample]) -> "ReferenceSet":
        """The reference set of real training dances. Raises `D2MError` if a style has fewer than two windows."""
        scale, features, of_style = {}, {}, {}
        for space in samples[0].features:
            vectors = np.concatenate([sample.features[space] for sample in samples])
            scale[space] = vectors.mean(axis=0), np.maximum(vectors.std(axis=0), SMALLEST_DEVIATION)
            for style in sorted({sample.style for sample in samples}):
                members = [sample for sample in samples if sample.style == style]
                if sum(len(sample.features[space]) for sample in members) < 2:
                    raise D2MError(
                        f"the reference has one window of {style}, of the dance to {members[0].song}",
                        "at least 2 of every style", "give longer or more dances",
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
    """Feature vectors (K, C) of a dance, standardised by `scale` of the reference."""
    mean, deviation = scale[space]
    return (sample.features[space] - mean) / deviation
