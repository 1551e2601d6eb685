"""The Kolmogorov-Smirnov statistic and quantiles of columns, of any type and under heavy tails."""

import datetime
import json

import numpy as np
import pyarrow as pa
import pytest
from scipy.stats import ks_2samp

from wgan.data import open_data
from wgan.data.points import PointsCodec
from wgan.evaluation import Marginal, compare_columns, join_points, marginal, marginals
from wgan.evaluation.marginals import LEVELS, MOST_COORDINATES, coordinates
from wgan.evaluation.metrics import SampleEvaluator
from wgan.settings import DataOptions

RNG = np.random.default_rng


def heavy(num, rng, *, shift=0.0):
    """A log-normal of median 1 whose tail decides its mean."""
    return np.exp(2.5 * rng.normal(size=num)) + shift


def test_ks_shows_a_shifted_median_under_a_heavy_tail():
    """W1 is a third of a standard deviation, its floor half of that; KS is near 1."""
    rng = RNG(0)
    x = np.stack([heavy(4_000, rng), rng.normal(size=4_000)], axis=1)
    y = np.stack([heavy(2_000, rng, shift=12.3), rng.normal(size=2_000) + 0.3], axis=1)
    joint = join_points(x, y, PointsCodec.identity(2))
    found = compare_columns(joint.columns, 2_000, with_floor=True)
    assert [column.name for column in found] == ["x1", "x2"]
    amount, plain = found
    assert amount.deviations < plain.deviations + 0.3
    assert amount.ks > 0.8 > 10 * amount.ks_floor
    assert amount.p_value < 1e-9
    medians = [side[LEVELS.index(0.5)] for side in amount.quantiles]
    assert medians == [pytest.approx(1.0, abs=0.15), pytest.approx(13.3, abs=0.2)]
    assert plain.value == pytest.approx(0.3, abs=0.06)
    assert plain.ks == pytest.approx(ks_2samp(x[:2_000, 1], y[:, 1]).statistic)


@pytest.mark.parametrize(("num", "other"), [(20, 30), (300, 99), (500, 1_000)])
def test_the_statistic_and_its_p_value_are_scipys(num, other):
    x, y = RNG(1).normal(size=num), RNG(2).normal(size=other) + 0.2
    found = marginal("x", pa.array(x), pa.array(y))
    wanted = ks_2samp(x, y, method="exact")
    assert found.ks == pytest.approx(wanted.statistic)
    assert found.p_value == pytest.approx(wanted.pvalue, rel=0.1)


def test_p_values_of_one_distribution_are_even_and_small_ones_no_more_frequent_with_ties():
    rng = RNG(3)
    for draw in (lambda: rng.normal(size=150), lambda: rng.integers(0, 5, 150).astype(float)):
        found = [marginal("x", pa.array(draw()), pa.array(draw())).p_value for _ in range(400)]
        assert np.mean(np.array(found) <= 0.1) <= 0.15


def test_quantiles_are_values_of_the_column():
    values = np.arange(1, 101)
    found = marginal("n", pa.array(values), pa.array(values[::-1]))
    assert found.first == found.second == (1, 5, 25, 50, 75, 95, 99)
    assert (found.ks, found.p_value) == (0.0, 1.0)
    assert all(isinstance(cell, int) for cell in found.first)
    np.testing.assert_array_equal(found.first, np.quantile(values, LEVELS, method="inverted_cdf"))
    (only,) = set(marginal("n", pa.array([7.5]), pa.array([7.5])).first)
    assert only == 7.5


@pytest.mark.parametrize(
    ("cells", "median"),
    [
        (pa.array([datetime.date(2020, 1, day) for day in (3, 1, 2)]), "2020-01-02"),
        (
            pa.array([datetime.datetime(2020, 1, day, 12) for day in (3, 1, 2)], pa.timestamp("s")),
            "2020-01-02 12:00:00",
        ),
        (pa.array([datetime.time(day) for day in (3, 1, 2)], pa.time32("s")), "02:00:00"),
        (pa.array([3_000, 1_000, 2_000], pa.duration("ms")), 2.0),
        (pa.array([2**63 + 3, 2**63 + 1, 2**63 + 2], pa.uint64()), 2**63 + 2),
        (pa.array([True, True, False]), 1),
        (pa.array(["3.50", "1.25", "2.00"]).cast(pa.decimal128(6, 2)), 2.0),
        (pa.array([3.0, None, 1.0, float("nan"), 2.0]), 2.0),
        (pa.array([3, None, 1, 2]).dictionary_encode(), 2),
    ],
)
def test_dates_are_dates_and_whole_numbers_whole(cells, median):
    found = marginal("x", cells, cells)
    assert found.first[LEVELS.index(0.5)] == median
    assert type(found.first[0]) is type(median)
    assert found.ks == 0.0
    assert Marginal.from_json(json.loads(json.dumps(found.as_json()))) == found


def test_a_sample_without_cells_has_no_comparison():
    nothing, some = pa.array([None, None], pa.float64()), pa.array([1.0, 2.0])
    assert marginal("x", nothing, some) is None
    assert marginals({"a": nothing, "b": some}, {"a": some, "b": some, "c": some})[0].name == "b"


@pytest.mark.parametrize(
    "change", [{"ks": None}, {"levels": [0.5]}, {"first": [[1]] * 7}, {"first": None}, {"second": [1.0]}]
)
def test_invalid_json_is_not_read_as_a_marginal(change):
    state = marginal("x", pa.array([1.0, 2.0]), pa.array([1.0, 2.0])).as_json() | change
    with pytest.raises((KeyError, TypeError, ValueError)):
        Marginal.from_json(state)


@pytest.mark.parametrize("dtype", ["float16", ">f8", "longdouble", "bool", "uint8", ">i4", "int64"])
def test_coordinates_of_every_dtype_have_a_name(dtype):
    points = np.array([[0, 1], [1, 1], [1, 0]]).astype(dtype)
    found = coordinates(points)
    assert list(found) == ["x1", "x2"]
    assert [float(cell) for cell in found["x1"].to_pylist()] == [0.0, 1.0, 1.0]


def test_points_of_many_coordinates_are_not_compared_by_column():
    assert len(coordinates(np.zeros((2, MOST_COORDINATES)))) == MOST_COORDINATES
    assert coordinates(np.zeros((2, MOST_COORDINATES + 1))) == {}


def test_an_evaluation_compares_columns_in_the_users_own_units():
    rng = RNG(0)
    age, city = rng.integers(18, 90, 400), rng.choice(["a", "b"], 400)
    table = pa.table({"amount": heavy(400, rng), "age": age, "city": city})
    source = open_data(table, DataOptions(held_out=0.5), seed=0)
    judge = SampleEvaluator(source, size=200, seed=0)

    def draw(num):
        moved = pa.array(heavy(num, RNG(1), shift=12.3))
        return source.codec.encode([moved, pa.array(age[:num]), pa.array(city[:num], pa.large_string())])

    assert "columns" not in judge(draw)
    found = judge(draw, by_column=True)
    amount, other = (Marginal.from_json(state) for state in found["columns"])
    assert (amount.name, other.name) == ("amount", "age")
    assert amount.ks > 0.7
    assert other.ks < 0.2
    middle = LEVELS.index(0.5)
    assert (amount.first[middle], amount.second[middle]) == (pytest.approx(1.0, abs=0.4), pytest.approx(13.3, abs=0.5))
    assert isinstance(other.first[middle], int)
    # Four entries with the one-hot city: sliced W1 is measured in addition to the exact one.
    assert {"w1", "w1_floor", "w1_sliced", "w1_sliced_floor"} <= found.keys()
