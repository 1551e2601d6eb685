"""Histograms of scores: nothing is lost, and one axis serves both sides."""

import itertools

import pytest
import scipy.stats
import torch
from hypothesis import given
from hypothesis import strategies as st

from wgan.trust.scores import BINS, lead, score_histogram

NUMBERS = st.lists(st.floats(-(2.0**100), 2.0**100, width=32), min_size=1, max_size=40)


def test_uniform_scores_fill_bins_evenly_and_sides_stand_apart():
    real, fake = torch.linspace(1.0, 2.0, 5001), torch.linspace(-2.0, -1.0, 2501)
    found = score_histogram(real, fake, bins=20)
    assert len(found["edges"]) == 21
    assert -2.0 < found["edges"][0] < -1.95
    assert 1.95 < found["edges"][-1] < 2.0
    assert sum(found["real"][:10]) == sum(found["fake"][10:]) == 0
    inner = torch.tensor(found["real"][16:19])
    assert int(inner.max() - inner.min()) <= 1


def test_outliers_are_counted_in_the_outermost_bins_and_stretch_nothing():
    real = torch.cat([torch.linspace(0.0, 1.0, 1000), torch.tensor([1e6])])
    found = score_histogram(real, torch.linspace(0.0, 1.0, 1000))
    assert found["edges"][-1] <= 1.0
    assert found["edges"][0] >= 0.0
    assert sum(found["real"]) == 1001
    assert sum(found["fake"]) == 1000
    assert found["real"][-1] > found["fake"][-1]


@given(NUMBERS, NUMBERS)
def test_every_score_is_counted_once_and_edges_rise(real, fake):
    found = score_histogram(torch.tensor(real), torch.tensor(fake))
    assert (sum(found["real"]), sum(found["fake"])) == (len(real), len(fake))
    assert len(found["real"]) == len(found["fake"]) == BINS
    assert all(low < high for low, high in itertools.pairwise(found["edges"]))


def test_scores_that_are_all_one_number_stand_in_one_bin():
    found = score_histogram(torch.full((7,), 3.0), torch.full((5,), 3.0))
    assert sorted(found["real"])[-2:] == [0, 7]
    assert found["real"].index(7) == found["fake"].index(5)
    assert found["edges"][0] < 3.0 < found["edges"][-1]
    assert 0 < found["real"].index(7) < BINS - 1


def test_scores_that_are_not_finite_have_no_histogram():
    assert score_histogram(torch.tensor([1.0, float("nan")]), torch.tensor([1.0])) is None
    assert score_histogram(torch.tensor([1.0]), torch.tensor([float("inf")])) is None
    assert score_histogram(torch.empty(0), torch.empty(0)) is None


def test_a_lead_is_that_of_welchs_test():
    rng = torch.Generator().manual_seed(0)
    first, second = 3.0 + torch.randn(80, generator=rng), 2.0 + 5.0 * torch.randn(33, generator=rng)
    wanted = scipy.stats.ttest_ind(first.double().numpy(), second.double().numpy(), equal_var=False).statistic
    assert lead(first, second) == pytest.approx(wanted, rel=1e-9)
    assert lead(second, first) == pytest.approx(-wanted, rel=1e-9)


@pytest.mark.parametrize("scores", [[1.0], [2.0, 2.0], [1.0, float("nan")], []])
def test_there_is_no_lead_of_scores_that_tell_nothing(scores):
    assert lead(torch.tensor(scores), torch.tensor(scores)) is None
