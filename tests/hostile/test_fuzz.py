"""Damaged files are read or refused with a `WganError`, within bounds of time and memory.

`python tests/hostile/fuzzing.py SECONDS [READER ...]` tries for longer, and prints each kind of fault once.
"""

import ast
import contextlib
import io
import os
import resource
import sys
import time
from pathlib import Path

import pytest
from fuzzing import TooLongError, bounded, try_once
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from readers import READERS

import wgan
from wgan.data.array_files import read_header
from wgan.errors import WganError
from wgan.settings import from_toml

PACKAGE = Path(wgan.__file__).parent
FEW, MANY = 4, 150

READING = {
    "np.load", "np.memmap", "np.fromfile", "numpy.load", "json.load", "json.loads", "tomllib.load", "tomllib.loads",
    "parsed_json", "read_plain", "read_toml", "open_mapped", "read_header", "zipfile.ZipFile", "tarfile.open",
    "gzip.open",
    "bz2.open", "lzma.open", "Image.open", "lmdb.open", "load_file", "safe_open", "pyarrow.csv.read_csv",
    "csv.read_csv",
    "csv.reader", "pyarrow.parquet.ParquetFile", "pickle.load", "pickle.loads", "torch.load",
}  # fmt: skip
"""Calls by which files or their bytes are parsed."""

OTHERS = {
    "data.sample_formats": "writes .npz members, and reads nothing",
    "system.storage": "parses what the other modules read",
    "evaluation.features": "reads the weights of an installed package, which could run code anyway",
    "data.minilm": "reads the weights of an installed package, which could run code anyway",
    "studies.proofs.curves": "reads and writes its own JSON, in a separate folder",
    "report.pictures": "reads samples by report.record, and is tried with it",
    "cli.sample": "looks for the kind of a run, and leaves all faults to runs.metadata",
    "cli.train_settings": "reads settings by settings.toml",
    "runs.samples": "writes samples",
    "estimator.model": "reads by estimator.keeping",
    "data.compression": "opens files for data.tables.limits and data.contents",
    "data.tables.formats": "parses the first lines for data.contents",
    "data.images.decoded": "maps pixels that it has just written",
    "data.images.collection": "reads files for data.images.folders",
    "data.images.opening": "chooses a reader",
}
"""Modules with such a call that need no reader of their own, and why."""


def parsing_modules() -> set[str]:
    """The modules of the package, by dotted name below it, with a call in `READING`."""
    found = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in READING:
                found.add(".".join(path.relative_to(PACKAGE).with_suffix("").parts))
    return found


def test_every_module_that_parses_files_has_a_reader():
    tried = {module for reader in READERS.values() for module in reader.of}
    unknown = parsing_modules() - tried - OTHERS.keys()
    assert not unknown, f"give {sorted(unknown)} a row of READERS in tests/hostile/readers.py"
    assert all((PACKAGE / f"{module.replace('.', '/')}.py").is_file() for module in tried | OTHERS.keys())


@pytest.mark.skipif(sys.platform != "linux", reason="bounds memory by what Linux says of it")
class TestReaders:
    @pytest.mark.parametrize("name", [name for name in READERS if not name.startswith("report")])
    @pytest.mark.filterwarnings("ignore")
    def test_an_undamaged_file_is_read(self, name, tmp_path):
        reader = READERS[name]
        assert reader.make(tmp_path)
        reader.read(tmp_path)

    @pytest.mark.parametrize("name", [name for name, reader in READERS.items() if not reader.is_slow])
    def test_a_few_damaged_files(self, name):
        for seed in range(FEW):
            fault = try_once(name, seed)
            assert fault is None, f"{fault.what}\n{fault.trace}\n{fault.content[:300]!r}"

    @pytest.mark.slow
    @pytest.mark.parametrize("name", READERS)
    def test_many_damaged_files(self, name):
        count = MANY if not READERS[name].is_slow else 2 if name.startswith("report") else MANY // 10
        for seed in range(10_000, 10_000 + count):
            fault = try_once(name, seed)
            assert fault is None, f"seed {seed}: {fault.what}\n{fault.trace}\n{fault.content[:300]!r}"

    def test_memory_and_time_are_bounded(self):
        """Blocks that exceed memory or time are ended, and the limits are restored."""
        before = resource.getrlimit(resource.RLIMIT_AS)
        with pytest.raises(MemoryError), bounded(1):
            bytearray(2_000_000_000)
        with pytest.raises(TooLongError), bounded(0.01):
            time.sleep(10)
        assert resource.getrlimit(resource.RLIMIT_AS) == before


STARTS = (b"", b"\x93NUMPY\x01\x00v\x00", b"\x93NUMPY\x02\x00\x40\x00\x00\x00{")
QUICK = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@QUICK
@given(
    st.binary(max_size=200), st.sampled_from([b"", b"\x93NUMPY\x01\x00v\x00", b"\x93NUMPY\x02\x00\x40\x00\x00\x00{"])
)
def test_any_bytes_are_an_npy_header_or_raise_value_error(content, start):
    with contextlib.suppress(ValueError):
        read_header(io.BytesIO(start + content))


@QUICK
@given(
    st.text(max_size=100)
    | st.recursive(st.integers() | st.booleans() | st.floats(), lambda inner: st.lists(inner, max_size=3)).map(
        lambda value: f"steps = {str(value).lower()}"
    )
)
def test_any_text_is_settings_or_raises_usage_error(tmp_path, text):
    (tmp_path / "s.toml").write_text(text, encoding="utf-8", errors="replace")
    with contextlib.suppress(WganError):
        from_toml(tmp_path / "s.toml")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("steps = " + "[" * 5000 + "]" * 5000, "nested too deeply"),
        ("steps = " + "9" * 5000, "not valid TOML"),
        ("steps = 0x" + "9" * 5000, "a whole number of about 6,0.. digits"),
        ("batch_size = " + "9" * 23, "batch_size must be at most 1,000,000,000,000"),
        ("threads = 99999999", "threads must be between 0 and 1,024"),
        ("a." * 5000 + "a = 1", "a key has more than two parts"),
        ("#" * 600_000, "is longer than"),
        ("seed = 1e999", "seed must be a whole number"),
        ("day = 2024-99-99", "not valid TOML"),
    ],
    ids=lambda value: value[:12],
)
def test_settings_that_break_the_parser_are_refused(tmp_path, text, expected):
    (tmp_path / "s.toml").write_text(text)
    with pytest.raises(WganError, match=expected):
        from_toml(tmp_path / "s.toml")


def test_settings_that_are_not_a_regular_file_are_refused_without_waiting(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(WganError, match="a pipe or a device"):
            from_toml(path)
