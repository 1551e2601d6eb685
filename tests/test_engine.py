import pytest
import torch

from wgan.engine import Engine, choose_engine
from wgan.errors import UsageError


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


def test_small_networks_take_one_thread_and_a_number_is_obeyed():
    assert choose().threads == 1
    assert choose(num_weights=10_000_000).threads >= 1
    assert choose(threads=3).threads == 3


def test_bfloat16_only_where_the_processor_multiplies_it(monkeypatch):
    for fast in (True, False):
        monkeypatch.setattr("wgan.engine.has_fast_bfloat16", lambda fast=fast: fast)
        assert choose(convolutional=True).precision == ("bfloat16" if fast else "float32")
        assert choose(convolutional=False).precision == "float32"
        assert choose(convolutional=True, precision="float32").precision == "float32"


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
def test_missing_cuda_is_refused_with_the_cpu_way():
    with pytest.raises(UsageError, match="no CUDA device") as caught:
        choose(device="cuda")
    assert "--device cpu" in caught.value.remedy
    assert choose(device="auto").device.type == "cpu"


def test_limits_hold_within_the_block_only():
    before = torch.get_num_threads()
    with Engine(threads=before + 1).limits():
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before


def test_memory_layout_of_images():
    values = torch.rand(2, 3, 4, 4)
    brought = Engine(channels_last=True).bring(values)
    assert brought.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(brought, values)
    assert Engine(channels_last=True).bring(torch.rand(2, 3)).shape == (2, 3)


def test_bfloat16_arithmetic_rounds_products():
    x = torch.rand(8, 8)
    with Engine(precision="bfloat16").arithmetic():
        assert (x @ x).dtype == torch.bfloat16
    with Engine().arithmetic():
        assert (x @ x).dtype == torch.float32


def test_description_names_device_precision_and_threads():
    assert Engine(threads=1).describe() == "cpu, float32, 1 thread"
    assert "channels last, 2 threads" in Engine(threads=2, channels_last=True).describe()
