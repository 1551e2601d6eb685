"""Objectives whose estimate is a lower bound of a divergence.

The critic's loss is, up to scale and a constant, minus this bound. With expectations in place of batch means, the bound
holds for every critic, and the best critic attains it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Literal

import torch
from torch import Tensor
from torch.nn.functional import normalize, softplus

from wgan.constraints import Constraint
from wgan.divergences import Divergence, as_divergence
from wgan.errors import UsageError
from wgan.networks import Critic
from wgan.objectives.objective import Objective, given_real

Form = Literal["nonsaturating", "minimax"]

_LOG_2 = math.log(2.0)


@dataclass(frozen=True)
class GAN(Objective):
    """The original GAN: the critic is a classifier, and its score is the logit of "real", D = sigmoid(score).

    The critic maximises L = E log D(real) + E log(1 - D(fake)). The generator minimises E log(1 - D(fake)) for
    generator = "minimax", which saturates where D is near 0, and -E log D(fake) for "nonsaturating", which has the same
    fixed point. `smoothing` is subtracted from the label 1 of real samples; `flipping` is the probability that a sample
    gets the label of the other kind.

    The estimate is L / 2 + log 2 with plain labels, at most the Jensen-Shannon divergence (halved: at most log 2),
    which the critic log p/q attains.

    Source: Goodfellow et al. (2014), equation 1, theorem 1 and section 3; Salimans et al. (2016), section 3.4, for
    one-sided smoothing; Chintala et al. (2016), How to train a GAN, for flipped labels.
    """

    unit: ClassVar[str] = "Jensen-Shannon divergence"
    scale: ClassVar[str] = "a lower bound in nats, at most log 2"
    title: ClassVar[str] = "a GAN"

    generator: Form = "nonsaturating"
    smoothing: float = 0.0
    flipping: float = 0.0

    def __post_init__(self) -> None:
        for name, value in (("smoothing", self.smoothing), ("flipping", self.flipping)):
            if not 0 <= value < 0.5:
                raise ValueError(f"{name} must be at least 0 and below 0.5, where labels say nothing, not {value}")

    def draw(self, size: int, rng: torch.Generator) -> Tensor | None:
        """Which labels are flipped, 1 or 0, shape (2, size): of real samples, then of fake ones."""
        if not self.flipping:
            return None
        return (torch.rand(2, size, generator=rng, dtype=torch.float32, device="cpu") < self.flipping).float()

    def critic_loss(self, real: Tensor, fake: Tensor, drawn: Tensor | None = None) -> Tensor:
        """The cross-entropy of labels and logits: -L for labels that are neither smoothed nor flipped."""
        ones: Tensor | float = 1.0 - self.smoothing
        zeros: Tensor | float = 0.0
        if drawn is not None:
            ones, zeros = torch.where(drawn[0] > 0, 0.0, ones), torch.where(drawn[1] > 0, ones, 0.0)
        return _cross_entropy(real, ones).mean() + _cross_entropy(fake, zeros).mean()

    def generator_loss(self, fake: Tensor, real: Tensor | None = None) -> Tensor:
        """-E log D(fake), or E log(1 - D(fake)) for "minimax"."""
        return softplus(-fake).mean() if self.generator == "nonsaturating" else -softplus(fake).mean()

    def logits(self, real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
        """The scores."""
        return real, fake

    def estimate(self, real: Tensor, fake: Tensor) -> Tensor:
        """L / 2 + log 2."""
        return _LOG_2 - 0.5 * (softplus(-real).mean() + softplus(fake).mean())


@dataclass(frozen=True)
class FGAN(Objective):
    """The variational lower bound of any f-divergence of the registry.

    The critic maximises E T(real) - E f*(T(fake)), T = f'(e^v), a lower bound of D_f that v = log p/q attains. The
    generator minimises -E f*(T(fake)) for generator = "minimax", and -E T(fake) for "nonsaturating", whose gradient
    does not vanish where the critic is certain. A parameter of the divergence follows a colon:
    `fgan:divergence=weighted_jensen_shannon:pi=0.3`.

    The log-ratio v as a function of the score s:

    symlog: v = sign(s) log(1 + |s|), so that the ratio e^v is 1 + s, or 1 / (1 - s) below 0. T and f*(T) then grow like
    powers of the score, and a penalty on its slope bounds them;
    log-ratio: v = s. T and f*(T) grow exponentially for most divergences, faster than a penalty on the slope can
    prevent, and float32 overflows within a few updates if the two distributions hardly overlap.

    Source: Nowozin, Cseke and Tomioka (2016), equations 4, 6 and 7 and section 3.2; links as in `wgan.divergences`.
    """

    scale: ClassVar[str] = "a lower bound, with natural logarithms"

    divergence: str = "kl"
    generator: Form = "nonsaturating"
    score: Literal["symlog", "log-ratio"] = "symlog"

    def __post_init__(self) -> None:
        _ = self.row

    @cached_property
    def row(self) -> Divergence:
        """The divergence.

        Raises:
            UsageError: There is none of that name.
        """
        return as_divergence(self.divergence)

    @property
    def unit(self) -> str:
        """The divergence, by its name."""
        return f"divergence {self.row.word}"

    @property
    def title(self) -> str:
        """Likewise."""
        return f"an f-GAN for {self.row.word}"

    def critic_loss(self, real: Tensor, fake: Tensor, drawn: Tensor | None = None) -> Tensor:
        """Minus the bound."""
        return -self.estimate(real, fake)

    def generator_loss(self, fake: Tensor, real: Tensor | None = None) -> Tensor:
        """-E T(fake), or -E f*(T(fake)) for "minimax"."""
        if self.generator == "nonsaturating":
            return -self.row.link(self._log_ratio(fake)).mean()
        return -self.row.conjugate_of_link(self._log_ratio(fake)).mean()

    def estimate(self, real: Tensor, fake: Tensor) -> Tensor:
        """E T(real) - E f*(T(fake))."""
        of_real, of_fake = self._log_ratio(real), self._log_ratio(fake)
        return self.row.link(of_real).mean() - self.row.conjugate_of_link(of_fake).mean()

    def _log_ratio(self, scores: Tensor) -> Tensor:
        if self.score == "log-ratio":
            return scores
        # In two halves: autograd gives sign(s) log1p(|s|) the derivative 0 at 0, not 1.
        return torch.where(scores >= 0, scores.clamp(min=0).log1p(), -(-scores).clamp(min=0).log1p())


@dataclass(frozen=True)
class LeastSquares(Objective):
    """LSGAN: the critic regresses labels, `a` for fake and `b` for real; `c` is the generator's target.

    The critic minimises ½ E (f(real) - b)² + ½ E (f(fake) - a)², least at f = (b p + a q)/(p + q). The minimum is
    (b - a)² (2 - X) / 8 with X the Pearson divergence of p + q from 2q, ∫ (p - q)²/(p + q), in [0, 2]. The estimate is
    2 - 8 loss / (b - a)², so at most X. Let b - c = 1 and b - a = 2. At the best critic, the generator's loss plus
    ½ E (f(real) - c)², which it cannot change, is X / 2.

    Source: Mao et al. (2017), equation 2 and section 3.2.
    """

    unit: ClassVar[str] = "Pearson divergence of p + q from 2q"
    scale: ClassVar[str] = "a lower bound, at most 2"
    title: ClassVar[str] = "a least-squares GAN"

    a: float = 0.0
    b: float = 1.0
    c: float = 1.0

    def __post_init__(self) -> None:
        if not all(map(math.isfinite, (self.a, self.b, self.c))):
            raise ValueError(f"a, b and c must be finite, not {self.a}, {self.b} and {self.c}")
        if not self.a < self.b:
            raise ValueError(f"a must be below b, not {self.a} and {self.b}")
        if not self.a < self.c <= self.b:
            raise ValueError(f"c must be above a and at most b, not {self.c}")

    def critic_loss(self, real: Tensor, fake: Tensor, drawn: Tensor | None = None) -> Tensor:
        """½ E (f(real) - b)² + ½ E (f(fake) - a)²."""
        return 0.5 * ((real - self.b).square().mean() + (fake - self.a).square().mean())

    def generator_loss(self, fake: Tensor, real: Tensor | None = None) -> Tensor:
        """½ E (f(fake) - c)²."""
        return 0.5 * (fake - self.c).square().mean()

    def estimate(self, real: Tensor, fake: Tensor) -> Tensor:
        """2 - 8 loss / (b - a)²."""
        return 2.0 - 8.0 / (self.b - self.a) ** 2 * self.critic_loss(real, fake)


@dataclass(frozen=True)
class Hinge(Objective):
    """The hinge loss: the critic gains nothing from scores beyond ±1.

    It minimises E max(0, 1 - f(real)) + E max(0, 1 + f(fake)), least at the sign of p - q, where it is 2 (1 - TV). The
    estimate is 1 - loss / 2, so at most the total variation. The generator minimises -E f(fake).

    Source: Lim and Ye (2017), Geometric GAN; Miyato et al. (2018), equations 16 and 17.
    """

    unit: ClassVar[str] = "total variation"
    scale: ClassVar[str] = "a lower bound, at most 1"
    title: ClassVar[str] = "a GAN with the hinge loss"

    def critic_loss(self, real: Tensor, fake: Tensor, drawn: Tensor | None = None) -> Tensor:
        """E max(0, 1 - f(real)) + E max(0, 1 + f(fake))."""
        return (1.0 - real).clamp(min=0.0).mean() + (1.0 + fake).clamp(min=0.0).mean()

    def generator_loss(self, fake: Tensor, real: Tensor | None = None) -> Tensor:
        """-E f(fake)."""
        return -fake.mean()

    def estimate(self, real: Tensor, fake: Tensor) -> Tensor:
        """1 - loss / 2."""
        return 1.0 - 0.5 * self.critic_loss(real, fake)


@dataclass(frozen=True)
class Relativistic(Objective):
    """RpGAN: the critic classifies which sample of a pair is real, by the difference of their scores.

    It minimises E softplus(-(f(x) - f(y))) over pairs of a real x and a fake y, and the generator the same with x and y
    exchanged. The estimate, log 2 - loss, is at most the Jensen-Shannon divergence (halved: at most log 2) between the
    pairs (x, y) and (y, x). The critic f = log p/q attains it, and it is 0 if and only if P = Q. Under `r1r2` this is
    the objective of R3GAN.

    Source: Jolicoeur-Martineau (2019), The relativistic discriminator, where it is RSGAN; and (2020), On relativistic
    f-divergences, where losses of pairs are RpGANs; Huang, Gokaslan, Kuleshov and Tompkin (2024).
    """

    unit: ClassVar[str] = "Jensen-Shannon divergence between pairs (real, fake) and (fake, real)"
    scale: ClassVar[str] = "a lower bound in nats, at most log 2"
    title: ClassVar[str] = "a relativistic GAN"
    generator_sees_real: ClassVar[bool] = True

    def critic_loss(self, real: Tensor, fake: Tensor, drawn: Tensor | None = None) -> Tensor:
        """E softplus(f(fake) - f(real)), each real sample paired with the fake one of the same row."""
        return softplus(fake - real).mean()

    def generator_loss(self, fake: Tensor, real: Tensor | None = None) -> Tensor:
        """E softplus(f(real) - f(fake))."""
        return softplus(given_real(real, fake) - fake).mean()

    def logits(self, real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
        """Of pairs in both orders: f(x) - f(y) and f(y) - f(x)."""
        return real - fake, fake - real

    def estimate(self, real: Tensor, fake: Tensor) -> Tensor:
        """The bound, log 2 - loss."""
        return _LOG_2 - self.critic_loss(real, fake)


@dataclass(frozen=True)
class EnergyBased(Objective):
    """EBGAN: the critic is an energy, low for real samples and, up to a margin, high for fake ones.

    The energy is U = -score, for example an autoencoder's reconstruction error. The critic minimises
    E U(real) + E max(0, margin - U(fake)), least at U = margin where q > p and U = 0 elsewhere. The minimum is
    margin (1 - TV). The estimate is 1 - loss / margin, so at most the total variation. The generator minimises
    E U(fake) plus `pull_away` times the mean squared cosine between the codes of two of its samples, against mode
    collapse.

    Source: Zhao, Mathieu and LeCun (2017), equations 1 and 2 and theorem 1; section 2.4 for the pulling-away term.
    """

    unit: ClassVar[str] = "total variation"
    scale: ClassVar[str] = "a lower bound, at most 1"
    title: ClassVar[str] = "an energy-based GAN"
    of_scores: ClassVar[bool] = False

    margin: float = 1.0
    pull_away: float = 0.0

    def __post_init__(self) -> None:
        if not 0 < self.margin < math.inf:
            raise ValueError(f"margin must be above 0 and finite, not {self.margin}")
        if not 0 <= self.pull_away < math.inf:
            raise ValueError(f"pull_away must be at least 0 and finite, not {self.pull_away}")

    def check(self, critic: Critic, constraint: Constraint) -> None:
        """Raise for a critic whose energy can fall below 0: its loss has no minimum."""
        super().check(critic, constraint)
        if not critic.is_energy:
            raise UsageError(
                "an energy-based game needs a critic whose energy, minus its score, is never below 0: on real samples "
                "this critic's would fall for ever",
                remedy="Use --critic autoencoder, or conv-autoencoder for images.",
            )
        if self.pull_away and critic.shows_codes is None:
            raise UsageError(
                "this critic has no codes to pull apart", remedy="Use --critic autoencoder, or pull_away=0."
            )

    def attach(self, critic: Critic) -> Critic:
        """The critic, with codes after its scores for the pulling-away term."""
        if self.pull_away:
            critic.shows_codes = True
        return critic

    def critic_loss(self, real: Tensor, fake: Tensor, drawn: Tensor | None = None) -> Tensor:
        """E U(real) + E max(0, margin - U(fake))."""
        return -_scores(real).mean() + (self.margin + _scores(fake)).clamp(min=0.0).mean()

    def generator_loss(self, fake: Tensor, real: Tensor | None = None) -> Tensor:
        """E U(fake), and the pulling-away term."""
        energy = -_scores(fake).mean()
        if not self.pull_away:
            return energy
        directions = normalize(fake[:, 1:], dim=1)
        squares = (directions @ directions.T).square()
        num = len(fake)
        return energy + self.pull_away * (squares.sum() - squares.trace()) / max(1, num * (num - 1))

    def witness(self, outputs: Tensor, real: Tensor, fake: Tensor) -> Tensor:
        """The scores."""
        return _scores(outputs)

    def estimate(self, real: Tensor, fake: Tensor) -> Tensor:
        """1 - loss / margin."""
        return 1.0 - self.critic_loss(real, fake) / self.margin


def _scores(outputs: Tensor) -> Tensor:
    """The scores of outputs that may also hold codes."""
    return outputs if outputs.dim() == 1 else outputs[:, 0]


def _cross_entropy(logits: Tensor, ones: Tensor | float) -> Tensor:
    """The cross-entropy with labels that are 1 with probability `ones`, exact for any logit."""
    return ones * softplus(-logits) + (1.0 - ones) * softplus(logits)
