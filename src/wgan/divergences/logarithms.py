"""Divergences with logarithms of the density ratio: Kullback-Leibler, Jeffreys and Jensen-Shannon.

To add one, write its class here and name it in `ROWS`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from wgan.divergences.base import REALS, Divergence, Domain
from wgan.divergences.normal import Normal, kullback_leibler

_LOG_2 = math.log(2.0)

_NEWTON_STEPS = 8
"""Six are enough for every finite argument in float64."""


@dataclass(frozen=True)
class KullbackLeibler(Divergence):
    """∫ p log(p/q), infinite unless P is absolutely continuous with respect to Q.

    Source: Kullback and Leibler (1951); Nowozin, Cseke and Tomioka (2016), table 1.
    """

    name: ClassVar[str] = "kl"
    f_text: ClassVar[str] = "u log u"
    conjugate_text: ClassVar[str] = "e^(t−1)"
    domain: ClassVar[Domain] = REALS
    at_zero: ClassVar[float] = 0.0
    threshold: ClassVar[float] = 1.0
    curvature: ClassVar[float] = 1.0

    @property
    def reverse(self) -> ReverseKullbackLeibler:
        """The divergence `reverse_kl`."""
        return ReverseKullbackLeibler()

    def _f(self, u: Tensor) -> Tensor:
        return u * u.log()

    def _conjugate(self, t: Tensor) -> Tensor:
        return (t - 1.0).exp()

    def link(self, v: Tensor) -> Tensor:
        """1 + v."""
        return 1.0 + v

    def conjugate_of_link(self, v: Tensor) -> Tensor:
        """e^v."""
        return v.exp()

    def of_gaussians(self, p: Normal, q: Normal) -> Tensor:
        """Always finite."""
        return kullback_leibler(p, q)


@dataclass(frozen=True)
class ReverseKullbackLeibler(Divergence):
    """∫ q log(q/p), infinite unless Q is absolutely continuous with respect to P.

    Source: Nowozin, Cseke and Tomioka (2016), table 1; the activation −e^v printed there decreases.
    """

    name: ClassVar[str] = "reverse_kl"
    f_text: ClassVar[str] = "−log u"
    conjugate_text: ClassVar[str] = "−1 − log(−t)"
    domain: ClassVar[Domain] = Domain(upper=0.0, closed=False, text="t < 0")
    at_zero: ClassVar[float] = math.inf
    threshold: ClassVar[float] = -1.0
    curvature: ClassVar[float] = 1.0

    @property
    def reverse(self) -> KullbackLeibler:
        """The divergence `kl`."""
        return KullbackLeibler()

    def _f(self, u: Tensor) -> Tensor:
        return -u.log()

    def _conjugate(self, t: Tensor) -> Tensor:
        return -1.0 - (-t).log()

    def link(self, v: Tensor) -> Tensor:
        """−e^(−v)."""
        return -(-v).exp()

    def conjugate_of_link(self, v: Tensor) -> Tensor:
        """−1 + v."""
        return v - 1.0

    def of_gaussians(self, p: Normal, q: Normal) -> Tensor:
        """Always finite."""
        return kullback_leibler(q, p)


@dataclass(frozen=True)
class Jeffrey(Divergence):
    """∫ (p − q) log(p/q): the sum of kl and reverse_kl.

    With w = W(e^(1−t)), which is Wright's omega function of 1 − t, the conjugate w + 1/w + t − 2 is 1/w − 1 − log w. It
    is computed from log w, so that for no t an intermediate result overflows before the conjugate does.

    Source: Jeffreys (1946); Nowozin, Cseke and Tomioka (2016), supplement, for f.
    """

    name: ClassVar[str] = "jeffrey"
    f_text: ClassVar[str] = "(u−1) log u"
    conjugate_text: ClassVar[str] = "w + 1/w + t − 2, w=W(e^(1−t))"
    domain: ClassVar[Domain] = REALS
    at_zero: ClassVar[float] = math.inf
    threshold: ClassVar[float] = 0.0
    curvature: ClassVar[float] = 2.0

    def _f(self, u: Tensor) -> Tensor:
        return (u - 1.0) * u.log()

    def _conjugate(self, t: Tensor) -> Tensor:
        log_w = log_omega(1.0 - t)
        return (-log_w).expm1() - log_w

    def link(self, v: Tensor) -> Tensor:
        """1 + v − e^(−v)."""
        return v - (-v).expm1()

    def conjugate_of_link(self, v: Tensor) -> Tensor:
        """e^v + v − 1."""
        return v.expm1() + v

    def of_gaussians(self, p: Normal, q: Normal) -> Tensor:
        """Always finite."""
        return kullback_leibler(p, q) + kullback_leibler(q, p)


@dataclass(frozen=True)
class JensenShannon(Divergence):
    """KL(P‖M) + KL(Q‖M) with M = (P + Q)/2: twice the usual JS, in [0, 2 log 2].

    The usual JS, with maximum log 2, is `js`, and `weighted_jensen_shannon` at pi = ½.

    Source: Lin (1991); Nowozin, Cseke and Tomioka (2016), table 1.
    """

    name: ClassVar[str] = "jensen_shannon"
    f_text: ClassVar[str] = "u log u − (u+1) log((1+u)/2)"
    conjugate_text: ClassVar[str] = "−log(2−e^t)"
    domain: ClassVar[Domain] = Domain(upper=_LOG_2, closed=False, text="t < log 2")
    at_zero: ClassVar[float] = _LOG_2
    threshold: ClassVar[float] = 0.0
    curvature: ClassVar[float] = 0.5

    def _f(self, u: Tensor) -> Tensor:
        middle = 0.5 * (1.0 + u)
        return u * (u / middle).log() - middle.log()

    def _conjugate(self, t: Tensor) -> Tensor:
        return -_LOG_2 - _log_complement(t - _LOG_2)

    def link(self, v: Tensor) -> Tensor:
        """−softplus(−v) + log 2."""
        return _LOG_2 + logsigmoid(v)

    def conjugate_of_link(self, v: Tensor) -> Tensor:
        """softplus(v) − log 2."""
        return -logsigmoid(-v) - _LOG_2


@dataclass(frozen=True)
class WeightedJensenShannon(Divergence):
    """π KL(P‖M) + (1 − π) KL(Q‖M) with M = πP + (1 − π)Q, in [0, H(π)]; at pi = ½ the usual JS.

    It is the mutual information between a sample of M and the distribution it was drawn from. It is about π KL(P‖Q)
    near pi = 0, and about (1 − π) KL(Q‖P) near pi = 1.

    Source: Lin (1991), section 4; Nowozin, Cseke and Tomioka (2016), supplement, for f.
    """

    name: ClassVar[str] = "weighted_jensen_shannon"
    f_text: ClassVar[str] = "πu log u − (1−π+πu) log(1−π+πu)"
    conjugate_text: ClassVar[str] = "(1−π) log((1−π)/(1−πe^(t/π)))"
    threshold: ClassVar[float] = 0.0

    pi: float = 0.5

    def __post_init__(self) -> None:
        if not (0.0 < self.pi < 1.0 and 1.0 - self.pi < 1.0):
            raise ValueError(f"pi must lie between 0 and 1, not {self.pi}")

    @property
    def domain(self) -> Domain:
        """Below −π log π."""
        return Domain(upper=-self.pi * math.log(self.pi), closed=False, text="t < −π log π")

    @property
    def at_zero(self) -> float:
        """−(1 − π) log(1 − π)."""
        return -(1.0 - self.pi) * math.log1p(-self.pi)

    @property
    def curvature(self) -> float:
        """π(1 − π)."""
        return self.pi * (1.0 - self.pi)

    @property
    def reverse(self) -> WeightedJensenShannon:
        """The same at 1 − π."""
        return WeightedJensenShannon(pi=1.0 - self.pi)

    def _f(self, u: Tensor) -> Tensor:
        mixture = 1.0 + self.pi * (u - 1.0)
        return self.pi * u * (u / mixture).log() - (1.0 - self.pi) * mixture.log()

    def _conjugate(self, t: Tensor) -> Tensor:
        scaled = (t - self.domain.upper) / self.pi
        return (1.0 - self.pi) * (math.log1p(-self.pi) - _log_complement(scaled))

    def link(self, v: Tensor) -> Tensor:
        """π (v − m), where m = log(1 − π + π e^v)."""
        return self.pi * (v - self._log_mixture(v))

    def conjugate_of_link(self, v: Tensor) -> Tensor:
        """(1 − π) m, where m = log(1 − π + π e^v)."""
        return (1.0 - self.pi) * self._log_mixture(v)

    def _log_mixture(self, v: Tensor) -> Tensor:
        return torch.logaddexp(v.new_tensor(math.log1p(-self.pi)), math.log(self.pi) + v)


@dataclass(frozen=True)
class Gan(Divergence):
    """The objective of the original GAN's discriminator: 2 JS − log 4, with the usual JS, in [−log 4, 0].

    T = log D, where D = sigmoid(v) is the probability that a sample is real.

    Source: Goodfellow et al. (2014), equation 1; Nowozin, Cseke and Tomioka (2016), table 1.
    """

    name: ClassVar[str] = "gan"
    f_text: ClassVar[str] = "u log u − (u+1) log(u+1)"
    conjugate_text: ClassVar[str] = "−log(1−e^t)"
    domain: ClassVar[Domain] = Domain(upper=0.0, closed=False, text="t < 0")
    at_zero: ClassVar[float] = 0.0
    threshold: ClassVar[float] = -_LOG_2
    curvature: ClassVar[float] = 0.5

    def _f(self, u: Tensor) -> Tensor:
        return u * (u / (1.0 + u)).log() - u.log1p()

    def _conjugate(self, t: Tensor) -> Tensor:
        return -_log_complement(t)

    def link(self, v: Tensor) -> Tensor:
        """−softplus(−v)."""
        return logsigmoid(v)

    def conjugate_of_link(self, v: Tensor) -> Tensor:
        """softplus(v)."""
        return -logsigmoid(-v)


def _log_complement(x: Tensor) -> Tensor:
    """log(1 − e^x) for x < 0, accurate near 0 and for very negative x."""
    is_near = x > -_LOG_2
    near = (-torch.where(is_near, x, -1.0).expm1()).log()
    far = (-torch.where(is_near, -1.0, x).exp()).log1p()
    return torch.where(is_near, near, far)


class _LogOmega(torch.autograd.Function):
    """λ with e^λ + λ = z, whose derivative is 1 / (1 + e^λ)."""

    generate_vmap_rule = True

    @staticmethod
    def forward(z: Tensor) -> Tensor:
        # e^λ + λ is convex and at least z at both starting points, so Newton's method converges monotonically.
        root = torch.where(z > 1.0, z.clamp(min=1.0).log(), z)
        for _ in range(_NEWTON_STEPS):
            power = root.exp()
            root = root - (power + root - z) / (1.0 + power)
        return root

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:  # noqa: ANN401 - torch's own
        ctx.save_for_backward(output)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:  # noqa: ANN401
        (root,) = ctx.saved_tensors
        return gradients[0] * torch.sigmoid(-root)


def log_omega(z: Tensor) -> Tensor:
    """The logarithm λ of Wright's omega function, for real numbers: e^λ + λ = z, so that W(e^z) = e^λ.

    No intermediate result is larger than |z|.

    Args:
        z: Any shape, float32 or float64.

    Returns:
        The same shape and dtype, differentiable any number of times.

    Source: Corless and Jeffrey (2002), "The Wright omega function".
    """
    value: Tensor = _LogOmega.apply(z)  # type: ignore[no-untyped-call]
    return value


ROWS: tuple[type[Divergence], ...] = (
    KullbackLeibler,
    ReverseKullbackLeibler,
    Jeffrey,
    JensenShannon,
    WeightedJensenShannon,
    Gan,
)
