"""Every score of a set of dances in a feature space: distances from real ones, diversity, multimodality.

A distance is taken style by style; its headline is the mean over the styles that are danced, since a set of all styles
together is near to real ones for its mix alone. Features are standardised by those of the real training dances.
"""

from dataclasses import replace

import numpy as np

from d2m import distances
from d2m.estimates import DRAWS, Estimate, draws_of_songs, mean_estimate, mean_over_songs
from d2m.samples import Sample
from d2m.yardstick import Yardstick, standardised

DISTANCES = {
    "Frechet distance": distances.Reference.frechet_distance,
    "kernel distance": distances.Reference.kernel_distance,
}
SET_DEFINITIONS = {
    "Frechet distance": "of Gaussians fitted to windows of dances of a style and of the reference's; mean of styles",
    "kernel distance": "unbiased squared MMD of the same windows, kernel (x.y / C + 1)^3; mean of styles",
    "diversity": "mean distance between the mean features of dances to different songs",
    "multimodality": "mean distance between the mean features of dances to one song",
}


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
    if sum(len(sample.features[space]) for sample in of_style) < 2:
        return dict.fromkeys(DISTANCES, Estimate(None, reason=f"too few dances of {style}"))
    songs = distances.Songs.of(_by_song(of_style, space, yardstick), yardstick.features[space, style])
    weights = draws_of_songs([sample.song for sample in of_style], seed)
    weights = weights[(weights > 0) @ songs.counts > 1]  # a draw of one vector alone has no spread
    reference, found = yardstick.references[space, style], {}
    for name, measure in DISTANCES.items():
        draws = np.array([measure(reference, songs, drawn) for drawn in weights])
        value = measure(reference, songs, np.ones(len(songs.counts)))
        found[name] = Estimate(value, np.resize(draws, DRAWS), len(of_style))
    return found


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
    pairs = [
        (song, apart[first, second])
        for first, song in enumerate(songs)
        for second in range(first + 1, len(songs))
        if songs[second] == song
    ]
    return replace(mean_over_songs(pairs, "one dance a song", seed), n=len(samples) if pairs else 0)


def _between(samples: list[Sample], yardstick: Yardstick, space: str) -> tuple[np.ndarray, list[str]]:
    means = np.stack([standardised(sample, space, yardstick.scale).mean(axis=0) for sample in samples])
    return distances.pairwise(means), [sample.song for sample in samples]


def _by_song(samples: list[Sample], space: str, yardstick: Yardstick) -> list[np.ndarray]:
    """Standardised feature vectors of each song's dances, in the order of the first of them."""
    songs: dict[str, list[np.ndarray]] = {}
    for sample in samples:
        songs.setdefault(sample.song, []).append(standardised(sample, space, yardstick.scale))
    return [np.concatenate(group) for group in songs.values()]
