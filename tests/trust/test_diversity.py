"""Diversity and memorisation against brute force, mixtures with missing modes, and all splits of the rows."""

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
    """Samples of the first `modes` of 8 narrow modes."""
    source = open_data("ring", DataOptions(), seed=0)
    which = torch.randint(modes, (num,), generator=rng(seed))
    return source.modes[which] + width * source.sigma * rows(num, 2, seed=seed + 1)


def brute_force(points, others, is_same=False):
    """Distance from each point to the nearest of others."""
    points, others = points.flatten(1).tolist(), others.flatten(1).tolist()
    return [
        min(math.dist(point, other) for index, other in enumerate(others) if not (is_same and index == number))
        for number, point in enumerate(points)
    ]


def mean(numbers):
    return sum(numbers) / len(numbers)


@pytest.mark.parametrize("at_once", [2**22, 40])
@pytest.mark.parametrize("shape", [(2,), (20,), (3, 5, 5)])
def test_nearest_neighbour_distances_equal_brute_force(shape, at_once, monkeypatch):
    monkeypatch.setattr(wgan.trust.diversity, "_AT_ONCE", at_once)
    # Far from the origin, squared norms in float32 would lose all digits.
    samples, held_out, training = (
        rows(30, *shape) + 50,
        2 * rows(20, *shape, seed=1) + 50,
        rows(45, *shape, seed=2) + 50,
    )
    found = diversity(samples, held_out)
    assert found.samples == pytest.approx(mean(brute_force(samples[:20], samples[:20], is_same=True)), rel=1e-6)
    assert found.real == pytest.approx(mean(brute_force(held_out, held_out, is_same=True)), rel=1e-6)
    assert found.off_support == pytest.approx(mean(brute_force(samples[:20], held_out)), rel=1e-6)
    known = memory(samples, training, held_out)
    assert known.training == pytest.approx(mean(brute_force(samples, training[:20])), rel=1e-6)
    assert known.held_out == pytest.approx(mean(brute_force(samples, held_out)), rel=1e-6)
    near_held_out, near_training = brute_force(samples, held_out), brute_force(samples, training)
    won = mean([float(unseen < seen) for unseen, seen in zip(near_held_out, near_training, strict=True)])
    assert known.memorised == pytest.approx(1 - won / (20 / 65))


@pytest.mark.parametrize("width", [0.1, 1.0, 2.0])
@pytest.mark.parametrize("modes", [1, 2, 4, 7, 8])
def test_coverage_is_the_share_of_covered_modes_at_any_width(modes, width):
    held_out = ring(1000, seed=10)
    found = diversity(ring(1000, modes, width, seed=20), held_out)
    centres = open_data("ring", DataOptions(), seed=0).modes
    share = float((torch.cdist(held_out, centres).argmin(dim=1) < modes).double().mean())
    assert found.coverage == pytest.approx(share, abs=0.02)


def test_distance_between_samples_is_proportional_to_their_width():
    held_out = ring(1000, seed=10)
    for width in (0.1, 0.5, 2.0):
        found = diversity(ring(1000, 8, width, seed=20), held_out)
        assert found.samples / found.real == pytest.approx(width, rel=0.15)


@pytest.mark.parametrize("num", [2, 7, 40, 300])
@pytest.mark.parametrize("dim", [2, 20])
def test_rows_of_one_distribution_cover_each_other_at_any_number(num, dim):
    assert diversity(rows(num, dim), rows(num, dim, seed=1)).coverage > 0.95


def test_a_repeated_point_has_low_coverage_in_high_dimension():
    # In 20 dimensions rows near the middle are among the nearest of most others.
    held_out, one = rows(800, 20), rows(1, 20, seed=1).repeat(800, 1)
    found = diversity(one, held_out)
    assert found.coverage < 0.3
    assert found.samples == 0.0
    assert found.real > 1.0


def test_diversity_scales_with_the_data_and_ignores_shift_and_rotation():
    samples, held_out = ring(400, 4, seed=3), ring(400, seed=4)
    turn = torch.tensor([[0.6, -0.8], [0.8, 0.6]])
    first, moved = diversity(samples, held_out), diversity(7 * samples @ turn + 3, 7 * held_out @ turn + 3)
    assert moved.samples == pytest.approx(7 * first.samples, rel=1e-3)
    assert moved.real == pytest.approx(7 * first.real, rel=1e-3)
    assert moved.coverage == pytest.approx(first.coverage, abs=0.01)


def test_non_finite_or_too_few_samples_give_none():
    good, bad = rows(6, 2), rows(6, 2)
    bad[2, 1] = math.nan
    assert diversity(bad, good) is None
    assert diversity(good[:1], good) is None
    assert memory(bad, good, good) is None
    assert memory(good * math.inf, good, good) is None
    assert memory(good, good, good[:0]) is None
    assert memory(good[:0], good, good) is None


def test_memorised_share_over_all_splits_has_mean_zero_and_the_stated_standard_error():
    pool, samples = rows(7, 3), rows(40, 3, seed=1)
    found = []
    for training in itertools.combinations(range(7), 4):
        held_out = [row for row in range(7) if row not in training]
        found.append(memory(samples, pool[list(training)], pool[held_out]))
    memorised, errors = np.array([each.memorised for each in found]), np.array([each.memorised_error for each in found])
    assert len(memorised) == 35
    assert memorised.mean() == pytest.approx(0.0, abs=1e-12)
    assert memorised.std() > 0.1
    np.testing.assert_allclose(errors, memorised.std(), rtol=1e-9)


@pytest.mark.parametrize("dim", [2, 40])
def test_memorised_share_equals_the_share_of_copies(dim):
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
    # Mean distances show less: most copies are of rows outside the subset that is compared.
    assert whole.training < 0.97 * whole.held_out


def test_mean_distances_show_copies_if_all_rows_are_compared():
    training, held_out = rows(200, 5), rows(200, 5, seed=1)
    found = memory(training, training, held_out)
    assert found.training == 0.0
    assert found.held_out > 0.9
    assert memory(held_out, training, held_out).memorised == pytest.approx(-1.0)


def test_a_repeated_point_is_not_evidence_of_memorisation():
    pool, one = rows(300, 4), rows(1, 4, seed=5).repeat(100, 1)
    for start in (0, 100, 200):
        held_out = pool[start : start + 100]
        training = torch.cat([pool[:start], pool[start + 100 :]])
        found = memory(one, training, held_out)
        assert abs(found.memorised) < 2 * found.memorised_error


def test_rows_in_both_parts_do_not_count_as_memorised():
    pool = rows(50, 3)
    found = memory(pool, pool, pool[:20])
    # 20 of the 50 samples are as near to a held-out row as to a training row, and the others are copies.
    assert found.memorised == pytest.approx(30 / 50)
    none = memory(pool[:20], pool, pool[:20])
    assert (none.memorised, none.memorised_error) == (pytest.approx(0.0), 0.0)


def test_the_reference_contains_each_row_once(tmp_path, monkeypatch):
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


def test_samplers_and_data_without_held_out_rows_have_no_reference(tmp_path):
    assert Reference.of(open_data("ring", DataOptions(), seed=0), seed=0) is None
    np.save(tmp_path / "points.npy", np.arange(80, dtype=np.float32).reshape(40, 2))
    assert Reference.of(open_data(str(tmp_path / "points.npy"), DataOptions(held_out=0.0), seed=0), seed=0) is None
