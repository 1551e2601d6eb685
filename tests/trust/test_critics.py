"""A critic trained between two fixed sets finds most of their distance, in any unit, from any seed."""

import math

import pytest
import torch
from torch import nn

from wgan.constraints import CONSTRAINTS, SpectralNorm, Unconstrained, WeightClipping
from wgan.data.toys import TOYS
from wgan.errors import NumericError, UsageError
from wgan.optimizers import Adam, RMSProp
from wgan.transport.critic_dual import critic_dual
from wgan.trust.critics import fit_critic


def points(num, dim, seed, shift=0.0):
    return torch.randn(num, dim, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) + shift


def scores(critic, values):
    with torch.no_grad():
        return critic(values)


QUICK = {"critic_steps": 20, "batch_size": 32}


def test_a_short_training_finds_the_distance_of_two_gaussians():
    x, y = points(200, 2, 0), points(180, 2, 1, shift=1.0)
    critic = fit_critic(x, y, critic_steps=300, batch_size=128)
    dual = critic_dual(x, y, critic)
    assert dual.efficiency > 0.97
    assert float(dual.certified.without_critic) < 0.5 * float(dual.exact.distance)
    # The penalty keeps slopes near 1, so that the classical bound is close as well.
    assert float(dual.by_measured) > 0.5 * float(dual.exact.distance)
    assert dual.lipschitz_bound is not None
    # Estimates start near 0, and the last ones are in units of the samples.
    assert critic.estimates.shape == (300,)
    assert abs(float(critic.estimates[0])) < float(critic.estimates[-50:].mean())
    assert float(critic.estimates[-50:].mean()) == pytest.approx(float(dual.estimate), rel=0.1)


def sets(name):
    rng = torch.Generator().manual_seed(3)
    ring = TOYS["ring"].draw(500, rng).double()
    return {
        "gaussians": (points(500, 2, 0), points(500, 2, 1, shift=0.5)),
        "equal gaussians": (points(500, 2, 0), points(500, 2, 1)),
        "ring and gaussian": (ring, points(500, 2, 0)),
        "ring and ring": (ring, TOYS["ring"].draw(400, rng).double()),
        "ring and blurred ring": (ring, TOYS["ring"].draw(500, rng).double() + 0.1 * points(500, 2, 2)),
    }[name]


# Between two samples of the same distribution there is only noise, which is hardest to learn.
SHARES = {
    "gaussians": 0.97,
    "equal gaussians": 0.88,
    "ring and gaussian": 0.97,
    "ring and ring": 0.93,
    "ring and blurred ring": 0.9,
}


@pytest.mark.slow
@pytest.mark.parametrize("name", list(SHARES))
def test_the_defaults_find_nine_tenths_of_the_distance(name):
    x, y = sets(name)
    assert critic_dual(x, y, fit_critic(x, y)).efficiency > SHARES[name]


@pytest.mark.parametrize("factor", [2.0**-40, 2.0**30])
def test_data_in_other_units_give_the_same_critic_in_those_units(factor):
    x, y = points(40, 3, 0), points(50, 3, 1, shift=1.0)
    critic, scaled = fit_critic(x, y, **QUICK), fit_critic(factor * x, factor * y, **QUICK)
    assert torch.equal(scores(scaled, factor * x), factor * scores(critic, x))
    assert torch.equal(scaled.estimates, factor * critic.estimates)
    dual, other = critic_dual(x, y, critic, solve=False), critic_dual(factor * x, factor * y, scaled, solve=False)
    assert other.lipschitz_bound == pytest.approx(dual.lipschitz_bound, rel=1e-6)
    assert other.secant_slope == pytest.approx(dual.secant_slope, rel=1e-6)
    assert float(other.certified.value) == pytest.approx(factor * float(dual.certified.value), rel=1e-6)


def test_shifted_data_give_the_shifted_critic():
    x, y = (torch.round(points(40, 2, seed) * 2**10) / 2**10 for seed in (0, 1))
    critic, moved = fit_critic(x, y, **QUICK), fit_critic(x + 2.0**20, y + 2.0**20, **QUICK)
    assert torch.allclose(scores(moved, x + 2.0**20), scores(critic, x), atol=1e-4)


def test_all_draws_follow_from_the_seed():
    x, y = points(40, 2, 0), points(50, 2, 1)
    before = torch.get_rng_state()
    first, again, other = (scores(fit_critic(x, y, seed=seed, **QUICK), x) for seed in (5, 5, 6))
    assert torch.equal(first, again)
    assert not torch.allclose(first, other)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("constraint", list(CONSTRAINTS))
def test_every_constraint_applies(constraint):
    x, y = points(100, 2, 0), points(100, 2, 1, shift=2.0)
    # Clipped at 0.01 this critic is nearly flat; the certificate does not depend on its scale.
    critic = fit_critic(x, y, constraint=CONSTRAINTS.build(constraint), critic_steps=60, batch_size=64)
    assert critic_dual(x, y, critic).efficiency > 0.8
    assert critic.estimates.isfinite().all()


def test_a_constraint_is_attached_and_projects():
    x, y = points(40, 2, 0), points(50, 2, 1)
    clipped = fit_critic(x, y, constraint=WeightClipping(bound=0.02), **QUICK)
    assert max(float(weight.detach().abs().max()) for weight in clipped.parameters()) <= 0.02
    bounds = set()
    for elsewhere in range(3):
        # Draws from the global generator have no effect.
        torch.manual_seed(elsewhere)
        normed = fit_critic(x, y, constraint=SpectralNorm(iterations=20), **QUICK)
        bounds.add(float(critic_dual(x, y, normed).lipschitz_bound))
    assert len(bounds) == 1
    assert bounds.pop() == pytest.approx(1.0, rel=0.05)


def test_a_custom_critic_is_trained_in_place_on_standardised_samples():
    seen = []

    class Own(nn.Linear):
        def forward(self, values):
            seen.append((values.dtype, float(values.detach().norm(dim=1).square().mean().sqrt())))
            return super().forward(values)

    network = Own(2, 1)
    before = network.weight.detach().clone()
    fitted = fit_critic(1e4 * points(100, 2, 0), 1e4 * points(100, 2, 1), network, optimizer=RMSProp(1e-2), **QUICK)
    assert fitted.network is network
    assert not torch.equal(network.weight, before)
    assert not network.training
    assert {dtype for dtype, _ in seen} == {torch.float32}
    assert all(0.5 < size < 2.0 for _, size in seen)


def test_with_batch_norm_the_two_batches_are_scored_separately():
    sizes = []

    class Counting(nn.BatchNorm1d):
        def forward(self, values):
            sizes.append(len(values))
            return super().forward(values)

    network = nn.Sequential(Counting(2), nn.Linear(2, 1))
    fit_critic(points(40, 2, 0), points(40, 2, 1), network, constraint=Unconstrained(), critic_steps=2, batch_size=8)
    assert sizes == [8, 8, 8, 8]
    with pytest.raises(UsageError, match="batch norm"):
        fit_critic(points(40, 2, 0), points(40, 2, 1), nn.Sequential(nn.BatchNorm1d(2), nn.Linear(2, 1)))


def test_samples_without_weight_are_never_drawn():
    x, y = points(30, 2, 0), points(40, 2, 1, shift=1.0)
    a = torch.zeros(31, dtype=torch.float64)
    a[:30] = 1 / 30
    with_outlier = torch.cat([x, torch.full((1, 2), 50.0).double()])
    plain, weighted = fit_critic(x, y, **QUICK), fit_critic(with_outlier, y, x_weights=a, **QUICK)
    assert torch.allclose(scores(weighted, x), scores(plain, x), atol=1e-5)


def test_batches_follow_the_weights():
    # A mass of 0.9 at -1 and 0.1 at 1, against 0: the estimate of a linear critic is its slope times -0.8.
    network = nn.Linear(1, 1, bias=False)
    network.weight.data.fill_(1.0)
    fitted = fit_critic(
        [-1.0, 1.0],
        [0.0],
        network,
        x_weights=[0.9, 0.1],
        constraint=Unconstrained(),
        optimizer=Adam(lr=1e-9),
        critic_steps=50,
        batch_size=200,
    )
    assert float(fitted.estimates.mean()) == pytest.approx(-0.8, abs=0.02)


def test_the_learning_rate_falls_along_a_cosine_to_zero():
    # Adam changes a weight of a linear critic by the learning rate in each step, since its gradient is constant.
    network = nn.Linear(1, 1, bias=False)
    network.weight.data.zero_()
    fit_critic([2.0], [0.0], network, constraint=Unconstrained(), optimizer=Adam(lr=1e-3), critic_steps=100)
    expected = sum(1e-3 * (0.5 + 0.5 * math.cos(math.pi * step / 100)) for step in range(100))
    assert float(network.weight.detach()) == pytest.approx(expected, rel=1e-3)


def test_points_on_the_line_and_images_are_samples_too():
    on_line = fit_critic([0.0, 1.0], [3.0, 4.0, 5.0], **QUICK)
    assert scores(on_line, torch.zeros(4, 1)).shape == (4,)
    images = points(20, 32, 0).reshape(20, 2, 4, 4)
    critic = fit_critic(images, images + 1.0, **QUICK)
    assert scores(critic, images).shape == (20,)
    assert critic_dual(images, images + 1.0, critic).efficiency > 0.5


def test_identical_samples_do_not_divide_by_zero():
    critic = fit_critic([[1.0, 2.0]], [[1.0, 2.0]], **QUICK)
    assert bool(scores(critic, torch.tensor([[1.0, 2.0]])).isfinite().all())
    assert float(critic.estimates.abs().max()) == 0.0


def test_a_critic_can_be_saved_and_differentiated():
    x, y = points(30, 2, 0), points(30, 2, 1)
    critic = fit_critic(x, y, **QUICK)
    at = x.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(critic(at).sum(), at)
    step = torch.zeros_like(x)
    step[:, 0] = 1e-3
    slope = (scores(critic, x + step) - scores(critic, x - step)) / 2e-3
    assert torch.allclose(gradient[:, 0], slope, atol=0.05)
    other = fit_critic(y, x, seed=1, **QUICK)
    other.load_state_dict(critic.state_dict())
    assert torch.equal(scores(other, x), scores(critic, x))


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        (([[1.0]], [[1.0]]), {"critic_steps": 0}, UsageError, "critic_steps and batch_size must be at least 1"),
        (([[1.0]], [[1.0]]), {"batch_size": 0}, UsageError, "critic_steps and batch_size must be at least 1"),
        (([[1.0]], [[1.0, 2.0]]), {}, UsageError, "cannot be compared"),
        (([[1e200]], [[-1e200]]), {}, NumericError, "beyond what float64 can square"),
        (
            ([[0.0]], [[1.0]]),
            {"optimizer": Adam(lr=1e38), "constraint": Unconstrained()},
            NumericError,
            "the critic diverged: its estimate at step",
        ),
    ],
)
def test_invalid_samples_are_refused(arguments, options, error, message):
    with pytest.raises(error, match=message):
        fit_critic(*arguments, **{**QUICK, **options})
