"""Sinkhorn's iterations: the potentials that give exp((f_i + g_j - C_ij) / eps) a_i b_j the marginals a and b.

Potentials are kept as logarithms, the strength falls by halves from the range of the costs, and Newton's method on the
dual takes over where the plain updates become slow. All of it works on tensors without a graph.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from wgan.transport.costs import without_infinity

# How well a set is balanced with itself before the strength is halved again.
_COARSE_TOLERANCE = 1e-2
# Conjugate gradient steps for one Newton step, and the share of the residual to which they solve for it at least.
_GRADIENT_STEPS = 500
_RESIDUAL_SHARES = (1e-2, 1e-1)
# How far a potential may move in one Newton step, in units of the strength: the plan follows exponentially.
_LONGEST_MOVE = 5.0
# Newton steps are cut to a quarter up to so many times; a rise of the dual below the last number is rounding.
_CUTS = 6
_ROUNDING = 1e-13


@dataclass(frozen=True, kw_only=True)
class Balanced:
    """Where the iterations ended.

    Attributes:
        source_potential: f, shape (N,), in units of the cost.
        target_potential: g, shape (M,).
        plan: P_ij = a_i b_j exp((f_i + g_j - C_ij) / epsilon), shape (N, M).
        marginal_error: The L1 distance of its marginals from a and b.
        num_steps: Passes over the cost matrix and back: updates of both potentials, and conjugate gradient steps.
    """

    source_potential: Tensor
    target_potential: Tensor
    plan: Tensor
    marginal_error: float
    num_steps: int


def balance(costs: Tensor, a: Tensor, b: Tensor, epsilon: float, tolerance: float, max_steps: int) -> Balanced:
    """The potentials of two sets.

    Args:
        costs: Shape (N, M), float64; infinite for forbidden pairs, without which some plan is possible.
        a: Source weights, shape (N,).
        b: Target weights, shape (M,).
        epsilon: Strength of the entropy, in units of the cost.
        tolerance: The marginal error to reach.
        max_steps: Where to give up.

    Returns:
        The potentials, of which f was updated last, so that the rows of the plan sum to a. O(N M) time a step.

    Source: Peyré and Cuturi (2019), sections 4.1 and 4.4; the strength: Kosowsky and Yuille (1994); Newton's
    method: Brauer, Clason, Lorenz and Wirth (2017).
    """
    # Points without mass take no part, and get their potentials afterwards.
    rows, columns = a > 0, b > 0
    whole = bool(rows.all()) and bool(columns.all())
    inner, a_in, b_in = (costs, a, b) if whole else (costs[rows][:, columns], a[rows], b[columns])
    f, g, plan = torch.zeros_like(a_in), torch.zeros_like(b_in), inner
    num_steps, error = 0, math.inf
    for strength in _strengths(inner, epsilon):
        if num_steps >= max_steps and strength != epsilon:
            continue
        # Balanced well at every strength: what has to move between clusters moves while they still feel each other.
        f, g, plan, error, steps = _balance_at(
            inner / strength, a_in.log(), b_in.log(), f / strength, g / strength, tolerance, max_steps - num_steps
        )
        f, g, num_steps = strength * f, strength * g, num_steps + steps
    if not whole:
        f_in, g_in, plan_in = f, g, plan
        f = -epsilon * torch.logsumexp(b_in.log() + (g_in - costs[:, columns]) / epsilon, dim=1)
        g = -epsilon * torch.logsumexp(a_in.log()[:, None] + (f_in[:, None] - costs[rows]) / epsilon, dim=0)
        # A point without mass of which every pair is forbidden may have any potential.
        f, g = without_infinity(f), without_infinity(g)
        f[rows], g[columns] = f_in, g_in
        plan = torch.zeros_like(costs)
        plan[rows.nonzero(), columns.nonzero().T] = plan_in
    return Balanced(source_potential=f, target_potential=g, plan=plan, marginal_error=error, num_steps=num_steps)


def balance_with_itself(costs: Tensor, a: Tensor, epsilon: float, tolerance: float, max_steps: int) -> Balanced:
    """The potential of one set with itself, f = g: f moves halfway to its update, which settles in a few steps.

    Args:
        costs: Shape (N, N), symmetric, float64.
        a: Weights, shape (N,).
        epsilon: Strength of the entropy, in units of the cost.
        tolerance: The marginal error to reach.
        max_steps: Where to give up.

    Returns:
        The potential, twice. O(N^2) time a step.

    Source: Feydy et al. (2019), section 3.1; Knight, Ruiz and Uçar (2014).
    """
    f, log_a = torch.zeros_like(a), a.log()
    num_steps, error = 0, math.inf
    for strength in _strengths(costs, epsilon):
        wanted = tolerance if strength == epsilon else max(tolerance, _COARSE_TOLERANCE)
        scaled = costs / strength
        while True:
            update = -strength * torch.logsumexp(log_a + f / strength - scaled, dim=1)
            num_steps += 1
            error = float((a * torch.expm1((f - update) / strength)).abs().sum())
            if not error > wanted or num_steps >= max_steps:
                break
            f = (f + update) / 2
    half = log_a + f / epsilon
    plan = torch.exp(half[:, None] + half - costs / epsilon)
    return Balanced(source_potential=f, target_potential=f, plan=plan, marginal_error=error, num_steps=num_steps)


def _strengths(costs: Tensor, epsilon: float) -> Iterator[float]:
    strength = float(without_infinity(costs).max() - costs.min())
    while strength > epsilon:
        yield strength
        strength /= 2
    yield epsilon


def _balance_at(
    costs: Tensor, log_a: Tensor, log_b: Tensor, f: Tensor, g: Tensor, tolerance: float, max_steps: int
) -> tuple[Tensor, Tensor, Tensor, float, int]:
    """Balance at one strength, the unit of costs and potentials.

    With f always the best answer to g, the dual is a concave function of g alone; its gradient is what the columns of
    the plan lack. Sinkhorn's update of g, which always helps, starts the work and steps in where Newton's fails.
    """
    a, b = log_a.exp(), log_b.exp()

    def answer(g: Tensor) -> tuple[Tensor, Tensor, Tensor, float]:
        f = -torch.logsumexp((log_b + g) - costs, dim=1)
        plan = torch.exp((log_a + f)[:, None] + (log_b + g) - costs)
        lacking = b - plan.sum(dim=0)
        return f, plan, lacking, float(lacking.abs().sum())

    num_steps, plain = 0, True
    while True:
        if plain:
            g = -torch.logsumexp((log_a + f)[:, None] - costs, dim=0)
            f, plan, lacking, error = answer(g)
            num_steps += 1
        if not error > tolerance or num_steps >= max_steps:  # also where it is no number any more
            return f, g, plan, error, num_steps
        move, steps = _newton_move(plan, a, lacking, min(_GRADIENT_STEPS, max_steps - num_steps))
        num_steps += steps
        length = min(1.0, _LONGEST_MOVE / max(float(move.abs().max()), _ROUNDING))
        plain = length < 1.0
        for _ in range(_CUTS):
            new_g = g + length * move
            new_f, new_plan, new_lacking, new_error = answer(new_g)
            num_steps += 1
            if new_error < error or float(b @ (new_g - g) + a @ (new_f - f)) > _ROUNDING:
                f, g, plan, lacking, error = new_f, new_g, new_plan, new_lacking, new_error
                break
            length, plain = length / 4, True


def _newton_move(plan: Tensor, a: Tensor, lacking: Tensor, max_steps: int) -> tuple[Tensor, int]:
    """Solve (diag(c) - P^T diag(1 / a) P) move = lacking, where c are the sums of the columns, by conjugate gradients.

    Preconditioned by c, the matrix has the eigenvalues 1 - r, where r are the rates at which Sinkhorn's plain updates
    would correct the modes of the error. Conjugate gradients meet the few slow ones, such as the balance between
    clusters far from each other, in a few steps, where plain updates take about 1 / (1 - r).
    """
    columns = plan.sum(dim=0)
    move, residual = torch.zeros_like(lacking), lacking
    scaled = residual / columns
    direction, size = scaled, float(residual @ scaled)
    least, most = _RESIDUAL_SHARES
    wanted = size * min(max(float(lacking.abs().sum()), least), most) ** 2
    for step in range(1, max_steps + 1):
        image = columns * direction - ((plan @ direction) / a) @ plan
        curvature = float(direction @ image)
        if not curvature > 0.0:  # rounding, or columns that hold nothing
            return move, step
        move = move + (size / curvature) * direction
        residual = residual - (size / curvature) * image
        scaled = residual / columns
        before, size = size, float(residual @ scaled)
        if size <= wanted:
            return move, step
        direction = scaled + (size / before) * direction
    return move, max_steps
