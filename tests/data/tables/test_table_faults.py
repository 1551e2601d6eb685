"""Regression tests of faults found with real tables."""

import datetime
import json
import zipfile

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from wgan import WGAN
from wgan.data import open_data
from wgan.data.columns.raw import read_frame
from wgan.errors import DataError
from wgan.evaluation.metrics import SampleEvaluator
from wgan.randomness import Randomness
from wgan.settings import DataOptions

SMALL = {"steps": 2, "generator": "mlp:width=8", "critic": "mlp:width=8", "random_state": 0}
DAYS = pd.date_range("2021-01-01", periods=90).strftime("%d.%m.%Y")


@pytest.mark.filterwarnings("ignore::wgan.errors.WganWarning")
def test_dates_in_text_are_compared_as_dates(tmp_path):
    """As text 02.03.2021 comes before 31.01.2021."""
    pd.DataFrame({"day": DAYS, "x": np.arange(90) / 7}).to_csv(tmp_path / "t.csv", index=False)
    source = open_data(tmp_path / "t.csv", DataOptions(held_out=0.4), seed=0)
    judge = SampleEvaluator(source, size=30, seed=0)
    found = judge(lambda num: source.distinct(num, judge._streams.at("test")), by_column=True)
    day = next(column for column in found["columns"] if column["name"] == "day")
    for side in ("first", "second"):
        quantiles = [str(value)[:10] for value in day[side]]
        assert quantiles == sorted(quantiles)
        assert quantiles[0].startswith("2021-")


@pytest.mark.parametrize(
    ("text", "header", "names"),
    [
        ("1,5;2,5;3,5\n" * 30, False, ["column_1", "column_2", "column_3"]),
        ("a, cm;b, cm\n" + "1,5;2,25\n" * 30, True, ["a, cm", "b, cm"]),
        ("a,b;c\n" + "1,2\n" * 30, True, ["a", "b;c"]),
        ('a,"b;c"\n' + '1,"2;3"\n' * 30, True, ["a", "b;c"]),
        ("a\tb\n" + "1,5\t2\n" * 30, True, ["a", "b"]),
    ],
    ids=["no header", "commas in the header", "a semicolon in the header", "quotes", "tabs"],
)
def test_the_separator_splits_all_lines_equally(text, header, names, tmp_path):
    from wgan.data.tables.delimited import read_csv

    (tmp_path / "t.csv").write_text(text)
    assert read_csv(tmp_path / "t.csv", name="t.csv", header=header).table.column_names == names


@pytest.mark.parametrize(
    "note", [b"not json", b"[1]", b'{"columns": 3}', b"\xff", b"{}", b'{"columns": [3, {}]}', b"null"]
)
def test_invalid_pandas_metadata_is_ignored(note):
    frame = pa.table({"x": np.arange(20.0), "c": ["a", "b"] * 10}).replace_schema_metadata({b"pandas": note})
    source = open_data(frame, DataOptions(), seed=0)
    assert read_frame(frame, name="frame").table.num_rows == 20
    assert source.codec.decode(source.distinct(2, Randomness(0).at("rows"))).column_names == ["x", "c"]


def test_separators_that_plain_numbers_do_not_have_are_refused(tmp_path):
    (tmp_path / "t.csv").write_text("z,x\n" + "".join(f"{n / 7:.4f},{n}\n" for n in range(40)))
    with pytest.raises(DataError, match=r"column 'z': '0.0000' does not have the separators that"):
        open_data(tmp_path / "t.csv", DataOptions(thousands=("z=.",)), seed=0)


def test_half_of_a_surrogate_pair_names_its_line(tmp_path):
    (tmp_path / "t.jsonl").write_text('{"a": "x"}\n{"a": "\\ud800"}\n')
    with pytest.raises(DataError, match=r"line 2: half of a surrogate pair"):
        open_data(tmp_path / "t.jsonl", DataOptions(), seed=0)


def test_system_files_in_a_zip_are_ignored(tmp_path):
    with zipfile.ZipFile(tmp_path / "t.csv.zip", "w") as archive:
        archive.writestr("t.csv", "a,b\n" + "".join(f"{n},{n % 3}\n" for n in range(40)))
        archive.writestr("__MACOSX/._t.csv", b"\0\5\x16\7")
    assert open_data(tmp_path / "t.csv.zip", DataOptions(), seed=0).size == 36


def test_paths_that_are_not_utf8_are_read(tmp_path):
    import os

    from pyarrow import feather

    path = os.fsdecode(os.fsencode(tmp_path) + b"/\xff.feather")
    with open(path, "wb") as file:  # noqa: PTH123 - the name is not text
        feather.write_feather(pa.table({"a": np.arange(20.0)}), file)
    assert open_data(path, DataOptions(), seed=0).size == 18


@pytest.mark.filterwarnings("ignore::wgan.errors.WganWarning")
def test_a_requested_date_is_not_moved_to_a_weekday():
    days = pd.bdate_range("2021-01-01", periods=60)
    frame = pd.DataFrame({"x": np.arange(60.0), "d": days})
    model = WGAN(**SMALL, settings={"condition": ["d"]}).fit(frame)
    asked = model.sample(3, where={"d": datetime.datetime(2021, 1, 9)})
    assert (asked.d == pd.Timestamp("2021-01-09")).all()


@pytest.mark.filterwarnings("ignore::wgan.errors.WganWarning")
def test_one_date_can_be_requested_as_y():
    days = pd.Series(pd.date_range("2020-01-01", periods=40), name="d")
    model = WGAN(**SMALL).fit(np.arange(80.0).reshape(40, 2), days)
    for wanted in (pd.Timestamp("2020-01-05"), datetime.date(2020, 1, 5)):
        assert model.sample(2, y=wanted).shape == (2, 2)


def test_labels_of_bytes_are_text_and_unsupported_labels_are_refused():
    points = np.random.default_rng(0).normal(size=(20, 2))
    with pytest.raises(DataError, match="y cannot be read"):
        WGAN(**SMALL).fit(points, np.full(20, 2**64 - 1, dtype=np.uint64))


@pytest.mark.filterwarnings("ignore::wgan.errors.WganWarning")
def test_keys_of_bytes_are_read():
    points = np.random.default_rng(0).normal(size=(20, 2))
    model = WGAN(**SMALL).fit(points, np.array([b"a", b"b"] * 10))
    assert model.sample(2, y="a").shape == (2, 2)


def test_hints_do_not_depend_on_the_name_of_the_column(recwarn):
    import decimal

    cells = [decimal.Decimal(f"{n}.{n:025d}") for n in range(1, 31)]
    frame = pa.table({"members only price": pa.array(cells, pa.decimal128(38, 25)), "x": np.arange(30.0)})
    source = open_data(frame, DataOptions(), seed=0)
    assert any("members only price" in note for note in source.notes)
    assert not recwarn.list


def test_many_keys_in_few_objects_are_limited_by_memory(tmp_path, monkeypatch):
    monkeypatch.setattr("wgan.data.tables.limits.memory_limit", lambda: 10_000)
    (tmp_path / "t.jsonl").write_text("".join(json.dumps({f"k{n}": n}) + "\n" for n in range(100)))
    with pytest.raises(DataError, match="takes more than 10,000 bytes"):
        open_data(tmp_path / "t.jsonl", DataOptions(), seed=0)


@pytest.mark.filterwarnings("ignore::wgan.errors.WganWarning")
def test_a_short_list_of_values_keeps_its_step():
    """500 rows of 0, 5 and 10 have no other value, even if three of them would be rare by chance."""
    rng = np.random.default_rng(0)
    columns = {"tip": rng.choice([0, 5, 10], 500), "share": rng.choice([0.25, 0.5, 0.75], 500), "x": rng.random(500)}
    frame = pd.DataFrame(columns)
    drawn = WGAN(**SMALL).fit(frame).sample(300)
    assert set(drawn.tip) <= {0, 5, 10}
    assert set(drawn.share) <= {0.25, 0.5, 0.75}
