"""Symptoms: medians over the latest looks, of whatever the record tells."""

import math

import pytest

from wgan.trust.symptoms import MEANING, RECENT, looks_of, symptoms


def looks(**columns):
    """Lines from columns of equal length; None leaves a number out."""
    num = max(map(len, columns.values()))
    rows = [{name: values[place] for name, values in columns.items()} for place in range(num)]
    return [{"held_out_estimate": 1.0} | {k: v for k, v in row.items() if v is not None} for row in rows]


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        ([5.0], 5.0),
        ([9.0, 5.0], 5.0),
        ([9.0, 9.0, 5.0], 5.0),
        ([9.0, 9.0, 5.0, 7.0], 6.0),
        ([99.0, 99.0, 99.0, 99.0, 1.0, 2.0, 4.0, 8.0], 3.0),
        ([*[99.0] * 20, 1.0, 2.0, 4.0, 8.0], 3.0),
    ],
)
def test_symptoms_are_medians_over_the_latest_half_and_no_more_than_four(values, wanted):
    assert symptoms(looks(slope_climbed=values))["slope"] == wanted
    assert RECENT == 4


def test_what_is_not_told_is_left_out_and_what_is_told_now_and_then_counts():
    assert symptoms(looks(exact=[1.0])) == {"negative": 0.0, "looks": 1.0}
    found = symptoms(looks(coverage=[0.1, 0.1, 0.5, None]))
    assert found == {"negative": 0.0, "coverage": 0.5, "looks": 4.0}


def test_every_symptom_has_a_meaning():
    words = (
        "exact certified sliced sliced_floor estimate further_estimate training_estimate slope_climbed slope_fake "
        "off_support training_lead at_bound step_cosine coverage memorised memorised_error efficiency"
    )
    names = {name: [1.0, 2.0, 3.0] for name in words.split()}
    names |= {"exact_floor": [0.5] * 3, "without_critic": [0.5] * 3}
    assert symptoms(looks(**names)).keys() == MEANING.keys()


def test_distances_are_beside_their_floor_and_the_best_before():
    found = symptoms(looks(exact=[4.0, 2.0, 3.0, 1.0, 3.0, 2.0], exact_floor=[0.5] * 6))
    # The latest three against the first three.
    assert found["exact_over_floor"] == 4.0
    assert found["exact_over_best"] == 1.0
    assert "exact_over_best" not in symptoms(looks(exact=[1.0], exact_floor=[0.5]))


def test_sliced_distances_stand_in_where_exact_ones_are_too_dear():
    assert symptoms(looks(sliced=[3.0], sliced_floor=[0.5]))["exact_over_floor"] == 6.0
    assert symptoms(looks(exact=[1.0], exact_floor=[0.5], sliced=[3.0], sliced_floor=[0.5]))["exact_over_floor"] == 2.0


def test_no_distance_is_divided_by_nothing():
    assert symptoms(looks(exact=[0.0, 1.0], exact_floor=[0.0, 0.0], off_support=[1.0, 1.0])) == {
        "negative": 0.0, "off_support_over_exact": 1.0, "looks": 2.0,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("training", "held_out", "further", "overfitting", "rise"),
    [
        (2.0, 1.0, 1.0, 0.5, 0.0),
        (1.0, 1.0, 4.0, 0.0, 0.75),
        (1.0, -1.0, -0.5, 2.0, 0.5),
        (-1.0, -4.0, 4.0, 0.75, 2.0),
        (0.0, 0.0, 0.0, 0.0, 0.0),
    ],
)
def test_estimates_are_compared_by_the_larger_of_the_two(training, held_out, further, overfitting, rise):
    line = {"training_estimate": training, "held_out_estimate": held_out, "further_estimate": further}
    found = symptoms([line])
    assert (found["overfitting"], found["rise"]) == (overfitting, rise)
    assert found["negative"] == float(held_out <= 0)


def test_lines_without_evidence_or_finite_numbers_are_no_looks():
    lines = [
        {"step": 1, "estimate": 2.0},
        {"step": 2, "held_out_estimate": 2.0, "exact": math.nan, "coverage": True},
        {"step": 3, "held_out_estimate": math.inf},
        {"step": 4, "held_out_estimate": None},
        {"step": 5, "held_out_estimate": 1},
    ]
    assert [line["step"] for line in looks_of(lines)] == [2, 5]
    assert symptoms(looks_of(lines)[:1]) == {"negative": 0.0, "looks": 1.0}


def test_a_curve_follows_the_distance_by_recent_estimates_or_else_by_those_on_training_rows():
    distances = [4.0, 3.0, 2.0, 1.0]
    told = {"curve": [8.0, 6.0, 7.0, 5.0], "estimate": [1.0, 2.0, 3.0, 4.0]}
    assert symptoms(looks(exact=distances, **told))["follows"] == pytest.approx(0.8)
    assert symptoms(looks(exact=distances, estimate=[8.0, 6.0, 7.0, 5.0]))["follows"] == pytest.approx(0.8)
    told = {"estimate": [1.0, 2.0, 3.0, 4.0], "training_estimate": [4.0, 3.0, 2.0, 1.0]}
    assert symptoms(looks(exact=distances, **told))["follows"] == pytest.approx(-1.0)
    del told["estimate"]
    assert symptoms(looks(exact=distances, **told))["follows"] == pytest.approx(1.0)
    # Too few, and none that differ.
    assert "follows" not in symptoms(looks(exact=distances[:2], **{k: v[:2] for k, v in told.items()}))
    assert "follows" not in symptoms(looks(exact=[1.0] * 4, **told))


def test_what_nearest_neighbours_leave_is_what_a_critic_can_prove():
    told = {"certified": [3.0, 1.5], "without_critic": [1.0, 1.0], "exact": [5.0, 2.0], "exact_floor": [0.5, 0.5]}
    assert symptoms(looks(**told))["proves"] == pytest.approx(0.5)
    # At the floor, and where they leave nothing, there is nothing to prove.
    assert symptoms(looks(**told, exact_low=[4.0, 0.4]))["proves"] == pytest.approx(0.5)
    assert "proves" not in symptoms(looks(**told, exact_low=[0.4, 0.4]))
    assert "proves" not in symptoms(looks(**told | {"without_critic": [5.0, 2.0]}))
