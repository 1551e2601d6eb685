"""Samples of noise that the caller brings."""

import numpy as np
import pytest
import torch

from wgan import WGAN, load
from wgan.errors import UsageError
from wgan.randomness import Randomness
from wgan.training.game import Prior

SMALL = {
    "steps": 3,
    "generator": "mlp:width=8",
    "critic": "mlp:width=8",
    "latent_dim": 3,
    "random_state": 0,
    "settings": {"diagnose": "off"},
}
RNG = np.random.default_rng(0)
POINTS = RNG.normal(size=(60, 2))
NOISE = RNG.normal(size=(9000, 3))


@pytest.fixture(scope="module")
def plain() -> WGAN:
    return WGAN(**SMALL).fit(POINTS)


@pytest.fixture(scope="module")
def labelled() -> WGAN:
    return WGAN(**SMALL).fit(POINTS, RNG.choice(["a", "b"], 60))


def test_a_sample_depends_on_its_own_noise_only(plain):
    whole = plain.sample(noise=NOISE)
    assert whole.shape == (9000, 2)
    np.testing.assert_array_equal(plain.sample(5, noise=NOISE[:5]), whole[:5])
    np.testing.assert_array_equal(plain.sample(noise=torch.tensor(NOISE[8500:])), whole[8500:])
    np.testing.assert_array_equal(plain.sample(noise=NOISE[:5].tolist(), random_state=7), whole[:5])
    assert plain.latent_dim_ == 3
    assert len(np.unique(whole, axis=0)) > 8000


def test_the_noise_of_a_seed_gives_the_samples_of_the_seed(plain):
    drawn = Prior(3).sample(8192, Randomness(5).at("noise of a user's samples", 0))
    np.testing.assert_array_equal(plain.sample(noise=drawn[:20]), plain.sample(20, random_state=5))


def test_conditions_not_requested_are_drawn_by_the_seed(labelled):
    noise = NOISE[:6]
    a, b = (labelled.sample(noise=noise, y=label) for label in "ab")
    assert not np.array_equal(a, b)
    np.testing.assert_array_equal(labelled.sample(noise=noise, y=["a"] * 6), a)
    np.testing.assert_array_equal(labelled.sample(noise=noise, where={"label": "b"}), b)
    drawn = [labelled.sample(noise=noise, random_state=seed) for seed in (1, 1, 2, 3, 4, 5)]
    np.testing.assert_array_equal(drawn[0], drawn[1])
    assert any(not np.array_equal(drawn[0], other) for other in drawn[2:])
    for sample in drawn:
        assert all((row == a[place]).all() or (row == b[place]).all() for place, row in enumerate(sample))


def test_a_loaded_run_accepts_given_noise(plain, tmp_path):
    plain.save(tmp_path / "run")
    np.testing.assert_array_equal(load(tmp_path / "run").sample(noise=NOISE[:4]), plain.sample(noise=NOISE[:4]))


@pytest.mark.parametrize(
    ("noise", "message"),
    [
        (NOISE[0], r"of shape \(n, 3\), not \(3,\)\nFor one sample: noise.reshape\(1, -1\)"),
        (NOISE[:, :2], r"not \(9000, 2\)"),
        (NOISE[:0], r"not \(0, 3\)"),
        (np.array([[0, 0, 0], [0, np.nan, 0]]), "NaN, infinite or too large values for float32, the first in row 1"),
        (np.full((2, 3), 1e300), "the first in row 0"),
        (NOISE.astype(complex), "dtype complex128"),
        (NOISE > 0, "dtype bool"),
        (torch.zeros(2, 3, dtype=torch.bool), "dtype bool"),
        (torch.zeros(2, 3, device="meta"), "device meta"),
        ([[1, 2], [3]], "real numbers of shape"),
        ("abc", "dtype <U3"),
    ],
)
def test_noise_that_cannot_be_used(noise, message, plain):
    with pytest.raises(UsageError, match=message):
        plain.sample(noise=noise)


def test_a_different_number_of_rows_is_reported(plain, labelled):
    with pytest.raises(UsageError, match="noise has 9,000 rows, but 3 samples were requested"):
        plain.sample(3, noise=NOISE)
    with pytest.raises(UsageError, match="noise has 6 rows, but 5 samples were requested"):
        labelled.sample(noise=NOISE[:6], y=["a"] * 5)
