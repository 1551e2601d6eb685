"""Samples that `wgan sample` writes have the form of the data that `wgan train` read."""

from __future__ import annotations

import json
import tomllib

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet
import pytest
import tomli_w
from PIL import Image
from tests.runs.small_runs import change_on_purpose, without_checksums

from wgan import WGAN, runs
from wgan.cli.main import main

RNG = np.random.default_rng(0)
SMALL = ["--steps", "2", "--generator", "mlp:width=8", "--critic", "mlp:width=8", "--batch-size", "8"]
SMALL += ["--diagnose", "off", "--quiet"]

pytestmark = pytest.mark.filterwarnings("ignore::wgan.runs.RunWarning")


@pytest.fixture
def samples_file(tmp_path):
    """Train on a file and write samples to another."""

    def train_and_sample(data, out, *options, num=3):
        run = tmp_path / f"run-{out}"
        assert main(["train", str(data), *SMALL, *options, "--out", str(run)]) == 0
        assert main(["sample", str(run), "--num", str(num), "--out", str(tmp_path / out)]) == 0
        return tmp_path / out

    return train_and_sample


@pytest.mark.parametrize(
    "array",
    [
        RNG.random((40, 3, 8, 8)).astype(np.float32),
        RNG.random((40, 8, 8, 3)) * 2 - 1,
        RNG.random((40, 8, 8)) > 0.5,
        RNG.integers(0, 256, (40, 1, 8, 8)).astype(">i4"),
        RNG.normal(size=40),
        RNG.normal(size=(40, 1)).astype(np.float16),
        RNG.integers(0, 9, 40).astype(">i2"),
        RNG.random((40, 2)) > 0.5,
        RNG.normal(size=(40, 2)).astype(np.longdouble),
    ],
    ids=lambda array: f"{array.dtype.str} {array.shape[1:]}",
)
def test_array_files_equal_samples_from_python(array, samples_file, tmp_path):
    np.save(tmp_path / "data.npy", array)
    samples = np.load(samples_file(tmp_path / "data.npy", "samples.npy"))
    assert samples.dtype.str == array.dtype.str
    assert samples.shape == (3, *array.shape[1:])
    if array.ndim > 2:
        assert array.min() <= samples.min() <= samples.max() <= array.max()
    # A run that is loaded in Python gives the same form.
    again = WGAN.load(tmp_path / "run-samples.npy").sample(3, random_state=0)
    assert again.dtype.str == array.dtype.str
    np.testing.assert_array_equal(again, samples)


@pytest.mark.parametrize("array", [RNG.random((40, 3, 8, 8)).astype(">f4"), RNG.integers(0, 9, 40)])
def test_arrays_of_npz_files_with_conditions_keep_their_form(array, samples_file, tmp_path):
    np.savez(tmp_path / "data.npz", x=array, y=np.arange(40) % 2)
    labelled = np.load(samples_file(tmp_path / "data.npz", "labelled.npz", "--condition", "label"))
    assert labelled["x"].dtype.str == array.dtype.str
    assert labelled["x"].shape == (3, *array.shape[1:])


def test_pictures_are_drawn_of_any_array(samples_file, tmp_path):
    np.save(tmp_path / "data.npy", RNG.random((40, 3, 8, 8)))
    assert Image.open(samples_file(tmp_path / "data.npy", "samples.png")).size == (18, 18)
    np.save(tmp_path / "line.npy", RNG.normal(size=40))
    assert pd.read_csv(samples_file(tmp_path / "line.npy", "samples.csv")).shape == (3, 1)


def test_16_bit_and_1_bit_images_keep_their_depth(samples_file, tmp_path):
    for name, images in (("deep", RNG.integers(0, 4096, (20, 8, 8)).astype(np.uint16)), ("flat", None)):
        (tmp_path / name).mkdir()
        for number, image in enumerate(RNG.random((20, 8, 8)) > 0.5 if images is None else images):
            Image.fromarray(image).save(tmp_path / name / f"{number}.png")
    deep = samples_file(tmp_path / "deep", "deep-samples", "--range", "0", "4095")
    for path in deep.iterdir():
        pixels = np.asarray(Image.open(path))
        assert pixels.dtype == np.uint16
        assert 255 < pixels.max() <= 4095
    flat = samples_file(tmp_path / "flat", "flat-samples")
    assert {Image.open(path).mode for path in flat.iterdir()} == {"1"}
    array = np.load(samples_file(tmp_path / "deep", "deep.npy", "--range", "0", "4095"))
    assert (array.dtype, array.shape) == (np.uint16, (3, 8, 8, 1))


def test_a_narrow_range_of_values_is_reported(tmp_path, capsys):
    np.save(tmp_path / "masks.npy", RNG.integers(0, 2, (20, 8, 8)).astype(np.uint8))
    assert main(["data", str(tmp_path / "masks.npy")]) == 0
    assert "note: pixels use 0 to 1 of 0 to 255" in capsys.readouterr().out
    assert main(["data", str(tmp_path / "masks.npy"), "--range", "0", "1"]) == 0
    assert "channel 1: 0 to 255" in capsys.readouterr().out
    for wrong, expected in ((["0"], "--range takes 2 values"), (["a", "b"], "--range takes 2 numbers")):
        assert main(["data", str(tmp_path / "masks.npy"), "--range", *wrong]) == 2
        assert expected in capsys.readouterr().err
    assert main(["data", str(tmp_path / "masks.npy"), "--range", "-5", "-7.5"]) == 2
    assert "range must be two numbers" in capsys.readouterr().err
    assert main(["data", "ring", "--range", "0", "1"]) == 2
    assert "--range (0.0, 1.0) cannot be used with the sampler ring" in capsys.readouterr().err


def test_parquet_of_pandas_keeps_its_metadata(samples_file, tmp_path):
    frame = pd.DataFrame(
        {
            "count": pd.array([1, 2, 3, 5] * 5, dtype="Int64"),
            "name": pd.array(["a", "b"] * 10, dtype="string"),
            "kind": pd.Categorical(["u", "v"] * 10, categories=["v", "w", "u"], ordered=True),
            "when": pd.date_range("2024", periods=20, tz="Europe/Berlin"),
            "left out": range(20),
            "x": RNG.normal(size=20),
        },
        index=pd.Index(range(100, 120), name="id"),
    )
    frame.to_parquet(tmp_path / "data.parquet")
    path = samples_file(tmp_path / "data.parquet", "samples.parquet", "--ignore", "left out", "--condition", "name")
    samples = pd.read_parquet(path)
    pd.testing.assert_series_equal(samples.dtypes, frame.dtypes.drop("left out"))
    assert samples.index.tolist() == [0, 1, 2]


def test_parquet_of_polars_keeps_its_types(samples_file, tmp_path):
    frame = pl.DataFrame({"e": pl.Series(list("ab") * 10, dtype=pl.Enum(["b", "a", "c"])), "x": RNG.normal(size=20)})
    frame.write_parquet(tmp_path / "data.parquet")
    came = pl.read_parquet(tmp_path / "data.parquet")
    assert pl.read_parquet(samples_file(tmp_path / "data.parquet", "samples.parquet")).schema == came.schema


def test_parquet_of_arrow_keeps_its_metadata(samples_file, tmp_path):
    field = pa.field("x", pa.float64(), nullable=False, metadata={"unit": "m"})
    table = pa.table([RNG.normal(size=20), ["a", "b"] * 10], pa.schema([field, ("c", pa.string())], {"by": "hand"}))
    pyarrow.parquet.write_table(table, tmp_path / "data.parquet")
    came = pyarrow.parquet.read_schema(tmp_path / "data.parquet")
    went = pyarrow.parquet.read_schema(samples_file(tmp_path / "data.parquet", "samples.parquet"))
    assert went.equals(came, check_metadata=True)


def test_a_run_of_an_earlier_version_can_be_resumed_and_sampled(tmp_path):
    """Its source.json has no dtypes, ranges, axes and metadata."""
    np.save(tmp_path / "images.npy", RNG.random((40, 3, 8, 8)).astype(np.float32))
    np.save(tmp_path / "line.npy", RNG.normal(size=40))
    pyarrow.parquet.write_table(pa.table({"x": RNG.normal(size=40), "c": ["a", "b"] * 20}), tmp_path / "t.parquet")
    for name in ("images.npy", "line.npy", "t.parquet"):
        run = tmp_path / f"run-{name}"
        assert main(["train", str(tmp_path / name), *SMALL, "--out", str(run)]) == 0
        without_checksums(run)
        stored = json.loads((run / "source.json").read_text())
        assert stored["codec"].pop("given")
        (run / "source.json").write_text(json.dumps(stored))
        settings = tomllib.loads((run / "settings.toml").read_text())
        for setting in ("decimal", "thousands", "dayfirst", "date_format", "max_categories", "range"):
            del settings["input"][setting]
        (run / "settings.toml").write_text(tomli_w.dumps(settings))
        with pytest.warns(runs.RunWarning, match="carry no checksums"):
            going = runs.resume(run, steps=3)
        with going:
            assert [progress.step for progress in going.run()][-1] == 3
        samples = runs.load(run).sample(2)
        assert len(samples) == 2


@pytest.mark.parametrize("num_columns", [1, 3])
def test_a_run_on_booleans_scaled_like_numbers_can_be_resumed(num_columns, tmp_path):
    np.save(tmp_path / "flags.npy", RNG.random((40, num_columns)) > 0.7)
    run = tmp_path / "run"
    assert main(["train", str(tmp_path / "flags.npy"), *SMALL, "--scaling", "common", "--out", str(run)]) == 0
    # An earlier version scaled booleans by default.
    change_on_purpose(run, 'scaling = "common"', 'scaling = "auto"')
    with pytest.warns(runs.RunWarning, match="carries no checksum"):
        going = runs.resume(run, steps=3)
    with going:
        assert [progress.step for progress in going.run()][-1] == 3
    assert runs.load(run).sample(5).dtype == bool
