"""What a look can tell of its samples, and what it cannot."""

import pytest

from wgan.trust.nearness import is_blind, is_near

NEAR = {"exact": 1.0, "exact_low": 0.8, "exact_floor": 0.95, "without_critic": 0.5}


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({}, True),
        ({"exact": 1.046}, False),
        ({"exact": 1.044}, True),
        ({"exact_low": 0.96}, False),
        ({"exact_low": None}, True),
        # In many dimensions nearest neighbours prove nearly all, and the floor is nearly all.
        ({"without_critic": 0.95}, None),
        ({"without_critic": 0.94}, True),
        ({"without_critic": None}, None),
        ({"without_critic": 0.99, "exact_floor": 0.4}, False),
        ({"without_critic": 0.99, "sliced": 1.5, "sliced_floor": 1.0}, True),
        ({"without_critic": 0.99, "sliced": 1.51, "sliced_floor": 1.0}, False),
        ({"sliced": 1.51, "sliced_floor": 1.0}, False),
        ({"exact": None, "sliced": 1.0, "sliced_floor": 1.0}, True),
        ({"exact": None}, None),
        ({"exact": float("nan")}, None),
        ({"exact_floor": 0.0}, None),
    ],
)
def test_samples_are_near_where_a_number_can_tell(changes, wanted):
    line = {name: value for name, value in (NEAR | changes).items() if value is not None}
    assert is_near(line) is wanted


def test_a_distance_is_blind_only_where_its_floor_is_most_of_it():
    assert is_blind(NEAR | {"without_critic": 0.95})
    # Far away too, nearest neighbours prove nearly all; but there the floor is nothing.
    assert not is_blind(NEAR | {"without_critic": 0.99, "exact_floor": 0.5})
    assert not is_blind({"exact": 1.0})
