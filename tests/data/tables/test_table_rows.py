import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from wgan.data import open_data
from wgan.data.columns.raw import read_frame
from wgan.data.tables.codec import code_dtype
from wgan.data.tables.detecting import detect
from wgan.errors import DataWarning
from wgan.randomness import Randomness
from wgan.settings import DataOptions

NUM_ROWS = 60
FRAME = pa.table(
    {
        "number": pa.array([None if row % 7 == 0 else row / 8 for row in range(NUM_ROWS)]),
        "word": pa.array([f"v{row * row % 11}" for row in range(NUM_ROWS)]),
        "flag": pa.array([row % 3 == 0 for row in range(NUM_ROWS)]),
        "same": pa.array([5] * NUM_ROWS),
        "when": pa.array(range(NUM_ROWS), pa.timestamp("s")),
        "gap": pa.array([None if row % 5 == 0 else f"g{row % 2}" for row in range(NUM_ROWS)]),
    }
)
pytestmark = pytest.mark.filterwarnings("ignore::wgan.errors.DataWarning")


def compact(frame=FRAME, **options):
    found = detect(read_frame(frame, name="frame"), DataOptions(missing="keep", **options))
    return found.codec, found.codec.compact(found.arrays, len(found.arrays[0]))


def one_hot(cells, values):
    return np.array([[float(cell == value) for value in values] for cell in cells])


def by_hand(frame):
    """The encoded rows of FRAME, computed without the codec."""
    numbers = np.array([np.nan if cell is None else cell for cell in frame["number"].to_pylist()])
    known = ~np.isnan(numbers)
    standard = np.where(known, (numbers - numbers[known].mean()) / numbers[known].std(), 0.0)
    seconds = np.arange(NUM_ROWS)
    blocks = [
        standard[:, None],
        np.stack([known, ~known], axis=1),
        one_hot(frame["word"].to_pylist(), sorted(set(frame["word"].to_pylist()))),
        one_hot(frame["flag"].to_pylist(), [False, True]),
        ((seconds - seconds.mean()) / seconds.std())[:, None],
        one_hot(frame["gap"].to_pylist(), ["g0", "g1", None]),
    ]
    return np.concatenate(blocks, axis=1)


def test_expanded_rows_are_what_the_networks_see():
    codec, rows = compact()
    expanded = rows.expand(slice(None))
    assert expanded.dtype == torch.float32
    np.testing.assert_allclose(expanded.numpy(), by_hand(FRAME), atol=1e-6)
    assert codec.layout.shape == expanded.shape[1:]
    chosen = torch.tensor([7, 0, 7, NUM_ROWS - 1])
    assert torch.equal(rows.expand(chosen), expanded[chosen])


def test_only_the_rows_of_a_batch_are_expanded():
    source = open_data(FRAME, DataOptions(missing="keep", held_out=0.0), seed=0)
    expanded = compact()[1].expand(slice(None))
    rng = Randomness(0).at("rows")
    chosen = torch.randint(NUM_ROWS, (16,), generator=Randomness(0).at("rows"))
    assert torch.equal(source.sample(16, rng).values, expanded[chosen])


@pytest.mark.parametrize(
    ("num_categories", "num_bytes"), [(2, 1), (256, 1), (257, 2), (1_000, 2)], ids=lambda value: str(value)
)
def test_a_category_needs_only_the_bytes_of_its_code(num_categories, num_bytes):
    cells = [f"v{row % num_categories:04d}" for row in range(3 * num_categories)]
    _, rows = compact(pa.table({"a": cells, "b": cells[::-1]}))
    assert rows.num_bytes == 2 * num_bytes * len(rows)
    assert rows.width == 2 * num_categories


def test_memory_does_not_grow_with_the_width_of_expanded_rows():
    """30 columns of 300 categories: 60 bytes a row, where one-hot rows of float32 take 36,000."""
    cells = [f"v{row % 300:03d}" for row in range(900)]
    _, rows = compact(pa.table({f"c{column}": cells for column in range(30)}))
    assert rows.num_bytes == 60 * len(rows)


@given(st.integers(0, 2**20))
def test_the_type_of_codes_holds_the_largest_code(largest):
    dtype = code_dtype(largest)
    assert torch.tensor(largest).to(dtype).item() == largest
    assert (dtype.itemsize == 1) == (largest < 2**8)
    assert (dtype.itemsize <= 2) == (largest < 2**15)


@pytest.mark.parametrize(
    ("condition", "fingerprint"),
    [((), "c65e21a4b3f85878edc13126f386d1bb"), (("word",), "5172b65496faef0cd7930e1febc33336")],
    ids=["no condition", "a condition"],
)
def test_the_fingerprint_equals_that_of_runs_that_stored_one_hot_rows(condition, fingerprint):
    """A run of an earlier version compares it when it is resumed. Both were computed by that version."""
    frame = FRAME.drop_columns(["gap"])
    source = open_data(frame, DataOptions(missing="keep", condition=condition), seed=3)
    assert source.fingerprint() == fingerprint


def test_the_fingerprint_does_not_depend_on_how_many_rows_are_hashed_at_once(monkeypatch):
    source = open_data(FRAME, DataOptions(missing="keep"), seed=0)
    found = source.fingerprint()
    monkeypatch.setattr("wgan.data.finite._HASHED_BYTES", 1)
    assert source.fingerprint() == found


def test_a_frame_of_a_constant_and_a_category_has_no_numbers():
    with pytest.warns(DataWarning, match="constant"):
        codec, rows = compact(pa.table({"a": [1, 1, 1], "b": ["x", "y", "x"]}))
    assert rows.numbers.shape == (3, 0)
    assert codec.decode(rows.expand(slice(None)))["b"].to_pylist() == ["x", "y", "x"]
