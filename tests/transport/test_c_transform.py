"""Certified lower bounds of a transport cost: never above the cost, and equal to it for an optimal potential."""

import numpy as np
import ot
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from wgan.errors import NumericError, UsageError
from wgan.transport import c_transform, costs
from wgan.transport.c_transform import certified_dual
from wgan.transport.costs import cost_matrix


def points(num, dim, seed, shift=0.0):
    return torch.randn(num, dim, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) + shift


def weights(num, seed):
    drawn = torch.rand(num, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) + 0.05
    return drawn / drawn.sum()


def solved(costs, a=None, b=None):
    """The exact cost and its potentials, by POT."""
    a, b = ([] if side is None else side.numpy() for side in (a, b))
    value, log = ot.emd2(a, b, costs.numpy(), numItermax=10**7, log=True)
    assert log["warning"] is None
    return float(value), torch.from_numpy(np.asarray(log["u"])), torch.from_numpy(np.asarray(log["v"]))


def by_hand(costs, f, g, a, b, scale, side):
    """Both c-transforms and the value, by their definition."""
    if side == "source":
        v = (costs - scale * f[:, None]).amin(dim=0)
        u = (costs - v).amin(dim=1)
    else:
        u = (costs + scale * g).amin(dim=1)
        v = (costs - u[:, None]).amin(dim=0)
    return u, v, float(u @ a + v @ b)


def assert_feasible(dual, costs):
    slack = costs - dual.source_potential[:, None] - dual.target_potential
    assert float(slack.min()) >= -1e-12 * float(costs.max())


METRICS = [("euclidean", 1.0), ("euclidean", 2.0), ("euclidean", 1.5), ("squared", 1.0), ("manhattan", 1.0)]


@given(
    seed=st.integers(0, 10**6),
    sizes=st.tuples(st.integers(1, 30), st.integers(1, 30)),
    dim=st.integers(1, 20),
    metric=st.sampled_from(METRICS),
    weighted=st.booleans(),
    slope=st.floats(1e-6, 1e6),
)
@settings(deadline=None, max_examples=60)
def test_no_bound_exceeds_the_cost(seed, sizes, dim, metric, weighted, slope):
    x, y = points(sizes[0], dim, seed), points(sizes[1], dim, seed + 1, shift=0.5)
    a, b = (weights(sizes[0], seed), weights(sizes[1], seed)) if weighted else (None, None)
    f, g = slope * points(sizes[0], 1, seed + 2)[:, 0] + 3.0, slope * points(sizes[1], 1, seed + 3)[:, 0]
    cost, p = metric
    dual = certified_dual(f, g, x, y, x_weights=a, y_weights=b, cost=cost, p=p)
    costs = cost_matrix(x, y, cost, p)
    assert_feasible(dual, costs)
    exact = solved(costs, a, b)[0]
    assert float(dual.value) <= exact * (1 + 1e-9) + 1e-12
    assert 0.0 <= float(dual.without_critic) <= float(dual.value)
    assert float(dual.distance) == pytest.approx(float(dual.value) ** (1 / p))
    a = torch.full((sizes[0],), 1 / sizes[0], dtype=torch.float64) if a is None else a
    b = torch.full((sizes[1],), 1 / sizes[1], dtype=torch.float64) if b is None else b
    u, v, value = by_hand(costs, f, g, a, b, dual.scale, dual.side)
    assert float(dual.value) == pytest.approx(value, rel=1e-9)
    assert float(dual.value) == pytest.approx(float(dual.source_potential @ a + dual.target_potential @ b), rel=1e-12)
    assert torch.allclose(dual.source_potential - u, (dual.source_potential - u).mean(), atol=1e-9 * (1 + slope))
    assert torch.allclose(dual.target_potential - v, (dual.target_potential - v).mean(), atol=1e-9 * (1 + slope))


@pytest.mark.parametrize("factor", [1e-5, 1.0, 3e4])
@pytest.mark.parametrize(("cost", "p"), METRICS)
def test_an_optimal_potential_in_any_unit_gives_the_cost(cost, p, factor):
    x, y = points(40, 2, 0), points(50, 2, 1, shift=1.0)
    a, b = weights(40, 2), weights(50, 3)
    costs = cost_matrix(x, y, cost, p)
    exact, u, v = solved(costs, a, b)
    best = certified_dual(factor * u, -factor * v, x, y, x_weights=a, y_weights=b, cost=cost, p=p, scales=[1 / factor])
    assert float(best.value) == pytest.approx(exact, rel=1e-9)
    # The search does not know the unit. It finds the scale up to 10 %, where the bound is nearly flat.
    found = certified_dual(factor * u, -factor * v, x, y, x_weights=a, y_weights=b, cost=cost, p=p)
    assert float(found.value) > 0.98 * exact
    assert found.scale * factor == pytest.approx(
        certified_dual(u, -v, x, y, x_weights=a, y_weights=b, cost=cost, p=p).scale
    )


def test_each_side_can_give_the_better_bound():
    x, y = points(60, 2, 0), points(70, 2, 1, shift=0.7)
    _, u, v = solved(cost_matrix(x, y))
    noise = points(70, 1, 2)[:, 0]
    assert certified_dual(u, -noise, x, y).side == "source"
    assert certified_dual(noise[:60], -v, x, y).side == "target"


def test_constant_scores_give_the_nearest_neighbour_bound():
    x, y = points(30, 2, 0), points(20, 2, 1, shift=2.0)
    costs = cost_matrix(x, y)
    dual = certified_dual(torch.full((30,), 5.0), torch.full((20,), 5.0), x, y)
    v = costs.amin(dim=0)
    from_source = float(v.mean() + (costs - v).amin(dim=1).mean())
    u = costs.amin(dim=1)
    from_target = float(u.mean() + (costs - u[:, None]).amin(dim=0).mean())
    assert float(dual.value) == pytest.approx(max(from_source, from_target), rel=1e-12)
    assert float(dual.without_critic) == float(dual.value)
    assert dual.scale == 0.0


def test_the_search_finds_nearly_the_best_scale():
    x, y = points(300, 2, 0), points(300, 2, 1, shift=0.3)
    f, g = (0.2 * torch.sin(2 * side[:, 0]) - side.sum(dim=1) for side in (x, y))
    costs, equal = cost_matrix(x, y), torch.full((300,), 1 / 300, dtype=torch.float64)
    scales = torch.logspace(-4, 2, 400, dtype=torch.float64).tolist()
    best = max(by_hand(costs, f, g, equal, equal, s, side)[2] for s in scales for side in ("source", "target"))
    dual = certified_dual(f, g, x, y)
    assert float(dual.value) > 0.99 * best
    assert float(dual.value) > float(dual.without_critic) * 1.2


def test_a_given_scale_yields_the_classical_bound():
    x, y = points(50, 3, 0), points(60, 3, 1, shift=0.4)
    f, g = -x[:, 0].sin(), -y[:, 0].sin()
    slope = float(((f[:, None] - g).abs() / cost_matrix(x, y)).max())
    dual = certified_dual(f, g, x, y, scales=[1 / slope])
    assert float(dual.value) >= float(f.mean() - g.mean()) / slope > 0


@pytest.mark.parametrize("metric", METRICS)
def test_blocks_and_tiles_change_nothing(metric, monkeypatch):
    x, y = points(37, 3, 0), points(23, 3, 1, shift=2.0)
    f, g = -x.sum(dim=1), -y.sum(dim=1)
    whole = certified_dual(f, g, x, y, cost=metric[0], p=metric[1])
    assert whole.scale > 0
    monkeypatch.setattr(costs, "_TILE", 50)
    for held in (1, 24, 100, 37 * 23):
        dual = certified_dual(f, g, x, y, cost=metric[0], p=metric[1], held=held)
        assert dual.scale == whole.scale
        assert torch.allclose(dual.source_potential, whole.source_potential, rtol=0, atol=1e-13)
        assert torch.allclose(dual.target_potential, whole.target_potential, rtol=0, atol=1e-13)


def test_a_cost_function_gets_no_more_rows_than_fit_in_memory():
    sizes = []

    def distance(x, y):
        sizes.append(len(x) * len(y))
        return torch.cdist(x, y)

    x, y = points(200, 2, 0), points(100, 2, 1)
    certified_dual(x[:, 0], y[:, 0], x, y, cost=distance, held=1000, searched=20)
    assert max(sizes) == 1000
    assert sum(sizes) == 2 * 200 * 100 + 20 * 20


def test_a_few_points_suffice_to_find_the_scale():
    x, y = points(800, 2, 0), points(700, 2, 1, shift=1.0)
    f, g = -x.sum(dim=1), -y.sum(dim=1)
    whole, few = (certified_dual(f, g, x, y, searched=searched) for searched in (800, 100))
    assert float(few.value) == pytest.approx(float(whole.value), rel=0.02)
    assert_feasible(few, cost_matrix(x, y))


def test_a_search_on_a_subset_follows_the_weights():
    # All mass is on the last tenth of x, whose scores have a different unit from the rest.
    x, y = points(1000, 2, 0), points(900, 2, 1, shift=1.0)
    a = torch.zeros(1000, dtype=torch.float64)
    a[900:] = 1 / 100
    f = torch.where(a > 0, -x.sum(dim=1), -1e6 * x.sum(dim=1))
    some, _ = c_transform._subset(a, 50)
    assert int(some.min()) >= 900
    assert len(some.unique()) > 40
    heavy = certified_dual(f, -y.sum(dim=1), x, y, x_weights=a, searched=50)
    assert float(heavy.value) > 0.9 * solved(cost_matrix(x, y), a, torch.full((900,), 1 / 900).double())[0]


def test_a_cost_matrix_gives_the_same_result_as_points():
    x, y = points(30, 2, 0), points(40, 2, 1, shift=1.0)
    f, g = -x[:, 0], -y[:, 0]
    from_points = certified_dual(f, g, x, y, p=2)
    from_matrix = certified_dual(f, g, None, None, cost=torch.cdist(x, y), p=2)
    assert float(from_matrix.value) == pytest.approx(float(from_points.value), rel=1e-12)
    assert float(from_matrix.distance) == pytest.approx(float(from_points.distance), rel=1e-12)


@given(seed=st.integers(0, 10**6), offset=st.sampled_from([0.0, 1e3, -1e6, 1e9]), factor=st.sampled_from([0.25, 1e6]))
@settings(deadline=None, max_examples=15)
def test_offsets_lose_no_digits_and_units_scale(seed, offset, factor):
    x, y = points(25, 2, seed), points(30, 2, seed + 1, shift=2.0)
    x, y = (torch.round(side * 2**12) / 2**12 for side in (x, y))  # so that offsets are added without rounding
    f, g = -x[:, 0] - 0.75 * x[:, 1], -y[:, 0] - 0.75 * y[:, 1]
    dual = certified_dual(f, g, x, y)
    assert dual.scale > 0
    moved = certified_dual(f + offset, g + offset, x + offset, y + offset)
    assert float(moved.value) == pytest.approx(float(dual.value), rel=1e-10)
    scaled = certified_dual(f, g, factor * x, factor * y)
    assert float(scaled.value) == pytest.approx(factor * float(dual.value), rel=1e-6)


@pytest.mark.parametrize("seed", [2, 3])  # the source is the better side, then the target
@pytest.mark.parametrize("cached", [1, 10, 2**17])
def test_gradients_agree_with_finite_differences(seed, cached, monkeypatch):
    monkeypatch.setattr(costs, "_TILE", cached)
    x, y = points(6, 2, 0).requires_grad_(), points(5, 2, 1, shift=1.0).requires_grad_()
    f = points(6, 1, seed)[:, 0].requires_grad_()
    g = points(5, 1, seed + 1)[:, 0].requires_grad_()
    a, b = weights(6, 4), weights(5, 5)
    found = certified_dual(f, g, x, y, x_weights=a, y_weights=b, p=2)
    assert found.scale > 0
    gradients = torch.autograd.grad(found.distance, (x, y, f, g), allow_unused=True)
    for inputs, gradient in zip((x, y), gradients[:2], strict=True):
        for entry in range(inputs.numel()):
            step = torch.zeros(inputs.numel(), dtype=torch.float64)
            step[entry] = 1e-6
            step = step.reshape(inputs.shape)
            # The scale is fixed: its change is due to the search and has no gradient.
            ends = [held_at(found, f, g, *shifted, a, b) for shifted in both_ways(x, y, inputs, step)]
            assert float(gradient.flatten()[entry]) == pytest.approx((ends[0] - ends[1]) / 2e-6, abs=1e-7)
    for scores, gradient in zip((f, g), gradients[2:], strict=True):
        started = scores is f if found.side == "source" else scores is g
        assert (gradient is not None) == started
        if started:
            for entry in range(len(scores)):
                step = torch.zeros(len(scores), dtype=torch.float64)
                step[entry] = 1e-6
                ends = [
                    held_at(found, *shifted, x.detach(), y.detach(), a, b) for shifted in both_ways(f, g, scores, step)
                ]
                assert float(gradient[entry]) == pytest.approx((ends[0] - ends[1]) / 2e-6, abs=1e-7)


def both_ways(x, y, moved, step):
    for sign in (1, -1):
        yield tuple((side + sign * step if side is moved else side).detach() for side in (x, y))


def held_at(found, f, g, x, y, a, b):
    return by_hand(cost_matrix(x, y, p=2), f.detach(), g.detach(), a, b, found.scale, found.side)[2] ** 0.5


def test_gradients_reach_weights_and_matrices_and_are_finite_at_coincident_points():
    x = torch.tensor([[0.0], [1.0]], dtype=torch.float64, requires_grad=True)
    dual = certified_dual([0.0, 1.0], [0.0, 1.0], x, x.detach().clone(), p=2)
    (gradient,) = torch.autograd.grad(dual.distance, x)
    assert bool(gradient.isfinite().all())
    raw = torch.tensor([0.5, 0.5], dtype=torch.float64, requires_grad=True)
    y = torch.tensor([[3.0], [5.0]], dtype=torch.float64)
    costs = torch.cdist(x.detach(), y).requires_grad_()
    dual = certified_dual([0.0, -1.0], [-3.0, -5.0], None, None, x_weights=raw, cost=costs)
    gradients = torch.autograd.grad(dual.value, (raw, costs))
    assert torch.equal(gradients[0], dual.source_potential)
    # One entry of each row and column is binding, and the gradient sums to 1 like a plan.
    assert float(gradients[1].sum()) == pytest.approx(1.0)


def test_arrays_lists_and_images_are_accepted():
    x, y = points(8, 12, 0), points(9, 12, 1)
    f, g = x[:, 0], y[:, 0]
    plain = certified_dual(f, g, x, y).value
    assert float(certified_dual(f.numpy(), g.tolist(), x.numpy().reshape(8, 3, 2, 2), y.tolist()).value) == plain
    assert float(certified_dual(f[:, None], g[:, None], x.reshape(8, 3, 4), y.reshape(9, 3, 4)).value) == plain


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        (([1.0, 2.0], [1.0], [1.0], [1.0]), {}, UsageError, "source_scores must hold 1 scores"),
        (([1.0], [1.0, 2.0], [1.0], [1.0]), {}, UsageError, "target_scores must hold 1 scores"),
        (([float("nan")], [1.0], [1.0], [1.0]), {}, NumericError, "source_scores are NaN or infinite"),
        (([1.0], [1.0], [1.0], [[1.0, 2.0]]), {}, UsageError, "cannot be compared"),
        (([1.0], [1.0], None, [1.0]), {}, UsageError, "x is missing"),
        (([1.0], [1.0], [1.0], [1.0]), {"x_weights": [-1.0]}, UsageError, "x_weights must be at least 0"),
        (([1.0], [1.0], [1.0], [1.0]), {"p": 0.5}, UsageError, "p must be a number of at least 1|p must be at least 1"),
        (([1.0], [1.0], [1.0], [1.0]), {"cost": "cosine"}, UsageError, "there is no cost 'cosine'"),
        (([1.0], [1.0], [1.0], [1.0]), {"held": 0}, UsageError, "searched and held must be at least 1"),
        (([1.0], [1.0], [1.0], [1.0]), {"scales": [float("inf")]}, UsageError, "scales must be finite"),
    ],
)
def test_invalid_input_is_refused(arguments, options, error, message):
    with pytest.raises(error, match=message):
        certified_dual(*arguments, **options)


@pytest.mark.parametrize("gradient", [False, True])
@pytest.mark.parametrize("steepness", [1e3, 1e17, 1e250])
@pytest.mark.parametrize("side", ["source", "target"])
def test_bounds_are_valid_for_scores_too_steep_for_float64(side, steepness, gradient):
    """Either one score of a point of weight 0, which the search ignores, is steep, or a given scale is."""
    x, y, a = points(30, 2, 0), points(25, 2, 1, 1.0).requires_grad_(gradient), weights(30, 2)
    a[0] = 0.0
    a, b = a / a.sum(), weights(25, 3)
    b[0] = 0.0
    b /= b.sum()
    f, g = torch.randn(55, generator=torch.Generator().manual_seed(4), dtype=torch.float64).split([30, 25])
    (f if side == "source" else g)[0] = steepness
    costs = cost_matrix(x, y).detach()
    exact = solved(costs, a, b)[0]
    for scales in ((), (1e12,), (1e300,)):
        dual = certified_dual(f, g, x, y, x_weights=a, y_weights=b, scales=scales)
        value = float(dual.value.detach())
        assert 0.0 <= value <= exact * (1 + 1e-13)
        assert_feasible(dual, costs)
        assert float(dual.source_potential @ a + dual.target_potential @ b) == pytest.approx(value, rel=1e-12)
