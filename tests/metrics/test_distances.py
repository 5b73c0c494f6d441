"""distances: closed forms, definitions by brute force, and a bootstrap draw is the set in which its songs repeat."""

from dataclasses import fields

import numpy as np
import pytest
from scipy.linalg import sqrtm

from d2m.errors import D2MError
from d2m.metrics import distances
from d2m.metrics.distances import Reference, Songs


def cloud(count: int, size: int, seed: int = 0) -> np.ndarray:
    """Feature vectors (count, size) of a Gaussian with correlations."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(count, size)) @ rng.normal(size=(size, size)) + rng.normal(size=size)


def gaussian(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return vectors.mean(axis=0), np.cov(vectors, rowvar=False)


def frechet_distance(first: tuple, second: tuple) -> float:
    return distances.frechet_distance(first, second, distances.matrix_root(second[1]))


def kernel_distance(first: np.ndarray, second: np.ndarray) -> float:
    return Reference.of([second]).kernel_distance(Songs.of([first], [second]), np.ones(1))


SONGS = np.split(cloud(11, 4, 1), [3, 4, 9])  # of 3, 1, 5 and 2 vectors
REAL = np.split(cloud(9, 4, 2), [4])
DRAWS = [(1, 1, 1, 1), (2, 0, 1, 1), (0, 4, 0, 1), (0, 0, 3, 0)]  # how often each song is in the set


def repeated(weights: tuple) -> tuple[np.ndarray, np.ndarray]:
    """The vectors of `SONGS` as often as `weights` says, and for each the number of the vector it is a copy of."""
    rows = np.split(np.arange(11), [3, 4, 9])
    which = np.concatenate([part for weight, part in zip(weights, rows, strict=True) for _ in range(weight)])
    return np.concatenate(SONGS)[which], which


def kernel(a: np.ndarray, b: np.ndarray) -> float:
    return (np.dot(a, b) / len(a) + 1) ** 3


@pytest.mark.parametrize("count", [200, 5])  # 5: fewer than dimensions, so that the covariance has no full rank
def test_frechet_distance_of_a_set_to_itself_is_zero(count):
    fitted = gaussian(cloud(count, 12))
    # The 1e-10 that keeps the root real, and the root of rounding (1e-15 times a variance of some 30) in 12 dimensions.
    assert 0 <= frechet_distance(fitted, fitted) < 1e-5


@pytest.mark.parametrize("size", [1, 3, 32])
def test_frechet_distance_of_independent_dimensions_has_its_closed_form(size):
    rng = np.random.default_rng(0)
    (m1, m2), (s1, s2) = rng.normal(size=(2, size)), rng.uniform(0.1, 3, size=(2, size))
    expected = np.square(m1 - m2).sum() + np.square(s1 - s2).sum()
    distance = frechet_distance((m1, np.diag(s1**2)), (m2, np.diag(s2**2)))
    assert distance == pytest.approx(expected, rel=1e-7)  # the 1e-10 against variances of 0.01 and more


@pytest.mark.parametrize("seed", range(3))
def test_frechet_distance_is_the_published_formula_either_way_round(seed):
    (m1, c1), (m2, c2) = (gaussian(cloud(100, 8, number)) for number in (seed, seed + 10))
    expected = np.square(m1 - m2).sum() + np.trace(c1 + c2 - 2 * np.real(sqrtm(c1 @ c2)))
    assert frechet_distance((m1, c1), (m2, c2)) == pytest.approx(expected, rel=1e-6)
    assert frechet_distance((m2, c2), (m1, c1)) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("count", [3, 5])
@pytest.mark.parametrize("seed", range(3))
def test_frechet_distance_of_a_set_moved_as_a_whole_is_how_far_even_without_full_rank(count, seed):
    mean, covariance = gaussian(cloud(count, 12, seed))
    distance = frechet_distance((mean, covariance), (mean + 2, covariance))
    assert distance == pytest.approx(12 * 2**2, rel=1e-5)  # the 1e-10 and rounding, as above


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of what is multiplied with them
@pytest.mark.parametrize("value", [np.nan, np.inf, 1e308])  # 1e308: twice as much is infinite
@pytest.mark.parametrize("part", [0, 1])
def test_a_gaussian_that_is_no_numbers_is_at_no_distance(value, part):
    fine, broken = [np.zeros(2), np.eye(2)], [np.zeros(2), np.eye(2)]
    broken[part] = broken[part] + value
    for pair in ((fine, broken), (broken, fine)):
        with pytest.raises(D2MError, match=r"^a value is not finite; expected numbers\.$"):
            frechet_distance(*pair)


def test_kernel_distance_has_no_bias_for_few_vectors_of_one_law():
    rng = np.random.default_rng(0)
    drawn = [kernel_distance(*rng.normal(size=(2, 8, 3))) for _ in range(400)]
    assert abs(np.mean(drawn)) < 4 * np.std(drawn) / 20  # four standard errors of the mean of 400
    assert min(drawn) < 0
    assert kernel_distance(rng.normal(size=(50, 3)), rng.normal(2, 1, size=(50, 3))) > 1


@pytest.mark.parametrize("weights", DRAWS)
def test_the_frechet_distance_of_a_draw_is_that_of_its_vectors_repeated(weights):
    songs, fitted = Songs.of(SONGS, REAL), gaussian(repeated(weights)[0])
    for actual, expected in zip(songs.gaussian(np.array(weights)), fitted, strict=True):
        np.testing.assert_allclose(actual, expected, atol=1e-12)
    expected = frechet_distance(fitted, gaussian(np.concatenate(REAL)))
    # Of a covariance without full rank the trace holds roots of rounding (1e-15), as above.
    assert Reference.of(REAL).frechet_distance(songs, np.array(weights)) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("weights", DRAWS)
def test_the_kernel_distance_of_a_draw_is_that_of_its_vectors_repeated_without_pairs_of_copies(weights):
    vectors, which = repeated(weights)
    real = np.concatenate(REAL)
    pairs = [kernel(a, b) for i, a in zip(which, vectors, strict=True) for j, b in zip(which, vectors, strict=True)
             if i != j]  # fmt: skip
    among_real = [kernel(a, b) for i, a in enumerate(real) for j, b in enumerate(real) if i != j]
    expected = np.mean(pairs) + np.mean(among_real) - 2 * np.mean([kernel(a, b) for a in vectors for b in real])
    songs = Songs.of(SONGS, REAL)
    assert songs.kernel_within(np.array(weights)) == pytest.approx(np.mean(pairs), rel=1e-9)
    # Three means of up to 1e3 are added and taken away, each right to 1e-13 of itself.
    assert Reference.of(REAL).kernel_distance(songs, np.array(weights)) == pytest.approx(expected, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("dealt", [([[1, 0], [3, 2]],), ([[1, 0]], [[3, 2]])])  # to one song, or to two
def test_two_vectors_are_enough(dealt):
    songs = Songs.of([np.array(some) for some in dealt], [np.ones((1, 2))])
    mean, covariance = songs.gaussian(np.ones(len(dealt)))
    assert mean.tolist() == [2, 1] and covariance.tolist() == [[2, 2], [2, 2]]
    assert songs.kernel_within(np.ones(len(dealt))) == pytest.approx((3 / 2 + 1) ** 3, rel=1e-12)


@pytest.mark.parametrize("rows", [1, 4, 11])
def test_a_kernel_matrix_taken_some_rows_at_a_time_is_the_whole_one(monkeypatch, rows):
    whole = Songs.of(SONGS, REAL)
    monkeypatch.setattr(distances, "ROWS", rows)
    parts = Songs.of(SONGS, REAL)
    for field in fields(Songs):
        # Not equal to the last bit: a product of matrices of another shape adds in another order.
        np.testing.assert_allclose(getattr(parts, field.name), getattr(whole, field.name), rtol=1e-12)


@pytest.mark.parametrize("copies", [1, 3])
def test_a_draw_of_one_vector_and_its_copies_has_no_kernel(copies):
    songs = Songs.of(SONGS, REAL)
    rule = rf"^there are {copies} feature vectors; expected at least 2; give more dances\.$"
    with pytest.raises(D2MError, match=rule):
        songs.kernel_within(np.array([0, copies, 0, 0]))


def test_a_draw_or_a_reference_of_one_vector_has_no_gaussian():
    with pytest.raises(D2MError, match="there are 1 feature vectors; expected at least 2; give longer or more dances"):
        Songs.of(SONGS, REAL).gaussian(np.array([0, 1, 0, 0]))
    with pytest.raises(D2MError, match="there are 1 feature vectors"):
        Reference.of([SONGS[1]])


def test_pairwise_distances_of_known_points():
    expected = [[0, 5, 1], [5, 0, 18**0.5], [1, 18**0.5, 0]]
    np.testing.assert_allclose(distances.pairwise([[0, 0], [3, 4], [0, 1]]), expected)
    assert distances.pairwise(np.ones((1, 7))).tolist() == [[0.0]]


@pytest.mark.parametrize("broken", [np.nan, np.inf, -np.inf])
def test_features_that_are_no_numbers_are_refused_on_either_side(broken):
    fine, bad = np.ones((3, 2)), np.ones((3, 2))
    bad[2, 1] = broken
    for measure in (lambda: Songs.of([fine, bad], [fine]), lambda: Songs.of([fine], [fine, bad]),
                    lambda: Reference.of([bad]), lambda: distances.pairwise(bad)):  # fmt: skip
        with pytest.raises(D2MError, match=r"^a value is not finite; expected numbers\.$"):
            measure()


def test_no_vectors_are_refused_where_one_is_enough():
    none, one = np.zeros((0, 2)), np.ones((1, 2))
    for measure in (lambda: distances.pairwise(none), lambda: Songs.of([one, none], [one]),
                    lambda: Songs.of([one], [none])):  # fmt: skip
        with pytest.raises(D2MError, match=r"^there are 0 feature vectors; expected at least 1\.$"):
            measure()


def test_features_of_bytes_are_measured_as_float64():
    songs = Songs.of([np.array([[200, 100], [100, 200]], np.uint8)], [np.array([[100, 100]], np.uint8)])
    assert songs.gaussian(np.ones(1))[0].tolist() == [150, 150]
    assert songs.across.tolist() == [2 * 15001.0**3]
    assert distances.pairwise(np.array([[0], [200]], np.uint8)).tolist() == [[0, 200], [200, 0]]
