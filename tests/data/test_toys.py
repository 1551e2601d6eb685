import math

import pytest
import torch

from wgan.data import codec_from_state
from wgan.data.names import BUILT_IN
from wgan.data.toy_source import ToySource
from wgan.data.toys import TOYS
from wgan.randomness import Randomness

SIZE = 20_000


def draw(name, counter=0):
    return ToySource(name).sample(SIZE, Randomness(0).at("real", counter)).values


def test_every_toy_is_offered_by_name():
    assert set(BUILT_IN) - {"fashion-mnist"} == set(TOYS)


@pytest.mark.parametrize("name", TOYS)
def test_batches_depend_on_their_generator_only(name):
    assert torch.equal(draw(name), draw(name))
    assert not torch.equal(draw(name), draw(name, 1))
    assert draw(name).shape == (SIZE, 2)
    assert draw(name).dtype == torch.float32


@pytest.mark.parametrize("name", TOYS)
def test_a_toy_has_no_size_and_never_repeats(name):
    source = ToySource(name)
    assert source.size is None
    assert source.num_held_out is None
    held = source.held_out(SIZE, Randomness(0).at("held out"))
    assert len(torch.unique(held, dim=0)) > 0.999 * SIZE
    fresh = source.distinct(SIZE, Randomness(0).at("distinct"))
    assert fresh.shape == (SIZE, 2)
    assert len(torch.unique(torch.cat((held, fresh)), dim=0)) > 0.999 * 2 * SIZE
    assert name in source.describe()


@pytest.mark.parametrize("name", TOYS)
def test_the_codec_is_the_identity(name):
    source = ToySource(name)
    points = draw(name)
    decoded = codec_from_state(source.codec.state()).decode(points)
    assert decoded.dtype == "float32"
    assert (decoded == points.numpy()).all()
    assert source.codec.unit == 1.0


@pytest.mark.parametrize(
    ("name", "num_modes", "radius", "sigma"),
    [
        ("ring", 8, 2 / 1.414, 0.02 / 1.414),
        ("ring-veegan", 8, 1.0, 0.01),
        ("grid", 25, math.sqrt(32) / 2.828, 0.05 / 2.828),
        ("grid-veegan", 25, math.sqrt(32), 0.05),
    ],
)
def test_mixtures_follow_their_protocol(name, num_modes, radius, sigma):
    source = ToySource(name)
    assert source.modes.shape == (num_modes, 2)
    assert source.modes.norm(dim=1).max() == pytest.approx(radius, rel=1e-6)
    assert source.sigma == pytest.approx(sigma)
    distance, nearest = torch.cdist(draw(name), source.modes).min(dim=1)
    # Of a Gaussian in the plane, 1 - exp(-9/2) lies within 3 sigma, and E r^2 = 2 sigma^2.
    assert (distance < 3 * sigma).float().mean() == pytest.approx(1 - math.exp(-4.5), abs=0.004)
    assert (distance**2).mean().sqrt() == pytest.approx(math.sqrt(2) * sigma, rel=0.03)
    counts = nearest.bincount(minlength=num_modes) / SIZE
    assert counts.min() > 0.8 / num_modes
    assert counts.max() < 1.2 / num_modes


def test_the_swiss_roll_lies_along_its_spiral():
    source = ToySource("swiss-roll")
    assert source.modes is None
    assert source.sigma is None
    angle = torch.linspace(1.5 * math.pi, 4.5 * math.pi, 2_000)
    curve = torch.stack((angle * angle.cos(), angle * angle.sin()), dim=1) / 7.5
    distance = torch.cdist(draw("swiss-roll")[:4_000], curve).min(dim=1).values * 7.5
    assert (distance**2).mean().sqrt() == pytest.approx(0.25, rel=0.05)
