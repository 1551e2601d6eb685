"""Kantorovich-Rubinstein duality with a neural critic: what its scores say of W1, and how much of that can be believed.

W1(P, Q) = sup over 1-Lipschitz f of E_P f - E_Q f. A network is K-Lipschitz for a K that nobody knows, so its estimate
E_P f - E_Q f is in no unit until it is divided by K or by more. Three such numbers are found here, and beside them
stands what needs none: the bound of `certified_dual`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from wgan.ambient import usable
from wgan.measures import Array, as_pair, as_weights
from wgan.transport.c_transform import HELD, SEARCHED, CertifiedDual, certified_dual
from wgan.transport.certificates import Transport
from wgan.transport.exact import exact
from wgan.transport.lipschitz import Critic, layer_bound, scores_of, steepest_gradient, steepest_secant

CLIMB_STEPS = 20
"""Steps in the search for the steepest gradient."""

_IRRATIONAL = (2**0.5, 3**0.5, 5**0.5)


@dataclass(frozen=True, kw_only=True)
class CriticDual:
    """What a critic says of the earth mover's distance between two samples.

    All of these are lower bounds of the exact W1 between the two samples, and with an estimate above 0 they stand, but
    for rounding, in this order: by_layers <= by_measured <= by_secant <= certified.value <= W1.

    Attributes:
        certified: The c-transformed bound: the best that the scores prove, whatever their slope.
        estimate: E f(x) - E f(y), 0-d, float64: the classical estimate, in the units of the critic.
        secant_slope: max |f(x_i) - f(y_j)| / ||x_i - y_j|| over all pairs: the Lipschitz constant that counts on the
            samples, and less than that of f.
        gradient_norm: The largest norm of f's gradient that a search found; less than the Lipschitz constant of f.
            None where scores have no gradient.
        lipschitz_bound: The product of the layers' norms, at least the Lipschitz constant of f; None where f is no
            chain of layers whose constants are known.
        by_secant: The estimate divided by the slope of the secants, 0-d, float64, in the units of the samples.
        by_measured: The estimate divided by the measured Lipschitz constant, which is the larger of the secants' slope
            and the gradient's norm.
        by_layers: The estimate divided by the product of the layers' norms; None where that is not known.
        exact: The transport problem solved; None where it was not asked for.
    """

    certified: CertifiedDual
    estimate: Tensor
    secant_slope: float
    gradient_norm: float | None
    lipschitz_bound: float | None
    by_secant: Tensor
    by_measured: Tensor
    by_layers: Tensor | None
    exact: Transport | None

    @property
    def measured_lipschitz(self) -> float:
        """The steepest slope that was met anywhere, a lower bound of the Lipschitz constant."""
        return max(self.secant_slope, self.gradient_norm or 0.0)

    @property
    def gap(self) -> float | None:
        """The exact distance minus the certified bound, in the units of the samples; None without the exact one."""
        return None if self.exact is None else float(self.exact.distance - self.certified.value)

    @property
    def efficiency(self) -> float | None:
        """The share of the exact distance that the critic proves, at most 1; 1 where there is no distance to prove."""
        if self.exact is None:
            return None
        distance = float(self.exact.distance)
        return float(self.certified.value) / distance if distance > 0 else 1.0


@torch.inference_mode(mode=False)  # in which no gradient of the critic can be had
@torch.no_grad()
def critic_dual(
    x: Array,
    y: Array,
    critic: Critic,
    *,
    x_weights: Array | None = None,
    y_weights: Array | None = None,
    solve: bool = True,
    climb_steps: int = CLIMB_STEPS,
    searched: int = SEARCHED,
    held: int = HELD,
) -> CriticDual:
    """The Kantorovich-Rubinstein dual of W1 between two samples by a given critic, with everything that bounds it.

    The estimate E = sum_i a_i f(x_i) - sum_j b_j f(y_j) over any K with |f(x_i) - f(y_j)| <= K ||x_i - y_j|| for the
    pairs of these samples is a lower bound of their W1: u_i = f(x_i) / K and v_j = -f(y_j) / K satisfy u_i + v_j <=
    ||x_i - y_j||, and every plan costs at least what feasible potentials are worth. What f does elsewhere is of no
    account, so the steepest secant between the samples is the least K that may be taken. Every larger K is allowed as
    well: the Lipschitz constant itself, a bound of it by layers, or the steeper of secants and gradients. A steepest
    gradient alone is not allowed, since no search can know that it has found the steepest.

    The c-transform of f / K dominates -f / K wherever the latter is feasible, so the certified bound, for which 1 / K
    is among the scales, is never below the others.

    Where rounding gives coincident points of both samples scores that differ by at most e, the potentials above are
    feasible after v is lowered by e / K, and E - e stands for E.

    Args:
        x: Samples of P, shape (N, ...): as the critic takes them, or (N,) for points on the line, which the critic sees
            as (N, 1).
        y: Samples of Q, shape (M, ...).
        critic: From samples to one score each, higher on x. A module is judged in evaluation mode, on its device and in
            its precision; a function gets float64.
        x_weights: Shape (N,), summing to 1; None for equal weights.
        y_weights: Shape (M,), summing to 1; None for equal weights.
        solve: Whether to solve the transport problem as well, for the gap and the efficiency.
        climb_steps: Steps in the search for the steepest gradient.
        searched: Points of each sample on which scales are compared (see `certified_dual`).
        held: Distances kept in memory at once (see `certified_dual`).

    Returns:
        Estimate, constants, bounds. Distances are Euclidean, between flattened samples, in the units of their entries.
        Not differentiable: `certified_dual` is. O(N M D) time and O(held) memory without the exact solution, one
        forward pass of the critic over all samples, one backward pass over twice as many, and `climb_steps` double ones
        over 64.

    Raises:
        UsageError: Samples that cannot be compared, wrong weights, or a critic that returns something else than scores.
        NumericError: Samples or scores that are not finite, or a transport problem that was not solved.

    Source: Villani (2009), theorem 5.10 and particular case 5.16; Arjovsky, Chintala and Bottou (2017), equation 2.

    Example:
        >>> x, y = [0.0, 1.0, 2.0], [5.0, 6.0, 7.0]
        >>> dual = critic_dual(x, y, lambda points: -3.0 * points[:, 0])
        >>> float(dual.estimate), dual.secant_slope, float(dual.by_secant), float(dual.certified.value)
        (15.0, 3.0, 5.0, 5.0)
    """
    first, second = map(usable, as_pair(x, y))
    a = as_weights(x_weights, len(first), "x_weights").to(first.device)
    b = as_weights(y_weights, len(second), "y_weights").to(first.device)
    shape = tuple(np.shape(x)[1:]) or (1,)
    seen_x, seen_y = first.reshape(-1, *shape), second.reshape(-1, *shape)
    f, g = torch.split(scores_of(critic, torch.cat([seen_x, seen_y])), [len(first), len(second)])
    estimate = f @ a - g @ b
    slope, jump = steepest_secant(f, g, first, second, held=held)
    starts = torch.cat([seen_x, seen_y, _between(seen_x, seen_y)])
    gradient = steepest_gradient(critic, starts, climb_steps=climb_steps)
    bound = layer_bound(critic, torch.cat([seen_x[:8], seen_y[:8]])) if isinstance(critic, nn.Module) else None
    return CriticDual(
        certified=certified_dual(
            f,
            g,
            first,
            second,
            x_weights=a,
            y_weights=b,
            scales=(1.0 / slope,) if slope > 0 else (),
            searched=searched,
            held=held,
        ),
        estimate=estimate,
        secant_slope=slope,
        gradient_norm=gradient,
        lipschitz_bound=bound,
        by_secant=_over(estimate - jump, slope),
        by_measured=_over(estimate - jump, max(slope, gradient or 0.0)),
        by_layers=None if bound is None else _over(estimate, bound),
        exact=exact(first, second, x_weights=x_weights, y_weights=y_weights) if solve else None,
    )


def _over(estimate: Tensor, constant: float) -> Tensor:
    """The estimate divided by a Lipschitz constant; 0, which is always a bound, for a critic that is flat."""
    return estimate / constant if constant > 0 else torch.zeros_like(estimate)


def _between(x: Tensor, y: Tensor) -> Tensor:
    """Points on straight lines between the samples, as many as the larger sample has, evenly spread over all pairs."""
    num = max(len(x), len(y))
    number = torch.arange(1, num + 1, dtype=torch.float64, device=x.device)
    # Multiples of unrelated irrational numbers fill the cube of (row, column, share) evenly.
    row, column, share = (number * step % 1.0 for step in _IRRATIONAL)
    first = x[(row * len(x)).long().clamp(max=len(x) - 1)]
    second = y[(column * len(y)).long().clamp(max=len(y) - 1)]
    return torch.lerp(first, second, share.reshape(-1, *[1] * (x.dim() - 1)))
