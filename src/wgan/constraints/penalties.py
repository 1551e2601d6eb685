"""Penalties on the critic's gradient, as terms in its loss."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from wgan.batch import Batch
from wgan.constraints.constraint import Constraint, Scores, Unconstrained, refuse_batch_norm
from wgan.system.torch_state import default_state

Pairs = Literal["random", "optimal"]

_NONE = Unconstrained()
_UNITS_OF_THE_DATA = "roughly in units of the scaled data: the penalty bounds slopes softly"


@dataclass(frozen=True)
class Penalty(Constraint):
    """A weighted term in the critic's loss, in each of its updates or lazily in every k-th.

    In every k-th update the term has k times the weight, so that its mean is the same at 1/k of the cost. Which updates
    have it depends only on their number. Updates are numbered by the fixed critic schedule: those that `optimality`
    adds before a generator update share their numbers with updates after it.

    Attributes:
        weight: Of the term.
        every: k: critic updates from one with the term to the next.

    Source: Karras et al. (2020), Analyzing and improving the image quality of StyleGAN, appendix B, for laziness.
    """

    weight: float = 10.0
    every: int = 1

    def __post_init__(self) -> None:
        _refuse_beyond("weight", self.weight)
        if self.every < 1:
            raise ValueError(f"every must be at least 1, not {self.every}")

    def attach(self, critic: nn.Module) -> None:
        """Raise for batch norm: the penalty is on the gradient of each sample's own score."""
        refuse_batch_norm(critic, "a gradient penalty needs a critic that scores each sample by itself")

    def at(self, update: int) -> Constraint:
        """Itself in every k-th update, and no constraint in the others."""
        return self if update % self.every == 0 else _NONE

    def penalty(self, scores: Scores, real: Batch, fake: Batch, drawn: Tensor | None) -> Tensor:
        """The term times its weight and k."""
        return self.weight * self.every * self.term(scores, real, fake, drawn)

    @abstractmethod
    def term(self, scores: Scores, real: Batch, fake: Batch, drawn: Tensor | None) -> Tensor:
        """The term without its weight, 0-d."""


@dataclass(frozen=True)
class GradientPenalty(Penalty):
    """Keep the norm of the critic's gradient near a target, on straight lines between real and fake samples.

    weight * E |(||grad f(x)|| - target)| ** power, with max(0, .) in place of |.| if `one_sided`. `penalty_at` says
    where x is taken:

    between: x = e real + (1 - e) fake, e uniform on [0, 1], one for each pair;
    real, fake: at the samples themselves;
    around: x = real + normal noise of half the batch's standard deviation, as in `dragan`.

    With pairs = "random", samples are paired as they were drawn. With "optimal", they are paired by optimal transport
    between the two batches, within equal conditions: on these lines the best critic has slope 1, which it need not have
    on others.

    Source: Gulrajani et al. (2017), equation 3 (two-sided, power 2, between, random pairs), the remark on one side, and
    proposition 1 for the slope between optimal pairs.
    """

    bounds_slope: ClassVar[bool] = True

    target: float = 1.0
    one_sided: bool = False
    power: Literal[1, 2] = 2
    penalty_at: Literal["between", "real", "fake", "around"] = "between"
    pairs: Pairs = "random"

    def __post_init__(self) -> None:
        super().__post_init__()
        _refuse_beyond("target", self.target)
        if self.pairs == "optimal" and self.penalty_at != "between":
            raise ValueError(
                f"pairs=optimal chooses the lines of penalty_at=between, and penalty_at={self.penalty_at} uses none"
            )

    @property
    def scale(self) -> str:
        """Units of the data if slopes are kept at 1 on the lines from real to fake samples."""
        if self.target == 1.0 and self.penalty_at == "between":
            return _UNITS_OF_THE_DATA
        return "in a unit that the penalty's target and place decide"

    def draw(self, shape: tuple[int, ...], rng: torch.Generator) -> Tensor | None:
        """The mixing weights e, shape (N,); or the noise, of the samples' shape; or None."""
        if self.penalty_at == "between":
            return torch.rand(shape[0], generator=rng, dtype=torch.float32, device="cpu")
        return (
            torch.randn(shape, generator=rng, dtype=torch.float32, device="cpu")
            if self.penalty_at == "around"
            else None
        )

    def term(self, scores: Scores, real: Batch, fake: Batch, drawn: Tensor | None) -> Tensor:
        """The mean excess; it and its gradient are finite where the critic is flat."""
        if self.penalty_at == "between":
            assert drawn is not None
            points = between(real, _paired(real, fake, self.pairs), drawn)
        elif self.penalty_at == "around":
            assert drawn is not None
            points = around(real, drawn, 0.5)
        else:
            points = real if self.penalty_at == "real" else fake
        excess = _norms(scores, points) - self.target
        excess = excess.clamp(min=0.0) if self.one_sided else excess.abs()
        return (excess.square() if self.power == 2 else excess).mean()


@dataclass(frozen=True)
class LipschitzPenalty(Penalty):
    """WGAN-LP: keep the norm of the critic's gradient at most 1 between real and fake samples.

    weight * E max(0, ||grad f(x)|| - 1)², x and pairs as in `GradientPenalty`. An optimal critic may be flat
    where no mass has to move.

    Source: Petzka, Fischer and Lukovnikov (2018), On the regularization of Wasserstein GANs.
    """

    scale: ClassVar[str] = _UNITS_OF_THE_DATA
    bounds_slope: ClassVar[bool] = True

    pairs: Pairs = "random"

    def draw(self, shape: tuple[int, ...], rng: torch.Generator) -> Tensor:
        """The mixing weights e, shape (N,)."""
        return torch.rand(shape[0], generator=rng, dtype=torch.float32, device="cpu")

    def term(self, scores: Scores, real: Batch, fake: Batch, drawn: Tensor | None) -> Tensor:
        """The mean squared excess over 1."""
        assert drawn is not None
        points = between(real, _paired(real, fake, self.pairs), drawn)
        return (_norms(scores, points) - 1.0).clamp(min=0.0).square().mean()


@dataclass(frozen=True)
class DRAGAN(Penalty):
    """Keep the norm of the critic's gradient near 1 around real samples.

    weight * E (||grad f(x + d)|| - 1)² over real x, d normal with `spread` times the standard deviation of the batch's
    entries.

    Source: Kodali, Abernethy, Hays and Kira (2017), Algorithm 1; the width relative to the batch is that of their code.
    """

    scale: ClassVar[str] = "in a unit that the data around each sample decides"
    bounds_slope: ClassVar[bool] = True

    spread: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        _refuse_beyond("spread", self.spread)

    def draw(self, shape: tuple[int, ...], rng: torch.Generator) -> Tensor:
        """Standard normal noise of the samples' shape."""
        return torch.randn(shape, generator=rng, dtype=torch.float32, device="cpu")

    def term(self, scores: Scores, real: Batch, fake: Batch, drawn: Tensor | None) -> Tensor:
        """The mean square of the difference from 1."""
        assert drawn is not None
        return (_norms(scores, around(real, drawn, self.spread)) - 1.0).square().mean()


@dataclass(frozen=True)
class R1(Penalty):
    """Keep the critic flat at real samples.

    weight / 2 * E ||grad f(x)||² over real x.

    Source: Mescheder, Geiger and Nowozin (2018), equation 9.
    """

    scale: ClassVar[str] = "in a unit that the penalty's weight decides"

    def term(self, scores: Scores, real: Batch, fake: Batch, drawn: Tensor | None) -> Tensor:
        """Half the mean square of the gradient at real samples."""
        return _half_square(scores, real)


@dataclass(frozen=True)
class R2(Penalty):
    """Keep the critic flat at generated samples.

    weight / 2 * E ||grad f(x)||² over generated x.

    Source: Mescheder, Geiger and Nowozin (2018), equation 10.
    """

    scale: ClassVar[str] = "in a unit that the penalty's weight decides"

    def term(self, scores: Scores, real: Batch, fake: Batch, drawn: Tensor | None) -> Tensor:
        """Half the mean square of the gradient at generated samples."""
        return _half_square(scores, fake)


@dataclass(frozen=True)
class R1R2(Penalty):
    """Keep the critic flat at real and at generated samples: `r1` and `r2` together.

    Source: Huang, Gokaslan, Kuleshov and Tompkin (2024), The GAN is dead; long live the GAN!, section 2.
    """

    scale: ClassVar[str] = "in a unit that the penalty's weight decides"

    def term(self, scores: Scores, real: Batch, fake: Batch, drawn: Tensor | None) -> Tensor:
        """Half the mean squares of both gradients."""
        return _half_square(scores, real) + _half_square(scores, fake)


def between(real: Batch, fake: Batch, mix: Tensor) -> Batch:
    """Points on the straight line of each pair, the real sample at mix = 1, under its condition."""
    mix = mix.reshape(-1, *[1] * (real.values.dim() - 1))
    return Batch(torch.lerp(fake.values, real.values, mix), real.condition)


def optimally_paired(real: Batch, fake: Batch) -> Batch:
    """The generated samples in the order in which optimal transport assigns them to the real ones.

    The sum of Euclidean distances is least among all orders that pair samples of equal conditions.

    Args:
        real: Shape (N, *shape).
        fake: Likewise, under the conditions of the real ones row by row.

    Returns:
        The rows of `fake` with their graph; the order is a constant.

    Cost: O(N³) at worst: 7 ms for 256 pairs in the plane.
    """
    from scipy.optimize import linear_sum_assignment

    x, y = (batch.values.detach().flatten(1).double().cpu() for batch in (real, fake))
    costs = torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist")
    if real.condition is not None:
        _, kinds = torch.unique(real.condition, dim=0, return_inverse=True)
        # Each condition has as many real as generated samples. Pairs of unequal conditions cost more than any other, so
        # that the optimum has none.
        costs = torch.where((kinds[:, None] == kinds).cpu(), costs, 1.0 + 2.0 * costs.max())
    if not bool(costs.isfinite().all()):
        return fake  # the run has diverged, and any order will do
    order = torch.from_numpy(linear_sum_assignment(costs.numpy())[1]).to(fake.values.device)
    return Batch(fake.values[order], fake.condition)


def _paired(real: Batch, fake: Batch, pairs: Pairs) -> Batch:
    return optimally_paired(real, fake) if pairs == "optimal" else fake


def around(real: Batch, noise: Tensor, spread: float) -> Batch:
    """Real samples with noise of `spread` times the standard deviation of all entries of the batch."""
    return Batch(real.values + spread * real.values.std(correction=0) * noise, real.condition)


def _gradients(scores: Scores, batch: Batch) -> Tensor:
    """The gradient of the score at each sample, shape (N, D), differentiable."""
    if not torch.is_grad_enabled():
        # Under no_grad only the penalty's value is needed, but the gradient must be computed all the same. Tensors made
        # in inference mode cannot require one; copies of them can.
        with default_state():
            condition = None if batch.condition is None else batch.condition.clone()
            return _gradients(scores, Batch(batch.values.clone(), condition)).detach()
    # In unrolled updates the samples have a graph, and the critic's parameters depend on them too. The clone separates
    # the gradient at a sample from that dependence.
    values = batch.values.clone() if batch.values.requires_grad else batch.values.detach().requires_grad_(True)
    (gradient,) = torch.autograd.grad(scores(values, batch.condition).sum(), values, create_graph=True)
    return gradient.flatten(1)


def _norms(scores: Scores, batch: Batch) -> Tensor:
    """The norm of the gradient at each sample, shape (N,); 0 with derivative 0 where the critic is flat."""
    gradients = _gradients(scores, batch)
    flat = (gradients == 0).all(dim=1)
    # Unrolled updates need the second derivative of the norm, which autograd gives as NaN at 0.
    norms = torch.linalg.vector_norm(torch.where(flat[:, None], 1.0, gradients), dim=1)
    return torch.where(flat, 0.0, norms)


def _half_square(scores: Scores, batch: Batch) -> Tensor:
    return 0.5 * _gradients(scores, batch).square().sum(dim=1).mean()


def _refuse_beyond(name: str, value: float) -> None:
    if not 0 <= value < math.inf:
        raise ValueError(f"{name} must be at least 0 and finite, not {value}")
