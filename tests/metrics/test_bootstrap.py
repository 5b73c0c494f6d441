"""bootstrap: draws moved about a value, means over groups that are drawn anew, and differences of paired rows."""

import numpy as np
import pytest

from d2m.metrics import bootstrap
from d2m.metrics.bootstrap import DRAWS, Estimate, difference, over_groups, recentred

OF_SPREAD = np.linspace(-1, 1, DRAWS)
NONE = Estimate(None, reason="none here")


def estimate(value: float, spread: float = 0.0, n: int = 2) -> Estimate:
    """An estimate whose draws go evenly from `spread` below its value to `spread` above it."""
    return Estimate(value, value + spread * OF_SPREAD, n)


def test_draws_are_moved_to_lie_about_the_value_and_keep_their_spread():
    drawn = np.random.default_rng(0).gamma(2.0, size=DRAWS)
    result = recentred(0.5, drawn, 7)
    assert (result.value, result.n) == (0.5, 7) and result.draws.mean() == pytest.approx(0.5)
    np.testing.assert_allclose(result.draws - result.draws[0], drawn - drawn[0], atol=1e-12)
    floored = recentred(0.25, 5 + OF_SPREAD, 1, lower_bound=0.0)  # no draw is below the bound
    np.testing.assert_allclose(floored.draws, np.maximum(0.25 + OF_SPREAD, 0), atol=1e-12)


@pytest.mark.parametrize("independent", [True, False])
def test_the_interval_over_groups_covers_what_differs_from_one_to_the_next(independent):
    result = over_groups([estimate(value) for value in (0.0, 3.0, 6.0)], independent)
    assert (result.value, result.n) == (3.0, 6 if independent else 2)
    # Each draw is the mean of three groups drawn from three: a whole number here, all of 0 to 6, of variance 6 / 3.
    assert set(np.round(result.draws, 9)) == {0, 1, 2, 3, 4, 5, 6}
    assert result.draws.var() == pytest.approx(2.0, abs=1.0)  # of 100 draws: three standard errors


def test_independent_groups_are_drawn_apart_and_others_together():
    alike = [estimate(7.0, 1.0)] * 8
    together, apart = over_groups(alike, independent=False), over_groups(alike, independent=True)
    np.testing.assert_allclose(together.draws, alike[0].draws)  # groups that agree leave the draws of songs
    # Means of eight that are drawn apart have 1/8 of the variance of one, and up to twice that where a draw holds a
    # group twice.
    assert 1 / 16 < apart.draws.var() / alike[0].draws.var() < 3 / 8
    assert apart.draws.mean() == pytest.approx(7.0, abs=0.1)  # three standard errors of 100 draws
    assert (together.value, together.n, apart.value, apart.n) == (7.0, 2, 7.0, 16)


@pytest.mark.parametrize("independent", [True, False])
def test_one_group_alone_leaves_its_draws(independent):
    result = over_groups([estimate(3.0, 1.0)], independent)
    np.testing.assert_array_equal(np.sort(result.draws), estimate(3.0, 1.0).draws)
    assert (result.value, result.n, len(result.draws)) == (3.0, 2, DRAWS)


@pytest.mark.parametrize("independent", [True, False])
def test_a_group_without_a_score_is_left_out_of_the_mean(independent):
    result = over_groups([NONE, estimate(4.0), estimate(6.0)], independent)
    assert result.value == 5.0 and set(result.draws) == {4.0, 5.0, 6.0} and result.n == (4 if independent else 2)
    nothing = over_groups([NONE, Estimate(None, reason="nor here")], independent)
    assert nothing.value is None and nothing.reason == "none here"


@pytest.mark.parametrize("independent", [True, False])
def test_rows_of_the_same_groups_are_drawn_with_the_same_groups_and_songs(independent):
    one, other, turned = (
        over_groups([estimate(value, 2.0) for value in values], independent)
        for values in ((0.0, 3.0, 9.0), (10.0, 13.0, 19.0), (9.0, 3.0, 0.0))
    )
    np.testing.assert_allclose(difference(other, one).draws, 10.0)  # 10 higher in every group and draw
    against = difference(turned, one)
    assert against.value == 0 and against.draws.std() > 2  # groups differ, and the draws show it


def test_a_difference_is_the_first_less_the_second_of_as_many_dances_as_both_have():
    result = difference(estimate(5.0, 1.0, 9), estimate(3.0, 0.5, 4))
    assert (result.value, result.n) == (2.0, 4)
    np.testing.assert_allclose(result.draws, 2 + 0.5 * OF_SPREAD)


@pytest.mark.parametrize("pair", [(NONE, estimate(1.0)), (estimate(1.0), NONE), (NONE, Estimate(None, reason="2D"))])
def test_a_difference_from_nothing_is_nothing_and_says_why(pair):
    result = difference(*pair)
    assert result.cell() == {"value": None, "low": None, "high": None, "n": 0, "reason": "none here"}


def test_the_mean_of_independent_estimates_has_a_part_of_their_variance():
    result = bootstrap.mean_estimate([estimate(1.0, 1.0, 2), estimate(3.0, 3.0, 4)])
    assert (result.value, result.n) == (2.0, 6)
    # Drawn apart, variances add: (1 + 9) / 4 of that of a draw; drawn together it would be 16 / 4. Two lists of 100 are
    # correlated by 0.1 or so, which is 0.15 of it: three times that.
    of_one = OF_SPREAD.var()
    assert result.draws.mean() == pytest.approx(2.0) and len(result.draws) == DRAWS
    assert result.draws.var() == pytest.approx(2.5 * of_one, abs=0.45 * of_one)
