"""Distances between sets of feature vectors, computed from sums over each song, so that resampling songs is cheap.

    Frechet distance    squared 2-Wasserstein distance of Gaussians fitted to both sets (Heusel et al. 2017)
    kernel distance     unbiased squared maximum mean discrepancy, kernel (x.y / C + 1)^3 (Binkowski et al. 2018)

With few vectors the Frechet distance is too large; the kernel distance is unbiased and may be negative. `weights` (S,)
say how often each of S songs is in the set: all 1 for the set itself, counts for a bootstrap draw.
"""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import sqrtm
from scipy.spatial.distance import cdist

from d2m.errors import D2MError

ROWS = 4096  # rows of the kernel matrix that are computed at a time, to bound memory


def finite(vectors) -> np.ndarray:
    """`vectors` (n, C) as float64. Raises `D2MError` if n is 0 or a number is not finite."""
    vectors = np.asarray(vectors, dtype=np.float64)
    if len(vectors) == 0:
        raise D2MError("there are 0 feature vectors", "at least 1")
    if not np.isfinite(vectors).all():
        raise D2MError("a value is not finite", "numbers")
    return vectors


def frechet_distance(first: tuple[np.ndarray, np.ndarray], second: tuple[np.ndarray, np.ndarray], root) -> float:
    """Squared 2-Wasserstein distance of two Gaussians (mean, covariance): 0 for equal ones.

    |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^1/2). The trace of the root is computed from the eigenvalues of
    C2^1/2 C1 C2^1/2, which are real even if a covariance has no full rank; `root` is C2^1/2. Raises `D2MError` if the
    distance is not finite.
    """
    (mean1, cov1), (mean2, cov2) = first, second
    values = np.linalg.eigvalsh(root @ cov1 @ root)
    trace = np.trace(cov1) + np.trace(cov2) - 2 * np.sqrt(np.maximum(values, 0)).sum()
    distance = float(np.square(mean1 - mean2).sum() + trace)
    if not np.isfinite(distance):  # max(0.0, nan) would be 0.0
        raise D2MError("a value is not finite", "numbers")
    return max(0.0, distance)


def matrix_root(covariance: np.ndarray) -> np.ndarray:
    """The real square root (C, C) of a covariance, to whose diagonal 1e-10 is added."""
    return np.real(sqrtm(covariance + 1e-10 * np.eye(len(covariance))))


@dataclass(frozen=True)
class Songs:
    """Sums over the feature vectors of each of S songs, from which the distances are computed."""

    counts: np.ndarray  # (S,) vectors of each song
    sums: np.ndarray  # (S, C)
    squares: np.ndarray  # (S, C, C) sums of the outer products of each vector with itself
    within: np.ndarray  # (S, S) sums of the kernel over all pairs of a vector of one song and one of another
    diagonal: np.ndarray  # (S,) sums of the kernel of each vector with itself
    across: np.ndarray  # (S,) sums of the kernel over all pairs of a vector of the song and one of the reference

    @classmethod
    def of(cls, songs: list[np.ndarray], reference: list[np.ndarray]) -> "Songs":
        """The sums of `songs`, vectors (n, C) each; `reference` likewise. Raises `D2MError` as `finite` does."""
        songs = [finite(features) for features in songs]
        vectors, others = np.concatenate(songs), finite(np.concatenate(reference))
        counts = np.array([len(features) for features in songs])
        starts = np.r_[0, np.cumsum(counts)[:-1]]
        blocks = [vectors[first : first + ROWS] for first in range(0, len(vectors), ROWS)]
        within = np.concatenate([np.add.reduceat(_kernel(block, vectors), starts, axis=1) for block in blocks])
        across = np.concatenate([_kernel(block, others).sum(axis=1) for block in blocks])
        diagonal = (np.square(vectors).sum(axis=1) / vectors.shape[1] + 1) ** 3
        sums, within, diagonal, across = (
            np.add.reduceat(values, starts, axis=0) for values in (vectors, within, diagonal, across)
        )
        return cls(counts, sums, np.stack([features.T @ features for features in songs]), within, diagonal, across)

    def gaussian(self, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean (C,) and covariance (C, C) of the songs' vectors, weighted by `weights` (S,)."""
        count = weights @ self.counts
        if count < 2:
            raise D2MError(f"there are {count:g} feature vectors", "at least 2", "give longer or more dances")
        mean = weights @ self.sums / count
        squares = np.tensordot(weights, self.squares, axes=1)
        return mean, (squares - count * np.outer(mean, mean)) / (count - 1)

    def kernel_within(self, weights: np.ndarray) -> float:
        """Mean of the kernel over pairs of different vectors; a vector and its copy in a draw are not a pair."""
        pairs = np.square(weights @ self.counts) - np.square(weights) @ self.counts
        if pairs < 2:
            raise D2MError(f"there are {weights @ self.counts:g} feature vectors", "at least 2", "give more dances")
        return float((weights @ self.within @ weights - np.square(weights) @ self.diagonal) / pairs)


@dataclass(frozen=True)
class Reference:
    """The feature vectors that other sets are compared with, reduced to what the distances need."""

    gaussian: tuple[np.ndarray, np.ndarray]  # mean (C,) and covariance (C, C)
    root: np.ndarray  # (C, C) square root of the covariance
    within: float  # mean of the kernel over its pairs
    count: int  # of its vectors

    @classmethod
    def of(cls, songs: list[np.ndarray]) -> "Reference":
        """The reference of `songs`, vectors (n, C) each. Raises `D2MError` if there are fewer than two vectors."""
        sums, weights = Songs.of(songs, songs), np.ones(len(songs))
        fitted = sums.gaussian(weights)
        return cls(fitted, matrix_root(fitted[1]), sums.kernel_within(weights), int(sums.counts.sum()))

    def frechet_distance(self, songs: Songs, weights: np.ndarray) -> float:
        """Distance to the Gaussian of the songs, weighted by `weights` (S,)."""
        return frechet_distance(songs.gaussian(weights), self.gaussian, self.root)

    def kernel_distance(self, songs: Songs, weights: np.ndarray) -> float:
        """Distance to the songs, weighted by `weights` (S,); `songs.across` must be of this reference."""
        cross = weights @ songs.across / (weights @ songs.counts * self.count)
        return float(songs.kernel_within(weights) + self.within - 2 * cross)


def pairwise(vectors: np.ndarray) -> np.ndarray:
    """Euclidean distances (n, n) between vectors (n, C)."""
    return cdist(finite(vectors), vectors)


def _kernel(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    similarity = first @ second.T / first.shape[1] + 1
    return similarity * similarity * similarity  # twenty times as fast as ** 3
