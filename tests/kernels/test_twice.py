"""Kernels of distances are twice differentiable, as gradient penalties need."""

import pytest
import torch

from wgan.kernels import KERNELS


def points(num: int, seed: int) -> torch.Tensor:
    return torch.randn(num, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).requires_grad_(True)


@pytest.mark.parametrize("name", ["energy", "laplacian:bandwidth=2", "gaussian:bandwidth=2"])
@pytest.mark.parametrize("offset", [0.0, 1e3])
def test_first_and_second_derivatives_agree_with_differences(name, offset):
    kernel = KERNELS.build(name)
    x, y = points(4, 0), points(3, 1)
    values = lambda x, y: kernel(x + offset, y + offset)  # noqa: E731
    tolerance = {"atol": 1e-4, "rtol": 1e-3}
    assert torch.autograd.gradcheck(values, (x, y), **tolerance)
    assert torch.autograd.gradgradcheck(values, (x, y), **tolerance)


@pytest.mark.parametrize("name", ["energy", "laplacian:bandwidth=2"])
def test_both_backward_passes_agree_and_are_finite_at_coincident_points(name):
    kernel, x = KERNELS.build(name), points(5, 0)
    y = torch.cat([x[:2].detach(), points(2, 1).detach()]).requires_grad_(True)
    pull = torch.randn(5, 4, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    once = torch.autograd.grad((kernel(x, y) * pull).sum(), (x, y))
    twice = torch.autograd.grad((kernel(x, y) * pull).sum(), (x, y), create_graph=True)
    for first, second in zip(once, twice, strict=True):
        torch.testing.assert_close(first, second)
    seconds = torch.autograd.grad(sum(gradient.square().sum() for gradient in twice), (x, y))
    assert all(gradient.isfinite().all() for gradient in seconds)
