"""Every score: its definition, group and unit, and its estimate for a set of dances.

`DANCE_SCORES` are scores of single dances, averaged over songs; they are computed in `beats`, `physics` and `memory`.
`SET_SCORES` are scores of a whole set (distances from the reference, diversity, multimodality) in each feature space.

A distance is computed for each style and averaged over the styles of the dances, since any mixed set is near to real
dances that are mixed likewise. It is computed with one dance a song and, if songs have several dances, averaged over
them, since a larger set is nearer to the reference. Features are standardised by the reference.
"""

import itertools
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from d2m.errors import D2MError
from d2m.metrics import beats as beat_scores
from d2m.metrics import distances, physics
from d2m.metrics.bootstrap import DRAWS, Estimate, draws_of_songs, mean_estimate, mean_over_songs, recentred
from d2m.metrics.samples import ReferenceSet, Sample, standardised

HIGHER, LOWER, LIKE_REAL = "higher", "lower", "like real"  # which way a score is better
SHARE, RATIO = "share", "ratio"  # units of scores without a physical unit
# Groups of scores. Only the group BEATS depends on music beats and kinematic beats.
BEATS, BODY, STYLE, MEMORY = "beats", "body", "style", "memory"
DISTANCES, DISTANCES_BY_STYLE, VARIETY = "distances", "distances by style", "variety"


@dataclass(frozen=True)
class Score:
    """The definition of a score: group, unit, which way it is better, and how it is measured."""

    name: str  # ends with the physical unit, if there is one
    group: str
    unit: str
    better: str  # HIGHER, LOWER or LIKE_REAL
    measure: Callable[[Sample, ReferenceSet], float | None] | None  # of one dance; None for scores of a set
    definition: str
    missing_reason: str = ""  # why a dance may have no value
    space: str = ""  # the feature space of a score of a set
    style: str = ""  # the style of a distance; "" for the mean over styles


# Measures of one dance, in the order of `DANCE_SCORES`, where they are defined.
def _beat_coverage(sample: Sample, _) -> float:
    return beat_scores.beat_coverage(sample.music_beats_s, sample.kinematic_beats_s)


def _beat_hit_rate(sample: Sample, _, at_seams: bool | None = None) -> float | None:
    """The share of hits among all kinematic beats (None), those at seams (True) or the others (False)."""
    kinematic_beats_s = sample.kinematic_beats_s
    if at_seams is not None:
        if len(sample.units_s) == 0:
            return None
        is_at_seam = beat_scores.at_seams(sample.units_s, kinematic_beats_s, sample.music_beats_s)
        kinematic_beats_s = kinematic_beats_s[is_at_seam == at_seams]
    hits = beat_scores.hits(sample.music_beats_s, kinematic_beats_s)
    return float(hits.mean()) if len(hits) else None


def _beat_precision(sample: Sample, _) -> float:
    return sample.precision_recall[0]


def _beat_recall(sample: Sample, _) -> float:
    return sample.precision_recall[1]


def _beat_f1(sample: Sample, _) -> float:
    return beat_scores.harmonic_mean(*sample.precision_recall)


def _beat_alignment_of_motion(sample: Sample, _) -> float:
    return beat_scores.beat_alignment(sample.kinematic_beats_s, sample.music_beats_s)


def _beat_alignment_of_music(sample: Sample, _) -> float:
    return beat_scores.beat_alignment(sample.music_beats_s, sample.kinematic_beats_s)


def _style_consistency(sample: Sample, _) -> float | None:
    return float(sample.predicted_style == sample.style) if sample.predicted_style else None


def _boundary_jump(sample: Sample, _, order: int = 1) -> float | None:
    try:
        return physics.boundary_jump(sample.poses, sample.units_s, order=order)
    except D2MError:  # no seam, or a median step of 0
        return None


def _of_3d_body(measure: Callable[[np.ndarray], float], sample: Sample, _) -> float | None:
    return measure(sample.poses) if sample.is_3d else None


def _freeze_share(sample: Sample, reference: ReferenceSet) -> float:
    return physics.freeze_share(sample.poses, reference.freeze_speed)


def _speed(sample: Sample, _) -> float:
    return float(physics.joint_speed(sample.poses).mean())


def _nearest_training_movement(sample: Sample, reference: ReferenceSet) -> float | None:
    distances_m = reference.memory.distances(sample.poses)
    return 100 * float(np.median(distances_m)) if len(distances_m) else None


def _by_name(*scores: Score) -> dict[str, Score]:
    return {score.name: score for score in scores}


# `d2m/metrics/PROTOCOL.md` lists all scores with their ranges and sources.
DANCE_SCORES = _by_name(
    Score("beat coverage", BEATS, RATIO, LIKE_REAL, _beat_coverage, "kinematic beats / music beats"),
    Score("beat hit rate", BEATS, SHARE, HIGHER, _beat_hit_rate,
          "share of kinematic beats within the tolerance of a music beat", "no kinematic beats"),
    Score("beat hit rate at seams", BEATS, SHARE, HIGHER, partial(_beat_hit_rate, at_seams=True),
          "the same of those whose nearest music beat is the first of a movement",
          "no seams, or no kinematic beats there"),
    Score("beat hit rate away from seams", BEATS, SHARE, HIGHER, partial(_beat_hit_rate, at_seams=False),
          "the same of the others", "no seams, or no kinematic beats there"),
    Score("beat precision", BEATS, SHARE, HIGHER, _beat_precision,
          "pairs of one kinematic and one music beat within the tolerance / kinematic beats"),
    Score("beat recall", BEATS, SHARE, HIGHER, _beat_recall, "the same pairs / music beats"),
    Score("beat F1", BEATS, SHARE, HIGHER, _beat_f1, "harmonic mean of precision and recall"),
    Score("beat alignment (motion beats)", BEATS, SHARE, HIGHER, _beat_alignment_of_motion,
          "mean over kinematic beats of exp(-d^2 / 2 sigma^2), d to the nearest music beat"),
    Score("beat alignment (music beats)", BEATS, SHARE, HIGHER, _beat_alignment_of_music,
          "mean over music beats of exp(-d^2 / 2 sigma^2), d to the nearest kinematic beat"),
    Score("style consistency", STYLE, SHARE, HIGHER, _style_consistency,
          "share of dances in which the independent classifier predicts the song's style", "no style classifier"),
    Score("boundary jump", BODY, RATIO, LIKE_REAL, _boundary_jump,
          "mean joint step across the beginnings of movements / median step elsewhere", "no seams, or no motion"),
    Score("boundary velocity jump", BODY, RATIO, LIKE_REAL, partial(_boundary_jump, order=2),
          "the same of the change of steps", "no seams, or no motion"),
    Score("bone variation", BODY, RATIO, LOWER, partial(_of_3d_body, physics.bone_variation),
          "standard deviation / mean of each bone's length, mean of the bones", "2D"),
    Score("foot sliding, m/s", BODY, "m/s", LOWER, partial(_of_3d_body, physics.foot_sliding),
          "mean speed along the floor of ankles that stand", "2D"),
    Score("foot contact, m²/s²", BODY, "m²/s²", LOWER, partial(_of_3d_body, physics.foot_contact),
          "mean of hip acceleration times both ankles' speeds / largest acceleration", "2D"),
    Score("freeze share", BODY, SHARE, LOWER, _freeze_share,
          "share of frames no faster than the slowest 1 % of training frames"),
    Score("speed, m/s", BODY, "m/s", LIKE_REAL, _speed, "mean joint speed"),
    Score("nearest training movement, cm", MEMORY, "cm", LIKE_REAL, _nearest_training_movement,
          "median distance of movements to the nearest one of training, its mirror image, or either faster or slower",
          "shorter than a movement"),
)  # fmt: skip
SET_SCORES = _by_name(
    Score("Frechet distance", DISTANCES, "squared feature units", LOWER, None,
          "of Gaussians fitted to windows of dances of a style and of the reference's; mean of styles"),
    Score("kernel distance", DISTANCES, "squared MMD", LOWER, None,
          "squared MMD of these windows, unbiased by their number, kernel (x.y / C + 1)^3; mean of styles"),
    Score("diversity", VARIETY, "feature units", LIKE_REAL, None,
          "mean distance between the mean features of dances to different songs"),
    Score("multimodality", VARIETY, "feature units", LIKE_REAL, None,
          "mean distance between the mean features of dances to one song"),
)  # fmt: skip
FRECHET, KERNEL, DIVERSITY, MULTIMODALITY = SET_SCORES.values()
LOWER_BOUNDS = {FRECHET.name: 0.0, KERNEL.name: -np.inf}  # of draws of each distance


def definitions() -> dict[str, str]:
    """The definition of each score; scores of sets are named without space and style."""
    return {name: score.definition for name, score in (DANCE_SCORES | SET_SCORES).items()}


def all_scores(spaces: Iterable[str], styles: Iterable[str]) -> dict[str, Score]:
    """Every score by its name, for these feature spaces and the styles of the reference."""
    of_sets = []
    for space, score in itertools.product(spaces, SET_SCORES.values()):
        parts = ["", *styles] if score.group == DISTANCES else [""]
        of_sets += [in_space(score, space, style) for style in parts]
    return DANCE_SCORES | _by_name(*of_sets)


def in_space(score: Score, space: str, style: str = "") -> Score:
    """A score of `SET_SCORES` in a feature space; with a `style`, the distance for that style alone."""
    if not style:
        return replace(score, name=f"{score.name} ({space})", space=space)
    return replace(score, name=f"{score.name} ({space}), {style}", group=DISTANCES_BY_STYLE, space=space, style=style)


def score_samples(samples: list[Sample], reference: ReferenceSet, seed: int = 0) -> dict[str, Estimate]:
    """Every score of a set of dances, by name; a score that is not defined for the set has a reason and no value."""
    estimates = score_dances(samples, reference, seed)
    for space in reference.spaces:
        estimates |= score_set(samples, reference, space, seed)
    return estimates


def score_dances(samples: list[Sample], reference: ReferenceSet, seed: int, group: str = "") -> dict[str, Estimate]:
    """The scores of single dances, averaged over songs; with a `group`, only those of that group."""
    estimates = {}
    for score in DANCE_SCORES.values():
        if group in ("", score.group):
            values = [(sample.song, score.measure(sample, reference)) for sample in samples]
            values = [(song, value) for song, value in values if value is not None]
            estimates[score.name] = mean_over_songs(values, score.missing_reason, seed)
    return estimates


def score_set(samples: list[Sample], reference: ReferenceSet, space: str, seed: int) -> dict[str, Estimate]:
    """The scores of a whole set in one feature space."""
    estimates = {}
    by_style = {style: _distances(samples, reference, space, style, seed) for style in reference.styles}
    for score in (FRECHET, KERNEL):
        scored = [of_style[score.name] for of_style in by_style.values() if of_style[score.name].value is not None]
        mean = mean_estimate(scored) if scored else Estimate(None, reason="too few dances")
        estimates[in_space(score, space).name] = mean
        for style, of_style in by_style.items():
            estimates[in_space(score, space, style).name] = of_style[score.name]
    estimates[in_space(DIVERSITY, space).name] = _diversity(samples, reference, space, seed)
    estimates[in_space(MULTIMODALITY, space).name] = _multimodality(samples, reference, space, seed)
    return estimates


def _distances(
    samples: list[Sample], reference: ReferenceSet, space: str, style: str, seed: int
) -> dict[str, Estimate]:  # fmt: skip
    """Each distance between the dances of a style and the dances of that style in the reference."""
    of_style = [sample for sample in samples if sample.style == style]
    takes = [take for take in _takes(of_style) if sum(len(sample.features[space]) for sample in take) > 1]
    if not takes:
        return dict.fromkeys(LOWER_BOUNDS, Estimate(None, reason=f"too few dances of {style}"))
    of_takes = [_distances_of_take(take, reference, space, style, seed) for take in takes]
    estimates = {}
    for name, lower_bound in LOWER_BOUNDS.items():
        values, draws = zip(*(of_take[name] for of_take in of_takes), strict=True)
        estimates[name] = recentred(float(np.mean(values)), np.mean(draws, axis=0), len(of_style), lower_bound)
    return estimates


def _takes(samples: list[Sample]) -> list[list[Sample]]:
    """The first dance to every song, the second dance to every song with two or more, and so on."""
    counts, takes = Counter(), defaultdict(list)
    for sample in samples:
        takes[counts[sample.song]].append(sample)
        counts[sample.song] += 1
    return list(takes.values())


def _distances_of_take(
    samples: list[Sample], reference: ReferenceSet, space: str, style: str, seed: int
) -> dict[str, tuple[float, np.ndarray]]:  # fmt: skip
    """Value and draws (DRAWS,) of each distance; the samples are one dance a song and have at least two windows."""
    vectors = [standardised(sample, space, reference.scale) for sample in samples]
    songs = distances.Songs.of(vectors, reference.features[space, style])
    weights = draws_of_songs([sample.song for sample in samples], seed)
    weights = weights[(weights > 0) @ songs.counts > 1]  # a draw with one window only has no covariance
    real = reference.of_style[space, style]
    measures = {FRECHET.name: real.frechet_distance, KERNEL.name: real.kernel_distance}
    results = {}
    for name, distance in measures.items():
        draws = np.resize([distance(songs, drawn) for drawn in weights], DRAWS)
        results[name] = distance(songs, np.ones(len(vectors))), draws
    return results


def _diversity(samples: list[Sample], reference: ReferenceSet, space: str, seed: int) -> Estimate:
    """Mean distance between the mean feature vectors of dances to different songs."""
    apart, songs = _pairwise_distances(samples, reference, space)
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
    drawn = drawn[(drawn > 0).sum(axis=1) > 1]  # a draw with one song only has no pair of songs
    draws = np.resize([value(weights) for weights in drawn], DRAWS)
    return Estimate(value(np.ones(len(names))), draws, len(samples))


def _multimodality(samples: list[Sample], reference: ReferenceSet, space: str, seed: int) -> Estimate:
    """Mean distance between the mean feature vectors of dances to one song."""
    apart, songs = _pairwise_distances(samples, reference, space)
    pairs = itertools.combinations(range(len(songs)), 2)
    pairs = [(songs[one], apart[one, other]) for one, other in pairs if songs[one] == songs[other]]
    return replace(mean_over_songs(pairs, "one dance a song", seed), n=len(samples) if pairs else 0)


def _pairwise_distances(samples: list[Sample], reference: ReferenceSet, space: str) -> tuple[np.ndarray, list[str]]:
    """Distances (n, n) between the mean feature vectors of the dances, and the song of each dance."""
    means = np.stack([standardised(sample, space, reference.scale).mean(axis=0) for sample in samples])
    return distances.pairwise(means), [sample.song for sample in samples]
