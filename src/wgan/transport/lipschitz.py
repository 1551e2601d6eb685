"""Lower and upper bounds of a critic's Lipschitz constant.

All bounds are with respect to Euclidean distances between flattened samples.
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
"""Maps samples (N, ...) to N scores in any shape: a module or a function."""

SCORED = 4096
"""Samples scored at once."""

NUM_CLIMBERS = 64
"""Starting points of the search for the steepest gradient."""

# Step lengths tried in both directions, in units that start at the samples' root mean square distance from their mean.
_STEPS = (1.0, -1.0, 0.25, -0.25, 0.0625, -0.0625)
_NUM_PROBED = 16

# Lipschitz constants of activations, rounded up.
_LIPSCHITZ_CONSTANTS: dict[type[nn.Module], float] = {
    nn.Identity: 1.0,
    nn.Flatten: 1.0,
    nn.Unflatten: 1.0,
    nn.Dropout: 1.0,  # the identity in evaluation mode
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
def evaluation_mode(critic: Critic) -> Iterator[None]:
    """Put a module into evaluation mode, and restore the mode of each submodule afterwards."""
    modes = [(module, module.training) for module in critic.modules()] if isinstance(critic, nn.Module) else []
    for module, _ in modes:
        module.training = False
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


def as_critic_input(critic: Critic, samples: Tensor) -> Tensor:
    """Samples on the critic's device, in the widest floating dtype among its parameters and buffers."""
    if not isinstance(critic, nn.Module):
        return samples
    tensors = [tensor for tensor in (*critic.parameters(), *critic.buffers()) if tensor.is_floating_point()]
    if not tensors:
        return samples
    widest = max((tensor.dtype for tensor in tensors), key=lambda dtype: torch.finfo(dtype).bits)
    return samples.to(device=tensors[0].device, dtype=widest)


@torch.no_grad()
def scores_of(critic: Critic, samples: Tensor) -> Tensor:
    """Score samples in batches.

    Args:
        critic: Maps samples to one score each.
        samples: Shape (N, ...), in the shape that the critic takes.

    Returns:
        Shape (N,), float64, on the samples' device.

    Raises:
        UsageError: The number of scores is not the number of samples.
        NumericError: Scores that are not finite.
    """
    parts = []
    with evaluation_mode(critic):
        for batch in torch.split(samples, SCORED):
            scores = critic(as_critic_input(critic, batch))
            if scores.numel() != len(batch):
                raise UsageError(
                    f"a critic must return one score for each sample: {len(batch)} samples gave shape "
                    f"{tuple(scores.shape)}"
                )
            parts.append(scores.reshape(-1).to(samples.device))
    return as_float64(torch.cat(parts), "the critic's scores")


@torch.no_grad()
def steepest_secant(
    source_scores: Tensor, target_scores: Tensor, x: Tensor, y: Tensor, *, held: int
) -> tuple[float, float]:
    """The steepest secant between a point of one sample and a point of the other, and the largest jump at one point.

    Args:
        source_scores: f(x), shape (N,), float64.
        target_scores: f(y), shape (M,), float64.
        x: Shape (N, D), float64.
        y: Shape (M, D), float64.
        held: The most distances in memory at once.

    Returns:
        max |f(x_i) - f(y_j)| / ||x_i - y_j|| over distinct pairs, and max |f(x_i) - f(y_j)| over coincident pairs,
        which is 0 up to the critic's rounding. O(N M D) time.
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
    """The norms of a critic's gradients at samples.

    Args:
        critic: Differentiable, scoring each sample independently.
        samples: Shape (N, ...).
        at_once: The batch size.

    Returns:
        Shape (N,), float64, on the samples' device; None if the scores have no gradient.
    """
    with evaluation_mode(critic), torch.enable_grad():
        parts = [_gradient_norms(critic, batch) for batch in torch.split(samples, at_once)]
    found = [part for part in parts if part is not None]
    return torch.cat(found) if len(found) == len(parts) else None


def steepest_gradient(
    critic: Critic, samples: Tensor, *, climb_steps: int, norms: Tensor | None = None
) -> float | None:
    """The largest norm of a critic's gradient found by gradient ascent on the norm.

    The ascent starts at the samples with the largest norms. It follows the gradient of the norm, or where that is 0, as
    inside a linear piece of a ReLU network, the critic's own gradient. Each step tries several lengths in both
    directions. A point moves to the best of them if the norm increases, and otherwise halves its step length.

    Args:
        critic: Differentiable, scoring each sample independently.
        samples: Starting points, shape (N, ...), float64.
        climb_steps: The number of ascent steps.
        norms: The result of `gradient_norms` at the samples, if known.

    Returns:
        The norm of the critic's gradient at some point, hence a lower bound of its Lipschitz constant; None if the
        scores have no gradient.
    """
    centred = samples.flatten(1) - samples.flatten(1).mean(dim=0)
    reach = float(centred.square().sum(dim=1).mean().sqrt())
    if norms is None:
        norms = gradient_norms(critic, samples)
        if norms is None:
            return None
    with evaluation_mode(critic), torch.enable_grad():
        best, where = norms.topk(min(NUM_CLIMBERS, len(norms)))
        points = samples[where]
        units = torch.full_like(best, reach)
        for _ in range(climb_steps):
            direction = _ascent_direction(critic, points)
            lengths = units * torch.tensor(_STEPS, dtype=units.dtype, device=units.device)[:, None]
            moved = points + lengths.reshape(*lengths.shape, *[1] * (points.dim() - 1)) * direction
            new_norms = _gradient_norms(critic, moved.flatten(0, 1))
            assert new_norms is not None
            highest, which = new_norms.reshape(lengths.shape).max(dim=0)
            is_higher = highest > best
            points = torch.where(
                _expand(is_higher, points), moved[which, torch.arange(len(points), device=which.device)], points
            )
            best = torch.maximum(best, highest)
            units = torch.where(is_higher, units, units / 2)
    return float(best.max())


def _expand(values: Tensor, points: Tensor) -> Tensor:
    return values.reshape(-1, *[1] * (points.dim() - 1))


def _gradient_norms(critic: Critic, points: Tensor) -> Tensor | None:
    """As `gradient_norms`, in one batch and in the critic's current mode."""
    values = as_critic_input(critic, points.detach()).requires_grad_(True)
    scores = critic(values)
    if not scores.requires_grad:
        return None
    (gradient,) = torch.autograd.grad(scores.sum(), values, materialize_grads=True)
    norms: Tensor = torch.linalg.vector_norm(gradient.flatten(1).double(), dim=1)
    return norms.to(points.device)


def _ascent_direction(critic: Critic, points: Tensor) -> Tensor:
    """The direction of ascent, of length 1 or 0, in the shape of the points."""
    values = as_critic_input(critic, points.detach()).requires_grad_(True)
    (gradient,) = torch.autograd.grad(critic(values).sum(), values, create_graph=True, materialize_grads=True)
    norms = torch.linalg.vector_norm(gradient.flatten(1), dim=1)
    slope = torch.zeros_like(gradient)
    if norms.requires_grad:
        (slope,) = torch.autograd.grad(norms.sum(), values, allow_unused=True, materialize_grads=True)
    is_curved = slope.flatten(1).abs().amax(dim=1) > 0
    direction = torch.where(_expand(is_curved, slope), slope, gradient.detach()).flatten(1).double()
    lengths = torch.linalg.vector_norm(direction, dim=1, keepdim=True)
    return (direction / torch.where(lengths > 0, lengths, 1.0)).reshape(points.shape).to(points.device)


def layer_bound(network: nn.Module, samples: Tensor) -> float | None:
    """An upper bound of a network's Lipschitz constant: the product of those of its layers.

    For a chain of layers, Lip(h_L o ... o h_1) <= Lip(h_L) ... Lip(h_1). The constant of a linear layer is its largest
    singular value, computed here by a singular value decomposition; those of the usual activations are known. Spectral
    normalisation divides a weight by an estimate of its largest singular value, so its constant here is near 1, not
    exactly 1. Other modules can declare their constant in an attribute `lipschitz_constant`.

    Forward hooks on a few samples check that the network is a chain. Each layer must receive the output of the layer
    before it, and the scores must be the output of the last.

    Args:
        network: The network; evaluated in evaluation mode.
        samples: A few samples, shape (N, ...), for the check.

    Returns:
        The bound; None if the network is not a chain, or has a layer whose constant is unknown.

    Source: Szegedy et al. (2014), section 4.3; Miyato et al. (2018), equation 7.
    """
    layers = list(dict.fromkeys(_layers(network)))
    in_layers = {id(parameter) for layer in layers for parameter in layer.parameters()}
    if any(id(parameter) not in in_layers for parameter in network.parameters()):
        return None
    with evaluation_mode(network), torch.no_grad():
        order = _order_of_calls(network, layers, as_critic_input(network, samples[:_NUM_PROBED]))
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
    """The leaf modules of a network; a parametrised linear layer counts as a leaf."""
    children = list(module.children())
    if isinstance(module, nn.Linear) or not children:
        yield module
        return
    for child in children:
        yield from _layers(child)


def _order_of_calls(network: nn.Module, layers: list[nn.Module], samples: Tensor) -> list[nn.Module] | None:
    """The layers in the order of their calls, or None if one did not receive the output of the layer before it."""
    calls: list[nn.Module] = []
    last_output, mismatches = [samples.clone()], []

    def before(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        mismatches.append(len(inputs) != 1 or not _equal(inputs[0], last_output[0]))

    def after(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        calls.append(layer)
        last_output[0] = output.clone()  # a later layer may work in place

    hooks = [layer.register_forward_pre_hook(before) for layer in layers]
    hooks += [layer.register_forward_hook(after) for layer in layers]
    try:
        scores = network(samples)
    finally:
        for hook in hooks:
            hook.remove()
    if any(mismatches) or not _equal(scores, last_output[0]):
        return None
    return calls


def _equal(first: Tensor, second: Tensor) -> bool:
    """Whether two tensors hold the same values in any shape, up to float32 rounding."""
    if not (isinstance(first, Tensor) and first.numel() == second.numel()):
        return False
    return torch.allclose(first.flatten().double(), second.flatten().double(), rtol=1e-6, atol=0.0)


def _constant(layer: nn.Module) -> float | None:
    """The Lipschitz constant of one layer, or an upper bound of it; None if unknown."""
    declared = getattr(layer, "lipschitz_constant", None)
    if declared is not None:
        return float(declared)
    if isinstance(layer, nn.Linear):
        return float(torch.linalg.matrix_norm(layer.weight.double(), ord=2))
    if isinstance(layer, nn.LeakyReLU):
        return max(1.0, abs(layer.negative_slope))
    if isinstance(layer, nn.ELU):
        return max(1.0, abs(layer.alpha))
    return _LIPSCHITZ_CONSTANTS.get(type(layer))
