"""Samples have the form of the fitted data, before and after saving and loading."""

from __future__ import annotations

import decimal
import json
import pickle

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import torch
from tests.runs.small_runs import without_checksums

from wgan import WGAN
from wgan.errors import CheckpointError, DataError, DataWarning
from wgan.estimator.frames import column_of, note_of
from wgan.runs import RunWarning

SMALL = {"steps": 2, "generator": "mlp:width=8", "critic": "mlp:width=8", "random_state": 0}
RNG = np.random.default_rng(0)
N = 24

pytestmark = pytest.mark.filterwarnings("ignore::wgan.runs.RunWarning")

FRAME = pd.DataFrame(
    {
        "money": pd.Series([decimal.Decimal(number) for number in range(N)], dtype=pd.ArrowDtype(pa.decimal128(9, 2))),
        "coded": pd.Series(["a", "b"] * 12, dtype=pd.ArrowDtype(pa.dictionary(pa.int32(), pa.string()))),
        "when": pd.Series(pd.date_range("2024", periods=N, tz="dateutil/Europe/Berlin")),
        "text": pd.Series(["a", "b"] * 12, dtype="string[python]"),
        "maybe": pd.Series([1, None] * 12, dtype=object),
        "label": pd.Series(["u", "v"] * 12, dtype="string[python]").astype("category"),
        "x": RNG.normal(size=N),
    }
)


def assert_same_types(samples: pd.DataFrame, frame: pd.DataFrame) -> None:
    pd.testing.assert_series_equal(samples.dtypes, frame.dtypes)
    assert {type(cell) for cell in samples["maybe"]} <= {int, type(None)}


def test_frames_of_pandas_saved_and_loaded(tmp_path):
    model = WGAN(**SMALL, settings={"missing": "keep"}).fit(FRAME)
    samples = model.sample(N)
    assert_same_types(samples, FRAME)
    model.save(tmp_path / "model")
    for again in (WGAN.load(tmp_path / "model"), pickle.loads(pickle.dumps(model))):
        pd.testing.assert_frame_equal(again.sample(N), samples)


def test_frames_of_pandas_with_conditions():
    model = WGAN(**SMALL, settings={"missing": "keep", "condition": ["label"]}).fit(FRAME)
    assert_same_types(model.sample(5, where={"label": "u"}), FRAME)
    model = WGAN(**SMALL, settings={"missing": "keep"}).fit(FRAME.drop(columns="label"), FRAME["label"])
    assert_same_types(model.sample(5, y="u"), FRAME.drop(columns="label"))
    assert_same_types(model.sample(y=["u", "v"]), FRAME.drop(columns="label"))


def test_frames_of_polars_and_arrow_saved_and_loaded(tmp_path):
    enum = pl.DataFrame({"c": pl.Series(["a", "b"] * 12, dtype=pl.Enum(["b", "a", "z"])), "x": RNG.normal(size=N)})
    model = WGAN(**SMALL).fit(enum)
    model.save(tmp_path / "polars")
    assert WGAN.load(tmp_path / "polars").sample(3).schema == model.sample(3).schema == enum.schema
    field = pa.field("x", pa.float64(), nullable=False, metadata={"unit": "m"})
    table = pa.table([RNG.normal(size=N), ["a", "b"] * 12], pa.schema([field, ("c", pa.string())], {"by": "hand"}))
    model = WGAN(**SMALL).fit(table)
    model.save(tmp_path / "arrow")
    for samples in (model.sample(3), WGAN.load(tmp_path / "arrow").sample(3)):
        assert samples.schema.equals(table.schema, check_metadata=True)


def test_types_that_samples_cannot_have_are_refused_before_training(monkeypatch):
    monkeypatch.setattr("wgan.estimator.model.train", lambda *given, **more: pytest.fail("it was trained on"))

    def forget_form(column):
        note = note_of(column)
        return {"name": "string"} if "string" in note else note

    # A dtype that a library reads as another one than it has written.
    monkeypatch.setattr("wgan.estimator.forms.note_of", forget_form)
    with pytest.raises(DataError, match=r"column 'text' has dtype string, but samples would have string\nConvert it"):
        WGAN(**SMALL, settings={"missing": "keep"}).fit(FRAME)
    monkeypatch.setattr("wgan.estimator.forms.note_of", lambda column: {"name": "no such dtype"})
    with pytest.raises(DataError, match=r"samples cannot have the types of this data: .*no such dtype.*"):
        WGAN(**SMALL, settings={"missing": "keep"}).fit(FRAME)


def test_ignored_columns_may_hold_mixed_objects():
    frame = FRAME[["x"]].assign(mixed=pd.Series([1, 2.5] * 12, dtype=object))
    assert list(WGAN(**SMALL, settings={"ignore": ["mixed"]}).fit(frame).sample(2)) == ["x"]


def test_an_edited_estimator_json_runs_no_code():
    cells = pa.array([1, 2])
    with pytest.raises(ValueError, match="'show_config' is not a type of cells"):
        column_of(cells, {"objects": "show_config", "module": "numpy", "missing": "None"})


@pytest.mark.parametrize(
    "data",
    [
        RNG.normal(size=(N, 2)).astype(">f8"),
        RNG.integers(0, 99, N).astype(">i4"),
        (RNG.random((N, 3, 8, 8)) * 2 - 1).astype(">f4"),
        RNG.normal(size=(N, 2)).astype(np.longdouble),
        RNG.random((N, 8, 8)) > 0.5,
        torch.randn(N, 2).bfloat16(),
        torch.rand(N, 3, 8, 8).bfloat16(),
        torch.rand(N, 8, 8) > 0.5,
        torch.randint(0, 9, (N, 2)).to(torch.uint16),
    ],
    ids=lambda data: str(data.dtype),
)
def test_arrays_and_tensors_saved_and_loaded(data, tmp_path):
    model = WGAN(**SMALL).fit(data)
    model.save(tmp_path / "model")
    for samples in (model.sample(3), WGAN.load(tmp_path / "model").sample(3)):
        assert (type(samples), samples.dtype) == (type(data), data.dtype)
        assert samples.shape == (3, *data.shape[1:])
    assert model.score(data) < 0


def test_a_matrix_comes_back_as_an_array():
    with pytest.warns(PendingDeprecationWarning):
        data = np.matrix(RNG.normal(size=(N, 2)))
    assert type(WGAN(**SMALL).fit(data).sample(3)) is np.ndarray


def test_images_of_little_contrast_are_stretched_on_request_with_a_warning():
    masks = RNG.integers(0, 2, (N, 8, 8)).astype(np.uint8)
    with pytest.warns(DataWarning, match=r'pixels use 0 to 1 of 0 to 255.*by settings={"range": \(0, 1\)}'):
        WGAN(**SMALL).fit(masks)
    model = WGAN(**SMALL, settings={"range": (0, 1)}).fit(masks)
    samples = model.sample(50)
    assert samples.dtype == np.uint8
    assert np.unique(samples).tolist() == [0, 1]
    assert model.score(masks) < 0
    with pytest.raises(DataError, match=r"X ranges from 0 to 2, but images in \[0, 1\] were fitted"):
        model.score(masks * 2)


def as_saved_by_an_earlier_version(directory, form) -> None:
    """Turn a saved model into one of an earlier version, which stored the form outside the codec."""
    without_checksums(directory)
    source = json.loads((directory / "source.json").read_text())
    source["codec"].pop("given", None)
    (directory / "source.json").write_text(json.dumps(source))
    note = json.loads((directory / "estimator.json").read_text())
    del note["sha256"]
    note["form"].pop("before")
    note["form"] |= form
    (directory / "estimator.json").write_text(json.dumps(note))


@pytest.mark.parametrize(
    ("data", "form"),
    [
        (RNG.normal(size=N), {"dtype": "float64", "rank": 1}),
        (RNG.normal(size=(N, 2)), {"dtype": "float64", "rank": 2}),
        (RNG.random((N, 3, 8, 8)) * 2 - 1, {"dtype": "float64", "rank": 4, "channels_first": True, "lowest": -1.0}),
        (RNG.random((N, 8, 8)).astype(np.float32), {"dtype": "float32", "rank": 3}),
        (RNG.integers(0, 256, (N, 8, 8, 3)), {"dtype": "int64", "rank": 4}),
        (RNG.random((N, 8, 8)) > 0.5, {"dtype": "bool", "rank": 3}),
        (torch.rand(N, 3, 8, 8).bfloat16(), {"dtype": "bfloat16", "rank": 4, "channels_first": True}),
    ],
    ids=lambda value: str(getattr(value, "dtype", "")),
)
def test_models_of_earlier_versions_are_loaded(data, form, tmp_path):
    model = WGAN(**SMALL).fit(data)
    samples = model.sample(3)
    model.save(tmp_path / "old")
    as_saved_by_an_earlier_version(tmp_path / "old", {"channels_first": False, "lowest": 0.0} | form)
    with pytest.warns(RunWarning, match="carry no checksums"):
        loaded = WGAN.load(tmp_path / "old")
    loaded.save(tmp_path / "new")
    for again in (loaded, pickle.loads(pickle.dumps(loaded)), WGAN.load(tmp_path / "new")):
        assert again.sample(3).dtype == samples.dtype
        assert bool((again.sample(3) == samples).all())
        assert again.score(data) == model.score(data)


def test_a_model_that_an_earlier_version_pickled_is_loaded(tmp_path):
    model = WGAN(**SMALL).fit(RNG.normal(size=N))
    samples = model.sample(3)
    model.save(tmp_path / "old")
    without_checksums(tmp_path / "old")
    source = json.loads((tmp_path / "old" / "source.json").read_text())
    del source["codec"]["given"]
    (tmp_path / "old" / "source.json").write_text(json.dumps(source))
    model._files = {name: (tmp_path / "old" / name).read_bytes() for name in model._files}
    fields = vars(model._form)
    del fields["before"]
    fields.update(dtype="float64", rank=1, channels_first=False, lowest=0.0)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).sample(3), samples)


def test_frames_of_earlier_versions_are_loaded(tmp_path):
    frame = pd.DataFrame({"count": pd.array([1, 2, 5, 7] * 6, dtype="Int64"), "x": RNG.normal(size=N)})
    model = WGAN(**SMALL).fit(frame)
    model.save(tmp_path / "old")
    columns = [["count", "Int64"], ["x", "float64"]]
    plain = {"dtype": "", "rank": 2, "channels_first": False, "lowest": 0.0}
    as_saved_by_an_earlier_version(tmp_path / "old", plain | {"columns": columns})
    with pytest.warns(RunWarning, match="carry no checksums"):
        loaded = WGAN.load(tmp_path / "old")
    pd.testing.assert_frame_equal(loaded.sample(3), model.sample(3))


def test_a_damaged_schema_is_refused(tmp_path):
    WGAN(**SMALL).fit(FRAME[["x", "text"]]).save(tmp_path / "model")
    without_checksums(tmp_path / "model")
    source = json.loads((tmp_path / "model" / "source.json").read_text())
    for damaged in ("", "%", "AAAA"):
        source["codec"]["given"]["schema"] = damaged
        (tmp_path / "model" / "source.json").write_text(json.dumps(source))
        with pytest.raises(CheckpointError, match="stored preprocessing of this run"):
            WGAN.load(tmp_path / "model")
