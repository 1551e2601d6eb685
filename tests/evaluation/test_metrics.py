import dataclasses

import pytest
import torch

from wgan.batch import Batch, Layout
from wgan.data import open_data
from wgan.errors import UsageError
from wgan.evaluation.metrics import SampleEvaluator, harden, mode_coverage
from wgan.settings import DataOptions
from wgan.transport import exact


@dataclasses.dataclass
class PlainCodec:
    layout: Layout
    unit: float | None = None
    kind: str = "points"


@dataclasses.dataclass
class Normal:
    """Independent standard normal entries."""

    codec: PlainCodec
    size: int | None = None

    def sample(self, size, rng):
        return Batch(torch.randn(size, *self.codec.layout.shape, generator=rng).tanh())

    def held_out(self, size, rng):
        return self.sample(size, rng).values

    def distinct(self, size, rng):
        return self.sample(size, rng).values


def test_coverage_counts_modes_within_three_sigma():
    modes = torch.tensor([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]])
    samples = torch.tensor([[0.0, 0.29], [0.0, 0.31], [10.0, 0.0], [5.0, 5.0]])
    assert mode_coverage(samples, modes, 0.1) == (2, 0.5)


@pytest.mark.parametrize(("name", "num"), [("ring", 8), ("grid", 25)])
def test_real_samples_of_the_toys_are_judged_at_the_floor(name, num):
    source = open_data(name, DataOptions(), seed=0, cache=None)
    judge = SampleEvaluator(source, size=1000, seed=0)
    judged = judge(lambda size: source.sample(size, torch.Generator().manual_seed(3)).values)
    assert judged["modes"] == judged["num_modes"] == num
    # Within 3 sigma in the plane: 1 - exp(-9/2).
    assert judged["high_quality"] == pytest.approx(0.9889, abs=0.012)
    assert 0.5 < judged["w1"] / judged["w1_floor"] < 2
    assert judged["score"] == judged["w1"]


def test_a_collapsed_generator_is_far_above_the_floor():
    source = open_data("ring", DataOptions(), seed=0, cache=None)
    judged = SampleEvaluator(source, size=500, seed=0)(lambda size: source.modes[:1].expand(size, 2))
    assert judged["modes"] == 1
    assert judged["w1"] > 10 * judged["w1_floor"]


def test_distances_are_in_the_units_of_the_data():
    layout = Layout(shape=(2,))
    draw = lambda size: torch.full((size, 2), 0.5)  # noqa: E731
    plain = SampleEvaluator(Normal(PlainCodec(layout)), size=100, seed=0)(draw)
    scaled = SampleEvaluator(Normal(PlainCodec(layout, unit=7.0)), size=100, seed=0)(draw)
    assert scaled["w1"] == pytest.approx(7 * plain["w1"])
    assert scaled["w1_floor"] == pytest.approx(7 * plain["w1_floor"])


def test_images_are_judged_by_sliced_distance_and_repeatably():
    source = Normal(PlainCodec(Layout(shape=(1, 8, 8), bounded=True), kind="images"))
    judge = SampleEvaluator(source, size=200, seed=0)
    good = judge(lambda size: source.sample(size, torch.Generator().manual_seed(9)).values)
    again = judge(lambda size: source.sample(size, torch.Generator().manual_seed(9)).values)
    bad = judge(lambda size: torch.zeros(size, 1, 8, 8))
    assert good == again
    assert good["sliced_w1"] < 1.5 * good["sliced_w1_floor"] < bad["sliced_w1"]


def test_hardening_leaves_numbers_alone():
    values = torch.tensor([[0.3, 0.6, 0.4, -1.0, 0.2, 0.5, 0.3]])
    hard = harden(values, ((1, 3), (4, 7)))
    torch.testing.assert_close(hard, torch.tensor([[0.3, 1.0, 0.0, -1.0, 0.0, 1.0, 0.0]]))
    assert values[0, 1] == pytest.approx(0.6)


def test_nothing_held_out_is_refused_with_the_remedy():
    source = Normal(PlainCodec(Layout(shape=(2,))))
    source.held_out = lambda size, rng: torch.zeros(0, 2)
    with pytest.raises(UsageError, match="no rows were held out") as caught:
        SampleEvaluator(source, size=10, seed=0)
    assert "--held-out" in caught.value.remedy


def test_rounds_average_independent_distances():
    source = open_data("ring", DataOptions(), seed=0, cache=None)
    pool = source.sample(600, torch.Generator().manual_seed(3)).values
    averaged = SampleEvaluator(source, size=200, seed=0, rounds=3)(lambda size: pool[:size])
    held_out = SampleEvaluator(source, size=600, seed=0)._held_out[0].chunk(3)
    singles = [float(exact(part, held).cost) for part, held in zip(pool.split(200), held_out, strict=True)]
    assert averaged["w1"] == pytest.approx(sum(singles) / 3)
    assert max(singles) > min(singles)


def test_the_floor_of_a_finite_set_is_what_a_perfect_generator_scores():
    """Real rows are drawn without repetition: with it, the floor of half-split data is a sixth too high."""
    ratios = []
    for seed in range(12):
        rng = torch.Generator().manual_seed(seed)
        rows = torch.randn(600, 2, generator=rng).numpy()
        source = open_data(rows, DataOptions(held_out=0.5, scaling="none"), seed=seed, cache=None)
        judged = SampleEvaluator(source, size=300, seed=seed)(lambda size, rng=rng: torch.randn(size, 2, generator=rng))
        ratios.append(judged["w1"] / judged["w1_floor"])
    assert sum(ratios) / len(ratios) == pytest.approx(1.0, abs=0.07)
