"""The numbers that samples are evaluated by, each distance with its floor: the same between two sets of real rows.

A number is a function and a row of `METRICS`. Records, reports, the command line and the reference read the table.
"""

from __future__ import annotations

import contextlib
import statistics
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import pyarrow as pa
import torch
from torch import Tensor

from wgan.data.columns import Number
from wgan.data.source import Codec, Source
from wgan.errors import UsageError
from wgan.evaluation.features import EfficientNetLite0
from wgan.evaluation.marginals import coordinates, marginals
from wgan.kernels import kernel_distance
from wgan.randomness import Randomness
from wgan.system.torch_state import in_default_state
from wgan.transport import exact, sliced

LOW_DIMENSIONS = 3
"""Dimensions of a sample up to which the exact W1 alone tells samples from noise."""

Draw = Callable[[int], Tensor]


class Mixture(Protocol):
    """A source whose modes are known.

    Attributes:
        modes: Their centres, shape (K, D).
        sigma: The standard deviation around each.
    """

    modes: Tensor
    sigma: float


@dataclass(frozen=True, kw_only=True)
class Sets:
    """Samples and the held-out rows that they are compared with.

    Attributes:
        pairs: For each round samples and as many held-out rows, shape (N, *layout.shape) each.
        source: The data.
        streams: Random streams of the evaluation.
        extractor: Of features of images; None if they are not requested.
        held_out_features: Of the held-out rows of the first round; None likewise.
    """

    pairs: list[tuple[Tensor, Tensor]]
    source: Source
    streams: Randomness
    extractor: EfficientNetLite0 | None
    held_out_features: Tensor | None

    @property
    def is_image(self) -> bool:
        """Whether the samples are images."""
        return self.source.codec.layout.is_image

    @property
    def samples(self) -> Tensor:
        """The samples of all rounds."""
        return torch.cat([samples for samples, _ in self.pairs])


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A row of `METRICS`.

    Attributes:
        title: As a reader would say it.
        unit: What it is measured in.
        meaning: What it is, in a sentence.
        better: Whether lower or higher values are better.
        applies: Whether it is measured for such sets.
        measure: Measures it.
        has_floor: Whether it is a distance with a floor. The first distance of an evaluation is its score.
        shown: The value in words, from all numbers of an evaluation. Only read for numbers without a floor.
    """

    title: str
    unit: str
    meaning: str
    better: Literal["lower", "higher"]
    applies: Callable[[Sets], bool]
    measure: Callable[[Sets], float]
    has_floor: bool = True
    shown: Callable[[Mapping[str, Any]], str] = lambda numbers: ""


def mode_coverage(samples: Tensor, modes: Tensor, sigma: float) -> tuple[int, float]:
    """Count the modes that samples cover, and the share of samples near a mode.

    Args:
        samples: Shape (N, D).
        modes: Centres, shape (K, D).
        sigma: Standard deviation around each centre, in the same units.

    Returns:
        The number of modes with at least one sample within 3 sigma, and the share of samples within 3 sigma of a mode.

    Source: Srivastava et al. (2017), section 4.1 (the VEEGAN protocol).
    """
    distance, nearest = torch.cdist(samples, modes, compute_mode="donot_use_mm_for_euclid_dist").min(dim=1)
    near = distance < 3 * sigma
    return len(set(nearest[near].tolist())), near.double().mean().item()


def _w1(sets: Sets) -> float:
    groups = sets.source.codec.layout.groups
    costs = (float(exact(harden(samples, groups), real).cost) for samples, real in sets.pairs)
    return _unit(sets.source) * statistics.fmean(costs)


def _w1_sliced(sets: Sets) -> float:
    groups = sets.source.codec.layout.groups
    return _unit(sets.source) * _sliced(sets, [(harden(samples, groups), real) for samples, real in sets.pairs])


def _sliced(sets: Sets, pairs: Iterable[tuple[Tensor, Tensor]]) -> float:
    """The mean of sliced W1 over the repeats, along the same directions in each."""
    # The name is part of the random stream and cannot change.
    directions = "directions of the judge"
    found = (sliced(samples, real, sets.streams.at(directions), dtype=torch.float32) for samples, real in pairs)
    return statistics.fmean(float(each.distance) for each in found)


def _kernel_distance(sets: Sets) -> float:
    """Of the first round alone: features take long."""
    samples, real = sets.pairs[0][0], sets.held_out_features
    assert sets.extractor is not None
    assert real is not None
    distance, _ = kernel_distance(sets.extractor(samples), real, rng=sets.streams.at("subsets of the judge"))
    return distance


def _has_modes(sets: Sets) -> bool:
    return all(getattr(sets.source, name, None) is not None for name in ("modes", "sigma"))


def _modes(sets: Sets) -> float:
    """Covered modes of one round: with more samples, more of them fall into a lost mode by chance."""
    source: Any = sets.source
    return mode_coverage(sets.pairs[0][0], source.modes, source.sigma)[0]


def _high_quality(sets: Sets) -> float:
    source: Any = sets.source
    return mode_coverage(sets.samples, source.modes, source.sigma)[1]


METRICS: dict[str, Metric] = {
    "w1": Metric(
        title="exact W1",
        unit="data units; standard deviations if columns are scaled one by one",
        meaning="The earth mover's distance between samples and held-out rows.",
        better="lower",
        applies=lambda sets: not sets.is_image,
        measure=_w1,
    ),
    "w1_sliced": Metric(
        title="sliced W1",
        unit="as w1",
        meaning="The mean of W1 along random lines, for many dimensions, in which the exact one hardly tells "
        "samples from noise.",
        better="lower",
        applies=lambda sets: not sets.is_image and sets.source.codec.layout.size > LOW_DIMENSIONS,
        measure=_w1_sliced,
    ),
    "sliced_w1": Metric(
        title="sliced W1 of the pixels",
        unit="pixels from -1 to 1",
        meaning="The mean of W1 along random lines, between images.",
        better="lower",
        applies=lambda sets: sets.is_image,
        measure=lambda sets: _sliced(sets, sets.pairs),
    ),
    f"kernel_distance_{EfficientNetLite0.name}": Metric(
        title=f"kernel distance, features of {EfficientNetLite0.name}",
        unit="1",
        meaning="The kernel distance between features of images, if they are requested.",
        better="lower",
        applies=lambda sets: sets.is_image and sets.extractor is not None,
        measure=_kernel_distance,
    ),
    "modes": Metric(
        title="modes covered",
        unit="1",
        meaning="Modes with at least one sample within 3 standard deviations, if the modes are known.",
        better="higher",
        applies=_has_modes,
        measure=_modes,
        has_floor=False,
        shown=lambda numbers: f"{numbers['modes']:.0f} of {numbers['num_modes']:.0f}",
    ),
    "num_modes": Metric(
        title="modes of the data",
        unit="1",
        meaning="How many there are.",
        better="higher",
        applies=_has_modes,
        measure=lambda sets: len(getattr(sets.source, "modes", ())),
        has_floor=False,
    ),
    "high_quality": Metric(
        title="high quality",
        unit="share of samples",
        meaning="Samples within 3 standard deviations of a mode.",
        better="higher",
        applies=_has_modes,
        measure=_high_quality,
        has_floor=False,
        shown=lambda numbers: f"{100 * numbers['high_quality']:.1f} %",
    ),
}
"""Every number of an evaluation, in the order of the record. The first distance that applies is the score."""


def other_numbers(evaluation: Mapping[str, Any]) -> dict[str, str]:
    """The numbers of an evaluation that are not distances, in words, by title; those of another form are left out."""
    found = {}
    for name, metric in METRICS.items():
        if name in evaluation and not metric.has_floor:
            with contextlib.suppress(KeyError, TypeError, ValueError):
                found[metric.title] = metric.shown(evaluation)
    return {title: text for title, text in found.items() if text}


class SampleEvaluator:
    """Evaluates samples by the numbers of `METRICS`.

    All samples are compared with the same held-out rows, so that scores along a run can be compared. The floor of a
    distance is the same distance between the held-out rows and as many real rows.

    Args:
        source: The data.
        size: Samples in each set, at most; no more than there are held-out rows.
        seed: The run's seed.
        repeats: Independent sets of samples; the mean distance is reported. One exact distance between samples of few
            modes varies by a fifth, since the shares of the modes do.
        features: Whether to compute the kernel distance (images only); needs the `features` extra and about a minute.

    Raises:
        UsageError: No rows were held out, or the features are not installed.
    """

    @in_default_state
    def __init__(self, source: Source, *, size: int, seed: int, repeats: int = 1, features: bool = False) -> None:
        self.source, self.repeats = source, repeats
        self._streams = Randomness(seed)
        # A sampler gives fresh rows to each set; a finite data set has one held-out part.
        distinct = repeats if source.size is None else 1
        held_out = source.held_out(size * distinct, self._streams.at("held-out rows of the judge"))
        if not len(held_out):
            raise UsageError("no rows were held out to evaluate samples with", remedy="Set --held-out above 0.")
        self._held_out = held_out.chunk(distinct)
        self._extractor = EfficientNetLite0() if features and source.codec.layout.is_image else None
        self._held_out_features = self._extractor(self._held_out[0]) if self._extractor else None
        self._floor: dict[str, float] | None = None

    @property
    def size(self) -> int:
        """Samples in each set."""
        return len(self._held_out[0])

    @in_default_state
    def __call__(self, draw: Draw, *, by_column: bool = False) -> dict[str, Any]:
        """Evaluate a generator.

        Args:
            draw: From a number to as many independent samples, shape (N, *layout.shape).
            by_column: Whether to compare each numeric column too, in tables and in points of a few coordinates.

        Returns:
            "score" (lower is better), then the numbers by name, each distance with its "_floor". With `by_column`,
            "columns" has the comparison of held-out rows and samples in each column, the largest difference first, in
            the form of `wgan.evaluation.Marginal.as_json`.
        """
        samples = draw(self.size * self.repeats)
        if self._floor is None:
            # Rows without repetition, as samples and held-out rows are: repeated rows are further from everything.
            real = [
                self.source.distinct(self.size, self._streams.at("real rows", index)) for index in range(self.repeats)
            ]
            floor = self._measure(real, floor=True)
            self._floor = {f"{name}_floor": value for name, value in floor.items()}
        numbers = self._measure(list(torch.split(samples, self.size)))
        distances = {name: value for name, value in numbers.items() if METRICS[name].has_floor}
        columns = self._by_column(samples) if by_column else []
        return {
            "score": next(iter(distances.values())),
            **distances,
            **self._floor,
            **numbers,
            **({"columns": columns} if columns else {}),
        }

    def _by_column(self, samples: Tensor) -> list[dict[str, Any]]:
        """Compare each numeric column in the user's own unit: held-out rows, then samples."""
        codec = self.source.codec
        sides = [_numbers(codec, values) for values in (torch.cat(self._held_out), samples)]
        return [each.as_json() for each in marginals(*sides)]

    def _measure(self, samples: list[Tensor], *, floor: bool = False) -> dict[str, float]:
        """The numbers of `METRICS` that apply, for a set of samples of each repeat; of a floor the distances alone."""
        # If most of very few rows are held out, fewer are left to train on.
        pairs = [(part, self._held_out[index % len(self._held_out)][: len(part)]) for index, part in enumerate(samples)]
        sets = Sets(
            pairs=pairs,
            source=self.source,
            streams=self._streams,
            extractor=self._extractor,
            held_out_features=self._held_out_features,
        )
        metrics = {name: metric for name, metric in METRICS.items() if metric.has_floor or not floor}
        return {name: metric.measure(sets) for name, metric in metrics.items() if metric.applies(sets)}


def _unit(source: Source) -> float:
    """Data units in one unit of the networks; 1 if there is no common unit."""
    return getattr(source.codec, "unit", None) or 1.0


def _numbers(codec: Codec, values: Tensor) -> dict[str, pa.Array]:
    """The columns of numbers, dates and times by name; none for images and points of many coordinates."""
    if codec.layout.is_image:
        return {}
    decoded = codec.decode(values)
    if not isinstance(decoded, pa.Table):
        return coordinates(decoded.reshape(len(decoded), -1))
    columns = [column for column in getattr(codec, "columns", ()) if isinstance(column, Number)]
    return {column.name: column.read(decoded[column.name].combine_chunks()) for column in columns}


def harden(values: Tensor, groups: tuple[tuple[int, int], ...]) -> Tensor:
    """Replace the probabilities of each one-hot group by the category that decoding would choose."""
    values = values.clone()
    for start, stop in groups:
        chosen = values[:, start:stop].argmax(dim=1, keepdim=True)
        values[:, start:stop] = torch.zeros_like(values[:, start:stop]).scatter_(1, chosen, 1.0)
    return values
