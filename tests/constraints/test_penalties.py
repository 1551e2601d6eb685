"""Penalties on critics with a known gradient: slope for f(x) = slope * x_0, and a x for f(x) = a ||x||² / 2."""

import pytest
import torch

from wgan.batch import Batch, Layout
from wgan.constraints import (
    CONSTRAINTS,
    DRAGAN,
    R1,
    R1R2,
    R2,
    GradientPenalty,
    LipschitzPenalty,
    Penalty,
    Unconstrained,
)
from wgan.constraints.penalties import optimally_paired
from wgan.errors import UsageError
from wgan.networks import MLP
from wgan.randomness import Randomness
from wgan.training.hyperparameters import Hyperparameters
from wgan.transport import exact

PENALTIES = [name for name in CONSTRAINTS if isinstance(CONSTRAINTS.build(name), Penalty)]


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pair(*shape: int) -> tuple[Batch, Batch]:
    real = torch.randn(6, *shape, generator=rng(1), dtype=torch.float64)
    return Batch(real), Batch(0.3 * torch.randn(6, *shape, generator=rng(2), dtype=torch.float64) + 1.0)


def linear(slope: float):
    return lambda values, condition: slope * values.flatten(1)[:, 0]


def quadratic(curvature: float):
    return lambda values, condition: curvature * values.flatten(1).square().sum(dim=1) / 2


def of(constraint: Penalty, scores, real: Batch, fake: Batch) -> float:
    drawn = constraint.draw(tuple(real.values.shape), rng(3))
    penalty = constraint.penalty(scores, real, fake, None if drawn is None else drawn.double())
    return penalty.detach().item()


@pytest.mark.parametrize("shape", [(2,), (3, 4, 5)])
def test_r1_and_r2_by_hand(shape):
    real, fake = pair(*shape)
    squares = [batch.values.flatten(1).square().sum(dim=1).mean().item() for batch in (real, fake)]
    for constraint, expected in ((R1, squares[0]), (R2, squares[1]), (R1R2, sum(squares))):
        assert of(constraint(weight=3.0), quadratic(2.0), real, fake) == pytest.approx(3.0 / 2 * 4.0 * expected)
        sides = 2 if constraint is R1R2 else 1
        assert of(constraint(weight=3.0), linear(0.5), real, fake) == pytest.approx(sides * 3.0 / 2 * 0.25)


@pytest.mark.parametrize("shape", [(2,), (3, 4, 5)])
def test_dragan_uses_noise_of_the_given_spread(shape):
    real, fake = pair(*shape)
    noise = torch.randn(real.values.shape, generator=rng(3)).double()
    for spread in (0.0, 0.5, 2.0):
        places = real.values + spread * real.values.std(correction=0) * noise
        expected = 10 * (0.7 * places.flatten(1).norm(dim=1) - 1).square().mean()
        assert of(DRAGAN(spread=spread), quadratic(0.7), real, fake) == pytest.approx(expected.item())
    assert of(DRAGAN(), linear(0.5), real, fake) == pytest.approx(10 * 0.25)


def test_the_gradient_penalty_is_taken_at_the_stated_points():
    real, fake = pair(4)
    noise = torch.randn(6, 4, generator=rng(3)).double()
    around = real.values + 0.5 * real.values.std(correction=0) * noise
    mix = torch.rand(6, generator=rng(3)).double()[:, None]
    places = {"real": real.values, "fake": fake.values, "around": around}
    places["between"] = mix * real.values + (1 - mix) * fake.values
    for place, values in places.items():
        expected = 10 * (values.norm(dim=1) - 1).square().mean()
        assert of(GradientPenalty(penalty_at=place), quadratic(1.0), real, fake) == pytest.approx(expected.item()), (
            place
        )


def test_optimal_pairs_are_those_of_optimal_transport():
    real, fake = Batch(torch.randn(40, 3, 2, generator=rng(1))), Batch(torch.randn(40, 3, 2, generator=rng(2)) + 0.5)
    paired = optimally_paired(real, fake).values
    lengths = (real.values - paired).flatten(1).double().norm(dim=1)
    cost = exact(real.values.flatten(1), fake.values.flatten(1)).cost
    assert lengths.mean().item() == pytest.approx(cost.item(), rel=1e-6)
    assert sorted(paired.sum(dim=(1, 2)).tolist()) == sorted(fake.values.sum(dim=(1, 2)).tolist())


def test_optimal_pairs_share_conditions_and_keep_their_graph():
    labels = torch.eye(3)[torch.randint(3, (30,), generator=rng(3))]
    real = Batch(torch.randn(30, 2, generator=rng(1)), labels)
    # Each sample contains its label, and is nearest to the real samples of another label.
    fake = Batch(torch.cat([10.0 * labels[:, [1]], labels.argmax(1, keepdim=True)], dim=1).requires_grad_(True), labels)
    paired = optimally_paired(real, fake)
    assert torch.equal(paired.values[:, 1].long(), labels.argmax(1))
    assert paired.condition is labels
    (gradient,) = torch.autograd.grad((paired.values * torch.arange(30.0)[:, None]).sum(), fake.values)
    assert sorted(gradient[:, 0].tolist()) == list(range(30))
    alone = Batch(fake.values, torch.arange(30.0)[:, None])
    assert torch.equal(optimally_paired(Batch(real.values, alone.condition), alone).values, fake.values)
    lost = Batch(torch.full((30, 2), torch.nan), labels)
    assert optimally_paired(real, lost) is lost


@pytest.mark.parametrize("name", ["penalty", "lp"])
def test_between_optimal_pairs_the_penalty_acts_only_where_mass_moves(name):
    """Those are the lines from 0 to 1 and from 10 to 9, with slope 1; other lines pass through slope 3."""
    real, fake = Batch(torch.tensor([[0.0], [10.0]])), Batch(torch.tensor([[9.0], [1.0]]))
    mix = torch.tensor([0.3, 0.6])

    def critic(values, condition):
        x = values[:, 0]
        return torch.where(x < 1, -x, torch.where(x > 9, x - 10, torch.where(x < 5, 3 * x - 4, 26 - 3 * x)))

    optimal = CONSTRAINTS.build(f"{name}:pairs=optimal").penalty(critic, real, fake, mix)
    assert optimal.item() == 0.0
    assert CONSTRAINTS.build(name).penalty(critic, real, fake, mix).item() == pytest.approx(10 * 4)


@pytest.mark.parametrize(("slope", "expected"), [(0.5, 0.0), (1.0, 0.0), (3.0, 40.0)])
def test_the_lipschitz_penalty_ignores_slopes_below_one(slope, expected):
    assert of(LipschitzPenalty(), linear(slope), *pair(3)) == pytest.approx(expected)
    one_sided = of(GradientPenalty(one_sided=True), quadratic(0.8), *pair(3))
    assert of(LipschitzPenalty(), quadratic(0.8), *pair(3)) == pytest.approx(one_sided)


@pytest.mark.parametrize("name", PENALTIES)
def test_a_lazy_penalty_has_the_same_mean(name):
    real, fake = pair(3)
    diligent, lazy = CONSTRAINTS.build(name), CONSTRAINTS.build(f"{name}:every=4")
    acting = [update for update in range(12) if not isinstance(lazy.at(update), Unconstrained)]
    assert acting == [0, 4, 8]
    assert all(diligent.at(update) is diligent for update in range(12))
    total = sum(of(lazy.at(update), quadratic(0.9), real, fake) for update in acting)
    assert total == pytest.approx(12 * of(diligent, quadratic(0.9), real, fake))


@pytest.mark.parametrize("schedule", ["constant", "authors"])
def test_critic_updates_are_numbered_throughout_the_run(schedule):
    hparams = Hyperparameters(generator_steps=1100, critic_steps=3, critic_schedule=schedule)
    done = 0
    for step in range(1100):
        assert hparams.critic_steps_before(step) == done
        done += hparams.critic_steps_at(step)


@pytest.mark.parametrize("name", PENALTIES)
def test_the_gradient_of_every_penalty_agrees_with_finite_differences(name):
    """With respect to the critic's weights, and to the generated samples where those have a graph."""
    constraint = CONSTRAINTS.build(name)
    with Randomness(0).as_global("weights"):
        critic = MLP(width=5, depth=2, activation="tanh").critic(Layout(shape=(3,))).double()
    real, fake = pair(3)
    drawn = constraint.draw((6, 3), rng(3))
    drawn = None if drawn is None else drawn.double()
    weight = critic.body[1][0].weight
    critic.body[1][-1].weight.data *= 5.0  # steep enough for a one-sided penalty

    def penalty(first: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        weights = {name: value for name, value in critic.named_parameters()} | {"body.1.0.weight": first}  # noqa: C416
        bare = torch.nn.Sequential(critic.body)
        named = {f"0{name.removeprefix('body')}": value for name, value in weights.items()}
        scores = lambda x, condition: torch.func.functional_call(bare, named, (x,)).squeeze(1)  # noqa: E731
        return constraint.penalty(scores, real, Batch(values), drawn)

    inputs = (weight.detach().clone().requires_grad_(True), fake.values.clone().requires_grad_(True))
    assert penalty(*inputs) > 0
    assert torch.autograd.gradcheck(penalty, inputs, eps=1e-6, atol=1e-5)


@pytest.mark.parametrize("name", PENALTIES)
def test_a_flat_critic_gives_finite_second_derivatives(name):
    constraint = CONSTRAINTS.build(name)
    flat = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    real, fake = pair(3)
    drawn = constraint.draw((6, 3), rng(3))
    penalty = constraint.penalty(lambda x, c: x @ flat, real, fake, None if drawn is None else drawn.double())
    (gradient,) = torch.autograd.grad(penalty, flat, create_graph=True)
    (second,) = torch.autograd.grad(gradient.square().sum() + penalty, flat)
    assert gradient.isfinite().all()
    assert second.isfinite().all()


def test_projected_clips_copies_of_weights():
    clipping = CONSTRAINTS.build("clipping:bound=0.5")
    weights = [torch.tensor([-2.0, 0.2], requires_grad=True), torch.tensor([0.7])]
    projected = clipping.projected(weights)
    assert [weight.tolist() for weight in projected] == [pytest.approx([-0.5, 0.2]), [0.5]]
    assert weights[0].tolist() == pytest.approx([-2.0, 0.2])
    projected[0].sum().backward()
    assert weights[0].grad.tolist() == [0.0, 1.0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        *((f"{name}:every=0", "every must be at least 1") for name in PENALTIES),
        *((f"{name}:weight=-1", "weight must be at least 0") for name in PENALTIES),
        *((f"{name}:weight=inf", "weight must be at least 0 and finite, not inf") for name in PENALTIES),
        ("dragan:spread=-1", "spread must be at least 0"),
        ("penalty:target=inf", "target must be at least 0 and finite"),
        ("clipping:bound=inf", "bound must be above 0 and finite"),
        ("penalty:pairs=optimal,penalty_at=real", "penalty_at=real uses none"),
        ("penalty:penalty_at=above", "'above' is not one of"),
    ],
)
def test_invalid_parameters_are_refused(text, message):
    with pytest.raises(UsageError, match=message):
        CONSTRAINTS.build(text)
