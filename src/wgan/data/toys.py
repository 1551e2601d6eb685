"""Toy distributions in the plane, which draw new points for each batch. A new one is a row of `TOYS`.

The command line looks names up here, so that this file does not import torch.

Source:
    Gulrajani et al., Improved Training of Wasserstein GANs (2017), published code `gan_toy.py` ("gp"); Srivastava et
    al., VEEGAN (2017), section 4.1, and Lin et al., PacGAN (2018), section 4.1 ("veegan"). The two protocols differ in
    radius and noise; their numbers must not be mixed.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from wgan.errors import UsageError
from wgan.settings.registry import Table

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class Toy(Protocol):
    """A distribution that is given by its sampler. `register(TOYS, "mine", toy)` adds one in the running process.

    There are four optional attributes. `summary` describes it in one line (otherwise the first line of its docstring
    does). `modes`, centres of shape (K, columns), and `sigma`, their standard deviation, are used to evaluate samples.
    `draw_with_modes(size, rng)` also returns the index of each point's mode, so that modes can be conditions.
    """

    def draw(self, size: int, rng: torch.Generator) -> Tensor:
        """Draw points in network units, shape (size, columns), float32, with `rng` as the only source of randomness."""
        ...


@dataclass(frozen=True, kw_only=True, eq=False)
class Mixture:
    """Gaussians of equal weight and width.

    Attributes:
        centres: Centres in network units, K pairs of coordinates.
        sigma: Standard deviation in the same units.
        summary: One line that describes the distribution.
    """

    centres: Sequence[tuple[float, float]]
    sigma: float
    summary: str = ""

    @functools.cached_property
    def modes(self) -> Tensor:
        """The centres, shape (K, 2), float32."""
        import torch

        from wgan.system.torch_state import default_state

        with default_state():
            return torch.tensor(self.centres, dtype=torch.float32, device="cpu")

    def draw(self, size: int, rng: torch.Generator) -> Tensor:
        """Draw points, shape (size, 2)."""
        return self.draw_with_modes(size, rng)[0]

    def draw_with_modes(self, size: int, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw points, shape (size, 2), and the index of the mode that each was drawn from, shape (size,)."""
        import torch

        index = torch.randint(len(self.modes), (size,), generator=rng, device="cpu")
        noise = torch.randn(size, 2, generator=rng, dtype=torch.float32, device="cpu")
        return self.modes[index] + self.sigma * noise, index


@dataclass(frozen=True, kw_only=True, eq=False)
class SwissRoll:
    """A spiral t (cos t, sin t), t uniform in [1.5π, 4.5π], with Gaussian noise; the depth axis is left out.

    Attributes:
        noise: Standard deviation before scaling.
        divisor: Both coordinates are divided by it.
        summary: One line that describes the distribution.
    """

    noise: float
    divisor: float
    summary: str = ""
    modes: None = None
    sigma: None = None

    def draw(self, size: int, rng: torch.Generator) -> Tensor:
        """Draw points, shape (size, 2)."""
        import torch

        angle = 1.5 * math.pi * (1 + 2 * torch.rand(size, generator=rng, dtype=torch.float32, device="cpu"))
        curve = torch.stack((angle * angle.cos(), angle * angle.sin()), dim=1)
        noise = torch.randn(size, 2, generator=rng, dtype=torch.float32, device="cpu")
        return (curve + self.noise * noise) / self.divisor


def ring(*, radius: float, sigma: float, divisor: float, summary: str = "") -> Mixture:
    """8 Gaussians on a circle, all divided by `divisor`."""
    angles = [number * (math.pi / 4) for number in range(8)]
    centres = [(radius * math.cos(angle) / divisor, radius * math.sin(angle) / divisor) for angle in angles]
    return Mixture(centres=centres, sigma=sigma / divisor, summary=summary)


def grid(*, spacing: float, sigma: float, divisor: float, summary: str = "") -> Mixture:
    """25 Gaussians on a 5×5 grid around 0, all divided by `divisor`."""
    line = [spacing * number / divisor for number in range(-2, 3)]
    return Mixture(centres=[(x, y) for x in line for y in line], sigma=sigma / divisor, summary=summary)


def _fault(toy: Any) -> str:  # noqa: ANN401 - any object can be passed to `register`
    """Why an object is not a toy distribution; empty if it is one."""
    import torch

    if not callable(getattr(toy, "draw", None)):
        return f"must have a method draw(size, rng), not be {toy!r}"
    try:
        drawn, again = (toy.draw(3, torch.Generator().manual_seed(0)) for _ in range(2))
    except Exception as error:
        raise UsageError(f"draw(3, torch.Generator()) failed: {type(error).__name__}: {error}") from error
    if not isinstance(drawn, torch.Tensor) or drawn.dim() != 2 or len(drawn) != 3 or drawn.dtype != torch.float32:
        found = f"{drawn.dtype}, {tuple(drawn.shape)}" if isinstance(drawn, torch.Tensor) else type(drawn).__name__
        return f"must draw float32 tensors of shape (size, columns), not {found}"
    if not bool(drawn.isfinite().all()):
        return "draws values that are not finite"
    if not torch.equal(drawn, again):
        return "draws other points from the same generator: all its randomness must come from `rng`"
    return ""


def _summary(toy: object) -> str:
    """The line that lists of toy distributions show."""
    lines = (getattr(toy, "summary", "") or type(toy).__doc__ or "").strip().splitlines()
    return lines[0] if lines else "a distribution of your own"


TOYS: Table[Any] = Table(
    "toy distribution",
    {
        "ring": ring(radius=2.0, sigma=0.02, divisor=1.414, summary="8 Gaussians on a circle, as in the WGAN-GP code"),
        "grid": grid(
            spacing=2.0, sigma=0.05, divisor=2.828, summary="25 Gaussians on a 5×5 grid, as in the WGAN-GP code"
        ),
        "swiss-roll": SwissRoll(noise=0.25, divisor=7.5, summary="a noisy spiral in the plane, as in the WGAN-GP code"),
        "ring-veegan": ring(
            radius=1.0,
            sigma=0.01,
            divisor=1.0,
            summary="8 Gaussians on a circle of radius 1, as in the VEEGAN and PacGAN papers",
        ),
        "grid-veegan": grid(
            spacing=2.0,
            sigma=0.05,
            divisor=1.0,
            summary="25 Gaussians on a 5×5 grid of spacing 2, as in the VEEGAN and PacGAN papers",
        ),
    },
    fault=_fault,
    added=lambda name, toy: SUMMARIES.update({name: _summary(toy)}),
    reserved=("fashion-mnist",),
)
SUMMARIES: dict[str, str] = {name: _summary(toy) for name, toy in TOYS.items()}
"""Each toy distribution with the line that describes it, those of `register` among them."""
