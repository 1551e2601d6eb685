import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from wgan.errors import UsageError
from wgan.kernels import cubic_kernel, kernel_distance, squared_mmd


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def sample(num, size=5, seed=0, shift=0.0):
    return torch.randn(num, size, generator=rng(seed), dtype=torch.float64) + shift


def by_loops(x, y):
    """The definition, pair by pair, independent of the implementation."""

    def kernel(a, b):
        return (sum(p * q for p, q in zip(a, b, strict=True)) / len(a) + 1) ** 3

    x, y = x.tolist(), y.tolist()
    within_x = np.mean([kernel(a, b) for i, a in enumerate(x) for j, b in enumerate(x) if i != j])
    within_y = np.mean([kernel(a, b) for i, a in enumerate(y) for j, b in enumerate(y) if i != j])
    return within_x + within_y - 2 * np.mean([kernel(a, b) for a in x for b in y])


@given(
    num_x=st.integers(2, 8),
    num_y=st.integers(2, 8),
    size=st.integers(1, 6),
    seed=st.integers(0, 2**20),
    shift=st.floats(-3, 3),
)
@settings(max_examples=25, deadline=None)
def test_it_agrees_with_the_definition_pair_by_pair(num_x, num_y, size, seed, shift):
    x, y = sample(num_x, size, seed), sample(num_y, size, seed + 1, shift)
    assert float(squared_mmd(x, y)) == pytest.approx(by_loops(x, y), rel=1e-9, abs=1e-9)


def test_its_average_over_samples_agrees_with_the_closed_form():
    # In one dimension, x = 0 always and y = +-1 with equal odds: k(0, .) = 1, and E k(y, y') = (8 + 0) / 2.
    signs = torch.randint(0, 2, (4000, 6, 1), generator=rng(), dtype=torch.float64) * 2 - 1
    zeros = torch.zeros(6, 1, dtype=torch.float64)
    estimates = torch.stack([squared_mmd(zeros, row) for row in signs])
    deviation = float(estimates.std()) / len(estimates) ** 0.5
    assert abs(float(estimates.mean()) - 3.0) < 4 * deviation < 0.2


def test_equal_distributions_give_values_on_both_sides_of_zero():
    estimates = [float(squared_mmd(sample(40, seed=seed), sample(40, seed=seed + 1000))) for seed in range(200)]
    assert min(estimates) < 0 < max(estimates)
    assert abs(np.mean(estimates)) < 4 * np.std(estimates) / len(estimates) ** 0.5


def test_the_kernel_divides_by_the_number_of_features():
    ones = torch.ones(1, 7, dtype=torch.float64)
    assert float(cubic_kernel(ones, ones)) == 8.0


def test_small_samples_are_compared_once_as_a_whole():
    x, y = sample(20), sample(30, seed=1, shift=1.0)
    mean, deviation = kernel_distance(x, y, rng=rng(), num_subsets=7, subset_size=30)
    assert mean == pytest.approx(by_loops(x, y), rel=1e-9)
    assert deviation == 0.0


def test_subsets_agree_with_the_whole_and_depend_only_on_the_generator():
    x, y = sample(400), sample(500, seed=1, shift=1.0)
    whole = float(squared_mmd(x, y))
    mean, deviation = kernel_distance(x, y, rng=rng(3), num_subsets=60, subset_size=100)
    assert 0 < deviation < whole
    assert mean == pytest.approx(whole, abs=4 * deviation / 60**0.5)
    torch.manual_seed(99)
    assert kernel_distance(x, y, rng=rng(3), num_subsets=60, subset_size=100) == (mean, deviation)
    assert kernel_distance(x, y, rng=rng(4), num_subsets=60, subset_size=100) != (mean, deviation)


def test_float32_features_are_compared_in_float64():
    x, y = (sample(50) * 100).float(), (sample(50, seed=1) * 100).float()
    mean, _ = kernel_distance(x, y, rng=rng())
    assert mean == pytest.approx(by_loops(x.double(), y.double()), rel=1e-9)


@pytest.mark.parametrize(
    ("x", "y", "options", "message"),
    [
        (torch.ones(3, 2), torch.ones(3, 4), {}, r"not \(3, 2\) and \(3, 4\)"),
        (torch.ones(3), torch.ones(3), {}, r"must have shapes"),
        (torch.ones(1, 2), torch.ones(3, 2), {}, "at least 2 rows in each sample, not 1 and 3"),
        (torch.ones(3, 2), torch.ones(3, 2), {"num_subsets": 0}, "num_subsets must be at least 1"),
        (torch.ones(3, 2), torch.ones(3, 2), {"subset_size": 1}, "subset_size at least 2, not 100 and 1"),
    ],
)
def test_invalid_input_is_refused(x, y, options, message):
    with pytest.raises(UsageError, match=message):
        kernel_distance(x, y, rng=rng(), **options)
