"""Every score of one dance: what it is, how it is taken, which way it is better.

The measures themselves stand in `alignment` (beats) and `physics` (bodies).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from d2m import alignment, physics
from d2m.errors import D2MError
from d2m.samples import Sample
from d2m.yardstick import Yardstick

HIGHER, LOWER, LIKE_REAL = "higher", "lower", "like real"  # which way a score is better
SHARE, RATIO = "share", "ratio"  # units of scores that have no physical one


@dataclass(frozen=True)
class Score:
    """A score of one dance: what it is, how it is taken, which way it is better, its unit, why it may be lacking."""

    definition: str
    measure: Callable[[Sample, Yardstick], float | None]
    better: str
    unit: str
    lacking: str = ""


def _rate(sample: Sample, where: str | None = None) -> float | None:
    beats = sample.kinematic_beats_s
    if where is not None:
        if len(sample.units_s) == 0:
            return None
        seam = alignment.at_seams(sample.units_s, beats, sample.music_beats_s)
        beats = beats[seam if where == "seam" else ~seam]
    return float(alignment.hits(sample.music_beats_s, beats).mean()) if len(beats) else None


def _jump(sample: Sample, order: int) -> float | None:
    try:
        return physics.boundary_jump(sample.poses, sample.units_s, order=order)
    except D2MError:  # no seam inside it, or it stands for most of the time
        return None


def _three(measure: Callable[[np.ndarray], float]) -> Callable[[Sample, Yardstick], float | None]:
    return lambda s, _: measure(s.poses) if s.poses.shape[2] == 3 else None


def _nearest_movement(sample: Sample, yardstick: Yardstick) -> float | None:
    found = yardstick.memory.distances(sample.poses)
    return 100 * float(np.median(found)) if len(found) else None


# In `tests/PROTOCOL.md` with units and sources. Names that begin with "beat" are of beats (see `metrics`).
DANCE_SCORES = {
    "beat coverage": Score(
        "kinematic beats / music beats",
        lambda s, _: alignment.beat_coverage(s.music_beats_s, s.kinematic_beats_s), LIKE_REAL, RATIO,
    ),
    "beat hit rate": Score(
        "share of kinematic beats within the tolerance of a music beat",
        lambda s, _: _rate(s), HIGHER, SHARE, "no kinematic beats",
    ),
    "beat hit rate at seams": Score(
        "the same of those whose nearest music beat is the first of a movement",
        lambda s, _: _rate(s, "seam"), HIGHER, SHARE, "no seams, or no kinematic beats there",
    ),
    "beat hit rate away from seams": Score(
        "the same of the others",
        lambda s, _: _rate(s, "away"), HIGHER, SHARE, "no seams, or no kinematic beats there",
    ),
    "beat precision": Score(
        "pairs of one kinematic and one music beat within the tolerance / kinematic beats",
        lambda s, _: s.paired[0], HIGHER, SHARE,
    ),
    "beat recall": Score(
        "the same pairs / music beats",
        lambda s, _: s.paired[1], HIGHER, SHARE,
    ),
    "beat F1": Score(
        "harmonic mean of precision and recall",
        lambda s, _: alignment.harmonic_mean(*s.paired), HIGHER, SHARE,
    ),
    "beat alignment (motion beats)": Score(
        "mean over kinematic beats of exp(-d^2 / 2 sigma^2), d to the nearest music beat",
        lambda s, _: alignment.beat_alignment(s.kinematic_beats_s, s.music_beats_s), HIGHER, SHARE,
    ),
    "beat alignment (music beats)": Score(
        "mean over music beats of exp(-d^2 / 2 sigma^2), d to the nearest kinematic beat",
        lambda s, _: alignment.beat_alignment(s.music_beats_s, s.kinematic_beats_s), HIGHER, SHARE,
    ),
    "style consistency": Score(
        "share of dances in which the judge sees the song's style",
        lambda s, _: float(s.judged == s.style) if s.judged else None, HIGHER, SHARE, "not judged",
    ),
    "boundary jump": Score(
        "mean joint step across the beginnings of movements / median step elsewhere",
        lambda s, _: _jump(s, 1), LIKE_REAL, RATIO, "no seams, or no motion",
    ),
    "boundary velocity jump": Score(
        "the same of the change of steps",
        lambda s, _: _jump(s, 2), LIKE_REAL, RATIO, "no seams, or no motion",
    ),
    "bone variation": Score(
        "standard deviation / mean of each bone's length, mean of the bones",
        _three(physics.bone_variation), LOWER, RATIO, "2D",
    ),
    "foot sliding, m/s": Score(
        "mean speed along the floor of ankles that stand",
        _three(physics.foot_sliding), LOWER, "m/s", "2D",
    ),
    "foot contact, m²/s²": Score(
        "mean of hip acceleration times both ankles' speeds / largest acceleration",
        _three(physics.foot_contact), LOWER, "m²/s²", "2D",
    ),
    "freeze share": Score(
        "share of frames no faster than the slowest 1 % of training frames",
        lambda s, yardstick: physics.freeze_share(s.poses, yardstick.slow), LOWER, SHARE,
    ),
    "speed, m/s": Score("mean joint speed", lambda s, _: float(physics.joint_speed(s.poses).mean()), LIKE_REAL, "m/s"),
    "nearest training movement, cm": Score(
        "median distance of movements to the nearest one of training, its mirror image, or either faster or slower",
        _nearest_movement, LIKE_REAL, "cm", "shorter than a movement",
    ),
}  # fmt: skip
