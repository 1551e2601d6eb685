import importlib

import numpy as np
import ot
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog
from scipy.stats import wasserstein_distance

from wgan.errors import NumericError, UsageError
from wgan.transport.one_dimensional import line_distances, monotone_transport, one_dimensional

SIZES = st.integers(1, 9)
SEEDS = st.integers(0, 2**20)
POWERS = st.sampled_from([1.0, 1.5, 2.0, 3.0])


def line(num, seed=0, shift=0.0, *, coarse=False):
    points = torch.randn(num, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) + shift
    return (points * 2).round() / 2 if coarse else points  # coarse points coincide


def masses(num, seed=0, zeros=0):
    weights = torch.rand(num, generator=torch.Generator().manual_seed(seed + 77), dtype=torch.float64) + 0.05
    weights[: min(zeros, num - 1)] = 0.0
    return weights / weights.sum()


def cost_by_program(x, y, a, b, p):
    """W_p^p as a linear program over all plans, without sorting."""
    cost = np.abs(x.numpy()[:, None] - y.numpy()[None]) ** p
    num_x, num_y = cost.shape
    rows = np.kron(np.eye(num_x), np.ones(num_y))
    columns = np.kron(np.ones(num_x), np.eye(num_y))
    answer = linprog(cost.ravel(), A_eq=np.vstack([rows, columns]), b_eq=np.concatenate([a, b]), method="highs")
    assert answer.success
    return answer.fun


@given(num_x=SIZES, num_y=SIZES, seed=SEEDS, p=POWERS, coarse=st.booleans(), zeros=st.integers(0, 3))
@settings(max_examples=40, deadline=None)
def test_it_is_the_optimum_over_all_plans(num_x, num_y, seed, p, coarse, zeros):
    x, y = line(num_x, seed, coarse=coarse), line(num_y, seed + 1, 0.4, coarse=coarse)
    a, b = masses(num_x, seed, zeros), masses(num_y, seed + 1, zeros)
    truth = cost_by_program(x, y, a.numpy(), b.numpy(), p)
    assert float(one_dimensional(x, y, x_weights=a, y_weights=b, p=p)) ** p == pytest.approx(truth, rel=1e-7, abs=1e-9)
    equal = cost_by_program(x, y, np.full(num_x, 1 / num_x), np.full(num_y, 1 / num_y), p)
    assert float(one_dimensional(x, y, p=p)) ** p == pytest.approx(equal, rel=1e-7, abs=1e-9)


@pytest.mark.parametrize(("num_x", "num_y"), [(1, 1), (1, 7), (500, 500), (500, 333), (400, 800)])
@pytest.mark.parametrize("weighted", [False, True])
def test_it_agrees_with_scipy_and_pot(num_x, num_y, weighted):
    x, y = line(num_x), line(num_y, 1, 0.3) * 1.7
    a, b = (masses(num_x), masses(num_y, 1)) if weighted else (None, None)
    ours = float(one_dimensional(x, y, x_weights=a, y_weights=b))
    assert ours == pytest.approx(wasserstein_distance(x, y, a, b), rel=1e-12)
    assert ours == pytest.approx(float(ot.emd2_1d(x.numpy(), y.numpy(), _np(a), _np(b), metric="euclidean")), rel=1e-9)
    squared = float(one_dimensional(x, y, x_weights=a, y_weights=b, p=2)) ** 2
    assert squared == pytest.approx(float(ot.wasserstein_1d(x.numpy(), y.numpy(), _np(a), _np(b), p=2)), rel=1e-9)


def _np(weights):
    return None if weights is None else weights.numpy()


@given(seed=SEEDS, num=st.integers(1, 30), p=POWERS, shift=st.floats(-50, 50), scale=st.floats(0.01, 100))
@settings(max_examples=30, deadline=None)
def test_symmetry_translation_scaling_and_triangle_inequality(seed, num, p, shift, scale):
    x, y, z = line(num, seed), line(num + 3, seed + 1, 1.0), line(num, seed + 2)
    a, b = masses(num, seed), masses(num + 3, seed)
    distance = float(one_dimensional(x, y, x_weights=a, y_weights=b, p=p))
    assert float(one_dimensional(y, x, x_weights=b, y_weights=a, p=p)) == pytest.approx(distance, rel=1e-12)
    moved = one_dimensional(x * scale + shift, y * scale + shift, x_weights=a, y_weights=b, p=p)
    assert float(moved) == pytest.approx(scale * distance, rel=1e-9, abs=1e-9)
    assert float(one_dimensional(x, x + shift, p=p)) == pytest.approx(abs(shift), rel=1e-9, abs=1e-9)
    assert float(one_dimensional(x, x, x_weights=a, y_weights=a, p=p)) == pytest.approx(0.0, abs=1e-12)
    detour = one_dimensional(x, z, p=p) + one_dimensional(z, y, p=p)
    assert float(one_dimensional(x, y, p=p)) <= float(detour) + 1e-12
    assert float(one_dimensional(x, y)) <= float(one_dimensional(x, y, p=p)) + 1e-12  # W_1 <= W_p


def test_default_weights_agree_with_explicit_equal_weights():
    x, y = line(1000), line(1000, 1) * 2
    equal = torch.full((1000,), 1e-3, dtype=torch.float64)
    for p in (1, 2, 2.5):
        spelt = one_dimensional(x, y, x_weights=equal, y_weights=equal, p=p)
        assert float(spelt) == pytest.approx(float(one_dimensional(x, y, p=p)), rel=1e-12)


def test_lists_arrays_columns_and_float32_are_accepted():
    expected = 2.0
    assert float(one_dimensional([1, 2, 3], [3, 4, 5])) == expected
    assert float(one_dimensional(np.array([[1], [2], [3]]), torch.tensor([[3.0], [4.0], [5.0]]))) == expected
    near = torch.tensor([1e6, 1e6 + 0.25], dtype=torch.float32)
    assert float(one_dimensional(near, near.double() + 1e-4)) == pytest.approx(1e-4, rel=1e-6)


def test_the_input_is_not_modified():
    x, y = line(50), line(50, 1)
    before = x.clone(), y.clone()
    one_dimensional(x, y)
    one_dimensional(x.numpy(), y.numpy(), p=2)
    torch.testing.assert_close((x, y), before, rtol=0, atol=0)


def test_no_power_overflows_or_underflows():
    huge = torch.tensor([1e200, 5e200], dtype=torch.float64)
    assert float(one_dimensional(huge, huge - 2e200, p=4)) == pytest.approx(2e200)
    tiny = torch.tensor([0.0, 1e-200], dtype=torch.float64)
    assert float(one_dimensional(tiny, tiny + 1e-200, p=2)) == pytest.approx(1e-200)
    weights = [0.5, 0.5]
    weighted = one_dimensional(tiny, tiny + 1e-200, x_weights=weights, y_weights=weights, p=2)
    assert float(weighted) == pytest.approx(1e-200)
    with pytest.raises(NumericError, match="distance is too large for float64"):
        one_dimensional([-1.5e308], [1.5e308])
    with pytest.raises(NumericError, match="cost is too large for float64"):
        monotone_transport([0.0], [1e200], p=2)


# Gradients


@pytest.mark.parametrize("p", [1.0, 1.5, 2.0])
@pytest.mark.parametrize(("num_x", "num_y"), [(6, 6), (5, 8)])
def test_gradients_with_respect_to_points(p, num_x, num_y):
    x, y = line(num_x).requires_grad_(), line(num_y, 1, 0.3).requires_grad_()
    assert torch.autograd.gradcheck(lambda x, y: one_dimensional(x, y, p=p), (x, y))
    a, b = masses(num_x), masses(num_y, 1)
    assert torch.autograd.gradcheck(lambda x, y: one_dimensional(x, y, x_weights=a, y_weights=b, p=p), (x, y))


def test_it_is_differentiable_twice():
    x, y = line(6).requires_grad_(), line(6, 1).requires_grad_()
    assert torch.autograd.gradgradcheck(lambda x, y: one_dimensional(x, y, p=2), (x, y))


@pytest.mark.parametrize("p", [1.0, 2.0])
@pytest.mark.parametrize("function", [one_dimensional, lambda *args, **named: monotone_transport(*args, **named).cost])
def test_gradients_with_respect_to_weights(p, function):
    """Gradients along the simplex, with weights as a softmax."""
    x, y = line(6), line(9, 1, 0.3)
    logits = torch.randn(2, 9, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    first, second = logits[0, :6].clone().requires_grad_(), logits[1].clone().requires_grad_()

    def value(first, second):
        return function(x, y, x_weights=first.softmax(0), y_weights=second.softmax(0), p=p)

    assert torch.autograd.gradcheck(value, (first, second))


def test_the_gradient_with_respect_to_weights_is_the_potential_up_to_a_constant():
    x, y = line(7), line(11, 1, 0.3)
    a, b = masses(7).requires_grad_(), masses(11, 1).requires_grad_()
    solved = monotone_transport(x, y, x_weights=a, y_weights=b, p=2)
    by_a, by_b = torch.autograd.grad(solved.cost, (a, b))
    for gradient, potential in ((by_a, solved.source_potential), (by_b, solved.target_potential)):
        difference = gradient - potential
        torch.testing.assert_close(difference, difference[0].expand_as(difference))


def test_the_gradient_is_the_potential_also_for_points_of_weight_0():
    """Hundreds of their levels coincide, and merging must keep their order."""
    x, y = line(400), line(300, 1, 0.3)
    a, b = masses(400, 0, zeros=200).requires_grad_(), masses(300, 1, zeros=150).requires_grad_()
    solved = monotone_transport(x, y, x_weights=a, y_weights=b)
    by_a, by_b = torch.autograd.grad(solved.cost, (a, b))
    for gradient, potential in ((by_a, solved.source_potential), (by_b, solved.target_potential)):
        difference = gradient - potential
        torch.testing.assert_close(difference, difference[0].expand_as(difference))


def test_all_masses_are_nonnegative():
    """Rounded weights may sum to more than 1 before the last point, which has weight 0 and is far away."""
    for seed in range(20):
        x = torch.cat([line(50, seed), torch.tensor([1e3], dtype=torch.float64)])
        y = torch.cat([x[:-1], torch.tensor([1e12], dtype=torch.float64)])
        weights = torch.cat([masses(50, seed), torch.zeros(1, dtype=torch.float64)])
        assert float(one_dimensional(x, y, x_weights=weights, y_weights=weights)) >= 0.0


@pytest.mark.parametrize("p", [1.0, 1.5, 2.0])
@pytest.mark.parametrize("weighted", [False, True])
def test_gradients_are_finite_where_points_coincide(p, weighted):
    x = torch.tensor([0.0, 0.0, 1.0, 1.0], dtype=torch.float64)
    for y in (x, torch.tensor([0.0, 1.0, 1.0, 2.0], dtype=torch.float64)):
        leaves = [x.clone().requires_grad_(), y.clone().requires_grad_()]
        weights = [torch.full((4,), 0.25, dtype=torch.float64).requires_grad_() for _ in range(2)] if weighted else []
        named = dict(zip(("x_weights", "y_weights"), weights, strict=False))
        one_dimensional(*leaves, **named, p=p).backward()
        assert all(bool(leaf.grad.isfinite().all()) for leaf in leaves + weights)
        solved = monotone_transport(*leaves, **named, p=p)
        for value in (solved.cost, solved.distance):
            assert all(bool(g.isfinite().all()) for g in torch.autograd.grad(value, leaves, retain_graph=True))


def test_at_a_kink_the_gradient_is_a_subgradient():
    """At equal weights the value has a kink, and the linearisation there is a lower bound."""
    x, y = line(5), line(5, 1, 0.3)
    equal = torch.full((5,), 0.2, dtype=torch.float64)
    a = equal.clone().requires_grad_()
    value = one_dimensional(x, y, x_weights=a, y_weights=equal)
    (slope,) = torch.autograd.grad(value, a)
    for seed in range(20):
        other = masses(5, seed)
        below = value.detach() + slope @ (other - equal)
        assert float(one_dimensional(x, y, x_weights=other, y_weights=equal)) >= float(below) - 1e-12


# The plan and its certificate


@given(num_x=SIZES, num_y=SIZES, seed=SEEDS, p=POWERS, coarse=st.booleans(), zeros=st.integers(0, 3))
@settings(max_examples=40, deadline=None)
def test_the_plan_and_the_potentials_certify_each_other(num_x, num_y, seed, p, coarse, zeros):
    x, y = line(num_x, seed, coarse=coarse), line(num_y, seed + 1, 0.4, coarse=coarse)
    a, b = masses(num_x, seed, zeros), masses(num_y, seed + 1, zeros)
    solved = monotone_transport(x, y, x_weights=a, y_weights=b, p=p)
    plan = solved.plan.dense()
    cost = (x[:, None] - y).abs() ** p
    torch.testing.assert_close(plan.sum(dim=1), a)
    torch.testing.assert_close(plan.sum(dim=0), b)
    assert len(solved.plan.masses) <= num_x + num_y - 1
    assert bool((solved.plan.masses > 0).all())
    assert float((plan * cost).sum()) == pytest.approx(float(solved.cost), abs=1e-12)
    feasible = cost - solved.source_potential[:, None] - solved.target_potential
    assert float(feasible.min()) > -1e-12
    assert abs(solved.gap) < 1e-12
    assert solved.optimal
    assert float(solved.distance) == pytest.approx(float(one_dimensional(x, y, x_weights=a, y_weights=b, p=p)))


def test_equal_weights_give_a_plan_without_rounding_masses():
    """1/3 and 2/6 must be the same level: sums of sixths would leave moves of 1e-17 between them."""
    solved = monotone_transport(line(30), line(60, 1))
    assert len(solved.plan.masses) == 60
    assert float(solved.plan.masses.min()) == pytest.approx(1 / 60, rel=1e-12)
    assert solved.plan.shape == (30, 60)


def test_a_large_problem_is_certified():
    solved = monotone_transport(line(20_000), line(30_000, 1, 5.0), p=2)
    assert solved.optimal
    assert solved.solver == "monotone"


def test_a_batch_of_lines_agrees_with_single_lines():
    x, y = line(60).reshape(4, 15), line(80, 1, 0.3).reshape(4, 20)
    a, b = masses(15), masses(20, 1)
    for first, second in ((None, None), (a, None), (None, b), (a, b)):
        for p in (1, 2):
            batched = line_distances(x, y, first, second, p)
            single = [one_dimensional(*pair, x_weights=first, y_weights=second, p=p) for pair in zip(x, y, strict=True)]
            torch.testing.assert_close(batched, torch.stack(single))


@pytest.mark.parametrize(
    ("x", "y", "options", "error", "message"),
    [
        ([], [1.0], {}, UsageError, "x must hold at least one sample"),
        ([[1.0, 2.0]], [[1.0, 2.0]], {}, UsageError, "points on the line, but these have 2 coordinates"),
        ([[1.0, 2.0]], [1.0], {}, UsageError, "samples of 2 numbers"),
        ([1.0, np.nan], [1.0], {}, NumericError, "1 of the 2 numbers in x are NaN or infinite"),
        ([1.0], [1.0], {"p": 0.5}, UsageError, "p must be a number of at least 1, not 0.5"),
        ([1.0], [1.0], {"p": float("inf")}, UsageError, "p must be a number of at least 1, not inf"),
        ([1.0], [1.0], {"p": float("nan")}, UsageError, "p must be a number of at least 1, not nan"),
        ([1.0, 2.0], [1.0], {"x_weights": [0.5, 0.6]}, UsageError, "x_weights must sum to 1"),
        ([1.0], [1.0, 2.0], {"y_weights": [1.5, -0.5]}, UsageError, "y_weights must be at least 0, but weight 1"),
        ([1.0], [1.0, 2.0], {"y_weights": [1.0]}, UsageError, r"y_weights must have shape \(2,\)"),
    ],
)
def test_invalid_input_is_refused(x, y, options, error, message):
    for function in (one_dimensional, monotone_transport):
        with pytest.raises(error, match=message):
            function(x, y, **options)


def test_points_much_closer_than_the_range_are_certified():
    """Each move costs a millionth of the size of the potentials."""
    rng = np.random.default_rng(0)
    x, weights, order = np.linspace(0.0, 1.0, 10**6), rng.random(10**6), rng.permutation(10**6)
    weights /= weights.sum()
    for p in (1.0, 3.0):
        solved = monotone_transport(x, x[order], x_weights=weights, y_weights=weights[order], p=p)
        assert solved.optimal
        assert float(solved.cost) < 1e-15


def test_a_gap_left_by_rounding_is_an_error(monkeypatch):
    module = importlib.import_module("wgan.transport.one_dimensional")
    right = module._potentials
    monkeypatch.setattr(module, "_potentials", lambda *given: tuple(side - 1e-6 for side in right(*given)))
    assert monotone_transport([0.0, 1.0], [2.0, 4.0]).gap <= 1e-10 * 2.5  # found again from all pairs
    monkeypatch.setattr(module, "_MOST_PAIRS", 3)
    with pytest.raises(NumericError, match="rounding left a duality gap of"):
        monotone_transport([0.0, 1.0], [2.0, 4.0])
