"""Conditional accuracy: whether samples show the conditions that they were generated under.

Samples of a generator that ignores its conditions can be as close to the data as those of one that follows them. So a
small classifier is trained on real rows to predict their conditions, and then applied to samples. Its accuracy on real
rows that it has not seen bounds what it can show. The critic is measured too: how far its scores of real rows fall
under wrong conditions.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wgan.batch import Batch, Layout
from wgan.data.codes import Part, words_of
from wgan.data.columns import Category
from wgan.data.conditions import Conditions
from wgan.data.source import Source
from wgan.errors import UsageError
from wgan.evaluation.metrics import harden
from wgan.randomness import Randomness
from wgan.system.torch_state import in_default_state

Draw = Callable[[Tensor], Tensor]
"""From conditions (N, C) to samples (N, *layout.shape), on the CPU."""

Score = Callable[[Batch], Tensor]
"""From real rows with conditions to the critic's scores; with packing there are fewer scores than rows."""


class Engine(Protocol):
    """The device and the precision of networks, such as `wgan.training.engine.Engine`."""

    def place(self, network: nn.Module) -> nn.Module:
        """Move a network to the device, in place."""

    def to_device(self, values: Tensor) -> Tensor:
        """Move values to the device."""

    def arithmetic(self) -> AbstractContextManager[object]:
        """The context of the precision."""


_STEPS = {True: 800, False: 1500}
"""Updates of the classifier, for images (True) and other data."""

_BATCH, _RATE, _BLOCK = 64, 1e-3, 512
_LARGEST = 64
_MOST_ROWS = 5_000
_MOST_VALUES = 100


class ConditionClassifier:
    """A network that predicts the conditions of a row.

    It is trained on the training rows, and on half of the rows with unseen combinations of conditions, which the
    generator is not trained on.

    Args:
        source: Real rows with their conditions.
        seed: Of its parameters and batches.
        engine: Its device and precision.
        steps: Updates, at most.

    Attributes:
        conditions: Of the source.
        unseen: The other half of the rows with unseen combinations.

    Raises:
        UsageError: The source has no conditions.
    """

    def __init__(self, source: Source, *, seed: int, engine: Engine, steps: int | None = None) -> None:
        if source.conditions is None:
            raise UsageError("there are no conditions to predict", remedy="Name some with --condition.")
        self.conditions: Conditions = source.conditions
        self._layout, self._engine = source.codec.layout, engine
        streams = Randomness(seed)
        # The name is part of the random stream and cannot change.
        unseen = source.labelled("unseen", _MOST_ROWS, streams.at("unseen rows of the reader"))
        half = len(unseen.values) // 2
        known, self.unseen = _part(unseen, slice(half)), _part(unseen, slice(half, None))
        with streams.as_global("initial weights of the reader"):
            self._network = _network(self._layout, self.conditions.size)
        engine.place(self._network)
        optimizer = torch.optim.Adam(self._network.parameters(), lr=_RATE)
        most = _STEPS[self._layout.is_image]
        steps = most if steps is None else min(most, steps)
        for step in range(steps):
            for group in optimizer.param_groups:
                group["lr"] = _RATE * (1 - step / steps)
            values, condition = self._batch(source, known, streams.at("rows of the reader", step))
            loss = self._loss(self._outputs(values), engine.to_device(condition))
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        self._network.eval()

    @staticmethod
    def _batch(source: Source, known: Batch, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        """Training rows and rows with unseen combinations: in proportion, but at least one of these in each batch."""
        values, condition = source.sample(_BATCH, rng)
        assert condition is not None
        if known.condition is None or not len(known.values) or source.size is None:
            return values, condition
        num = max(1, round(_BATCH * len(known.values) / (len(known.values) + source.size)))
        chosen = torch.randint(len(known.values), (num,), generator=rng, device="cpu")
        return torch.cat([known.values[chosen], values[num:]]), torch.cat([known.condition[chosen], condition[num:]])

    def _outputs(self, values: Tensor) -> Tensor:
        with self._engine.arithmetic():
            outputs: Tensor = self._network(self._engine.to_device(values))
        return outputs.float()

    def _loss(self, outputs: Tensor, condition: Tensor) -> Tensor:
        """Cross entropy of each category, squared error of numbers and embeddings."""
        losses = []
        for part, entries in self._entries():
            if isinstance(part, Category):
                losses.append(F.cross_entropy(outputs[:, entries], condition[:, entries].argmax(dim=1)))
            else:
                losses.append(F.mse_loss(outputs[:, entries], condition[:, entries]))
        return torch.stack(losses).sum()

    def _entries(self) -> list[tuple[Part, slice]]:
        """Each part with its entries of a condition."""
        found: list[tuple[Part, slice]] = []
        start = 0
        for part in self.conditions.parts:
            found.append((part, slice(start, start + part.width)))
            start += part.width
        return found

    @torch.no_grad()
    def predict(self, values: Tensor) -> Tensor:
        """Predict the conditions of rows.

        Args:
            values: Shape (N, *layout.shape); probabilities of one-hot groups count as the most likely category.

        Returns:
            Shape (N, C), on the CPU: logits for the values of a category; numbers and embeddings themselves.
        """
        values = harden(values, self._layout.groups) if self._layout.groups else values
        blocks = [self._outputs(block).cpu() for block in torch.split(values, _BLOCK)]
        return torch.cat(blocks) if blocks else torch.empty(0, self.conditions.size, dtype=torch.float32, device="cpu")

    def compare(self, values: Tensor, condition: Tensor) -> dict[str, Tensor]:
        """Compare predicted with given conditions.

        Returns:
            By name. For a category, whether the prediction is right, shape (N,), boolean. For a number or text, the
            correlation of predicted and given values over rows and the entries of an embedding, 0-d.
        """
        predicted = self.predict(values)
        found: dict[str, Tensor] = {}
        for part, entries in self._entries():
            ours, given = predicted[:, entries], condition[:, entries]
            if isinstance(part, Category):
                found[part.name] = ours.argmax(dim=1) == given.argmax(dim=1)
            else:
                found[part.name] = _correlation(ours.flatten(), given.flatten())
        return found


@in_default_state
def conditional_accuracy(
    source: Source, draw: Draw, score: Score | None, *, size: int, seed: int, engine: Engine, steps: int | None = None
) -> dict[str, float]:
    """Measure whether samples follow their conditions.

    Args:
        source: The data, with conditions.
        draw: The generator.
        score: The critic; None if it has no scores.
        size: Samples to classify.
        seed: Of the classifier and of the conditions of samples.
        engine: Device and precision of the classifier.
        steps: Updates of the classifier, at most.

    Returns:
        Numbers by name. "accuracy_hair" is the share of samples that the classifier assigns to the requested hair, and
        "accuracy_hair=red" that of the samples requested as red. "classifier_accuracy_hair" is the accuracy of the
        classifier on held-out real rows, which bounds what the former can show. "chance_hair" is the accuracy that a
        generator would have that ignores its condition. "accuracy", "classifier_accuracy" and "chance" are the shares
        for which all categories are right at once, if there are several. For a number or a text,
        "correlation_age", "classifier_accuracy_age" and "chance_age" are correlations. All of these have the prefix
        "unseen_" for combinations that were kept from training. "score_drop" is the fall of the critic's mean score of
        held-out rows under wrong conditions, in standard deviations of these scores; 0 if the critic ignores them.
    """
    classifier, streams = ConditionClassifier(source, seed=seed, engine=engine, steps=steps), Randomness(seed)
    conditions = classifier.conditions
    wanted = conditions.draw(size, streams.at("conditions of the reader"))
    samples = draw(wanted)
    # Chance: each sample with the conditions of the next one, which it was not generated under.
    found = _found(classifier, "", samples, wanted, samples.roll(1, dims=0))
    held_out = source.labelled("held-out", _MOST_ROWS, streams.at("held-out rows of the reader"))
    for prefix, rows in (("", held_out), ("unseen_", classifier.unseen)):
        if rows.condition is None or not len(rows.values):
            continue
        if prefix:
            again = rows.condition[torch.arange(size, device="cpu") % len(rows.condition)]
            # Chance: samples of other conditions. With one unseen combination, its samples cannot be shuffled.
            found |= _found(classifier, prefix, draw(again), again, samples)
        compared = classifier.compare(rows.values, rows.condition)
        found |= {f"{prefix}classifier_accuracy{name}": value for name, value in _shares(compared).items()}
        if not prefix and score is not None and len(conditions.codes) > 1:
            found |= _score_drop(conditions, score, rows, streams.at("wrong conditions of the reader"))
    return found


def _part(batch: Batch, rows: slice) -> Batch:
    return Batch(batch.values[rows], None if batch.condition is None else batch.condition[rows])


def _found(
    classifier: ConditionClassifier, prefix: str, values: Tensor, requested: Tensor, others: Tensor
) -> dict[str, float]:
    """The accuracy of samples, in all and by value, and that of other samples, which is chance."""
    seen = classifier.compare(values, requested)
    followed = {f"_{part.name}" for part in classifier.conditions.parts if not isinstance(part, Category)}
    found = {
        f"{prefix}{'correlation' if name in followed else 'accuracy'}{name}": value
        for name, value in _shares(seen).items()
    }
    ignored = _shares(classifier.compare(others, requested))
    found |= {f"{prefix}chance{name}": value for name, value in ignored.items()}
    if prefix:
        return found
    start = 0
    for part in classifier.conditions.parts:
        wanted = requested[:, start : start + part.width].argmax(dim=1)
        start += part.width
        if isinstance(part, Category) and part.width <= _MOST_VALUES:
            for number, value in enumerate(words_of(part)):
                if bool((wanted == number).any()):
                    found[f"accuracy_{part.name}={value}"] = seen[part.name][wanted == number].double().mean().item()
    return found


def _shares(compared: dict[str, Tensor]) -> dict[str, float]:
    """Means by "_name"; under the empty name the share with all categories right, if there are several."""
    found = {f"_{name}": value.double().mean().item() for name, value in compared.items()}
    categories = [value for value in compared.values() if value.dtype == torch.bool]
    if len(categories) > 1:
        found = {"": torch.stack(categories).all(dim=0).double().mean().item()} | found
    return found


def _score_drop(conditions: Conditions, score: Score, rows: Batch, rng: torch.Generator) -> dict[str, float]:
    """The fall of the critic's score under wrong conditions, by name; empty for fewer than two scores."""
    assert rows.condition is not None
    right = score(rows).double().cpu()
    if len(right) < 2:
        return {}
    wrong = score(Batch(rows.values, conditions.mismatched(rows.condition, rng))).double().cpu()
    spread = float(right.std())
    return {"score_drop": float((right - wrong).mean()) / spread if spread > 0 else 0.0}


def _correlation(x: Tensor, y: Tensor) -> Tensor:
    """Pearson's correlation; 0 if one of the two is constant."""
    x, y = x.double() - x.double().mean(), y.double() - y.double().mean()
    correlation: Tensor = (x @ y) / (x.norm() * y.norm()).clamp(min=1e-12)
    return correlation


def _network(layout: Layout, outputs: int) -> nn.Module:
    """Three convolutions for images, three linear layers for other data."""
    if not layout.is_image:
        return nn.Sequential(
            nn.Linear(layout.size, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, outputs)
        )
    # Larger images need not be classified at their full size.
    height, width = (min(length, _LARGEST) for length in layout.shape[1:])
    layers: list[nn.Module] = [nn.AdaptiveAvgPool2d((height, width))] if (height, width) != layout.shape[1:] else []
    channels = layout.shape[0]
    for filters in (32, 64, 128):
        stride = 2 if min(height, width) > 4 else 1
        layers += [nn.Conv2d(channels, filters, 3, stride, 1), nn.BatchNorm2d(filters), nn.ReLU()]
        channels, height, width = filters, -(-height // stride), -(-width // stride)
    # Flattened and not averaged: positions matter.
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(channels * height * width, outputs))
