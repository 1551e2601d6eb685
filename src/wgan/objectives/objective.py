"""The interface of an objective: two losses and an estimate, as functions of the critic's outputs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor

from wgan.constraints import Constraint
from wgan.errors import UsageError
from wgan.networks import Critic


class Objective(ABC):
    """The losses of both players, as functions of the critic's outputs for real and generated samples.

    The outputs are scores of shape (N,), one for each sample. For objectives on features or on the samples themselves
    they have shape (N, K). A subclass defines `unit`, `title`, both losses and `estimate`, and overrides what else it
    needs.

    Attributes:
        unit: What `estimate` measures, for the axis of a curve.
        scale: The unit of `estimate`, likewise; None if the constraint decides it, as for a Wasserstein critic.
        title: Name in reports.
        critic_outputs: Outputs of the critic for each sample.
        generator_sees_real: Whether `generator_loss` needs the critic's outputs for real samples.
        fewest: The smallest batch, in samples or packs of them, for which the losses are defined.
        of_scores: Whether both losses depend on one score for each sample alone, so that updates can be compiled.
        bfloat16_safe: Whether fully connected players were measured to learn as well in bfloat16.
    """

    generator_sees_real: ClassVar[bool] = False
    fewest: ClassVar[int] = 1
    of_scores: ClassVar[bool] = True
    bfloat16_safe: ClassVar[bool] = False

    @property
    @abstractmethod
    def unit(self) -> str:
        """What `estimate` measures, for the axis of a curve."""

    @property
    @abstractmethod
    def title(self) -> str:
        """Name in reports."""

    @property
    def scale(self) -> str | None:
        """The unit of `estimate`, for the axis of a curve; None if the constraint decides it."""
        return None

    @property
    def critic_outputs(self) -> int:
        """Outputs of the critic for each sample."""
        return 1

    def check(self, critic: Critic, constraint: Constraint) -> None:
        """Check that critic and constraint suit this objective.

        Raises:
            UsageError: They do not; the message says why and what to use instead.
        """
        if critic.outputs != self.critic_outputs:
            raise UsageError(
                f"{self.title} needs a critic that learns to score samples, and this one hands them on as they are",
                remedy="Choose a network, such as --critic mlp; only the objective mmd can do without.",
            )

    def attach(self, critic: Critic) -> Critic:
        """The critic to train: the one given, or a wrapper around it."""
        return critic

    def draw(self, size: int, rng: torch.Generator) -> Tensor | None:
        """Draw the random numbers of `critic_loss` for a batch of `size`, so that the loss is a pure function."""
        return None

    @abstractmethod
    def critic_loss(self, real: Tensor, fake: Tensor, drawn: Tensor | None = None) -> Tensor:
        """The loss that the critic minimises.

        Args:
            real: The critic's outputs for real samples, shape (N,) or (N, K).
            fake: For generated samples, shape (M,) or (M, K).
            drawn: What `draw` returned for this batch; None for an objective that draws nothing.

        Returns:
            0-d, differentiable.
        """

    @abstractmethod
    def generator_loss(self, fake: Tensor, real: Tensor | None = None) -> Tensor:
        """The loss that the generator minimises, 0-d, differentiable; `real` is None unless `generator_sees_real`."""

    @abstractmethod
    def estimate(self, real: Tensor, fake: Tensor) -> Tensor:
        """The critic's estimate of the distance between the two distributions, 0-d."""

    def logits(self, real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor] | None:
        """The logits of a critic that is a classifier; None for any other objective.

        Args:
            real: The critic's outputs for real samples, shape (N,) or (N, K).
            fake: For as many generated samples.

        Returns:
            Logits of "real" for real and for generated samples, shape (N,) each, differentiable.
        """
        return None

    def witness(self, outputs: Tensor, real: Tensor, fake: Tensor) -> Tensor:
        """The function that is high for real and low for generated samples; constraints act on it.

        Args:
            outputs: The critic's outputs for some samples, shape (L,) or (L, K).
            real: For a batch of real samples.
            fake: For a batch of generated samples.

        Returns:
            Shape (L,), differentiable: the scores themselves, for a critic of scores.
        """
        return outputs


def given_real(real: Tensor | None, fake: Tensor) -> Tensor:
    """The outputs for real samples, which an objective with `generator_sees_real` always gets."""
    assert real is not None, "this objective's generator sees real samples"
    return real
