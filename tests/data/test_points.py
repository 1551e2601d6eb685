import io
import json
import os
import pickle
import zipfile

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import wgan.data.points
from wgan.data import codec_from_state, open_data
from wgan.data.points import PointsSource
from wgan.data.scaling import Scaling
from wgan.errors import DataError, DataWarning, UsageError
from wgan.randomness import Randomness
from wgan.settings import DataOptions

RNG = np.random.default_rng(0)
CLOUD = RNG.normal(size=(200, 3)) * [1.0, 2.0, 3.0] + [5.0, -1e6, 0.0]


def rng(counter=0):
    return Randomness(0).at("test", counter)


def open_points(array, **options):
    return open_data(array, DataOptions(**options), seed=0)


def round_trip(source, array):
    codec = codec_from_state(json.loads(json.dumps(source.codec.state())))
    assert codec.layout == source.codec.layout
    return codec.decode(source.codec.encode(np.asarray(array).reshape(len(array), -1)))


def saved(tmp_path, array, name="a.npy"):
    np.save(tmp_path / name, array, allow_pickle=True)
    return tmp_path / name


# -- encoding -------------------------------------------------------------------------------------------------------


def test_all_columns_share_one_factor_so_that_distances_keep_their_ratio():
    source = open_points(CLOUD)
    encoded = source.codec.encode(CLOUD).double().numpy()
    assert source.codec.unit == pytest.approx(np.sqrt(CLOUD.var(axis=0).mean()))
    network = np.linalg.norm(encoded[1:] - encoded[:-1], axis=1)
    data = np.linalg.norm(CLOUD[1:] - CLOUD[:-1], axis=1)
    np.testing.assert_allclose(network * source.codec.unit, data, rtol=1e-4)
    assert abs(encoded.mean(axis=0)).max() < 1e-5


def test_auto_scales_each_column_where_their_spreads_differ_by_more_than_ten():
    uneven = CLOUD * [1.0, 1.0, 10.0]
    source = open_points(uneven)
    np.testing.assert_allclose(source.codec.encode(uneven).std(dim=0, correction=0), 1.0, rtol=1e-4)
    assert source.codec.unit is None
    assert open_points(uneven, scaling="common").codec.unit is not None


def test_no_scaling_is_the_identity():
    points = CLOUD.astype(np.float32)
    source = open_points(points, scaling="none")
    assert np.array_equal(source.codec.encode(points), points)
    assert source.codec.unit == 1.0


def test_train_and_held_out_rows_are_disjoint_and_complete():
    source = open_points(np.arange(100.0))
    assert (source.size, source.num_held_out) == (90, 10)
    held = source.codec.decode(source.held_out(1_000, rng()))[:, 0].round()
    train = source.codec.decode(source.sample(5_000, rng()).values)[:, 0].round()
    assert len(held) == len(set(held)) == 10
    assert set(held) | set(train) == set(range(100))
    assert not set(held) & set(train)
    assert source.held_out(3, rng()).shape == (3, 1)
    assert torch.equal(source.sample(5, rng(1)).values, source.sample(5, rng(1)).values)


def test_distinct_rows_are_those_of_training_each_at_most_once():
    source = open_points(np.arange(100.0))

    def numbers(values):
        return source.codec.decode(values)[:, 0].round().tolist()

    assert sorted(numbers(source.distinct(1_000, rng()))) == sorted(
        set(range(100)) - set(numbers(source.held_out(100, rng())))
    )
    assert len(set(numbers(source.distinct(50, rng())))) == 50
    assert torch.equal(source.distinct(50, rng()), source.distinct(50, rng()))
    assert not torch.equal(source.distinct(50, rng()), source.distinct(50, rng(1)))


def test_nothing_is_held_out_on_request():
    source = open_points(np.arange(100.0), held_out=0.0)
    assert source.size == 100
    assert source.held_out(5, rng()).shape == (0, 1)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", ">f8", ">i2", "int8", "uint64", "bool"])
def test_dtypes_round_trip(dtype):
    points = np.array([[0, 1], [1, 0], [100, 3], [7, 90]]).astype(dtype)
    decoded = round_trip(open_points(points, scaling="each"), points)
    assert decoded.dtype == points.dtype
    np.testing.assert_allclose(decoded.astype(float), points.astype(float), atol=1e-3)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int64", "uint64", "float16", "float32"])
def test_samples_far_away_are_clipped_to_the_dtype(dtype):
    source = open_points(np.array([[0], [1], [100]], dtype=dtype))
    decoded = source.codec.decode(torch.tensor([[-1e38], [1e38]]))
    limits = np.finfo(dtype) if np.dtype(dtype).kind == "f" else np.iinfo(dtype)
    assert decoded[:, 0].tolist() == [limits.min, limits.max]


def test_tensors_lists_and_single_columns_are_accepted():
    assert open_points(torch.randn(9, 2, dtype=torch.bfloat16, requires_grad=True)).codec.dtype == np.float32
    assert open_points([[1, 2], [3, 4], [5, 9]]).codec.num_columns == 2
    assert open_points(np.arange(9.0)).codec.layout.shape == (1,)


@given(
    hnp.arrays(
        np.float64,
        st.tuples(st.integers(2, 8), st.integers(1, 3)),
        elements=st.floats(allow_nan=False, allow_infinity=False),
    ),
    st.sampled_from(["auto", "common", "each"]),
)
def test_all_finite_numbers_round_trip(points, scaling):
    varying = (points != points[0]).any(axis=0)
    points = points[:, varying]
    if not points.shape[1]:
        return
    source = PointsSource(points, name="p", options=DataOptions(scaling=scaling), seed=0)
    assert source.codec.encode(points).isfinite().all()
    decoded = round_trip(source, points)
    assert np.isfinite(decoded).all()
    low, high = points.min(axis=0), points.max(axis=0)
    spread = (high / 2 - low / 2) if scaling == "each" else (high / 2 - low / 2).max()
    assert (abs(decoded / 2 - points / 2) <= 1e-5 * spread + 1e-15 * abs(points) + 1e-323).all()


def test_scaling_keeps_a_small_spread_around_a_large_value():
    points = 1e12 + np.arange(5.0)[:, None]
    np.testing.assert_allclose(round_trip(open_points(points), points), points, rtol=0, atol=1e-3)


def test_scaling_merges_blocks_exactly():
    blocks = np.array_split(CLOUD, 7)
    fitted = Scaling.fit(CLOUD.min(axis=0), CLOUD.max(axis=0), lambda: iter(blocks))
    encoded = fitted.encode(CLOUD)
    np.testing.assert_allclose(encoded.mean(axis=0), 0, atol=1e-9)
    np.testing.assert_allclose(encoded.std(axis=0), 1, rtol=1e-9)


# -- constant columns -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [np.float64(0.1), np.uint64(2**64 - 1), np.int64(-(2**63))])
def test_constant_columns_give_a_warning_and_round_trip_exactly(value):
    points = np.array([[value, k] for k in range(5)], dtype=value.dtype)
    with pytest.warns(DataWarning, match=r"constant columns \(1\)"):
        source = open_points(points)
    assert source.codec.layout.shape == (1,)
    assert "(1 constant)" in source.describe()
    assert (round_trip(source, points)[:, 0] == value).all()


def test_constant_columns_only_are_refused():
    with pytest.raises(DataError, match="every column is constant"):
        open_points(np.ones((5, 2)))


@pytest.mark.parametrize("low", [2**60, -(2**63), 2**63 - 1000])
def test_large_integers_round_trip_exactly(low):
    array = np.stack([np.array(range(low, low + 1000), np.int64), np.arange(1000), np.full(1000, 2**62)], axis=1)
    with pytest.warns(DataWarning, match="constant"):
        source = open_points(array)
    np.testing.assert_array_equal(round_trip(source, array), array)


def test_neighbours_at_the_end_of_uint64_stay_distinct():
    array = np.array([[2**63 + 1], [2**63 + 2], [2**64 - 1]], dtype=np.uint64)
    np.testing.assert_array_equal(round_trip(open_points(array[:2]), array[:2]), array[:2])
    decoded = open_points(array).codec.decode(torch.tensor([[-1e30], [1e30]]))
    np.testing.assert_array_equal(decoded, np.array([[0], [2**64 - 1]], np.uint64))


def test_an_array_without_columns_is_refused_with_the_reason():
    with pytest.raises(DataError, match=r"has no columns \(shape \(100, 0\)\)"):
        open_points(np.empty((100, 0)))


# -- bad input ------------------------------------------------------------------------------------------------------


def test_nan_and_inf_are_counted_shown_and_dropped_on_request(tmp_path):
    points = CLOUD.copy()
    points[[3, 8], [1, 2]] = np.nan
    points[20:30, 0] = np.inf
    with pytest.raises(DataError, match=r"12 NaN or infinite cells: row 4 column 2 \(nan\), row 9 column 3 .*, \.\.\."):
        open_points(points)
    source = open_points(points, missing="drop")
    assert source.size + source.num_held_out == 188
    assert "12 rows with NaN" in source.notes[0]
    assert source.sample(2_000, rng()).values.isfinite().all()
    assert source.held_out(2_000, rng()).isfinite().all()
    with pytest.raises(DataError, match="1 row of 3 columns after dropping 2; needs at least 2 rows"):
        open_points(points[[0, 3, 8]], missing="drop")
    with pytest.raises(UsageError, match='missing="keep" needs a table'):
        open_points(points, missing="keep")


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((3, 2), complex), r"complex numbers \(dtype complex128, shape \(3, 2\)\)\nSupported: rank 1 or 2"),
        (np.array(["a", "b"]), "holds text"),
        (np.array([1, None]), "Python objects|needs pickle"),
        (np.zeros(3, "M8[s]"), "datetime64"),
        (np.zeros(3, [("a", float)]), "records"),
        (np.float64(3), "rank 0"),
        (np.zeros((2, 2, 2, 2, 2)), "rank 5"),
        (np.zeros((0, 3)), "needs at least 2 rows"),
        (np.zeros((1, 3)), "needs at least 2 rows"),
        (np.zeros((3, 0)), "shape"),
    ],
)
def test_a_wrong_rank_or_dtype_is_named_with_the_supported_ones(tmp_path, array, message):
    with pytest.raises(DataError, match=message):
        open_points(np.asarray(array))
    with pytest.raises(DataError, match=message):
        open_points(saved(tmp_path, array))


class Bomb:
    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return os.mkdir, (self.target,)


@pytest.mark.parametrize("form", ["pickle", "npy", "npz"])
def test_a_pickle_is_refused_and_not_executed(tmp_path, form):
    bomb, target = Bomb(str(tmp_path / "ran")), tmp_path / f"a.{'npz' if form == 'npz' else 'npy'}"
    if form == "pickle":
        target.write_bytes(pickle.dumps(bomb))
    elif form == "npy":
        np.save(target, np.array([bomb, bomb], dtype=object), allow_pickle=True)
    else:
        np.savez(target, x=np.array([bomb, bomb], dtype=object))
    with pytest.raises(DataError, match=r"needs pickle.*refused, and nothing was executed"):
        open_points(target)
    assert not (tmp_path / "ran").exists()


def test_damaged_files_are_refused(tmp_path):
    whole = saved(tmp_path, CLOUD).read_bytes()
    bad = tmp_path / "b.npy"
    for content, message in [
        (b"", "empty file"),
        (b"hello world", "not a NumPy file"),
        (whole[:-8], r"truncated: its header states 4,800 bytes of numbers, 4,792 follow"),
        (whole[:20], "cannot be read"),
        (b"PK\x03\x04....", "cannot be read"),
    ]:
        bad.write_bytes(content)
        with pytest.raises(DataError, match=message):
            open_points(bad)


def test_a_wrong_header_allocates_no_memory(tmp_path):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": (10**13, 2)})
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("x.npy", header.getvalue() + b"\0" * 64)
    with pytest.raises(DataError, match="truncated"):
        open_points(tmp_path / "a.npz")


def test_the_array_of_an_npz_is_chosen_by_name(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, x=CLOUD, y=np.arange(200))
    assert "200 rows, 3 columns of float64, labels 'y' not used, 20 held out" in open_points(path).describe()
    np.savez(path, only=CLOUD)
    assert open_points(path).size == 180
    np.savez(path, one=CLOUD, two=CLOUD)
    with pytest.raises(DataError, match=r"holds 2 arrays .*which one is not clear"):
        open_points(path)


# -- large files and fingerprints -----------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ["C", "F"])
def test_a_memory_map_gives_the_same_batches_as_memory(tmp_path, monkeypatch, order):
    path = saved(tmp_path, np.asarray(CLOUD, order=order))
    loaded = open_points(path)
    monkeypatch.setattr(wgan.data.points, "_KEEP_BYTES", 0)
    monkeypatch.setattr(wgan.data.points, "_BLOCK_BYTES", 24 * 7)
    mapped = open_points(path)
    assert torch.allclose(mapped.sample(50, rng()).values, loaded.sample(50, rng()).values, atol=1e-6)
    assert torch.allclose(mapped.held_out(50, rng()), loaded.held_out(50, rng()), atol=1e-6)


def test_the_fingerprint_follows_the_training_data_and_not_the_path(tmp_path):
    first = open_points(saved(tmp_path, CLOUD)).fingerprint()
    assert open_points(CLOUD).fingerprint() == first
    assert open_points(CLOUD, scaling="each").fingerprint() != first
    other = CLOUD.copy()
    other[:20] += 1e-3
    assert open_points(other).fingerprint() != first


def test_extreme_values_need_scaling():
    points = np.array([[1e308], [-1e308], [0.0]])
    with pytest.raises(DataError, match=r"values reach 1e\+308"):
        open_points(points, scaling="none")
