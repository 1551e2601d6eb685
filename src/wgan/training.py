"""Algorithm 1: train a generator against a critic that is kept near its optimum.

`train` is a generator function: it yields after every update of the generator, and everything else (printing,
recording, judging, stopping, saving) is its caller's loop body.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.func import functional_call

from wgan.batch import Batch
from wgan.constraints import Constraint
from wgan.data.source import Source
from wgan.engine import Engine
from wgan.errors import UsageError
from wgan.networks import Critic, Generator, ties_samples
from wgan.objectives import Objective
from wgan.optimizers import Foreseeing
from wgan.randomness import Randomness


@dataclass(frozen=True, kw_only=True)
class Rules:
    """The numbers of Algorithm 1.

    Attributes:
        generator_steps: Generator updates of the whole run.
        batch_size: Samples in each batch (m).
        critic_steps: Critic updates before each generator update (n_critic).
        schedule: "constant", or "authors": `AUTHORS_CRITIC_STEPS` critic updates before each of the first 25 generator
            updates and before every 500th, as in the authors' code.
        decay: How the learning rates fall from their start to zero over the run.
        average: Decay of the generator's exponential moving average; 0 for none.
        packing: Samples that the critic sees as one.
        unrolled_steps: Updates of the critic that the generator looks ahead.

    Raises:
        UsageError: A number out of its range.
    """

    generator_steps: int
    batch_size: int = 64
    critic_steps: int = 5
    schedule: Literal["constant", "authors"] = "constant"
    decay: Literal["none", "linear", "cosine"] = "none"
    average: float = 0.0
    packing: int = 1
    unrolled_steps: int = 0

    def __post_init__(self) -> None:
        wanted = {
            "generator_steps": (self.generator_steps >= 0, "at least 0"),
            "batch_size": (self.batch_size >= 1, "at least 1"),
            "critic_steps": (self.critic_steps >= 1, "at least 1"),
            "average": (0 <= self.average < 1, "at least 0 and below 1"),
            "packing": (self.packing >= 1, "at least 1"),
            "unrolled_steps": (self.unrolled_steps >= 0, "at least 0"),
        }
        faults = [
            f"{name} must be {must}, not {getattr(self, name)}" for name, (holds, must) in wanted.items() if not holds
        ]
        if faults:
            raise UsageError("; ".join(faults))
        if self.batch_size % self.packing:
            raise UsageError(
                f"batches of {self.batch_size} cannot be packed by {self.packing}",
                remedy="Choose a batch size that is a multiple of it.",
            )

    def critic_steps_at(self, step: int) -> int:
        """Critic updates before the generator update that follows `step` others."""
        if self.schedule == "authors" and (step < 25 or step % 500 == 0):
            return AUTHORS_CRITIC_STEPS
        return self.critic_steps

    def critic_steps_before(self, step: int) -> int:
        """Critic updates of the whole run before those that precede the generator update that follows `step` others."""
        if self.schedule == "constant":
            return step * self.critic_steps
        long = min(step, 25) + max(0, step - 1) // 500
        return long * AUTHORS_CRITIC_STEPS + (step - long) * self.critic_steps

    def rate_at(self, step: int) -> float:
        """The factor on both learning rates after `step` generator updates, from 1 down to 0."""
        done = step / max(1, self.generator_steps)
        if self.decay == "linear":
            return 1.0 - done
        return 0.5 + 0.5 * math.cos(math.pi * done) if self.decay == "cosine" else 1.0


AUTHORS_CRITIC_STEPS = 100

LOOKING_AHEAD = -1
"""In place of the number of a critic update, in the draws of those that are only looked at."""


@dataclass(frozen=True)
class Prior:
    """The distribution of the noise: independent entries, N(0, 1) or uniform on [-1, 1]."""

    size: int
    name: Literal["normal", "uniform"] = "normal"

    def sample(self, num: int, rng: torch.Generator) -> Tensor:
        """Noise of shape (num, size), float32, on the CPU."""
        if self.name == "normal":
            return torch.randn(num, self.size, generator=rng)
        return torch.rand(num, self.size, generator=rng) * 2.0 - 1.0


class Game:
    """All that training changes, which is all that a checkpoint saves; and the engine that it runs on.

    Args:
        generator: Noise to samples.
        critic: Samples to scores; its constraint is attached already.
        generator_optimizer: Its groups' "lr" is the rate at the start of the run.
        critic_optimizer: Likewise.
        prior: The noise.
        seed: All draws follow from it and from `steps_done`.
        engine: Where and how networks are evaluated; both networks are placed on it.
        averaged: Whether to keep an exponential moving average of the generator.
    """

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
        self.generator, self.critic = generator, critic
        self.generator_optimizer, self.critic_optimizer = generator_optimizer, critic_optimizer
        self.prior, self.seed, self.engine = prior, seed, engine
        self.average: Generator | None = copy.deepcopy(generator) if averaged else None
        self.steps_done = 0
        self._rates = {
            optimizer: [group["lr"] for group in optimizer.param_groups]
            for optimizer in (generator_optimizer, critic_optimizer)
        }

    @property
    def best_generator(self) -> Generator:
        """The generator to sample from: the average where there is one."""
        return self.average or self.generator

    def score(
        self, values: Tensor, condition: Tensor | None = None, weights: dict[str, Tensor] | None = None
    ) -> Tensor:
        """What the critic puts out, scores of shape (N,) for most objectives, float32; under other weights if given."""
        with self.engine.arithmetic():
            if weights is not None:
                return cast(Tensor, functional_call(self.critic, weights, (values, condition)))
            scores: Tensor = self.critic(values, condition)
        return scores

    def score_both(self, real: Batch, fake: Batch, weights: dict[str, Tensor] | None = None) -> tuple[Tensor, Tensor]:
        """Scores of real and of fake samples: in one pass, unless batch norm would mix the two."""
        if ties_samples(self.critic) or real.condition is not None:
            return self.score(*real, weights), self.score(*fake, weights)
        scores = self.score(torch.cat([real.values, fake.values]), None, weights)
        return scores[: len(real.values)], scores[len(real.values) :]

    def generate(self, noise: Tensor, condition: Tensor | None = None) -> Batch:
        """Samples of the generator under training, float32."""
        with self.engine.arithmetic():
            values = self.generator(self.engine.bring(noise), condition)
        return Batch(values.float(), condition)

    @torch.no_grad()
    def draw(self, noise: Tensor) -> Tensor:
        """Samples of `best_generator`, as a user would draw them: running statistics, no graph, on the CPU.

        Args:
            noise: Shape (N, noise_size).

        Returns:
            Shape (N, *layout.shape), float32.
        """
        generator = self.best_generator
        training = generator.training
        generator.eval()
        with self.engine.arithmetic():
            values: Tensor = generator(self.engine.bring(noise))
        generator.train(training)
        return values.float().cpu()

    def set_rates(self, factor: float) -> None:
        """Set both optimisers' learning rates to `factor` times their start."""
        for optimizer, rates in self._rates.items():
            for group, rate in zip(optimizer.param_groups, rates, strict=True):
                group["lr"] = rate * factor

    @torch.no_grad()
    def update_average(self, decay: float) -> None:
        """Move the average towards the generator; faster at first, so that the initial weights are soon forgotten."""
        if self.average is None:
            return
        decay = min(decay, (1 + self.steps_done) / (10 + self.steps_done))
        averages: list[Tensor] = list(self.average.parameters())
        weights: list[Tensor] = list(self.generator.parameters())
        torch._foreach_lerp_(averages, weights, 1.0 - decay)
        for kept, buffer in zip(self.average.buffers(), self.generator.buffers(), strict=True):
            kept.copy_(buffer)

    def state(self) -> tuple[dict[str, Tensor], dict[str, object]]:
        """All that training has changed: named tensors, and facts that are plain JSON."""
        tensors: dict[str, Tensor] = {}
        for player, network in self._networks().items():
            tensors |= {f"{player}.{name}": value for name, value in network.state_dict().items()}
        for player, optimizer in self._optimizers().items():
            for index, slots in optimizer.state_dict()["state"].items():
                tensors |= {f"{player}_optimizer.{index}.{slot}": value for slot, value in slots.items()}
        return tensors, {"steps_done": self.steps_done, "seed": self.seed}

    def restore(self, tensors: dict[str, Tensor], facts: dict[str, Any]) -> None:
        """Take over a state that `state` gave out.

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
            weights = [weight for group in optimizer.param_groups for weight in group["params"]]
            slots: dict[int, dict[str, Tensor]] = {}
            for name, value in _below(tensors, f"{player}_optimizer").items():
                index, _, slot = name.partition(".")
                slots.setdefault(int(index), {})[slot] = _laid_out_like(weights[int(index)], value)
            groups = optimizer.state_dict()["param_groups"]
            optimizer.load_state_dict({"state": slots, "param_groups": groups})
        self.steps_done = int(facts["steps_done"])

    def _networks(self) -> dict[str, nn.Module]:
        networks: dict[str, nn.Module] = {"generator": self.generator, "critic": self.critic}
        return networks if self.average is None else networks | {"average": self.average}

    def _optimizers(self) -> dict[str, torch.optim.Optimizer]:
        return {"generator": self.generator_optimizer, "critic": self.critic_optimizer}


def _laid_out_like(weight: Tensor, value: Tensor) -> Tensor:
    """A copy of an optimiser's slot with its weight's strides, since fused optimisers walk both in memory order."""
    return torch.empty_like(weight).copy_(value) if value.shape == weight.shape else value.clone()


def _below(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name[len(prefix) + 1 :]: value for name, value in tensors.items() if name.startswith(f"{prefix}.")}


@dataclass(frozen=True)
class Step:
    """What one generator update left to look at: 0-d detached tensors, so that nothing waits until they are read.

    Attributes:
        number: Generator updates done, this one included.
        estimate: The objective's estimate on the last critic batch.
        critic_loss: The loss of the last critic update, penalty included.
        generator_loss: The loss of the generator update.
    """

    number: int
    estimate: Tensor
    critic_loss: Tensor
    generator_loss: Tensor


class Drawn(NamedTuple):
    """What the critic's loss draws besides its samples, so that it is a pure function of them.

    Attributes:
        by_objective: Such as labels to be flipped.
        by_constraint: Such as the places of a gradient penalty.
    """

    by_objective: Tensor | None
    by_constraint: Tensor | None


def draw(game: Game, objective: Objective, constraint: Constraint, real: Batch, *counters: int) -> Drawn:
    """Draw for one batch, on the CPU whatever the device, and bring it there."""
    streams, shape = Randomness(game.seed), tuple(real.values.shape)
    drawn = (
        objective.draw(shape[0], streams.at("objective", *counters)),
        constraint.draw(shape, streams.at("constraint", *counters)),
    )
    return Drawn(*(None if values is None else game.engine.bring(values) for values in drawn))


def critic_loss(
    game: Game,
    objective: Objective,
    constraint: Constraint,
    real: Batch,
    fake: Batch,
    drawn: Drawn,
    weights: dict[str, Tensor] | None = None,
) -> tuple[Tensor, Tensor]:
    """The critic's loss and its estimate, a pure function of weights, batches and draws: both 0-d."""
    of_real, of_fake = game.score_both(real, fake, weights)

    def witness(values: Tensor, condition: Tensor | None) -> Tensor:
        return objective.witness(game.score(values, condition, weights), of_real, of_fake)

    loss = objective.critic_loss(of_real, of_fake, drawn.by_objective)
    loss = loss + constraint.penalty(witness, real, fake, drawn.by_constraint)
    return loss, objective.estimate(of_real.detach(), of_fake.detach())


def generator_loss(
    game: Game, objective: Objective, fake: Batch, real: Batch | None, weights: dict[str, Tensor] | None = None
) -> Tensor:
    """The generator's loss, 0-d, a pure function of its samples, the critic's weights and real samples if asked for."""
    of_real = game.score(*real, weights) if real is not None and objective.generator_sees_real else None
    return objective.generator_loss(game.score(*fake, weights), of_real)


def look_ahead(
    game: Game, objective: Objective, held: Sequence[Constraint], real: Batch, fake: Batch, drawn: Drawn
) -> dict[str, Tensor]:
    """The critic's weights after more of its updates, as a differentiable function of the generated samples.

    The updates are those that its optimiser would make on this one batch; the critic itself stays as it is.

    Args:
        game: Networks and optimisers; not changed.
        objective: What the two optimise.
        held: What holds the critic in each of the updates.
        real: The batch.
        fake: With the generator's graph.
        drawn: For the batch.

    Returns:
        Weights and buffers by name.

    Raises:
        UsageError: An optimiser whose updates are not known as formulas.

    Source: Metz, Poole, Pfau and Sohl-Dickstein (2017), equations 7 to 11: gradients through all steps, and the same
    batch in each of them as in the authors' code.
    """
    optimizer = game.critic_optimizer
    if not isinstance(optimizer, Foreseeing):
        raise UsageError(
            f"the updates of {type(optimizer).__name__} cannot be looked through",
            remedy="Use an optimiser of wgan.optimizers, or unrolled_steps=0.",
        )
    # Statistics that forward passes leave behind belong to updates that are never made.
    buffers = {name: buffer.clone() for name, buffer in game.critic.named_buffers()}
    names, weights = [name for name, _ in game.critic.named_parameters()], list[Tensor](game.critic.parameters())
    slots = optimizer.slots()
    for constraint in held:
        loss, _ = critic_loss(
            game, objective, constraint, real, fake, drawn, dict(zip(names, weights, strict=True)) | buffers
        )
        gradients = torch.autograd.grad(loss, weights, create_graph=True, allow_unused=True)
        weights, slots = optimizer.foresee(weights, gradients, slots)
        weights = constraint.projected(weights)
    return dict(zip(names, weights, strict=True)) | buffers


def descend(loss: Tensor, player: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Move one player, and only that one, down the gradient of its loss; one without weights stays where it is."""
    weights = list(player.parameters())
    if not weights:
        return
    optimizer.zero_grad(set_to_none=True)
    # `inputs` is the subscript of the gradient sign: the other player gathers nothing.
    torch.autograd.backward(loss, inputs=weights)
    optimizer.step()


def train(game: Game, source: Source, objective: Objective, constraint: Constraint, rules: Rules) -> Iterator[Step]:
    """Train until `rules.generator_steps` generator updates are done, from wherever the game stands.

    The numbers in the margin are the lines of the paper's Algorithm 1. Every draw depends on the game's seed, its step
    and the draw's purpose alone, so a game that was saved and restored goes on as if it had never stopped: to the
    bit on the same CPU machine, and up to rounding on CUDA, which may add in another order each time.

    Args:
        game: Networks, optimisers, noise; changed in place.
        source: The data.
        objective: What the two optimise.
        constraint: What holds the critic.
        rules: The numbers.

    Yields:
        One `Step` after each generator update.

    Raises:
        UsageError: The rules want an average that the game does not keep, or the game keeps one that they do not move.

    Source: Arjovsky, Chintala and Bottou (2017), Algorithm 1.
    """
    if (game.average is not None) != (rules.average > 0):
        kept = "keeps no average" if game.average is None else "keeps an average"
        raise UsageError(
            f"the game {kept} of its generator, but the rules' average is {rules.average}",
            remedy="Build the game with averaged=True where the rules' average is above 0, and only there.",
        )
    streams, m = Randomness(game.seed), rules.batch_size
    while game.steps_done < rules.generator_steps:  # 1
        k = game.steps_done
        game.set_rates(rules.rate_at(k))
        update = rules.critic_steps_before(k)
        for t in range(rules.critic_steps_at(k)):  # 2
            real = game.engine.bring_batch(source.sample(m, streams.at("real", k, t)))  # 3
            noise = game.prior.sample(m, streams.at("noise of the critic", k, t))  # 4
            with torch.no_grad():
                fake = game.generate(noise, real.condition)
            real, fake = real.packed(rules.packing), fake.packed(rules.packing)
            held = constraint.at(update + t)
            drawn = draw(game, objective, held, real, k, t)
            loss, estimate = critic_loss(game, objective, held, real, fake, drawn)
            descend(loss, game.critic, game.critic_optimizer)  # 5, 6
            constraint.project(game.critic)  # 7
        noise = game.prior.sample(m, streams.at("noise of the generator", k))  # 9
        shown = None
        if objective.generator_sees_real or rules.unrolled_steps:
            shown = game.engine.bring_batch(source.sample(m, streams.at("real of the generator", k)))
        fake = game.generate(noise, None if shown is None else shown.condition).packed(rules.packing)
        shown = None if shown is None else shown.packed(rules.packing)
        weights = None
        if rules.unrolled_steps:
            assert shown is not None
            coming = range(rules.critic_steps_before(k + 1), rules.critic_steps_before(k + 1) + rules.unrolled_steps)
            drawn = draw(game, objective, constraint, shown, k, LOOKING_AHEAD)
            weights = look_ahead(game, objective, list(map(constraint.at, coming)), shown, fake, drawn)
        loss_of_generator = generator_loss(game, objective, fake, shown, weights)  # 10
        descend(loss_of_generator, game.generator, game.generator_optimizer)  # 11
        game.update_average(rules.average)
        game.steps_done += 1
        yield Step(game.steps_done, estimate, loss.detach(), loss_of_generator.detach())
