"""Closed forms between Gaussians, against quadrature, sampling, and the conditions under which they exist."""

import math

import numpy as np
import pytest
import scipy.integrate
import scipy.stats
import torch
from kinds import generator

from wgan.divergences import as_divergence, gaussian_divergence
from wgan.errors import NumericError, UsageError

CLOSED = (
    "kl",
    "reverse_kl",
    "jeffrey",
    "squared_hellinger",
    "pearson",
    "neyman",
    "alpha",
    "alpha:alpha=0.2",
    "alpha:alpha=1.5",
    "alpha:alpha=-0.3",
)


def random_pair(dimension, seed=0, *, spread=0.3):
    """Two Gaussians close enough that every divergence is finite: means and covariances."""
    rng = np.random.default_rng(seed)

    def covariance():
        root = np.eye(dimension) + spread * rng.normal(size=(dimension, dimension)) / math.sqrt(dimension)
        return root @ root.T

    return spread * rng.normal(size=dimension), covariance(), spread * rng.normal(size=dimension), covariance()


@pytest.mark.parametrize("kind", CLOSED)
@pytest.mark.parametrize("moments", [(0.0, 1.0, 0.7, 1.3), (-1.0, 0.8, 0.5, 1.2), (2.0, 1.1, 2.0, 1.0)])
def test_in_one_dimension_they_agree_with_quadrature(kind, moments):
    mean, variance, other_mean, other_variance = moments
    p, q = scipy.stats.norm(mean, math.sqrt(variance)), scipy.stats.norm(other_mean, math.sqrt(other_variance))
    f = generator(kind)
    ratio = lambda x: np.exp(p.logpdf(x) - q.logpdf(x))  # noqa: E731
    integral, _ = scipy.integrate.quad(lambda x: q.pdf(x) * f(ratio(x)), -20, 20, limit=400, points=[-5, 0, 5])
    assert gaussian_divergence(*moments, kind).item() == pytest.approx(integral, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("kind", CLOSED)
def test_in_three_dimensions_they_agree_with_sampling(kind):
    moments = random_pair(3, spread=0.15)
    p, q = scipy.stats.multivariate_normal(*moments[:2]), scipy.stats.multivariate_normal(*moments[2:])
    samples = q.rvs(400_000, random_state=1)
    values = generator(kind)(np.exp(p.logpdf(samples) - q.logpdf(samples)))
    error = values.std() / math.sqrt(len(values))
    assert abs(gaussian_divergence(*moments, kind).item() - values.mean()) < 5 * error
    assert error < 0.05 * values.mean()


@pytest.mark.parametrize("kind", CLOSED)
def test_power_integrals_multiply_and_logarithms_add_over_independent_coordinates(kind):
    means, variances = np.array([0.3, -0.2, 0.5]), np.array([1.1, 0.9, 1.3])
    joint = gaussian_divergence(means, np.diag(variances), np.zeros(3), np.eye(3), kind).item()
    parts = [gaussian_divergence(m, v, 0.0, 1.0, kind).item() for m, v in zip(means, variances, strict=True)]
    if kind in ("kl", "reverse_kl", "jeffrey"):
        assert joint == pytest.approx(sum(parts), rel=1e-12)
        return
    row = as_divergence(kind)
    factor = {"squared_hellinger": -0.5, "pearson": 1.0, "neyman": 1.0}.get(kind)
    factor = row.alpha * (row.alpha - 1) if factor is None else factor
    assert 1 + factor * joint == pytest.approx(math.prod(1 + factor * part for part in parts), rel=1e-12)


@pytest.mark.parametrize("kind", CLOSED)
def test_affine_maps_change_nothing_and_exchanging_reverses(kind):
    mean, covariance, other_mean, other_covariance = moments = random_pair(4, seed=3)
    value = gaussian_divergence(*moments, kind).item()
    shear = np.random.default_rng(5).normal(size=(4, 4)) + 3 * np.eye(4)
    shift = np.arange(4.0)
    moved = gaussian_divergence(
        shear @ mean + shift,
        shear @ covariance @ shear.T,
        shear @ other_mean + shift,
        shear @ other_covariance @ shear.T,
        kind,
    )
    assert moved.item() == pytest.approx(value, rel=1e-9)
    swapped = gaussian_divergence(other_mean, other_covariance, mean, covariance, as_divergence(kind).reverse)
    assert swapped.item() == pytest.approx(value, rel=1e-12)
    assert gaussian_divergence(mean, covariance, mean, covariance, kind).item() == pytest.approx(0, abs=1e-14)


@pytest.mark.parametrize(
    ("kind", "p_variance", "q_variance", "is_finite"),
    [
        ("pearson", 1.9, 1.0, True),
        ("pearson", 2.0, 1.0, False),
        ("pearson", 2.1, 1.0, False),
        ("pearson", 0.01, 1.0, True),
        ("neyman", 1.0, 1.9, True),
        ("neyman", 1.0, 2.0, False),
        ("neyman", 0.3, 0.7, False),
        ("alpha:alpha=1.5", 2.9, 1.0, True),
        ("alpha:alpha=1.5", 3.1, 1.0, False),
        ("alpha:alpha=-1", 1.0, 2.1, False),
        ("alpha:alpha=0.9", 1e6, 1.0, True),
        ("squared_hellinger", 1.0, 1e6, True),
        ("kl", 1e6, 1.0, True),
    ],
)
def test_the_condition_for_finite_values(kind, p_variance, q_variance, is_finite):
    assert math.isfinite(gaussian_divergence(0.0, p_variance, 0.5, q_variance, kind)) == is_finite
    if is_finite:
        return
    # The integrand does not decrease, so the integral is infinite, as the formula says.
    f, p, q = generator(kind), scipy.stats.norm(0, p_variance**0.5), scipy.stats.norm(0.5, q_variance**0.5)
    far = [q.pdf(x) * f(p.pdf(x) / q.pdf(x)) for x in (-8.0, -4.0, 4.0, 8.0)]
    assert max(far[0] / far[1], far[3] / far[2]) > 0.9


def test_one_direction_makes_the_value_infinite_in_any_basis():
    rotation, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))
    for largest in (2.0, 2.5):
        wide = rotation @ np.diag([0.8, 1.0, largest]) @ rotation.T
        wide = (wide + wide.T) / 2
        assert gaussian_divergence(np.zeros(3), wide, np.zeros(3), np.eye(3), "pearson").item() == math.inf
        assert math.isfinite(gaussian_divergence(np.zeros(3), wide, np.zeros(3), np.eye(3), "neyman").item())
        assert gaussian_divergence(np.zeros(3), np.eye(3), np.zeros(3), wide, "neyman").item() == math.inf


def test_known_values():
    kl = gaussian_divergence([1.0, 2.0], [[2.0, 0.0], [0.0, 0.5]], [0.0, 0.0], [[1.0, 0.0], [0.0, 1.0]], "kl")
    assert kl.item() == pytest.approx(0.5 * (2.5 - 2 + 5 - math.log(1.0)))
    assert gaussian_divergence(0.0, 1.0, 3.0, 1.0, "pearson").item() == pytest.approx(math.exp(9) - 1)
    hellinger = gaussian_divergence(0.0, 1.0, 3.0, 1.0, "squared_hellinger")
    assert hellinger.item() == pytest.approx(2 - 2 * math.exp(-9 / 8))
    assert gaussian_divergence(0.0, 1.0, 1e3, 1.0, "squared_hellinger").item() == 2.0
    assert gaussian_divergence(0.0, 1.0, 1e3, 1.0, "pearson").item() == math.inf  # e^(10⁶) is beyond float64


@pytest.mark.parametrize("kind", CLOSED)
def test_gradients_agree_with_differences(kind):
    means_and_roots = [torch.from_numpy(part) for part in random_pair(2, seed=1)]
    inputs = [part.clone().requires_grad_(True) for part in means_and_roots]

    def value(mean, covariance, other_mean, other_covariance):
        return gaussian_divergence(
            mean, (covariance + covariance.T) / 2, other_mean, (other_covariance + other_covariance.T) / 2, kind
        )

    assert torch.autograd.gradcheck(value, inputs)


@pytest.mark.parametrize("kind", ["total_variation", "jensen_shannon", "weighted_jensen_shannon", "gan"])
def test_divergences_without_a_closed_form_are_marked(kind):
    with pytest.raises(UsageError, match=f"{kind} has no closed form between Gaussians\n.*`divergence`"):
        gaussian_divergence(0.0, 1.0, 1.0, 1.0, kind)


@pytest.mark.parametrize(
    ("moments", "error", "message"),
    [
        ((0.0, 0.0, 0.0, 1.0), UsageError, "p_covariance must be positive definite"),
        ((0.0, 1.0, 0.0, -1.0), UsageError, "q_covariance must be positive definite"),
        (([0.0, 0.0], [[1, 0.5], [0.2, 1]], [0, 0], np.eye(2)), UsageError, "p_covariance must be symmetric"),
        (([0.0, 0.0], [[1, 2], [2, 1]], [0, 0], np.eye(2)), UsageError, "p_covariance must be positive definite"),
        (([0.0, 0.0], [1.0, 1.0], [0, 0], np.eye(2)), UsageError, r"not \(2,\) and \(2,\)\n.*torch.diag"),
        (([0.0, 0.0], 1.0, [0, 0], np.eye(2)), UsageError, r"p_covariance \(D, D\), not \(2,\) and \(1, 1\)"),
        (([0.0, 0.0], np.eye(2), [0.0], [[1.0]]), UsageError, "of 2 dimensions .p. cannot be compared with one of 1"),
        ((math.nan, 1.0, 0.0, 1.0), NumericError, "p_mean are NaN"),
        (([], np.zeros((0, 0)), 0.0, 1.0), UsageError, "p_mean must have shape"),
    ],
)
def test_invalid_gaussians_are_refused(moments, error, message):
    with pytest.raises(error, match=message):
        gaussian_divergence(*moments, "kl")


def test_degenerate_covariances_are_refused_and_different_scales_are_not():
    few = np.random.default_rng(0).normal(size=(3, 5))
    with pytest.raises(UsageError, match="has a direction without variance"):
        gaussian_divergence(np.zeros(5), np.cov(few.T), np.zeros(5), np.eye(5), "kl")
    scales = np.diag([1e-20, 1.0, 1e20])
    assert gaussian_divergence(np.zeros(3), scales, np.zeros(3), 2 * scales, "kl").item() == pytest.approx(
        1.5 * (math.log(2) - 0.5)
    )
