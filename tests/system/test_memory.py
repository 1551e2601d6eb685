"""Errors of libraries that mean out of memory, and the memory that is available."""

import errno
import resource
import subprocess
import sys
import threading

import numpy as np
import pyarrow as pa
import pytest
import torch

from wgan.errors import DataError, OutOfMemoryError, WganError
from wgan.system import memory
from wgan.system.memory import available, in_words, is_out_of_memory, memory_faults

HUGE = 10**15


@pytest.mark.parametrize(
    "ask",
    [
        lambda: torch.empty(HUGE),
        lambda: torch.empty(10**18, 100),
        lambda: torch.empty(10**20),
        lambda: np.empty(HUGE),
        lambda: np.empty((10**18, 100)),
        lambda: np.empty(10**20),
        lambda: pa.allocate_buffer(HUGE),
        lambda: bytearray(HUGE),
    ],
)
def test_errors_of_libraries_are_recognised(ask):
    with pytest.raises(Exception) as caught:  # noqa: PT011 - which it is differs, and does not matter
        ask()
    assert is_out_of_memory(caught.value)


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("std::bad_alloc"),
        RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("unable to mmap 4096 bytes from file </x>: Cannot allocate memory (12)"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("could not create a primitive"),
        RuntimeError("can't start new thread"),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
        ImportError("libtorch_cpu.so: failed to map segment from shared object"),
        type("OutOfMemoryError", (RuntimeError,), {})("of torch"),
    ],
)
def test_other_errors_are_recognised_by_their_message(error):
    assert is_out_of_memory(error)


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("size mismatch"),
        ValueError("steps must be at least 1"),
        OSError(errno.ENOSPC, "No space left on device"),
        DataError("a column called out of memory"),
        KeyboardInterrupt(),
    ],
)
def test_unrelated_errors_are_not_recognised(error):
    assert not is_out_of_memory(error)


def test_out_of_memory_becomes_an_error_of_wgan_and_others_pass():
    with (
        pytest.raises(OutOfMemoryError, match="out of memory here\nuse less") as caught,
        memory_faults("here", "use less"),
    ):
        torch.empty(HUGE)
    assert isinstance(caught.value, WganError)
    assert isinstance(caught.value, MemoryError)
    with pytest.raises(OutOfMemoryError, match="inner"), memory_faults("outer", ""), memory_faults("inner", ""):
        raise MemoryError
    with pytest.raises(KeyError), memory_faults("here", ""):
        raise KeyError


def test_out_of_threads_is_out_of_memory(monkeypatch):
    def refuse(*_):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    with pytest.raises(OutOfMemoryError), memory_faults("", ""):
        threading.Thread().start()


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
class TestAvailable:
    def test_it_is_no_more_than_the_machine_has(self):
        facts = memory._numbers(memory.Path("/proc/meminfo"))
        assert 0 < available() <= facts["MemTotal"] + facts.get("SwapFree", 0)

    def test_a_limit_on_the_address_space_counts(self):
        code = (
            "import resource; resource.setrlimit(resource.RLIMIT_AS, (1 << 30, -1));"
            "from wgan.system.memory import available; print(available())"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert 2**29 < int(done.stdout) < 2**30

    def test_a_control_group_counts_less_what_can_be_freed(self, tmp_path, monkeypatch):
        group = tmp_path / "memory"
        group.mkdir()
        monkeypatch.setattr(memory, "_CGROUP", tmp_path)
        for name, content in (
            ("memory.limit_in_bytes", "1000000"),
            ("memory.usage_in_bytes", "400000"),
            ("memory.stat", "cache 7\ntotal_inactive_file 100000\n"),
        ):
            (group / name).write_text(content)
        assert available() == 700_000

    def test_it_is_none_on_an_unknown_system(self, tmp_path, monkeypatch):
        monkeypatch.setattr(memory, "_numbers", lambda path: {})
        monkeypatch.setattr(memory, "_CGROUP", tmp_path)
        monkeypatch.setattr(resource, "getrlimit", lambda kind: (-1, -1))
        assert available() is None


@pytest.mark.parametrize(
    ("count", "words"), [(7, "7 bytes"), (1234, "1.2 kB"), (3.2e9, "3.2 GB"), (5e15, "5.0 PB"), (2e20, "200 EB")]
)
def test_bytes_in_words(count, words):
    assert in_words(count) == words
