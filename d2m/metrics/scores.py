"""Every score of one dance: what it is, how it is taken, which way it is better.

The measures themselves stand in `alignment` (beats) and `physics` (bodies).

Every score of a set of dances in a feature space: distances from real ones, diversity, multimodality.

A distance is taken style by style; its headline is the mean over the styles that are danced, since a set of all styles
together is near to real ones for its mix alone. It is taken of one dance a song, and of several the mean: a set of more
dances would be nearer for its size alone. Features are standardised by those of the real training dances.

Every score of a set of dances, those of single dances and those of the set, with bootstrap draws of each.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from d2m.errors import D2MError
from d2m.metrics import beats as beat_scores
from d2m.metrics import distances, physics
from d2m.metrics.bootstrap import DRAWS, Estimate, about, draws_of_songs, mean_estimate, mean_over_songs
from d2m.metrics.samples import Sample, Yardstick, standardised

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
        seam = beat_scores.at_seams(sample.units_s, beats, sample.music_beats_s)
        beats = beats[seam if where == "seam" else ~seam]
    return float(beat_scores.hits(sample.music_beats_s, beats).mean()) if len(beats) else None


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
        lambda s, _: beat_scores.beat_coverage(s.music_beats_s, s.kinematic_beats_s), LIKE_REAL, RATIO,
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
        lambda s, _: beat_scores.harmonic_mean(*s.paired), HIGHER, SHARE,
    ),
    "beat alignment (motion beats)": Score(
        "mean over kinematic beats of exp(-d^2 / 2 sigma^2), d to the nearest music beat",
        lambda s, _: beat_scores.beat_alignment(s.kinematic_beats_s, s.music_beats_s), HIGHER, SHARE,
    ),
    "beat alignment (music beats)": Score(
        "mean over music beats of exp(-d^2 / 2 sigma^2), d to the nearest kinematic beat",
        lambda s, _: beat_scores.beat_alignment(s.music_beats_s, s.kinematic_beats_s), HIGHER, SHARE,
    ),
    "style consistency": Score(
        "share of dances in which the independent classifier predicts the song's style",
        lambda s, _: float(s.predicted_style == s.style) if s.predicted_style else None, HIGHER, SHARE, "no style classifier",
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


@dataclass(frozen=True)
class Distance:
    """A distance of songs, drawn as often as weights say, from a reference; and the least that it can be."""

    measure: Callable[[distances.Reference, distances.Songs, np.ndarray], float]
    least: float


@dataclass(frozen=True)
class SetScore:
    """A score of a set of dances in a feature space: what it is, which way it is better, its unit."""

    definition: str
    better: str
    unit: str


DISTANCES = {
    "Frechet distance": Distance(distances.Reference.frechet_distance, 0.0),
    "kernel distance": Distance(distances.Reference.kernel_distance, -np.inf),
}
SET_SCORES = {
    "Frechet distance": SetScore(
        "of Gaussians fitted to windows of dances of a style and of the reference's; mean of styles",
        LOWER, "squared feature units",
    ),
    "kernel distance": SetScore(
        "squared MMD of these windows, unbiased by their number, kernel (x.y / C + 1)^3; mean of styles",
        LOWER, "squared MMD",
    ),
    "diversity": SetScore(
        "mean distance between the mean features of dances to different songs", LIKE_REAL, "feature units"
    ),
    "multimodality": SetScore(
        "mean distance between the mean features of dances to one song", LIKE_REAL, "feature units"
    ),
}  # fmt: skip


def of_space(samples: list[Sample], yardstick: Yardstick, space: str, seed: int) -> dict[str, Estimate]:
    """Scores of a whole set in one feature space."""
    found = {}
    styles = [style for where, style in yardstick.references if where == space]
    of_styles = {style: _distances(samples, yardstick, space, style, seed) for style in styles}
    for name in DISTANCES:
        danced = [of_style[name] for of_style in of_styles.values() if of_style[name].value is not None]
        found[f"{name} ({space})"] = mean_estimate(danced) if danced else Estimate(None, reason="too few dances")
        found |= {f"{name} ({space}), {style}": of_style[name] for style, of_style in of_styles.items()}
    found[f"diversity ({space})"] = _diversity(samples, yardstick, space, seed)
    found[f"multimodality ({space})"] = _multimodality(samples, yardstick, space, seed)
    return found


def _distances(
    samples: list[Sample], yardstick: Yardstick, space: str, style: str, seed: int
) -> dict[str, Estimate]:  # fmt: skip
    """Each of `DISTANCES` between the dances of a style and the real ones of that style."""
    of_style = [sample for sample in samples if sample.style == style]
    takes = [take for take in _takes(of_style) if sum(len(sample.features[space]) for sample in take) > 1]
    if not takes:
        return dict.fromkeys(DISTANCES, Estimate(None, reason=f"too few dances of {style}"))
    of_takes = [_of_take(take, yardstick, space, style, seed) for take in takes]
    found = {}
    for name in DISTANCES:
        values, draws = zip(*(of_take[name] for of_take in of_takes), strict=True)
        found[name] = about(float(np.mean(values)), np.mean(draws, axis=0), len(of_style), DISTANCES[name].least)
    return found


def _of_take(
    samples: list[Sample], yardstick: Yardstick, space: str, style: str, seed: int
) -> dict[str, tuple[float, np.ndarray]]:  # fmt: skip
    """Value and draws (DRAWS,) of each of `DISTANCES` for one dance a song, two windows at least."""
    vectors = [standardised(sample, space, yardstick.scale) for sample in samples]
    songs = distances.Songs.of(vectors, yardstick.features[space, style])
    weights = draws_of_songs([sample.song for sample in samples], seed)
    weights = weights[(weights > 0) @ songs.counts > 1]  # a draw of one window alone has no spread
    reference, found = yardstick.references[space, style], {}
    for name, kind in DISTANCES.items():
        draws = np.array([kind.measure(reference, songs, drawn) for drawn in weights])
        found[name] = kind.measure(reference, songs, np.ones(len(vectors))), np.resize(draws, DRAWS)
    return found


def _takes(samples: list[Sample]) -> list[list[Sample]]:
    """The first dance to every song, the second to every song that has two, and so on."""
    takes: list[list[Sample]] = []
    danced: dict[str, int] = {}
    for sample in samples:
        number = danced.get(sample.song, 0)
        danced[sample.song] = number + 1
        if number == len(takes):
            takes.append([])
        takes[number].append(sample)
    return takes


def _diversity(samples: list[Sample], yardstick: Yardstick, space: str, seed: int) -> Estimate:
    """Mean distance between the mean feature vectors of dances to different songs."""
    apart, songs = _between(samples, yardstick, space)
    names = list(dict.fromkeys(songs))
    if len(names) < 2:
        return Estimate(None, reason="one song")
    belongs = np.array([[song == name for song in songs] for name in names], dtype=float)  # (S, n)
    sums, counts = belongs @ apart @ belongs.T, np.outer(belongs.sum(axis=1), belongs.sum(axis=1))
    different = 1 - np.eye(len(names))

    def value(weights: np.ndarray) -> float:
        pairs = np.outer(weights, weights) * different
        return float((pairs * sums).sum() / (pairs * counts).sum())

    drawn = draws_of_songs(songs, seed)
    drawn = drawn[(drawn > 0).sum(axis=1) > 1]  # a draw of one song alone has no two to compare
    draws = np.array([value(weights) for weights in drawn])
    return Estimate(value(np.ones(len(names))), np.resize(draws, DRAWS), len(samples))


def _multimodality(samples: list[Sample], yardstick: Yardstick, space: str, seed: int) -> Estimate:
    """Mean distance between the mean feature vectors of dances to one song."""
    apart, songs = _between(samples, yardstick, space)
    belongs: dict[str, list[int]] = {}
    for number, song in enumerate(songs):
        belongs.setdefault(song, []).append(number)
    pairs = [(song, apart[pair]) for song, numbers in belongs.items() for pair in itertools.combinations(numbers, 2)]
    return replace(mean_over_songs(pairs, "one dance a song", seed), n=len(samples) if pairs else 0)


def _between(samples: list[Sample], yardstick: Yardstick, space: str) -> tuple[np.ndarray, list[str]]:
    means = np.stack([standardised(sample, space, yardstick.scale).mean(axis=0) for sample in samples])
    return distances.pairwise(means), [sample.song for sample in samples]


def score(
    samples: list[Sample], yardstick: Yardstick, seed: int = 0, known: dict[str, Estimate] | None = None
) -> dict[str, Estimate]:
    """Every score of one set of dances, by name. A score that the set has no meaning for has no value but a reason.

    Scores in `known` are not taken again.
    """
    found = {}
    for name, kind in DANCE_SCORES.items():
        if known and name in known:
            found[name] = known[name]
            continue
        values = [(sample.song, kind.measure(sample, yardstick)) for sample in samples]
        found[name] = mean_over_songs([pair for pair in values if pair[1] is not None], kind.lacking, seed)
    for space in yardstick.scale:
        of = {name: estimate for name, estimate in (known or {}).items() if f"({space})" in name}
        found |= of or of_space(samples, yardstick, space, seed)
    return found


def kind(name: str) -> Score | SetScore:
    """What the score `name` is, which way it is better, and its unit."""
    return DANCE_SCORES.get(name) or SET_SCORES[name.split(" (")[0]]


def definitions() -> dict[str, str]:
    """What each score is, in a sentence."""
    return {name: score.definition for name, score in (DANCE_SCORES | SET_SCORES).items()}
