"""W2 between Gaussians: closed forms, identities, and the bound of Gelbrich against exact transport."""

import math

import numpy as np
import ot
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import sqrtm

from wgan.errors import NumericError, UsageError
from wgan.transport.gaussians import fit_gaussian, gaussian_bound, gaussian_map, gaussian_transport

few = settings(deadline=None, max_examples=25)
seeds = st.integers(0, 2**32 - 1)


def normals(seed, *shape):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def covariance(seed, size, rank=None):
    factor = normals(seed, size, rank or size)
    return factor @ factor.T


def rotation(seed, size):
    return torch.linalg.qr(normals(seed, size, size)).Q


def bures(s1, s2):
    zero = torch.zeros(len(s1))
    return gaussian_transport(zero, s1, zero, s2)


@few
@given(st.floats(-5, 5), st.floats(0, 4), st.floats(-5, 5), st.floats(0, 4))
def test_in_one_dimension_it_is_the_distance_of_means_and_standard_deviations(m1, s1, m2, s2):
    found = gaussian_transport(m1, s1**2, m2, s2**2)
    assert float(found.distance) == pytest.approx(math.hypot(m1 - m2, s1 - s2), abs=1e-12)
    assert float(found.mean_part) == pytest.approx((m1 - m2) ** 2)


@few
@given(seeds, st.integers(2, 5))
def test_for_commuting_covariances_it_is_the_distance_of_their_roots(seed, size):
    axes = rotation(seed, size)
    first, second = normals(seed + 1, size).square(), normals(seed + 2, size).square()
    found = bures(axes @ torch.diag(first) @ axes.T, axes @ torch.diag(second) @ axes.T)
    assert float(found.cost) == pytest.approx(float((first.sqrt() - second.sqrt()).square().sum()), rel=1e-9)


def test_the_general_case_agrees_with_the_formula_with_matrix_roots():
    m1, m2 = normals(1, 4), normals(2, 4)
    s1, s2 = covariance(3, 4), covariance(4, 4)
    root = sqrtm(s1.numpy())
    cross = np.trace(sqrtm(root @ s2.numpy() @ root)).real
    expected = float((m1 - m2).square().sum() + s1.trace() + s2.trace()) - 2 * cross
    assert float(gaussian_transport(m1, s1, m2, s2).cost) == pytest.approx(expected, rel=1e-10)


@few
@given(seeds, st.floats(0.1, 10))
def test_symmetry_triangle_scaling_rotation_and_translation(seed, scale):
    means, covariances = normals(seed, 3, 3), [covariance(seed + 1 + k, 3) for k in range(3)]
    gaussians = list(zip(means, covariances, strict=True))

    def distance(i, j):
        return float(gaussian_transport(*gaussians[i], *gaussians[j]).distance)

    first = distance(0, 1)
    assert distance(1, 0) == pytest.approx(first, rel=1e-9)
    assert distance(0, 2) <= first + distance(1, 2) + 1e-9
    turn, offset = rotation(seed + 5, 3), normals(seed + 6, 3)
    moved = [(scale * turn @ m + offset, scale**2 * turn @ s @ turn.T) for m, s in gaussians[:2]]
    assert float(gaussian_transport(*moved[0], *moved[1]).distance) == pytest.approx(scale * first, rel=1e-9)


def test_nearly_equal_covariances_keep_their_digits():
    # The trace formula would subtract numbers of size 4 with a result of size 1e-20.
    s = torch.eye(2, dtype=torch.float64)
    found = bures(s, torch.diag(torch.tensor([(1 + 1e-10) ** 2, 1.0], dtype=torch.float64)))
    assert float(found.distance) == pytest.approx(1e-10, rel=1e-5)


@pytest.mark.parametrize("rank", [1, 2, 4])
def test_equal_gaussians_singular_or_not_are_at_distance_0_with_finite_gradients(rank):
    s1 = covariance(1, 4, rank).requires_grad_()
    s2 = s1.detach().clone().requires_grad_()
    mean = normals(2, 4).requires_grad_()
    found = gaussian_transport(mean, s1, mean.detach(), s2)
    assert float(found.distance.detach()) <= 1e-7
    grads = torch.autograd.grad(found.cost + found.distance, (mean, s1, s2))
    assert all(bool(grad.isfinite().all()) for grad in grads)


def test_equal_regular_covariances_have_the_gradient_0():
    s = (2 * torch.eye(3, dtype=torch.float64)).requires_grad_()
    (grad,) = torch.autograd.grad(bures(s, s.detach().clone()).cost, s)
    assert float(grad.abs().max()) <= 1e-12


def test_at_0_the_distance_has_the_gradient_0():
    mean, variance = (torch.tensor(value, dtype=torch.float64, requires_grad=True) for value in (3.0, 1.0))
    found = gaussian_transport(mean, variance, 3.0, 1.0)
    assert float(found.cost.detach()) == 0.0
    assert [float(grad) for grad in torch.autograd.grad(found.distance, (mean, variance))] == [0.0, 0.0]


def test_orthogonal_degenerate_gaussians_have_the_sum_of_both_variances():
    found = bures(torch.diag(torch.tensor([4.0, 0.0])), torch.diag(torch.tensor([0.0, 9.0])))
    assert float(found.cost) == pytest.approx(13.0)


@pytest.mark.parametrize("repeated", [False, True])
def test_gradients_agree_with_numeric_ones(repeated):
    roots = torch.eye(3, dtype=torch.float64) if repeated else normals(1, 3, 3)
    others = 2 * torch.eye(3, dtype=torch.float64) if repeated else normals(2, 3, 3)
    inputs = [normals(3, 3), roots, normals(4, 3), others]

    def cost(m1, r1, m2, r2):
        found = gaussian_transport(m1, r1 @ r1.T, m2, r2 @ r2.T)
        return found.cost, found.distance

    assert torch.autograd.gradcheck(cost, [value.clone().requires_grad_() for value in inputs])


@few
@given(seeds, st.integers(1, 4))
def test_the_map_transports_one_gaussian_to_the_other_at_the_cost(seed, size):
    m1, m2 = normals(seed, size), normals(seed + 1, size)
    s1, s2 = covariance(seed + 2, size, size + 3), covariance(seed + 3, size, size + 3)
    found = gaussian_map(m1, s1, m2, s2)
    assert torch.allclose(found.matrix @ s1 @ found.matrix, s2)
    assert bool((torch.linalg.eigvalsh(found.matrix) >= -1e-9).all())
    assert torch.allclose(found(m1[None]), m2[None])
    # E ||T(x) - x||^2 in closed form.
    shift = found.matrix - torch.eye(size, dtype=torch.float64)
    cost = (shift @ s1 @ shift).trace() + (m1 - m2).square().sum()
    assert float(cost) == pytest.approx(float(gaussian_transport(m1, s1, m2, s2).cost), rel=1e-7)


def test_a_degenerate_source_has_maps_only_within_its_support():
    flat, other = torch.diag(torch.tensor([4.0, 0.0])), torch.diag(torch.tensor([9.0, 0.0]))
    found = gaussian_map([0, 0], flat, [1, 1], other)
    assert found.matrix[0, 0] == pytest.approx(1.5)
    with pytest.raises(UsageError, match="no map exists from a degenerate Gaussian"):
        gaussian_map([0, 0], flat, [0, 0], torch.eye(2))
    with pytest.raises(UsageError, match="takes points of 2 numbers, not 3"):
        found(torch.zeros(5, 3))


@few
@given(seeds, st.integers(1, 3), st.integers(2, 12), st.integers(2, 12))
def test_the_bound_is_never_above_w2_of_the_samples(seed, size, num_x, num_y):
    x, y = normals(seed, num_x, size), 2 * normals(seed + 1, num_y, size) ** 3 + 1
    a, b = (torch.softmax(normals(seed + k, n), dim=0) for k, n in ((2, num_x), (3, num_y)))
    exact = ot.emd2(a.numpy(), b.numpy(), torch.cdist(x, y).square().numpy())
    assert float(gaussian_bound(x, y, x_weights=a, y_weights=b).cost) <= exact * (1 + 1e-9)


def test_the_bound_is_tight_if_one_set_is_the_other_scaled():
    x = normals(1, 30, 3)
    stretch = covariance(2, 3)
    y = x @ stretch + 5
    exact = ot.emd2([], [], torch.cdist(x, y).square().numpy())
    assert float(gaussian_bound(x, y).cost) == pytest.approx(exact, rel=1e-9)


def test_moments_agree_with_numpy_and_are_accurate_far_from_the_origin():
    x = normals(1, 20, 3)
    weights = torch.softmax(normals(2, 20), dim=0)
    mean, found = fit_gaussian(x.reshape(20, 3, 1), weights)
    assert torch.allclose(mean, weights @ x)
    assert np.allclose(found.numpy(), np.cov(x.numpy().T, aweights=weights.numpy(), ddof=0))
    _, far = fit_gaussian((x + 2.0**30).numpy())
    assert np.allclose(far.numpy(), np.cov((x + 2.0**30 - 2.0**30).numpy().T, ddof=0), rtol=1e-12)


def test_the_bound_has_gradients_with_respect_to_samples_and_weights():
    x, y = normals(1, 6, 2), normals(2, 5, 2)
    logits = normals(3, 6)
    assert torch.autograd.gradcheck(
        lambda x, y, logits: gaussian_bound(x, y, x_weights=torch.softmax(logits, 0)).distance,
        [value.clone().requires_grad_() for value in (x, y, logits)],
    )


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (([0, 0], np.eye(3), [0, 0], np.eye(2)), UsageError, r"source_covariance must have shape \(2, 2\)"),
        (([0, 0], np.eye(2), [0], np.eye(1)), UsageError, "2 dimensions .* one of 1"),
        (([0, 0], [[1, 0.5], [0, 1]], [0, 0], np.eye(2)), UsageError, "source_covariance must be symmetric"),
        (([0, 0], np.eye(2), [0, 0], np.diag([1, -1])), UsageError, "no negative eigenvalue, but one is -1"),
        (([0, np.nan], np.eye(2), [0, 0], np.eye(2)), NumericError, "source_mean are NaN"),
        (([[0, 0]], np.eye(2), [0, 0], np.eye(2)), UsageError, r"source_mean must have shape \(D,\)"),
    ],
)
@pytest.mark.parametrize("function", [gaussian_transport, gaussian_map])
def test_invalid_gaussians_are_refused(function, arguments, error, message):
    with pytest.raises(error, match=message):
        function(*arguments)
