import os
import random
import sys

import pytest
import torch
from torch._inductor.runtime.cache_dir_utils import default_cache_dir

from wgan.errors import UsageError
from wgan.training.engine import (
    LARGE_PRODUCTS,
    REPAYING_UPDATES,
    Engine,
    choose_engine,
    compile_whole,
    has_compiler,
    has_slow_float32,
)


def choose(**changes) -> Engine:
    defaults = {
        "device": "cpu",
        "precision": "auto",
        "engine": "auto",
        "threads": 0,
        "convolutional": False,
        "num_weights": 1000,
        "num_updates": 1000,
        "compilable": True,
    }
    return choose_engine(**defaults | changes)


def test_small_networks_use_one_thread_and_an_explicit_number_is_kept():
    assert choose().threads == 1
    assert choose(num_weights=10_000_000).threads >= 1
    assert choose(threads=3).threads == 3


def test_bfloat16_only_on_processors_that_support_it(monkeypatch):
    for fast in (True, False):
        monkeypatch.setattr("wgan.training.engine.has_fast_bfloat16", lambda fast=fast: fast)
        assert choose(convolutional=True).precision == ("bfloat16" if fast else "float32")
        assert choose(convolutional=False).precision == "float32"
        assert choose(convolutional=True, precision="float32").precision == "float32"


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
def test_missing_cuda_is_refused_and_the_cpu_is_suggested():
    with pytest.raises(UsageError, match="no CUDA device") as caught:
        choose(device="cuda")
    assert "--device cpu" in caught.value.remedy
    assert choose(device="auto").device.type == "cpu"


def test_limits_apply_within_the_block_only():
    before = torch.get_num_threads()
    with Engine(threads=before + 1).limits():
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before


def test_onednn_multiplies_large_float32_matrices_where_pytorch_is_slow(monkeypatch):
    for slow in (True, False):
        monkeypatch.setattr("wgan.training.engine.has_slow_float32", lambda slow=slow: slow)
        assert choose(num_weights=LARGE_PRODUCTS).onednn == slow
        assert not choose(num_weights=LARGE_PRODUCTS - 1).onednn


def test_the_matrix_library_is_restored_after_the_block_and_after_an_error():
    products = torch.backends.mkldnn.matmul
    before = products.fp32_precision
    found = []

    def broken():
        with Engine(onednn=True).limits():
            found.append(products.fp32_precision)
            raise KeyError

    with pytest.raises(KeyError):
        broken()
    assert found == ["bf16"]
    assert products.fp32_precision == before
    with Engine().limits():
        assert products.fp32_precision == before


@pytest.mark.skipif(not has_slow_float32(), reason="needs a processor on which PyTorch multiplies float32 slowly")
@pytest.mark.parametrize("sizes", [(256, 512, 512), (64, 128, 128), (256, 2, 64), (512, 256, 1)])
def test_onednn_is_as_accurate_as_float32(sizes):
    rows, inner, columns = sizes
    rng = torch.Generator().manual_seed(0)
    x, y = torch.randn(rows, inner, generator=rng), torch.randn(inner, columns, generator=rng)
    exact = x.double() @ y.double()
    with Engine(onednn=True).limits():
        errors = [((left @ right).double() - exact).abs().max() for left, right in ((x, y), (x.bfloat16().float(), y))]
    scale = exact.abs().max()
    assert errors[0] < 3e-6 * scale
    # The test would notice rounding to bfloat16.
    assert errors[1] > 3e-5 * scale


def test_memory_layout_of_images():
    values = torch.rand(2, 3, 4, 4)
    brought = Engine(channels_last=True).to_device(values)
    assert brought.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(brought, values)
    assert Engine(channels_last=True).to_device(torch.rand(2, 3)).shape == (2, 3)


def test_bfloat16_arithmetic_rounds_products():
    x = torch.rand(8, 8)
    with Engine(precision="bfloat16").arithmetic():
        assert (x @ x).dtype == torch.bfloat16
    with Engine().arithmetic():
        assert (x @ x).dtype == torch.float32


def test_the_description_names_device_precision_threads_and_updates():
    assert Engine(threads=1).describe() == "cpu, float32, 1 thread, eager updates"
    assert Engine(threads=1, onednn=True).describe() == "cpu, float32 by oneDNN, 1 thread, eager updates"
    assert "channels last, 2 threads" in Engine(threads=2, channels_last=True).describe()
    assert Engine(compiled=True, why="12 repay it").describe().endswith("compiled updates (12 repay it)")


def test_updates_are_compiled_where_that_saves_time(monkeypatch):
    monkeypatch.setattr("wgan.training.engine.has_fast_bfloat16", lambda: True)
    monkeypatch.setattr("wgan.training.engine.has_compiler", lambda: True)
    long = choose(num_updates=REPAYING_UPDATES)
    assert (long.compiled, long.precision) == (True, "bfloat16")
    assert long.why == "20,000 of them repay the compiling"
    assert choose(num_updates=REPAYING_UPDATES, precision="float32").precision == "float32"
    for changes, why in (
        ({"num_updates": REPAYING_UPDATES - 1}, "19,999 of them are too few to repay compiling"),
        ({"convolutional": True}, "convolutions gain nothing by being compiled"),
        (
            {"compilable": False},
            "only Wasserstein objectives without unrolled updates were measured to gain by compiling",
        ),
    ):
        engine = choose(**{"num_updates": REPAYING_UPDATES} | changes)
        assert not engine.compiled
        assert engine.why == why
        assert choose(**{"num_updates": REPAYING_UPDATES, "engine": "compiled"} | changes).compiled
    monkeypatch.setattr("wgan.training.engine.has_compiler", lambda: False)
    assert (
        choose(num_updates=REPAYING_UPDATES).why
        == "there is no C++ compiler with Python's headers to compile them with"
    )


def test_a_compiler_needs_the_headers_of_python(monkeypatch, tmp_path):
    (tmp_path / "Python.h").touch()
    monkeypatch.setattr("sysconfig.get_path", lambda _: str(tmp_path))
    monkeypatch.setenv("CXX", sys.executable)
    assert has_compiler()
    monkeypatch.setattr("sysconfig.get_path", lambda _: str(tmp_path / "nowhere"))
    assert not has_compiler()


@pytest.mark.parametrize("compiler", ["", "/nowhere/g++"])
def test_the_compiler_of_the_environment_is_used(compiler, monkeypatch, tmp_path):
    (tmp_path / "Python.h").touch()
    monkeypatch.setattr("sysconfig.get_path", lambda _: str(tmp_path))
    monkeypatch.setenv("CXX", compiler)
    assert not has_compiler()


def test_objectives_of_more_than_scores_keep_float32_when_compiled(monkeypatch):
    monkeypatch.setattr("wgan.training.engine.has_fast_bfloat16", lambda: True)
    assert choose(engine="compiled").precision == "bfloat16"
    assert choose(engine="compiled", compilable=False).precision == "float32"
    assert choose(engine="eager", num_updates=10**6) == choose()


PLACE, CHOSEN_BY_PYTORCH = "TORCHINDUCTOR_CACHE_DIR", default_cache_dir()


@pytest.fixture
def named(request, monkeypatch):
    """The directory for compiled code in the environment, or None."""
    monkeypatch.delenv(PLACE, raising=False)
    if request.param is not None:
        monkeypatch.setenv(PLACE, request.param)
    return request.param


@pytest.mark.parametrize(
    ("named", "below", "place"),
    [
        (None, "", "home/wgan/compiled"),
        (CHOSEN_BY_PYTORCH, "", "home/wgan/compiled"),
        ("/its/own", "", "/its/own"),
        (CHOSEN_BY_PYTORCH, "file", CHOSEN_BY_PYTORCH),
    ],
    indirect=["named"],
)
def test_the_directory_of_compiled_code(named, below, place, monkeypatch, tmp_path):
    """Below the user's cache or in the directory that the user names; in PyTorch's default if that is not writable."""
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home" / below))
    monkeypatch.setattr(torch, "compile", lambda function, **_: function)
    assert compile_whole(lambda: os.environ.get(PLACE))() == str(tmp_path / place)
    # The user's own compiled code is cached where it would be without this package.
    assert os.environ.get(PLACE) == named


@pytest.mark.slow
@pytest.mark.skipif(not has_compiler(), reason="needs a C++ compiler")
@pytest.mark.parametrize("named", [None], indirect=True)
def test_compiling_writes_to_that_directory(named, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    number, x = random.SystemRandom().random(), torch.arange(3.0)
    torch.testing.assert_close(compile_whole(lambda x: (number * x).sin())(x), (number * x).sin())
    assert list((tmp_path / "wgan" / "compiled").rglob("*.so"))
