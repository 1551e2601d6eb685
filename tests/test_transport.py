import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment
from scipy.stats import wasserstein_distance

from wgan.errors import NumericError, UsageError
from wgan.transport import wasserstein_1, wasserstein_1_sliced


def cloud(n, d, seed=0):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_agrees_with_an_independent_solver_in_many_dimensions():
    for n, d in ((40, 2), (25, 7)):
        x, y = cloud(n, d), cloud(n, d, seed=1) + 0.3
        cost = np.linalg.norm(x.numpy()[:, None] - y.numpy()[None], axis=2)
        rows, columns = linear_sum_assignment(cost)
        assert wasserstein_1(x, y) == pytest.approx(cost[rows, columns].mean(), rel=1e-12)


def test_unequal_sizes_agree_with_the_quantile_formula_on_the_line():
    x, y = cloud(30, 1), cloud(47, 1, seed=3) * 2 + 1
    assert wasserstein_1(x, y) == pytest.approx(wasserstein_distance(x[:, 0], y[:, 0]), rel=1e-10)


def test_a_translation_costs_its_length_even_in_float32_far_from_the_origin():
    x = (cloud(200, 2) * 0.01).float() + 1000.0
    y = x + torch.tensor([0.01, 0.01])
    exact = (y.double() - x.double()).norm(dim=1).mean().item()
    assert wasserstein_1(x, y) == pytest.approx(exact, rel=1e-6)


def test_symmetric_zero_on_itself_and_triangle():
    x, y, z = cloud(20, 3), cloud(20, 3, 1), cloud(20, 3, 2)
    assert wasserstein_1(x, x) == pytest.approx(0.0, abs=1e-12)
    assert wasserstein_1(x, y) == pytest.approx(wasserstein_1(y, x))
    assert wasserstein_1(x, z) <= wasserstein_1(x, y) + wasserstein_1(y, z) + 1e-12


def test_an_unfinished_solution_is_an_error(monkeypatch):
    monkeypatch.setattr("wgan.transport.MAX_ITERATIONS", 3)
    unsolved = pytest.raises(NumericError, match="300 x 300 samples was not solved")
    with pytest.warns(UserWarning, match="numItermax"), unsolved:
        wasserstein_1(cloud(300, 2), cloud(300, 2, 1))


def test_sliced_is_exact_on_the_line_and_bounded_by_exact_in_the_plane():
    rng = torch.Generator().manual_seed(0)
    x, y = cloud(50, 1), cloud(50, 1, 1) + 2
    assert wasserstein_1_sliced(x, y, rng) == pytest.approx(wasserstein_1(x, y), rel=1e-5)
    x, y = cloud(50, 3), cloud(50, 3, 1) + 1
    assert 0 < wasserstein_1_sliced(x, y, rng) < wasserstein_1(x, y)


def test_sliced_distance_of_a_translation():
    """For y = x + v in D dimensions it is |v| E |<d, e>|, which is 2 / pi in the plane."""
    rng = torch.Generator().manual_seed(0)
    x = cloud(10, 2)
    sliced = wasserstein_1_sliced(x, x + torch.tensor([3.0, 4.0]), rng, num_directions=20_000)
    assert sliced == pytest.approx(5 * 2 / np.pi, rel=0.02)


@pytest.mark.parametrize(
    ("x", "y", "error", "message"),
    [
        (torch.zeros(0, 2), torch.zeros(3, 2), UsageError, "samples on both sides, not 0 and 3"),
        (torch.zeros(3, 2), torch.zeros(3, 4), UsageError, "samples of 2 numbers cannot be compared with samples of 4"),
        (torch.full((3, 2), torch.nan), torch.zeros(3, 2), NumericError, "NaN or infinite"),
    ],
)
def test_bad_sets_are_refused(x, y, error, message):
    with pytest.raises(error, match=message):
        wasserstein_1(x, y)
    with pytest.raises(error, match=message):
        wasserstein_1_sliced(x, y, torch.Generator())
