"""What dances are measured by: the real training dances' features, units and speeds, made once."""

import math
from dataclasses import dataclass

import numpy as np

from d2m import distances, physics, pose
from d2m.samples import Sample

SMALLEST_DEVIATION = 0.05  # of a feature, in its unit: what never happens in the reference must not weigh without end


@dataclass(frozen=True)
class Yardstick:
    """What dances are measured by, made once of the real training dances."""

    samples: list[Sample]
    scale: dict[str, tuple[np.ndarray, np.ndarray]]  # by space: mean and deviation (C,) that features are told in
    features: dict[tuple[str, str], list[np.ndarray]]  # by space and style: standardised, song by song
    references: dict[tuple[str, str], distances.Reference]
    movements: np.ndarray  # (N, 32 * 14 * D) of all units and their mirror images
    slow: float  # m/s: the slowest 1 % of frames

    @classmethod
    def of(cls, samples: list[Sample]) -> "Yardstick":
        """The yardstick of real training dances, two feature vectors of each style at least. Raises `D2MError`."""
        scale, features, references = {}, {}, {}
        for space in samples[0].features:
            stacked = distances.finite(np.concatenate([sample.features[space] for sample in samples]), 2)
            scale[space] = stacked.mean(axis=0), np.maximum(stacked.std(axis=0), SMALLEST_DEVIATION)
            for style in sorted({sample.style for sample in samples}):
                of_style = [sample for sample in samples if sample.style == style]
                features[space, style] = [standardised(sample, space, scale) for sample in of_style]
                references[space, style] = distances.Reference.of(features[space, style])
        movements = np.concatenate([sample.movements for sample in samples])
        mirrored = np.concatenate([movements, pose.mirror(movements)])
        speeds = np.concatenate([physics.joint_speed(sample.poses) for sample in samples])
        return cls(
            samples, scale, features, references, mirrored.reshape(len(mirrored), math.prod(mirrored.shape[1:])),
            float(np.percentile(speeds, 1)),
        )  # fmt: skip


def standardised(sample: Sample, space: str, scale: dict) -> np.ndarray:
    mean, deviation = scale[space]
    return (distances.finite(sample.features[space], 1) - mean) / deviation
