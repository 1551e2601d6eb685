import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from wgan.randomness import Randomness

places = st.tuples(st.integers(-(2**40), 2**40), st.text(max_size=8), st.lists(st.integers(0, 2**40), max_size=3))


@given(places)
def test_a_stream_depends_only_on_its_position(place):
    seed, purpose, counters = place
    first = torch.rand(3, generator=Randomness(seed).at(purpose, *counters))
    torch.rand(5)
    again = torch.rand(3, generator=Randomness(seed).at(purpose, *counters))
    assert torch.equal(first, again)


@given(places, places)
def test_different_positions_have_different_keys(one, other):
    # A purpose is a word of this project's own, which never has the separator in it.
    one, other = ((seed, purpose.replace("|", ""), tuple(counters)) for seed, purpose, counters in (one, other))
    keys = [Randomness(seed).key(purpose, *counters) for seed, purpose, counters in (one, other)]
    assert (keys[0] == keys[1]) == (one == other)


@given(places)
def test_a_key_is_a_valid_seed_for_torch(place):
    seed, purpose, counters = place
    assert 0 <= Randomness(seed).key(purpose, *counters) < 2**63


def test_keys_are_the_same_in_every_version_of_the_project():
    # Frozen: runs that were stopped under an older version must go on drawing what they would have drawn.
    assert Randomness(0).key("real", 7, 2) == 7175063469682810131
    assert Randomness(-5).key("noise") == 4967347534446503276


def test_neighbouring_streams_are_not_correlated():
    streams = Randomness(0)
    rows = torch.stack([torch.randn(4096, generator=streams.at("noise", step)) for step in range(16)])
    off_diagonal = torch.corrcoef(rows) - torch.eye(16)
    assert off_diagonal.abs().max() < 5 / 4096**0.5


def test_streams_do_not_change_the_global_generator():
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    torch.rand(100, generator=Randomness(0).at("noise", 3))
    assert torch.equal(torch.rand(3), expected)


def test_the_global_generator_is_restored_even_after_an_error():
    drawn = []

    def draw_and_fail():
        with Randomness(0).as_global("weights"):
            drawn.append(torch.rand(4))
            raise RuntimeError("on purpose")

    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    with pytest.raises(RuntimeError, match="on purpose"):
        draw_and_fail()
    assert torch.equal(torch.rand(3), expected)
    assert torch.equal(drawn[0], torch.rand(4, generator=Randomness(0).at("weights")))
