import datetime
import decimal
import json
import math

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from wgan.data import codec_from_state, open_data
from wgan.data.columns import Category, Constant, Number
from wgan.data.columns.raw import read_frame
from wgan.data.columns.rounding import decimals_of
from wgan.data.columns.types import type_from_text
from wgan.data.tables.detecting import detect
from wgan.errors import DataError, DataWarning, UsageError
from wgan.randomness import Randomness
from wgan.settings import DataOptions

RNG = np.random.default_rng(0)
PEOPLE = (
    "age,job,income,member,since\n"
    "39,clerk,1250.50,yes,2019-03-01\n"
    "50,nurse,3100.25,no,2020-07-15\n"
    "28,clerk,2000.00,yes,2021-01-31\n"
    "61,cook,990.75,no,2018-11-05\n"
)


def rng(counter=0):
    return Randomness(0).at("test", counter)


@pytest.fixture
def csv(tmp_path):
    def write(text, **options):
        path = tmp_path / "t.csv"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return open_data(path, DataOptions(**options), seed=0)

    return write


def open_frame(frame, **options):
    return open_data(frame, DataOptions(**options), seed=0)


def round_trip(frame, **options):
    """A frame, encoded and decoded by a codec that was restored from its state."""
    detected = detect(read_frame(frame, name="frame"), DataOptions(**options))
    codec = codec_from_state(json.loads(json.dumps(detected.codec.state())))
    assert codec.layout == detected.codec.layout
    encoded = detected.codec.encode(detected.arrays)
    assert encoded.isfinite().all()
    return codec.decode(encoded)


def column_of(source, name):
    return next(column for column in source.codec.columns if column.name == name)


# -- detection ------------------------------------------------------------------------------------------------------


def test_kinds_of_columns_of_a_csv_are_detected(csv):
    source = csv(PEOPLE)
    assert [type(column) for column in source.codec.columns] == [Number, Category, Number, Category, Number]
    assert [column.type for column in source.codec.columns] == ["int64", "string", "double", "string", "date32[day]"]
    assert source.codec.layout.shape == (1 + 3 + 1 + 2 + 1,)
    assert source.codec.layout.groups == ((1, 4), (5, 7))
    assert source.describe().endswith("t.csv: 4 rows, 5 columns (3 numeric, 2 categorical), 1 held out")


def test_a_csv_is_written_back_unchanged(csv, tmp_path):
    source = csv(PEOPLE, held_out=0)
    table = source.codec.decode(source.sample(200, rng()).values)
    pyarrow.csv.write_csv(table, tmp_path / "out.csv", pyarrow.csv.WriteOptions(quoting_style="none"))
    lines = set((tmp_path / "out.csv").read_text().replace('"', "").splitlines())
    assert lines == {line.replace(".50,", ".5,").replace(".00,", ",") for line in PEOPLE.splitlines()}


@pytest.mark.parametrize(
    ("cells", "kind", "how"),
    [
        (["1", "2", "3"], "int64", Number),
        (["+1", " 2", "-3"], "int64", Number),
        (["1", "2", "1"], "int64", Category),
        (["1.0", "2.0", "1.0"], "double", Number),
        (["1e3", ".5", "2."], "double", Number),
        (["18446744073709551615", "0", "7"], "uint64", Number),
        (["99999999999999999999", "0", "7"], "string", Category),
        (["00501", "02139", "10001"], "string", Category),
        (["true", "False", "true"], "string", Category),
        (["2020-01-01", "2021-02-03", "2020-01-02"], "date32[day]", Number),
        (["2020-01-01 10:00:00", "2020-01-02T11:30:00", "2020-02-01"], "timestamp[s]", Number),
        (["2020-01-01T10:00:00.25", "2020-01-02", "2020-01-03"], "timestamp[ms]", Number),
        (["2020-01-01T10:00:00.000001Z", "2020-01-02", "2020-01-03"], "string", Category),
        (["2020-01-01T10:00:00.000001", "2020-01-02", "2020-01-03"], "timestamp[us]", Number),
        (
            ["2020-01-01T10:00:00Z", "2020-01-02T10:00:00+02:00", "2020-01-03T10:00:00Z"],
            "timestamp[s, tz=UTC]",
            Number,
        ),
        (["a", "1", "b"], "string", Category),
        (["NA", "b", "c"], "string", Category),
    ],
)
def test_types_of_text_columns_are_detected(csv, cells, kind, how):
    source = csv("x,y\n" + "".join(f"{cell},{row}\n" for row, cell in enumerate(cells)))
    assert column_of(source, "x").type == kind
    assert isinstance(column_of(source, "x"), how)


@pytest.mark.parametrize(
    ("times", "written"),
    [
        (("2024-01-14 10:00:00", "2024-01-15 11:30:00"), ""),
        (("2024-01-14 10:00:00Z", "2024-01-15 11:30:00Z"), ""),
        (("2024-01-14 10:00:00.250", "2024-01-15 11:30:00.125"), ""),
        (("2024-01-14", "2024-01-16"), ""),
        (("2024-01-14T10:00:00Z", "2024-01-15T11:30:00Z"), "2024-01-14 10:00:00Z"),
        (("2024-01-14 10:00:00+02:00", "2024-01-15 11:30:00+02:00"), "2024-01-14 08:00:00Z"),
    ],
)
def test_times_are_written_back_unchanged_or_the_change_is_noted(csv, times, written):
    source = csv("t,x\n" + f"{times[0]},1\n{times[1]},2\n,3\n" * 3, missing="keep", held_out=0)
    note = f"column 't': times such as {times[0]!r} are written as {written!r}"
    assert source.notes == ((note,) if written else ())
    cells = source.codec.decode(source.sample(50, rng()).values)["t"].cast(pa.string()).to_pylist()
    assert (written or times[0]) in cells
    assert not any(cell and ".000" in cell for cell in cells)


def test_the_user_overrides_what_columns_look_like(csv):
    source = csv(PEOPLE, categorical=("age", "since"), ignore=("job",), numeric=("income",))
    assert [type(column) for column in source.codec.columns] == [Category, Number, Category, Category]
    assert column_of(source, "age").values == ("28", "39", "50", "61")
    assert isinstance(column_of(csv("a,b\n0,x\n1,y\n0,y\n", numeric=("a",)), "a"), Number)
    frame = pa.table({"a": ["1", "2", "30"], "b": [True, False, True], "c": [1.5, 2.5, 1.5]})
    source = open_frame(frame, numeric=("a", "b"), categorical=("c",))
    assert [type(column) for column in source.codec.columns] == [Number, Number, Category]
    assert source.codec.decode(source.sample(50, rng()).values).schema == frame.schema


def test_options_that_name_no_column_are_all_listed(csv):
    with pytest.raises(
        UsageError, match=r"numeric=\[.q.\] names.*ignore=\[.agee.\] .*did you mean 'age'.*\nColumns: 'age'"
    ):
        csv(PEOPLE, ignore=("agee",), numeric=("q",))
    with pytest.raises(UsageError, match="'age' is named under both categorical and numeric"):
        csv(PEOPLE, categorical=("age",), numeric=("age",))
    with pytest.raises(UsageError, match="every column is ignored"):
        csv("a,b\n1,2\n3,4\n", ignore=("a", "b"))
    with pytest.raises(UsageError, match=r"numeric=\[.d.\]: the column's type is dictionary"):
        open_frame(pa.table({"d": pa.array(["1", "2", "3"]).dictionary_encode()}), numeric=("d",))


def test_identifiers_and_too_many_categories_are_refused(csv):
    names = "".join(f"{row},n{row}\n" for row in range(60))
    with pytest.raises(DataError, match=r"column 'b': 60 different values in 60 rows.*\nUse ignore=\[.b.\]"):
        csv("a,b\n" + names)
    assert column_of(csv("a,b\n" + names, categorical=("b",)), "b").width == 60
    with pytest.raises(DataError, match=r"1,001 different values .* more than 1,000 categories"):
        csv("a,b\n" + "".join(f"{row},n{row % 1001}\n" for row in range(3_000)), categorical=("b",))


def test_a_column_of_an_unknown_type_is_refused():
    with pytest.raises(DataError, match=r"column 'l': holds list.*\nUse ignore=\[.l.\]"):
        open_frame(pa.table({"l": [[1], [2]], "x": [1.0, 2.0]}))


# -- the way back ---------------------------------------------------------------------------------------------------

EVERY_TYPE = {
    "int8": pa.array([1, -100, 7, 9], pa.int8()),
    "int64": pa.array([2**20, -5, 0, 3]),
    "float16": pa.array(np.array([0.5, 1.25, 3, 9], np.float16)),
    "float32": pa.array([0.1, 0.2, 0.7, 9.3], pa.float32()),
    "money": pa.array([0.1, 12.25, 3.33, 999.99]),
    "decimal": pa.array([decimal.Decimal(text) for text in ("1.25", "-7.50", "3.00", "0.01")], pa.decimal128(9, 2)),
    "bool": pa.array([True, False, True, True]),
    "text": pa.array(["a", "é\n", "", "a"]),
    "large": pa.array(["x", "y", "x", "y"], pa.large_string()),
    "view": pa.array(["x", "y", "x", "y"], pa.string_view()),
    "dictionary": pa.DictionaryArray.from_arrays(pa.array([2, 0, 2, 0], pa.int8()), ["z", "unseen", "a"], ordered=True),
    "numbered": pa.DictionaryArray.from_arrays(pa.array([0, 1, 1, 0], pa.int32()), [3.5, 1.5]),
    "date32": pa.array([datetime.date(2020, 1, day) for day in (1, 5, 9, 30)]),
    "date64": pa.array([datetime.date(2020, 1, day) for day in (1, 5, 9, 30)], pa.date64()),
    "time": pa.array([datetime.time(hour, 30) for hour in (1, 5, 9, 23)], pa.time32("s")),
    "zoned": pa.array([datetime.datetime(2020, month, 1) for month in (1, 5, 9, 12)], pa.timestamp("us", "Asia/Tokyo")),
    "instant": pa.array([datetime.datetime(2020, 1, 1, 0, 0, s) for s in (1, 3, 9, 50)], pa.timestamp("ns")),
    "duration": pa.array([60, 120, 600, 3600], pa.duration("s")),
    "one": pa.array([datetime.date(2020, 2, 29)] * 4),
    "same": pa.DictionaryArray.from_arrays(pa.array([1, 1, 1, 1], pa.int8()), ["p", "q"]),
}


@pytest.mark.filterwarnings("ignore::wgan.errors.DataWarning")
@pytest.mark.parametrize("missing", [False, True])
@pytest.mark.parametrize("name", EVERY_TYPE)
def test_every_type_is_restored(name, missing):
    array = EVERY_TYPE[name]
    if missing:
        array = pa.concat_arrays([array, pa.nulls(1, array.type)])
    table = pa.table({"x": array, "other": np.arange(float(len(array)))})
    back = round_trip(table, missing="keep")
    assert back.schema.types == table.schema.types
    assert back["x"].to_pylist() == table["x"].to_pylist()
    if pa.types.is_dictionary(array.type):
        assert back["x"].chunk(0).dictionary.to_pylist() == array.dictionary.to_pylist()


@pytest.mark.parametrize("array", EVERY_TYPE.values(), ids=EVERY_TYPE)
def test_types_are_read_from_their_text(array):
    assert type_from_text(str(array.type)) == array.type


@given(
    st.lists(
        st.tuples(
            st.one_of(st.none(), st.integers(-(2**31), 2**31)),
            st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False)),
            st.one_of(st.none(), st.text(st.characters(codec="utf-8"), max_size=3)),
        ),
        min_size=2,
        max_size=12,
    )
)
@pytest.mark.filterwarnings("ignore::wgan.errors.DataWarning")
def test_any_rows_have_finite_encodings_and_are_restored(rows):
    types = {"n": pa.int64(), "x": pa.float64(), "t": pa.string()}
    columns = [pa.array(cells, kind) for cells, kind in zip(zip(*rows, strict=True), types.values(), strict=True)]
    table = pa.table([*columns, pa.array(range(len(rows)))], [*types, "row"])
    back = round_trip(table, missing="keep", categorical=("t",))
    assert back.schema == table.schema
    assert back["t"].to_pylist() == table["t"].to_pylist()
    for name in ("n", "x"):
        before, after = table[name].to_pylist(), back[name].to_pylist()
        assert [cell is None for cell in before] == [cell is None for cell in after]
        low = min((cell for cell in before if cell is not None), default=0)
        high = max((cell for cell in before if cell is not None), default=0)
        for old, new in zip(before, after, strict=True):
            assert old is None or abs(new / 2 - old / 2) <= 1e-5 * (high / 2 - low / 2) + 1e-15 * abs(old) + 0.5 * (
                name == "n"
            ) + (1e-323 if name == "x" else 0)


@pytest.mark.parametrize(
    ("low", "kind"),
    [(2**60, pa.int64()), (-(2**63), pa.int64()), (2**64 - 1000, pa.uint64()), (2**60, pa.timestamp("ns"))],
)
def test_large_whole_numbers_are_restored_exactly(low, kind):
    cells = pa.array(range(low, low + 1000), pa.uint64() if kind == pa.uint64() else pa.int64()).cast(kind)
    table = pa.table({"id": pa.concat_arrays([cells, pa.nulls(1, kind)])})
    assert round_trip(table, missing="keep").equals(table)


def test_whole_numbers_of_a_wide_range_are_restored_exactly():
    table = pa.table({"id": [2**60 + step for step in range(0, 2**23, 997)]})
    assert round_trip(table).equals(table)


def test_the_whole_range_of_int64_stays_within_bounds():
    ends = [-(2**63), 2**63 - 1, 0]
    back = round_trip(pa.table({"id": ends}))["id"].to_pylist()
    np.testing.assert_allclose(np.array(back, float), np.array(ends, float), atol=2**42)


def test_a_column_stored_before_offsets_existed_is_read():
    column = detect(read_frame(pa.table({"x": [1, 5, 9]}), name="frame"), DataOptions()).codec.columns[0]
    assert "offset" not in column.state()
    assert Number.from_state(column.state()).offset == 0


def test_decimals_with_more_digits_than_floats_are_noted():
    cells = [decimal.Decimal(text) for text in ("12345678901234567890.12", "99345678901234567891.50", "7.25")]
    detected = detect(read_frame(pa.table({"d": pa.array(cells, pa.decimal128(25, 2))}), name="frame"), DataOptions())
    assert detected.notes == ("column 'd': decimal128(25, 2) holds more digits than float64; they are rounded",)
    few = pa.table({"d": pa.array([cells[2], decimal.Decimal("0.01")], pa.decimal128(25, 2))})
    assert detect(read_frame(few, name="frame"), DataOptions()).notes == ()
    ends = pa.table({"d": pa.array([decimal.Decimal(10**20 - 1), decimal.Decimal(0)], pa.decimal128(20, 0))})
    with pytest.raises(DataError, match="cannot be written again once rounded"):
        open_frame(ends)


def test_samples_keep_bounds_and_rounding():
    frame = pa.table({"n": [3, 7, 20], "x": [0.25, 1.5, 9.75], "day": pa.array([0, 1, 5], pa.date32())})
    codec = open_frame(frame).codec
    far = codec.decode(torch.tensor([[-9.0, -9.0, -9.0], [9.0, 9.0, 9.0]])).to_pydict()
    assert (far["n"], far["x"]) == ([3, 20], [0.25, 9.75])
    near = codec.decode(torch.randn(500, 3, generator=rng())).to_pydict()
    assert all(isinstance(cell, int) for cell in near["n"])
    assert all(round(cell, 2) == cell for cell in near["x"])
    assert len(set(near["x"])) > 100


def test_instants_at_midnight_stay_at_midnight():
    days = pd.date_range("2020-01-01", periods=30, tz="UTC")
    codec = open_frame(pd.DataFrame({"t": days})).codec
    drawn = codec.decode(torch.randn(200, 1, generator=rng()))["t"].to_pandas()
    assert (drawn == drawn.dt.normalize()).all()
    assert drawn.nunique() > 20
    assert drawn.between(days[0], days[-1]).all()


def test_the_largest_entry_of_a_block_is_the_category(csv):
    codec = csv("c,x\nred,1\nblue,2\ngreen,3\n").codec
    scores = torch.tensor([[0.2, 0.3, 0.5, 0.0], [0.4, 0.3, 0.3, 0.0]])
    assert codec.decode(scores)["c"].to_pylist() == ["red", "blue"]


@pytest.mark.parametrize(
    ("values", "single", "places"),
    [
        ([1.0, 2.0, 300.0], False, 0),
        ([0.1, 2.25], False, 2),
        ([0.1, 0.2], True, 1),
        ([1 / 3, 2.0], False, None),
        ([1e308, 1.0], False, None),
        ([5e-324, 0.0], False, None),
        ([1e6 + 0.0625, 0.0], True, None),
    ],
)
def test_the_number_of_decimals_is_found(values, single, places):
    assert decimals_of(np.array(values), single=single) == places


@pytest.mark.filterwarnings("ignore::wgan.errors.DataWarning")
def test_negative_zero_is_zero():
    assert round_trip(pa.table({"x": [0.0, -0.0, 0.0], "y": [1.5, 2.5, 3.5]}))["x"].to_pylist() == [0.0, 0.0, 0.0]


@pytest.mark.filterwarnings("error")
def test_extreme_numbers_stay_finite(csv):
    source = csv("a,b\n1e308,5e-324\n-1.7e308,0\n1.7e308,1e-323\n", held_out=0)
    assert source.sample(50, rng()).values.isfinite().all()
    decoded = source.codec.decode(torch.tensor([[-1e38, -1e38], [1e38, 1e38]])).to_pydict()
    assert decoded == {"a": [-1.7e308, 1.7e308], "b": [0.0, 1e-323]}


def test_constant_columns_are_reported_and_restored_exactly(csv):
    with pytest.warns(DataWarning, match=r"constant columns \('a', 'k'\)"):
        source = csv("a,k,x\n0.1,k,1.5\n0.1,k,2\n0.1,k,2\n")
    assert isinstance(column_of(source, "a"), Constant)
    assert source.codec.layout.shape == (1,)
    assert source.codec.decode(torch.randn(2, 1)).drop_columns("x").to_pydict() == {"a": [0.1, 0.1], "k": ["k", "k"]}
    with pytest.raises(DataError, match="every column is constant"):
        csv("a,k\n0.1,k\n0.1,k\n")


# -- missing cells --------------------------------------------------------------------------------------------------

HOLES = "a,b\n1,x\n,y\n3,\nNA,x\n5,y\n6,x\n"


def test_missing_cells_are_counted_and_shown(csv):
    with pytest.raises(
        DataError,
        match=r"3 missing.*: line 3 'a' \(missing\), line 4 'b' \(missing\), line 5 'a'.*\nUse missing=.drop.",
    ):
        csv(HOLES)
    with pytest.raises(DataError, match=r"60 missing.*line 2 'a'.*line 6 'a' \(missing\), \.\.\."):
        csv("a,b\n" + ",1\n" * 60 + "1,2\n")


def test_rows_with_missing_cells_are_dropped(csv):
    source = csv(HOLES, missing="drop", held_out=0)
    assert source.size == 3
    assert source.notes == ("3 rows with missing or infinite cells were dropped",)
    with pytest.raises(DataError, match=r"1 row after dropping 3 .*; needs at least 2 rows"):
        csv("a,b\n1,\n2,\n3,\n4,1\n", missing="drop")


def test_missing_cells_are_learnt_and_reproduced(csv):
    source = csv(HOLES, missing="keep", held_out=0)
    assert source.codec.layout.groups == ((1, 3), (3, 6))
    values = source.sample(600, rng()).values
    assert (values[:, 1:3].sum(dim=1) == 1).all()
    assert (values[values[:, 2] == 1, 0] == 0).all()
    table = source.codec.decode(values)
    assert table["a"].null_count / 600 == pytest.approx(2 / 6, abs=0.06)
    assert table["b"].null_count / 600 == pytest.approx(1 / 6, abs=0.06)


def test_infinite_cells_can_only_be_dropped(csv):
    text = "a,b\n1,2\ninf,3\n2,4\n,5\n7,6\n"
    with pytest.raises(DataError, match=r"1 infinite cell: line 3 'a' \(infinite\)\nUse missing=.drop. to leave"):
        csv(text, missing="keep")
    # Keeping would be refused in turn, so it is offered for none of these.
    for bad in (text, text.replace("\n,5", "\n3,5")):
        with pytest.raises(DataError, match=r"or infinite cells: |1 infinite cell: ") as caught:
            csv(bad)
        assert "keep" not in caught.value.remedy
    with pytest.raises(DataError, match="1 row after dropping 2") as caught:
        csv("a,b\ninf,1\n2,2\ninf,3\n", missing="drop")
    assert "keep" not in caught.value.remedy
    assert csv(text, missing="drop", held_out=0).size == 3


def test_the_remedy_offers_keep_for_missing_cells_only(csv):
    for options in ({}, {"missing": "drop"}):
        with pytest.raises(DataError) as caught:
            csv("a,b\n,1\n2,2\n,3\n", **options)
        assert "--missing keep" in caught.value.remedy


def test_nan_counts_as_missing():
    frame = pl.DataFrame({"x": [1.5, float("nan"), 3.25], "y": [1, 2, 4]})
    with pytest.raises(DataError, match=r"1 missing or NaN cell: row 2 'x'"):
        open_frame(frame)
    assert round_trip(frame, missing="keep")["x"].to_pylist() == pytest.approx([1.5, math.nan, 3.25], nan_ok=True)


@pytest.mark.filterwarnings("ignore::wgan.errors.DataWarning")
def test_an_empty_column_is_restored_empty(csv):
    source = csv("a,b\n1,\n2,\n5,\n", missing="keep")
    assert source.codec.decode(torch.zeros(2, 1))["b"].to_pylist() == [None, None]


# -- bad files ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "is empty; needs at least 2 rows"),
        (b"\n\n", "is empty; needs at least 2 rows"),
        (b"a,b\n", "0 rows; needs at least 2 rows"),
        (b"a,b\n1,2\n", "1 row; needs at least 2 rows"),
        (b"a,b\n1,2\n3,4,5\n", "line 3: 3 cells, where the first row has 2"),
        (b'a,b\n1,"two\n\nlines"\n\n3\n', "line 6: 1 cell, where the first row has 2"),
        (b"a,b,a\n1,2,3\n4,5,6\n", r"line 1: the name 'a' comes twice \(columns 1 and 3\)"),
        (b"\n\na,,c\n1,2,3\n4,5,6\n", "line 3: column 2 has no name"),
        (b"1,2.5\n3,4\n5,6\n", "line 1: holds only numbers.*\nUse header=False"),
        (b"a,b\n1,2\n3,\x004\n5,6\n", "line 3: a NUL byte .byte 10.*\nRemove it"),
        (b"a,b\n1,\xe9\n", "not UTF-8: byte 6 is 0xe9"),
        ("a,b\n1,2\n".encode("utf-16"), "not UTF-8: byte 0 is 0xff.*\n.*iconv -f utf-16"),
        (b"a,b\n" + b"x," * 2**20 + b"\xc3", "not UTF-8: byte 2,097,156 is 0xc3"),
        (b"a,b\n1,2\n3,4\n\nx,5\n4,5\ny,6\n5,6\n", "line 5, column 'a': text 'x' and 1 more in a column whose other"),
        (b'a,b\n1,"x\n\ny"\n2,z\nq,w\n3,e\n4,e\n', "line 6, column 'a': text 'q' in a column"),
    ],
)
def test_errors_in_a_csv_name_their_line(csv, text, message):
    with pytest.raises(DataError, match=message):
        csv(text)


def test_decimal_commas_are_read_and_noted(csv):
    source = csv("a;b\n1,5;x\n3,5;y\n4;x,5\n")
    assert [note for note in source.notes if "'a'" in note] == ["column 'a': '1,5' is read as the number 1.5"]
    source = csv("a;b\n" + "".join(f"{row},5;x\n{row},5;y\n" for row in range(1200)))
    assert column_of(source, "a").high == 1199.5


def test_text_in_a_column_that_is_to_be_numeric(csv):
    with pytest.raises(DataError, match=r"line 3, column 'job': text .*clerk.* which numeric names"):
        csv("age,job\n1,7\n2,clerk\n3,cook\n", numeric=("job",))
    with pytest.raises(DataError, match="row 2, column 'a': text 'x' in a column which numeric names"):
        open_frame(pa.table({"a": ["1", "x", "2", "3"]}), numeric=("a",))
    with pytest.raises(DataError, match="line 3, column 'a': text 'x' in a column whose other cells are mostly num"):
        csv("a\n1\nx\n2\n3\n")
    assert csv("a\n1\nx\n2\n3\n", categorical=("a",)).codec.layout.size == 4


def test_text_of_a_typed_table_is_text(tmp_path):
    table = pa.table({"code": ["10", "2A", "30", "10"], "n": [1, 2, 3, 4]})
    pyarrow.parquet.write_table(table, tmp_path / "t.parquet")
    for data in (table, table.to_pandas(), tmp_path / "t.parquet"):
        source = open_data(data, DataOptions(), seed=0)
        assert column_of(source, "code").values == ("10", "2A", "30")


@pytest.mark.parametrize("rest", ["3,z\n", "3,z\n" * 60_000, ""])
def test_a_quote_that_is_never_closed_is_refused(csv, rest):
    with pytest.raises(DataError, match="line 4: a double quote is opened in this row and never closed"):
        csv('\ufeffa,b\n1,"x\ny"\n2,"z\n' + rest)


def test_a_last_cell_of_several_lines_is_valid(csv):
    source = csv('a,b\n1,x\n2,y\n3,"5"" z\nw"\n', held_out=0)
    assert column_of(source, "b").values == ('5" z\nw', "x", "y")


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_separators_byte_order_mark_and_line_endings(csv, separator):
    text = "\ufeffa,b c\r\n1,x\r\n2,y\r\n9,x\r\n".replace(",", separator)
    source = csv(text)
    assert [column.name for column in source.codec.columns] == ["a", "b c"]
    assert source.notes == (() if separator == "," else (f"columns are separated by {separator!r}",))


def test_without_a_header_columns_are_numbered(csv):
    source = csv("1,x\n2,y\n3,y\n", header=False, held_out=0)
    assert [column.name for column in source.codec.columns] == ["column_1", "column_2"]
    assert source.size == 3
    with pytest.raises(DataError, match="line 2 'column_1'"):
        csv("1,x\n,y\n3,y\n", header=False)


def test_a_parquet_file_is_read_and_a_damaged_one_refused(tmp_path):
    path = tmp_path / "t.parquet"
    frame = pd.DataFrame({"x": [1.5, 2.5, 9.0], "c": pd.Categorical(["u", "v", "u"])}, index=[7, 8, 9])
    frame.to_parquet(path)
    source = open_data(path, DataOptions(held_out=0), seed=0)
    assert source.size == 3
    assert source.notes == ("the frame's index is left out",)
    assert source.codec.schema.names == ["x", "c"]
    whole = path.read_bytes()
    for content, message in [
        (b"", "empty file"),
        (whole[:200], "cannot be read as parquet"),
        (b"a,b\n1,2\n", "parquet"),
    ]:
        path.write_bytes(content)
        with pytest.raises(DataError, match=message):
            open_data(path, DataOptions(), seed=0)


# -- frames ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("library", ["pandas", "polars", "arrow"])
def test_frames_of_any_library_are_read(library):
    columns = {"n": [1, 2, 9, 4], "t": ["a", "b", "a", "a"], "x": [0.5, 0.25, 1.0, 9.0]}
    frame = {"pandas": pd.DataFrame, "polars": pl.DataFrame, "arrow": pa.table}[library](columns)
    assert round_trip(frame).to_pydict() == columns
    assert open_frame(frame).describe() == "table data frame: 4 rows, 3 columns (2 numeric, 1 categorical), 1 held out"


def test_invalid_frames_are_refused():
    with pytest.raises(DataError, match="row 2, column 'a': 'x' among values of another type"):
        open_frame(pd.DataFrame({"a": [1, "x", None, 2]}))
    with pytest.raises(DataError, match="Duplicate column names"):
        open_frame(pd.DataFrame(np.ones((3, 2)), columns=["a", "a"]))
    with pytest.raises(DataError, match="the column name 'a' comes twice"):
        open_frame(pa.table([[1, 2], [3, 4]], ["a", "a"]))
    with pytest.raises(DataError, match="has no columns"):
        open_frame(pd.DataFrame())


def test_a_series_is_a_table_of_one_column():
    assert open_frame(pd.Series([1.0, 2.0, 4.0], name="q")).codec.schema.names == ["q"]
    assert open_frame(pl.Series("q", [1.0, 2.0, 4.0])).codec.schema.names == ["q"]


# -- drawing --------------------------------------------------------------------------------------------------------


def test_rows_are_split_and_drawn_as_a_whole():
    frame = pa.table({"n": np.arange(50), "twice": 2 * np.arange(50)})
    source = open_frame(frame, held_out=0.2)
    assert (source.size, source.num_held_out) == (40, 10)
    held = source.codec.decode(source.held_out(99, rng())).to_pydict()
    assert source.distinct(99, rng()).unique(dim=0).shape == (40, source.codec.layout.shape[0])
    train = source.codec.decode(source.sample(2_000, rng()).values).to_pydict()
    assert len(held["n"]) == len(set(held["n"])) == 10
    assert set(held["n"]) | set(train["n"]) == set(range(50))
    assert not set(held["n"]) & set(train["n"])
    assert train["twice"] == [2 * cell for cell in train["n"]]


def test_the_fingerprint_depends_on_the_data_and_the_options(tmp_path, csv):
    first = csv(PEOPLE).fingerprint()
    (tmp_path / "elsewhere.csv").write_text(PEOPLE)
    assert open_data(tmp_path / "elsewhere.csv", DataOptions(), seed=0).fingerprint() == first
    assert csv(PEOPLE, categorical=("age",)).fingerprint() != first
    assert csv(PEOPLE.replace("39", "38")).fingerprint() != first
