"""Kantorovich-Rubinstein duality with a neural critic: lower bounds of W1 from its scores.

W1(P, Q) = sup over 1-Lipschitz f of E_P f - E_Q f. The Lipschitz constant K of a network is unknown, and its estimate
E_P f - E_Q f bounds W1 only after division by an upper bound of K. This module computes three such bounds, and the
bound of `certified_dual`, which needs no Lipschitz constant.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from wgan.system.torch_state import usable
from wgan.transport.c_transform import HELD, SEARCHED, CertifiedDual, certified_dual
from wgan.transport.certificates import Transport
from wgan.transport.exact import exact
from wgan.transport.lipschitz import Critic, layer_bound, scores_of, steepest_gradient, steepest_secant
from wgan.transport.measures import Array, as_pair, as_weights

CLIMB_STEPS = 20
"""Steps in the search for the steepest gradient."""

_STRIDES = (2**0.5, 3**0.5, 5**0.5)


@dataclass(frozen=True, kw_only=True)
class CriticDual:
    """Lower bounds of W1 between two samples from a critic, with the Lipschitz constants behind them.

    For a positive estimate and up to rounding, by_layers <= by_measured <= by_secant <= certified.value <= W1.

    Attributes:
        certified: The bound by c-transforms, which needs no Lipschitz constant.
        estimate: E f(x) - E f(y), 0-d, float64: the usual estimate, in the units of the critic.
        secant_slope: max |f(x_i) - f(y_j)| / ||x_i - y_j|| over all pairs: the Lipschitz constant between the samples,
            a lower bound of that of f.
        gradient_norm: The largest norm of f's gradient that a search found, a lower bound of the Lipschitz constant of
            f. None if the scores have no gradient.
        lipschitz_bound: The product of the layers' norms, an upper bound of the Lipschitz constant of f; None if f is
            not a chain of layers with known constants.
        by_secant: The estimate divided by `secant_slope`, 0-d, float64, in the units of the samples.
        by_measured: The estimate divided by `measured_lipschitz`.
        by_layers: The estimate divided by `lipschitz_bound`; None if that is unknown.
        exact: The solved transport problem; None if it was not requested.
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
        """The larger of `secant_slope` and `gradient_norm`, a lower bound of the Lipschitz constant."""
        return max(self.secant_slope, self.gradient_norm or 0.0)

    @property
    def gap(self) -> float | None:
        """The exact distance minus the certified bound, in the units of the samples; None if `exact` is None."""
        return None if self.exact is None else float(self.exact.distance - self.certified.value)

    @property
    def efficiency(self) -> float | None:
        """The certified bound divided by the exact distance, at most 1; 1 if the distance is 0."""
        if self.exact is None:
            return None
        distance = float(self.exact.distance)
        return float(self.certified.value) / distance if distance > 0 else 1.0


@torch.inference_mode(mode=False)  # inference mode would rule out gradients of the critic
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
    """The Kantorovich-Rubinstein dual of W1 between two samples for a given critic.

    Let E = sum_i a_i f(x_i) - sum_j b_j f(y_j), and |f(x_i) - f(y_j)| <= K ||x_i - y_j|| for all pairs of the samples.
    Then u_i = f(x_i) / K and v_j = -f(y_j) / K are feasible: u_i + v_j <= ||x_i - y_j||. By weak duality their
    value E / K is a lower bound of W1. Only the samples matter, so the smallest valid K is the steepest secant between
    them. Every larger K is valid too: the Lipschitz constant, an upper bound of it by layers, or the larger of secant
    slope and gradient norm. A gradient norm alone is not valid, since the search may have missed the largest one.

    The c-transform of f / K is at least -f / K if the latter is feasible. The certified bound, which tries the scale
    1 / K, is therefore never below the others.

    If coincident points of both samples have scores that differ by up to e because of rounding, v is lowered by e / K
    to make the potentials feasible. E - e then replaces E.

    Args:
        x: Samples of P, shape (N, ...), as the critic takes them; or (N,) for points on the line, which the critic
            receives as (N, 1).
        y: Samples of Q, shape (M, ...).
        critic: Maps samples to one score each, higher on x. A module is evaluated in evaluation mode, on its device and
            in its dtype; a function receives float64.
        x_weights: Shape (N,), summing to 1; None for equal weights.
        y_weights: Shape (M,), summing to 1; None for equal weights.
        solve: Whether to solve the transport problem as well, for the gap and the efficiency.
        climb_steps: Steps in the search for the steepest gradient.
        searched: Points of each sample in the search for scales (see `certified_dual`).
        held: The most distances in memory at once (see `certified_dual`).

    Returns:
        The estimate, the constants and the bounds. Distances are Euclidean, between flattened samples, in the units of
        their entries. Not differentiable: `certified_dual` is. Without the exact solution, O(N M D) time and O(held)
        memory. The critic needs a forward pass over all samples, a backward pass over twice as many, and `climb_steps`
        double backward passes over 64.

    Raises:
        UsageError: Samples that cannot be compared, invalid weights, or a critic that does not return scores.
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
    inputs_x, inputs_y = first.reshape(-1, *shape), second.reshape(-1, *shape)
    f, g = torch.split(scores_of(critic, torch.cat([inputs_x, inputs_y])), [len(first), len(second)])
    estimate = f @ a - g @ b
    slope, jump = steepest_secant(f, g, first, second, held=held)
    starts = torch.cat([inputs_x, inputs_y, _between(inputs_x, inputs_y)])
    gradient = steepest_gradient(critic, starts, climb_steps=climb_steps)
    bound = layer_bound(critic, torch.cat([inputs_x[:8], inputs_y[:8]])) if isinstance(critic, nn.Module) else None
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
    """The estimate divided by a Lipschitz constant; 0, always a valid bound, if the constant is 0."""
    return estimate / constant if constant > 0 else torch.zeros_like(estimate)


def _between(x: Tensor, y: Tensor) -> Tensor:
    """Points on segments between the samples, as many as in the larger sample, evenly spread over all pairs."""
    num = max(len(x), len(y))
    number = torch.arange(1, num + 1, dtype=torch.float64, device=x.device)
    # Multiples of independent irrational numbers fill the cube of (row, column, share) evenly.
    row, column, share = (number * step % 1.0 for step in _STRIDES)
    first = x[(row * len(x)).long().clamp(max=len(x) - 1)]
    second = y[(column * len(y)).long().clamp(max=len(y) - 1)]
    return torch.lerp(first, second, share.reshape(-1, *[1] * (x.dim() - 1)))
