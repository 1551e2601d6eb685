"""One Gaussian fitted to a mixture by each f-divergence: some cover every mode, some choose one.

The forward Kullback-Leibler divergence KL(P‖Q) pays where the data has mass and the model none, so its minimum covers
all modes, with the mixture's own mean and variance. The reverse one, KL(Q‖P), pays where the model has mass and the
data none, so its minima sit on single modes. The others lie between the two.
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
from wgan.system.torch_state import in_usual_state

_LARGEST_LOG_RATIO = 650.0
"""Ratios p/q beyond e to this power count as that, lest they overflow; there is no minimum anywhere near them."""
_TOLERANCE = 1e-4
"""By how much of itself, or of 1, a value may change with the range of integration."""
_FLAT = 1e-3
"""Slope, relative to the value, at which a descent counts as having come to rest."""
_APART = 0.05
"""Minima closer than this are one."""


@dataclass(frozen=True, kw_only=True)
class GaussianFit:
    """The Gaussian that is nearest to a mixture.

    Attributes:
        divergence: The row's word.
        mean: Of the Gaussian.
        deviation: Its standard deviation.
        value: The divergence that is left, in nats.
        minima: Every place where a descent came to rest, (mean, deviation, value), the best first.
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

    The trapezoid rule on the mixture's grid: for smooth integrands that die out at both ends its error falls faster
    than any power of the distance between places.

    Args:
        mixture: P.
        mean: Of Q.
        deviation: Of Q, above 0; below a fifth of the narrowest mode's, Q falls between the places.
        kind: A row of the table, or its word.
        reach: How far the grid goes, as in `LineMixture.grid`.

    Returns:
        0-d, float64, in nats, differentiable with respect to mean and deviation. Where the integral does not exist it
        is what the range makes of it: finite, large, and growing with `reach`.

    Raises:
        UsageError: An unknown divergence.

    Cost: O(K) times the grid's size, 4,001 or more, in time and memory, for K modes.
    """
    row = as_divergence(kind)
    x = mixture.grid(reach=reach)
    centre, width = (torch.as_tensor(value, dtype=torch.float64) for value in (mean, deviation))
    log_p, log_q = mixture.log_density(x), gaussian_log_density(x, centre, width)
    log_ratio = (log_p - log_q).clamp(-_LARGEST_LOG_RATIO, _LARGEST_LOG_RATIO)
    # The ratio is formed so that it is at most 1, as between discrete distributions.
    p_leads = log_ratio > 0
    below, above = torch.where(p_leads, 0.0, log_ratio).exp(), torch.where(p_leads, -log_ratio, 0.0).exp()
    integrand = torch.where(p_leads, log_p.exp() * row.reverse.f(above), log_q.exp() * row.f(below))
    return torch.trapezoid(integrand, x)


@in_usual_state
@on_threads(1)  # grids of some thousand places gain nothing by more
def fit_gaussian(mixture: LineMixture, kind: Divergence | str) -> GaussianFit:
    """The Gaussian of least divergence from a mixture, by direct minimisation from several starts.

    argmin over (mean, deviation) of D(mixture‖N(mean, deviation²)). Starts are every mode, the moments of the whole,
    and half way between; each goes down by its gradient, and the best is polished without gradients, for divergences
    with kinks.

    Args:
        mixture: What is fitted to.
        kind: A row of the table, or its word.

    Returns:
        The best fit, with the other minima.

    Raises:
        UsageError: An unknown divergence.
        NumericError: The minimum moves with the range of integration: the divergence is infinite there.

    Cost: Some 300 quadratures, half a second.

    Source: Minka (2005), Divergence measures and message passing, for what each divergence gives up; Nowozin, Cseke and
        Tomioka (2016), table 2, for the design.
    """
    from scipy.optimize import minimize

    row = as_divergence(kind)
    lowest, whole = float(mixture.deviations.min()) / 5.0, (mixture.mean, mixture.deviation)
    modes = list(zip(mixture.means.tolist(), mixture.deviations.tolist(), strict=True))
    between = [((mean + whole[0]) / 2, (deviation + whole[1]) / 2) for mean, deviation in modes]
    bounds = [
        (float(mixture.means.min()) - whole[1], float(mixture.means.max()) + whole[1]),
        (np.log(lowest), np.log(4.0 * whole[1])),
    ]

    def value_and_slope(at: np.ndarray) -> tuple[float, np.ndarray]:
        parameters = torch.tensor(at, dtype=torch.float64, requires_grad=True, device="cpu")
        value = divergence_from_gaussian(mixture, parameters[0], parameters[1].exp(), row)
        (slope,) = torch.autograd.grad(value, parameters)
        return float(value.detach()), slope.numpy()

    found = []
    for mean, deviation in [*modes, whole, *between]:
        start = np.array([mean, np.log(deviation)])
        descended = minimize(value_and_slope, start, jac=True, method="L-BFGS-B", bounds=bounds)
        if np.isfinite(descended.fun) and np.abs(descended.jac).max() <= _FLAT * max(1.0, abs(descended.fun)):
            found.append((float(descended.x[0]), float(np.exp(descended.x[1])), float(descended.fun)))
    if not found:
        raise NumericError(
            f"no descent by {row.word} came to rest at a finite minimum", remedy="Fit by another divergence."
        )
    mean, deviation, _ = min(found, key=lambda minimum: minimum[2])
    polished = minimize(
        lambda at: value_and_slope(at)[0],
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


@in_usual_state
def fit_gaussians(
    mixture: LineMixture, kinds: Iterable[Divergence | str] = tuple(DIVERGENCES)
) -> dict[str, GaussianFit]:
    """The best Gaussian by each divergence, by word: `fit_gaussian` for every row of the table, or for some."""
    fits = [fit_gaussian(mixture, kind) for kind in kinds]
    return {fit.divergence: fit for fit in fits}


@in_usual_state
@on_threads(1)
def judged_by_all(
    mixture: LineMixture, gaussians: Sequence[tuple[float, float]], kinds: Sequence[Divergence | str]
) -> Tensor:
    """How far each Gaussian is from the mixture by each divergence.

    Args:
        mixture: P.
        gaussians: Mean and deviation of each.
        kinds: Rows of the table, or their words.

    Returns:
        Shape (len(gaussians), len(kinds)), float64, in nats; +inf where the integral does not exist. A fit is best in
        the column that it was fitted by.

    Source: Nowozin, Cseke and Tomioka (2016), table 2, lower half.
    """
    if not gaussians or not kinds:
        raise UsageError("judged_by_all needs at least one Gaussian and one divergence")
    values = torch.empty(len(gaussians), len(kinds), dtype=torch.float64, device="cpu")
    for i, (mean, deviation) in enumerate(gaussians):
        for j, kind in enumerate(kinds):
            value = divergence_from_gaussian(mixture, mean, deviation, kind)
            wider = divergence_from_gaussian(mixture, mean, deviation, kind, reach=18.0)
            exists = abs(float(wider - value)) <= _TOLERANCE * max(1.0, abs(float(value)))
            values[i, j] = value if exists else torch.inf
    return values


def _distinct(minima: Sequence[tuple[float, float, float]]) -> tuple[tuple[float, float, float], ...]:
    """The minima without repetitions, the best first."""
    kept: list[tuple[float, float, float]] = []
    for minimum in sorted(minima, key=lambda minimum: minimum[2]):
        if all(max(abs(minimum[0] - other[0]), abs(minimum[1] - other[1])) > _APART for other in kept):
            kept.append(minimum)
    return tuple(kept)
