"""Every row of the table: f, its conjugate and domain, the link and the facts, against NumPy and autograd."""

import math

import numpy as np
import pytest
import scipy.special
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from kinds import FACTS, KINDS, SMOOTH, SYMMETRIC, generator

from wgan.divergences import DIVERGENCES, as_divergence
from wgan.divergences.logarithms import log_omega
from wgan.errors import UsageError

logs = st.floats(-6, 6)


def tensor(*values):
    return torch.tensor(values, dtype=torch.float64)


def slope(function, at):
    at = at.detach().requires_grad_(True)
    return torch.autograd.grad(function(at).sum(), at)[0]


def inside(row, count=60):
    """Points of the domain, including its upper bound if that belongs to it."""
    end = row.domain.upper
    gaps = torch.logspace(-3, 1.3, count, dtype=torch.float64)
    points = end - gaps if math.isfinite(end) else torch.linspace(-20, 8, count, dtype=torch.float64)
    return torch.cat([points, tensor(end)]) if row.domain.closed and math.isfinite(end) else points


def numeric_supremum(kind, t, *, highest):
    """Sup of t u − f(u) over a logarithmic grid of u, refined by a second grid around its best point, and u = 0."""
    row, f = as_divergence(kind), generator(kind)
    grid = np.logspace(-12, highest, 20_001)
    best = t * grid - f(grid)
    at = int(best.argmax())
    finer = np.linspace(grid[max(at - 1, 0)], grid[min(at + 1, len(grid) - 1)], 20_001)
    return max(best.max(), (t * finer - f(finer)).max(), -row.at_zero)


@pytest.mark.parametrize("kind", KINDS)
def test_f_agrees_with_the_literature(kind):
    row, u = as_divergence(kind), np.logspace(-3, 3, 301)
    torch.testing.assert_close(row.f(torch.from_numpy(u)), torch.from_numpy(generator(kind)(u)), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_f_has_its_limit_at_zero_and_is_infinite_below(kind):
    row = as_divergence(kind)
    at_zero, near, below, missing = row.f(tensor(0.0, 1e-290, -1e-9, math.nan)).tolist()
    assert at_zero == row.at_zero
    if math.isinf(row.at_zero):
        assert near > 300
    elif "0.001" not in kind:  # the power 0.001 of 1e-290 is a half
        assert near == pytest.approx(at_zero, abs=1e-9)
    assert below == math.inf
    assert math.isnan(missing)


@pytest.mark.parametrize("kind", FACTS)
def test_the_facts_agree_with_hand_computed_values(kind):
    row = as_divergence(kind)
    threshold, curvature, disjoint, end = FACTS[kind]
    assert row.threshold == pytest.approx(threshold, abs=1e-15)
    assert row.curvature == (None if curvature is None else pytest.approx(curvature))
    assert row.disjoint == pytest.approx(disjoint)
    assert row.domain.upper == pytest.approx(end, abs=1e-15)
    assert row.domain.closed == (kind in ("total_variation", "neyman", "alpha:alpha=-1.5") or end == math.inf)
    assert as_divergence(row.word) == row


@pytest.mark.parametrize("kind", SMOOTH)
def test_threshold_and_curvature_are_the_derivatives_at_1(kind):
    row, one = as_divergence(kind), tensor(1.0).requires_grad_(True)
    (first,) = torch.autograd.grad(row.f(one).sum(), one, create_graph=True)
    (second,) = torch.autograd.grad(first.sum(), one)
    assert first.item() == pytest.approx(row.threshold, abs=1e-12)
    assert second.item() == pytest.approx(row.curvature, rel=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_the_conjugate_is_the_supremum_over_nonnegative_ratios(kind):
    row = as_divergence(kind)
    points = inside(row)
    found = row.conjugate(points)
    expected = [numeric_supremum(kind, t, highest=13) for t in points.tolist()]
    is_end = points == row.domain.upper  # where the supremum is a limit, and t u − f(u) loses digits
    torch.testing.assert_close(found[~is_end], tensor(*expected)[~is_end], rtol=1e-5, atol=1e-5)
    if is_end.any():
        reached = numeric_supremum(kind, row.domain.upper, highest=6)
        assert reached - 1e-9 <= found[is_end].item() <= reached + 0.01


@pytest.mark.parametrize("kind", [kind for kind in KINDS if math.isfinite(as_divergence(kind).domain.upper)])
def test_outside_its_domain_the_conjugate_is_infinite(kind):
    row = as_divergence(kind)
    end = row.domain.upper
    beyond = tensor(end + 1e-3, end + 1, end + 100)
    assert row.conjugate(beyond).tolist() == [math.inf] * 3
    suprema = [numeric_supremum(kind, beyond[0].item(), highest=size) for size in (5, 7, 9)]
    assert suprema[2] > suprema[1] + 1e3 > suprema[0] + 1e3  # grows with the range of u, so infinity is correct
    assert math.isfinite(row.conjugate(tensor(end)).item()) == row.domain.closed
    assert slope(row.conjugate, tensor(end - 0.1, end + 1)).isfinite().all()


@pytest.mark.parametrize("kind", KINDS)
@given(log_u=logs, log_w=logs)
@example(log_u=0.0, log_w=0.0)
@settings(max_examples=20, deadline=None)
def test_fenchel_and_young(kind, log_u, log_w):
    """f(u) + f*(t) >= t u for every u and t, with equality at t = f'(u)."""
    row = as_divergence(kind)
    u, w = tensor(log_u).exp(), tensor(log_w).exp()
    t = slope(row.f, u)
    scale = 1.0 + (t * u).abs().item() + row.f(u).abs().item()
    assert (row.f(u) + row.conjugate(t) - t * u).item() == pytest.approx(0, abs=1e-9 * scale)
    assert (row.f(w) + row.conjugate(t) - t * w).item() >= -1e-9 * (scale + (t * w).abs().item())


@pytest.mark.parametrize("kind", KINDS)
@given(values=st.lists(st.floats(-12, 12), min_size=1, max_size=5))
@settings(max_examples=15, deadline=None)
def test_the_link_stays_in_the_domain_and_its_conjugate_is_that_of_the_link(kind, values):
    row, v = as_divergence(kind), tensor(*values)
    t = row.link(v)
    assert not row.domain.excludes(t).any()
    # Near the bound of the domain t has lost digits, which the stable form keeps.
    certain = v <= 6
    torch.testing.assert_close(row.conjugate(t)[certain], row.conjugate_of_link(v)[certain], rtol=1e-7, atol=1e-9)
    assert (slope(row.link, v) > 0).all()
    assert (slope(row.conjugate_of_link, v) > 0).all()


@pytest.mark.parametrize("kind", SMOOTH)
def test_the_link_is_the_slope_of_f_at_the_ratio_e_to_the_v(kind):
    row, v = as_divergence(kind), torch.linspace(-8, 8, 33, dtype=torch.float64)
    torch.testing.assert_close(row.link(v), slope(row.f, v.exp()), rtol=1e-9, atol=1e-9)
    assert row.link(tensor(0.0)).item() == pytest.approx(row.threshold, abs=1e-15)
    gain = v.exp() * row.link(v) - row.f(v.exp())
    torch.testing.assert_close(row.conjugate_of_link(v), gain, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_links_and_their_slopes_are_finite_if_the_value_is(kind, dtype):
    row = as_divergence(kind)
    far = 300.0 if dtype == torch.float64 else 40.0
    far = far / 2.5 if "1.5" in kind or "2.5" in kind else far  # powers that overflow by themselves
    v = torch.tensor([-far, -far / 3, 0.0, far / 3, far], dtype=dtype)
    for function in (row.link, row.conjugate_of_link):
        assert function(v).dtype == dtype
        assert function(v).isfinite().all()
        assert slope(function, v).isfinite().all()
    for function in (row.f, row.conjugate):
        assert function(v).dtype == dtype
    exact = row.conjugate_of_link(v.double())
    torch.testing.assert_close(row.conjugate_of_link(v).double(), exact, rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("kind", "v", "link", "conjugate"),
    [
        ("kl", 300, 301, math.exp(300)),
        ("reverse_kl", -300, -math.exp(300), -301),
        ("jeffrey", -300, -math.exp(300), -301),
        ("jeffrey", 300, 301, math.exp(300)),
        ("jensen_shannon", -300, math.log(2) - 300, -math.log(2)),
        ("gan", -300, -300, math.exp(-300)),
        ("gan", 300, -math.exp(-300), 300),
        ("weighted_jensen_shannon:pi=0.1", 300, -0.1 * math.log(0.1), 0.9 * (300 + math.log(0.1))),
        ("total_variation", -300, -0.5, -0.5),
        ("squared_hellinger", -300, -math.exp(150), -1),
        ("neyman", -300, -math.exp(600), -2 * math.exp(300)),
    ],
)
def test_values_at_large_arguments(kind, v, link, conjugate):
    row = as_divergence(kind)
    assert row.link(tensor(v)).item() == pytest.approx(link, rel=1e-12)
    assert row.conjugate_of_link(tensor(v)).item() == pytest.approx(conjugate, rel=1e-12)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_jeffreys_conjugate_at_large_arguments(dtype):
    """f*(t) = w + 1/w + t − 2 nears −log(1 − t) − 1 at one end and e^(t−1) at the other."""
    t = torch.tensor([-1e4, -1e30, 60.0], dtype=dtype)
    found = as_divergence("jeffrey").conjugate(t)
    w = 1e4 + 1 - math.log(1e4 + 1)  # two steps of w = 1 − t − log w
    w = 1e4 + 1 - math.log(w)
    expected = [1 / w - 1 - math.log(w), -1 - math.log(1e30), math.exp(59) + 60 - 2]
    torch.testing.assert_close(found.double(), tensor(*expected), rtol=1e-5 if dtype == torch.float32 else 1e-9, atol=0)
    assert slope(as_divergence("jeffrey").conjugate, t).tolist()[2] == pytest.approx(math.exp(59), rel=1e-4)


def test_log_omega_agrees_with_scipy_and_has_its_derivatives():
    z = torch.linspace(-40, 200, 2001, dtype=torch.float64)
    omega = torch.from_numpy(scipy.special.wrightomega(z.numpy()))
    torch.testing.assert_close(log_omega(z).exp(), omega, rtol=1e-13, atol=0)
    some = tensor(-30.0, -1.0, 0.9, 1.0, 1.1, 30.0).requires_grad_(True)
    assert torch.autograd.gradcheck(log_omega, some)
    assert torch.autograd.gradgradcheck(log_omega, some)
    batched = torch.func.vmap(torch.func.grad(log_omega))(some.detach())
    torch.testing.assert_close(batched, 1 / (1 + log_omega(some.detach()).exp()))


@pytest.mark.parametrize("kind", KINDS)
def test_the_reverse_exchanges_the_two_distributions(kind):
    row, u = as_divergence(kind), torch.logspace(-4, 4, 41, dtype=torch.float64)
    torch.testing.assert_close(row.reverse.f(u), u * row.f(1 / u), rtol=1e-9, atol=1e-9)
    assert row.reverse.reverse.f(u[0]).item() == pytest.approx(row.f(u[0]).item())
    steep = u[-1].item()
    limit = row.f(tensor(steep * 1e8)).item() / (steep * 1e8)
    if math.isfinite(row.reverse.at_zero) and "0.001" not in kind:
        assert limit == pytest.approx(row.reverse.at_zero, abs=1e-4)


@pytest.mark.parametrize("kind", FACTS)
def test_the_symmetric_rows_are_their_own_reverse(kind):
    row = as_divergence(kind)
    assert (row.reverse == row) == (kind in SYMMETRIC)


def test_alpha_contains_the_other_powers_and_converges_to_both_kl():
    u = torch.logspace(-2, 2, 21, dtype=torch.float64)
    alpha = lambda number: as_divergence(f"alpha:alpha={number}").f(u)  # noqa: E731
    f = lambda kind: as_divergence(kind).f(u)  # noqa: E731
    torch.testing.assert_close(alpha(2), f("pearson") / 2)
    torch.testing.assert_close(alpha(-1), f("neyman") / 2)
    torch.testing.assert_close(alpha(0.5), 2 * f("squared_hellinger"))
    torch.testing.assert_close(alpha(1 + 1e-9), f("kl") - (u - 1), rtol=1e-7, atol=1e-8)
    torch.testing.assert_close(alpha(1e-9), f("reverse_kl") + (u - 1), rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("kll", "divergence 'kll' is not known.*\n.*Did you mean 'kl'"),
        ("kl:pi=1", "divergence 'kl' has no parameter 'pi'"),
        ("weighted_jensen_shannon:pi=1", "pi must lie between 0 and 1, not 1.0"),
        ("weighted_jensen_shannon:pi=nan", "pi must lie between 0 and 1"),
        ("weighted_jensen_shannon:pi=1e-20", "pi must lie between 0 and 1"),
        ("alpha:alpha=1", "at alpha = 1 the divergence is kl"),
        ("alpha:alpha=0", "at alpha = 0 the divergence is reverse_kl"),
        ("alpha:alpha=inf", "alpha must be finite"),
    ],
)
def test_unknown_names_and_parameters_are_refused(word, message):
    with pytest.raises(UsageError, match=message):
        as_divergence(word)


def test_each_divergence_has_a_name_and_a_source():
    for name, row in DIVERGENCES.rows.items():
        assert row.name == name
        assert "Source: " in row.__doc__
