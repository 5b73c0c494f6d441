"""metrics, of feature vectors: distances have their closed forms, and what is no number is refused.

(Measures of one dance are in test_metrics_dance, the whole table in test_metrics_evaluate.)
"""

import numpy as np
import pytest
from scipy.linalg import sqrtm

from d2m import metrics
from d2m.errors import D2MError
from d2m.metrics import Sample


def cloud(count: int, size: int, seed: int = 0) -> np.ndarray:
    """Feature vectors (count, size) of a Gaussian with correlations."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(count, size)) @ rng.normal(size=(size, size)) + rng.normal(size=size)


def dance(song: str, x: float) -> Sample:
    """A dance of which only its song and its feature vectors, about (x, 5), matter here."""
    nothing = np.empty(0)
    return Sample(
        song, "zumba", np.empty((0, 14, 3)), nothing, nothing, nothing, np.array([[x - 1, 5.0], [x + 1, 5.0]])
    )


@pytest.mark.parametrize("count", [200, 5])  # 5: fewer than dimensions, so that the covariance has no full rank
def test_frechet_distance_of_a_set_to_itself_is_zero(count):
    fitted = metrics.gaussian(cloud(count, 12))
    # The 1e-10 that keeps the root real, and the root of rounding (1e-15 times a variance of some 30) in 12 dimensions.
    assert 0 <= metrics.frechet_distance(fitted, fitted) < 1e-5


@pytest.mark.parametrize("size", [1, 3, 32])
def test_frechet_distance_of_independent_dimensions_has_its_closed_form(size):
    rng = np.random.default_rng(0)
    (m1, m2), (s1, s2) = rng.normal(size=(2, size)), rng.uniform(0.1, 3, size=(2, size))
    wanted = np.square(m1 - m2).sum() + np.square(s1 - s2).sum()
    found = metrics.frechet_distance((m1, np.diag(s1**2)), (m2, np.diag(s2**2)))
    assert found == pytest.approx(wanted, rel=1e-7)  # the 1e-10 against variances of 0.01 and more


@pytest.mark.parametrize("seed", range(3))
def test_frechet_distance_is_the_published_formula_either_way_round(seed):
    (m1, c1), (m2, c2) = (metrics.gaussian(cloud(100, 8, number)) for number in (seed, seed + 10))
    wanted = np.square(m1 - m2).sum() + np.trace(c1 + c2 - 2 * np.real(sqrtm(c1 @ c2)))
    assert metrics.frechet_distance((m1, c1), (m2, c2)) == pytest.approx(wanted, rel=1e-6)
    assert metrics.frechet_distance((m2, c2), (m1, c1)) == pytest.approx(wanted, rel=1e-6)


def test_gaussian_is_mean_and_unbiased_covariance():
    mean, covariance = metrics.gaussian(np.array([[0.0, 0.0], [2.0, 4.0]]))
    np.testing.assert_allclose(mean, [1, 2])
    np.testing.assert_allclose(covariance, [[2, 4], [4, 8]])


def test_kernel_distance_is_its_definition():
    first, second = cloud(6, 3, 0), cloud(5, 3, 1)
    kernel = lambda a, b: (np.dot(a, b) / 3 + 1) ** 3  # noqa: E731
    within = [
        np.mean([kernel(a, b) for i, a in enumerate(x) for j, b in enumerate(x) if i != j]) for x in (first, second)
    ]
    wanted = sum(within) - 2 * np.mean([kernel(a, b) for a in first for b in second])
    assert metrics.kernel_distance(first, second) == pytest.approx(wanted, rel=1e-9)


def test_kernel_distance_has_no_bias_for_few_vectors_of_one_law():
    rng = np.random.default_rng(0)
    drawn = [metrics.kernel_distance(*rng.normal(size=(2, 8, 3))) for _ in range(400)]
    assert abs(np.mean(drawn)) < 4 * np.std(drawn) / 20  # four standard errors of the mean of 400
    assert metrics.kernel_distance(rng.normal(size=(50, 3)), rng.normal(2, 1, size=(50, 3))) > 1


def test_mean_distance_diversity_and_multimodality_of_known_points():
    assert metrics.mean_distance(np.zeros((2, 2)), np.array([[3.0, 4.0], [0.0, 1.0]])) == 3
    dances = [dance("a", 0), dance("a", 2), dance("b", 10)]
    assert metrics.multimodality(dances) == 2  # 0 and 2
    assert metrics.diversity(dances) == 9  # 10 to 0 and 10 to 2
    with pytest.raises(D2MError, match="two songs"):
        metrics.diversity(dances[:2])
    with pytest.raises(D2MError, match="one song"):
        metrics.multimodality(dances[1:])


@pytest.mark.parametrize("broken", [np.nan, np.inf])
@pytest.mark.parametrize("measure", [metrics.kernel_distance, metrics.mean_distance])
def test_features_that_are_no_numbers_are_refused(measure, broken):
    for given in ((np.ones((3, 2)), np.full((3, 2), broken)), (np.full((3, 2), broken), np.ones((3, 2)))):
        with pytest.raises(D2MError, match="not finite"):
            measure(*given)
    with pytest.raises(D2MError, match="not finite"):
        metrics.gaussian(given[0])


@pytest.mark.parametrize("count", [0, 1])
def test_too_few_vectors_are_refused_with_the_number(count):
    for measure in (metrics.gaussian, lambda x: metrics.kernel_distance(x, np.ones((3, 2))), metrics.bone_variation):
        with pytest.raises(D2MError, match=f"{count} rows are given; expected 2 at least"):
            measure(np.zeros((count, 2)))


def test_the_interval_of_equal_songs_is_their_value_and_songs_weigh_alike():
    assert metrics.bootstrap({"a": [2.0], "b": [2.0, 2.0]}) == (2.0, 2.0, 2.0)
    assert metrics.bootstrap({"a": [0.0] * 9, "b": [1.0], "c": []})[0] == 0.5
    with pytest.raises(D2MError, match="one song at least"):
        metrics.bootstrap({"a": []})


def test_the_interval_is_that_of_the_mean_of_many_songs():
    values = np.random.default_rng(0).normal(5, 2, 100)
    by_song = {str(song): [value] for song, value in enumerate(values)}
    mean, low, high = metrics.bootstrap(by_song, draws=20_000)
    wanted = 1.96 * values.std() / 10
    # The 2.5 % quantile of 20,000 draws is known to 1 % of the half width; an interval of 90 % would be 16 % narrower.
    assert mean == pytest.approx(values.mean())
    assert (mean - low, high - mean) == pytest.approx((wanted, wanted), rel=0.05)
