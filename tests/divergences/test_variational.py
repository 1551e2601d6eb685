"""Bounds from a critic: below the value for every critic, and equal to it for the optimal one."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from kinds import KINDS
from torch import nn

from wgan.divergences import as_divergence, critic_bound, divergence, gaussian_divergence, variational_bound
from wgan.errors import NumericError, UsageError


def pair(size=5, seed=0):
    return np.random.default_rng(seed).dirichlet(np.ones(size), 2)


def exact_bound(scores, p, q, kind):
    return variational_bound(scores, scores, kind, real_weights=p, fake_weights=q).item()


@pytest.mark.parametrize("kind", KINDS)
@given(scores=st.lists(st.floats(-30, 30), min_size=5, max_size=5), seed=st.integers(0, 99))
@settings(max_examples=20, deadline=None)
def test_with_exact_expectations_no_bound_exceeds_the_value(kind, scores, seed):
    p, q = pair(seed=seed)
    p[0] = 0.0 if seed % 3 == 0 else p[0]
    p /= p.sum()
    value = divergence(p, q, kind).item()
    assert exact_bound(scores, p, q, kind) <= value + 1e-12 * (1 + abs(value))


@pytest.mark.parametrize("kind", KINDS)
def test_the_optimal_critic_attains_the_value(kind):
    p, q = pair()
    row, best = as_divergence(kind), np.log(p / q)
    best = best if row.curvature is not None else 50 * np.sign(best)
    assert exact_bound(best, p, q, kind) == pytest.approx(divergence(p, q, kind).item(), rel=1e-12, abs=1e-13)
    if row.curvature is not None:
        assert exact_bound(best + 0.1 * np.arange(5), p, q, kind) < divergence(p, q, kind).item() - 1e-7


def test_the_bound_of_total_variation_holds_for_large_scores():
    """The conjugate that is t everywhere would give 1.05 here."""
    p, q = np.array([0.5, 0.5]), np.array([0.2, 0.8])
    assert exact_bound([100.0, -100.0], p, q, "total_variation") == pytest.approx(0.3)
    assert divergence(p, q, "total_variation").item() == pytest.approx(0.3)


def test_the_bound_from_samples_by_hand():
    real, fake = [0.5, -1.0], [0.0, 2.0, -3.0]
    expected = np.mean([1.5, 0.0]) - np.mean(np.exp(fake))
    assert variational_bound(real, fake, "kl").item() == pytest.approx(expected)
    column = torch.tensor(fake)[:, None]
    assert variational_bound(real, column, "kl").item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("kind", "loss"),
    [("squared_hellinger", math.expm1(50)), ("gan", 100), ("neyman", 2), ("jensen_shannon", 100 - math.log(2))],
)
def test_confident_wrong_critics_have_finite_bounds(kind, loss):
    """There the link has rounded to the bound of the domain, where the conjugate itself is infinite."""
    row = as_divergence(kind)
    value = variational_bound([0.0], [100.0], kind)
    assert value.item() == pytest.approx(row.threshold - loss, rel=1e-12)


def test_points_of_weight_0_are_ignored_even_if_their_conjugate_is_infinite():
    value = variational_bound([0.0, 0.0], [0.0, 1e6], "kl", fake_weights=[1.0, 0.0])
    assert value.item() == pytest.approx(0.0)
    assert variational_bound([0.0], [1e6], "kl").item() == -math.inf


@pytest.mark.parametrize("kind", ["kl", "jeffrey", "squared_hellinger"])
def test_the_true_ratio_estimates_the_value_without_bias(kind):
    """Between N(1, 1) and N(0, 1) the logarithm of the ratio is x − 1/2: the mean bound is the value."""
    rng = torch.Generator().manual_seed(0)
    x = torch.randn(200_000, 1, generator=rng, dtype=torch.float64) + 1.0
    y = torch.randn(200_000, 1, generator=rng, dtype=torch.float64)
    value = gaussian_divergence(1.0, 1.0, 0.0, 1.0, kind).item()
    assert critic_bound(lambda z: z - 0.5, x, y, kind).item() == pytest.approx(value, abs=0.02)
    assert critic_bound(lambda z: 0.5 * z[:, 0], x, y, kind).item() < value - 0.02


def test_a_network_is_trained_towards_the_value():
    rng = torch.Generator().manual_seed(0)
    x, y = torch.randn(2000, 1, generator=rng) + 1.0, torch.randn(2000, 1, generator=rng)
    critic = nn.Linear(1, 1)
    nn.init.zeros_(critic.weight)
    nn.init.zeros_(critic.bias)
    descent = torch.optim.LBFGS(critic.parameters(), max_iter=50)

    def closure():
        descent.zero_grad()
        loss = -critic_bound(critic, x, y, "kl")
        loss.backward()
        return loss

    descent.step(closure)
    assert critic.weight.item() == pytest.approx(1.0, abs=0.1)
    assert critic.bias.item() == pytest.approx(-0.5, abs=0.1)
    assert critic_bound(critic, x, y, "kl").item() == pytest.approx(0.5, abs=0.1)
    assert critic_bound(critic, x, y, "kl").dtype == torch.float64


@pytest.mark.parametrize(
    ("real", "fake", "error", "message"),
    [
        ([[0.0, 1.0]], [0.0], UsageError, r"real_scores must have shape \(N,\), .* not \(1, 2\)"),
        ([], [0.0], UsageError, "real_scores must have shape"),
        ([0.0], 1.0, UsageError, r"fake_scores must have shape"),
        ([0.0], [math.nan], NumericError, "fake_scores are NaN"),
    ],
)
def test_invalid_scores_are_refused(real, fake, error, message):
    with pytest.raises(error, match=message):
        variational_bound(real, fake, "kl")


def test_invalid_weights_and_critics_are_refused():
    with pytest.raises(UsageError, match="fake_weights must sum to 1"):
        variational_bound([0.0], [0.0, 1.0], "kl", fake_weights=[0.5, 0.6])
    with pytest.raises(UsageError, match=r"one score for each sample of x, which has shape \(3, 2\), not \(3, 2\)"):
        critic_bound(lambda x: x, np.zeros((3, 2)), np.zeros((3, 2)), "kl")
    with pytest.raises(UsageError, match=r"one score for each sample of x.*not float"):
        critic_bound(lambda x: 0.0, [0.0], [0.0], "kl")
    with pytest.raises(NumericError, match="1 of the 2 numbers in y"):
        critic_bound(lambda x: x, [0.0, 0.0], [0.0, math.inf], "kl")
