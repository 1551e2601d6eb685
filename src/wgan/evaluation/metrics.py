"""Judge generated samples against held-out ones, always beside the floor: what two sets of real samples would score."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable
from typing import Any, Protocol

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
from wgan.system.torch_state import in_usual_state
from wgan.transport import exact, sliced

LOW_DIMENSIONS = 3
"""Numbers in a sample up to which the exact W1 tells samples from noise by itself."""

Draw = Callable[[int], Tensor]


class Mixture(Protocol):
    """A source whose modes are known.

    Attributes:
        modes: Their centres, shape (K, D).
        sigma: The standard deviation around each.
    """

    modes: Tensor
    sigma: float


def mode_coverage(samples: Tensor, modes: Tensor, sigma: float) -> tuple[int, float]:
    """Count the modes that samples reach, and the share of samples that are near one.

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


class SampleEvaluator:
    """Scores samples against the same held-out rows each time, so that scores along a run compare.

    Points and tables are judged by exact W1, and in more than `LOW_DIMENSIONS` by sliced W1 beside it; images by sliced
    W1 on pixels and, when asked, by the kernel distance of EfficientNet-Lite0's features. Each has its floor: the same
    number between the held-out rows and as many real rows.

    Args:
        source: The data.
        size: Samples on each side, at most; no more than there are held-out rows.
        seed: The run's seed.
        rounds: Independent sets of samples to judge; their mean is reported. One exact distance between samples from
            few modes strays by a fifth, because the modes' shares do.
        features: Whether to compute the kernel distance (images only): needs the `features` extra and about a minute.

    Raises:
        UsageError: No rows were held out, or the features are not installed.
    """

    @in_usual_state
    def __init__(self, source: Source, *, size: int, seed: int, rounds: int = 1, features: bool = False) -> None:
        self.source, self.rounds = source, rounds
        self._streams = Randomness(seed)
        # A sampler that never repeats itself gives fresh rows to each round; a finite set has but one held-out part.
        distinct = rounds if source.size is None else 1
        held_out = source.held_out(size * distinct, self._streams.at("held-out rows of the judge"))
        if not len(held_out):
            raise UsageError("no rows were held out to judge samples by", remedy="Set --held-out above 0.")
        self._held_out = held_out.chunk(distinct)
        self._extractor = EfficientNetLite0() if features and source.codec.layout.is_image else None
        self._held_out_features = self._extractor(self._held_out[0]) if self._extractor else None
        self._floor: dict[str, float] | None = None

    @property
    def size(self) -> int:
        """Samples on each side of one round."""
        return len(self._held_out[0])

    @property
    def unit(self) -> float:
        """Data units in one unit of the networks: distances are multiplied by it. 1 where there is no common unit."""
        return getattr(self.source.codec, "unit", None) or 1.0

    @in_usual_state
    def __call__(self, draw: Draw, *, by_column: bool = False) -> dict[str, Any]:
        """Judge a generator.

        Args:
            draw: From a number to as many independent samples, shape (N, *layout.shape).
            by_column: Whether to compare each column of numbers by itself too: of tables, and of points of a few
                coordinates.

        Returns:
            "score" (lower is better), then the numbers by name, each distance with its "_floor"; as "columns", if they
            were asked for and there are any, what `Marginal.as_json` of `wgan.evaluation` gives of each, the furthest
            apart first: held-out rows beside samples.
        """
        num = self.size * self.rounds
        samples = draw(num)
        if self._floor is None:
            # Without repetition, as samples and held-out rows are: doubled rows are further from everything.
            real = [
                self.source.distinct(self.size, self._streams.at("real rows", index)) for index in range(self.rounds)
            ]
            self._floor = {f"{name}_floor": value for name, value in self._distances(real).items()}
        distances = self._distances(list(torch.split(samples, self.size)))
        judged = {"score": next(iter(distances.values())), **distances, **self._floor}
        modes, sigma = getattr(self.source, "modes", None), getattr(self.source, "sigma", None)
        if modes is not None and sigma is not None:
            # Covered modes are counted among `size` samples: with more of them, more stray into a lost mode.
            covered, _ = mode_coverage(samples[: self.size], modes, sigma)
            _, share = mode_coverage(samples, modes, sigma)
            judged |= {"modes": covered, "num_modes": len(modes), "high_quality": share}
        columns = self._by_column(samples) if by_column else []
        return judged | ({"columns": columns} if columns else {})

    def _by_column(self, samples: Tensor) -> list[dict[str, Any]]:
        """Each column of numbers by itself, in the user's own units: held-out rows beside samples."""
        codec = self.source.codec
        sides = [_numbers(codec, values) for values in (torch.cat(self._held_out), samples)]
        return [each.as_json() for each in marginals(*sides)]

    def _distances(self, rounds: list[Tensor]) -> dict[str, float]:
        """The distances of each round's samples from held-out rows, averaged over the rounds."""
        # Where half of very few rows are held out, fewer are left to train on.
        pairs = [(part, self._held_out[index % len(self._held_out)][: len(part)]) for index, part in enumerate(rounds)]
        if not self.source.codec.layout.is_image:
            groups = self.source.codec.layout.groups
            pairs = [(harden(part, groups), held) for part, held in pairs]
            distances = {"w1": self.unit * _mean(float(exact(part, held).cost) for part, held in pairs)}
            # In many dimensions the exact distance hardly tells samples from noise.
            if self.source.codec.layout.size > LOW_DIMENSIONS:
                distances["w1_sliced"] = self.unit * self._sliced(pairs)
            return distances
        distances = {"sliced_w1": self._sliced(pairs)}
        if self._extractor is not None and self._held_out_features is not None:
            subsets = self._streams.at("subsets of the judge")
            distance, _ = kernel_distance(self._extractor(rounds[0]), self._held_out_features, rng=subsets)
            distances[f"kernel_distance_{self._extractor.name}"] = distance
        return distances

    def _sliced(self, pairs: Iterable[tuple[Tensor, Tensor]]) -> float:
        directions = "directions of the judge"
        lines = (sliced(part, held, self._streams.at(directions), dtype=torch.float32) for part, held in pairs)
        return _mean(float(found.distance) for found in lines)


def _numbers(codec: Codec, values: Tensor) -> dict[str, pa.Array]:
    """The columns of numbers, dates and times by name; none of images, nor of points of many coordinates."""
    if codec.layout.is_image:
        return {}
    decoded = codec.decode(values)
    if not isinstance(decoded, pa.Table):
        return coordinates(decoded.reshape(len(decoded), -1))
    columns = [column for column in getattr(codec, "columns", ()) if isinstance(column, Number)]
    return {column.name: column.read(decoded[column.name].combine_chunks()) for column in columns}


def _mean(values: Iterable[float]) -> float:
    return statistics.fmean(values)


def harden(values: Tensor, groups: tuple[tuple[int, int], ...]) -> Tensor:
    """Values with each one-hot group's probabilities replaced by the category that decoding would choose."""
    values = values.clone()
    for start, stop in groups:
        chosen = values[:, start:stop].argmax(dim=1, keepdim=True)
        values[:, start:stop] = torch.zeros_like(values[:, start:stop]).scatter_(1, chosen, 1.0)
    return values
