"""Entropic transport: closed forms, an independent solver, bounds of the exact cost, the debiased divergence."""

import math

import numpy as np
import ot
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from wgan.errors import NumericError, UsageError
from wgan.transport.costs import cost_matrix
from wgan.transport.sinkhorn import sinkhorn, sinkhorn_divergence

few = settings(deadline=None, max_examples=15)
seeds = st.integers(0, 2**32 - 1)
sizes = st.integers(1, 12)
costs = st.sampled_from(["euclidean", "squared", "manhattan"])
shares = st.sampled_from([0.02, 0.1, 1.0])


def clouds(seed, num_x=8, num_y=9, size=2, shift=0.5):
    rng = np.random.default_rng(seed)
    weights = [torch.tensor(rng.dirichlet(np.ones(num))) for num in (num_x, num_y)]
    points = [torch.tensor(rng.normal(size=(num, size))) for num in (num_x, num_y)]
    return points[0], points[1] + shift, *weights


def independent_value(x, y, a, b, epsilon):
    """OT_eps from the plan of another solver."""
    matrix = torch.cdist(x, y).numpy()
    plan = ot.bregman.sinkhorn_log(a.numpy(), b.numpy(), matrix, epsilon, numItermax=100_000, stopThr=1e-13)
    return (plan * matrix).sum() + epsilon * (plan * np.log(plan / np.outer(a, b))).sum()


@pytest.mark.parametrize("epsilon", [0.05, 0.3, 2.0])
def test_two_points_against_themselves_in_closed_form(epsilon):
    found = sinkhorn(None, None, [[0.0, 1.0], [1.0, 0.0]], epsilon=epsilon, tolerance=1e-12)
    stay = 1 / (1 + math.exp(-1 / epsilon))
    information = sum(share * math.log(2 * share) for share in (stay, 1 - stay))
    assert torch.allclose(found.plan, torch.tensor([[stay, 1 - stay], [1 - stay, stay]], dtype=torch.float64) / 2)
    assert float(found.cost) == pytest.approx(1 - stay)
    assert float(found.value) == pytest.approx(1 - stay + epsilon * information)
    assert found.epsilon == epsilon


@pytest.mark.parametrize("epsilon", [0.03, 0.2, 3.0])
def test_plan_cost_and_value_agree_with_another_solver(epsilon):
    x, y, a, b = clouds(1, 20, 30)
    found = sinkhorn(x, y, x_weights=a, y_weights=b, epsilon=epsilon, tolerance=1e-10)
    matrix = torch.cdist(x, y).numpy()
    plan = ot.bregman.sinkhorn_log(a.numpy(), b.numpy(), matrix, epsilon, numItermax=100_000, stopThr=1e-12)
    assert np.abs(found.plan.numpy() - plan).sum() <= 1e-7
    assert float(found.cost) == pytest.approx((plan * matrix).sum(), rel=1e-7)
    assert float(found.value) == pytest.approx(independent_value(x, y, a, b, epsilon), rel=1e-7)


@few
@given(seeds, sizes, sizes, costs, shares)
def test_the_bounds_contain_the_exact_cost_and_the_plan_has_its_marginals(seed, num_x, num_y, cost, share):
    x, y, a, b = clouds(seed, num_x, num_y)
    matrix = cost_matrix(x, y, cost)
    found = sinkhorn(x, y, cost, x_weights=a, y_weights=b, epsilon=share * float(matrix.mean()))
    exact = ot.emd2(a.numpy(), b.numpy(), matrix.numpy())
    slack = 1e-9 * float(matrix.max())
    assert float(found.lower) - slack <= exact <= float(found.upper) + slack
    assert found.gap == pytest.approx(float(found.upper - found.lower))
    assert found.converged
    assert float((found.plan.sum(dim=1) - a).abs().sum()) <= 1e-9
    assert float((found.plan.sum(dim=0) - b).abs().sum()) == pytest.approx(found.marginal_error, abs=1e-12)
    assert found.marginal_error <= 1e-6
    formula = (
        a[:, None] * b * torch.exp((found.source_potential[:, None] + found.target_potential - matrix) / found.epsilon)
    )
    assert torch.allclose(found.plan, formula)


@pytest.mark.parametrize("max_steps", [1, 2, 7])
def test_the_bounds_hold_long_before_convergence(max_steps):
    x, y, a, b = clouds(2, 30, 40)
    found = sinkhorn(x, y, x_weights=a, y_weights=b, epsilon=0.01, max_steps=max_steps, strict=False)
    exact = ot.emd2(a.numpy(), b.numpy(), torch.cdist(x, y).numpy())
    assert not found.converged
    assert found.marginal_error > 1e-3
    assert found.num_steps <= max_steps + 10
    assert float(found.lower) <= exact <= float(found.upper)


def test_a_plan_far_from_its_marginals_is_rounded_to_a_feasible_one():
    # After one step no mass moves, at cost 0; 0.4 of the mass has to move from 0 to 10.
    found = sinkhorn([0.0, 10.0], [0.0, 10.0], y_weights=[0.1, 0.9], epsilon=0.1, max_steps=1, strict=False)
    assert float(found.cost) < 1.0
    assert float(found.lower) <= 4.0 <= float(found.upper)


def test_the_bounds_close_as_epsilon_decreases():
    x, y, a, b = clouds(3, 30, 30)
    gaps = [sinkhorn(x, y, x_weights=a, y_weights=b, epsilon=epsilon).gap for epsilon in (1.0, 0.1, 0.01, 0.001)]
    assert gaps == sorted(gaps, reverse=True)
    assert gaps[-1] <= 0.01 * gaps[0]


def test_the_value_is_above_and_the_debiased_divergence_below_the_distance():
    x, y, _, _ = clouds(0, 200, 200)
    exact = ot.emd2([], [], torch.cdist(x, y).numpy())
    found, debiased = sinkhorn(x, y), sinkhorn_divergence(x, y)
    assert found.epsilon == debiased.epsilon == pytest.approx(0.05 * float(torch.cdist(x, y).mean()))
    assert float(found.cost) > 1.05 * exact
    assert float(found.value) > 1.25 * exact
    assert float(debiased.value) < 0.8 * exact


def test_distant_clusters_converge_in_few_steps():
    # 0.1 % of the mass has to cross where the kernel is exp(-50): Sinkhorn's updates alone would not converge.
    matrix, a, b, epsilon = np.array([[0.0, 1.0], [1.0, 0.0]]), np.array([0.4, 0.6]), np.array([0.401, 0.599]), 0.02
    plain = ot.bregman.sinkhorn_log(a, b, matrix, epsilon, numItermax=2000, warn=False)
    assert np.abs(plain.sum(axis=0) - b).sum() + np.abs(plain.sum(axis=1) - a).sum() > 1e-3
    found = sinkhorn(None, None, matrix, x_weights=a, y_weights=b, epsilon=epsilon, tolerance=1e-9)
    assert found.num_steps < 200
    assert float(found.cost) == pytest.approx(0.001, rel=1e-5)
    stay, cross = found.plan.diagonal().log().sum(), found.plan.flip(0).diagonal().log().sum()
    assert float(stay - cross) == pytest.approx(2 / epsilon)


@pytest.mark.parametrize("offset", [0.0, 2.0**20])
def test_points_of_weight_0_change_nothing_but_have_potentials(offset):
    x, y, a, b = clouds(5)
    without = sinkhorn(x, y, x_weights=a, y_weights=b, epsilon=0.1, tolerance=1e-10)
    more_x, more_y = torch.cat([x, x[:2] + 50]), torch.cat([y[:1] - 50, y])
    zeros = torch.zeros(2, dtype=torch.float64)
    found = sinkhorn(
        more_x + offset,
        more_y + offset,
        x_weights=torch.cat([a, zeros]),
        y_weights=torch.cat([zeros[:1], b]),
        epsilon=0.1,
        tolerance=1e-10,
    )
    assert float(found.value) == pytest.approx(float(without.value), rel=1e-7)
    assert torch.allclose(found.plan[:-2, 1:], without.plan, atol=1e-7)
    assert float(found.plan[-2:].sum() + found.plan[:, 0].sum()) == 0.0
    assert bool(found.source_potential.isfinite().all())
    assert bool(found.target_potential.isfinite().all())


@few
@given(seeds, sizes, sizes, shares)
def test_symmetry_scaling_and_translation(seed, num_x, num_y, epsilon):
    x, y, a, b = clouds(seed, num_x, num_y)
    settings = {"epsilon": epsilon, "tolerance": 1e-9}
    first = sinkhorn_divergence(x, y, x_weights=a, y_weights=b, **settings)
    back = sinkhorn_divergence(y, x, x_weights=b, y_weights=a, **settings)
    moved = sinkhorn_divergence(3 * x + 7, 3 * y + 7, x_weights=a, y_weights=b, epsilon=3 * epsilon, tolerance=1e-9)
    assert float(back.value) == pytest.approx(float(first.value), abs=1e-8)
    assert float(moved.value) == pytest.approx(3 * float(first.value), abs=1e-7)


@few
@given(seeds, sizes, sizes, costs, shares)
def test_the_debiased_divergence_is_0_at_itself_and_never_negative(seed, num_x, num_y, cost, share):
    x, y, a, b = clouds(seed, num_x, num_y, shift=0.0)
    settings = {"epsilon": share, "tolerance": 1e-8}
    assert abs(float(sinkhorn_divergence(x, x, cost, x_weights=a, y_weights=a, **settings).value)) <= 1e-9
    assert float(sinkhorn_divergence(x, y, cost, x_weights=a, y_weights=b, **settings).value) >= -1e-9


def test_the_debiased_divergence_agrees_with_three_terms_of_another_solver():
    x, y, a, b = clouds(6, 10, 12)
    found = sinkhorn_divergence(x, y, x_weights=a, y_weights=b, epsilon=0.3, tolerance=1e-10)
    terms = [independent_value(*term, 0.3) for term in ((x, y, a, b), (x, x, a, a), (y, y, b, b))]
    assert [float(found.between), float(found.within_source), float(found.within_target)] == pytest.approx(terms)
    assert float(found.value) == pytest.approx(terms[0] - (terms[1] + terms[2]) / 2, rel=1e-6)


def test_it_interpolates_between_the_transport_cost_and_half_the_energy_distance():
    x, y, a, b = clouds(7)
    exact = ot.emd2(a.numpy(), b.numpy(), torch.cdist(x, y).numpy())
    energy = 2 * a @ torch.cdist(x, y) @ b - a @ torch.cdist(x, x) @ a - b @ torch.cdist(y, y) @ b
    near, far = (
        float(sinkhorn_divergence(x, y, x_weights=a, y_weights=b, epsilon=epsilon).value) for epsilon in (1e-3, 1e4)
    )
    assert near == pytest.approx(exact, rel=1e-2)
    assert far == pytest.approx(float(energy) / 2, rel=1e-3)


@pytest.mark.parametrize("function", [sinkhorn, sinkhorn_divergence])
@pytest.mark.parametrize("cost", ["euclidean", "squared"])
def test_gradients_agree_with_numeric_ones(function, cost):
    x, y, a, b = clouds(8, 4, 5)

    def value(x, y, source, target):
        a, b = torch.softmax(source, dim=0), torch.softmax(target, dim=0)
        return function(x, y, cost, x_weights=a, y_weights=b, epsilon=0.5, tolerance=1e-12).value

    assert torch.autograd.gradcheck(value, [part.clone().requires_grad_() for part in (x, y, a.log(), b.log())])


def test_the_gradient_with_respect_to_costs_is_the_plan():
    matrix = torch.rand(3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    found = sinkhorn(None, None, matrix)
    (grad,) = torch.autograd.grad(found.value, matrix)
    assert torch.allclose(grad, found.plan)
    assert not found.cost.requires_grad
    assert not found.upper.requires_grad


def test_gradients_at_coincident_points_are_finite_and_0():
    x = clouds(9)[0].requires_grad_()
    (grad,) = torch.autograd.grad(sinkhorn_divergence(x, x.detach().clone(), epsilon=0.2, tolerance=1e-10).value, x)
    assert float(grad.abs().max()) <= 1e-8


def test_sets_that_coincide_in_one_point():
    found = sinkhorn(np.ones((3, 2)), np.ones((4, 2)))
    assert float(found.value) == pytest.approx(0.0, abs=1e-12)
    assert float(found.upper) == float(found.lower) == 0.0
    assert found.epsilon == 1.0


def test_too_few_steps_are_an_error_with_the_bounds():
    x, y, _, _ = clouds(2, 30, 40)
    with pytest.raises(NumericError, match=r"marginal error of .* after \d+ steps.*exact cost is in \[") as caught:
        sinkhorn(x, y, epsilon=0.01, max_steps=5)
    assert "strict=False" in caught.value.remedy
    with pytest.raises(NumericError, match="marginal error"):
        sinkhorn_divergence(x, y, epsilon=0.01, max_steps=5)
    assert not sinkhorn_divergence(x, y, epsilon=0.01, max_steps=5, strict=False).converged


def test_an_epsilon_too_small_for_float64_is_an_error():
    x, y, _, _ = clouds(2)
    with pytest.raises(NumericError, match="marginal error"):
        sinkhorn(x, y, epsilon=1e-320, max_steps=3000)


@pytest.mark.parametrize(
    ("arguments", "settings", "error", "message"),
    [
        (([0.0], [1.0]), {"epsilon": 0.0}, UsageError, "epsilon must be above 0 and finite, not 0.0"),
        (([0.0], [1.0]), {"epsilon": float("nan")}, UsageError, "epsilon must be above 0"),
        (([0.0], [1.0]), {"tolerance": 0.0}, UsageError, "tolerance must be above 0"),
        (([0.0], [1.0]), {"max_steps": 0}, UsageError, "max_steps must be at least 1"),
        (([0.0, float("inf")], [1.0]), {}, NumericError, "1 of the 2 numbers in x"),
        (([[0.0, 1.0]], [1.0]), {}, UsageError, "samples of 2 numbers"),
        (([0.0], [1.0, 2.0]), {"y_weights": [0.5, 0.6]}, UsageError, "y_weights must sum to 1"),
        (([], [1.0]), {}, UsageError, "x must hold at least one sample"),
        ((np.zeros(3_000_000), np.zeros(3_000_000)), {}, UsageError, "entropic transport of 3,000,000 x 3,000,000"),
    ],
)
@pytest.mark.parametrize("function", [sinkhorn, sinkhorn_divergence])
def test_bad_input_is_refused(function, arguments, settings, error, message):
    with pytest.raises(error, match=message):
        function(*arguments, **settings)


def test_the_debiased_divergence_refuses_a_matrix():
    with pytest.raises(UsageError, match="costs within each set"):
        sinkhorn_divergence([0.0], [1.0], [[1.0]])
