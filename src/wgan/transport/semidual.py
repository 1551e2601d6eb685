"""Optimal transport from a stream of samples to a finite set, by stochastic gradient ascent on the semi-dual.

    max over g in R^M of  E_{x ~ source}[f(x)] + <b, g>

    f(x) = min_j (c(x, y_j) - g_j)                                        epsilon = 0: semi-discrete transport
    f(x) = -eps log sum_j b_j exp((g_j - c(x, y_j)) / eps)                epsilon > 0: with entropy

The target potential g is a vector of length M, and the source potential f follows from it at any point. No plan is
stored, and each batch of samples is used once. The gradient with respect to g_j is b_j minus the share of the batch
that is assigned to y_j.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

import torch
from torch import Tensor

from wgan.errors import NumericError, UsageError
from wgan.transport.costs import Cost, cost_matrix, is_matrix, zero_forbidden
from wgan.transport.measures import Array, as_points, as_weights, refuse_beyond_memory

Sampler: TypeAlias = Callable[[int, torch.Generator], Tensor]
"""Draws samples: maps (num, rng) to a tensor of shape (num, ...)."""

# The first step size in units of the costs' spread times sqrt(M), and the exponent of the weights of the iterates in
# their average: see `semidual`.
_STEP_FACTOR = 1.6
_AVERAGING_POWER = 3.0
_NUM_RECORDS = 100
_MATRICES = 5


@dataclass(frozen=True, kw_only=True)
class Targets:
    """The finite side of a semi-discrete problem, with the cost.

    Attributes:
        points: y, shape (M, D), float64.
        weights: b, shape (M,), above 0.
        cost: "euclidean", "squared", "manhattan", or a function of points.
        p: The power of the distance.
        epsilon: Regularisation strength, in units of the cost; 0 for none.
    """

    points: Tensor = field(repr=False)
    weights: Tensor = field(repr=False)
    cost: Cost
    p: float
    epsilon: float

    def transform(self, x: Tensor, potential: Tensor) -> tuple[Tensor, Tensor]:
        """The source potential that is optimal for a target potential, and the assignment of points to targets.

        Args:
            x: Shape (N, D), float64.
            potential: g, shape (M,).

        Returns:
            f, shape (N,), in units of the cost, differentiable; and the share of each point's mass that goes to each
            target, shape (N, M). O(N M D) time, O(N M) memory.
        """
        costs = cost_matrix(x, self.points, self.cost, self.p)
        if self.epsilon == 0.0:
            least, nearest = (costs - potential).min(dim=1)
            _check_reachable(least)
            return least, torch.nn.functional.one_hot(nearest, len(potential)).to(torch.float64)
        exponents = (potential - costs) / self.epsilon + self.weights.log()
        total = torch.logsumexp(exponents, dim=1)
        _check_reachable(-total)
        return -self.epsilon * total, torch.exp(exponents.detach() - total.detach()[:, None])


@dataclass(frozen=True, kw_only=True)
class SemiDual:
    """The result of stochastic gradient ascent.

    Attributes:
        value: The semi-dual at the potential, 0-d, float64, in units of the cost: estimated from new samples, or exact
            if the source is a set of points. For any potential its expectation is a lower bound of the true cost (of
            OT_eps if epsilon > 0). Not differentiable.
        standard_error: The standard error of the value over the new samples; 0.0 if it is exact. It does not include
            the error of the potential.
        target_potential: g, shape (M,).
        targets: Points, weights, cost and epsilon.
        marginal_error: sum_j |share_j - b_j|, where share_j is the share of new samples assigned to y_j. At the optimum
            it is 0 up to sqrt(2 M / (pi n)) for n new samples. Points with two nearest targets, as in one dimension
            with p = 1, can make it larger.
        trajectory: The semi-dual at the averaged potential during the ascent, on batches not yet used, shape (K,).
        trajectory_steps: The numbers of steps before each entry, shape (K,), int64.
        step_size: The first step size, in units of the cost.
        num_steps: The number of batches.
    """

    value: Tensor
    standard_error: float
    target_potential: Tensor = field(repr=False)
    targets: Targets
    marginal_error: float
    trajectory: Tensor = field(repr=False)
    trajectory_steps: Tensor = field(repr=False)
    step_size: float
    num_steps: int

    def source_potential(self, x: Array) -> Tensor:
        """The potential f at any points, also new ones. Mass at x moves in the direction of -grad f(x).

        For epsilon = 0 and the cost "squared", x - grad f(x) / 2 is the target of x.

        Args:
            x: Shape (N, ...); samples are flattened.

        Returns:
            Shape (N,), float64, in units of the cost, differentiable with respect to x. O(N M D) time, O(N M) memory.

        Raises:
            UsageError: Points of the wrong dimension, or more than fit in memory.
            NumericError: Points that are not finite.
        """
        points = _check_dimension(as_points(x, "x"), self.targets.points, "x")
        return self.targets.transform(points, self.target_potential)[0]


def semidual(
    source: Sampler | Array,
    y: Array,
    cost: Cost = "euclidean",
    p: float = 1.0,
    *,
    rng: torch.Generator,
    x_weights: Array | None = None,
    y_weights: Array | None = None,
    epsilon: float = 0.0,
    num_steps: int = 2000,
    batch_size: int = 256,
    step_size: float | None = None,
    num_test: int = 10_000,
) -> SemiDual:
    """Transport from a stream of samples to a finite set, by averaged stochastic gradient ascent on the semi-dual.

    g_k = g_(k-1) + C / sqrt(k) (b - shares of batch k). The result is a weighted average of all g_k.

    The first step size C defaults to 1.6 s sqrt(M), where s is the mean standard deviation of a sample's costs over the
    targets: potentials differ by about s in each of the M directions. The weight of g_k in the average grows like k^3
    (Shamir and Zhang 2013), since equal weights retain the influence of the start. Measured with 100 to 1,000 targets
    in 2 and 16 dimensions and batches of 32 and 256: after 2,000 steps this C was within 0.1 % of the best of four, and
    equal weights were up to 2.3 % worse than k^3.

    Args:
        source: A function (num, rng) that draws samples, shape (num, ...); or a set of points, shape (N, ...), from
            which batches are drawn with replacement.
        y: Targets, shape (M, ...).
        cost: "euclidean", "squared", "manhattan", or a function of points, which may forbid pairs by infinite costs.
        p: The power of the distance, at least 1.
        rng: Draws the batches of the ascent and then those of the estimate.
        x_weights: Weights of a set of points, summing to 1; None for equal weights. Not for a function.
        y_weights: Shape (M,), above 0, summing to 1; None for equal weights.
        epsilon: Regularisation strength, in units of the cost; 0 for none.
        num_steps: The number of batches.
        batch_size: Samples per batch.
        step_size: C, in units of the cost.
        num_test: New samples for the estimate. For a set of points all of them are used instead.

    Returns:
        Potential, estimate and trajectory, on the device of y. O(num_steps batch_size M D) time and O(batch_size M)
        memory, independent of the size of the source. The error of the value decreases like 1 / sqrt(num_steps), and
        faster with regularisation. If the trajectory still increases, use more steps.

    Raises:
        UsageError: Samples, costs or weights that do not match, arguments out of range, or a batch that does not fit in
            memory.
        NumericError: Numbers that are not finite.

    Source: Genevay, Cuturi, Peyré and Bach (2016), section 4 and algorithm 2.

    Example:
        Uniform on [0, 1] to 0 (a quarter) and 1 (three quarters): W1 = (0.25^2 + 0.75^2) / 2.

        >>> rng = torch.Generator().manual_seed(0)
        >>> draw = lambda num, rng: torch.rand(num, generator=rng)
        >>> found = semidual(draw, [0.0, 1.0], y_weights=[0.25, 0.75], rng=rng)
        >>> abs(float(found.value) - 0.3125) < 4 * found.standard_error
        True
    """
    targets = _as_targets(y, y_weights, cost, p, epsilon)
    _check_arguments(num_steps, batch_size, step_size, num_test, x_weights if callable(source) else None)
    refuse_beyond_memory(
        8 * _MATRICES * batch_size * len(targets.points),
        f"a batch of {batch_size:,} samples against {len(targets.points):,} targets",
        "Take a smaller batch_size.",
    )
    cloud, draw = _as_source(source, x_weights, targets)
    with torch.no_grad():
        if step_size is None:
            step_size = _default_step(draw(batch_size, rng), targets)
        potential, steps, values = _ascend(draw, targets, rng, num_steps, batch_size, step_size)
        if not bool(potential.isfinite().all()):
            raise NumericError(
                f"the ascent diverged beyond float64 with step_size {step_size:.6g}", remedy="Take a smaller one."
            )
        if cloud is None:
            value, standard_error, shares = _estimate(draw, targets, potential, rng, num_test, batch_size)
        else:
            value, shares = _evaluate_on_points(*cloud, targets, potential, batch_size)
            standard_error = 0.0
    return SemiDual(
        value=value,
        standard_error=standard_error,
        target_potential=potential,
        targets=targets,
        marginal_error=float((shares - targets.weights).abs().sum()),
        trajectory=torch.stack(values),
        trajectory_steps=torch.tensor(steps, device="cpu"),
        step_size=step_size,
        num_steps=num_steps,
    )


def _ascend(
    draw: Sampler, targets: Targets, rng: torch.Generator, num_steps: int, batch_size: int, step_size: float
) -> tuple[Tensor, list[int], list[Tensor]]:
    """Algorithm 2 with batches and a weighted average: the average, and the steps and values of the trajectory."""
    weights = targets.weights
    potential = torch.zeros_like(weights)
    average = potential
    steps, values = [], []
    for k in range(1, num_steps + 1):
        x = draw(batch_size, rng)
        if k % math.ceil(num_steps / _NUM_RECORDS) == 0:
            steps.append(k - 1)
            values.append(targets.transform(x, average)[0].mean() + weights @ average)
        shares = targets.transform(x, potential)[1].mean(dim=0)
        potential = potential + step_size / math.sqrt(k) * (weights - shares)
        average = average + (_AVERAGING_POWER + 1) / (_AVERAGING_POWER + k) * (potential - average)
    return average, steps, values


def _estimate(
    draw: Sampler, targets: Targets, potential: Tensor, rng: torch.Generator, num_test: int, batch_size: int
) -> tuple[Tensor, float, Tensor]:
    parts, shares = [], torch.zeros_like(potential)
    for start in range(0, num_test, batch_size):
        f, share = targets.transform(draw(min(batch_size, num_test - start), rng), potential)
        parts.append(f)
        shares += share.sum(dim=0)
    f = torch.cat(parts)
    value = f.mean() + targets.weights @ potential
    return value, float(f.std()) / math.sqrt(num_test), shares / num_test


def _evaluate_on_points(
    points: Tensor, weights: Tensor, targets: Targets, potential: Tensor, batch_size: int
) -> tuple[Tensor, Tensor]:
    value, shares = targets.weights @ potential, torch.zeros_like(potential)
    for start in range(0, len(points), batch_size):
        batch = slice(start, start + batch_size)
        f, share = targets.transform(points[batch], potential)
        value = value + weights[batch] @ f
        shares += weights[batch] @ share
    return value, shares


def _default_step(x: Tensor, targets: Targets) -> float:
    costs = cost_matrix(x, targets.points, targets.cost, targets.p)
    allowed = (costs != torch.inf).to(costs.dtype)
    num, known = allowed.sum(dim=1, keepdim=True), zero_forbidden(costs)
    mean = known.sum(dim=1, keepdim=True) / num
    spread = float((((known - mean) * allowed).square().sum(dim=1, keepdim=True) / num).sqrt().nan_to_num().mean())
    # With a single target or equal costs, all potentials are equally good.
    return _STEP_FACTOR * spread * math.sqrt(len(targets.points)) or 1.0


def _check_reachable(least: Tensor) -> None:
    num = int((least.detach() == torch.inf).sum())
    if num:
        raise UsageError(
            f"{num:,} of {len(least):,} samples cannot be moved to any target: all of their costs are infinite",
            remedy="Allow some pair of every sample by a finite cost.",
        )


def _as_targets(y: Array, y_weights: Array | None, cost: Cost, p: float, epsilon: float) -> Targets:
    if is_matrix(cost):
        raise UsageError("a stream has no cost matrix", remedy="Give the cost as a name or as a function of points.")
    if not 0.0 <= epsilon < math.inf:
        raise UsageError(f"epsilon must be at least 0 and finite, not {epsilon}")
    points = as_points(y, "y").detach()
    weights = as_weights(y_weights, len(points), "y_weights").detach().to(points.device)
    if bool((weights == 0).any()):
        raise UsageError(
            f"y_weights must be above 0, but weight {int((weights == 0).nonzero()[0, 0])} is 0",
            remedy="Leave those targets out.",
        )
    return Targets(points=points, weights=weights, cost=cost, p=p, epsilon=epsilon)


def _as_source(
    source: Sampler | Array, x_weights: Array | None, targets: Targets
) -> tuple[tuple[Tensor, Tensor] | None, Sampler]:
    """A set of points with its weights, or None for a stream; and a sampler with checked results."""
    if callable(source):

        def draw(num: int, rng: torch.Generator) -> Tensor:
            x = _check_dimension(as_points(source(num, rng), "the samples"), targets.points, "the samples")
            if len(x) != num:
                raise UsageError(f"the source must draw {num} samples, but drew {len(x)}")
            return x.detach()

        return None, draw
    points = _check_dimension(as_points(source, "source").detach(), targets.points, "source")
    weights = as_weights(x_weights, len(points), "x_weights").detach().to(points.device)
    # Inverting the distribution function works for any number of points; torch.multinomial is limited to 2^24.
    ends = weights.cumsum(dim=0)

    def draw_points(num: int, rng: torch.Generator) -> Tensor:
        levels = torch.rand(num, generator=rng, dtype=torch.float64, device=rng.device).to(points.device) * ends[-1]
        return points[torch.searchsorted(ends, levels, right=True).clamp(max=len(points) - 1)]

    return (points, weights), draw_points


def _check_dimension(x: Tensor, y: Tensor, name: str) -> Tensor:
    if x.shape[1] != y.shape[1]:
        raise UsageError(f"samples of {x.shape[1]} numbers ({name}) cannot be moved to targets of {y.shape[1]} (y)")
    return x.to(y.device)


def _check_arguments(
    num_steps: int, batch_size: int, step_size: float | None, num_test: int, x_weights: Array | None
) -> None:
    for name, value, least in (("num_steps", num_steps, 1), ("batch_size", batch_size, 1), ("num_test", num_test, 2)):
        if value < least:
            raise UsageError(f"{name} must be at least {least}, not {value}")
    if step_size is not None and not 0.0 < step_size < math.inf:
        raise UsageError(f"step_size must be above 0 and finite, not {step_size}")
    if x_weights is not None:
        raise UsageError("x_weights apply to points, not to a function", remedy="Let it sample by the weights.")
