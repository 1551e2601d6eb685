"""What the runs of the zoo learn from: distributions in the plane, and clusters in more dimensions."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from wgan.data import open_data
from wgan.data.source import Source
from wgan.data.toy_source import ToySource
from wgan.data.toys import TOYS, Mixture, SwissRoll
from wgan.randomness import Randomness
from wgan.settings import DataOptions

MOST_HELD_OUT = 1_000
"""Rows that are held out beside many rows to train on; beside few, as many as these are."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Clusters:
    """Gaussians of equal weight and width around points of the unit sphere.

    Attributes:
        modes: Centres, shape (K, D).
        sigma: Standard deviation of each coordinate.
    """

    modes: Tensor
    sigma: float

    def draw(self, size: int, rng: torch.Generator) -> Tensor:
        """Draw points, shape (size, D)."""
        which = torch.randint(len(self.modes), (size,), generator=rng, device="cpu")
        return self.modes[which] + self.sigma * torch.randn(
            size, self.modes.shape[1], generator=rng, dtype=torch.float32, device="cpu"
        )


Distribution = Mixture | SwissRoll | Clusters


def clusters(num: int, dimensions: int, sigma: float) -> Clusters:
    """Centres in directions that are drawn once and for all."""
    rng = Randomness(0).at("centres of the clusters", num, dimensions)
    directions = torch.randn(num, dimensions, generator=rng, dtype=torch.float32, device="cpu")
    return Clusters(modes=directions / directions.norm(dim=1, keepdim=True), sigma=sigma)


DISTRIBUTIONS: dict[str, Distribution] = {
    **{name: TOYS[name] for name in ("ring", "grid", "swiss-roll")},
    "clusters-8d": clusters(6, 8, 0.15),
    "clusters-16d": clusters(4, 16, 0.2),
    "clusters-32d": clusters(3, 32, 0.2),
    # So wide that points are as far from one another as from noise: the exact W1 of noise is below its floor.
    "clouds-64d": clusters(3, 64, 2.0),
}


def open_source(data: str, rows: int | None, seed: int) -> Source:
    """The data of a run.

    Args:
        data: A name of `DISTRIBUTIONS`.
        rows: Rows to train on, drawn from it; None for a sampler that never repeats itself.
        seed: Of the rows.
    """
    if rows is None:
        return ToySource(data)
    held_out = min(rows, MOST_HELD_OUT)
    points = DISTRIBUTIONS[data].draw(rows + held_out, Randomness(seed).at("rows of the zoo"))
    share = held_out / (rows + held_out)
    # Unscaled, so that its modes stay where they are.
    return open_data(points.numpy(), DataOptions(held_out=share, scaling="none"), seed=seed)
