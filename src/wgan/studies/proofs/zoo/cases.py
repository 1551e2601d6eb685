"""The cases of the zoo: their data, sound runs of many kinds, and runs with a fault.

A run with a fault differs from a sound one, its sibling, in as little as brings the fault about.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import torch
from torch import Tensor

from wgan.data import open_data
from wgan.data.source import Source
from wgan.data.toy_source import ToySource
from wgan.data.toys import TOYS, Mixture, SwissRoll
from wgan.randomness import Randomness
from wgan.settings import DataOptions, Settings
from wgan.trust.verdict import Kind

MOST_HELD_OUT = 1_000
"""Held-out rows, at most; no more than there are rows to train on."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Clusters:
    """Isotropic Gaussians of equal weight and width, centred on the unit sphere.

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
    """Clusters around fixed random directions."""
    rng = Randomness(0).at("centres of the clusters", num, dimensions)
    directions = torch.randn(num, dimensions, generator=rng, dtype=torch.float32, device="cpu")
    return Clusters(modes=directions / directions.norm(dim=1, keepdim=True), sigma=sigma)


DISTRIBUTIONS: dict[str, Distribution] = {
    **{name: TOYS[name] for name in ("ring", "grid", "swiss-roll")},
    "clusters-8d": clusters(6, 8, 0.15),
    "clusters-16d": clusters(4, 16, 0.2),
    "clusters-32d": clusters(3, 32, 0.2),
    # So wide that the exact W1 of noise is below its floor.
    "clouds-64d": clusters(3, 64, 2.0),
}


def open_source(data: str, rows: int | None, seed: int) -> Source:
    """The data of a run.

    Args:
        data: A name of `DISTRIBUTIONS`.
        rows: Rows to train on, drawn from it; None for an unlimited sampler.
        seed: Determines the rows.
    """
    if rows is None:
        return ToySource(data)
    held_out = min(rows, MOST_HELD_OUT)
    points = DISTRIBUTIONS[data].draw(rows + held_out, Randomness(seed).at("rows of the zoo"))
    share = held_out / (rows + held_out)
    # Without scaling, so that the modes stay where they are.
    return open_data(points.numpy(), DataOptions(held_out=share, scaling="none"), seed=seed)


@dataclass(frozen=True, kw_only=True)
class Case:
    """A run whose state is known.

    Attributes:
        name: Of the run.
        expected: The correct verdict.
        settings: Of the run, except for the seed; `data` is a name of `DISTRIBUTIONS`.
        rows: Rows to train on; None for an unlimited sampler.
        sibling: The sound run without the fault; empty for a sound run.
    """

    name: str
    expected: Kind
    settings: Settings
    rows: int | None = None
    sibling: str = ""


_Changes: TypeAlias = dict[str, Any]


def _adam(lr: float, beta1: float = 0.5, beta2: float = 0.9) -> str:
    return f"adam:lr={lr},beta1={beta1},beta2={beta2}"


def _both(optimizer: str) -> _Changes:
    return {"generator_optimizer": optimizer, "critic_optimizer": optimizer}


def _players(generator: str, critic: str) -> _Changes:
    return {"generator_optimizer": generator, "critic_optimizer": critic}


def _clipped(bound: float, lr: float = 0.001) -> _Changes:
    return {"constraint": f"clipping:bound={bound}", "critic_steps": 5, **_both(f"rmsprop:lr={lr}")}


_BASE = Settings(
    generator="mlp:width=128",
    critic="mlp:width=64",
    constraint="penalty:weight=0.1",
    generator_optimizer=_adam(0.003),
    critic_optimizer=_adam(0.003),
    latent_dim=4,
    batch_size=128,
    critic_steps=3,
    lr_schedule="cosine",
    steps=1_200,
    eval_every=150,
    threads=1,
    engine="eager",
    precision="float32",
)

_LONGER: _Changes = {"steps": 2_000, "eval_every": 250}
_RING: _Changes = {"data": "ring"}
_GRID: _Changes = {"data": "grid"} | _LONGER
_ROLL: _Changes = {"data": "swiss-roll"}
_EIGHT: _Changes = {"data": "clusters-8d", "latent_dim": 8}
_SIXTEEN: _Changes = {"data": "clusters-16d", "latent_dim": 16}
_CLOUDS: _Changes = {"data": "clouds-64d", "latent_dim": 64}
_BY_ADAM = _both(_adam(0.003, 0.0, 0.999))
_ROWS = 5_000

# Name of a sound run to its changes of the base and its rows.
_SOUND: dict[str, tuple[_Changes, int | None]] = {
    "ring-penalty": (_RING, None),
    "grid-penalty": (_GRID, None),
    "roll-penalty": (_ROLL, None),
    "roll-lp": (_ROLL | {"constraint": "lp:weight=0.1"}, None),
    "ring-clipping": (_RING | _clipped(0.2), None),
    "roll-clipping": (_ROLL | _clipped(0.1), None),
    "roll-narrow-clipping": (_ROLL | _clipped(0.03), None),
    "ring-clipping-adam": (_RING | _clipped(0.1) | _BY_ADAM, None),
    "roll-clipping-adam": (_ROLL | _clipped(0.1) | _BY_ADAM, None),
    "ring-spectral": (_RING | {"constraint": "spectral", "critic_steps": 5} | _both(_adam(0.002)), None),
    "ring-gan": (_RING | {"objective": "gan", "constraint": "r1:weight=0.1"}, None),
    "ring-gan-momentum": (
        _RING | {"objective": "gan", "constraint": "r1:weight=0.1"} | _both(_adam(0.001, 0.9, 0.999)),
        None,
    ),
    "ring-least-squares": (_RING | {"objective": "least-squares", "constraint": "r1:weight=0.1"}, None),
    "grid-hinge": (_GRID | {"objective": "hinge", "constraint": "r1:weight=0.1"}, None),
    "roll-relativistic": (_ROLL | {"objective": "relativistic", "constraint": "r1r2:weight=0.1"}, None),
    "clusters-8d-penalty": (_EIGHT, _ROWS),
    "clusters-8d-momentum": (_EIGHT | _both(_adam(0.001, 0.9, 0.999)), _ROWS),
    "clusters-8d-few-rows": (_EIGHT, 1_000),
    "clusters-8d-gan": (_EIGHT | {"objective": "gan", "constraint": "r1:weight=0.1"}, _ROWS),
    "clusters-16d-penalty": (_SIXTEEN, _ROWS),
}

_OFTEN: _Changes = {"eval_every": 300, "critic_steps": 1}
_SHORT: _Changes = {"steps": 600, "eval_every": 100, "critic_steps": 5, "batch_size": 64, "critic": "mlp:width=256"}
_LONG: _Changes = {"steps": 2_000, "eval_every": 250, "generator": "mlp:width=256"}
_FREE: _Changes = {"constraint": "none", "lr_schedule": "none"}
_SMALL: _Changes = {"latent_dim": 1, "generator": "mlp:width=32,depth=1", **_both(_adam(0.001))}

# Fault to runs: the name of each, its sibling, its changes of the sibling, and its rows.
_FAULTY: dict[Kind, dict[str, tuple[str, _Changes, int | None]]] = {
    "critic-not-optimal": {
        "roll-slow-critic": (
            "roll-penalty",
            _OFTEN | {"lr_schedule": "none"} | _players(_adam(1e-3), _adam(1e-4)),
            None,
        ),
        "ring-idle-critic": ("ring-penalty", _players(_adam(1e-4), _adam(1e-5)), None),
        "ring-hasty-generator": ("ring-penalty", _OFTEN | _players(_adam(1e-2), _adam(1e-3)), None),
        "roll-linear-critic": (
            "roll-penalty",
            {"critic": "mlp:depth=0", "generator_optimizer": _adam(3e-4)},
            None,
        ),
        "clusters-8d-slow-critic": ("clusters-8d-penalty", _OFTEN | _players(_adam(1e-3), _adam(3e-4)), _ROWS),
    },
    "critic-overfits": {
        "clusters-8d-by-heart": (
            "clusters-8d-penalty",
            _SHORT | {"constraint": "penalty:weight=0.01", "generator": "mlp:width=16,depth=1"},
            100,
        ),
        "clusters-16d-by-heart": (
            "clusters-16d-penalty",
            _SHORT | {"constraint": "penalty:weight=0.01", "generator_optimizer": _adam(3e-4)},
            100,
        ),
        "clusters-16d-gan-by-heart": (
            "clusters-8d-gan",
            _SIXTEEN | _SHORT | {"constraint": "none"} | _players(_adam(3e-4), _adam(1e-3)),
            100,
        ),
    },
    "clip-too-small": {
        "ring-tiny-clip": ("ring-clipping", {"constraint": "clipping:bound=0.001"}, None),
        "roll-tiny-clip": ("roll-clipping", {"constraint": "clipping:bound=0.0001"}, None),
        "roll-papers-clip": ("roll-clipping", {"constraint": "clipping:bound=0.01"}, None),
        "roll-small-clip-deep": (
            "roll-clipping",
            {"constraint": "clipping:bound=0.01", "critic": "mlp:width=64,depth=8"},
            None,
        ),
    },
    "clip-too-large": {
        "roll-wide-clip-deep": (
            "roll-clipping",
            {"constraint": "clipping:bound=10", "critic": "mlp:width=64,depth=6"},
            None,
        ),
        "roll-wide-clip-deeper": (
            "roll-clipping",
            {"constraint": "clipping:bound=10", "critic": "mlp:width=64,depth=10"},
            None,
        ),
        "roll-unit-clip-deep": (
            "roll-clipping",
            {"constraint": "clipping:bound=1", "critic": "mlp:width=64,depth=6"},
            None,
        ),
        "ring-wide-clip-deep": (
            "ring-clipping",
            {"constraint": "clipping:bound=10", "critic": "mlp:width=64,depth=8"},
            None,
        ),
    },
    "momentum": {
        "roll-momentum": ("roll-clipping-adam", _both(_adam(0.003, 0.9, 0.999)), None),
        "roll-more-momentum": ("roll-clipping-adam", _both(_adam(0.003, 0.95, 0.999)), None),
        "ring-momentum": ("ring-clipping-adam", _both(_adam(0.003, 0.9, 0.999)), None),
        "ring-penalty-momentum": ("ring-penalty", {"lr_schedule": "none"} | _both(_adam(0.01, 0.95, 0.999)), None),
    },
    "collapsed": {
        "ring-free": ("ring-gan", _FREE | {"critic_steps": 2} | _players(_adam(3e-3), _adam(1e-3)), None),
        "ring-minimax": ("ring-gan", _FREE | _OFTEN | _SMALL | {"objective": "gan:generator=minimax"}, None),
        "ring-energy": (
            "ring-gan",
            {"objective": "energy", "critic": "autoencoder:width=64,code=2", "constraint": "none"},
            None,
        ),
        "grid-free-hinge": ("grid-hinge", _FREE | _both(_adam(2e-3)), None),
    },
    "memorising": {
        "clusters-16d-memory": ("clusters-16d-penalty", _LONG | {"batch_size": 30}, 30),
        "clusters-8d-memory": ("clusters-8d-penalty", _LONG | {"batch_size": 40}, 40),
        "clusters-8d-gan-memory": ("clusters-8d-gan", _LONG | {"batch_size": 40}, 40),
    },
    # No fault, and no evidence for the estimate: too few diagnoses, or a curve that does not follow the distance.
    "cannot-tell": {
        "ring-one-look": (
            "ring-clipping",
            _clipped(0.05) | _both(_adam(0.01, 0.9, 0.999)) | _OFTEN | {"steps": 300, "lr_schedule": "none"},
            None,
        ),
        "ring-cut-short": ("ring-penalty", {"steps": 450}, None),
        # Its samples come near, but its curve rises with the critic's slope, from 15 to 800.
        "roll-wide-clipping": ("roll-clipping", _clipped(1), None),
        "clouds-64d-noise": ("clusters-16d-penalty", _CLOUDS | _players(_adam(1e-7), _adam(0.003)), _ROWS),
        "clouds-64d-hardly-begun": ("clusters-16d-penalty", _CLOUDS | {"steps": 12, "eval_every": 12}, _ROWS),
    },
    "diverged": {
        "ring-dead": ("ring-penalty", _both(_adam(0.3)), None),
        "ring-gan-dead": ("ring-gan", {"constraint": "none"} | _both(_adam(1)), None),
        "roll-wall-to-wall": ("roll-clipping", _both("rmsprop:lr=3"), None),
        "grid-free-fast": ("grid-penalty", {"constraint": "none"} | _both(_adam(0.3)), None),
    },
}


def _table() -> dict[str, Case]:
    found = {
        name: Case(name=name, expected="trust", settings=replace(_BASE, **changes), rows=rows)
        for name, (changes, rows) in _SOUND.items()
    }
    for kind, faulty in _FAULTY.items():
        for name, (sibling, changes, rows) in faulty.items():
            settings = replace(found[sibling].settings, **changes)
            found[name] = Case(name=name, expected=kind, settings=settings, rows=rows, sibling=sibling)
    return found


CASES = _table()
"""Name to case."""
