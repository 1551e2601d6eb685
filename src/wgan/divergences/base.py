"""The base class of f-divergences: a convex function, its conjugate with its domain, and a link for critics."""

from __future__ import annotations

import dataclasses
import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from wgan.divergences.normal import Normal
from wgan.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class Domain:
    """The set where a conjugate is finite: all t below an upper bound.

    Attributes:
        upper: The upper bound; infinite if there is none.
        closed: Whether the upper bound belongs to the domain.
        text: The domain as a formula.
    """

    upper: float
    closed: bool
    text: str

    def excludes(self, t: Tensor) -> Tensor:
        """Whether each t lies outside the domain, bool, of t's shape; False for NaN."""
        return t > self.upper if self.closed else t >= self.upper


REALS = Domain(upper=math.inf, closed=True, text="ℝ")


class Divergence(ABC):
    """One f-divergence D(P‖Q) = ∫ q f(p/q), P the data and Q the model, in nats.

    f is convex on u >= 0. It is unique up to c (u − 1), which changes the conjugate and f'(1); the subclass fixes c.
    The variational form D(P‖Q) = sup over T of E_P T − E_Q f*(T) needs T in the domain of the conjugate. T = link(v) is
    in the domain for every raw output v of a critic. The decision threshold between real and fake is v = 0, and
    wherever f is smooth the supremum is at v = log p/q.

    A subclass defines the abstract members, `reverse` unless the divergence is symmetric, and the closed form between
    Gaussians if there is one.

    Attributes:
        name: The name in the table.
        f_text: The formula of f, in u.
        conjugate_text: The formula of f*, in t.

    Source: Csiszár (1967); Nguyen, Wainwright and Jordan (2010) for the variational form; Nowozin, Cseke and Tomioka
        (2016) for output activations that keep T in the domain. Theirs have other thresholds than 0, and some decrease.
    """

    name: ClassVar[str]
    f_text: ClassVar[str]
    conjugate_text: ClassVar[str]

    @property
    @abstractmethod
    def domain(self) -> Domain:
        """The set where the conjugate is finite."""

    @property
    @abstractmethod
    def at_zero(self) -> float:
        """The limit of f at 0: the divergence per unit of Q's mass where P has none."""

    @property
    @abstractmethod
    def threshold(self) -> float:
        """f'(1) = link(0); a subgradient if f has a kink at 1."""

    @property
    @abstractmethod
    def curvature(self) -> float | None:
        """f''(1): near P = Q the divergence is f''(1)/2 times χ². None if f has a kink at 1."""

    @property
    def reverse(self) -> Divergence:
        """The divergence with P and Q exchanged, whose f is u f(1/u); by default itself."""
        return self

    @abstractmethod
    def _f(self, u: Tensor) -> Tensor:
        """The formula of f for u > 0."""

    @abstractmethod
    def _conjugate(self, t: Tensor) -> Tensor:
        """The formula of f* inside its domain."""

    @abstractmethod
    def link(self, v: Tensor) -> Tensor:
        """T = f'(e^v) for a critic's raw output v: increasing, of v's shape and dtype, differentiable."""

    @abstractmethod
    def conjugate_of_link(self, v: Tensor) -> Tensor:
        """f*(link(v)) = e^v f'(e^v) − f(e^v), of v's shape and dtype, differentiable; infinite only on overflow."""

    def of_gaussians(self, p: Normal, q: Normal) -> Tensor:
        """The closed form between two normal distributions.

        Returns:
            0-d, float64, differentiable; +inf if the integral does not exist.

        Raises:
            UsageError: There is no closed form.
        """
        raise UsageError(
            f"{self.name} has no closed form between Gaussians",
            remedy="Use `divergence` with the probabilities of small cells, or `critic_bound` with samples.",
        )

    def f(self, u: Tensor) -> Tensor:
        """The convex function f of the ratio u = p/q.

        Args:
            u: Any shape, float32 or float64.

        Returns:
            The same shape and dtype, differentiable for u > 0: the limit at u = 0, +inf for u < 0.
        """
        inside = ~(u <= 0)
        value = self._f(torch.where(inside, u, 1.0))
        outside = torch.where(u == 0, value.new_tensor(self.at_zero), math.inf)
        return torch.where(inside, value, outside)

    def conjugate(self, t: Tensor) -> Tensor:
        """The convex conjugate f*(t) = sup over u >= 0 of t u − f(u).

        Args:
            t: Any shape, float32 or float64.

        Returns:
            The same shape and dtype, differentiable inside the domain, +inf outside.
        """
        outside = self.domain.excludes(t)
        return torch.where(outside, math.inf, self._conjugate(torch.where(outside, self.threshold, t)))

    @property
    def disjoint(self) -> float:
        """The divergence of any two distributions with disjoint supports: f(0) + lim f(u)/u as u grows."""
        return self.at_zero + self.reverse.at_zero

    @property
    def word(self) -> str:
        """The name with all parameters, as in "alpha:alpha=0.5"."""
        fields = dataclasses.fields(self)  # type: ignore[arg-type]
        parameters = ",".join(f"{field.name}={getattr(self, field.name)}" for field in fields)
        return f"{self.name}:{parameters}" if parameters else self.name
