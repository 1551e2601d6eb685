"""What an objective is: two losses and an estimate, made of what the critic says of each sample."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor

from wgan.constraints import Constraint
from wgan.errors import UsageError
from wgan.networks import Critic


class Objective(ABC):
    """A two-player game, in terms of what the critic puts out for each sample: neither networks nor data.

    That is one score a sample, shape (N,), where a row asks for nothing else; an objective of features or of the
    samples themselves gets shape (N, K). A row defines `unit`, `title`, both losses and `estimate`, and what it wants
    otherwise than here.

    Attributes:
        unit: What `estimate` measures, as a curve's axis would say it.
        scale: In what unit, likewise; None where that is for the constraint to say, as with a Wasserstein critic.
        title: What the game is called in a report.
        critic_outputs: Numbers that the critic gives for each sample.
        generator_sees_real: Whether `generator_loss` needs what the critic says of real samples.
        fewest: Samples, or packs of them, that a batch must have for the losses to be defined.
        of_scores: Whether both losses are of nothing but one score a sample: those can be compiled.
        bears_bfloat16: Whether fully connected players were measured to learn as well in bfloat16.
    """

    generator_sees_real: ClassVar[bool] = False
    fewest: ClassVar[int] = 1
    of_scores: ClassVar[bool] = True
    bears_bfloat16: ClassVar[bool] = False

    @property
    @abstractmethod
    def unit(self) -> str:
        """As above."""

    @property
    @abstractmethod
    def title(self) -> str:
        """As above."""

    @property
    def scale(self) -> str | None:
        """As above."""
        return None

    @property
    def critic_outputs(self) -> int:
        """As above."""
        return 1

    def check(self, critic: Critic, constraint: Constraint) -> None:
        """Refuse a critic or a constraint with which this game makes no sense.

        Raises:
            UsageError: Why, and what would do.
        """
        if critic.outputs != self.critic_outputs:
            raise UsageError(
                f"{self.title} needs a critic that learns to score samples, and this one hands them on as they are",
                remedy="Choose a network, such as --critic mlp; only the objective mmd can do without.",
            )

    def attach(self, critic: Critic) -> Critic:
        """The critic that this game is played with: the one given, or that one in a wrapping of this game's own."""
        return critic

    def draw(self, size: int, rng: torch.Generator) -> Tensor | None:
        """Draw what `critic_loss` needs at random for a batch of `size`, so that the loss is a pure function."""
        return None

    @abstractmethod
    def critic_loss(self, real: Tensor, fake: Tensor, drawn: Tensor | None = None) -> Tensor:
        """The loss that the critic descends.

        Args:
            real: What the critic says of real samples, shape (N,), or (N, K) where the game wants more of it.
            fake: Of generated samples, shape (M,) or (M, K).
            drawn: What `draw` returned for this batch; None for an objective without options that are random.

        Returns:
            0-d, differentiable.
        """

    @abstractmethod
    def generator_loss(self, fake: Tensor, real: Tensor | None = None) -> Tensor:
        """The loss that the generator descends, 0-d and differentiable; `real` is None unless asked for."""

    @abstractmethod
    def estimate(self, real: Tensor, fake: Tensor) -> Tensor:
        """What the critic says of the distance between the two distributions, 0-d."""

    def logits(self, real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor] | None:
        """What a critic that is a classifier says, through whose sigmoid all gradients pass; None in any other game.

        Args:
            real: What the critic says of real samples, shape (N,) or (N, K).
            fake: Of as many generated ones.

        Returns:
            Logits of "real" of what is real and of what is generated, shape (N,) each, differentiable.
        """
        return None

    def witness(self, outputs: Tensor, real: Tensor, fake: Tensor) -> Tensor:
        """The function that tells real from fake samples, which is what constraints hold.

        Args:
            outputs: What the critic says of some samples, shape (L,) or (L, K).
            real: Of a batch of real ones.
            fake: Of a batch of generated ones.

        Returns:
            Shape (L,), differentiable: the scores themselves where there are such.
        """
        return outputs


def given_real(real: Tensor | None, fake: Tensor) -> Tensor:
    """The real outputs that a generator's loss was promised."""
    assert real is not None, "this objective's generator sees real samples"
    return real
