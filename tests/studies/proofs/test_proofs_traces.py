"""Traces, their rank correlations and claims."""

import math

import numpy as np
import pytest
from scipy.stats import spearmanr

from wgan.studies.proofs.traces import MEASURED, Trace, Traces


def trace(method="penalty", data="ring", seed=0, **changes):
    falling = tuple(float(value) for value in np.geomspace(1.0, 0.2, 10))
    values = dict.fromkeys(MEASURED, falling)
    values |= {"certified": tuple(0.1 * value for value in falling), "exact_floor": (0.1,) * 10, "raw": falling[::-1]}
    return Trace(data=data, method=method, seed=seed, steps=tuple(range(10, 110, 10)), values=values | changes)


def all_methods(**changes):
    return [trace(), trace(method="clipping"), trace(method="gan")] if not changes else [
        trace(**changes), trace(method="clipping"), trace(method="gan")
    ]  # fmt: skip


def test_rank_correlations_of_parts_of_a_run():
    # Equal order in the first half, reversed in the later one; the last two diagnoses are at the floor.
    exact = np.array([10, 9, 8, 7, 6, 5, 4, 3, 2, 1.0])
    raw = np.array([10, 9, 8, 7, 6, 1, 2, 3, 4, 5.0])
    run = trace(exact=tuple(exact), raw=tuple(raw), exact_low=tuple(exact - 0.5), exact_floor=(1.7,) * 10)
    assert run.late.tolist() == [False] * 5 + [True] * 5
    assert run.off_floor.tolist() == [True] * 8 + [False] * 2
    assert run.ranks("raw", late=True) == pytest.approx(-1.0)
    assert run.ranks("raw", late=True, off_floor=True) == pytest.approx(-1.0)
    assert run.ranks("raw", off_floor=True) == pytest.approx(spearmanr(exact[:8], raw[:8])[0])


def test_a_trace_survives_json_with_missing_numbers():
    run = trace(slope_climbed=(math.nan,) + (1.5,) * 9)
    again = Trace.from_json(run.as_json())
    assert run.as_json()["seen"]["slope_climbed"][:2] == [None, 1.5]
    assert again.as_json() == run.as_json()
    assert np.isnan(again.of("slope_climbed")[0])


def test_numbers_of_another_length_are_refused():
    state = trace().as_json()
    state["seen"]["exact"].pop()
    with pytest.raises(ValueError, match="do not match its diagnoses"):
        Trace.from_json(state)


def test_claims_hold_for_curves_that_follow_the_distance():
    claims = Traces(traces=all_methods()).claims()
    assert len(claims) == 8
    assert all(claim.holds for claim in claims)


def test_each_claim_can_fail_alone():
    shuffled = np.array(trace().values["certified"])
    late = shuffled.copy()
    late[5:] = late[[7, 5, 6, 9, 8]]
    whole = shuffled[[4, 3, 2, 1, 0, 5, 6, 7, 8, 9]]
    above = np.array(trace().values["exact"]) * 1.001
    raw = {"raw": trace().values["exact"]}
    for changes, failing in [
        ({"certified": tuple(late)}, {1}),
        ({"certified": tuple(whole)}, {0}),
        ({"certified": tuple(above)}, {4}),
        (raw, {5}),
        ({"certified": (math.nan,) * 9 + (0.1,)}, {0, 1, 5}),
    ]:
        claims = Traces(traces=all_methods(**changes)).claims()
        assert {number for number, claim in enumerate(claims) if not claim.holds} == failing, changes


def test_a_claim_fails_for_a_single_data_set():
    swapped = np.array(trace().values["certified"])[[4, 3, 2, 1, 0, 5, 6, 7, 8, 9]]
    traces = [*all_methods(), *(trace(data=data) for data in "abcdef"), trace(data="grid", certified=tuple(swapped))]
    first = Traces(traces=traces).claims()[0]
    assert not first.holds
    assert "grid 0.7" in first.measured
