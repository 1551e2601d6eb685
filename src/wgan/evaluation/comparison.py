"""Compare two sets of samples by every row of `DISTANCES`, each value with its floor and certificate."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from wgan.errors import UsageError
from wgan.evaluation.distances import DISTANCES, MOST_GAUSSIAN_DIMENSIONS, Draws, cells
from wgan.randomness import Randomness
from wgan.system.text import did_you_mean
from wgan.system.threads import on_threads
from wgan.system.torch_state import in_default_state
from wgan.transport import Plan
from wgan.transport.measures import Array, as_pair, refuse_beyond_memory

# Matrices of pairs that are in memory at once.
_MATRICES = {"sinkhorn": 11, "w1": 4, "w2": 4}
_COPIES = 9


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """One distance between two sets of samples.

    Attributes:
        name: Its key in `DISTANCES`.
        title: For people.
        unit: "units" of the samples, "nats", or "1" for a pure number.
        value: The distance.
        floor: The same distance with the same parameters between x and other samples of its distribution; None without
            such samples.
        p_value: How often a random split of the pooled samples is at least as far apart; None if there is no test.
        num: Samples in x and in y.
        solver: The algorithm and its parameters.
        certificate: The accuracy of the value, in a few words.
        proof: The numbers behind the certificate.
        seconds: For the value, its proof, its p-value and its floor.
        plan: The optimal plan, if there is one.
    """

    name: str
    title: str
    unit: str
    value: float
    floor: float | None
    p_value: float | None
    num: tuple[int, int]
    solver: str
    certificate: str
    proof: Mapping[str, float]
    seconds: float
    plan: Plan | None


_MANY_PAIRS = 1_000_000
"""Pairs of samples from which several threads are faster than one."""


@in_default_state
def compare(
    x: Array,
    y: Array,
    *,
    other: Array | None = None,
    only: Sequence[str] = (),
    num_permutations: int = 199,
    seed: int = 0,
    progress: Callable[[str], None] | None = None,
) -> tuple[Comparison, ...]:
    """Compare two sets of samples by several distances.

    The distance between finite samples of one distribution is not 0. It shrinks with their number, slowly in many
    dimensions. Each distance is therefore returned with its floor, the same distance between x and other samples of the
    distribution of x. Only their ratio shows whether x and y differ.

    Args:
        x: Shape (N, ...); samples are flattened.
        y: Shape (M, ...), of the same size after flattening.
        other: Shape (M, ...): as many samples as in y, of the distribution of x, none of them in x. The floors are
            between x and these. None for no floors.
        only: Keys of `DISTANCES`; all if empty, except "gaussian_w2" above 1,500 dimensions.
        num_permutations: Random splits of the pooled samples behind each p-value; 0 for none.
        seed: Of directions and splits.
        progress: Called with the title of each distance before it is measured.

    Returns:
        One for each distance, in the order of `DISTANCES`. No value is differentiable.

    Raises:
        UsageError: Sets that are empty, too small or of different sizes, an `other` not as large as y, an unknown name,
            a number below 0, or not enough memory.
        NumericError: Numbers that are not finite, or a solver that did not reach its optimum.

    Cost: a few seconds for 2,000 samples in each set. Memory grows with the square of their number, time faster.

    Example:
        >>> import torch
        >>> points = torch.randn(30, 2, generator=torch.Generator().manual_seed(0))
        >>> (found,) = compare(points[:10], points[10:20] + 5, other=points[20:], only=["w1"])
        >>> found.value > 5 * found.floor, found.certificate.startswith("optimal")
        (True, True)
    """
    first, second = as_pair(x, y)
    names = chosen(only, first.shape[1])
    if min(len(first), len(second)) < 2:
        raise UsageError(f"both sets need at least 2 samples, not {len(first)} and {len(second)}")
    if num_permutations < 0:
        raise UsageError(f"num_permutations must be at least 0, not {num_permutations}")
    refuse_too_many(
        len(first),
        len(second),
        names,
        num_dimensions=first.shape[1],
        remedy="Take fewer samples, or fewer distances by `only`.",
    )
    again = None
    if other is not None:
        _, again = as_pair(first, other)
        if len(again) != len(second):
            raise UsageError(
                f"a floor needs as many other samples as there are in y: {len(second):,}, not {len(again):,}",
                remedy="A distance between fewer samples is larger, and no floor.",
            )
    draws = Draws(num_permutations=num_permutations, streams=Randomness(seed))
    if {"w1", "w2"} & set(names):
        # Loading the solvers takes seconds, once; the seconds of a distance leave it out.
        importlib.import_module("ot")
    with on_threads(1 if len(first) * len(second) < _MANY_PAIRS else 0):
        return tuple(_compared(name, first, second, again, draws, progress) for name in names)


def _compared(
    name: str, x: Tensor, y: Tensor, other: Tensor | None, draws: Draws, progress: Callable[[str], None] | None
) -> Comparison:
    distance = DISTANCES[name]
    if progress is not None:
        progress(distance.title)
    begun = time.perf_counter()
    found = distance.measure(x.detach(), y.detach(), draws)
    floor = None if other is None else found.again(x.detach(), other.detach())
    return Comparison(
        name=name,
        title=distance.title,
        unit=distance.unit,
        value=found.value,
        floor=floor,
        p_value=found.p_value,
        num=(len(x), len(y)),
        solver=found.solver,
        certificate=found.certificate,
        proof=found.proof,
        seconds=time.perf_counter() - begun,
        plan=found.plan,
    )


def chosen(only: Sequence[str], num_dimensions: int) -> tuple[str, ...]:
    """The names of the distances that are measured, in the order of `DISTANCES`.

    Args:
        only: Keys of `DISTANCES`, with "-" or "_"; empty for all that are fast in so many dimensions.
        num_dimensions: Of the samples.

    Raises:
        UsageError: An unknown name.
    """
    wanted = {word.replace("-", "_") for word in only}
    for word in only:
        if word.replace("-", "_") not in DISTANCES:
            raise UsageError(f"there is no distance '{word}'", remedy=did_you_mean(word, DISTANCES))
    slow = {"gaussian_w2"} if num_dimensions > MOST_GAUSSIAN_DIMENSIONS else set()
    return tuple(name for name in DISTANCES if (name in wanted if wanted else name not in slow))


def refuse_too_many(num_x: int, num_y: int, names: Sequence[str], *, num_dimensions: int, remedy: str) -> None:
    """Refuse more samples than fit into memory with their pairs, before they are drawn.

    Args:
        num_x: Samples in x.
        num_y: Samples in y.
        names: Keys of `DISTANCES`.
        num_dimensions: Numbers in a sample.
        remedy: What would need less memory.

    Raises:
        UsageError: They do not fit.
    """
    # Kernels compute the pairs block by block; each distance keeps some copies of the samples.
    matrices = max((_MATRICES.get(name, 0) for name in names), default=0)
    num_bytes = 8 * (matrices * max(num_x, num_y) ** 2 + _COPIES * (num_x + num_y) * num_dimensions)
    refuse_beyond_memory(num_bytes, f"comparing {num_x:,} with {num_y:,} samples", remedy)


def num_shared(x: Array, y: Array) -> int:
    """How many of the samples in x are also in y, bit for bit.

    Raises:
        UsageError: Sets that are empty or of different sizes.
        NumericError: Numbers that are not finite.
    """
    first, second = as_pair(x, y)
    p, q = cells(first, second)
    return round(float(p[q > 0].sum()) * len(first))
