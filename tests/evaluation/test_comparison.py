"""Two sets of samples compared: each distance against a direct call, floors, p-values, and the joint space."""

import datetime

import numpy as np
import pyarrow as pa
import pytest
import torch

from wgan.data.arrays import open_array
from wgan.data.columns.raw import read_frame
from wgan.data.tables.detecting import detect
from wgan.divergences import divergence, js
from wgan.errors import DataError, NumericError, UsageError
from wgan.evaluation import (
    DISTANCES,
    TableRows,
    chosen,
    compare,
    compare_columns,
    join_images,
    join_points,
    join_tables,
    num_shared,
)
from wgan.evaluation.distances import cells
from wgan.kernels import energy_distance, mmd
from wgan.randomness import Randomness
from wgan.settings import DataOptions
from wgan.transport import exact, gaussian_bound, one_dimensional, sinkhorn_divergence, sliced


def normal(num, size, seed, shift=0.0):
    return torch.randn(num, size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) + shift


X, Y, OTHER = normal(60, 3, 0), normal(60, 3, 1, shift=0.5), normal(60, 3, 2)


@pytest.fixture(scope="module")
def found():
    return {row.name: row for row in compare(X, Y, other=OTHER, num_permutations=99, seed=5)}


def direct(name, x, y, like):
    """The distance by a direct call, with the choices made for the sets of `like`."""
    directions = Randomness(5).at("directions")
    return {
        "w1": lambda: exact(x, y).distance,
        "w2": lambda: exact(x, y, p=2).distance,
        "sliced_w1": lambda: sliced(x, y, directions).distance,
        "sinkhorn": lambda: sinkhorn_divergence(x, y, epsilon=0.05 * torch.cdist(*like).mean().item()).value,
        "gaussian_w2": lambda: gaussian_bound(x, y).distance,
        "mmd": lambda: mmd(x, y, kernel=mmd(*like).kernel).squared,
        "energy": lambda: energy_distance(x, y).squared,
        "total_variation": lambda: divergence(*cells(x, y), "total_variation"),
        "js": lambda: js(*cells(x, y)),
    }[name]()


@pytest.mark.parametrize("name", DISTANCES)
def test_value_and_floor_are_those_of_direct_calls(name, found):
    row = found[name]
    tolerance = 1e-4 if name == "sinkhorn" else 1e-9
    assert row.value == pytest.approx(float(direct(name, X, Y, (X, Y))), rel=tolerance, abs=1e-12)
    assert row.floor == pytest.approx(float(direct(name, X, OTHER, (X, Y))), rel=tolerance, abs=1e-12)
    assert row.num == (60, 60)
    assert row.seconds > 0
    assert row.certificate
    assert row.solver


def test_every_row_has_a_certificate(found):
    assert found["w1"].proof["duality_gap"] == pytest.approx(0.0, abs=1e-12)
    assert found["w2"].plan.shape == (60, 60)
    assert float(found["w1"].plan.masses.sum()) == pytest.approx(1.0)
    assert 0 < found["sliced_w1"].proof["standard_error"] < 0.05
    assert found["sinkhorn"].proof["marginal_error"] <= 1e-3
    assert found["gaussian_w2"].value < found["w2"].value
    assert "lower bound" in found["gaussian_w2"].certificate
    bandwidth = found["mmd"].proof["bandwidth"]
    assert f"bandwidth {bandwidth:.3g} (median)" in found["mmd"].solver
    assert found["total_variation"].value == 1.0
    assert found["js"].value == pytest.approx(np.log(2))
    assert "no sample in both" in found["js"].certificate


TESTED = ("sliced_w1", "mmd", "energy")


def test_only_three_have_p_values_and_they_see_a_shift(found):
    assert {name for name, row in found.items() if row.p_value is not None} == set(TESTED)
    assert [found[name].p_value for name in TESTED] == [0.01] * 3


def test_p_values_of_equal_distributions_are_spread_over_the_interval():
    drawn = [
        [
            row.p_value
            for row in compare(normal(20, 2, seed), normal(20, 2, 50 + seed), only=TESTED, num_permutations=19)
        ]
        for seed in range(40)
    ]
    for values in zip(*drawn, strict=True):
        # 40 draws from a uniform on twenty points: mean 0.525, standard deviation 0.29 / sqrt(40).
        assert 0.35 < np.mean(values) < 0.7
        assert min(values) < 0.3
        assert max(values) > 0.75


def test_a_set_against_itself_is_at_0_and_the_same_call_gives_the_same_numbers():
    rows = compare(X, X, num_permutations=19)
    for row in rows:
        assert row.value == pytest.approx(0.0, abs=2e-7) or row.name == "mmd"
        assert row.floor is None
        assert row.p_value in (None, 1.0)
    again = compare(X, X, num_permutations=19)
    assert [(row.value, row.p_value) for row in rows] == [(row.value, row.p_value) for row in again]


def test_a_subset_of_the_rows_has_the_same_numbers(found):
    (row,) = compare(X, Y, other=OTHER, only=["sliced-w1"], num_permutations=99, seed=5)
    assert (row.value, row.floor, row.p_value) == tuple(
        getattr(found["sliced_w1"], name) for name in ("value", "floor", "p_value")
    )


def test_images_and_unequal_sizes_are_accepted():
    rows = compare(X.reshape(60, 3, 1).numpy(), Y[:20], num_permutations=9)
    assert {row.num for row in rows} == {(60, 20)}
    assert rows[0].value == pytest.approx(float(exact(X, Y[:20]).distance))


def test_progress_is_called_before_each_distance():
    heard = []
    compare(X[:5], Y[:5], only=["w1", "js"], progress=heard.append)
    assert heard == ["exact W1", "Jensen-Shannon"]


@pytest.mark.parametrize(
    ("x", "y", "more", "kind", "message"),
    [
        (X, Y[:, :2], {}, UsageError, "samples of 3 numbers"),
        (X, Y, {"other": OTHER[:30]}, UsageError, "as many other samples as there are in y: 60, not 30"),
        (X, Y, {"only": ["jss"]}, UsageError, "no distance 'jss'.*\n.*Did you mean 'js'"),
        (X, Y, {"num_permutations": -1}, UsageError, "at least 0, not -1"),
        (X[:1], Y, {}, UsageError, "at least 2 samples, not 1 and 60"),
        (X, Y * torch.nan, {}, NumericError, "NaN"),
    ],
)
def test_bad_arguments(x, y, more, kind, message):
    with pytest.raises(kind, match=message):
        compare(x, y, **more)


def test_more_pairs_than_memory_holds_are_refused(monkeypatch):
    monkeypatch.setattr("wgan.transport.measures.available", lambda: 2**28)
    many = torch.arange(2000.0)
    with pytest.raises(UsageError, match=r"comparing 2,000 with 2,000 samples needs 0\.3 GiB"):
        compare(many, many)
    assert compare(many, many, only=["js"])[0].value == 0


def test_covariances_of_very_many_dimensions_are_compared_only_if_asked():
    assert "gaussian_w2" in chosen([], 1500)
    assert "gaussian_w2" not in chosen([], 1501)
    assert chosen(["js", "gaussian-w2"], 5000) == ("gaussian_w2", "js")


def test_shared_samples_are_counted_to_the_last_bit():
    pooled = torch.cat([X[:7], Y])
    assert num_shared(X, pooled) == 7
    assert num_shared(X, pooled + 1e-15) < 7
    assert num_shared([[0.0], [1.0], [1.0]], [[-0.0], [1.0]]) == 3


def test_cells_are_the_empirical_distributions():
    p, q = cells(torch.tensor([[1.0], [2.0], [1.0], [3.0]]), torch.tensor([[2.0], [4.0]]))
    assert sorted(zip(p.tolist(), q.tolist(), strict=True)) == [(0, 0.5), (0.25, 0), (0.25, 0.5), (0.5, 0)]


def points_codec(array, **options):
    return open_array(array, DataOptions(held_out=0.0, **options), name="array", seed=0).codec


def test_points_keep_the_units_of_the_data():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(50, 2)) * 100, rng.normal(size=(40, 2)) * 100
    joint = join_points(x, y, points_codec(x))
    np.testing.assert_array_equal(joint.x, x)
    np.testing.assert_array_equal(joint.y, y)
    assert joint.unit == "one unit of the data"


def test_points_of_uneven_columns_are_in_standard_deviations_of_the_first():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(500, 2)) * [1, 1000], rng.normal(size=(40, 2)) * [3, 3000]
    joint = join_points(x, y, points_codec(x))
    np.testing.assert_allclose(joint.x.std(axis=0), 1.0, rtol=1e-6)
    np.testing.assert_allclose(joint.y, y / x.std(axis=0), rtol=1e-6)
    assert "standard deviation" in joint.unit
    np.testing.assert_array_equal(join_points(x, y, points_codec(x, scaling="none")).y, y)


@pytest.mark.filterwarnings("ignore:.*constant columns")
def test_a_column_that_is_constant_in_the_first_still_counts():
    x, y = np.array([[0.0, 1], [1, 1]]), np.array([[0.0, 4], [1, 4]])
    joint = join_points(x, y, points_codec(x))
    assert float(exact(joint.x, joint.y).distance) == pytest.approx(3.0)


def test_large_integers_keep_their_differences():
    x, y = np.array([[2**62, 5], [2**62 + 1, 6]]), np.array([[2**62 + 3, 5], [2**62 + 4, 6]])
    joint = join_points(x, y, points_codec(x))
    assert float(exact(joint.x, joint.y).distance) == pytest.approx(3.0)


def test_points_of_other_dimensions_or_beyond_squares_are_refused():
    x = np.eye(3)
    with pytest.raises(DataError, match="A has 3 columns and B has 2"):
        join_points(x, x[:, :2], points_codec(x))
    with pytest.raises(DataError, match=r"overflow float64\n.*scaling=.each."):
        join_points(x * 1e200, x, points_codec(x * 1e200))


def test_images_are_pixels_from_minus_one_to_one():
    black, white = np.zeros((2, 4, 5, 1), np.uint8), np.full((2, 4, 5, 1), 255, np.uint8)
    joint = join_images(black, white)
    assert joint.x.shape == (2, 20)
    assert (joint.x.max(), joint.y.min()) == (-1.0, 1.0)
    with pytest.raises(DataError, match=r"4x5x1 and B of 4x5x3\nUse mode=.L. to"):
        join_images(black, np.zeros((2, 4, 5, 3), np.uint8))
    with pytest.raises(DataError, match=r"Use size=\(4, 5\) mode=.L. to"):
        join_images(black, np.zeros((2, 5, 5, 3), np.uint8))


def rows(**columns):
    options = columns.pop("options", DataOptions(held_out=0.0, missing="keep"))
    found = detect(read_frame(pa.table(columns), name="frame"), options)
    return TableRows(columns=found.codec.columns, arrays=tuple(found.arrays))


def test_tables_are_standardised_by_the_first_whatever_the_order_of_columns():
    age, other = np.array([20.0, 40, 60, 80]), np.array([30.5, 30.5, 50])
    joint = join_tables(rows(age=age, city=["a", "b", "a", "b"]), rows(city=["b", "c", "c"], age=other))
    np.testing.assert_allclose(joint.x[:, 0] * age.std(), age)
    np.testing.assert_allclose(joint.y[:, 0] * age.std(), other)
    # Another category counts the square root of 2, one that only the second has among them.
    np.testing.assert_array_equal(joint.x[:, 1:], np.eye(3)[[0, 1, 0, 1]])
    np.testing.assert_array_equal(joint.y[:, 1:], np.eye(3)[[1, 2, 2]])


def test_missing_cells_on_one_side_are_a_difference():
    joint = join_tables(rows(n=[1.0, 2, 3, 4], c=["a", "b"] * 2), rows(n=[1.0, None, 9, None], c=["a", None] * 2))
    assert joint.x.shape[1] == 3 + 3
    assert joint.y[:, 2].tolist() == [0, 1, 0, 1]
    found = {column.name: column for column in compare_columns(joint.columns, 4, with_floor=False)}
    number, category = found["n"], found["c"]
    assert number.missing == category.missing == (0.0, 0.5)
    assert number.value == pytest.approx(one_dimensional([1.0, 2, 3, 4], [1.0, 9]).item())
    assert category.value == pytest.approx(0.5)


def test_columns_are_compared_in_their_own_units_the_furthest_first():
    rng = np.random.default_rng(0)
    day = [datetime.date(2020, 1, 1) + datetime.timedelta(int(step)) for step in range(40)]
    later = [date + datetime.timedelta(3) for date in day]
    x, y = rng.normal(size=40) * 1000, rng.normal(size=40) * 1000 + 5000
    city = ["a"] * 20 + ["b"] * 20
    joint = join_tables(rows(x=x, day=day, city=city), rows(x=y, day=later, city=["a"] * 10 + ["b"] * 30))
    found = compare_columns(joint.columns, 20, with_floor=True)
    assert [column.name for column in found] == ["x", "day", "city"]
    by_name = {column.name: column for column in found}
    assert by_name["x"].value == pytest.approx(one_dimensional(x[:20], y).item())
    assert by_name["x"].floor == pytest.approx(one_dimensional(x[:20], x[20:]).item())
    assert by_name["x"].deviations == pytest.approx(by_name["x"].value / x.std())
    assert (by_name["day"].floor, by_name["day"].unit) == (pytest.approx(20.0), "days")
    assert (by_name["city"].distance, by_name["city"].value, by_name["city"].floor) == ("TV", 0.75, 1.0)


@pytest.mark.filterwarnings("ignore:.*constant columns")
def test_constant_columns_of_tables():
    n = [1.0, 2, 3]
    same = join_tables(rows(n=n, k=["a"] * 3), rows(n=n, k=["a"] * 3))
    assert [column.name for column in same.columns] == ["n"]
    other = join_tables(rows(n=n, k=["a"] * 3, m=[5] * 3), rows(n=n, k=["b"] * 3, m=[7] * 3))
    found = {column.name: column for column in compare_columns(other.columns, 3, with_floor=False)}
    assert (found["k"].value, found["m"].value) == (1.0, pytest.approx(2.0))
    varying = join_tables(rows(n=n, m=[5.0] * 3), rows(n=n, m=[5.0, 6, 7]))
    found = {column.name: column for column in compare_columns(varying.columns, 3, with_floor=False)}
    assert found["m"].value == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        ({"a": [1.0, 2]}, {"b": [1.0, 2]}, "only A has 'a'; only B has 'b'"),
        ({"a": [1.0, 2], "b": [1, 3]}, {"b": [1, 3]}, "different columns: only A has 'a'"),
        ({"a": [1.0, 2]}, {"a": ["x", "y"]}, "column 'a' holds numbers in A and text in B"),
        ({"a": [True, False]}, {"a": ["x", "y"]}, "column 'a' holds true and false in A and text in B"),
        (
            {"a": [datetime.date(2020, 1, 1), datetime.date(2021, 1, 1)]},
            {"a": [1.0, 2.0]},
            "'a' holds date32.day. in A and numbers",
        ),
    ],
)
def test_tables_that_cannot_be_compared(x, y, message):
    with pytest.raises(DataError, match=message):
        join_tables(rows(**x), rows(**y))


@pytest.mark.filterwarnings("ignore:.*constant columns")
def test_dates_of_different_types_are_compared_in_the_first_type():
    day = [datetime.date(2020, 1, day) for day in (1, 2, 3)]
    moments = pa.array([datetime.datetime(2020, 1, day) for day in (2, 3, 4)], pa.timestamp("us"))
    joint = join_tables(rows(when=day), rows(when=moments))
    (column,) = compare_columns(joint.columns, 3, with_floor=False)
    assert (column.value, column.unit) == (pytest.approx(1.0), "days")
