"""Estimates: a score of a set of dances with bootstrap draws of it, songs drawn anew. Intervals are 95 %."""

from dataclasses import dataclass, field

import numpy as np

DRAWS = 100  # bootstrap draws


@dataclass(frozen=True)
class Estimate:
    """A score of a set: its value, bootstrap draws of it, and how many dances it was taken of; or a reason for none."""

    value: float | None
    draws: np.ndarray = field(default_factory=lambda: np.empty(0))
    n: int = 0
    reason: str = ""

    def cell(self) -> dict:
        """{"value", "low", "high", "n"} and, without a value, {"reason"}."""
        if self.value is None:
            return {"value": None, "low": None, "high": None, "n": 0, "reason": self.reason}
        low, high = np.percentile(self.draws, (2.5, 97.5))
        return {"value": float(self.value), "low": float(low), "high": float(high), "n": self.n}


def mean_estimate(estimates: list[Estimate]) -> Estimate:
    """The mean of independent estimates, one at least, draw by draw."""
    value = float(np.mean([estimate.value for estimate in estimates]))
    # One seed drew them all, by the number of a song: in an order of their own they are independent.
    draws = [np.random.default_rng(number).permutation(e.draws) for number, e in enumerate(estimates)]
    return Estimate(value, np.mean(draws, axis=0), sum(estimate.n for estimate in estimates))


def mean_over_songs(values: list[tuple[str, float]], lacking: str, seed: int) -> Estimate:
    """Mean over songs of the means of each song's (song, value), songs drawn anew."""
    by_song: dict[str, list[float]] = {}
    for song, value in values:
        by_song.setdefault(song, []).append(value)
    if not by_song:
        return Estimate(None, reason=lacking)
    means = np.array([np.mean(numbers) for numbers in by_song.values()])
    drawn = np.random.default_rng(seed).integers(len(means), size=(DRAWS, len(means)))
    return Estimate(float(means.mean()), means[drawn].mean(axis=1), len(values))


def draws_of_songs(songs: list[str], seed: int) -> np.ndarray:
    """How often each of the S different `songs`, in the order of their first dance, is in each draw: (DRAWS, S)."""
    count = len(set(songs))
    return np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), size=DRAWS).astype(float)
