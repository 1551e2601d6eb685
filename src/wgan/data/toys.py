"""Toy distributions in the plane: true samplers that never repeat a point.

Source:
    Gulrajani et al., Improved Training of Wasserstein GANs (2017), published code `gan_toy.py` ("gp"); Srivastava et
    al., VEEGAN (2017), section 4.1, and Lin et al., PacGAN (2018), section 4.1 ("veegan"). The two protocols differ in
    radius and noise; their numbers must not be mixed.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from wgan.ambient import in_usual_state
from wgan.batch import Batch
from wgan.data.conditions import Conditions
from wgan.data.labels import described_by_labels
from wgan.data.points import PointsCodec
from wgan.data.source import RowsOf
from wgan.settings import DataOptions

_PLAIN = DataOptions()


@dataclass(frozen=True, kw_only=True, eq=False)
class Mixture:
    """Gaussians of equal weight and width.

    Attributes:
        modes: Centres in the units that the networks see, shape (K, 2).
        sigma: Standard deviation in the same units.
    """

    modes: Tensor
    sigma: float

    def draw(self, size: int, rng: torch.Generator) -> Tensor:
        """Draw points, shape (size, 2)."""
        return self.draw_with_modes(size, rng)[0]

    def draw_with_modes(self, size: int, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw points, shape (size, 2), and the number of the mode that each comes from, shape (size,)."""
        which = torch.randint(len(self.modes), (size,), generator=rng, device="cpu")
        return self.modes[which] + self.sigma * torch.randn(
            size, 2, generator=rng, dtype=torch.float32, device="cpu"
        ), which


@dataclass(frozen=True, kw_only=True, eq=False)
class SwissRoll:
    """A spiral t (cos t, sin t), t uniform in [1.5π, 4.5π], with Gaussian noise; the depth axis is left out.

    Attributes:
        noise: Standard deviation before scaling.
        divisor: What both coordinates are divided by.
    """

    noise: float
    divisor: float
    modes: None = None
    sigma: None = None

    def draw(self, size: int, rng: torch.Generator) -> Tensor:
        """Draw points, shape (size, 2)."""
        angle = 1.5 * math.pi * (1 + 2 * torch.rand(size, generator=rng, dtype=torch.float32, device="cpu"))
        curve = torch.stack((angle * angle.cos(), angle * angle.sin()), dim=1)
        return (
            curve + self.noise * torch.randn(size, 2, generator=rng, dtype=torch.float32, device="cpu")
        ) / self.divisor


@in_usual_state
def ring(*, radius: float, sigma: float, divisor: float) -> Mixture:
    """8 Gaussians on a circle, all divided by `divisor`."""
    angle = torch.arange(8, dtype=torch.float64, device="cpu") * (math.pi / 4)
    centres = radius * torch.stack((angle.cos(), angle.sin()), dim=1)
    return Mixture(modes=(centres / divisor).float(), sigma=sigma / divisor)


@in_usual_state
def grid(*, spacing: float, sigma: float, divisor: float) -> Mixture:
    """25 Gaussians on a 5×5 grid around 0, all divided by `divisor`."""
    line = spacing * torch.arange(-2, 3, dtype=torch.float64, device="cpu")
    return Mixture(modes=(torch.cartesian_prod(line, line) / divisor).float(), sigma=sigma / divisor)


TOYS: dict[str, Mixture | SwissRoll] = {
    "ring": ring(radius=2.0, sigma=0.02, divisor=1.414),
    "grid": grid(spacing=2.0, sigma=0.05, divisor=2.828),
    "swiss-roll": SwissRoll(noise=0.25, divisor=7.5),
    "ring-veegan": ring(radius=1.0, sigma=0.01, divisor=1.0),
    "grid-veegan": grid(spacing=2.0, sigma=0.05, divisor=1.0),
}


class ToySource:
    """A toy distribution as a `Source`.

    Args:
        name: A key of `TOYS`.
        options: `condition` applies: the modes are numbered, and their number is the label of a point.

    Attributes:
        modes: Centres in network units, shape (K, 2); None where the distribution has none.
        sigma: Standard deviation of each mode in network units; None where there are none.

    Raises:
        UsageError: A condition that is not there.
    """

    def __init__(self, name: str, options: DataOptions = _PLAIN) -> None:
        self.name = name
        self.toy = TOYS[name]
        self.codec = PointsCodec.identity(2)
        self.size: int | None = None
        self.num_held_out: int | None = None
        self.notes: tuple[str, ...] = ()
        self.modes: Tensor | None = self.toy.modes
        self.sigma: float | None = self.toy.sigma
        numbers = None if self.modes is None else np.arange(len(self.modes))
        self.offers, described = described_by_labels(numbers, len(numbers) if numbers is not None else 0, name, options)
        self.conditions = None if described is None else Conditions.of_rows(described.parts, described.codes)

    def sample(self, size: int, rng: torch.Generator) -> Batch:
        """Draw fresh points, shape (size, 2), float32."""
        if self.conditions is None or isinstance(self.toy, SwissRoll):
            return Batch(self.toy.draw(size, rng))
        points, modes = self.toy.draw_with_modes(size, rng)
        return Batch(points, self.conditions.expand(modes[:, None]))

    def held_out(self, size: int, rng: torch.Generator) -> Tensor:
        """Draw fresh points, shape (size, 2), float32: no point comes twice, so none was ever trained on."""
        return self.sample(size, rng).values

    def distinct(self, size: int, rng: torch.Generator) -> Tensor:
        """Draw fresh points, shape (size, 2), float32: no two draws are the same."""
        return self.sample(size, rng).values

    def labelled(self, part: RowsOf, size: int, rng: torch.Generator) -> Batch:
        """Draw fresh points, shape (size, 2), float32, with their conditions; none are unseen."""
        return self.sample(0 if part == "unseen" else size, rng)

    def describe(self) -> str:
        """Say what the toy is."""
        modes = f"{len(self.modes)} Gaussian modes" if self.modes is not None else "one connected curve"
        line = f"points {self.name}: a sampler that never repeats, 2 columns, {modes}"
        return line if self.conditions is None else f"{line}; conditions: {self.conditions.describe()}"

    def fingerprint(self) -> str:
        """A digest of the name and of a few points, so that a changed protocol is noticed."""
        points = self.toy.draw(16, torch.Generator().manual_seed(0))
        asked = "" if self.conditions is None else ",".join(self.conditions.names)
        return hashlib.blake2b((self.name + asked).encode() + points.numpy().tobytes(), digest_size=16).hexdigest()
