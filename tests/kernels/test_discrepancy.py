import math

import numpy as np
import pytest
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist, pdist

from wgan.errors import NumericError, UsageError
from wgan.kernels import (
    KERNELS,
    Cubic,
    Energy,
    Gaussian,
    GaussianMixture,
    Laplacian,
    energy_distance,
    median_distance,
    mmd,
)

FITTED = [Gaussian(1.3), GaussianMixture(0.9, 3), Laplacian(2.0), Cubic(), Energy()]
OPEN = [row() for row in KERNELS.rows.values()]


def name(kernel):
    return type(kernel).__name__


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def sample(num, size=3, seed=0, shift=0.0):
    return torch.randn(num, size, generator=rng(seed), dtype=torch.float64) + shift


def between_two_points(kernel, a, b):
    """Each kernel by its formula."""
    difference = a - b
    if isinstance(kernel, Gaussian):
        return math.exp(-sum(difference**2) / (2 * kernel.bandwidth**2))
    if isinstance(kernel, GaussianMixture):
        widths = [kernel.bandwidth / 2, kernel.bandwidth, kernel.bandwidth * 2]
        return sum(math.exp(-sum(difference**2) / (2 * width**2)) for width in widths) / 3
    if isinstance(kernel, Laplacian):
        return math.exp(-sum(abs(difference)) / kernel.bandwidth)
    if isinstance(kernel, Cubic):
        return (sum(a * b) / len(a) + 1) ** 3
    return -math.sqrt(sum(difference**2))


@pytest.mark.parametrize("estimator", ["biased", "unbiased"])
@pytest.mark.parametrize("kernel", FITTED, ids=name)
def test_it_agrees_with_the_definition_pair_by_pair(kernel, estimator):
    x, y = sample(7), sample(5, seed=1, shift=0.5)

    def mean(first, second, others):
        pairs = [(a, b) for i, a in enumerate(first) for j, b in enumerate(second) if others or i != j]
        return np.mean([between_two_points(kernel, a.numpy(), b.numpy()) for a, b in pairs])

    own = estimator == "biased"
    found = mmd(x, y, kernel=kernel, estimator=estimator)
    truth = mean(x, x, own) + mean(y, y, own) - 2 * mean(x, y, True)
    assert float(found.squared) == pytest.approx(truth, rel=1e-10, abs=1e-12)
    assert found.squared.dtype == torch.float64
    assert (found.kernel, found.estimator, found.p_value) == (kernel, estimator, None)


def test_blocks_change_neither_values_nor_gradients(monkeypatch):
    x, y = sample(9).requires_grad_(), sample(7, seed=1).requires_grad_()

    def everything():
        both = [mmd(x, y, estimator=estimator).squared for estimator in ("biased", "unbiased")]
        return [*both, *torch.autograd.grad(sum(both), (x, y)), mmd(x.detach(), y.detach()).squared]

    whole = everything()
    monkeypatch.setattr("wgan.kernels.discrepancy._BLOCK", 20)
    torch.testing.assert_close(everything(), whole)


@given(seed=st.integers(0, 2**20), num_x=st.integers(1, 12), num_y=st.integers(1, 12), shift=st.floats(-3, 3))
@settings(max_examples=20, deadline=None)
def test_biased_discrepancies_are_distances(seed, num_x, num_y, shift):
    x, y, z = sample(num_x, 2, seed), sample(num_y, 2, seed + 1, shift), sample(num_x, 2, seed + 2)
    for kernel in FITTED:
        forward, backward = (mmd(*pair, kernel=kernel, estimator="biased") for pair in ((x, y), (y, x)))
        assert float(forward.squared) > -1e-9
        assert float(forward.squared) == pytest.approx(float(backward.squared), rel=1e-9, abs=1e-9)
        assert float(mmd(x, x, kernel=kernel, estimator="biased").squared) == pytest.approx(0.0, abs=1e-9)
        detour = sum(float(mmd(*pair, kernel=kernel, estimator="biased").distance) for pair in ((x, z), (z, y)))
        assert float(forward.distance) <= detour + 1e-4  # the root of a rounding error


@pytest.mark.parametrize("kernel", [Gaussian(), GaussianMixture(), Laplacian()], ids=name)
def test_the_median_bandwidth_is_reported_and_makes_the_value_independent_of_units(kernel):
    x, y = sample(30, 4), sample(20, 4, seed=1, shift=0.5)
    found = mmd(x, y, kernel=kernel)
    metric = "cityblock" if isinstance(kernel, Laplacian) else "euclidean"
    apart = np.sort(pdist(torch.cat([x, y]).numpy(), metric))
    assert found.bandwidth == pytest.approx(apart[(len(apart) - 1) // 2], rel=1e-12)
    assert found.kernel.bandwidth == found.bandwidth
    assert kernel.bandwidth is None
    elsewhere = mmd(x * 1000 + 1e6, y * 1000 + 1e6, kernel=kernel)
    assert elsewhere.bandwidth == pytest.approx(1000 * found.bandwidth, rel=1e-6)
    assert float(elsewhere.squared) == pytest.approx(float(found.squared), rel=1e-6)


def test_a_kernel_may_be_named():
    x, y = sample(20), sample(20, seed=1)
    assert mmd(x, y, kernel="gaussian:bandwidth=0.7").squared == mmd(x, y, kernel=Gaussian(bandwidth=0.7)).squared
    with pytest.raises(UsageError, match="kernel 'gausian' is not known"):
        mmd(x, y, kernel="gausian")


def test_a_gaussian_is_the_default_and_any_function_is_a_kernel():
    x, y = sample(10), sample(10, seed=1)
    assert isinstance(mmd(x, y).kernel, Gaussian)
    assert mmd(x, y, kernel=Cubic()).bandwidth is None
    linear = mmd(x, y, kernel=lambda x, y: x @ y.T, estimator="biased")
    assert float(linear.squared) == pytest.approx(float((x.mean(0) - y.mean(0)).square().sum()))
    assert linear.bandwidth is None


def test_the_closed_form_between_gaussians():
    """For N(0, 1) and N(m, 1): 2 s / sqrt(s^2 + 2) (1 - exp(-m^2 / (2 (s^2 + 2)))) with bandwidth s."""
    shift, width = 1.5, 0.7
    truth = 2 * width / math.sqrt(width**2 + 2) * (1 - math.exp(-(shift**2) / (2 * (width**2 + 2))))
    found = [
        float(mmd(sample(100, 1, seed), sample(100, 1, seed + 999, shift), kernel=Gaussian(width)).squared)
        for seed in range(60)
    ]
    error = np.std(found) / math.sqrt(len(found))
    assert abs(np.mean(found) - truth) < 4 * error < 0.05


def test_the_median_of_many_points_is_independent_of_order_and_number():
    points = sample(4000, 2)
    assert median_distance(points) == pytest.approx(float(np.median(pdist(points.numpy()))), rel=0.02)
    shuffled = points[torch.randperm(4000, generator=rng())]
    assert median_distance(shuffled) == pytest.approx(median_distance(points), rel=1e-12)


def test_bandwidths_of_coincident_points():
    mostly = torch.tensor([[0.0]] * 9 + [[4.0]], dtype=torch.float64)
    assert median_distance(mostly) == 4.0
    assert median_distance(torch.zeros(5, 2, dtype=torch.float64)) == 1.0
    assert float(mmd([0.0, 0.0], [0.0, 0.0, 0.0]).squared) == 0.0


@pytest.mark.parametrize("estimator", ["biased", "unbiased"])
@pytest.mark.parametrize("kernel", FITTED, ids=name)
def test_gradients(kernel, estimator):
    x, y = sample(5, 2).requires_grad_(), sample(4, 2, seed=1, shift=0.5).requires_grad_()
    assert torch.autograd.gradcheck(lambda x, y: mmd(x, y, kernel=kernel, estimator=estimator).squared, (x, y))


@pytest.mark.parametrize("kernel", OPEN, ids=name)
def test_gradients_are_finite_where_points_coincide(kernel):
    x = torch.tensor([[0.0, 1.0], [0.0, 1.0], [2.0, 3.0]], dtype=torch.float64, requires_grad=True)
    found = mmd(x, x.detach().clone(), kernel=kernel, estimator="biased")
    for value in (found.squared, found.distance):
        (gradient,) = torch.autograd.grad(value, x, retain_graph=True)
        assert bool(gradient.isfinite().all())


def test_a_negative_estimate_has_distance_zero():
    x = sample(10)
    found = mmd(x, x)
    assert float(found.squared) < 0
    assert float(found.distance) == 0.0


def test_kernels_are_named_with_parameters():
    assert KERNELS.build("gaussian:bandwidth=2") == Gaussian(2.0)
    assert KERNELS.build("gaussian-mixture:num_bandwidths=3") == GaussianMixture(None, 3)
    assert GaussianMixture(2.0, 3).bandwidths == (1.0, 2.0, 4.0)
    with pytest.raises(UsageError, match="bandwidth must be above 0 and finite, not -1"):
        KERNELS.build("laplacian:bandwidth=-1")
    with pytest.raises(UsageError, match="num_bandwidths must be at least 1"):
        GaussianMixture(None, 0)
    with pytest.raises(UsageError, match="has no bandwidth yet"):
        Gaussian()(sample(2), sample(2))


# Energy distance


@pytest.mark.parametrize(("num_x", "num_y"), [(1, 1), (30, 30), (30, 17)])
def test_energy_distance_on_the_line_agrees_with_scipy_and_with_the_integral(num_x, num_y):
    x, y = sample(num_x, 1), sample(num_y, 1, seed=1, shift=0.4)
    found = energy_distance(x, y)
    assert float(found.distance) == pytest.approx(scipy.stats.energy_distance(x[:, 0], y[:, 0]), rel=1e-10)
    points = np.sort(np.concatenate([x, y])[:, 0])
    below_x, below_y = ((side.numpy() <= points[:-1]).mean(axis=0) for side in (x, y))
    integral = np.sum(np.diff(points) * (below_x - below_y) ** 2)
    assert float(found.squared) == pytest.approx(2 * integral, rel=1e-10)


@given(
    num_x=st.integers(2, 9),
    num_y=st.integers(2, 9),
    size=st.integers(1, 3),
    seed=st.integers(0, 2**20),
    coarse=st.booleans(),
)
@settings(max_examples=30, deadline=None)
def test_energy_distance_agrees_with_its_definition(num_x, num_y, size, seed, coarse):
    x, y = sample(num_x, size, seed), sample(num_y, size, seed + 1, 0.4)
    if coarse:
        x, y = x.round(), y.round()
    within_x, within_y, between = (cdist(a, b).sum() for a, b in ((x, x), (y, y), (x, y)))
    twice = 2 * between / (num_x * num_y)
    biased = twice - within_x / num_x**2 - within_y / num_y**2
    unbiased = twice - within_x / (num_x * (num_x - 1)) - within_y / (num_y * (num_y - 1))
    assert float(energy_distance(x, y).squared) == pytest.approx(biased, rel=1e-9, abs=1e-11)
    assert float(energy_distance(x, y, estimator="unbiased").squared) == pytest.approx(unbiased, rel=1e-9, abs=1e-11)
    scaled = energy_distance(3 * x + 5, 3 * y + 5)
    assert float(scaled.squared) == pytest.approx(3 * biased, rel=1e-9, abs=1e-11)


@pytest.mark.parametrize("copies", [1, 40])
def test_in_many_dimensions_matrix_products_lose_no_digits(copies):
    """Points that coincide or nearly do, far from the origin; with 40 copies of each, most pairs are such."""
    x = (sample(120 // copies, 50) + 1e4).repeat(copies, 1)
    y = torch.cat([x[:60] + 1e-9 * sample(60, 50, 2), sample(20, 50, 3) + 1e4])
    for a, b in ((x, y), (x, x), (y, x)):
        torch.testing.assert_close(-Energy()(a, b), torch.from_numpy(cdist(a, b)), rtol=1e-11, atol=1e-20)
    leaf = x.clone().requires_grad_()
    assert float(energy_distance(leaf, y).squared.detach()) == pytest.approx(float(energy_distance(x, y).squared))


@pytest.mark.parametrize("size", [1, 2])
@pytest.mark.parametrize("estimator", ["biased", "unbiased"])
def test_gradients_of_the_energy_distance(size, estimator):
    x, y = sample(5, size).requires_grad_(), sample(4, size, seed=1, shift=0.5).requires_grad_()
    assert torch.autograd.gradcheck(lambda x, y: energy_distance(x, y, estimator=estimator).squared, (x, y))
    same = torch.zeros(3, size, dtype=torch.float64, requires_grad=True)
    found = energy_distance(same, torch.zeros(2, size))
    (gradient,) = torch.autograd.grad(found.squared + found.distance, same)
    assert bool(gradient.isfinite().all())


@pytest.mark.parametrize("estimator", ["biased", "unbiased"])
def test_in_one_dimension_p_values_agree_with_the_general_case(estimator, monkeypatch):
    """The one-dimensional method against the Gram matrix in two dimensions; sorted, so that splits are the same."""
    x, y = sample(12, 1).sort(dim=0).values - 10, sample(9, 1, seed=1, shift=0.7).sort(dim=0).values + 10
    in_plane = [torch.cat([side, torch.zeros_like(side)], dim=1) for side in (x, y)]
    monkeypatch.setattr("wgan.kernels.discrepancy.add_one_p_value", lambda values, scale: values.tolist())
    monkeypatch.setattr("wgan.kernels.permutations.add_one_p_value", lambda values, scale: values.tolist())
    line = energy_distance(x, y, estimator=estimator, num_permutations=50, rng=rng(1))
    plane = energy_distance(*in_plane, estimator=estimator, num_permutations=50, rng=rng(1))
    assert float(line.squared) == pytest.approx(float(plane.squared), rel=1e-9)
    assert line.p_value == pytest.approx(plane.p_value, rel=1e-9)  # of all 51 statistics
    monkeypatch.setattr("wgan.kernels.discrepancy._BLOCK", 63)  # three splits at a time
    in_blocks = energy_distance(x, y, estimator=estimator, num_permutations=50, rng=rng(1))
    assert in_blocks.p_value == pytest.approx(line.p_value, rel=1e-12)


# p-values


@pytest.mark.parametrize("distance", [mmd, energy_distance])
@pytest.mark.parametrize("size", [1, 3])
def test_p_values_have_the_nominal_level_and_detect_a_shift(distance, size):
    def values(num, repeats, shift):
        return [
            distance(
                sample(num, size, seed),
                sample(num + 3, size, seed + 5000, shift),
                num_permutations=39,
                rng=rng(seed),
            ).p_value
            for seed in range(repeats)
        ]

    same = np.array(values(12, 200, 0.0))
    for level in (0.05, 0.25, 0.5):
        assert scipy.stats.binomtest(int((same <= level).sum()), 200, level).pvalue > 0.001
    assert sum(value <= 0.05 for value in values(30, 30, 1.2)) >= 28


def test_p_values_depend_only_on_the_generator():
    x, y = sample(20), sample(20, seed=1, shift=0.3)
    first = mmd(x, y, num_permutations=99, rng=rng(1))
    torch.manual_seed(5)
    assert mmd(x, y, num_permutations=99, rng=rng(1)).p_value == first.p_value
    assert first.num_permutations == 99
    assert mmd(x, y + 100, num_permutations=99, rng=rng(1)).p_value == 0.01


@pytest.mark.parametrize("distance", [mmd, energy_distance])
@pytest.mark.parametrize(
    ("x", "y", "options", "error", "message"),
    [
        ([], [1.0], {}, UsageError, "x must hold at least one sample"),
        ([[1.0, 2.0]], [[1.0]], {}, UsageError, r"samples of 2 numbers \(x\) cannot be compared"),
        ([np.inf, 1.0], [1.0, 2.0], {}, NumericError, "1 of the 2 numbers in x"),
        ([1.0], [1.0, 2.0], {"estimator": "unbiased"}, UsageError, "at least 2 samples on both sides, not 1 and 2"),
        ([1.0], [2.0], {"estimator": "both"}, UsageError, "must be 'biased' or 'unbiased', not 'both'"),
        ([1.0, 2.0], [2.0, 3.0], {"num_permutations": 9}, UsageError, "Pass rng"),
        ([1.0, 2.0], [2.0, 3.0], {"num_permutations": -1}, UsageError, "num_permutations must be at least 0"),
    ],
)
def test_invalid_input_is_refused(distance, x, y, options, error, message):
    with pytest.raises(error, match=message):
        distance(x, y, **options)
