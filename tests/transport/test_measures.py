"""Errors for invalid arguments have a remedy."""

import numpy as np
import pytest
import torch

from wgan.errors import UsageError
from wgan.transport.measures import as_pair, as_points, as_weights


@pytest.mark.parametrize("values", [[[1.0, 2.0], [3.0]], [torch.zeros(2, requires_grad=True)] * 2])
def test_lists_that_are_not_arrays_are_refused(values):
    with pytest.raises(UsageError, match=r"x is not an array of numbers(.|\n)*torch.stack"):
        as_points(values, "x")


@pytest.mark.parametrize(
    "ask",
    [
        lambda: as_points(["customers.csv"], "x"),
        lambda: as_points([], "x"),
        lambda: as_pair(np.zeros((3, 2)), np.zeros((3, 4))),
        lambda: as_weights([1.5, -0.5], 2, "x_weights"),
        lambda: as_weights([0.5, 0.6], 2, "x_weights"),
        lambda: as_weights([1.0], 2, "x_weights"),
    ],
)
def test_every_error_has_a_one_line_remedy(ask):
    with pytest.raises(UsageError) as caught:
        ask()
    assert caught.value.remedy
    assert "\n" not in str(caught.value.message) + caught.value.remedy
