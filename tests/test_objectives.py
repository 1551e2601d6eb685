import pytest
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


SCORED = [name for name in OBJECTIVES if name not in ("mmd", "semidual")]


@pytest.mark.parametrize("name", SCORED)
def test_both_players_of_a_game_of_scores_pull_apart(name):
    """The critic raises real scores and lowers fake ones; the generator raises fake ones."""
    objective = OBJECTIVES.build(name)
    scores = -0.5 if name == "energy" else 0.5
    real, fake = (torch.full((4,), scores, requires_grad=True) for _ in range(2))
    of_real, of_fake = torch.autograd.grad(objective.critic_loss(real, fake), (real, fake))
    assert (of_real < 0).all()
    assert (of_fake > 0).all()
    (of_fake,) = torch.autograd.grad(objective.generator_loss(fake, real), fake)
    assert (of_fake < 0).all()
    assert objective.unit
