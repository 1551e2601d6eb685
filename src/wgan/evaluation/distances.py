"""The distances between two sets of samples: a function and a row of `DISTANCES` each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor

from wgan.divergences import divergence, js
from wgan.kernels import energy_distance, mmd
from wgan.kernels.permutations import permutation_p_value
from wgan.randomness import Randomness
from wgan.transport import Plan, SlicedTransport, exact, gaussian_bound, sinkhorn_divergence, sliced
from wgan.transport.one_dimensional import line_distances

MOST_GAUSSIAN_DIMENSIONS = 1500
"""Dimensions up to which covariances are compared by default: their square roots cost O(D³)."""

_DIRECTIONS = 256
# A test repeats the statistic hundreds of times; fewer directions make it no less exact.
_TEST_DIRECTIONS = 64
# The error of the value is of second order in that of the marginals: this gives six digits in half the default steps.
_SINKHORN_TOLERANCE = 1e-3
_SINKHORN_STEPS = 300


@dataclass(frozen=True, kw_only=True)
class Draws:
    """The randomness of distances.

    Attributes:
        num_permutations: Random splits behind each p-value; 0 for no p-values.
        streams: Random streams of directions and splits.
    """

    num_permutations: int
    streams: Randomness

    def splits(self, distance: str) -> torch.Generator:
        """The stream of the splits of one distance."""
        return self.streams.at(f"splits of the pooled samples, {distance}")


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """One distance between two sets.

    Attributes:
        value: The distance.
        again: Measures the same distance between two other sets with the same parameters.
        solver: The algorithm and its parameters.
        certificate: The accuracy of the value, in a few words.
        proof: The numbers behind the certificate.
        p_value: How often a random split of the pooled samples is at least as far apart; None if there is no test.
        plan: The optimal plan, if there is one.
    """

    value: float
    again: Callable[[Tensor, Tensor], float]
    solver: str
    certificate: str
    proof: Mapping[str, float] = field(default_factory=dict)
    p_value: float | None = None
    plan: Plan | None = None


@dataclass(frozen=True, kw_only=True)
class Distance:
    """A row of `DISTANCES`.

    Attributes:
        title: For people.
        unit: "units" of the samples, "nats", or "1" for a pure number.
        measure: Measures it between samples of shapes (N, D) and (M, D), float64.
    """

    title: str
    unit: str
    measure: Callable[[Tensor, Tensor, Draws], Measurement]


def cells(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """The empirical distributions of two sets of samples on the union of their distinct samples.

    Args:
        x: Shape (N, D).
        y: Shape (M, D).

    Returns:
        Probabilities under x and under y, shape (K,) each, float64, of the K distinct samples.
    """
    # Adding 0 makes -0 and 0 equal.
    counts = [Counter(row.tobytes() for row in (side.cpu() + 0.0).contiguous().numpy()) for side in (x, y)]
    positions = {row: index for index, row in enumerate(counts[0] | counts[1])}
    shares = torch.zeros(2, len(positions), dtype=torch.float64, device="cpu")
    for share, count, num in zip(shares, counts, (len(x), len(y)), strict=True):
        share[[positions[row] for row in count]] = (
            torch.tensor(list(count.values()), dtype=torch.float64, device="cpu") / num
        )
    return shares[0], shares[1]


def _exact(p: float) -> Callable[[Tensor, Tensor, Draws], Measurement]:
    def measure(x: Tensor, y: Tensor, draws: Draws) -> Measurement:
        del draws
        found = exact(x, y, p=p)
        return Measurement(
            value=float(found.distance),
            again=lambda a, b: float(exact(a, b, p=p).distance),
            solver=found.solver,
            certificate=f"{'optimal' if found.optimal else 'not proven'}: duality gap {found.gap:.0e}",
            proof={"duality_gap": found.gap},
            plan=found.plan,
        )

    return measure


def _sliced(x: Tensor, y: Tensor, draws: Draws) -> Measurement:
    def along_directions(a: Tensor, b: Tensor) -> SlicedTransport:
        return sliced(a, b, draws.streams.at("directions"), num_directions=_DIRECTIONS)

    found = along_directions(x, y)
    p_value = _sliced_p_value(x, y, found.directions[:_TEST_DIRECTIONS], draws) if draws.num_permutations else None
    return Measurement(
        value=float(found.distance),
        again=lambda a, b: float(along_directions(a, b).distance),
        solver=f"sorting along {_DIRECTIONS} lines",
        certificate=f"standard error {found.standard_error:.1g}" + (f", p along {_TEST_DIRECTIONS}" if p_value else ""),
        proof={"standard_error": found.standard_error},
        p_value=p_value,
    )


def _sliced_p_value(x: Tensor, y: Tensor, directions: Tensor, draws: Draws) -> float:
    centre = x.mean(dim=0)

    def distance(a: Tensor, b: Tensor) -> Tensor:
        return line_distances(a.T.contiguous(), b.T.contiguous(), None, None, 1.0).mean()

    # A split does not change the projections.
    projected = [(side - centre) @ directions.T for side in (x, y)]
    return permutation_p_value(
        distance, projected[0], projected[1], draws.splits("sliced"), num_permutations=draws.num_permutations
    )


def _sinkhorn(x: Tensor, y: Tensor, draws: Draws) -> Measurement:
    del draws
    solve = partial(sinkhorn_divergence, tolerance=_SINKHORN_TOLERANCE, max_steps=_SINKHORN_STEPS, strict=False)
    found = solve(x, y)
    unsettled = "" if found.converged else "not converged: "
    return Measurement(
        value=float(found.value),
        again=lambda a, b: float(solve(a, b, epsilon=found.epsilon).value),
        solver=f"Sinkhorn, epsilon {found.epsilon:.3g} (5 % of the mean cost)",
        certificate=f"{unsettled}marginal error {found.marginal_error:.0e}",
        proof={"epsilon": found.epsilon, "marginal_error": found.marginal_error, "converged": found.converged},
    )


def _gaussian(x: Tensor, y: Tensor, draws: Draws) -> Measurement:
    del draws
    return Measurement(
        value=float(gaussian_bound(x, y).distance),
        again=lambda a, b: float(gaussian_bound(a, b).distance),
        solver="means and covariances",
        certificate="lower bound of W2 (Gelbrich)",
    )


def _mmd(x: Tensor, y: Tensor, draws: Draws) -> Measurement:
    found = mmd(x, y, num_permutations=draws.num_permutations, rng=draws.splits("mmd"))
    assert found.bandwidth is not None
    return Measurement(
        value=float(found.squared),
        again=lambda a, b: float(mmd(a, b, kernel=found.kernel).squared),
        solver=f"Gaussian kernel, bandwidth {found.bandwidth:.3g} (median)",
        certificate="unbiased, so below 0 at times",
        proof={"bandwidth": found.bandwidth},
        p_value=found.p_value,
    )


def _energy(x: Tensor, y: Tensor, draws: Draws) -> Measurement:
    found = energy_distance(x, y, num_permutations=draws.num_permutations, rng=draws.splits("energy"))
    return Measurement(
        value=float(found.squared),
        again=lambda a, b: float(energy_distance(a, b).squared),
        solver="mean distances",
        certificate="never below 0",
        p_value=found.p_value,
    )


def _of_cells(measure: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Tensor, Tensor, Draws], Measurement]:
    def between(x: Tensor, y: Tensor, draws: Draws) -> Measurement:
        del draws
        p, q = cells(x, y)
        num_shared = int(((p > 0) & (q > 0)).sum())
        return Measurement(
            value=float(measure(p, q)),
            again=lambda a, b: float(measure(*cells(a, b))),
            solver="counting whole samples",
            certificate=f"{num_shared:,} of {len(p):,} distinct samples in both" if num_shared else "no sample in both",
            proof={"num_shared": num_shared, "num_distinct": len(p)},
        )

    return between


def _total_variation(p: Tensor, q: Tensor) -> Tensor:
    return divergence(p, q, "total_variation")


DISTANCES: dict[str, Distance] = {
    "w1": Distance(title="exact W1", unit="units", measure=_exact(1.0)),
    "w2": Distance(title="exact W2", unit="units", measure=_exact(2.0)),
    "sliced_w1": Distance(title="sliced W1", unit="units", measure=_sliced),
    "sinkhorn": Distance(title="Sinkhorn divergence", unit="units", measure=_sinkhorn),
    "gaussian_w2": Distance(title="Gaussian W2", unit="units", measure=_gaussian),
    "mmd": Distance(title="MMD²", unit="1", measure=_mmd),
    "energy": Distance(title="energy distance", unit="units", measure=_energy),
    "total_variation": Distance(title="total variation", unit="1", measure=_of_cells(_total_variation)),
    "js": Distance(title="Jensen-Shannon", unit="nats", measure=_of_cells(js)),
}
"""Every distance, in the order of the tables that show them."""
