"""What takes turns: one way to run a piece of work, built in a process of its own."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass

PLAIN = "plain, float32"
EAGER = "ours, eager float32"
CHOSEN = "ours, as chosen"
JAX = "JAX, float32"
JAX_ALL_CORES = "JAX, all cores"


@dataclass(frozen=True, kw_only=True)
class Contender:
    """One way to run a piece of work.

    Attributes:
        turn: Does so many of its units: iterations, or rows.
        num_weights: Of each network, by which contenders are seen to run the same ones.
        how: Precision and the like, in words.
        precision: Of its matrix products.
        compiles: Whether its first turn compiles something.
        flops: Counts the floating-point operations of one unit; None where a contender is not asked for it.
    """

    turn: Callable[[int], None]
    num_weights: tuple[int, ...]
    how: str
    precision: str = "float32"
    compiles: bool = False
    flops: Callable[[], float] | None = None


def build(work: str, name: str, size: int, threads: int) -> Contender:
    """Build a contender.

    Args:
        work: A key of `bench.cases.CASES` or of `bench.sampling.SAMPLING`.
        name: One of the names above.
        size: Units of one turn.
        threads: CPU threads of torch; JAX is told by its environment.
    """
    if name in (JAX, JAX_ALL_CORES):
        # Without torch, whose memory is none of JAX's.
        from bench import jax_recipes

        return jax_recipes.contender(work, size)
    import torch

    from bench import sampling, training
    from wgan.training.engine import EngineWarning

    # One that went another way than it says would be timed under a false name.
    warnings.filterwarnings("error", category=EngineWarning)
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    return sampling.contender(work, name) if work in sampling.SAMPLING else training.contender(work, name)
