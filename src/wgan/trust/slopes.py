"""How steep a critic is where its number is made: its function of one sample at real samples, generated ones, between.

An estimate E f(real) - E f(fake) is in units of the critic's own slope. Divided by the steepest slope that was met it
is in those of the samples, and no estimate of any use is above the product of a slope and the distance.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from wgan.batch import Batch
from wgan.constraints.constraint import Scores
from wgan.transport.lipschitz import gradient_norms, layer_bound, steepest_gradient

CLIMB_STEPS = 5
"""Steps of the search for the steepest slope."""

_AT_ONCE = 256
_WATCHED = 8
_GOLDEN = (5**0.5 - 1) / 2


@dataclass(frozen=True, kw_only=True)
class Slopes:
    """Norms of the gradient of a critic's function, in its units over those of the samples that it sees.

    Attributes:
        real: The largest at real samples.
        fake: The largest at generated ones.
        between: The largest at points on straight lines between the two.
        climbed: The largest that gradient ascent finds from the steepest of all these; never below them.
        mean_real: The mean at real samples.
        mean_fake: Likewise at generated ones.
        mean_between: Likewise between.
        bound: The product of the layers' norms, which no slope exceeds; None where the network is no chain of layers
            whose constants are known.
    """

    real: float
    fake: float
    between: float
    climbed: float
    mean_real: float
    mean_fake: float
    mean_between: float
    bound: float | None


def slopes(
    scores: Scores, real: Batch, fake: Batch, *, network: nn.Module | None = None, climb_steps: int = CLIMB_STEPS
) -> Slopes | None:
    """How steep a critic is, and at most can be.

    Slopes are along the samples, under the conditions that they have: the gradient with respect to a condition is no
    matter of a distance between samples, and a search does not move it.

    Args:
        scores: The critic's function, from values (N, *shape), float32, and a condition to N scores, each of its own
            sample alone: batch norm has to go by its running statistics.
        real: Real samples as the critic sees them, packed where it sees several as one, on the device that it is on.
        fake: As many generated ones, under the same conditions row by row.
        network: The critic itself, where its scores are those of the network and nothing is made of them, for a bound
            by layers. Told of conditions it is no chain of layers.
        climb_steps: Steps of the search; each takes a second derivative at 64 points and a gradient at 384.

    Returns:
        Plain numbers, NaN where the critic has diverged; None where scores have no gradient.

    Cost: One gradient at each of three times the rows, and the search.

    Source: Arjovsky, Chintala and Bottou (2017), section 3, on the unknown constant K.
    """
    num = min(len(real.values), len(fake.values))
    first, second = (batch.values[:num].detach().double() for batch in (real, fake))
    condition = None if real.condition is None else real.condition[:num].detach().double()
    # Multiples of an irrational number fill the interval evenly in whatever order; rows are in none.
    share = torch.arange(1, num + 1, dtype=torch.float64, device=first.device) * _GOLDEN % 1.0
    between = torch.lerp(first, second, share.reshape(-1, *[1] * (first.dim() - 1)))
    shape, size = first.shape[1:], first[0].numel()

    def of_points(points: Tensor) -> Tensor:
        # What is cut from the graph here, no gradient shows and no search moves.
        told = None if condition is None else points[:, size:].detach().float()
        return scores(points[:, :size].float().reshape(-1, *shape), told)

    places = [part.flatten(1) for part in (first, second, between)]
    if condition is not None:
        places = [torch.cat([part, condition.flatten(1)], dim=1) for part in places]
    points = torch.cat(places)
    norms = gradient_norms(of_points, points, at_once=_AT_ONCE)
    if norms is None:
        return None
    climbed = steepest_gradient(of_points, points, climb_steps=climb_steps, norms=norms)
    assert climbed is not None
    of_real, of_fake, of_between = torch.split(norms, num)
    return Slopes(
        real=float(of_real.max()),
        fake=float(of_fake.max()),
        between=float(of_between.max()),
        climbed=climbed,
        mean_real=float(of_real.mean()),
        mean_fake=float(of_fake.mean()),
        mean_between=float(of_between.mean()),
        bound=None if network is None or condition is not None else layer_bound(network, first[:_WATCHED]),
    )
