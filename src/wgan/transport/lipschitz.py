"""How steep a critic is: slopes that were met, which bound its Lipschitz constant from below, and one bound from above.

All with respect to Euclidean distances between flattened samples.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from wgan.errors import UsageError
from wgan.transport.costs import cost_matrix
from wgan.transport.measures import as_float64

Critic = Callable[[Tensor], Tensor]
"""From samples (N, ...) to N scores in any shape: a module or a function."""

SCORED = 4096
"""Samples scored at once."""

NUM_CLIMBERS = 64
"""Points from which the steepest gradient is searched for."""

# Steps tried at once, to and fro, in units that begin at the samples' root mean square distance from their mean.
_STEPS = (1.0, -1.0, 0.25, -0.25, 0.0625, -0.0625)
_PROBED = 16

# Steepest slopes of activations, rounded up; 1 for the rest of the table.
_SLOPES: dict[type[nn.Module], float] = {
    nn.Identity: 1.0,
    nn.Flatten: 1.0,
    nn.Unflatten: 1.0,
    nn.Dropout: 1.0,  # where critics are judged it does nothing
    nn.ReLU: 1.0,
    nn.ReLU6: 1.0,
    nn.Hardtanh: 1.0,
    nn.Tanh: 1.0,
    nn.Softsign: 1.0,
    nn.Softplus: 1.0,
    nn.LogSigmoid: 1.0,
    nn.Sigmoid: 0.25,
    nn.GELU: 1.13,
    nn.SiLU: 1.1,
    nn.Mish: 1.09,
}


@contextlib.contextmanager
def judging(critic: Critic) -> Iterator[None]:
    """Within the block a module is in evaluation mode; afterwards each of its parts is as it was."""
    parts = [(part, part.training) for part in critic.modules()] if isinstance(critic, nn.Module) else []
    for part, _ in parts:
        part.training = False
    try:
        yield
    finally:
        for part, training in parts:
            part.training = training


def brought_to(critic: Critic, samples: Tensor) -> Tensor:
    """Samples on the critic's device, in the widest floating precision among its parameters and buffers."""
    if not isinstance(critic, nn.Module):
        return samples
    held = [tensor for tensor in (*critic.parameters(), *critic.buffers()) if tensor.is_floating_point()]
    if not held:
        return samples
    widest = max((tensor.dtype for tensor in held), key=lambda dtype: torch.finfo(dtype).bits)
    return samples.to(device=held[0].device, dtype=widest)


@torch.no_grad()
def scores_of(critic: Critic, samples: Tensor) -> Tensor:
    """Score samples, some at a time.

    Args:
        critic: From samples to one number each.
        samples: Shape (N, ...), as the critic takes them.

    Returns:
        Shape (N,), float64, on the samples' device.

    Raises:
        UsageError: Not one score for each sample.
        NumericError: Scores that are not finite.
    """
    parts = []
    with judging(critic):
        for some in torch.split(samples, SCORED):
            scores = critic(brought_to(critic, some))
            if scores.numel() != len(some):
                raise UsageError(
                    f"a critic must return one score for each sample: {len(some)} samples gave shape "
                    f"{tuple(scores.shape)}"
                )
            parts.append(scores.reshape(-1).to(samples.device))
    return as_float64(torch.cat(parts), "the critic's scores")


@torch.no_grad()
def steepest_secant(
    source_scores: Tensor, target_scores: Tensor, x: Tensor, y: Tensor, *, held: int
) -> tuple[float, float]:
    """The steepest slope between a point of one sample and a point of the other, and the largest jump at one place.

    Args:
        source_scores: f(x), shape (N,), float64.
        target_scores: f(y), shape (M,), float64.
        x: Shape (N, D), float64.
        y: Shape (M, D), float64.
        held: Distances kept in memory at once.

    Returns:
        max |f(x_i) - f(y_j)| / ||x_i - y_j|| over pairs that are apart, and max |f(x_i) - f(y_j)| over pairs that are
        not, which rounding alone can make differ from 0. O(N M D) time.
    """
    slope, jump = 0.0, 0.0
    block = max(1, held // len(y))
    for start in range(0, len(x), block):
        distances = cost_matrix(x[start : start + block], y)
        differences = (source_scores[start : start + block, None] - target_scores).abs()
        apart = distances > 0
        slope = max(slope, float(torch.where(apart, differences / distances, 0.0).max()))
        jump = max(jump, float(torch.where(apart, 0.0, differences).max()))
    return slope, jump


@torch.no_grad()
def gradient_norms(critic: Critic, samples: Tensor, *, at_once: int = SCORED) -> Tensor | None:
    """How steep a critic is at samples.

    Args:
        critic: Differentiable, scoring each sample by itself.
        samples: Shape (N, ...).
        at_once: Samples that go through the critic at once.

    Returns:
        The norms of its gradients, shape (N,), float64, on the samples' device; None where the scores have no gradient.
    """
    with judging(critic), torch.enable_grad():
        parts = [_gradient_norms(critic, some) for some in torch.split(samples, at_once)]
    found = [part for part in parts if part is not None]
    return torch.cat(found) if len(found) == len(parts) else None


def steepest_gradient(
    critic: Critic, samples: Tensor, *, climb_steps: int, norms: Tensor | None = None
) -> float | None:
    """The largest norm of a critic's gradient that was found, from samples upwards.

    From the samples with the steepest gradients, points climb: along the gradient of the gradient's norm where there is
    one, and elsewhere, as inside a linear piece of a ReLU network, along the critic's own gradient. Each time steps of
    several lengths to and fro are tried; a point moves to the best where the norm grows, and else halves its steps.

    Args:
        critic: Differentiable, scoring each sample by itself.
        samples: Where to start, shape (N, ...), float64.
        climb_steps: Steps of each climb.
        norms: From `gradient_norms`, where they are known already.

    Returns:
        A norm that the critic's gradient has somewhere, so that no Lipschitz constant of it is smaller; None where the
        scores have no gradient.
    """
    centred = samples.flatten(1) - samples.flatten(1).mean(dim=0)
    reach = float(centred.square().sum(dim=1).mean().sqrt())
    if norms is None:
        norms = gradient_norms(critic, samples)
        if norms is None:
            return None
    with judging(critic), torch.enable_grad():
        best, where = norms.topk(min(NUM_CLIMBERS, len(norms)))
        points = samples[where]
        units = torch.full_like(best, reach)
        for _ in range(climb_steps):
            uphill = _uphill(critic, points)
            lengths = units * torch.tensor(_STEPS, dtype=units.dtype, device=units.device)[:, None]
            moved = points + lengths.reshape(*lengths.shape, *[1] * (points.dim() - 1)) * uphill
            reached = _gradient_norms(critic, moved.flatten(0, 1))
            assert reached is not None
            highest, which = reached.reshape(lengths.shape).max(dim=0)
            higher = highest > best
            points = torch.where(
                _expand(higher, points), moved[which, torch.arange(len(points), device=which.device)], points
            )
            best = torch.maximum(best, highest)
            units = torch.where(higher, units, units / 2)
    return float(best.max())


def _expand(values: Tensor, points: Tensor) -> Tensor:
    return values.reshape(-1, *[1] * (points.dim() - 1))


def _gradient_norms(critic: Critic, points: Tensor) -> Tensor | None:
    """The norms of the critic's gradients at points, shape (N,), float64; None where there are no gradients."""
    values = brought_to(critic, points.detach()).requires_grad_(True)
    scores = critic(values)
    if not scores.requires_grad:
        return None
    (gradient,) = torch.autograd.grad(scores.sum(), values, materialize_grads=True)
    norms: Tensor = torch.linalg.vector_norm(gradient.flatten(1).double(), dim=1)
    return norms.to(points.device)


def _uphill(critic: Critic, points: Tensor) -> Tensor:
    """The direction to climb in, of length 1 or 0, shaped like the points."""
    values = brought_to(critic, points.detach()).requires_grad_(True)
    (gradient,) = torch.autograd.grad(critic(values).sum(), values, create_graph=True, materialize_grads=True)
    norms = torch.linalg.vector_norm(gradient.flatten(1), dim=1)
    bend = torch.zeros_like(gradient)
    if norms.requires_grad:
        (bend,) = torch.autograd.grad(norms.sum(), values, allow_unused=True, materialize_grads=True)
    curved = bend.flatten(1).abs().amax(dim=1) > 0
    direction = torch.where(_expand(curved, bend), bend, gradient.detach()).flatten(1).double()
    lengths = torch.linalg.vector_norm(direction, dim=1, keepdim=True)
    return (direction / torch.where(lengths > 0, lengths, 1.0)).reshape(points.shape).to(points.device)


def layer_bound(network: nn.Module, samples: Tensor) -> float | None:
    """An upper bound of a network's Lipschitz constant: the product of those of its layers.

    For a chain of layers, Lip(h_L o ... o h_1) <= Lip(h_L) ... Lip(h_1); that of a linear layer is its largest singular
    value, here by a singular value decomposition, and those of the usual activations are known. Spectral normalisation
    divides a weight by an estimate of that value, which the bound sees as it is: a product near 1. A module of another
    kind may say its own constant in an attribute `lipschitz_constant`.

    Whether the network is such a chain is watched while it scores a few samples: each layer must take what the one
    before put out, and nothing else may happen to the scores.

    Args:
        network: In evaluation mode or not; it is judged in evaluation mode.
        samples: A few samples, shape (N, ...), on which to watch it.

    Returns:
        The bound; None for a network that is no chain, or that has layers of a kind whose constant is not known.

    Source: Szegedy et al. (2014), section 4.3; Miyato et al. (2018), equation 7.
    """
    layers = list(dict.fromkeys(_layers(network)))
    known = {id(weight) for layer in layers for weight in layer.parameters()}
    if any(id(weight) not in known for weight in network.parameters()):
        return None
    with judging(network), torch.no_grad():
        order = _order_of_calls(network, layers, brought_to(network, samples[:_PROBED]))
        if order is None:
            return None
        bound = 1.0
        for layer in order:
            constant = _constant(layer)
            if constant is None:
                return None
            bound *= constant
    return bound


def _layers(module: nn.Module) -> Iterator[nn.Module]:
    """The parts of a network that do not consist of others: a parametrised layer is one."""
    children = list(module.children())
    if isinstance(module, nn.Linear) or not children:
        yield module
        return
    for child in children:
        yield from _layers(child)


def _order_of_calls(network: nn.Module, layers: list[nn.Module], samples: Tensor) -> list[nn.Module] | None:
    """The layers in the order in which they were called, if each took what the one before it put out."""
    calls: list[tuple[nn.Module, Tensor]] = []
    carried, broken = [samples.clone()], []

    def before(layer: nn.Module, given: tuple[Tensor, ...]) -> None:
        broken.append(len(given) != 1 or not _same(given[0], carried[0]))

    def after(layer: nn.Module, given: tuple[Tensor, ...], output: Tensor) -> None:
        calls.append((layer, output))
        carried[0] = output.clone()  # a later layer may work in place

    hooks = [layer.register_forward_pre_hook(before) for layer in layers]
    hooks += [layer.register_forward_hook(after) for layer in layers]
    try:
        scores = network(samples)
    finally:
        for hook in hooks:
            hook.remove()
    if any(broken) or not _same(scores, carried[0]):
        return None
    return [layer for layer, _ in calls]


def _same(first: Tensor, second: Tensor) -> bool:
    """Whether two tensors hold the same numbers, whatever their shape, up to the rounding of float32."""
    if not (isinstance(first, Tensor) and first.numel() == second.numel()):
        return False
    return torch.allclose(first.flatten().double(), second.flatten().double(), rtol=1e-6, atol=0.0)


def _constant(layer: nn.Module) -> float | None:
    """The Lipschitz constant of one layer, or a bound of it; None where it is not known."""
    declared = getattr(layer, "lipschitz_constant", None)
    if declared is not None:
        return float(declared)
    if isinstance(layer, nn.Linear):
        return float(torch.linalg.matrix_norm(layer.weight.double(), ord=2))
    if isinstance(layer, nn.LeakyReLU):
        return max(1.0, abs(layer.negative_slope))
    if isinstance(layer, nn.ELU):
        return max(1.0, abs(layer.alpha))
    return _SLOPES.get(type(layer))
