"""A Gaussian fitted to a mixture, against closed forms, the published table, and the f-GAN."""

import math

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from wgan.divergences import DIVERGENCES, gaussian_divergence
from wgan.errors import NumericError, UsageError
from wgan.studies.failures import (
    F_GAN_MIXTURE,
    TWO_MODES,
    LineMixture,
    divergence_from_gaussian,
    divergence_matrix,
    fit_by_fgan,
    fit_gaussian,
    fit_gaussians,
)
from wgan.studies.failures.mixtures import stratified

ONE = LineMixture.of([1.0], [0.7], [1.3])
FAR = LineMixture.of([0.6, 0.4], [-5.0, 5.0], [0.6, 0.6])
SMOOTH = [name for name in DIVERGENCES if DIVERGENCES.build(name).curvature is not None]

# Nowozin, Cseke and Tomioka (2016), table 2: mean and deviation by direct minimisation.
TABLE_2 = {
    "kl": (1.0100, 1.8308),
    "reverse_kl": (1.5782, 1.6319),
    "jensen_shannon": (1.3070, 1.7542),
    "jeffrey": (1.3218, 1.7034),
    "pearson": (0.5737, 1.9274),
}


@pytest.mark.parametrize("kind", ["kl", "reverse_kl", "jeffrey", "pearson", "neyman", "squared_hellinger", "alpha"])
def test_quadrature_equals_the_closed_form_between_gaussians(kind):
    expected = gaussian_divergence(0.7, 1.69, 0.2, 1.5**2, kind)
    assert divergence_from_gaussian(ONE, 0.2, 1.5, kind).item() == pytest.approx(expected.item(), rel=1e-9)


@pytest.mark.parametrize("kind", list(DIVERGENCES))
def test_a_gaussian_is_its_own_best_fit(kind):
    fit = fit_gaussian(ONE, kind)
    assert (fit.mean, fit.deviation) == pytest.approx((0.7, 1.3), abs=2e-4)
    assert fit.value == pytest.approx(-math.log(4.0) if kind == "gan" else 0.0, abs=1e-6)


@pytest.mark.parametrize("mixture", [TWO_MODES, F_GAN_MIXTURE, FAR])
def test_forward_kl_matches_moments_from_every_start(mixture):
    fit = fit_gaussian(mixture, "kl")
    mean = mixture.weights @ mixture.means
    variance = mixture.weights @ (mixture.deviations**2 + (mixture.means - mean) ** 2)
    assert (fit.mean, fit.deviation) == pytest.approx((mean.item(), math.sqrt(variance.item())), abs=1e-5)
    # All descents converged to the same minimum.
    assert len(fit.minima) == 1


def test_reverse_kl_fits_one_mode_at_minus_its_log_weight():
    fit = fit_gaussian(FAR, "reverse_kl")
    assert (fit.mean, fit.deviation, fit.value) == pytest.approx((-5.0, 0.6, -math.log(0.6)), abs=1e-5)
    assert fit.minima[1] == pytest.approx((5.0, 0.6, -math.log(0.4)), abs=1e-5)


def test_jensen_shannon_covers_near_modes_and_seeks_one_of_distant_ones():
    near, far = fit_gaussian(TWO_MODES, "jensen_shannon"), fit_gaussian(FAR, "jensen_shannon")
    assert near.mean == pytest.approx(TWO_MODES.mean, abs=0.05)
    assert near.deviation > 1.9
    assert (far.mean, far.deviation) == pytest.approx((-5.0, 0.6), abs=1e-3)
    # Q on one of two disjoint parts of weight w: with m = (1 + w)/2, w log(w/m) + (1 - w) log 2 - log m.
    w, m = 0.6, 0.8
    assert far.value == pytest.approx(w * math.log(w / m) + (1 - w) * math.log(2) - math.log(m), abs=1e-4)


def test_chi_squares_are_more_extreme_than_kl():
    fits = fit_gaussians(F_GAN_MIXTURE, ["pearson", "kl", "jensen_shannon", "reverse_kl", "neyman"])
    deviations = [fit.deviation for fit in fits.values()]
    assert deviations == sorted(deviations, reverse=True)


def test_divergences_that_differ_by_a_factor_have_the_same_fit():
    fits = fit_gaussians(F_GAN_MIXTURE, ["jensen_shannon", "weighted_jensen_shannon", "gan"])
    assert list(fits) == ["jensen_shannon", "weighted_jensen_shannon:pi=0.5", "gan"]
    first, half, shifted = fits.values()
    assert (half.mean, half.deviation) == pytest.approx((first.mean, first.deviation), abs=1e-4)
    assert (shifted.mean, shifted.deviation) == pytest.approx((first.mean, first.deviation), abs=1e-4)
    assert half.value == pytest.approx(first.value / 2)
    assert shifted.value == pytest.approx(first.value - math.log(4.0))


def test_direct_minima_equal_the_published_table():
    for kind, (mean, deviation) in TABLE_2.items():
        fit = fit_gaussian(F_GAN_MIXTURE, kind)
        assert (fit.mean, fit.deviation) == pytest.approx((mean, deviation), abs=0.01), kind


def test_each_fit_is_the_best_by_its_own_divergence():
    kinds = [kind for kind in DIVERGENCES if kind != "alpha"]
    fits = fit_gaussians(F_GAN_MIXTURE, kinds)
    values = divergence_matrix(F_GAN_MIXTURE, [(fit.mean, fit.deviation) for fit in fits.values()], kinds)
    assert values.shape == (10, 10)
    assert bool((values.diagonal() <= values.min(dim=0).values + 1e-7).all())
    assert values.diagonal().tolist() == pytest.approx([fit.value for fit in fits.values()])


def test_an_integral_that_does_not_exist_is_infinite():
    # p²/q with q narrower than p by more than the square root of 2; q²/p with q wider by as much.
    values = divergence_matrix(ONE, [(0.7, 0.8), (0.7, 2.0)], ["pearson", "neyman", "kl"])
    assert values.isinf().tolist() == [[True, False, False], [False, True, False]]


def test_a_divergence_without_a_finite_minimum_is_refused():
    # The narrow mode makes p^60 q^-59 so large that no descent converges.
    with pytest.raises(NumericError, match="converged to a finite minimum"):
        fit_gaussian(LineMixture.of([0.5, 0.5], [-1.0, 1.0], [3.0, 0.05]), "alpha:alpha=60")


def test_invalid_mixtures_are_refused():
    with pytest.raises(UsageError, match=r"must both have shape \(K,\)"):
        LineMixture.of([1.0], [0.0, 1.0], [1.0])
    with pytest.raises(UsageError, match="deviations must be above 0, not 0"):
        LineMixture.of([0.5, 0.5], [0.0, 1.0], [1.0, 0.0])
    with pytest.raises(UsageError, match="at least one Gaussian"):
        divergence_matrix(ONE, [], ["kl"])


def test_stratified_samples_have_the_mixtures_distribution():
    points = TWO_MODES.sample(4000, torch.Generator().manual_seed(0))
    assert points.shape == (4000, 1)
    assert points.dtype == torch.float32
    assert points.mean().item() == pytest.approx(TWO_MODES.mean, abs=2e-3)
    assert points.std().item() == pytest.approx(TWO_MODES.deviation, abs=3e-3)
    assert (points < 0).double().mean().item() == pytest.approx(0.6, abs=1e-3)
    levels = stratified(10, torch.Generator().manual_seed(1))
    assert sorted((levels * 10).floor().int().tolist()) == list(range(10))
    assert levels.tolist() != sorted(levels.tolist())


def test_the_density_of_a_mixture_integrates_to_one():
    x = F_GAN_MIXTURE.grid()
    density = F_GAN_MIXTURE.log_density(x).exp()
    assert np.trapezoid(density.numpy(), x.numpy()) == pytest.approx(1.0, abs=1e-12)


def test_an_f_gan_converges_to_the_direct_fit():
    direct, fgan = fit_gaussian(F_GAN_MIXTURE, "reverse_kl"), fit_by_fgan(F_GAN_MIXTURE, "reverse_kl")
    assert (fgan.mean, fgan.deviation) == pytest.approx((direct.mean, direct.deviation), abs=0.03)
    assert fgan.estimate == pytest.approx(direct.value, abs=0.01)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [kind for kind in SMOOTH if kind != "reverse_kl"])
def test_every_f_gan_converges_to_the_direct_fit(kind):
    direct, fgan = fit_gaussian(F_GAN_MIXTURE, kind), fit_by_fgan(F_GAN_MIXTURE, kind)
    assert (fgan.mean, fgan.deviation) == pytest.approx((direct.mean, direct.deviation), abs=0.03)
    assert fgan.estimate == pytest.approx(direct.value, abs=0.025)


# The divergences whose weighted sum has the gradient of -E T(fake) at the optimal critic: - ∫ grad q f'(p/q).
MINIMISED = {
    "kl": (("reverse_kl", 1.0),),
    "reverse_kl": (("neyman", 0.5),),
    "gan": (("reverse_kl", 1.0), ("jensen_shannon", -1.0)),
}


@pytest.mark.parametrize(
    "kind", ["kl", pytest.param("reverse_kl", marks=pytest.mark.slow), pytest.param("gan", marks=pytest.mark.slow)]
)
def test_the_nonsaturating_loss_minimises_another_divergence(kind):
    def minimised(at):
        parts = (
            weight * divergence_from_gaussian(F_GAN_MIXTURE, at[0], math.exp(at[1]), row).item()
            for row, weight in MINIMISED[kind]
        )
        return sum(parts)

    start = [F_GAN_MIXTURE.mean, math.log(F_GAN_MIXTURE.deviation)]
    mean, log_deviation = minimize(minimised, start, method="Nelder-Mead").x
    fgan = fit_by_fgan(F_GAN_MIXTURE, kind, generator="nonsaturating")
    assert (fgan.mean, fgan.deviation) == pytest.approx((mean, math.exp(log_deviation)), abs=0.04)
    own = fit_gaussian(F_GAN_MIXTURE, kind)
    assert abs(fgan.mean - own.mean) > 0.2


def test_an_f_gan_of_a_divergence_that_is_not_smooth_is_refused():
    with pytest.raises(UsageError, match="saturates, and the generator gets no gradient"):
        fit_by_fgan(F_GAN_MIXTURE, "total_variation")
    with pytest.raises(UsageError, match="generator_steps must be at least 1, not 0"):
        fit_by_fgan(F_GAN_MIXTURE, "kl", generator_steps=0)
