"""A Gaussian fitted to a mixture by each f-divergence, by direct minimisation. Some cover all modes, some seek one.

KL(P‖Q) is large where the data has mass and the model has none. Its minimum covers all modes, with the mean and the
variance of the mixture. KL(Q‖P) is large where the model has mass and the data has none. Its minima are at single
modes. The other divergences are between the two.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from wgan.divergences import DIVERGENCES, Divergence, as_divergence
from wgan.errors import NumericError, UsageError
from wgan.studies.failures.mixtures import LineMixture, gaussian_log_density
from wgan.system.threads import on_threads
from wgan.system.torch_state import in_default_state

_LARGEST_LOG_RATIO = 650.0
"""Density ratios are clamped to e to this power, so that they do not overflow; no minimum is near them."""
_TOLERANCE = 1e-4
"""Relative change of a value with the range of integration, up to which the integral exists; absolute below 1."""
_FLAT = 1e-3
"""Gradient, relative to the value, up to which a descent has converged."""
_APART = 0.05
"""Minima closer than this are the same."""


@dataclass(frozen=True, kw_only=True)
class GaussianFit:
    """The Gaussian of least divergence from a mixture.

    Attributes:
        divergence: Name of the divergence.
        mean: Mean of the Gaussian.
        deviation: Standard deviation of the Gaussian.
        value: The divergence at the minimum, in nats.
        minima: All local minima found, (mean, deviation, value), the best first.
    """

    divergence: str
    mean: float
    deviation: float
    value: float
    minima: tuple[tuple[float, float, float], ...]


def divergence_from_gaussian(
    mixture: LineMixture,
    mean: Tensor | float,
    deviation: Tensor | float,
    kind: Divergence | str,
    *,
    reach: float = 12.0,
) -> Tensor:
    """D(P‖Q) on the line by quadrature, P a mixture and Q one Gaussian.

    The trapezoid rule on the mixture's grid. For smooth integrands that vanish at both ends, its error decreases faster
    than any power of the grid spacing.

    Args:
        mixture: P.
        mean: Mean of Q.
        deviation: Standard deviation of Q, above 0. The grid does not resolve less than a fifth of the narrowest
            mode's.
        kind: A divergence, or its name.
        reach: Extent of the grid, as in `LineMixture.grid`.

    Returns:
        0-d, float64, in nats, differentiable with respect to mean and deviation. If the integral does not exist, the
        value is finite, large, and grows with `reach`.

    Raises:
        UsageError: An unknown divergence.

    Cost: O(K) times the grid's size, 4,001 or more, in time and memory, for K modes.
    """
    row = as_divergence(kind)
    x = mixture.grid(reach=reach)
    centre, width = (torch.as_tensor(value, dtype=torch.float64) for value in (mean, deviation))
    log_p, log_q = mixture.log_density(x), gaussian_log_density(x, centre, width)
    log_ratio = (log_p - log_q).clamp(-_LARGEST_LOG_RATIO, _LARGEST_LOG_RATIO)
    # The ratio is formed so that it is at most 1.
    p_is_larger = log_ratio > 0
    below, above = torch.where(p_is_larger, 0.0, log_ratio).exp(), torch.where(p_is_larger, -log_ratio, 0.0).exp()
    integrand = torch.where(p_is_larger, log_p.exp() * row.reverse.f(above), log_q.exp() * row.f(below))
    return torch.trapezoid(integrand, x)


@in_default_state
@on_threads(1)  # more threads do not help on grids of some thousand points
def fit_gaussian(mixture: LineMixture, kind: Divergence | str) -> GaussianFit:
    """The Gaussian of least divergence from a mixture, by direct minimisation from several starts.

    argmin over (mean, deviation) of D(mixture‖N(mean, deviation²)). Descents by gradient start from every mode, from
    the moments of the mixture, and half-way between. The best result is refined without gradients, for divergences
    that are not smooth.

    Args:
        mixture: P.
        kind: A divergence, or its name.

    Returns:
        The best fit, and the other minima.

    Raises:
        UsageError: An unknown divergence.
        NumericError: The minimum depends on the range of integration: the divergence is infinite there.

    Cost: Some 300 quadratures, half a second.

    Source: Minka (2005), Divergence measures and message passing, for which modes each divergence covers; Nowozin,
        Cseke and Tomioka (2016), table 2, for the design.
    """
    from scipy.optimize import minimize

    row = as_divergence(kind)
    min_deviation, whole = float(mixture.deviations.min()) / 5.0, (mixture.mean, mixture.deviation)
    modes = list(zip(mixture.means.tolist(), mixture.deviations.tolist(), strict=True))
    between = [((mean + whole[0]) / 2, (deviation + whole[1]) / 2) for mean, deviation in modes]
    bounds = [
        (float(mixture.means.min()) - whole[1], float(mixture.means.max()) + whole[1]),
        (np.log(min_deviation), np.log(4.0 * whole[1])),
    ]

    def value_and_gradient(position: np.ndarray) -> tuple[float, np.ndarray]:
        parameters = torch.tensor(position, dtype=torch.float64, requires_grad=True, device="cpu")
        value = divergence_from_gaussian(mixture, parameters[0], parameters[1].exp(), row)
        (gradient,) = torch.autograd.grad(value, parameters)
        return float(value.detach()), gradient.numpy()

    found = []
    for mean, deviation in [*modes, whole, *between]:
        start = np.array([mean, np.log(deviation)])
        descended = minimize(value_and_gradient, start, jac=True, method="L-BFGS-B", bounds=bounds)
        if np.isfinite(descended.fun) and np.abs(descended.jac).max() <= _FLAT * max(1.0, abs(descended.fun)):
            found.append((float(descended.x[0]), float(np.exp(descended.x[1])), float(descended.fun)))
    if not found:
        raise NumericError(
            f"no descent by {row.word} converged to a finite minimum", remedy="Fit by another divergence."
        )
    mean, deviation, _ = min(found, key=lambda minimum: minimum[2])
    polished = minimize(
        lambda position: value_and_gradient(position)[0],
        np.array([mean, np.log(deviation)]),
        method="Nelder-Mead",
        bounds=bounds,
        options={"xatol": 1e-7, "fatol": 1e-13},
    )
    best = (float(polished.x[0]), float(np.exp(polished.x[1])), float(polished.fun))
    wider = float(divergence_from_gaussian(mixture, best[0], best[1], row, reach=18.0))
    if not abs(wider - best[2]) <= _TOLERANCE * max(1.0, abs(best[2])):
        raise NumericError(
            f"{row.word} at its minimum is {best[2]:.6g} on one range and {wider:.6g} on a wider one: the integral "
            "does not exist",
            remedy="Fit by another divergence.",
        )
    return GaussianFit(
        divergence=row.word, mean=best[0], deviation=best[1], value=best[2], minima=_distinct([best, *found])
    )


@in_default_state
def fit_gaussians(
    mixture: LineMixture, kinds: Iterable[Divergence | str] = tuple(DIVERGENCES)
) -> dict[str, GaussianFit]:
    """`fit_gaussian` by each divergence: name to fit."""
    fits = [fit_gaussian(mixture, kind) for kind in kinds]
    return {fit.divergence: fit for fit in fits}


@in_default_state
@on_threads(1)
def divergence_matrix(
    mixture: LineMixture, gaussians: Sequence[tuple[float, float]], kinds: Sequence[Divergence | str]
) -> Tensor:
    """The divergence of each Gaussian from the mixture, by each divergence.

    Args:
        mixture: P.
        gaussians: Mean and standard deviation of each.
        kinds: Divergences, or their names.

    Returns:
        Shape (len(gaussians), len(kinds)), float64, in nats; +inf where the integral does not exist. Each
        fit has the least value in the column of its own divergence.

    Source: Nowozin, Cseke and Tomioka (2016), table 2, lower half.
    """
    if not gaussians or not kinds:
        raise UsageError("divergence_matrix needs at least one Gaussian and one divergence")
    values = torch.empty(len(gaussians), len(kinds), dtype=torch.float64, device="cpu")
    for i, (mean, deviation) in enumerate(gaussians):
        for j, kind in enumerate(kinds):
            value = divergence_from_gaussian(mixture, mean, deviation, kind)
            wider = divergence_from_gaussian(mixture, mean, deviation, kind, reach=18.0)
            exists = abs(float(wider - value)) <= _TOLERANCE * max(1.0, abs(float(value)))
            values[i, j] = value if exists else torch.inf
    return values


def _distinct(minima: Sequence[tuple[float, float, float]]) -> tuple[tuple[float, float, float], ...]:
    """The distinct minima, the best first."""
    kept: list[tuple[float, float, float]] = []
    for minimum in sorted(minima, key=lambda minimum: minimum[2]):
        if all(max(abs(minimum[0] - other[0]), abs(minimum[1] - other[1])) > _APART for other in kept):
            kept.append(minimum)
    return tuple(kept)
