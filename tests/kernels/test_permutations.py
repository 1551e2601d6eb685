import itertools

import numpy as np
import pytest
import scipy.stats
import torch

from wgan.errors import NumericError, UsageError
from wgan.kernels.permutations import gram_permutation_p_value, permutation_p_value, random_labels
from wgan.transport.one_dimensional import one_dimensional


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def line(num, seed=0, shift=0.0):
    return torch.randn(num, generator=rng(seed), dtype=torch.float64) + shift


def of_means(x, y):
    return (x.mean() - y.mean()).abs()


def test_it_converges_to_the_share_of_all_splits():
    x, y = line(5), line(4, 1, 0.8)
    pooled, observed = torch.cat([x, y]), float(of_means(x, y))
    splits = [set(split) for split in itertools.combinations(range(9), 5)]
    values = [
        float(of_means(pooled[[i in split for i in range(9)]], pooled[[i not in split for i in range(9)]]))
        for split in splits
    ]
    exact = np.mean([value >= observed - 1e-12 for value in values])
    found = permutation_p_value(of_means, x, y, rng(), num_permutations=4000)
    assert found == pytest.approx(exact, abs=4 * np.sqrt(exact * (1 - exact) / 4000))


def test_p_values_are_positive_and_count_ties():
    far = line(10), line(10, 1, 100.0)
    assert permutation_p_value(of_means, *far, rng(), num_permutations=49) == 1 / 50
    assert permutation_p_value(of_means, torch.zeros(4), torch.zeros(4), rng(), num_permutations=49) == 1.0


@pytest.mark.parametrize("statistic", [of_means, one_dimensional])
def test_equal_distributions_are_rejected_at_the_nominal_rate(statistic):
    values = [
        permutation_p_value(statistic, line(8, seed), line(6, seed + 5000), rng(seed), num_permutations=19)
        for seed in range(200)
    ]
    rejected = sum(value <= 0.1 for value in values)
    assert scipy.stats.binomtest(rejected, 200, 0.1).pvalue > 0.001


def kernel(x, y):
    return (x @ y.T + 1.0) ** 2  # its diagonal is not constant


@pytest.mark.parametrize("unbiased", [False, True])
def test_a_matrix_and_the_statistic_of_its_parts_agree_on_the_same_splits(unbiased, monkeypatch):
    def statistic(x, y):
        own = 1.0 if unbiased else 0.0
        within_x, within_y = kernel(x, x), kernel(y, y)
        mean_x = (within_x.sum() - own * within_x.trace()) / (len(x) * (len(x) - own))
        mean_y = (within_y.sum() - own * within_y.trace()) / (len(y) * (len(y) - own))
        return mean_x + mean_y - 2 * kernel(x, y).mean()

    points = line(63).reshape(21, 3)
    points[:12] += 0.3
    recomputed = permutation_p_value(statistic, points[:12], points[12:], rng(2), num_permutations=300)
    gram = kernel(points, points)
    at_once = gram_permutation_p_value(gram, 12, 9, rng(2), num_permutations=300, unbiased=unbiased)
    assert at_once == recomputed
    assert 0.01 < at_once < 0.99
    monkeypatch.setattr("wgan.kernels.permutations._BLOCK", 100)  # blocks of four rows
    by_rows = gram_permutation_p_value(
        lambda start, stop: gram[start:stop, start:], 12, 9, rng(2), num_permutations=300, unbiased=unbiased
    )
    assert by_rows == at_once


def test_a_split_and_its_mirror_image_tie_despite_rounding():
    """Of 70 splits into fours, the observed one and its mirror image have the largest statistic."""
    for seed in range(8):
        points = torch.cat([line(12, seed), line(12, seed + 50, 9.0)]).reshape(8, 3)
        gram = torch.exp(-torch.cdist(points, points) / 7)
        found = gram_permutation_p_value(gram, 4, 4, rng(seed), num_permutations=4000)
        assert found == pytest.approx(2 / 70, abs=0.0095)  # 3.6 standard deviations, and 1/70 is far outside


def test_splits_are_of_the_right_size_and_equally_likely():
    labels = random_labels(6, 2, 6000, rng())
    assert labels.shape == (6, 6000)
    assert bool((labels.sum(dim=0) == 2).all())
    _, counts = np.unique(labels.T.numpy(), axis=0, return_counts=True)
    assert len(counts) == 15
    assert scipy.stats.chisquare(counts).pvalue > 0.001


def test_splits_that_do_not_fit_in_memory_are_refused(monkeypatch):
    monkeypatch.setattr("wgan.transport.measures._ALWAYS_ALLOWED", 0)
    monkeypatch.setattr("wgan.transport.measures.available", lambda: 2**20)
    with pytest.raises(UsageError, match=r"100 samples with 999 splits needs .*\n?Use fewer permutations"):
        gram_permutation_p_value(torch.eye(100, dtype=torch.float64), 50, 50, rng())


@pytest.mark.parametrize("num", [0, -3])
def test_no_permutations_are_refused(num):
    with pytest.raises(UsageError, match=f"num_permutations must be at least 1, not {num}"):
        permutation_p_value(of_means, line(3), line(3), rng(), num_permutations=num)
    with pytest.raises(UsageError, match=f"num_permutations must be at least 1, not {num}"):
        gram_permutation_p_value(torch.eye(4), 2, 2, rng(), num_permutations=num)


def test_a_matrix_of_the_wrong_shape_is_refused():
    with pytest.raises(UsageError, match=r"must have shape \(5, 5\), not \(4, 4\)"):
        gram_permutation_p_value(torch.eye(4), 2, 3, rng())


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_statistic_that_is_not_finite_is_refused(bad):
    """No statistic is larger than NaN, so it would give the smallest p-value."""
    with pytest.raises(NumericError, match="NaN or infinite on 10 of 10 splits"):
        permutation_p_value(lambda x, y: bad, [1.0], [2.0], rng(), num_permutations=9)


def test_splits_tie_up_to_rounding_after_cancellation():
    """A statistic near 0 rounds differently in each order: half of the splits would appear smaller."""
    noise = itertools.cycle([0.0, -1e-16, 1e-16])

    def cancelled(x, y):
        return (1.0 if not x.any() else 0.0) + next(noise)

    assert permutation_p_value(cancelled, [0.0, 0.0, 0.0, 1.0], [0.0, 1.0], rng(), num_permutations=99) == 1.0
