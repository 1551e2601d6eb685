"""Arrays and tensors of all kinds: read unchanged, or refused with a remedy."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pytest
import torch
from torch.masked import masked_tensor

from wgan.data import codec_from_state, open_data
from wgan.data.arrays import as_array
from wgan.data.points import PointsSource
from wgan.errors import CheckpointError, DataError
from wgan.settings import DataOptions

X = np.random.default_rng(0).normal(size=(20, 3))
T = torch.from_numpy(X)


class OwnArray(np.ndarray):
    pass


class OwnTensor(torch.Tensor):
    pass


def opened(data, **options) -> PointsSource:
    return open_data(data, DataOptions(held_out=0.0, **options), seed=0)


def back(source: PointsSource, data):
    """The rows of the data, encoded and restored by a codec that was stored and read."""
    codec = codec_from_state(json.loads(json.dumps(source.codec.state())))
    return codec.restore(source.codec.encode(np.asarray(data).reshape(len(data), -1)))


TAKEN = {
    "matrix": (lambda: np.matrix(X), X),
    "nothing masked": (np.ma.array(X), X),
    "Fortran's order": (np.asfortranarray(X), X),
    "backwards": (X[::-1], X[::-1]),
    "lists": (X.tolist(), X),
    "bfloat16": (T.bfloat16(), T.bfloat16().float().numpy()),
    "float16": (T.half(), X.astype(np.float16)),
    "requires grad": (T.clone().requires_grad_(), X),
    "parameter": (torch.nn.Parameter(T), X),
    "subclass": (T.as_subclass(OwnTensor), X),
    "negative bit": (torch.complex(T, T).conj().imag, -X),
    "expanded": (T[:, :1].expand(20, 2), X[:, [0, 0]]),
    "list of tensors": ([*T], X),
}


@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")
@pytest.mark.parametrize("name", TAKEN)
def test_supported_arrays_are_read_unchanged(name):
    data, numbers = TAKEN[name]
    data = data() if callable(data) else data
    array = as_array(data, "array")
    assert type(array) is np.ndarray
    np.testing.assert_array_equal(array, numbers)
    assert opened(data).codec.num_columns == numbers.shape[1]


REFUSED = {
    "subclass": (
        X.view(OwnArray),
        r"of the type OwnArray, which may attach.*\nGive .*numpy.asarray\(array\)",
    ),
    "records": (np.zeros(20, [("a", "f8")]), "holds records"),
    "text": (np.array([["a"]] * 20), "holds text"),
    "objects": (np.array([[1.0, "a"]] * 20, dtype=object), "holds Python objects"),
    "complex": (X.astype(complex), "holds complex numbers"),
    "dates": (np.array(["2020", "2021"], "M8[Y]"), "dtype datetime64"),
    "images masked": (np.ma.masked_greater(np.ones((4, 5, 5)), 0.5), "100 cells are masked, and the values under"),
    "list of masked": (
        [np.ma.masked_less(row, 0.0) for row in X],
        "masked, and the values under a mask are not",
    ),
    "complex tensor": (torch.complex(T, T), r"holds complex numbers \(dtype torch.complex128"),
    "meta": (T.to("meta"), r"on the device meta, which holds no numbers"),
    "list of meta": ([*T.to("meta")], "cannot be read as an array"),
    "sparse": (T.to_sparse(), r"sparse tensor\nGive tensor.to_dense"),
    "sparse rows": (lambda: T.to_sparse_csr(), "sparse tensor"),
    "nested": (lambda: torch.nested.nested_tensor([T[0], T[1, :2]]), "whose numbers cannot be read"),
    "jagged": (lambda: torch.nested.nested_tensor([T[0], T[1, :2]], layout=torch.jagged), "of the type NestedTensor"),
    "masked tensor": (lambda: masked_tensor(T, T > 0), "of the type MaskedTensor"),
    "float8": (T.to(torch.float8_e5m2), "torch.float8_e5m2, which NumPy does not have\nGive tensor.float"),
}


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("name", REFUSED)
def test_other_arrays_are_refused(name):
    data, said = REFUSED[name]
    data = data() if callable(data) else data
    with pytest.raises(DataError, match=said):
        opened(data)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
def test_a_quantised_tensor_is_refused():
    data = torch.quantize_per_tensor(T.float(), 0.1, 0, torch.qint8)
    with pytest.raises(DataError, match=r"quantised tensor\nGive tensor.dequantize"):
        opened(data)


@pytest.mark.parametrize("dtype", [np.float64, np.int64])
def test_masked_cells_are_missing_cells(dtype):
    masked = np.ma.array((X * 100).astype(dtype), mask=X > 1)
    masked.data[masked.mask] = 999
    count = int(masked.mask.sum())
    with pytest.raises(DataError, match=rf"{count} masked, NaN or infinite cells: row \d+ column \d \(masked\), .*"):
        opened(masked)
    source = opened(masked, missing="drop")
    kept = np.ma.compress_rows(masked)
    assert source.size == len(kept)
    rows = source.codec.decode(source.distinct(99, torch.Generator().manual_seed(0)))
    np.testing.assert_allclose(np.sort(rows, axis=0), np.sort(kept, axis=0), rtol=1e-5)
    assert rows.max() < 999


@pytest.mark.parametrize("dtype", [">f8", ">f4", ">i4", ">u2", "<f2", np.longdouble])
def test_dtype_and_rank_of_points_round_trip(dtype):
    for data in ((abs(X) * 100).astype(dtype), (abs(X[:, 0]) * 100).astype(dtype)):
        restored = back(opened(data), data)
        assert (restored.dtype, restored.dtype.byteorder) == (data.dtype, data.dtype.byteorder)
        np.testing.assert_allclose(restored, data, rtol=1e-3)


def test_extended_precision_is_noted():
    source = opened(X.astype(np.longdouble))
    assert f"{np.dtype(np.longdouble)} is learnt as float64" in source.notes
    huge = np.array([np.finfo(np.longdouble).max, 1, 2])
    with pytest.raises(DataError, match="1 NaN or infinite cell"):
        opened(huge)


def test_fingerprints_do_not_depend_on_fields_for_decoding_only():
    assert opened(X[:, 0]).fingerprint() == opened(X[:, :1]).fingerprint()
    assert opened(X.astype(np.longdouble)).fingerprint() == opened(X).fingerprint()


@pytest.mark.parametrize("given", ["x", 5, [1], {"dtype": "O"}, {"dtype": "no such"}, {"dtype": 5}])
def test_an_edited_form_of_the_data_is_refused(given):
    state = json.loads(json.dumps(opened(X).codec.state()))
    with pytest.raises(CheckpointError, match="stored preprocessing of this run"):
        codec_from_state({**state, "given": given})
    table = opened(pa.table({"x": X[:, 0]})).codec.state()
    wrong = given | {"schema": 5} if isinstance(given, dict) else given
    with pytest.raises(CheckpointError, match="stored preprocessing of this run"):
        codec_from_state({**table, "given": wrong})


def test_booleans_are_encoded_as_minus_one_and_one():
    for data in (X > 0, X[:, 0] > 0):
        source = opened(data)
        assert source.codec.layout.bounded
        assert source.distinct(9, torch.Generator().manual_seed(0)).unique().tolist() == [-1, 1]
        np.testing.assert_array_equal(back(source, data), data)
        assert source.codec.restore(torch.tensor([[-0.2], [0.2]]).expand(2, source.codec.layout.size)).tolist() in (
            [False, True],
            [[False] * 3, [True] * 3],
        )
    assert not opened(X > 0, scaling="each").codec.layout.bounded
    assert not opened((X > 0).astype(int)).codec.layout.bounded
