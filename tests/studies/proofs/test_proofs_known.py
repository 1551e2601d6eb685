"""Known distances and the lower bounds by critics."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import t as student

from wgan.errors import UsageError
from wgan.randomness import Randomness
from wgan.studies.proofs.known import PAIRS, KnownDistances, Pair, PairResult, Repetition, known
from wgan.transport import exact

FLAT = Pair(name="flat", shape="gauss", dimension=2, shift=3.0)


def repetition(**changes):
    sound = Repetition(
        exact=3.0, certified=2.99, without_critic=1.0, fresh_exact=3.1, fresh_certified=3.0, by_slope=2.0, floor=0.4,
        certified_floor=0.3,
    )  # fmt: skip
    return replace(sound, **changes)


def found(*repetitions, pair=FLAT):
    return KnownDistances(
        size=10, critic_steps=1, pairs=(PairResult(pair=pair, repetitions=repetitions, confidence=0.95),)
    )


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.name)
def test_w1_of_a_translate_is_the_shift(pair):
    points = pair._points(60, Randomness(0).at("points"))
    moved = points.clone()
    moved[:, 0] += pair.shift
    assert points.shape == (60, pair.dimension)
    assert float(exact(points, moved).cost) == pytest.approx(pair.shift, abs=1e-12)


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.name)
def test_both_sets_have_the_same_distribution_up_to_the_shift(pair):
    real, moved = pair.draw(4_000, Randomness(1).at("points"))
    other = torch.zeros(pair.dimension, dtype=torch.float64)
    other[0] = pair.shift
    assert not bool((real == moved - other).all())
    assert (moved.mean(0) - real.mean(0)).sub(other).abs().max() < 0.1
    assert (moved.std(0) - real.std(0)).abs().max() < 0.1


def test_parallel_lines_are_parallel():
    real, moved = PAIRS[0].draw(50, Randomness(2).at("points"))
    assert real[:, 0].unique().tolist() == [0.0]
    assert moved[:, 0].unique().tolist() == [1.0]
    assert 0 <= float(real[:, 1].min()) < 0.2 < 0.8 < float(real[:, 1].max()) <= 1


def test_debiasing_subtracts_squares():
    assert repetition(certified=5.0, certified_floor=3.0).debiased == 4.0
    assert repetition(certified=5.0, certified_floor=3.0).less_floor == 2.0
    assert repetition(certified=1.0, certified_floor=3.0).debiased == 0.0


def test_squares_of_w2_add_for_translates():
    x, y = (torch.randn(80, 3, dtype=torch.float64, generator=Randomness(3).at(name)) for name in "xy")
    centred = float(exact(x - x.mean(0), y - y.mean(0), p=2).cost)
    apart = (x.mean(0) - y.mean(0)).square().sum().item()
    assert float(exact(x, y, p=2).cost) - centred == pytest.approx(apart, rel=1e-9)


def test_the_interval_equals_scipys():
    values = [1.0, 1.2, 0.7, 1.05]
    row = PairResult(pair=FLAT, repetitions=tuple(repetition(exact=value) for value in values), confidence=0.9)
    low, high = student.interval(0.9, 3, loc=np.mean(values), scale=np.std(values, ddof=1) / 2)
    assert row.interval("exact") == pytest.approx((low, high))


def test_claims_hold_and_depend_on_the_seed_alone():
    pairs = (Pair(name="line", shape="gauss", dimension=1), Pair(name="plane", shape="gauss", dimension=2, shift=2.0))
    first, second = (known(pairs=pairs, size=120, repetitions=2, critic_steps=40, seed=4) for _ in range(2))
    assert first == second
    proven, fresh, never, *truths = first.claims()
    assert proven.holds, proven
    assert fresh.holds, fresh
    assert never.holds, never
    assert len(truths) == 2
    for row in first.pairs:
        assert row.confidence == pytest.approx(0.975)
        assert (row.of("without_critic") < row.of("certified")).all()
        assert (row.of("certified_floor") <= row.of("floor") + 1e-12).all()
        assert (row.of("by_slope") <= row.of("fresh_certified") + 1e-9).all()


@pytest.mark.parametrize(
    ("changes", "failing"),
    [
        ({"certified": 2.8}, 0),
        ({"fresh_certified": 2.9}, 1),
        ({"certified": 3.001}, 2),
        ({"fresh_certified": 3.101}, 2),
    ],
)
def test_a_bound_that_is_too_small_or_too_large_fails_its_claim(changes, failing):
    assert all(claim.holds for claim in found(repetition(), repetition()).claims()[:3])
    claims = found(repetition(), repetition(**changes)).claims()
    assert [claim.holds for claim in claims[:3]] == [number != failing for number in range(3)]


@pytest.mark.parametrize(("truth", "holds"), [(3.0, True), (2.9975, True), (2.99, False), (3.1, False)])
def test_the_true_distance_is_in_the_interval_or_very_near(truth, holds):
    # sqrt(9 + .09 - .09) = 3 in each repetition: an interval of width 0.
    each = repetition(certified=math.sqrt(9.09))
    pair = Pair(name="flat", shape="gauss", dimension=2, shift=truth)
    assert found(each, each, pair=pair).claims()[3].holds == holds


@pytest.mark.parametrize("wrong", [{"size": 1}, {"repetitions": 1}, {"pairs": ()}])
def test_small_counts_are_refused(wrong):
    with pytest.raises(UsageError, match="must be at least 2, and there must be a pair"):
        known(**({"size": 10, "repetitions": 2, "critic_steps": 1} | wrong))
