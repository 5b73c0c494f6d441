"""What dances are measured by: the real training dances' features, movements and speeds, made once."""

from dataclasses import dataclass

import numpy as np

from d2m import distances, physics
from d2m.errors import D2MError
from d2m.memory import Memory
from d2m.samples import Sample

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
