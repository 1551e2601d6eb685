import dataclasses
import json
import math
from pathlib import Path

import pytest
import torch

from wgan import runs
from wgan.batch import Batch, Layout
from wgan.cli.runs import evaluation_lines
from wgan.data import open_data
from wgan.errors import UsageError
from wgan.evaluation.metrics import METRICS, Metric, SampleEvaluator, harden, mode_coverage
from wgan.report import write_report
from wgan.settings import DataOptions, Settings
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
def test_real_samples_of_the_toys_score_about_the_floor(name, num):
    source = open_data(name, DataOptions(), seed=0, cache=None)
    evaluate = SampleEvaluator(source, size=1000, seed=0)
    found = evaluate(lambda size: source.sample(size, torch.Generator().manual_seed(3)).values)
    assert found["modes"] == found["num_modes"] == num
    # Within 3 sigma in the plane: 1 - exp(-9/2).
    assert found["high_quality"] == pytest.approx(0.9889, abs=0.012)
    assert 0.5 < found["w1"] / found["w1_floor"] < 2
    assert found["score"] == found["w1"]


def test_a_collapsed_generator_is_far_above_the_floor():
    source = open_data("ring", DataOptions(), seed=0, cache=None)
    found = SampleEvaluator(source, size=500, seed=0)(lambda size: source.modes[:1].expand(size, 2))
    assert found["modes"] == 1
    assert found["w1"] > 10 * found["w1_floor"]


def test_distances_are_in_the_units_of_the_data():
    layout = Layout(shape=(2,))
    draw = lambda size: torch.full((size, 2), 0.5)  # noqa: E731
    plain = SampleEvaluator(Normal(PlainCodec(layout)), size=100, seed=0)(draw)
    scaled = SampleEvaluator(Normal(PlainCodec(layout, unit=7.0)), size=100, seed=0)(draw)
    assert scaled["w1"] == pytest.approx(7 * plain["w1"])
    assert scaled["w1_floor"] == pytest.approx(7 * plain["w1_floor"])


def test_images_have_a_sliced_distance_and_equal_samples_equal_numbers():
    source = Normal(PlainCodec(Layout(shape=(1, 8, 8), bounded=True), kind="images"))
    evaluate = SampleEvaluator(source, size=200, seed=0)
    good = evaluate(lambda size: source.sample(size, torch.Generator().manual_seed(9)).values)
    again = evaluate(lambda size: source.sample(size, torch.Generator().manual_seed(9)).values)
    bad = evaluate(lambda size: torch.zeros(size, 1, 8, 8))
    assert good == again
    assert good["sliced_w1"] < 1.5 * good["sliced_w1_floor"] < bad["sliced_w1"]


def test_hardening_changes_one_hot_groups_only():
    values = torch.tensor([[0.3, 0.6, 0.4, -1.0, 0.2, 0.5, 0.3]])
    hard = harden(values, ((1, 3), (4, 7)))
    torch.testing.assert_close(hard, torch.tensor([[0.3, 1.0, 0.0, -1.0, 0.0, 1.0, 0.0]]))
    assert values[0, 1] == pytest.approx(0.6)


def test_without_held_out_rows_it_is_refused_with_a_remedy():
    source = Normal(PlainCodec(Layout(shape=(2,))))
    source.held_out = lambda size, rng: torch.zeros(0, 2)
    with pytest.raises(UsageError, match="no rows were held out") as caught:
        SampleEvaluator(source, size=10, seed=0)
    assert "--held-out" in caught.value.remedy


def test_repeats_average_independent_distances():
    source = open_data("ring", DataOptions(), seed=0, cache=None)
    pool = source.sample(600, torch.Generator().manual_seed(3)).values
    averaged = SampleEvaluator(source, size=200, seed=0, repeats=3)(lambda size: pool[:size])
    held_out = SampleEvaluator(source, size=600, seed=0)._held_out[0].chunk(3)
    singles = [float(exact(part, real).cost) for part, real in zip(pool.split(200), held_out, strict=True)]
    assert averaged["w1"] == pytest.approx(sum(singles) / 3)
    assert max(singles) > min(singles)


def test_the_floor_of_a_finite_set_is_the_score_of_a_perfect_generator():
    """Real rows are drawn without repetition: with it, the floor of half-split data is a sixth too high."""
    ratios = []
    for seed in range(12):
        rng = torch.Generator().manual_seed(seed)
        rows = torch.randn(600, 2, generator=rng).numpy()
        source = open_data(rows, DataOptions(held_out=0.5, scaling="none"), seed=seed, cache=None)
        found = SampleEvaluator(source, size=300, seed=seed)(lambda size, rng=rng: torch.randn(size, 2, generator=rng))
        ratios.append(found["w1"] / found["w1_floor"])
    assert sum(ratios) / len(ratios) == pytest.approx(1.0, abs=0.07)


def test_a_new_number_is_one_row(monkeypatch, tmp_path):
    """It is measured, recorded, shown on the command line and in the report, and documented."""
    monkeypatch.setitem(
        METRICS,
        "mean_shift",
        Metric(
            title="shift of the mean",
            unit="1",
            meaning="The distance between the means.",
            better="lower",
            applies=lambda sets: not sets.is_image,
            measure=lambda sets: float((sets.pairs[0][0].mean(dim=0) - sets.pairs[0][1].mean(dim=0)).norm()),
        ),
    )
    monkeypatch.setitem(
        METRICS,
        "spread",
        Metric(
            title="spread",
            unit="1",
            meaning="The standard deviation of the samples.",
            better="higher",
            applies=lambda sets: True,
            measure=lambda sets: float(sets.samples.std()),
            has_floor=False,
            shown=lambda numbers: f"{numbers['spread']:.2f}",
        ),
    )
    small = "mlp:width=8,depth=1"
    settings = Settings(
        data="ring", steps=2, batch_size=16, generator=small, critic=small, eval_size=50, diagnose="off"
    )
    with runs.begin(settings, tmp_path / "run") as run:
        evaluation = list(run.run())[-1].evaluation
    recorded = json.loads((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()[-1])
    for name in ("mean_shift", "mean_shift_floor", "spread"):
        assert recorded[name] == evaluation[name] > 0
    assert "spread_floor" not in recorded
    assert recorded["score"] == recorded["w1"]
    said = "\n".join(evaluation_lines(evaluation))
    assert "shift of the mean: " in said
    assert f"spread: {evaluation['spread']:.2f}" in said
    page = write_report(tmp_path / "run").read_text()
    assert "shift of the mean" in page
    assert f"Spread: {evaluation['spread']:.2f}." in page
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "docs"))
    from build import metric_table

    assert "| `mean_shift` | shift of the mean | 1 | lower | The distance between the means. |" in metric_table()


@pytest.fixture(scope="module")
def numbers():
    """The numbers of samples near their data, for points in the plane, points in five dimensions and images."""
    images = PlainCodec(Layout(shape=(1, 8, 8), bounded=True), kind="images")
    sources = (
        open_data("ring", DataOptions(), seed=0, cache=None),
        Normal(PlainCodec(Layout(shape=(5,)))),
        Normal(images),
    )
    found = {}
    for source in sources:
        rng = torch.Generator().manual_seed(1)
        found |= SampleEvaluator(source, size=60, seed=0)(lambda size, s=source, r=rng: s.sample(size, r).values)
    return found


@pytest.mark.parametrize("name", [name for name in METRICS if not name.startswith("kernel_distance_")])
def test_every_number_is_measured_for_some_data(numbers, name):
    """Distances between features take a minute and have a separate test."""
    assert math.isfinite(numbers[name])
    assert (f"{name}_floor" in numbers) == METRICS[name].has_floor
