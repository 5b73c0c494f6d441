"""Every score of a set of dances in a feature space: distances from real ones, diversity, multimodality.

A distance is taken style by style; its headline is the mean over the styles that are danced, since a set of all styles
together is near to real ones for its mix alone. It is taken of one dance a song, and of several the mean: a set of more
dances would be nearer for its size alone. Features are standardised by those of the real training dances.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from d2m import distances
from d2m.dance_scores import LIKE_REAL, LOWER
from d2m.estimates import DRAWS, Estimate, about, draws_of_songs, mean_estimate, mean_over_songs
from d2m.samples import Sample
from d2m.yardstick import Yardstick, standardised


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
