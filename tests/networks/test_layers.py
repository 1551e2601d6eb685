"""Activations without second derivatives have the values and derivatives of PyTorch's own."""

import pytest
import torch
from torch import nn

from wgan.networks.layers import LeakyReLU, ReLU

PAIRS = [(ReLU(), nn.ReLU()), (LeakyReLU(), nn.LeakyReLU(0.2)), (LeakyReLU(1.0), nn.Identity())]


def _chain(activation):
    torch.manual_seed(3)
    layers = [nn.Linear(3, 8), activation, nn.Linear(8, 8), activation, nn.Linear(8, 1)]
    return nn.Sequential(*layers).double()


def _penalised(network, values):
    """The gradient of a loss with a gradient penalty, and the penalty's own with respect to the samples."""
    values = values.clone().requires_grad_()
    scores = network(values)
    (slopes,) = torch.autograd.grad(scores.sum(), values, create_graph=True)
    loss = scores.mean() + (slopes.norm(dim=1) - 1).square().mean()
    return torch.autograd.grad(loss, [values, *network.parameters()])


@pytest.mark.parametrize(("ours", "plain"), PAIRS, ids=lambda layer: type(layer).__name__)
def test_values_and_derivatives_of_both_orders_are_those_of_pytorch(ours, plain):
    values = torch.randn(16, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for found, wanted in zip(_penalised(_chain(ours), values), _penalised(_chain(plain), values), strict=True):
        torch.testing.assert_close(found, wanted)
    with torch.no_grad():
        torch.testing.assert_close(ours(values), plain(values), rtol=0, atol=0)


@pytest.mark.parametrize("activation", [ReLU(), LeakyReLU()], ids=lambda layer: type(layer).__name__)
def test_the_second_derivative_needs_no_extra_matrix_products(activation):
    first, values = nn.Linear(3, 8), torch.randn(4, 3, requires_grad=True)
    scores = nn.Linear(8, 1)(activation(first(values)))
    (slopes,) = torch.autograd.grad(scores.sum(), values, create_graph=True)
    # The slopes depend on the first layer's bias only by the signs of the units.
    assert torch.autograd.grad(slopes.sum(), [first.bias], allow_unused=True) == (None,)


def test_without_gradients_nothing_is_saved():
    assert LeakyReLU()(torch.ones(2)).grad_fn is None
    with torch.no_grad():
        assert ReLU()(torch.ones(2, requires_grad=True)).grad_fn is None


def test_the_derivative_at_zero_is_that_of_pytorch():
    for ours, plain in PAIRS[:2]:
        slopes = []
        for layer in (ours, plain):
            values = torch.tensor([0.0, -0.0], requires_grad=True)
            slopes.append(torch.autograd.grad(layer(values).sum(), values)[0])
        assert torch.equal(*slopes)


@pytest.mark.parametrize("slope", [0.0, -0.1, 1.5, float("nan")])
def test_a_slope_out_of_range_is_refused(slope):
    with pytest.raises(ValueError, match="slope must be above 0 and at most 1"):
        LeakyReLU(slope)
