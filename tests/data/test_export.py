import errno
import itertools
import tracemalloc
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from pyarrow import csv, parquet

from wgan.data import export
from wgan.data.export import check_target, sample_ending, write_samples
from wgan.data.sample_formats import sheet
from wgan.data.tables import arrow
from wgan.errors import CheckpointError, UsageError


def points(num, columns=2, dtype=np.float64, seed=0):
    return np.random.default_rng(seed).normal(size=(num, columns)).astype(dtype)


def images(num, height=5, width=7, channels=3, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (num, height, width, channels), dtype=np.uint8)


def table(num):
    return pa.table(
        {
            "whole": pa.array(range(num), pa.int32()),
            'odd, "name"': pa.array([None if row % 3 == 0 else f'a "{row}"\nb' for row in range(num)]),
            "kind": pa.array([("x", "y")[row % 2] for row in range(num)]).dictionary_encode(),
        }
    )


def blocks(whole, *cuts):
    """The rows of an array or a table in blocks of unequal length."""
    edges = [0, *cuts, len(whole)]
    return iter([whole[start:stop] for start, stop in itertools.pairwise(edges)])


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("dtype", ["float32", "float64", "int16", "bool", ">f8"])
def test_npy_of_points(tmp_path, dtype):
    whole = points(10, 3, dtype)
    said = write_samples(blocks(whole, 3, 4), 10, tmp_path / "a.npy", "points")
    read = np.load(tmp_path / "a.npy", allow_pickle=False)
    assert read.dtype == whole.dtype
    np.testing.assert_array_equal(read, whole)
    assert said.startswith("an array of shape 10×3")
    assert names(tmp_path) == ["a.npy"]


def test_npy_of_images(tmp_path):
    write_samples(blocks(images(9), 4), 9, tmp_path / "a.npy", "images")
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), images(9))


@pytest.mark.parametrize("dtype", ["float64", "float32", "int64", ">f4"])
@pytest.mark.parametrize("ending", [".csv", ".parquet", ".CSV"])
def test_tables_of_points(tmp_path, ending, dtype):
    whole, out = points(10, 3, dtype), tmp_path / f"a{ending}"
    assert write_samples(blocks(whole, 6), 10, out, "points").startswith("10 rows of 3 columns")
    read = parquet.read_table(out) if ending == ".parquet" else csv.read_csv(out)
    assert read.column_names == ["x1", "x2", "x3"]
    np.testing.assert_array_equal(np.stack([column.to_numpy() for column in read.columns], 1).astype(dtype), whole)


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_tables_keep_names_types_and_missing_cells(tmp_path, ending):
    out = tmp_path / f"a{ending}"
    write_samples(blocks(table(10), 4, 9), 10, out, "table")
    if ending == ".parquet":
        assert parquet.read_table(out).cast(table(10).schema) == table(10)
    else:
        options = csv.ConvertOptions(strings_can_be_null=True, quoted_strings_can_be_null=False)
        read = csv.read_csv(out, convert_options=options, parse_options=csv.ParseOptions(newlines_in_values=True))
        assert read.to_pylist() == table(10).to_pylist()


def test_small_blocks_become_few_row_groups(tmp_path, monkeypatch):
    monkeypatch.setattr(arrow, "_ROWS_PER_GROUP", 100)
    write_samples(iter([points(7, seed=place) for place in range(40)]), 280, tmp_path / "a.parquet", "points")
    read = parquet.ParquetFile(tmp_path / "a.parquet").metadata
    assert read.num_rows == 280
    assert read.num_row_groups <= 6


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_sheet_holds_each_image_unchanged(channels):
    whole = images(7, channels=channels)
    canvas = np.asarray(sheet(whole, columns=3))
    assert canvas.shape == (3 * 7 - 2, 3 * 9 - 2, 2 if channels < 3 else 4)
    for index, image in enumerate(whole):
        top, left = index // 3 * 7, index % 3 * 9
        np.testing.assert_array_equal(canvas[top : top + 5, left : left + 7, :channels], image)
    assert (canvas[5:7, :, -1] == 0).all()
    assert (canvas[14:, 9:, -1] == 0).all()


@pytest.mark.parametrize(("num", "height", "width"), [(64, 28, 28), (10, 28, 28), (50, 20, 60), (1, 5, 5), (2, 90, 10)])
def test_sheet_is_nearly_square_and_has_no_empty_row(num, height, width):
    drawn = sheet(images(num, height, width, 1))
    columns, rows = (drawn.width + 2) // (width + 2), (drawn.height + 2) // (height + 2)
    assert (rows - 1) * columns < num <= rows * columns
    assert max(drawn.size) / min(drawn.size) < 2 * max(height, width) / min(height, width)


def test_png_of_images(tmp_path):
    said = write_samples(blocks(images(64), 20), 64, tmp_path / "a.png", "images")
    with Image.open(tmp_path / "a.png") as drawn:
        np.testing.assert_array_equal(np.asarray(drawn), np.asarray(sheet(images(64))))
    assert said.startswith("64 images of 5×7×3")


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB"), (4, "RGBA")])
def test_folder_of_images(tmp_path, channels, mode):
    whole = images(5, channels=channels)
    write_samples(blocks(whole, 2), 5, tmp_path / "out", "images")
    assert names(tmp_path / "out") == [f"{index:06d}.png" for index in range(5)]
    with Image.open(tmp_path / "out" / "000003.png") as drawn:
        assert drawn.mode == mode
        np.testing.assert_array_equal(np.asarray(drawn).reshape(whole[3].shape), whole[3])


def test_an_empty_folder_is_filled_and_a_non_empty_one_is_refused(tmp_path):
    out = tmp_path / "out.d"
    out.mkdir()
    write_samples(blocks(images(2)), 2, out, "images")
    assert len(names(out)) == 2
    with pytest.raises(UsageError, match="is not empty"):
        write_samples(blocks(images(2)), 2, out, "images")


def test_png_of_points(tmp_path):
    assert "500 points" in write_samples(blocks(points(500)), 500, tmp_path / "a.png", "points")
    with Image.open(tmp_path / "a.png") as drawn:
        assert min(drawn.size) > 500


@pytest.mark.parametrize(
    ("kind", "name", "rows"),
    [
        ("points", "a.png", points(50)),
        ("points", "a.csv", points(50)),
        ("points", "a.parquet", points(50)),
        ("points", "a.npy", points(50)),
        ("images", "a.png", images(50)),
    ],
)
def test_equal_samples_give_equal_bytes_for_any_blocks(tmp_path, kind, name, rows):
    write_samples(blocks(rows), 50, tmp_path / f"1{name}", kind)
    write_samples(blocks(rows, 1, 20), 50, tmp_path / f"2{name}", kind)
    assert (tmp_path / f"1{name}").read_bytes() == (tmp_path / f"2{name}").read_bytes()


@pytest.mark.parametrize("ending", [".npy", ".csv", ".parquet"])
def test_streams_in_bounded_memory_and_draws_no_more_than_needed(tmp_path, ending):
    drawn = 0

    def endless():
        nonlocal drawn
        while True:
            drawn += 1
            yield points(10_000, seed=drawn)

    tracemalloc.start()
    write_samples(endless(), 1_000_001 if ending == ".npy" else 400_001, tmp_path / f"a{ending}", "points")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert drawn == (101 if ending == ".npy" else 41)
    assert peak < 6e6
    if ending == ".npy":
        assert np.load(tmp_path / "a.npy", mmap_mode="r").shape == (1_000_001, 2)


@pytest.mark.parametrize(
    ("kind", "name", "rows"),
    [
        ("points", "a.npy", points(4)),
        ("points", "a.csv", points(4)),
        ("table", "a.parquet", table(4)),
        ("images", "a", images(4)),
    ],
)
@pytest.mark.parametrize("fault", [KeyboardInterrupt, RuntimeError, OSError(errno.ENOSPC, "No space left on device")])
def test_a_failure_leaves_an_existing_file_unchanged(tmp_path, kind, name, rows, fault):
    out = tmp_path / name
    if out.suffix:
        out.write_bytes(b"good")

    def failing():
        yield rows[:2]
        raise fault

    expected = CheckpointError if isinstance(fault, OSError) else fault
    with pytest.raises(expected):
        write_samples(failing(), 4, out, kind)
    assert names(tmp_path) == ([name] if out.suffix else [])
    assert not out.suffix or out.read_bytes() == b"good"


def test_a_full_disk_is_reported(tmp_path, monkeypatch):
    full = Path("/dev/full")
    if not full.is_char_device():
        pytest.skip("this system has no /dev/full")
    monkeypatch.setattr(export, "temporary_beside", lambda out: full)
    monkeypatch.setattr(Path, "unlink", lambda self, missing_ok=False: None)
    with pytest.raises(CheckpointError, match=r"No space left.*bytes free") as caught:
        write_samples(blocks(points(100_000)), 100_000, tmp_path / "a.npy", "points")
    assert caught.value.exit_code == 5
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    ("kind", "name", "message"),
    [
        ("table", "a.npy", r"ending \.npy.*\nFormats for tables: \.csv, \.tsv, \.parquet, \.feather or \.jsonl"),
        ("table", "a.png", r"ending \.png"),
        ("table", "a", r"no ending"),
        (
            "points",
            "a",
            r"no ending.*\nFormats for points: \.npy, \.npz, \.csv, .*\.jsonl or \.png",
        ),
        ("points", "a.jpg", r"ending \.jpg"),
        ("images", "a.csv", r"ending \.csv.*\nFormats for images: \.png, a folder, \.npy or \.npz"),
        ("images", "none/a.png", r"folder '.*none' for 'a.png' does not exist"),
        ("points", "folder.csv", r"is a folder"),
        ("images", "file", r"exists and is not a folder"),
        ("points", "x" * 300 + ".csv", r"File name too long"),
    ],
)
def test_invalid_targets_are_refused_early(tmp_path, kind, name, message):
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "file").write_text("good")
    with pytest.raises(UsageError, match=message) as caught:
        check_target(tmp_path / name, kind)
    assert caught.value.exit_code == 2
    assert (tmp_path / "file").read_text() == "good"


def test_invalid_numbers_are_refused_before_sampling(tmp_path):
    def never():
        raise AssertionError("drawn")
        yield

    for num in (0, -1):
        with pytest.raises(UsageError, match="at least 1"):
            write_samples(never(), num, tmp_path / "a.npy", "points")
    with pytest.raises(UsageError, match=r"at most 1,024 samples, not 1,025\nWrite a folder, \.npy or \.npz"):
        write_samples(never(), 1_025, tmp_path / "a.png", "images")
    with pytest.raises(UsageError, match="at most 100,000"):
        write_samples(never(), 10**9, tmp_path / "a.png", "points")
    with pytest.raises(UsageError, match="these have 3 columns"):
        write_samples(blocks(points(5, 3)), 5, tmp_path / "a.png", "points")
    assert names(tmp_path) == []


def test_too_few_samples_are_an_internal_error(tmp_path):
    with pytest.raises(AssertionError, match="1 of 6 samples are missing"):
        write_samples(blocks(points(5)), 6, tmp_path / "a.npy", "points")
    assert names(tmp_path) == []


@pytest.mark.parametrize(("kind", "rows"), [("points", points(3)), ("images", images(3)), ("table", table(3))])
def test_a_run_can_write_its_own_samples(tmp_path, kind, rows):
    out = tmp_path / f"00000400{sample_ending(kind)}"
    write_samples(iter([rows]), 3, out, kind)
    assert out.is_file()


def test_string_views_are_written_as_text(tmp_path):
    """Frames of polars have Arrow's type string_view."""
    table = pa.table({"n": pa.array([1, 2]), "t": pa.array(["a", None]).cast(pa.string_view())})
    write_samples(iter([table, table]), 4, tmp_path / "x.csv", "table")
    assert (tmp_path / "x.csv").read_text().splitlines()[1:3] == ['1,"a"', "2,"]
