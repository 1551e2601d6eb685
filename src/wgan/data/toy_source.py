"""Toy distributions as a source of data."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import torch
from torch import Tensor

from wgan.batch import Batch
from wgan.data.conditions import Conditions
from wgan.data.points import PointsCodec
from wgan.data.row_conditions import conditions_of_labels
from wgan.data.source import RowsOf
from wgan.data.toys import TOYS, SwissRoll
from wgan.settings import DataOptions

_DEFAULTS = DataOptions()


class ToySource:
    """A toy distribution as a `Source`.

    Args:
        name: A key of `TOYS`.
        options: `condition` applies: the label of a point is the index of its mode.

    Attributes:
        modes: Centres in network units, shape (K, columns); None where the distribution has none.
        sigma: Standard deviation of each mode in network units; None where there are none.

    Raises:
        UsageError: An unknown condition.
    """

    def __init__(self, name: str, options: DataOptions = _DEFAULTS) -> None:
        self.name = name
        self.toy: Any = TOYS[name]
        self.codec = PointsCodec.identity(self.toy.draw(1, torch.Generator().manual_seed(0)).shape[1])
        self.size: int | None = None
        self.num_held_out: int | None = None
        self.notes: tuple[str, ...] = ()
        self.modes: Tensor | None = getattr(self.toy, "modes", None)
        self.sigma: float | None = getattr(self.toy, "sigma", None)
        has_labels = self.modes is not None and hasattr(self.toy, "draw_with_modes")
        numbers = np.arange(len(self.modes)) if self.modes is not None and has_labels else None
        count = 0 if numbers is None else len(numbers)
        self.offers, found = conditions_of_labels(numbers, count, name, options)
        self.conditions = None if found is None else Conditions.of_rows(found.parts, found.codes)

    def sample(self, size: int, rng: torch.Generator) -> Batch:
        """Draw new points, shape (size, columns), float32."""
        if self.conditions is None:
            return Batch(self.toy.draw(size, rng))
        points, modes = self.toy.draw_with_modes(size, rng)
        return Batch(points, self.conditions.expand(modes[:, None]))

    def held_out(self, size: int, rng: torch.Generator) -> Tensor:
        """Draw new points, shape (size, columns), float32; training does not use them."""
        return self.sample(size, rng).values

    def distinct(self, size: int, rng: torch.Generator) -> Tensor:
        """Draw new points, shape (size, columns), float32."""
        return self.sample(size, rng).values

    def labelled(self, part: RowsOf, size: int, rng: torch.Generator) -> Batch:
        """Draw new points, shape (size, columns), float32, with their conditions; none are unseen."""
        return self.sample(0 if part == "unseen" else size, rng)

    def describe(self) -> str:
        """The distribution in one line."""
        modes = f", {len(self.modes)} Gaussian modes" if self.modes is not None else ""
        modes = ", one connected curve" if isinstance(self.toy, SwissRoll) else modes
        line = f"points {self.name}: a sampler that never repeats, {self.codec.num_columns} columns{modes}"
        return line if self.conditions is None else f"{line}; conditions: {self.conditions.describe()}"

    def fingerprint(self) -> str:
        """A digest of the name and of a few points, which reveals a changed protocol."""
        points = self.toy.draw(16, torch.Generator().manual_seed(0))
        asked = "" if self.conditions is None else ",".join(self.conditions.names)
        return hashlib.blake2b((self.name + asked).encode() + points.numpy().tobytes(), digest_size=16).hexdigest()
