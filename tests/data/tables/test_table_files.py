"""Table files of every format, compressed or not, with right and wrong endings."""

import contextlib
import gzip
import json
import lzma
import zipfile

import numpy as np
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet
import pytest
from PIL import Image

from wgan.cli.inputs import open_sides
from wgan.data import kind_of, open_data
from wgan.data.compression import COMPRESSIONS, compressed, open_decompressed
from wgan.data.export import check_target, write_samples
from wgan.data.names import format_of
from wgan.data.sample_formats import SAMPLE_FORMATS
from wgan.data.tables import limits
from wgan.data.tables.formats import TABLE_FORMATS, written_endings
from wgan.data.tables.reading import read_table
from wgan.errors import DataError, UsageError
from wgan.randomness import Randomness
from wgan.settings import DataOptions

TABLE = pa.table(
    {
        "age": [39, 50, 28, 61] * 5,
        "job": ["clerk", "nurse", "clerk, old", 'say "x"'] * 5,
        "pay": [1250.5, 3100.25, None, 990.75] * 5,
    }
)


def write(path, table=TABLE):
    write_samples(iter([table]), len(table), path, "table")
    return path


def read(path, **options):
    return read_table(path, name=path.name, header=True, **options)


def loose(table):
    """Cells by column, numbers of any type as Python numbers."""
    return {
        name: [str(cell) if cell is not None else None for cell in table[name].to_pylist()]
        for name in table.column_names
    }


@pytest.mark.parametrize("ending", written_endings())
def test_every_format_is_written_deterministically_and_read_back(tmp_path, ending):
    path, again = write(tmp_path / f"t{ending}"), write(tmp_path / f"again{ending}")
    assert path.read_bytes() == again.read_bytes()
    assert loose(read(path).table) == loose(TABLE)
    assert format_of(str(path)) == "table"
    assert open_data(path, DataOptions(missing="keep"), seed=0).size == 18


@pytest.mark.parametrize("known", TABLE_FORMATS, ids=lambda known: known.endings[0])
@pytest.mark.parametrize("wrong", [".csv", ".parquet", ".feather", ".jsonl", ".npy", ".foo", ""])
def test_content_takes_precedence_over_a_wrong_ending(tmp_path, known, wrong):
    path = tmp_path / f"t{wrong}"
    path.write_bytes(write(tmp_path / f"right{known.endings[0]}").read_bytes())
    raw = read(path)
    assert loose(raw.table) == loose(TABLE)
    own = any(wrong in each.endings and each.has_content_of(known) for each in TABLE_FORMATS)
    assert any("whatever its ending says" in note for note in raw.notes) != own


def test_both_sides_of_a_comparison_can_have_every_format(tmp_path):
    for ending in (".csv.gz", ".pq", ".feather", ".jsonl", ".txt"):
        a, b = write(tmp_path / f"a{ending}"), write(tmp_path / "b.csv")
        first, second = open_sides(str(a), str(b), DataOptions(missing="drop"), seed=0)
        assert first.size == second.size == 15


def test_a_new_format_is_one_row(tmp_path, monkeypatch):
    from dataclasses import replace

    from wgan.data.tables import formats

    row = replace(TABLE_FORMATS[0], name="another", endings=(".another",))
    monkeypatch.setattr(formats, "TABLE_FORMATS", (*TABLE_FORMATS, row))
    path = tmp_path / "t.another"
    path.write_text("x\n1\n2\n3\n")
    assert format_of(str(path)) == "table"
    assert open_data(path, DataOptions(), seed=0).size == 2
    assert ".another.zst" in formats.written_endings()


def test_a_zip_of_one_table_is_a_table_and_one_of_images_is_not(tmp_path):
    with zipfile.ZipFile(tmp_path / "t.csv.zip", "w") as archive:
        archive.writestr("t.csv", "x,y\n1,2\n3,4\n5,6\n")
    assert kind_of(str(tmp_path / "t.csv.zip")) == "table"
    assert read(tmp_path / "t.csv.zip").table.num_rows == 3
    Image.new("L", (4, 4)).save(tmp_path / "a.png")
    with zipfile.ZipFile(tmp_path / "i.csv", "w") as archive:
        archive.write(tmp_path / "a.png", "a.png")
        archive.writestr("b.png", (tmp_path / "a.png").read_bytes())
    assert kind_of(str(tmp_path / "i.csv")) == "images"
    assert open_data(tmp_path / "i.csv", DataOptions(), seed=0).size == 1


def test_an_empty_zip_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "t.csv", "w"):
        pass
    with pytest.raises(DataError, match="the archive is empty"):
        open_data(tmp_path / "t.csv", DataOptions(), seed=0)


def test_arrays_are_identified_by_their_content(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((4, 8, 8)))
    (tmp_path / "a.dat").write_bytes((tmp_path / "a.npy").read_bytes())
    assert kind_of(str(tmp_path / "a.dat")) == "images"


@pytest.mark.parametrize(
    ("name", "content", "what"),
    [
        ("a.csv", b"\x80\x04\x95junk", "a pickle.*\nA pickle can run"),
        ("a.xls", b"\xd0\xcf\x11\xe0junk", "an Excel workbook"),
        ("a.json", b'[{"x": 1}, {"x": 2}]', "a JSON array.*\n.*an object a line"),
        ("a.csv", b"SQLite format 3\0" + b"\0" * 100, "an SQLite database"),
    ],
)
def test_unsupported_well_known_files_are_named(tmp_path, name, content, what):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UsageError, match=what):
        format_of(str(tmp_path / name))


@pytest.mark.parametrize("name", ["PAR1", "PK", "BMI", "FEA1", "ARROW1", "ORC", "GIF89a", "%PDF-"])
def test_column_names_like_file_signatures_are_text(tmp_path, name):
    path = tmp_path / "t.csv"
    for header in (name, f"{name},y"):
        path.write_text(header + "".join(f"\n{row}{',1' if ',' in header else ''}" for row in range(9)))
        assert read(path).table.column_names == header.split(",")


def test_one_image_is_refused(tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    (tmp_path / "a.csv").write_bytes((tmp_path / "a.png").read_bytes())
    with pytest.raises(UsageError, match=r"one image.*\nName the folder"):
        format_of(str(tmp_path / "a.csv"))


def test_images_are_identified_by_their_content_including_avif(tmp_path):
    rng = np.random.default_rng(0)
    for number in range(4):
        image = Image.fromarray(rng.integers(0, 255, (16, 16, 3), dtype=np.uint8))
        image.save(tmp_path / f"{number}.avif")
        image.save(tmp_path / f"{number}.png")
        (tmp_path / f"{number}.png").rename(tmp_path / f"{number}.jpg")
    source = open_data(tmp_path, DataOptions(), seed=0)
    assert source.size + source.num_held_out == 8


# -- compressed files -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("packing", COMPRESSIONS)
def test_errors_in_compressed_text_name_their_line(tmp_path, packing):
    path = tmp_path / f"t.csv{packing}"
    with path.open("wb") as file, compressed(file, packing) as inner:
        inner.write(b"x,y\n1,2\n3,4\nabc,5\n6,7\n")
    with open_decompressed(path, packing) as file:
        assert file.read(3) == b"x,y"
    with pytest.raises(DataError, match=r"line 4, column 'x': text 'abc'"):
        open_data(path, DataOptions(), seed=0)


@pytest.mark.parametrize("packing", COMPRESSIONS)
def test_truncated_compressed_files_are_refused(tmp_path, packing):
    path = write(tmp_path / f"t.csv{packing}", pa.table({"x": np.random.default_rng(0).normal(size=5_000)}))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(DataError, match=r"cannot be unpacked beyond byte .*\nIt is truncated"):
        read(path)


@pytest.mark.parametrize("packing", COMPRESSIONS)
def test_decompression_bombs_are_refused(tmp_path, packing, monkeypatch):
    monkeypatch.setattr(limits, "_RATIO_FREE_BYTES", 1 << 20)
    path = tmp_path / f"t.csv{packing}"
    with path.open("wb") as file, compressed(file, packing) as inner:
        inner.write(b"x,y\n" + b"1,2\n" * 2_000_000)
    with pytest.raises(DataError, match=r"looks like a bomb\nIf you trust it, unpack it"):
        read(path)


def test_tables_that_do_not_fit_into_memory_are_refused(tmp_path, monkeypatch):
    table = pa.table({"x": np.zeros(200_000), "y": np.arange(200_000)})
    monkeypatch.setattr(limits, "memory_limit", lambda: 1_000_000)
    for ending in (".parquet", ".feather"):
        with pytest.raises(DataError, match="half of this machine's memory"):
            read(write(tmp_path / f"t{ending}", table))


def test_files_compressed_twice_are_refused(tmp_path):
    path = tmp_path / "t.csv.gz"
    path.write_bytes(gzip.compress(lzma.compress(b"x,y\n1,2\n3,4\n")))
    with pytest.raises(DataError, match="compressed twice"):
        read(path)


# -- Feather and JSON lines -----------------------------------------------------------------------------------------


def test_streams_and_files_of_arrow_are_read(tmp_path):
    with pa.ipc.new_stream(tmp_path / "t.arrows", TABLE.schema) as writer:
        writer.write_table(TABLE)
    assert read(tmp_path / "t.arrows").table.equals(TABLE)
    pyarrow.feather.write_feather(TABLE, tmp_path / "t.feather", compression="zstd")
    assert read(tmp_path / "t.feather").table.equals(TABLE)


@pytest.mark.parametrize("ending", [".feather", ".parquet"])
def test_damaged_columnar_files_raise_a_data_error(tmp_path, ending):
    path = write(tmp_path / f"t{ending}")
    good, rng = path.read_bytes(), np.random.default_rng(0)
    for _ in range(200):
        bad = bytearray(good)
        for place in rng.integers(0, len(good), 3):
            bad[place] = rng.integers(256)
        path.write_bytes(bytes(bad))
        with contextlib.suppress(DataError):
            read(path)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ('{"a": 1}\n{"a": "x"}\n', r"line 2, column 'a': a text in a column that holds a whole number on line 1"),
        ('{"a": 1}\n{"a": \n', r"line 2: not JSON"),
        ('{"a": 1}\n\n[1]\n', r"line 3: not a JSON object"),
        ('{"a": 1, "a": 2}\n', r"line 1: not JSON: a key comes twice"),
        ('{"a": 1}\n' + '{"a": ' * 50_000 + "1" + "}" * 50_000, r"line 2: objects nested too deeply"),
        ("", "is empty"),
    ],
)
def test_errors_in_json_lines_name_their_line(tmp_path, lines, message):
    path = tmp_path / "t.jsonl"
    path.write_text(lines)
    with pytest.raises(DataError, match=message):
        read(path)


def test_cells_of_json_lines_keep_their_types(tmp_path):
    path = tmp_path / "t.jsonl"
    rows = [
        {"n": 1, "x": 1, "t": "007", "b": True, "big": 10**25, "d": "2024-01-05", "l": [1]},
        {"n": 2, "x": 1.5, "t": "8", "b": False, "big": 7, "d": "2024-01-06"},
        {"x": 2, "t": "9", "b": None, "big": 8, "d": "2024-02-01"},
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    table = read(path).table
    assert [str(kind) for kind in table.schema.types[:6]] == ["int64", "double", "string", "bool", "string", "string"]
    assert table["n"].to_pylist() == [1, 2, None]
    assert table["big"].to_pylist() == [str(10**25), "7", "8"]
    options = DataOptions(missing="keep", ignore=("l",), held_out=0)
    source = open_data(path, options, seed=0)
    kinds = {column.name: column.type for column in source.codec.columns}
    # Text in JSON is text, as numbers could have been written as such; dates cannot.
    assert (kinds["t"], kinds["d"]) == ("string", "date32[day]")
    out = tmp_path / "s.jsonl"
    write_samples(iter([source.codec.decode(source.sample(50, Randomness(0).at("test")).values)]), 50, out, "table")
    drawn = [json.loads(line) for line in out.read_text().splitlines()]
    assert {row["d"] for row in drawn} <= {f"2024-{month:02d}-{day:02d}" for month in (1, 2) for day in range(1, 32)}
    assert {type(row["x"]) for row in drawn} == {float}
    with pytest.raises(DataError, match=r"column 'l': holds list.*\nUse ignore=\[.l.\]"):
        open_data(path, DataOptions(missing="keep"), seed=0)


# -- writing --------------------------------------------------------------------------------------------------------


def test_an_unsupported_ending_lists_the_supported_ones():
    from pathlib import Path

    for kind in ("table", "points"):
        with pytest.raises(UsageError, match=r"\.xlsx.*\n.*\.csv, \.tsv, \.parquet, \.feather"):
            check_target(Path("x.xlsx"), kind)
    assert {".csv", ".tsv", ".csv.gz", ".csv.zst", ".parquet", ".feather", ".jsonl"} <= SAMPLE_FORMATS["table"].keys()
