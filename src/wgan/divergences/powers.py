"""Divergences with powers of the density ratio: total variation, both χ², squared Hellinger and the alpha family.

To add one, write its class here and name it in `ROWS`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from wgan.divergences.base import REALS, Divergence, Domain
from wgan.divergences.normal import Normal, log_power_integral


@dataclass(frozen=True)
class TotalVariation(Divergence):
    """½ ∫ |p − q|, the largest difference of the probabilities of one event, in [0, 1].

    f has a kink at 1, where f'(1) = 0 is a subgradient. The link ½ tanh v is increasing and maps onto (−½, ½). The
    supremum is at v = ±∞ with the sign of log p/q. The conjugate max(t, −½) is often given as t, which is not a bound
    for t < −½.

    Source: Nowozin, Cseke and Tomioka (2016), supplement, for f.
    """

    name: ClassVar[str] = "total_variation"
    f_text: ClassVar[str] = "½|u−1|"
    conjugate_text: ClassVar[str] = "max(t, −½)"
    domain: ClassVar[Domain] = Domain(upper=0.5, closed=True, text="t ≤ ½")
    at_zero: ClassVar[float] = 0.5
    threshold: ClassVar[float] = 0.0
    curvature: ClassVar[None] = None

    def _f(self, u: Tensor) -> Tensor:
        return 0.5 * (u - 1.0).abs()

    def _conjugate(self, t: Tensor) -> Tensor:
        return t.clamp(min=-0.5)

    def link(self, v: Tensor) -> Tensor:
        """½ tanh v."""
        return 0.5 * v.tanh()

    def conjugate_of_link(self, v: Tensor) -> Tensor:
        """½ tanh v."""
        return 0.5 * v.tanh()


@dataclass(frozen=True)
class Pearson(Divergence):
    """χ² of P from Q: ∫ (p − q)²/q = ∫ p²/q − 1.

    For t < −2 the supremum in the conjugate is at u = 0.

    Source: Pearson (1900); Nowozin, Cseke and Tomioka (2016), table 1, for f.
    """

    name: ClassVar[str] = "pearson"
    f_text: ClassVar[str] = "(u−1)²"
    conjugate_text: ClassVar[str] = "t²/4 + t, or −1 if t<−2"
    domain: ClassVar[Domain] = REALS
    at_zero: ClassVar[float] = 1.0
    threshold: ClassVar[float] = 0.0
    curvature: ClassVar[float] = 2.0

    @property
    def reverse(self) -> Neyman:
        """The divergence `neyman`."""
        return Neyman()

    def _f(self, u: Tensor) -> Tensor:
        return (u - 1.0).square()

    def _conjugate(self, t: Tensor) -> Tensor:
        curved = t.clamp(min=-2.0)
        return curved * (0.25 * curved + 1.0)

    def link(self, v: Tensor) -> Tensor:
        """2 (e^v − 1)."""
        return 2.0 * v.expm1()

    def conjugate_of_link(self, v: Tensor) -> Tensor:
        """e^(2v) − 1."""
        return (2.0 * v).expm1()

    def of_gaussians(self, p: Normal, q: Normal) -> Tensor:
        """Finite if and only if 2 Σp⁻¹ − Σq⁻¹ is positive definite."""
        return log_power_integral(p, q, 2.0).expm1()


@dataclass(frozen=True)
class Neyman(Divergence):
    """χ² of Q from P: ∫ (p − q)²/p = ∫ q²/p − 1.

    Source: Neyman (1949); Nowozin, Cseke and Tomioka (2016), supplement, for f.
    """

    name: ClassVar[str] = "neyman"
    f_text: ClassVar[str] = "(1−u)²/u"
    conjugate_text: ClassVar[str] = "2 − 2√(1−t)"
    domain: ClassVar[Domain] = Domain(upper=1.0, closed=True, text="t ≤ 1")
    at_zero: ClassVar[float] = math.inf
    threshold: ClassVar[float] = 0.0
    curvature: ClassVar[float] = 2.0

    @property
    def reverse(self) -> Pearson:
        """The divergence `pearson`."""
        return Pearson()

    def _f(self, u: Tensor) -> Tensor:
        return (1.0 - u).square() / u

    def _conjugate(self, t: Tensor) -> Tensor:
        return 2.0 - 2.0 * (1.0 - t).sqrt()

    def link(self, v: Tensor) -> Tensor:
        """1 − e^(−2v)."""
        return -(-2.0 * v).expm1()

    def conjugate_of_link(self, v: Tensor) -> Tensor:
        """2 − 2 e^(−v)."""
        return -2.0 * (-v).expm1()

    def of_gaussians(self, p: Normal, q: Normal) -> Tensor:
        """Finite if and only if 2 Σq⁻¹ − Σp⁻¹ is positive definite."""
        return log_power_integral(q, p, 2.0).expm1()


@dataclass(frozen=True)
class SquaredHellinger(Divergence):
    """∫ (√p − √q)², in [0, 2]: twice the squared Hellinger distance with the factor ½.

    Source: Hellinger (1909); Nowozin, Cseke and Tomioka (2016), table 1.
    """

    name: ClassVar[str] = "squared_hellinger"
    f_text: ClassVar[str] = "(√u−1)²"
    conjugate_text: ClassVar[str] = "t/(1−t)"
    domain: ClassVar[Domain] = Domain(upper=1.0, closed=False, text="t < 1")
    at_zero: ClassVar[float] = 1.0
    threshold: ClassVar[float] = 0.0
    curvature: ClassVar[float] = 0.5

    def _f(self, u: Tensor) -> Tensor:
        return (u.sqrt() - 1.0).square()

    def _conjugate(self, t: Tensor) -> Tensor:
        return t / (1.0 - t)

    def link(self, v: Tensor) -> Tensor:
        """1 − e^(−v/2)."""
        return -(-0.5 * v).expm1()

    def conjugate_of_link(self, v: Tensor) -> Tensor:
        """e^(v/2) − 1."""
        return (0.5 * v).expm1()

    def of_gaussians(self, p: Normal, q: Normal) -> Tensor:
        """Always finite."""
        return -2.0 * log_power_integral(p, q, 0.5).expm1()


@dataclass(frozen=True)
class Alpha(Divergence):
    """(∫ p^α q^(1−α) − 1)/(α(α − 1)): half of pearson at 2, half of neyman at −1, twice squared_hellinger at ½.

    Its limits at α = 1 and 0 are kl and reverse_kl, which have separate classes. f is normalised to f'(1) = 0 and
    f''(1) = 1.

    Source: Cressie and Read (1984); Liese and Vajda (2006).
    """

    name: ClassVar[str] = "alpha"
    f_text: ClassVar[str] = "(u^α−αu+α−1)/(α(α−1))"
    conjugate_text: ClassVar[str] = "(s^(α/(α−1)) − 1)/α, s=max(0,1+(α−1)t)"
    threshold: ClassVar[float] = 0.0
    curvature: ClassVar[float] = 1.0

    alpha: float = 0.5

    def __post_init__(self) -> None:
        if not math.isfinite(self.alpha):
            raise ValueError(f"alpha must be finite, not {self.alpha}")
        if self.alpha == 1.0 or 1.0 - self.alpha == 1.0:
            limit = "kl" if self.alpha == 1.0 else "reverse_kl"
            raise ValueError(f"at alpha = {self.alpha:g} the divergence is {limit}: use that name instead")

    @property
    def domain(self) -> Domain:
        """All t for α > 1; otherwise t below 1/(1 − α), including the bound for α < 0."""
        if self.alpha > 1.0:
            return REALS
        text = "t ≤ 1/(1−α)" if self.alpha < 0.0 else "t < 1/(1−α)"
        return Domain(upper=1.0 / (1.0 - self.alpha), closed=self.alpha < 0.0, text=text)

    @property
    def at_zero(self) -> float:
        """1/α, infinite for α < 0."""
        return 1.0 / self.alpha if self.alpha > 0.0 else math.inf

    @property
    def reverse(self) -> Alpha:
        """The same at 1 − α."""
        return Alpha(alpha=1.0 - self.alpha)

    def _f(self, u: Tensor) -> Tensor:
        # The form with the smaller exponent keeps its digits near α = 0 and α = 1.
        alpha, log_u = self.alpha, u.log()
        if alpha < 0.5:
            excess = (alpha * log_u).expm1() - alpha * (u - 1.0)
        else:
            excess = u * ((alpha - 1.0) * log_u).expm1() - (alpha - 1.0) * (u - 1.0)
        return excess / (alpha * (alpha - 1.0))

    def _conjugate(self, t: Tensor) -> Tensor:
        alpha = self.alpha
        rise = (alpha - 1.0) * t
        is_curved = rise > -1.0
        power = torch.where(is_curved, rise, 0.0).log1p() * (alpha / (alpha - 1.0))
        return torch.where(is_curved, power.expm1(), -1.0) / alpha

    def link(self, v: Tensor) -> Tensor:
        """(e^((α−1)v) − 1)/(α − 1)."""
        return ((self.alpha - 1.0) * v).expm1() / (self.alpha - 1.0)

    def conjugate_of_link(self, v: Tensor) -> Tensor:
        """(e^(αv) − 1)/α."""
        return (self.alpha * v).expm1() / self.alpha

    def of_gaussians(self, p: Normal, q: Normal) -> Tensor:
        """Finite if and only if α Σp⁻¹ + (1 − α) Σq⁻¹ is positive definite."""
        return log_power_integral(p, q, self.alpha).expm1() / (self.alpha * (self.alpha - 1.0))


ROWS: tuple[type[Divergence], ...] = (TotalVariation, Pearson, Neyman, SquaredHellinger, Alpha)
