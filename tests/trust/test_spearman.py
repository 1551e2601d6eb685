"""Rank correlations against SciPy's, and critical values against all permutations."""

import itertools
import math

import numpy as np
import pytest
from scipy.stats import spearmanr

from wgan.trust.spearman import critical_value, rank_correlation


def test_rank_correlation_equals_scipys():
    rng = np.random.default_rng(0)
    for _ in range(5):
        first, second = rng.integers(0, 6, 12).tolist(), rng.normal(size=12).tolist()
        assert rank_correlation(first, second) == pytest.approx(spearmanr(first, second)[0])


def test_rank_correlation_depends_on_order_alone():
    x = np.array([0.1, 0.5, 2.0, 9.0])
    assert rank_correlation(x, np.exp(x)) == pytest.approx(1.0)
    assert rank_correlation(x, -(x**3)) == pytest.approx(-1.0)
    assert rank_correlation([*x, math.nan], [*np.exp(x), 0.0]) == pytest.approx(1.0)


@pytest.mark.parametrize(("first", "second"), [([1, 2], [1, 2]), ([1, 1, 1], [1, 2, 3]), ([1, 2, math.nan], [1, 2, 3])])
def test_constant_or_short_series_have_no_correlation(first, second):
    assert math.isnan(rank_correlation(first, second))


def test_series_of_different_lengths_are_refused():
    with pytest.raises(ValueError, match="zip"):
        rank_correlation([1, 2, 3], [1, 2, 3, 4])


@pytest.mark.parametrize("num", [4, 5, 6, 7])
def test_one_pair_of_unrelated_series_in_twenty_reaches_the_critical_value(num):
    """All permutations are equally likely. The next smaller correlation is reached more often than once in twenty."""
    order = list(range(num))
    found = [rank_correlation(order, other) for other in itertools.permutations(order)]
    critical = critical_value(num) - 1e-3
    assert np.mean([value >= critical for value in found]) <= 0.05
    below = max(value for value in found if value < critical)
    assert np.mean([value >= below - 1e-9 for value in found]) > 0.05


@pytest.mark.parametrize("num", [8, 9, 10, 11, 20, 100])
def test_longer_unrelated_series_reach_the_critical_value_as_often(num):
    rng = np.random.default_rng(num)
    ranks = np.argsort(rng.random((40_000, num)), axis=1)
    squares = ((ranks - np.arange(num)) ** 2).sum(axis=1)
    found = 1 - 6 * squares / (num * (num**2 - 1))
    assert 0.035 < np.mean(found >= critical_value(num) - 1e-3) < 0.056


@pytest.mark.parametrize("num", [0, 1, 2, 3])
def test_few_pairs_are_never_significant(num):
    assert critical_value(num) == math.inf
