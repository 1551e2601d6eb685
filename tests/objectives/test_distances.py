import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from wgan.batch import Layout
from wgan.constraints import GradientPenalty, Unconstrained
from wgan.errors import UsageError
from wgan.kernels import KERNELS, mmd
from wgan.networks import MLP, Identity
from wgan.objectives import MMD, SemiDual, Wasserstein
from wgan.transport import exact, sinkhorn


def points(num: int, seed: int, shift: float = 0.0) -> torch.Tensor:
    return torch.randn(num, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) + shift


def beside(potential: torch.Tensor, samples: torch.Tensor) -> torch.Tensor:
    return torch.cat([potential[:, None], samples], dim=1)


def test_wasserstein_losses_and_estimate_by_hand():
    real, fake = torch.tensor([1.0, 3.0]), torch.tensor([0.5, -0.5, 0.3])
    objective = Wasserstein()
    assert objective.critic_loss(real, fake).item() == torch.tensor(0.1 - 2.0).item()
    assert torch.isclose(objective.generator_loss(fake), torch.tensor(-0.1))
    assert torch.isclose(objective.estimate(real, fake), torch.tensor(1.9))


def test_estimate_of_the_best_critic_is_the_distance_between_shifted_samples():
    # For Q = P shifted by s along the line, f(x) = -sign(s) x is an optimal 1-Lipschitz critic and W1 = |s|.
    x = torch.randn(1000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for shift in (-0.7, 0.2, 3.0):
        critic = -x.new_tensor(shift).sign()
        estimate = Wasserstein().estimate(critic * x, critic * (x + shift))
        assert torch.isclose(estimate, x.new_tensor(abs(shift)))


def test_the_best_potential_of_the_dual_proves_the_earth_movers_distance():
    """A Kantorovich potential of exact transport, taken as the critic: W1 to rounding."""
    real, fake = points(40, 0), points(40, 1, 0.5)
    solved = exact(real, fake)
    assert Wasserstein().estimate(solved.source_potential, -solved.target_potential).item() == pytest.approx(
        solved.cost.item(), rel=1e-9
    )


@pytest.mark.parametrize("cost", ["euclidean", "squared"])
def test_the_best_potential_of_the_semi_dual_attains_the_transport_cost_and_none_exceeds_it(cost):
    real, fake = points(30, 0), points(50, 1, 0.5)
    solved = exact(fake, real, cost=cost)
    objective = SemiDual(cost=cost)
    best = objective.estimate(beside(solved.target_potential, real), beside(torch.zeros(50), fake))
    assert best.item() == pytest.approx(solved.cost.item(), rel=1e-9)
    for seed in range(10):
        other = solved.target_potential + 0.2 * torch.randn(30, generator=torch.Generator().manual_seed(seed))
        assert objective.estimate(beside(other, real), beside(torch.zeros(50), fake)) < best


def test_the_curve_of_the_semi_dual_is_labelled_by_its_estimate():
    """With entropy the bound is for a larger cost, and can exceed the cost without entropy."""
    plain, soft, squared = SemiDual(), SemiDual(epsilon=0.5), SemiDual(cost="squared")
    assert plain.unit == "earth mover's distance"
    assert soft.unit == "earth mover's distance with entropy 0.5"
    assert squared.unit == "squared Wasserstein-2 distance"
    assert plain.scale.endswith("in units of the scaled data")
    assert squared.scale.endswith("in squared units of the scaled data")
    real, fake = points(30, 0), points(30, 1, 0.5)
    solved = sinkhorn(fake, real, epsilon=0.5)
    seen = beside(solved.target_potential, real), beside(torch.zeros(30), fake)
    assert soft.estimate(*seen) > exact(real, fake).cost


def test_costs_are_right_far_from_the_origin():
    """A thousand standard deviations from 0, products of coordinates would lose half of the digits."""
    real, fake = points(20, 0), points(20, 1, 0.5)
    potential = points(20, 2)[:, 0]
    here = SemiDual().estimate(beside(potential, real), beside(torch.zeros(20), fake))
    there = SemiDual().estimate(beside(potential, real + 1e6), beside(torch.zeros(20), fake + 1e6))
    assert there.item() == pytest.approx(here.item(), rel=1e-8)


def test_the_best_potential_with_entropy_attains_the_cost_with_entropy():
    real, fake, epsilon = points(30, 0), points(20, 1, 0.5), 0.2
    solved = sinkhorn(fake, real, epsilon=epsilon, tolerance=1e-10)
    objective = SemiDual(epsilon=epsilon)
    estimate = objective.estimate(beside(solved.target_potential, real), beside(torch.zeros(20), fake))
    value = solved.source_potential.mean() + solved.target_potential.mean()
    assert estimate.item() == pytest.approx(value.item(), rel=1e-7)


def test_samples_of_the_semi_dual_move_to_the_real_ones_that_answer_for_them():
    real, fake = points(5, 0), points(4, 1).requires_grad_(True)
    potential = points(5, 2)[:, 0]
    (gradient,) = torch.autograd.grad(
        SemiDual(cost="squared").generator_loss(beside(torch.zeros(4), fake), beside(potential, real)), fake
    )
    nearest = (torch.cdist(fake, real).square() - potential).argmin(dim=1)
    torch.testing.assert_close(gradient, 2 * (fake - real[nearest]).detach() / 4)


def test_the_semi_dual_appends_samples_to_potentials():
    critic = MLP(width=8).critic(Layout(shape=(1, 2, 2)))
    values = torch.randn(3, 1, 2, 2)
    attached = SemiDual().attach(critic)
    outputs = attached(values, torch.tensor([[1.0], [2.0], [3.0]]))
    torch.testing.assert_close(outputs[:, 0], critic(values))
    torch.testing.assert_close(outputs[:, 1:5], values.flatten(1))
    assert outputs[:, 5].tolist() == [1, 2, 3]
    torch.testing.assert_close(SemiDual().witness(outputs, outputs, outputs), critic(values))
    assert {id(weight) for weight in attached.parameters()} == {id(weight) for weight in critic.parameters()}


def test_a_squared_cost_refuses_what_bounds_slopes_and_a_distance_does_not():
    critic = MLP(width=8).critic(Layout(shape=(2,)))
    with pytest.raises(UsageError, match="as steep as samples have to travel") as caught:
        SemiDual(cost="squared").check(critic, GradientPenalty())
    assert "--constraint none" in caught.value.remedy
    SemiDual(cost="squared").check(critic, Unconstrained())
    SemiDual().check(critic, GradientPenalty())


@pytest.mark.parametrize("kernel", [*KERNELS, "gaussian:bandwidth=0.7"])
def test_the_discrepancy_is_that_of_the_kernels_room(kernel):
    x, y = points(20, 0), points(30, 1, 0.5)
    objective, truth = MMD(kernel=kernel), mmd(x, y, kernel=KERNELS.build(kernel)).squared
    assert objective.estimate(x, y).item() == pytest.approx(truth.item(), rel=1e-12)
    assert objective.critic_loss(x, y).item() == pytest.approx(-truth.item(), rel=1e-12)
    assert objective.generator_loss(y, x).item() == pytest.approx(truth.item(), rel=1e-12)


@settings(deadline=None, max_examples=10)
@given(seed=st.integers(0, 1000))
def test_the_means_of_the_witness_are_the_discrepancy(seed):
    """E over real minus E over fake of k(., real) - k(., fake) is the biased MMD² of the two samples."""
    x, y = points(10, seed), points(12, seed + 1, 0.5)
    witness = lambda z: MMD().witness(z, x, y)  # noqa: E731
    truth = mmd(x, y, kernel=KERNELS.build("gaussian-mixture"), estimator="biased").squared
    assert (witness(x).mean() - witness(y).mean()).item() == pytest.approx(truth.item(), rel=1e-9)


def test_without_a_critic_moments_are_matched_in_the_samples_own_space():
    layout = Layout(shape=(1, 2, 2))
    critic, values = Identity().critic(layout), torch.randn(5, 1, 2, 2)
    MMD().check(critic, Unconstrained())
    assert torch.equal(critic(values), values.flatten(1))
    assert torch.equal(critic(values, torch.ones(5, 1))[:, 4], torch.ones(5))
    with pytest.raises(UsageError, match="has nothing that a constraint could hold"):
        MMD().check(critic, GradientPenalty())
    with pytest.raises(UsageError, match="a Wasserstein GAN needs a critic that learns to score samples"):
        Wasserstein().check(critic, Unconstrained())


def test_a_discrepancy_needs_two_samples():
    with pytest.raises(UsageError, match="needs two samples on both sides"):
        MMD().estimate(points(1, 0), points(4, 1))
