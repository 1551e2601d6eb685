import numpy as np
import pytest
import torch

from wgan.errors import UsageError
from wgan.evaluation import features
from wgan.evaluation.features import EfficientNetLite0
from wgan.kernels import kernel_distance

needs_weights = pytest.mark.skipif(not EfficientNetLite0.available(), reason="needs the extra 'features'")


@pytest.fixture(scope="module")
def network():
    return EfficientNetLite0()


def pattern():
    """Rows, columns and their product, one to a channel: shape (1, 224, 224, 3)."""
    rows, columns = torch.arange(224).reshape(-1, 1), torch.arange(224).reshape(1, -1)
    ones = torch.ones(224, 224, dtype=torch.int64)
    return torch.stack([rows * ones, columns * ones, rows * columns % 256], dim=-1).to(torch.uint8)[None]


@needs_weights
def test_features_are_those_of_an_independent_implementation_of_the_network(network):
    # Computed by the package efficientnet-lite-pytorch 0.1.0 from the same weights, batch norms not folded.
    found = network(pattern())[0]
    assert found.shape == (1280,)
    assert found.dtype == torch.float32
    assert float(found.mean()) == pytest.approx(0.181447, abs=1e-5)
    assert float(found.norm()) == pytest.approx(19.39395, abs=1e-3)
    top = found.topk(5)
    assert top.indices.tolist() == [1062, 113, 989, 315, 782]
    assert top.values.tolist() == pytest.approx([4.7606, 4.2880, 3.9781, 3.6961, 3.6432], abs=1e-3)


@needs_weights
def test_bytes_and_floats_of_the_same_images_have_the_same_features(network):
    images = torch.randint(0, 256, (3, 20, 30, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    floats = images.permute(0, 3, 1, 2).float() / 127.5 - 1.0
    torch.testing.assert_close(network(images), network(floats), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(network(images), network(images.numpy()))


@needs_weights
def test_grey_is_rgb_of_equal_channels_and_transparency_is_white(network):
    grey = torch.randint(0, 256, (2, 28, 28, 1), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(network(grey), network(grey.expand(-1, -1, -1, 3)), atol=1e-4, rtol=1e-4)
    opaque = torch.cat([grey.expand(-1, -1, -1, 3), torch.full_like(grey, 255)], dim=-1)
    torch.testing.assert_close(network(opaque), network(grey), atol=1e-4, rtol=1e-4)
    clear = torch.cat([grey.expand(-1, -1, -1, 3), torch.zeros_like(grey)], dim=-1)
    torch.testing.assert_close(network(clear), network(torch.full_like(grey, 255)), atol=1e-4, rtol=1e-4)


@needs_weights
def test_blocks_do_not_change_the_features(network, monkeypatch):
    images = torch.randint(0, 256, (5, 16, 16, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    whole = network(images)
    monkeypatch.setattr(features, "_BATCH", 2)
    torch.testing.assert_close(network(images), whole, atol=1e-4, rtol=1e-4)
    assert network(images[:0]).shape == (0, 1280)


@needs_weights
def test_noise_is_far_from_smooth_images_and_smooth_images_near_one_another(network):
    rng = torch.Generator().manual_seed(0)
    small = torch.rand(24, 3, 4, 4, generator=rng) * 2.0 - 1.0
    smooth = network(torch.nn.functional.interpolate(small, size=(32, 32), mode="bicubic").clamp(-1, 1))
    noise = network(torch.rand(12, 3, 32, 32, generator=rng) * 2.0 - 1.0)
    near, _ = kernel_distance(smooth[:12], smooth[12:], rng=rng)
    far, _ = kernel_distance(smooth[:12], noise, rng=rng)
    assert far > 10 * abs(near)


@needs_weights
@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((28, 28), dtype=np.uint8), r"not uint8 of shape \(28, 28\)"),
        (np.zeros((1, 28, 28, 3), dtype=np.int64), r"not int64 of shape \(1, 28, 28, 3\)"),
        (np.zeros((1, 28, 28, 2), dtype=np.uint8), "1, 3 or 4 channels, not 2"),
        (np.zeros((1, 28, 28, 3), dtype=np.float32), "1, 3 or 4 channels, not 28"),
    ],
)
def test_arrays_that_are_not_images_are_refused(network, images, message):
    with pytest.raises(UsageError, match=message):
        network(images)


def test_without_the_package_the_extra_is_named(monkeypatch):
    monkeypatch.setattr(features, "_PACKAGE", "efficientnet_that_nobody_wrote")
    features._load_filters.cache_clear()
    assert not EfficientNetLite0.available()
    with pytest.raises(UsageError, match=r"pip install 'wgan\[features\]'"):
        EfficientNetLite0()
