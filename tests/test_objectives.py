import torch

from wgan.objectives import OBJECTIVES, Wasserstein


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


def test_every_objective_has_its_critic_and_generator_pull_apart():
    """The critic raises real scores and lowers fake ones; the generator raises fake ones."""
    for name in OBJECTIVES:
        objective = OBJECTIVES.build(name)
        real, fake = torch.zeros(4, requires_grad=True), torch.zeros(4, requires_grad=True)
        of_real, of_fake = torch.autograd.grad(objective.critic_loss(real, fake), (real, fake))
        assert (of_real < 0).all()
        assert (of_fake > 0).all()
        (of_fake,) = torch.autograd.grad(objective.generator_loss(fake, real), fake)
        assert (of_fake < 0).all()
        assert objective.unit
