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
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from wgan.batch import Batch
from wgan.data.conditions import Conditions
from wgan.data.names import BUILT_IN
from wgan.data.points import PointsCodec
from wgan.data.row_conditions import conditions_of_labels
from wgan.data.source import RowsOf
from wgan.errors import UsageError
from wgan.settings import DataOptions
from wgan.settings.registry import Table
from wgan.system.torch_state import in_usual_state

_PLAIN = DataOptions()


class Toy(Protocol):
    """A distribution that is known by its sampler. To add one for a process, `register(TOYS, "mine", toy)`.

    It may also have `modes`, centres of shape (K, columns), with their standard deviation `sigma`, by which samples are
    then judged; and `draw_with_modes(size, rng)`, which gives the number of the mode that each point comes from too, so
    that modes can be asked for.
    """

    def draw(self, size: int, rng: torch.Generator) -> Tensor:
        """Draw points in the units that the networks see, shape (size, columns), float32, from `rng` alone."""
        ...


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


def _fault(toy: Any) -> str:  # noqa: ANN401 - whatever was to be registered
    """What is wrong with an object as a toy distribution."""
    if not callable(getattr(toy, "draw", None)):
        return f"must have a method draw(size, rng), not be {toy!r}"
    try:
        drawn, again = (toy.draw(3, torch.Generator().manual_seed(0)) for _ in range(2))
    except Exception as error:
        raise UsageError(f"draw(3, torch.Generator()) failed: {type(error).__name__}: {error}") from error
    if not isinstance(drawn, Tensor) or drawn.dim() != 2 or len(drawn) != 3 or drawn.dtype != torch.float32:
        found = f"{drawn.dtype}, {tuple(drawn.shape)}" if isinstance(drawn, Tensor) else type(drawn).__name__
        return f"must draw float32 tensors of shape (size, columns), not {found}"
    if not bool(drawn.isfinite().all()):
        return "draws values that are not finite"
    if not torch.equal(drawn, again):
        return "draws other points from the same generator: all its randomness must come from `rng`"
    return ""


def _named(name: str, toy: object) -> None:
    """What can be named as DATA is known without importing torch."""
    BUILT_IN[name] = ((type(toy).__doc__ or "").strip().splitlines() or ["a distribution of your own"])[0]


TOYS: Table[Any] = Table(
    "toy distribution",
    {
        "ring": ring(radius=2.0, sigma=0.02, divisor=1.414),
        "grid": grid(spacing=2.0, sigma=0.05, divisor=2.828),
        "swiss-roll": SwissRoll(noise=0.25, divisor=7.5),
        "ring-veegan": ring(radius=1.0, sigma=0.01, divisor=1.0),
        "grid-veegan": grid(spacing=2.0, sigma=0.05, divisor=1.0),
    },
    fault=_fault,
    added=_named,
    reserved=("fashion-mnist",),
)


class ToySource:
    """A toy distribution as a `Source`.

    Args:
        name: A key of `TOYS`.
        options: `condition` applies: the modes are numbered, and their number is the label of a point.

    Attributes:
        modes: Centres in network units, shape (K, columns); None where the distribution has none.
        sigma: Standard deviation of each mode in network units; None where there are none.

    Raises:
        UsageError: A condition that is not there.
    """

    def __init__(self, name: str, options: DataOptions = _PLAIN) -> None:
        self.name = name
        self.toy: Any = TOYS[name]
        self.codec = PointsCodec.identity(self.toy.draw(1, torch.Generator().manual_seed(0)).shape[1])
        self.size: int | None = None
        self.num_held_out: int | None = None
        self.notes: tuple[str, ...] = ()
        self.modes: Tensor | None = getattr(self.toy, "modes", None)
        self.sigma: float | None = getattr(self.toy, "sigma", None)
        can_be_asked = self.modes is not None and hasattr(self.toy, "draw_with_modes")
        numbers = np.arange(len(self.modes)) if self.modes is not None and can_be_asked else None
        count = 0 if numbers is None else len(numbers)
        self.offers, found = conditions_of_labels(numbers, count, name, options)
        self.conditions = None if found is None else Conditions.of_rows(found.parts, found.codes)

    def sample(self, size: int, rng: torch.Generator) -> Batch:
        """Draw fresh points, shape (size, columns), float32."""
        if self.conditions is None:
            return Batch(self.toy.draw(size, rng))
        points, modes = self.toy.draw_with_modes(size, rng)
        return Batch(points, self.conditions.expand(modes[:, None]))

    def held_out(self, size: int, rng: torch.Generator) -> Tensor:
        """Draw fresh points, shape (size, columns), float32: no point comes twice, so none was ever trained on."""
        return self.sample(size, rng).values

    def distinct(self, size: int, rng: torch.Generator) -> Tensor:
        """Draw fresh points, shape (size, columns), float32: no two draws are the same."""
        return self.sample(size, rng).values

    def labelled(self, part: RowsOf, size: int, rng: torch.Generator) -> Batch:
        """Draw fresh points, shape (size, columns), float32, with their conditions; none are unseen."""
        return self.sample(0 if part == "unseen" else size, rng)

    def describe(self) -> str:
        """Say what the toy is."""
        modes = f", {len(self.modes)} Gaussian modes" if self.modes is not None else ""
        modes = ", one connected curve" if isinstance(self.toy, SwissRoll) else modes
        line = f"points {self.name}: a sampler that never repeats, {self.codec.num_columns} columns{modes}"
        return line if self.conditions is None else f"{line}; conditions: {self.conditions.describe()}"

    def fingerprint(self) -> str:
        """A digest of the name and of a few points, so that a changed protocol is noticed."""
        points = self.toy.draw(16, torch.Generator().manual_seed(0))
        asked = "" if self.conditions is None else ",".join(self.conditions.names)
        return hashlib.blake2b((self.name + asked).encode() + points.numpy().tobytes(), digest_size=16).hexdigest()
