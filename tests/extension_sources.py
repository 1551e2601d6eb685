"""The code that `test_extending` adds to a copy of the package: new classes and functions, and their rows."""

LE_CAM = '''
@dataclass(frozen=True)
class LeCam(Divergence):
    """½ ∫ (p − q)²/(p + q), in [0, 1].

    Source: Le Cam (1986); Vincze (1981).
    """

    name: ClassVar[str] = "le_cam"
    f_text: ClassVar[str] = "(u−1)²/(2(u+1))"
    conjugate_text: ClassVar[str] = "2 − 2√(1−2t) − t, or −½ if t<−3/2"
    domain: ClassVar[Domain] = Domain(upper=0.5, closed=True, text="t ≤ ½")
    at_zero: ClassVar[float] = 0.5
    threshold: ClassVar[float] = 0.0
    curvature: ClassVar[float] = 0.5

    def _f(self, u: Tensor) -> Tensor:
        return (u - 1.0).square() / (2.0 * (u + 1.0))

    def _conjugate(self, t: Tensor) -> Tensor:
        curved = t.clamp(min=-1.5)
        return 2.0 - 2.0 * (1.0 - 2.0 * curved).sqrt() - curved

    def link(self, v: Tensor) -> Tensor:
        """t − t²/2, where t = tanh(v/2)."""
        t = (0.5 * v).tanh()
        return t * (1.0 - 0.5 * t)

    def conjugate_of_link(self, v: Tensor) -> Tensor:
        """t + t²/2, where t = tanh(v/2)."""
        t = (0.5 * v).tanh()
        return t * (1.0 + 0.5 * t)
'''

EXPONENTIAL = '''
"""The exponential loss of boosting."""

from __future__ import annotations

from dataclasses import dataclass
from textwrap import indent
from typing import ClassVar

from torch import Tensor

from wgan.objectives.objective import Objective


@dataclass(frozen=True)
class Exponential(Objective):
    """The exponential loss: the best critic is half of log p/q, and its loss is 2 minus the squared Hellinger distance.

    Source: Friedman, Hastie and Tibshirani (2000), section 4.1.
    """

    unit: ClassVar[str] = "squared Hellinger distance"
    scale: ClassVar[str] = "a lower bound, at most 2"
    title: ClassVar[str] = "a GAN with the exponential loss"

    def critic_loss(self, real: Tensor, fake: Tensor, drawn: Tensor | None = None) -> Tensor:
        """E exp(-f(real)) + E exp(f(fake))."""
        return (-real).exp().mean() + fake.exp().mean()

    def generator_loss(self, fake: Tensor, real: Tensor | None = None) -> Tensor:
        """-E f(fake)."""
        return -fake.mean()

    def estimate(self, real: Tensor, fake: Tensor) -> Tensor:
        """2 - loss."""
        return 2.0 - self.critic_loss(real, fake)
'''

LINEAR = '''
"""A network without hidden layers."""

from __future__ import annotations

from dataclasses import dataclass
from textwrap import indent

from wgan.batch import Layout
from wgan.networks.conditioning import NOTHING, Given
from wgan.networks.mlp import MLP
from wgan.networks.players import Critic, Generator


@dataclass(frozen=True)
class Linear:
    """One linear layer."""

    def generator(self, latent_dim: int, layout: Layout, given: Given = NOTHING) -> Generator:
        """A linear generator."""
        return MLP(depth=0).generator(latent_dim, layout, given)

    def critic(self, layout: Layout, outputs: int = 1, given: Given = NOTHING) -> Critic:
        """A linear critic."""
        return MLP(depth=0).critic(layout, outputs, given)
'''

SGD = '''
class _SGD(torch.optim.SGD, FunctionalOptimizer):
    def __init__(self, parameters: Iterable[nn.Parameter], numbers: SGD) -> None:
        super().__init__(_group(parameters), lr=numbers.lr)

    def _functional_step(
        self, weight: Tensor, gradient: Tensor, slot: dict[str, Tensor], lr: Tensor | float
    ) -> tuple[Tensor, dict[str, Tensor]]:
        return weight - lr * gradient, slot

    def _first_slot(self, weight: Tensor) -> dict[str, Tensor]:
        return {}


@dataclass(frozen=True)
class SGD:
    """Plain stochastic gradient descent."""

    lr: float = 1e-3

    def __post_init__(self) -> None:
        _check_rate(self.lr)

    def build(self, parameters: Iterable[nn.Parameter]) -> FunctionalOptimizer:
        """An optimiser without state."""
        return _SGD(parameters, self)
'''

RATIONAL = '''
@dataclass(frozen=True)
class RationalQuadratic(_WithBandwidth):
    """1 / (1 + ||x - y||² / (2 bandwidth²)).

    Source: Rasmussen and Williams (2006), equation 4.19, with α = 1.
    """

    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        """Evaluate the kernel on all pairs."""
        return 1.0 / (1.0 + _squared_distances(x, y) / (2.0 * self._set_bandwidth() ** 2))
'''


ORC = '''
def read_orc(path: Path, *, name: str, header: bool = True) -> RawTable:
    """Read an ORC file."""
    import pyarrow.orc

    from wgan.data.columns.raw import typed_table

    with path.open("rb") as file:
        return typed_table(pyarrow.orc.read_table(file), name)


def write_orc(tables: Iterator[pa.Table], file: BinaryIO) -> None:
    """Write an ORC file."""
    import pyarrow.orc

    with pyarrow.orc.ORCWriter(file) as writer:
        for table in tables:
            writer.write(table)
'''

ORC_ROW = """    TableFormat(
        name="ORC",
        endings=(".orc",),
        reader="wgan.data.tables.formats:read_orc",
        writer="wgan.data.tables.formats:write_orc",
        begins=(b"ORC",),
    ),
"""

SHIFT = """
def _mean_shift(sets: Sets) -> float:
    samples, real = sets.pairs[0]
    return float((samples.mean(dim=0) - real.mean(dim=0)).norm())
"""

SHIFT_ROW = """    "mean_shift": Metric(
        title="shift of the mean",
        unit="network units",
        meaning="The distance between the means of samples and held-out rows.",
        better="lower",
        applies=lambda sets: True,
        measure=_mean_shift,
    ),
"""

SPREAD = """    score_spread: float | None = _number(
        "spread of the scores", "objective's unit", "Standard deviation of the critic's scores of samples.", panel=True
    )

"""

WARMUP = """    warmup: int = setting(
        0, "Generator updates in which the learning rates rise to their full values.", at_least(0), since=6
    )
"""

WARMUP_USE = """if step < self.warmup:
    return (step + 1) / self.warmup
"""
