"""The table of the zoo: sound runs of many kinds, and each fault planted in several ways.

A planted run differs from a sound one, its sibling, in as little as brings the fault about.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from wgan.settings import Settings
from wgan.trust.verdict import Kind


@dataclass(frozen=True, kw_only=True)
class Specimen:
    """A run of the zoo.

    Attributes:
        name: Of the run.
        expected: The verdict that is true of it.
        settings: Of the run, but for the seed; `data` names a row of `wgan.studies.proofs.zoo.data.DISTRIBUTIONS`.
        rows: Rows to train on; None for a sampler that never repeats itself.
        sibling: The sound run that it would be without its fault; empty for sound ones.
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

# What a sound run changes in the base, and its rows.
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

# By fault: what a planted run changes in its sibling, and its rows.
_PLANTED: dict[Kind, dict[str, tuple[str, _Changes, int | None]]] = {
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
    # Nothing is seen to be wrong, and nothing speaks for the number: too few looks, a curve that does not follow.
    "cannot-tell": {
        "ring-one-look": (
            "ring-clipping",
            _clipped(0.05) | _both(_adam(0.01, 0.9, 0.999)) | _OFTEN | {"steps": 300, "lr_schedule": "none"},
            None,
        ),
        "ring-cut-short": ("ring-penalty", {"steps": 450}, None),
        # Its samples are near, but its curve rises with its slope, from 15 to 800, while they come nearer.
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


def _table() -> dict[str, Specimen]:
    found = {
        name: Specimen(name=name, expected="trust", settings=replace(_BASE, **changes), rows=rows)
        for name, (changes, rows) in _SOUND.items()
    }
    for kind, planted in _PLANTED.items():
        for name, (sibling, changes, rows) in planted.items():
            settings = replace(found[sibling].settings, **changes)
            found[name] = Specimen(name=name, expected=kind, settings=settings, rows=rows, sibling=sibling)
    return found


ZOO = _table()
"""By name."""
