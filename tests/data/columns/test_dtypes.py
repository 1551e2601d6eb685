"""Every dtype of pandas, polars and Arrow is restored by a model, or refused before training.

Nothing is trained: the way there and back goes through what a run and a saved model keep, as JSON.
"""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import json
import uuid
import zoneinfo
from typing import Any

import dateutil.tz
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import torch

from wgan import WGAN
from wgan.data import codec_from_state, conditions_from_state, open_data
from wgan.data.source import decode_batch
from wgan.errors import DataError
from wgan.estimator.forms import Form, form_of, readable
from wgan.estimator.keeping import _with_tuples
from wgan.settings import DataOptions

N = 12
WHOLE = np.arange(N) * 3 - 5
NATURAL = np.arange(N) % 5
LETTERS = list("abc") * 4
DAYS = pd.Series(pd.date_range("2024-03-01", periods=N))
NUMBERS = np.linspace(-1, 1, N).round(2)
GAPS = np.arange(N) % 4 == 0


def back_from(data: Any, **options) -> tuple[Any, torch.Tensor]:
    """The rows of a frame, encoded and decoded by a codec that was stored and read, and their order."""
    form = form_of(data)
    reading = DataOptions(**{"missing": "keep", "held_out": 0.0, **options})
    source = open_data(readable(data), reading, seed=0)
    rows = source.labelled("train", N, torch.Generator().manual_seed(0))
    form.refuse_lost_types(data, decode_batch(source.codec, source.conditions, rows, source.codec.restore))
    codec = codec_from_state(json.loads(json.dumps(source.codec.state())))
    kept = None if source.conditions is None else json.loads(json.dumps(source.conditions.state()))
    noted = json.loads(json.dumps(dataclasses.asdict(form)))
    form = Form(**{name: _with_tuples(value) for name, value in noted.items()})
    back = form.restore(decode_batch(codec, conditions_from_state(kept), rows, codec.restore))
    return back, torch.randperm(N, generator=torch.Generator().manual_seed(0))


def are_alike(came: list[Any], back: list[Any]) -> bool:
    """Whether cells are equal (floats up to rounding) and of the same class; missing cells are equal."""
    return len(came) == len(back) and all(
        type(x) is type(y) and (x is y or x == y or (isinstance(x, float) and y == pytest.approx(x, nan_ok=True)))
        for x, y in zip(came, back, strict=True)
    )


def gappy(values: Any, marker: Any) -> list[Any]:
    return [marker if gap else value for value, gap in zip(values, GAPS, strict=True)]


def arrow(values: Any, kind: pa.DataType) -> pd.Series:
    return pd.Series(pd.arrays.ArrowExtensionArray(pa.array(values, kind)))


MONEY = [decimal.Decimal(f"{number}.25") for number in range(N)]
OF_DATES = [datetime.date(2024, 1, day) for day in range(1, N + 1)]
OF_TIMES = [datetime.time(hour, 30) for hour in range(N)]
OF_STEPS = [datetime.timedelta(minutes=5 * number) for number in range(N)]
OF_INSTANTS = [datetime.datetime(2024, 1, 1, hour) for hour in range(N)]

PANDAS: dict[str, pd.Series] = {
    **{f"int{bits}": pd.Series(WHOLE, dtype=f"int{bits}") for bits in (8, 16, 32, 64)},
    **{f"uint{bits}": pd.Series(NATURAL, dtype=f"uint{bits}") for bits in (8, 16, 32, 64)},
    **{f"float{bits}": pd.Series(NUMBERS, dtype=f"float{bits}") for bits in (16, 32, 64)},
    "float64 with NaN": pd.Series(np.where(GAPS, np.nan, NUMBERS)),
    "bool": pd.Series(GAPS),
    **{f"Int{bits}": pd.Series(gappy(WHOLE, None), dtype=f"Int{bits}") for bits in (8, 16, 32, 64)},
    **{f"UInt{bits}": pd.Series(gappy(NATURAL, None), dtype=f"UInt{bits}") for bits in (8, 16, 32, 64)},
    **{f"Float{bits}": pd.Series(gappy(NUMBERS, None), dtype=f"Float{bits}") for bits in (32, 64)},
    "boolean": pd.Series(gappy([True, False] * 6, None), dtype="boolean"),
    "str": pd.Series(LETTERS),
    "string[python], NA": pd.Series(gappy(LETTERS, None), dtype="string[python]"),
    "string[pyarrow], NA": pd.Series(gappy(LETTERS, None), dtype="string[pyarrow]"),
    "string[python], NaN": pd.Series(gappy(LETTERS, None), dtype=pd.StringDtype("python", na_value=np.nan)),
    "string[pyarrow], NaN": pd.Series(gappy(LETTERS, None), dtype=pd.StringDtype("pyarrow", na_value=np.nan)),
    **{f"datetime64[{unit}]": DAYS.astype(f"datetime64[{unit}]") for unit in ("s", "ms", "us", "ns")},
    "datetime64 with NaT": DAYS.where(~GAPS),
    "zone": DAYS.dt.tz_localize("Europe/Berlin"),
    "zone, NaT": DAYS.where(~GAPS).dt.tz_localize("Europe/Berlin"),
    "zone of zoneinfo": DAYS.dt.tz_localize(zoneinfo.ZoneInfo("Asia/Tokyo")),
    "zone of dateutil": DAYS.dt.tz_localize("dateutil/Europe/Berlin"),
    "UTC": DAYS.dt.tz_localize("UTC"),
    "UTC of datetime": DAYS.dt.tz_localize(datetime.UTC),
    "UTC of dateutil": DAYS.dt.tz_localize(dateutil.tz.tzutc()),
    "offset": DAYS.dt.tz_localize(datetime.timezone(datetime.timedelta(hours=-3))),
    **{f"timedelta64[{unit}]": pd.Series(OF_STEPS).astype(f"timedelta64[{unit}]") for unit in ("s", "ms", "us", "ns")},
    "timedelta64 with NaT": pd.Series(pd.to_timedelta(gappy(OF_STEPS, None))),
    "category": pd.Series(pd.Categorical(LETTERS, categories=["c", "unseen", "a", "b"])),
    "ordered category": pd.Series(pd.Categorical(gappy(LETTERS, None), categories=list("cba"), ordered=True)),
    "category of whole numbers": pd.Series(pd.Categorical(NATURAL)),
    "category of Int64": pd.Series(pd.array(NATURAL, dtype="Int64")).astype("category"),
    "category of bool": pd.Series(pd.Categorical(GAPS)),
    "category of dates": pd.Series(list(DAYS[:3]) * 4).astype("category"),
    "category of dates in zones": pd.Series(list(DAYS[:3].dt.tz_localize("Europe/Berlin")) * 4).astype("category"),
    "category of string[python]": pd.Series(LETTERS, dtype="string[python]").astype("category"),
    "category of objects": pd.Series(LETTERS, dtype=object).astype("category"),
    "constant category": pd.Series(pd.Categorical(["a"] * N, categories=["c", "a", "b"])),
    "empty category": pd.Series(pd.Categorical([None] * N, categories=["c", "a"], ordered=True)),
    "offset with a name": DAYS.dt.tz_localize(datetime.timezone(datetime.timedelta(hours=2), "Foo")),
    "offset of dateutil": DAYS.dt.tz_localize(dateutil.tz.tzoffset(None, 3600)),
    "zone of this machine": DAYS.dt.tz_localize(dateutil.tz.tzlocal()),
    "objects: str": pd.Series(LETTERS, dtype=object),
    "objects: str and None": pd.Series(gappy(LETTERS, None), dtype=object),
    "objects: str and NaN": pd.Series(gappy(LETTERS, np.nan), dtype=object),
    "objects: str and NA": pd.Series(gappy(LETTERS, pd.NA), dtype=object),
    "objects: int": pd.Series(NATURAL.tolist(), dtype=object),
    "objects: 1 and None": pd.Series(gappy([1] * N, None), dtype=object),
    "objects: int64 and None": pd.Series(gappy(WHOLE, None), dtype=object),
    "objects: float and None": pd.Series(gappy(NUMBERS.tolist(), None), dtype=object),
    "objects: bool and None": pd.Series(gappy([True, False] * 6, None), dtype=object),
    "objects: Decimal": pd.Series(gappy(MONEY, None), dtype=object),
    "objects: date": pd.Series(gappy(OF_DATES, None), dtype=object),
    "objects: time": pd.Series(gappy(OF_TIMES, None), dtype=object),
    "objects: datetime": pd.Series(gappy(OF_INSTANTS, None), dtype=object),
    "objects: Timestamp and NaT": pd.Series(gappy(list(map(pd.Timestamp, OF_INSTANTS)), pd.NaT), dtype=object),
    "objects: timedelta": pd.Series(gappy(OF_STEPS, None), dtype=object),
    "objects: int64 of NumPy": pd.Series(gappy(NATURAL, None), dtype=object),
    "objects: Timestamp in a zone": pd.Series([pd.Timestamp(at, tz="Asia/Tokyo") for at in OF_INSTANTS], dtype=object),
    "objects: nothing": pd.Series([None] * N, dtype=object),
    "Arrow int8": arrow(gappy(NATURAL, None), pa.int8()),
    "Arrow uint64": arrow(gappy(NATURAL, None), pa.uint64()),
    "Arrow float": arrow(gappy(NUMBERS, None), pa.float32()),
    "Arrow double": arrow(gappy(NUMBERS, None), pa.float64()),
    "Arrow NaN": arrow(gappy(NUMBERS, float("nan")), pa.float64()),
    "Arrow bool": arrow(gappy([True, False] * 6, None), pa.bool_()),
    "Arrow string": arrow(gappy(LETTERS, None), pa.string()),
    "Arrow large_string": arrow(LETTERS, pa.large_string()),
    "Arrow decimal": arrow(gappy(MONEY, None), pa.decimal128(10, 2)),
    "Arrow decimal256": arrow(MONEY, pa.decimal256(40, 2)),
    "Arrow date32": arrow(gappy(OF_DATES, None), pa.date32()),
    "Arrow date64": arrow(OF_DATES, pa.date64()),
    "Arrow time32": arrow(OF_TIMES, pa.time32("s")),
    "Arrow time64": arrow(OF_TIMES, pa.time64("ns")),
    "Arrow timestamp": arrow(gappy(OF_INSTANTS, None), pa.timestamp("ms")),
    "Arrow timestamp in a zone": arrow(OF_INSTANTS, pa.timestamp("us", "Europe/Berlin")),
    "Arrow duration": arrow(OF_STEPS, pa.duration("s")),
    "Arrow dictionary": arrow(gappy(LETTERS, None), pa.dictionary(pa.int32(), pa.string())),
    "Arrow null": arrow([None] * N, pa.null()),
}


@pytest.mark.filterwarnings("ignore::wgan.errors.DataWarning")
@pytest.mark.parametrize("name", PANDAS)
def test_every_dtype_of_pandas_is_restored(name):
    frame = pd.DataFrame({"c": PANDAS[name], "x": np.arange(float(N))})
    back, order = back_from(frame)
    expected = frame.iloc[order.tolist()].reset_index(drop=True)
    assert back["c"].dtype == expected["c"].dtype
    assert type(back["c"].array) is type(expected["c"].array)
    assert are_alike(expected["c"].tolist(), back["c"].tolist())
    assert str(getattr(back["c"].dtype, "tz", "")) == str(getattr(frame["c"].dtype, "tz", ""))
    if frame["c"].dtype == "category":
        pd.testing.assert_index_equal(back["c"].cat.categories, frame["c"].cat.categories, exact="equiv")
        assert back["c"].cat.ordered == frame["c"].cat.ordered


REFUSED_OF_PANDAS: dict[str, tuple[Any, str]] = {
    "period": (DAYS.dt.to_period("D"), "column 'c': holds extension<pandas.period"),
    "interval": (pd.Series(pd.cut(WHOLE, 3)), "column 'c': holds dictionary<values=extension<pandas.interval"),
    "sparse": (pd.Series(NATURAL).astype("Sparse[int]"), r"Sparse pandas data \(column c\) not supported"),
    "big-endian": (pd.Series(WHOLE.astype(">i8")), "Byte-swapped arrays not supported"),
    "complex": (pd.Series(WHOLE.astype(complex)), "column c with type complex128"),
    "longdouble": (pd.Series(WHOLE.astype(np.longdouble)), "column c with type float128|longdouble"),
    "bytes": (pd.Series([b"a", b"b"] * 6), "column 'c': holds binary"),
    "lists": (pd.Series([[1], [2]] * 6), "column 'c': holds list"),
    "dictionaries": (pd.Series([{"a": 1}, {"a": 2}] * 6), "column 'c': holds struct"),
    "uuids": (pd.Series([uuid.UUID(int=number) for number in range(N)]), "column 'c'|cannot be read"),
    "mixed": (pd.Series([1, 2.5] * 6, dtype=object), r"column 'c'.* Python objects of several types \(float, int\)"),
    "mixed with text": (pd.Series([1, "a"] * 6, dtype=object), "row 2, column 'c': 'a' among values of another type"),
    "huge": (pd.Series([10**30 + number for number in range(N)], dtype=object), "cannot be read: Python int too large"),
    "unknown zone": (DAYS.dt.tz_localize(dateutil.tz.tzoffset("X", 3600)), r"column 'c': holds timestamp\[us, tz=X\]"),
    "bool and int": (pd.Series([1, True] * 6, dtype=object), "column c with type object"),
}


@pytest.mark.parametrize("name", REFUSED_OF_PANDAS)
def test_other_dtypes_of_pandas_are_refused_before_training(name, monkeypatch):
    monkeypatch.setattr("wgan.estimator.model.train", lambda *given, **more: pytest.fail("it was trained on"))
    column, said = REFUSED_OF_PANDAS[name]
    with pytest.raises(DataError, match=said):
        WGAN(settings={"missing": "keep"}).fit(pd.DataFrame({"c": column, "x": np.arange(float(N))}))


POLARS: dict[str, pl.Series] = {
    **{str(kind): pl.Series(gappy(NATURAL, None), dtype=kind) for kind in (pl.Int8, pl.Int16, pl.Int32, pl.Int64)},
    **{str(kind): pl.Series(gappy(NATURAL, None), dtype=kind) for kind in (pl.UInt8, pl.UInt16, pl.UInt32, pl.UInt64)},
    **{str(kind): pl.Series(gappy(NUMBERS, None), dtype=kind) for kind in (pl.Float32, pl.Float64)},
    "NaN": pl.Series(gappy(NUMBERS, float("nan"))),
    "Float16": pl.Series(NATURAL / 2, dtype=pl.Float16),
    "Decimal": pl.Series(gappy(MONEY, None), dtype=pl.Decimal(12, 2)),
    "Boolean": pl.Series(gappy([True, False] * 6, None)),
    "String": pl.Series(gappy(LETTERS, None)),
    "Categorical": pl.Series(gappy(LETTERS, None), dtype=pl.Categorical),
    "Categorical of named categories": pl.Series(LETTERS, dtype=pl.Categorical(pl.Categories("letters"))),
    "constant Enum": pl.Series(["a"] * N, dtype=pl.Enum(["c", "a", "b"])),
    "Enum": pl.Series(gappy(LETTERS, None), dtype=pl.Enum(["c", "unseen", "a", "b"])),
    "Date": pl.Series(gappy(OF_DATES, None)),
    "Time": pl.Series(gappy(OF_TIMES, None)),
    **{f"Datetime {unit}": pl.Series(gappy(OF_INSTANTS, None), dtype=pl.Datetime(unit)) for unit in ("ms", "us", "ns")},
    "Datetime in a zone": pl.Series(OF_INSTANTS, dtype=pl.Datetime("us")).dt.replace_time_zone("Europe/Berlin"),
    **{f"Duration {unit}": pl.Series(gappy(OF_STEPS, None), dtype=pl.Duration(unit)) for unit in ("ms", "us", "ns")},
    "Null": pl.Series([None] * N),
}


@pytest.mark.filterwarnings("ignore::wgan.errors.DataWarning")
@pytest.mark.parametrize("name", POLARS)
def test_every_dtype_of_polars_is_restored(name):
    frame = pl.DataFrame({"c": POLARS[name], "x": np.arange(float(N))})
    back, order = back_from(frame)
    expected = frame[order.tolist()]
    assert back.schema == expected.schema
    assert are_alike(expected["c"].to_list(), back["c"].to_list())
    if POLARS[name].n_unique() > 1:
        assert back_from(POLARS[name].alias("c"))[0].dtype == POLARS[name].dtype


REFUSED_OF_POLARS: dict[str, tuple[pl.Series, str]] = {
    "Int128": (pl.Series(NATURAL, dtype=pl.Int128), "column 'c' of the type Int128 cannot be read"),
    "UInt128": (pl.Series(NATURAL, dtype=pl.UInt128), "column 'c' of the type UInt128 cannot be read"),
    "Binary": (pl.Series([b"a", b"b"] * 6), "column 'c': holds large_binary"),
    "List": (pl.Series([[1], [2]] * 6), "column 'c': holds large_list"),
    "Array": (pl.Series([[1, 2]] * N, dtype=pl.Array(pl.Int64, 2)), "column 'c': holds fixed_size_list"),
    "Struct": (pl.Series([{"a": 1}] * N), "column 'c': holds struct"),
    "Object": (pl.Series([object()] * N, dtype=pl.Object), "column 'c'"),
}


@pytest.mark.parametrize("name", REFUSED_OF_POLARS)
def test_other_dtypes_of_polars_are_refused_before_training(name, monkeypatch):
    monkeypatch.setattr("wgan.estimator.model.train", lambda *given, **more: pytest.fail("it was trained on"))
    column, said = REFUSED_OF_POLARS[name]
    with pytest.raises(DataError, match=said):
        WGAN().fit(pl.DataFrame({"c": column, "x": np.arange(float(N))}))


def dictionary(values: list[Any], kind: pa.DataType, indices: pa.DataType = pa.int16()) -> pa.Array:  # noqa: B008
    places = pa.array([number % len(values) for number in range(N)], indices)
    return pa.DictionaryArray.from_arrays(places, pa.array(values, kind), ordered=True)


ARROW: dict[str, pa.Array] = {
    **{
        str(kind): pa.array(gappy(NATURAL, None), kind)
        for kind in (pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64())
    },
    "float16": pa.array(np.float16(NATURAL / 2)),
    "float32": pa.array(gappy(NUMBERS, None), pa.float32()),
    "float64": pa.array(gappy(NUMBERS, None)),
    "NaN": pa.array(gappy(NUMBERS, float("nan"))),
    "NaN of float32": pa.array(gappy(NUMBERS, float("nan")), pa.float32()),
    **{
        str(kind): pa.array(gappy(MONEY, None), kind)
        for kind in (pa.decimal32(9, 2), pa.decimal64(18, 2), pa.decimal128(38, 2), pa.decimal256(50, 2))
    },
    "bool": pa.array(gappy([True, False] * 6, None)),
    **{str(kind): pa.array(gappy(LETTERS, None), kind) for kind in (pa.string(), pa.large_string(), pa.string_view())},
    **{str(kind): pa.array(gappy(OF_DATES, None), kind) for kind in (pa.date32(), pa.date64())},
    **{
        str(kind): pa.array(gappy(OF_TIMES, None), kind)
        for kind in (pa.time32("s"), pa.time32("ms"), pa.time64("us"), pa.time64("ns"))
    },
    **{f"{unit}": pa.array(gappy(OF_INSTANTS, None), pa.timestamp(unit)) for unit in ("s", "ms", "us", "ns")},
    **{zone: pa.array(OF_INSTANTS, pa.timestamp("us", zone)) for zone in ("UTC", "Europe/Berlin", "+02:00")},
    **{f"duration {unit}": pa.array(OF_STEPS, pa.duration(unit)) for unit in ("s", "ms", "us", "ns")},
    "null": pa.nulls(N),
    "dictionary of text": dictionary(["b", "unseen", "a"], pa.string()),
    "constant dictionary": pa.DictionaryArray.from_arrays(pa.array([1] * N, pa.int8()), ["p", "q"]),
    "dictionary of large text": dictionary(["b", "a"], pa.large_string(), pa.uint64()),
    "dictionary of views": dictionary(["b", "a"], pa.string_view()),
    "dictionary of numbers": dictionary([3, 1, 2], pa.int32(), pa.int8()),
    "dictionary of floats": dictionary([3.5, 1.5], pa.float64()),
    "dictionary of bool": dictionary([True, False], pa.bool_()),
    "dictionary of decimals": dictionary(MONEY[:3], pa.decimal128(10, 2)),
    "dictionary of dates": dictionary(OF_DATES[:3], pa.date32()),
    "dictionary of instants": dictionary(OF_INSTANTS[:3], pa.timestamp("ns", "Europe/Berlin")),
}


@pytest.mark.filterwarnings("ignore::wgan.errors.DataWarning")
@pytest.mark.parametrize("name", ARROW)
def test_every_type_of_arrow_is_restored_with_its_metadata(name):
    field = pa.field("c", ARROW[name].type, metadata={"unit": "metres"})
    required = pa.field("x", pa.float64(), nullable=False)
    table = pa.table([ARROW[name], np.arange(float(N))], pa.schema([field, required], metadata={"made by": "hand"}))
    back, order = back_from(table)
    assert back.schema.equals(table.schema, check_metadata=True)
    back.validate(full=True)
    came = table["c"].to_pylist()
    assert are_alike([came[row] for row in order.tolist()], back["c"].to_pylist())


REFUSED_OF_ARROW: dict[str, pa.Array] = {
    "binary": pa.array([b"a", b"b"] * 6),
    "large_binary": pa.array([b"a", b"b"] * 6, pa.large_binary()),
    "binary_view": pa.array([b"a", b"b"] * 6, pa.binary_view()),
    "fixed_size_binary": pa.array([b"a", b"b"] * 6, pa.binary(1)),
    "list": pa.array([[1], [2]] * 6),
    "large_list": pa.array([[1], [2]] * 6, pa.large_list(pa.int64())),
    "list_view": pa.array([[1], [2]] * 6, pa.list_view(pa.int64())),
    "fixed_size_list": pa.array([[1], [2]] * 6, pa.list_(pa.int64(), 1)),
    "struct": pa.array([{"a": 1}, {"a": 2}] * 6),
    "map": pa.array([[("a", 1)]] * N, pa.map_(pa.string(), pa.int64())),
    "union": pa.UnionArray.from_sparse(pa.array([0] * N, pa.int8()), [pa.array(NATURAL)]),
    "run_end_encoded": pa.RunEndEncodedArray.from_arrays(pa.array([N], pa.int32()), pa.array([1])),
    "month_day_nano_interval": pa.array([pa.MonthDayNano([1, 2, 3])] * N),
    "extension<arrow.uuid>": pa.array([bytes(16)] * N, pa.binary(16)).cast(pa.uuid()),
    "extension<arrow.bool8>": pa.array([0, 1] * 6, pa.int8()).cast(pa.bool8()),
    "timestamp[us, tz=X]": pa.array(OF_INSTANTS, pa.timestamp("us", "X")),
    "dictionary<values=binary": pa.array([b"a", b"b"] * 6).dictionary_encode(),
}


@pytest.mark.parametrize("name", REFUSED_OF_ARROW)
def test_other_types_of_arrow_are_refused_before_training(name, monkeypatch):
    monkeypatch.setattr("wgan.estimator.model.train", lambda *given, **more: pytest.fail("it was trained on"))
    with pytest.raises(DataError, match="column 'c': holds "):
        WGAN(settings={"missing": "keep"}).fit(pa.table({"c": REFUSED_OF_ARROW[name], "x": np.arange(float(N))}))
