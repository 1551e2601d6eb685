import numpy as np
import pandas as pd
import pytest
import torch

import wgan.data
from wgan.data import codec_differences, codec_from_state, open_data
from wgan.errors import CheckpointError, DataError, UsageError
from wgan.settings import DataOptions


def state_of(data, **options):
    return open_data(data, DataOptions(**options), seed=0).codec.state()


def test_all_names_of_the_package_can_be_imported():
    for name in wgan.data.__all__:
        assert getattr(wgan.data, name) is not None
    assert set(wgan.data.__all__) == set(dir(wgan.data))
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = wgan.data.nonsense


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"size": (32, 32), "mode": "L"},
            r'size=\(32, 32\), mode="L" cannot be used with .*\nOptions that apply: held_out',
        ),
        ({"scaling": "each"}, "scaling=.each. cannot be used with .*a table"),
    ],
)
def test_options_that_do_not_apply_to_a_table_are_listed(tmp_path, options, message):
    (tmp_path / "t.csv").write_text("a,b\n1,2\n3,4\n")
    with pytest.raises(UsageError, match=message):
        open_data(tmp_path / "t.csv", DataOptions(**options), seed=0)
    with pytest.raises(UsageError, match=message.replace("a table", "a data frame")):
        open_data(pd.DataFrame({"a": [1, 2, 3]}), DataOptions(**options), seed=0)


def test_options_that_do_not_apply_to_other_data_are_refused():
    for data, options in [
        ("ring", {"scaling": "none"}),
        ("ring", {"held_out": 0.2}),
        (np.ones((3, 2)), {"categorical": ("a",)}),
        (np.ones((3, 8, 8)), {"scaling": "none"}),
        (pd.DataFrame({"a": [1, 2, 3]}), {"header": False}),
        ("fashion-mnist", {"missing": "drop"}),
        ("fashion-mnist", {"skip_broken": True}),
        (np.ones((3, 8, 8)), {"skip_broken": True}),
    ]:
        with pytest.raises(UsageError, match="cannot be used with"):
            open_data(data, DataOptions(**options), seed=0)


def test_options_that_do_not_apply_to_decoded_pixels_are_refused(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (3, 8, 6), dtype=np.uint8)
    np.save(tmp_path / "x.npy", pixels)
    header = b"\0\0\x08\x03" + np.array(pixels.shape, ">i4").tobytes()
    (tmp_path / "x-images-idx3-ubyte").write_bytes(header + pixels.tobytes())
    for data in (pixels, tmp_path / "x.npy", tmp_path / "x-images-idx3-ubyte"):
        with pytest.raises(UsageError, match=r"skip_broken=True cannot be used with .*\nOptions that apply: .*fit, "):
            open_data(data, DataOptions(skip_broken=True), seed=0)
        for options, becomes in (({}, "stay as they are"), ({"size": (16, 12)}, "are scaled to 16x12")):
            with pytest.raises(UsageError, match=f"fit=.pad. has no effect: images of 8x6 {becomes}"):
                open_data(data, DataOptions(fit="pad", **options), seed=0)
        assert open_data(data, DataOptions(fit="pad", size=(8, 8)), seed=0).codec.layout.shape == (1, 8, 8)
    with pytest.raises(UsageError, match="images of 28x28 stay"):
        open_data("fashion-mnist", DataOptions(fit="stretch"), seed=0)


def test_options_out_of_range():
    with pytest.raises(UsageError, match=r"held_out must be between 0 and 0.5, not 0.7"):
        open_data("ring", DataOptions(held_out=0.7), seed=0)
    with pytest.raises(UsageError, match="size must be two numbers between 1 and 4096"):
        open_data("ring", DataOptions(size=(-1, 3)), seed=0)


@pytest.mark.parametrize("data", [3, {"a": [1, 2]}, None])
def test_other_objects_are_refused(data):
    with pytest.raises(DataError, match=r"cannot be read as data\nSupported: a name or path"):
        open_data(data, DataOptions(), seed=0)


def test_lists_of_unequal_lengths_are_refused():
    with pytest.raises(DataError, match="cannot be read as an array"):
        open_data([[1, 2], [3]], DataOptions(), seed=0)


def test_arrays_of_rank_three_are_images():
    source = open_data(torch.zeros(5, 8, 8, dtype=torch.uint8).random_(), DataOptions(), seed=0)
    assert source.codec.layout.is_image
    assert codec_from_state(source.codec.state()).kind == "images"


def test_a_line_break_in_a_name_is_escaped_where_shown(tmp_path):
    (tmp_path / "a\nb.csv").write_text("a,b\n")
    with pytest.raises(DataError, match=r"a\\nb\.csv: 0 rows"):
        open_data(tmp_path / "a\nb.csv", DataOptions(), seed=0)


@pytest.mark.parametrize(
    "state", [{}, {"kind": "sound"}, {"kind": "points"}, {"kind": "table", "columns": [{"how": "magic"}]}]
)
def test_an_invalid_stored_codec_is_refused(state):
    with pytest.raises(CheckpointError, match="stored preprocessing"):
        codec_from_state(state)


# -- differences ----------------------------------------------------------------------------------------------------

FRAME = pd.DataFrame({"age": [3, 4, 9], "job": ["cook", "clerk", "cook"], "pay": [1.5, 2.5, 9.5]})


def test_equal_codecs_do_not_differ():
    assert codec_differences(state_of(FRAME), state_of(FRAME.copy())) == []
    assert codec_differences(state_of("ring"), state_of("grid")) == []


def test_codecs_of_other_kinds_differ_in_kind_only():
    assert codec_differences(state_of(FRAME), state_of("ring")) == ["kind: points, was table"]


def test_new_missing_and_changed_columns_are_named():
    other = FRAME.drop(columns="pay").assign(age=[1.5, 2.5, 3.5], job=["cook", "nurse", "cook"], size=[1, 2, 3])
    assert codec_differences(state_of(FRAME), state_of(other)) == [
        "columns: 'pay' is missing",
        "columns: 'size' is new",
        "columns, 'age', type: double, was int64",
        "columns, 'job', values: gained 'nurse', lost 'clerk'",
    ]


def test_columns_in_another_order_are_reported():
    lines = codec_differences(state_of(FRAME), state_of(FRAME[["pay", "age", "job"]]))
    assert lines == ["columns: in the order 'pay', 'age', 'job', was 'age', 'job', 'pay'"]


def test_points_of_another_width_and_dtype_differ_by_field():
    points = np.random.default_rng(0).normal(size=(9, 2))
    lines = codec_differences(state_of(points), state_of(np.c_[points, points].astype("f4")))
    assert "dtype: <f4, was <f8" in lines
    assert "num columns: 4, was 2" in lines
