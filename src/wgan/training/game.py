"""The state of training: both players, their optimisers, the noise and the engine."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn
from torch.func import functional_call

from wgan.batch import Batch, Layout
from wgan.errors import UsageError
from wgan.networks import Critic, Generator, mixes_batch
from wgan.system.torch_state import in_default_state
from wgan.training.engine import Engine


@dataclass(frozen=True)
class Prior:
    """The distribution of the noise: independent entries, N(0, 1) or uniform on [-1, 1]."""

    size: int
    name: Literal["normal", "uniform"] = "normal"

    def sample(self, num: int, rng: torch.Generator) -> Tensor:
        """Noise of shape (num, size), float32, on the CPU."""
        if self.name == "normal":
            return torch.randn(num, self.size, generator=rng, dtype=torch.float32, device="cpu")
        return torch.rand(num, self.size, generator=rng, dtype=torch.float32, device="cpu") * 2.0 - 1.0


class Game:
    """All that training changes, which is what a checkpoint saves, and the engine that it runs on.

    Args:
        generator: Noise to samples.
        critic: Samples to scores; its constraint is already attached.
        generator_optimizer: The "lr" of its groups is the learning rate at the start of the run.
        critic_optimizer: Likewise.
        prior: The distribution of the noise.
        seed: All random draws follow from it and from `steps_done`.
        engine: Where and how networks are evaluated; both networks must be on its device.
        averaged: Whether to keep an exponential moving average of the generator.

    Raises:
        UsageError: A network that was created in inference mode.
    """

    @in_default_state
    def __init__(
        self,
        *,
        generator: Generator,
        critic: Critic,
        generator_optimizer: torch.optim.Optimizer,
        critic_optimizer: torch.optim.Optimizer,
        prior: Prior,
        seed: int,
        engine: Engine,
        averaged: bool,
    ) -> None:
        for player, network in (("generator", generator), ("critic", critic)):
            if any(parameter.is_inference() for parameter in network.parameters()):
                raise UsageError(
                    f"the {player} was made in inference mode, where weights can never be trained",
                    remedy="Make it outside torch.inference_mode().",
                )
        self.generator, self.critic = generator, critic
        self.generator_optimizer, self.critic_optimizer = generator_optimizer, critic_optimizer
        self.prior, self.seed, self.engine = prior, seed, engine
        self.average: Generator | None = copy.deepcopy(generator) if averaged else None
        self.steps_done = 0
        self.rollbacks = 0
        self._initial_lr = {
            optimizer: [group["lr"] for group in optimizer.param_groups]
            for optimizer in (generator_optimizer, critic_optimizer)
        }

    @property
    def lr_factor(self) -> float:
        """The factor on both learning rates after rollbacks: each of them halves it."""
        return 0.5**self.rollbacks

    @property
    def position(self) -> tuple[int, ...]:
        """The counters of the random streams: steps done, and the number of rollbacks, so that no draw is repeated."""
        return (self.steps_done, self.rollbacks) if self.rollbacks else (self.steps_done,)

    @property
    def sampling_generator(self) -> Generator:
        """The generator to sample from: the moving average if there is one."""
        return self.average or self.generator

    def score(
        self, values: Tensor, condition: Tensor | None = None, parameters: dict[str, Tensor] | None = None
    ) -> Tensor:
        """The critic's outputs, float32: (N,) scores for most objectives; with other parameters if given."""
        with self.engine.arithmetic():
            if parameters is not None:
                return cast(Tensor, functional_call(self.critic, parameters, (values, condition)))
            scores: Tensor = self.critic(values, condition)
        return scores

    def score_both(
        self, real: Batch, fake: Batch, parameters: dict[str, Tensor] | None = None
    ) -> tuple[Tensor, Tensor]:
        """Scores of real and of fake samples: in one pass, unless batch norm would mix the two."""
        if mixes_batch(self.critic):
            return self.score(*real, parameters), self.score(*fake, parameters)
        conditions = [batch.condition for batch in (real, fake) if batch.condition is not None]
        scores = self.score(
            torch.cat([real.values, fake.values]), torch.cat(conditions) if conditions else None, parameters
        )
        return scores[: len(real.values)], scores[len(real.values) :]

    def generate(self, noise: Tensor, condition: Tensor | None = None) -> Batch:
        """Samples of the generator under training, float32."""
        with self.engine.arithmetic():
            values = self.generator(self.engine.to_device(noise), condition)
        return Batch(values.float(), condition)

    @in_default_state
    @torch.no_grad()
    def draw(self, noise: Tensor, condition: Tensor | None = None) -> Tensor:
        """Samples of `sampling_generator` in evaluation mode, without a graph, on the CPU.

        A CPU evaluates a few rows at a time, so that the output of a layer is still in its cache for the next one.

        Args:
            noise: Shape (N, latent_dim).
            condition: Shape (N, C); None for an unconditional game.

        Returns:
            Shape (N, *layout.shape), float32.
        """
        generator = self.sampling_generator
        training = generator.training
        generator.eval()
        noise = self.engine.to_device(noise)
        condition = None if condition is None else self.engine.to_device(condition)
        parts = _parts(len(noise), generator.layout) if self.engine.device.type == "cpu" else [slice(None)]
        with self.engine.arithmetic():
            drawn: list[Tensor] = [
                generator(noise[part], None if condition is None else condition[part]).float() for part in parts
            ]
        generator.train(training)
        return (drawn[0] if len(drawn) == 1 else torch.cat(drawn)).cpu()

    @contextlib.contextmanager
    def preserved(self) -> Iterator[None]:
        """Restore buffers and modes after the block, which may evaluate and differentiate both players.

        Forward passes change running statistics and power iterations. Parameters must not change within the block.
        """
        players = (self.generator, self.critic)
        buffers = [buffer for player in players for buffer in player.buffers()]
        before = [buffer.clone() for buffer in buffers]
        modes = [(module, module.training) for player in players for module in player.modules()]
        try:
            with torch.enable_grad():
                yield
        finally:
            with torch.no_grad():
                for buffer, value in zip(buffers, before, strict=True):
                    buffer.copy_(value)
            for module, mode in modes:
                module.training = mode

    def with_own_critic(self) -> Game:
        """The same game with a copy of the critic and of its optimiser's state; the generator is shared."""
        own = copy.copy(self)
        # One call for both, so that the copied optimiser refers to the copied parameters.
        own.critic, own.critic_optimizer = copy.deepcopy((self.critic, self.critic_optimizer))
        own._initial_lr = {own.critic_optimizer: self._initial_lr[self.critic_optimizer]}
        return own

    def set_lr(self, factor: float) -> None:
        """Set both learning rates to `factor` times their start, times `lr_factor`."""
        for optimizer, rates in self._initial_lr.items():
            for group, lr in zip(optimizer.param_groups, rates, strict=True):
                group["lr"] = lr * factor * self.lr_factor

    @torch.no_grad()
    def update_average(self, decay: float) -> None:
        """Move the average towards the generator, faster at first, to discount the initial parameters."""
        if self.average is None:
            return
        decay = min(decay, (1 + self.steps_done) / (10 + self.steps_done))
        averages: list[Tensor] = list(self.average.parameters())
        parameters: list[Tensor] = list(self.generator.parameters())
        torch._foreach_lerp_(averages, parameters, 1.0 - decay)
        for kept, buffer in zip(self.average.buffers(), self.generator.buffers(), strict=True):
            kept.copy_(buffer)

    def state(self) -> tuple[dict[str, Tensor], dict[str, object]]:
        """All that training changes: named tensors, and facts that are plain JSON."""
        tensors: dict[str, Tensor] = {}
        for player, network in self._networks().items():
            tensors |= {f"{player}.{name}": value for name, value in network.state_dict().items()}
        for player, optimizer in self._optimizers().items():
            for index, slots in optimizer.state_dict()["state"].items():
                tensors |= {f"{player}_optimizer.{index}.{slot}": value for slot, value in slots.items()}
        return tensors, {"steps_done": self.steps_done, "seed": self.seed, "rollbacks": self.rollbacks}

    @in_default_state
    def restore(self, tensors: dict[str, Tensor], facts: dict[str, Any]) -> None:
        """Restore what `state` returned.

        Args:
            tensors: The named tensors.
            facts: The facts.

        Raises:
            KeyError: A tensor is missing.
            RuntimeError: A tensor has another shape or belongs to no network.
        """
        for player, network in self._networks().items():
            network.load_state_dict(_below(tensors, player))
        for player, optimizer in self._optimizers().items():
            parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
            slots: dict[int, dict[str, Tensor]] = {}
            for name, value in _below(tensors, f"{player}_optimizer").items():
                index, _, slot = name.partition(".")
                slots.setdefault(int(index), {})[slot] = _laid_out_like(parameters[int(index)], value)
            groups = optimizer.state_dict()["param_groups"]
            optimizer.load_state_dict({"state": slots, "param_groups": groups})
        self.steps_done = int(facts["steps_done"])
        self.rollbacks = int(facts.get("rollbacks", 0))

    def _networks(self) -> dict[str, nn.Module]:
        networks: dict[str, nn.Module] = {"generator": self.generator, "critic": self.critic}
        return networks if self.average is None else networks | {"average": self.average}

    def _optimizers(self) -> dict[str, torch.optim.Optimizer]:
        return {"generator": self.generator_optimizer, "critic": self.critic_optimizer}


_IMAGES_AT_ONCE, _VECTORS_AT_ONCE = 32, 512
"""Samples that a CPU draws at once: few enough that the allocator reuses the memory of their layers."""


def _parts(num: int, layout: Layout) -> list[slice]:
    """Slices of rows that a CPU evaluates one after another; one empty slice for no rows."""
    step = _IMAGES_AT_ONCE if layout.is_image else _VECTORS_AT_ONCE
    return [slice(start, start + step) for start in range(0, max(num, 1), step)]


def _laid_out_like(parameter: Tensor, value: Tensor) -> Tensor:
    """A copy of an optimiser's slot with its parameter's strides: fused optimisers read both in memory order."""
    return torch.empty_like(parameter).copy_(value) if value.shape == parameter.shape else value.clone()


def _below(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name[len(prefix) + 1 :]: value for name, value in tensors.items() if name.startswith(f"{prefix}.")}
