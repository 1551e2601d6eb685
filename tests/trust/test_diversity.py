"""Diversity and memory against brute force, mixtures with known losses, and all ways to deal rows."""

import itertools
import math

import numpy as np
import pytest
import torch

import wgan.trust.diversity
from wgan.data import open_data
from wgan.settings import DataOptions
from wgan.trust.diversity import Reference, diversity, memory


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def rows(num, *shape, seed=0):
    return torch.randn(num, *shape, generator=rng(seed))


def ring(num, modes=8, width=1.0, seed=0):
    """Points of the first so many of 8 narrow modes."""
    source = open_data("ring", DataOptions(), seed=0)
    which = torch.randint(modes, (num,), generator=rng(seed))
    return source.modes[which] + width * source.sigma * rows(num, 2, seed=seed + 1)


def by_hand(points, others, is_same=False):
    """Distance from each point to the nearest of others."""
    points, others = points.flatten(1).tolist(), others.flatten(1).tolist()
    return [
        min(math.dist(point, other) for place, other in enumerate(others) if not (is_same and place == number))
        for number, point in enumerate(points)
    ]


def mean(numbers):
    return sum(numbers) / len(numbers)


@pytest.mark.parametrize("at_once", [2**22, 40])
@pytest.mark.parametrize("shape", [(2,), (20,), (3, 5, 5)])
def test_distances_to_nearest_neighbours_are_those_of_all_pairs(shape, at_once, monkeypatch):
    monkeypatch.setattr(wgan.trust.diversity, "_AT_ONCE", at_once)
    # Far from the origin float32 squares would have lost all digits.
    samples, held_out, training = (
        rows(30, *shape) + 50,
        2 * rows(20, *shape, seed=1) + 50,
        rows(45, *shape, seed=2) + 50,
    )
    found = diversity(samples, held_out)
    assert found.samples == pytest.approx(mean(by_hand(samples[:20], samples[:20], is_same=True)), rel=1e-6)
    assert found.real == pytest.approx(mean(by_hand(held_out, held_out, is_same=True)), rel=1e-6)
    assert found.off_support == pytest.approx(mean(by_hand(samples[:20], held_out)), rel=1e-6)
    known = memory(samples, training, held_out)
    assert known.training == pytest.approx(mean(by_hand(samples, training[:20])), rel=1e-6)
    assert known.held_out == pytest.approx(mean(by_hand(samples, held_out)), rel=1e-6)
    near_held_out, near_training = by_hand(samples, held_out), by_hand(samples, training)
    won = mean([float(unseen < seen) for unseen, seen in zip(near_held_out, near_training, strict=True)])
    assert known.memorised == pytest.approx(1 - won / (20 / 65))


@pytest.mark.parametrize("width", [0.1, 1.0, 2.0])
@pytest.mark.parametrize("modes", [1, 2, 4, 7, 8])
def test_what_is_reached_is_the_share_of_the_modes_however_wide_they_are(modes, width):
    held_out = ring(1000, seed=10)
    found = diversity(ring(1000, modes, width, seed=20), held_out)
    centres = open_data("ring", DataOptions(), seed=0).modes
    share = float((torch.cdist(held_out, centres).argmin(dim=1) < modes).double().mean())
    assert found.coverage == pytest.approx(share, abs=0.02)


def test_width_is_seen_by_the_room_that_samples_leave():
    held_out = ring(1000, seed=10)
    for width in (0.1, 0.5, 2.0):
        found = diversity(ring(1000, 8, width, seed=20), held_out)
        assert found.samples / found.real == pytest.approx(width, rel=0.15)


@pytest.mark.parametrize("num", [2, 7, 40, 300])
@pytest.mark.parametrize("dim", [2, 20])
def test_rows_reach_rows_whatever_their_number(num, dim):
    assert diversity(rows(num, dim), rows(num, dim, seed=1)).coverage > 0.95


def test_one_point_reaches_few_even_where_some_rows_are_near_to_all():
    # In 20 dimensions rows near the middle are among the nearest of most others.
    held_out, one = rows(800, 20), rows(1, 20, seed=1).repeat(800, 1)
    found = diversity(one, held_out)
    assert found.coverage < 0.3
    assert found.samples == 0.0
    assert found.real > 1.0


def test_diversity_has_units_and_no_place():
    samples, held_out = ring(400, 4, seed=3), ring(400, seed=4)
    turn = torch.tensor([[0.6, -0.8], [0.8, 0.6]])
    first, moved = diversity(samples, held_out), diversity(7 * samples @ turn + 3, 7 * held_out @ turn + 3)
    assert moved.samples == pytest.approx(7 * first.samples, rel=1e-3)
    assert moved.real == pytest.approx(7 * first.real, rel=1e-3)
    assert moved.coverage == pytest.approx(first.coverage, abs=0.01)


def test_what_is_not_finite_or_too_few_has_no_diversity_and_no_memory():
    good, bad = rows(6, 2), rows(6, 2)
    bad[2, 1] = math.nan
    assert diversity(bad, good) is None
    assert diversity(good[:1], good) is None
    assert memory(bad, good, good) is None
    assert memory(good * math.inf, good, good) is None
    assert memory(good, good, good[:0]) is None
    assert memory(good[:0], good, good) is None


def test_over_all_ways_to_deal_nothing_is_copied_on_average_and_the_error_is_the_standard_deviation():
    pool, samples = rows(7, 3), rows(40, 3, seed=1)
    found = []
    for seen in itertools.combinations(range(7), 4):
        unseen = [row for row in range(7) if row not in seen]
        found.append(memory(samples, pool[list(seen)], pool[unseen]))
    memorised, errors = np.array([each.memorised for each in found]), np.array([each.memorised_error for each in found])
    assert len(memorised) == 35
    assert memorised.mean() == pytest.approx(0.0, abs=1e-12)
    assert memorised.std() > 0.1
    np.testing.assert_allclose(errors, memorised.std(), rtol=1e-9)


@pytest.mark.parametrize("dim", [2, 40])
def test_copies_are_known_and_their_share_is_found(dim):
    pool, fresh = rows(1100, dim), rows(1000, dim, seed=1)
    training, held_out = pool[:1000], pool[1000:]
    picked = training[torch.randint(1000, (1000,), generator=rng(2))]
    whole, half, none = (
        memory(samples, training, held_out)
        for samples in (picked + 1e-4, torch.cat([picked[:500] + 1e-4, fresh[:500]]), fresh)
    )
    assert whole.memorised > 0.99
    assert whole.memorised > 5 * whole.memorised_error
    assert half.memorised == pytest.approx(0.5, abs=3 * half.memorised_error)
    assert abs(none.memorised) < 3 * none.memorised_error
    # The mean distances say it too, but less clearly where most copies are of other rows than those looked at.
    assert whole.training < 0.97 * whole.held_out


def test_distances_to_as_many_rows_show_copies_where_all_rows_are_looked_at():
    training, held_out = rows(200, 5), rows(200, 5, seed=1)
    found = memory(training, training, held_out)
    assert found.training == 0.0
    assert found.held_out > 0.9
    assert memory(held_out, training, held_out).memorised == pytest.approx(-1.0)


def test_a_generator_of_one_point_is_no_evidence_of_copies():
    pool, one = rows(300, 4), rows(1, 4, seed=5).repeat(100, 1)
    for start in (0, 100, 200):
        held_out = pool[start : start + 100]
        training = torch.cat([pool[:start], pool[start + 100 :]])
        found = memory(one, training, held_out)
        assert abs(found.memorised) < 2 * found.memorised_error


def test_rows_that_are_in_both_parts_say_nothing():
    pool = rows(50, 3)
    found = memory(pool, pool, pool[:20])
    # 20 of the 50 samples are as near to a held-out row as to a training row, and the others are copies.
    assert found.memorised == pytest.approx(30 / 50)
    none = memory(pool[:20], pool, pool[:20])
    assert (none.memorised, none.memorised_error) == (pytest.approx(0.0), 0.0)


def test_the_reference_holds_rows_of_both_parts_once(tmp_path, monkeypatch):
    values = np.arange(80, dtype=np.float32).reshape(40, 2)
    np.save(tmp_path / "points.npy", values)
    source = open_data(str(tmp_path / "points.npy"), DataOptions(held_out=0.25), seed=0)
    whole = Reference.of(source, seed=1)
    assert (len(whole.training), len(whole.held_out)) == (30, 10)
    both = torch.cat([whole.training, whole.held_out])
    assert len(both.unique(dim=0)) == 40
    some = Reference.of(source, seed=1, most=7)
    assert (len(some.training), len(some.held_out)) == (7, 7)
    torch.testing.assert_close(some.training, Reference.of(source, seed=1, most=7).training)
    monkeypatch.setattr(wgan.trust.diversity, "_ENTRIES", 24)
    assert len(Reference.of(source, seed=1).training) == 12


def test_there_is_no_reference_where_nothing_can_be_learnt_by_heart(tmp_path):
    assert Reference.of(open_data("ring", DataOptions(), seed=0), seed=0) is None
    np.save(tmp_path / "points.npy", np.arange(80, dtype=np.float32).reshape(40, 2))
    assert Reference.of(open_data(str(tmp_path / "points.npy"), DataOptions(held_out=0.0), seed=0), seed=0) is None
