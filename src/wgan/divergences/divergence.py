"""What an f-divergence is: a convex function, its conjugate with its domain, and a link from a critic's raw output."""

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
    """Where a conjugate is finite: every t below an upper end.

    Attributes:
        upper: The end; infinite where there is none.
        closed: Whether the end belongs to it.
        text: The same for a reader.
    """

    upper: float
    closed: bool
    text: str

    def excludes(self, t: Tensor) -> Tensor:
        """Whether each t lies outside, bool, of t's shape; NaN does not."""
        return t > self.upper if self.closed else t >= self.upper


REALS = Domain(upper=math.inf, closed=True, text="ℝ")


class Divergence(ABC):
    """One f-divergence D(P‖Q) = ∫ q f(p/q), P the data and Q the model, in nats.

    f is convex on u >= 0. It is unique up to c (u − 1), which moves the conjugate and f'(1): the row says which is
    meant. The variational form D(P‖Q) = sup over T of E_P T − E_Q f*(T) needs T inside the conjugate's domain. With
    T = link(v) any critic's raw output v is allowed, the threshold between real and fake is v = 0, and the supremum is
    at v = log p/q wherever f is smooth.

    A row defines the abstract members, and the closed form between Gaussians if it has one.

    Attributes:
        name: Its word in the table.
        f_text: The formula of f, in u.
        conjugate_text: The formula of f*, in t.

    Source: Csiszár (1967); Nguyen, Wainwright and Jordan (2010) for the variational form; Nowozin, Cseke and Tomioka
        (2016), whose output activations differ from the links here: they keep T in the domain, but their thresholds
        are not at 0, and some decrease.
    """

    name: ClassVar[str]
    f_text: ClassVar[str]
    conjugate_text: ClassVar[str]

    @property
    @abstractmethod
    def domain(self) -> Domain:
        """Where the conjugate is finite."""

    @property
    @abstractmethod
    def at_zero(self) -> float:
        """The limit of f at 0: what each unit of Q's mass costs where P has none."""

    @property
    @abstractmethod
    def threshold(self) -> float:
        """f'(1), which link gives at v = 0; a subgradient where f has a kink there."""

    @property
    @abstractmethod
    def curvature(self) -> float | None:
        """f''(1): near P = Q the divergence is half of it times χ². None where f has a kink there."""

    @property
    @abstractmethod
    def reverse(self) -> Divergence:
        """The row with P and Q swapped, whose f is u f(1/u)."""

    @abstractmethod
    def _f(self, u: Tensor) -> Tensor:
        """The formula of f for u > 0."""

    @abstractmethod
    def _conjugate(self, t: Tensor) -> Tensor:
        """The formula of f* inside its domain."""

    @abstractmethod
    def link(self, v: Tensor) -> Tensor:
        """T from a critic's raw output v: f'(e^v), increasing, of v's shape and type, differentiable."""

    @abstractmethod
    def conjugate_of_link(self, v: Tensor) -> Tensor:
        """f*(link(v)) = e^v f'(e^v) − f(e^v), of v's shape and type, differentiable; infinite only beyond the range."""

    def of_gaussians(self, p: Normal, q: Normal) -> Tensor:
        """The closed form between two normal distributions.

        Returns:
            0-d, float64, differentiable; +inf where the integral does not exist.

        Raises:
            UsageError: There is none.
        """
        raise UsageError(
            f"{self.name} has no closed form between Gaussians",
            remedy="Take the probabilities of both in small cells for `divergence`, or samples for `critic_bound`.",
        )

    def f(self, u: Tensor) -> Tensor:
        """The convex function f of the ratio u = p/q.

        Args:
            u: Any shape, float32 or float64.

        Returns:
            The same shape and type, differentiable at u > 0: the limit at u = 0, +inf below.
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
            The same shape and type, differentiable inside the domain, +inf outside.
        """
        outside = self.domain.excludes(t)
        return torch.where(outside, math.inf, self._conjugate(torch.where(outside, self.threshold, t)))

    @property
    def disjoint(self) -> float:
        """The divergence of any two distributions with disjoint supports: f(0) + lim f(u)/u as u grows."""
        return self.at_zero + self.reverse.at_zero

    @property
    def word(self) -> str:
        """The text that names this row with its parameters."""
        given = [f"{field.name}={getattr(self, field.name)}" for field in dataclasses.fields(self)]  # type: ignore[arg-type]
        return f"{self.name}:{','.join(given)}" if given else self.name
