import pytest
import torch
from torch import nn

from wgan.batch import Batch, Layout
from wgan.constraints import CONSTRAINTS, GradientPenalty, SpectralNorm, WeightClipping
from wgan.errors import UsageError
from wgan.networks import DCGAN, MLP


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pair(*shape: int, dtype: torch.dtype = torch.float64) -> tuple[Batch, Batch]:
    return (
        Batch(torch.randn(6, *shape, generator=rng(1), dtype=dtype)),
        Batch(torch.randn(6, *shape, generator=rng(2), dtype=dtype)),
    )


def linear_scores(slope: float):
    return lambda values, condition=None: slope * values.flatten(1)[:, 0]


@pytest.mark.parametrize("shape", [(2,), (7,), (3, 4, 5), (1, 2, 3, 4)])
@pytest.mark.parametrize(
    ("one_sided", "power", "slope", "expected"),
    [
        (False, 2, 3.0, 4.0),
        (False, 2, 0.5, 0.25),
        (False, 1, 0.5, 0.5),
        (True, 2, 3.0, 4.0),
        (True, 1, 3.0, 2.0),
        (True, 2, 0.5, 0.0),
    ],
)
def test_penalty_of_a_linear_critic_by_hand(shape, one_sided, power, slope, expected):
    real, fake = pair(*shape)
    penalty = GradientPenalty(weight=10.0, one_sided=one_sided, power=power)
    value = penalty.penalty(linear_scores(slope), real, fake, penalty.draw((6, *shape), rng()).double())
    assert value.item() == pytest.approx(10.0 * expected, rel=1e-6)


def test_the_penalty_is_on_the_straight_line_between_each_pair():
    """The critic x^2 / 2 has gradient x, so that the penalty shows where it is taken."""
    real, fake = Batch(torch.full((5, 1), 4.0)), Batch(torch.full((5, 1), 2.0))
    mix = torch.tensor([0.0, 0.25, 0.5, 0.75, 1.0])
    value = GradientPenalty(weight=1.0, target=0.0).penalty(
        lambda values, condition: values.square().sum(1) / 2, real, fake, mix
    )
    assert value.item() == pytest.approx(((2.0 + 2.0 * mix) ** 2).mean().item())


@pytest.mark.parametrize("one_sided", [True, False])
def test_penalty_is_finite_where_the_critic_is_flat(one_sided):
    critic = nn.Linear(3, 1)
    nn.init.zeros_(critic.weight)
    real, fake = pair(3, dtype=torch.float32)
    value = GradientPenalty(one_sided=one_sided).penalty(lambda v, c: critic(v).squeeze(1), real, fake, torch.rand(6))
    value.backward()
    assert value.isfinite()
    assert critic.weight.grad.isfinite().all()


def test_gradient_of_the_penalty_agrees_with_finite_differences():
    critic = MLP(width=5, depth=2, activation="tanh").critic(Layout(shape=(3,))).double()
    real, fake = pair(3)
    mix = torch.rand(6, generator=rng(), dtype=torch.float64)
    weights = list(critic.parameters())
    # A critic returns float32 scores; its body keeps float64 for finite differences.
    scores = lambda values, condition: critic.body(values).squeeze(1)  # noqa: E731

    class Exact(GradientPenalty):
        def penalty(self, scores, real, fake, drawn):
            between = torch.lerp(fake.values, real.values, drawn[:, None]).requires_grad_(True)
            (gradient,) = torch.autograd.grad(scores(between, None).sum(), between, create_graph=True)
            return 10 * (gradient.norm(dim=1) - 1).square().mean()

    ours = torch.autograd.grad(GradientPenalty().penalty(scores, real, fake, mix), weights, allow_unused=True)
    reference = torch.autograd.grad(Exact().penalty(scores, real, fake, mix), weights, allow_unused=True)
    for mine, theirs in zip(ours, reference, strict=True):
        assert (mine is None) == (theirs is None)
        if mine is not None:
            torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-6)
    weight, step = weights[0], 1e-3
    with torch.no_grad():
        values = []
        for sign in (1, -1):
            weight[0, 0] += sign * step
            with torch.enable_grad():
                values.append(GradientPenalty().penalty(scores, real, fake, mix).item())
            weight[0, 0] -= sign * step
    assert ours[0][0, 0].item() == pytest.approx((values[0] - values[1]) / (2 * step), rel=2e-3)


def test_the_penalty_refuses_batch_norm_and_suggests_a_remedy():
    critic = DCGAN(filters=4).critic(Layout(shape=(1, 16, 16)))
    with pytest.raises(
        UsageError, match=r"scores each sample by itself, but the critic's 'body\.3' is batch norm"
    ) as caught:
        GradientPenalty().attach(critic)
    assert "norm=layer" in caught.value.remedy
    GradientPenalty().attach(DCGAN(filters=4, norm="layer").critic(Layout(shape=(1, 16, 16))))


def test_clipping_changes_only_weights_beyond_the_bound():
    critic = MLP(width=16).critic(Layout(shape=(2,)))
    before = [weight.clone() for weight in critic.parameters()]
    WeightClipping(bound=0.1).project(critic)
    assert any((weight.abs() > 0.1).any() for weight in before)
    for old, new in zip(before, critic.parameters(), strict=True):
        torch.testing.assert_close(new.detach(), old.clamp(-0.1, 0.1), rtol=0, atol=0)


@pytest.mark.parametrize("network", [MLP(width=16, activation="leaky"), DCGAN(filters=4, norm="none")])
def test_spectral_norm_bounds_every_weight_matrix_by_one(network):
    critic = network.critic(Layout(shape=(1, 16, 16)))
    SpectralNorm().attach(critic)
    values = torch.randn(4, 1, 16, 16, generator=rng())
    for _ in range(100):
        critic(values)
    matrices = [layer.weight.flatten(1) for layer in critic.modules() if isinstance(layer, nn.Linear | nn.Conv2d)]
    assert matrices
    for matrix in matrices:
        assert torch.linalg.matrix_norm(matrix, ord=2).item() == pytest.approx(1.0, abs=0.02)


@pytest.mark.parametrize("activation", ["relu", "leaky", "tanh"])
def test_an_mlp_under_spectral_norm_is_1_lipschitz(activation):
    critic = MLP(width=32, depth=3, activation=activation).critic(Layout(shape=(5,)))
    SpectralNorm().attach(critic)
    pairs = torch.randn(2, 500, 5, generator=rng())
    for _ in range(100):
        critic(pairs[0])
    slopes = (critic(pairs[0]) - critic(pairs[1])).abs() / (pairs[0] - pairs[1]).norm(dim=1)
    assert slopes.max() <= 1.02


def test_spectral_norm_refuses_batch_norm():
    with pytest.raises(UsageError, match="which batch norm scales up again"):
        SpectralNorm().attach(DCGAN(filters=4).critic(Layout(shape=(1, 16, 16))))


def test_spectral_norm_can_be_attached_twice():
    critic = MLP(width=4).critic(Layout(shape=(2,)))
    SpectralNorm().attach(critic)
    names = list(critic.state_dict())
    SpectralNorm().attach(critic)
    assert list(critic.state_dict()) == names


@pytest.mark.parametrize("name", list(CONSTRAINTS))
def test_every_constraint_names_the_unit_of_the_estimate(name):
    assert CONSTRAINTS.build(name).scale


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("penalty", True),
        ("penalty:one_sided=true,pairs=optimal,every=4", True),
        ("lp", True),
        ("penalty:target=0", False),
        ("penalty:penalty_at=real", False),
    ],
)
def test_the_unit_is_that_of_the_data_only_for_slopes_near_1_between_samples(text, holds):
    assert CONSTRAINTS.build(text).scale.startswith("roughly in units of the scaled data") == holds


@pytest.mark.parametrize("name", list(CONSTRAINTS))
def test_every_constraint_implements_the_interface(name):
    constraint = CONSTRAINTS.build(name)
    critic = MLP(width=8).critic(Layout(shape=(2,)))
    constraint.attach(critic)
    real, fake = pair(2, dtype=torch.float32)
    penalty = torch.as_tensor(constraint.penalty(critic, real, fake, constraint.draw((6, 2), rng())))
    assert penalty.dim() == 0
    assert penalty.isfinite()
    constraint.project(critic)
    assert all(weight.isfinite().all() for weight in critic.parameters())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("clipping:bound=0", "bound must be above 0"),
        ("clipping:bound=nan", "bound must be above 0"),
        ("penalty:weight=-1", "weight must be at least 0"),
        ("penalty:penalty_at=three", "'three' is not one of between, real, fake, around"),
        ("spectral:iterations=0", "iterations must be at least 1"),
    ],
)
def test_invalid_parameters_are_refused(text, message):
    with pytest.raises(UsageError, match=message):
        CONSTRAINTS.build(text)
