"""f-divergences between discrete distributions: closed forms, zeros, symmetry, and the gradient on the simplex."""

import math

import numpy as np
import pytest
import scipy.spatial.distance
import scipy.special
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from kinds import KINDS, SMOOTH, SYMMETRIC

from wgan.divergences import as_divergence, divergence, js
from wgan.errors import NumericError, UsageError


def distributions(size=5, *, zeros=True):
    cell = st.floats(1e-3, 1)
    cells = st.lists(st.just(0.0) | cell if zeros else cell, min_size=size, max_size=size).map(np.array)
    return cells.filter(lambda cell: cell.sum() > 0.01).map(lambda cell: cell / cell.sum())


def rng(seed=0):
    return np.random.default_rng(seed)


def closed_forms(p, q):
    """The integrals that define the divergences, for distributions without zeros."""
    middle = (p + q) / 2
    kl = lambda a, b: scipy.special.rel_entr(a, b).sum()  # noqa: E731
    mixed = 0.3 * p + 0.7 * q
    return {
        "total_variation": np.abs(p - q).sum() / 2,
        "kl": kl(p, q),
        "reverse_kl": kl(q, p),
        "pearson": ((p - q) ** 2 / q).sum(),
        "neyman": ((p - q) ** 2 / p).sum(),
        "squared_hellinger": ((np.sqrt(p) - np.sqrt(q)) ** 2).sum(),
        "jeffrey": kl(p, q) + kl(q, p),
        "jensen_shannon": kl(p, middle) + kl(q, middle),
        "weighted_jensen_shannon": scipy.spatial.distance.jensenshannon(p, q) ** 2,
        "weighted_jensen_shannon:pi=0.3": 0.3 * kl(p, mixed) + 0.7 * kl(q, mixed),
        "gan": 2 * scipy.spatial.distance.jensenshannon(p, q) ** 2 - math.log(4),
        "alpha:alpha=1.7": ((p**1.7 * q**-0.7).sum() - 1) / (1.7 * 0.7),
    }


@pytest.mark.parametrize("kind", closed_forms(np.ones(1), np.ones(1)))
@given(p=distributions(zeros=False), q=distributions(zeros=False))
@settings(max_examples=15, deadline=None)
def test_values_are_the_integrals(kind, p, q):
    assert divergence(p, q, kind).item() == pytest.approx(closed_forms(p, q)[kind], rel=1e-10, abs=1e-12)


@given(p=distributions(), q=distributions())
@settings(max_examples=30, deadline=None)
def test_js_is_the_usual_one(p, q):
    expected = scipy.spatial.distance.jensenshannon(p, q) ** 2
    expected = 0.0 if math.isnan(expected) else expected  # SciPy's root of a rounding error below 0
    assert js(p, q).item() == pytest.approx(expected, abs=1e-12)
    assert js(p, q).item() == pytest.approx(divergence(p, q, "jensen_shannon").item() / 2, abs=1e-15)
    assert js(p, q).item() == pytest.approx(divergence(p, q, "weighted_jensen_shannon:pi=0.5").item(), abs=1e-12)
    assert js(p, q).item() <= math.log(2) + 1e-12


@pytest.mark.parametrize("kind", KINDS)
@given(p=distributions(), q=distributions())
@settings(max_examples=15, deadline=None)
def test_reverse_exchanges_p_and_q_and_values_are_in_their_range(kind, p, q):
    row = as_divergence(kind)
    value, least = divergence(p, q, row).item(), row.f(torch.ones((), dtype=torch.float64)).item()
    assert value == pytest.approx(divergence(q, p, row.reverse).item(), rel=1e-9, abs=1e-12)
    assert divergence(p, p, row).item() == pytest.approx(least, abs=1e-12)
    assert least - 1e-9 <= value <= row.disjoint + 1e-9


@pytest.mark.parametrize("kind", SYMMETRIC)
def test_symmetric_rows_are_symmetric(kind):
    p, q = rng().dirichlet(np.ones(6), 2)
    p[0], q[1] = 0.0, 0.0
    p, q = p / p.sum(), q / q.sum()
    assert divergence(p, q, kind).item() == pytest.approx(divergence(q, p, kind).item(), rel=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_disjoint_supports(kind):
    row = as_divergence(kind)
    assert divergence([0.5, 0.5, 0, 0], [0, 0, 0.25, 0.75], kind).item() == pytest.approx(row.disjoint)


@pytest.mark.parametrize("kind", KINDS)
def test_a_cell_where_both_are_zero_contributes_nothing(kind):
    p, q = [0.2, 0.3, 0.5], [0.6, 0.3, 0.1]
    with_empty = divergence([0, 0.2, 0.3, 0.5, 0], [0, 0.6, 0.3, 0.1, 0], kind)
    assert with_empty.item() == pytest.approx(divergence(p, q, kind).item(), rel=1e-14)
    assert divergence([[0.2, 0.3], [0.5, 0]], [[0.6, 0.3], [0.1, 0]], kind).item() == with_empty.item()


@pytest.mark.parametrize(
    ("kind", "uncovered", "overreaching"),
    [
        # P on one of Q's two cells, and P on two cells of which Q has one.
        ("kl", math.log(2), math.inf),
        ("reverse_kl", math.inf, math.log(2)),
        ("pearson", 1, math.inf),
        ("neyman", math.inf, 1),
        ("jeffrey", math.inf, math.inf),
        ("squared_hellinger", 2 - math.sqrt(2), 2 - math.sqrt(2)),
        ("total_variation", 0.5, 0.5),
        ("jensen_shannon", *[math.log(4 / 3) + math.log(2 / 3) / 2 + math.log(2) / 2] * 2),
        ("alpha:alpha=2.5", (2**1.5 - 1) / 3.75, math.inf),
        ("alpha:alpha=-1.5", math.inf, (2**1.5 - 1) / 3.75),
    ],
)
def test_zeros_agree_with_hand_computed_values(kind, uncovered, overreaching):
    assert divergence([1, 0], [0.5, 0.5], kind).item() == pytest.approx(uncovered)
    assert divergence([0.5, 0.5], [1, 0], kind).item() == pytest.approx(overreaching)


@pytest.mark.parametrize("kind", ["kl", "reverse_kl", "jeffrey", "jensen_shannon", "gan", "total_variation"])
def test_tiny_probabilities_are_not_treated_as_zero(kind):
    tiny = 1e-310
    value = divergence([1 - tiny, tiny], [tiny, 1 - tiny], kind).item()
    expected = {"kl": 310 * math.log(10), "reverse_kl": 310 * math.log(10), "jeffrey": 620 * math.log(10)}
    assert value == pytest.approx(expected.get(kind, as_divergence(kind).disjoint), rel=1e-9)


def test_a_large_chi_square_is_not_infinite():
    p, q = [0.5, 0.5], [1e-200, 1.0]
    assert divergence(p, q, "pearson").item() == pytest.approx(0.25e200)
    assert divergence(q, p, "neyman").item() == pytest.approx(0.25e200)
    assert divergence([0.5, 0.5], [1e-300, 1.0], "pearson").item() == pytest.approx(0.25e300)


@pytest.mark.parametrize("kind", SMOOTH)
def test_near_equality_every_row_is_half_its_curvature_times_chi_square(kind):
    q = rng().dirichlet(np.ones(6))
    step = rng(1).normal(size=6) * q
    step -= step.sum() * q
    chi_square = (step**2 / q).sum()
    row, size = as_divergence(kind), 1e-4
    excess = divergence(q + size * step, q, kind).item() - row.f(torch.ones((), dtype=torch.float64)).item()
    assert excess / size**2 == pytest.approx(row.curvature / 2 * chi_square, rel=5e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_agree_with_differences_along_the_simplex(kind):
    p, q = (torch.from_numpy(row).requires_grad_(True) for row in rng(2).dirichlet(np.ones(5), 2))
    along = torch.tensor([0.3, -0.5, 0.1, 0.4, -0.3], dtype=torch.float64) * 1e-2
    in_p, in_q = torch.autograd.grad(divergence(p, q, kind), [p, q])
    step = 1e-4
    for gradient, moved in ((in_p, lambda h: (p + h * along, q)), (in_q, lambda h: (p, q + h * along))):
        with torch.no_grad():
            slope = (divergence(*moved(step), kind) - divergence(*moved(-step), kind)) / (2 * step)
        assert (gradient @ along).item() == pytest.approx(slope.item(), rel=1e-5, abs=1e-8)


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_are_finite_with_empty_cells_if_the_value_is(kind):
    p = torch.tensor([0.0, 0.5, 0.5, 0.0], dtype=torch.float64, requires_grad=True)
    q = torch.tensor([0.3, 0.3, 0.4, 0.0], dtype=torch.float64, requires_grad=True)
    for first, second in ((p, q), (q, p)):
        value = divergence(first, second, kind)
        if value.isfinite():
            assert all(gradient.isfinite().all() for gradient in torch.autograd.grad(value, [p, q]))


def test_second_derivatives_exist():
    p = torch.tensor([0.2, 0.3, 0.5], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(lambda p: divergence(p / p.sum(), [0.4, 0.4, 0.2], "jeffrey"), p)


@pytest.mark.parametrize(
    ("p", "q", "error", "message"),
    [
        ([0.5, 0.5], [1.0], UsageError, r"same cells, but have shapes \(2,\) and \(1,\)"),
        ([0.5, 0.6], [0.5, 0.5], UsageError, "p must sum to 1, not 1.1"),
        ([0.5, 0.5], [1.5, -0.5], UsageError, "q must be at least 0, but weight 1 is -0.5"),
        ([0.5, math.nan], [0.5, 0.5], NumericError, "1 of the 2 numbers in p are NaN"),
        ([], [], UsageError, "p must sum to 1"),
        (["a", "b"], [0.5, 0.5], UsageError, "p must hold real numbers"),
    ],
)
def test_invalid_distributions_are_refused(p, q, error, message):
    with pytest.raises(error, match=message):
        divergence(p, q, "kl")
