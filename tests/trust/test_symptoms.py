"""Symptoms: medians over the latest diagnoses, of the numbers that the record holds."""

import math

import pytest

from wgan.trust.symptoms import RECENT, SYMPTOMS, diagnoses_of, is_near, is_uninformative, symptoms


def diagnoses(**columns):
    """Lines from columns of equal length; None omits a number."""
    num = max(map(len, columns.values()))
    rows = [{name: values[row] for name, values in columns.items()} for row in range(num)]
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
    assert symptoms(diagnoses(slope_climbed=values))["slope"] == wanted
    assert RECENT == 4


def test_unknown_numbers_are_omitted_and_known_ones_used():
    assert symptoms(diagnoses(exact=[1.0])) == {"negative": 0.0, "looks": 1.0}
    found = symptoms(diagnoses(coverage=[0.1, 0.1, 0.5, None]))
    assert found == {"negative": 0.0, "coverage": 0.5, "looks": 4.0}


def test_a_full_record_has_every_symptom():
    words = (
        "exact certified sliced sliced_floor estimate further_estimate training_estimate slope_climbed slope_fake "
        "off_support training_lead at_bound step_cosine coverage memorised memorised_error efficiency"
    )
    names = {name: [1.0, 2.0, 3.0] for name in words.split()}
    names |= {"exact_floor": [0.5] * 3, "without_critic": [0.5] * 3}
    assert symptoms(diagnoses(**names)).keys() == SYMPTOMS.keys()


def test_distances_are_relative_to_their_floor_and_the_best_before():
    found = symptoms(diagnoses(exact=[4.0, 2.0, 3.0, 1.0, 3.0, 2.0], exact_floor=[0.5] * 6))
    # The latest three against the first three.
    assert found["exact_over_floor"] == 4.0
    assert found["exact_over_best"] == 1.0
    assert "exact_over_best" not in symptoms(diagnoses(exact=[1.0], exact_floor=[0.5]))


def test_sliced_distances_replace_missing_exact_ones():
    assert symptoms(diagnoses(sliced=[3.0], sliced_floor=[0.5]))["exact_over_floor"] == 6.0
    assert (
        symptoms(diagnoses(exact=[1.0], exact_floor=[0.5], sliced=[3.0], sliced_floor=[0.5]))["exact_over_floor"] == 2.0
    )


def test_no_distance_is_divided_by_zero():
    assert symptoms(diagnoses(exact=[0.0, 1.0], exact_floor=[0.0, 0.0], off_support=[1.0, 1.0])) == {
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
def test_estimates_are_compared_relative_to_the_larger(training, held_out, further, overfitting, rise):
    line = {"training_estimate": training, "held_out_estimate": held_out, "further_estimate": further}
    found = symptoms([line])
    assert (found["overfitting"], found["rise"]) == (overfitting, rise)
    assert found["negative"] == float(held_out <= 0)


def test_lines_without_a_finite_estimate_are_not_diagnoses():
    lines = [
        {"step": 1, "estimate": 2.0},
        {"step": 2, "held_out_estimate": 2.0, "exact": math.nan, "coverage": True},
        {"step": 3, "held_out_estimate": math.inf},
        {"step": 4, "held_out_estimate": None},
        {"step": 5, "held_out_estimate": 1},
    ]
    assert [line["step"] for line in diagnoses_of(lines)] == [2, 5]
    assert symptoms(diagnoses_of(lines)[:1]) == {"negative": 0.0, "looks": 1.0}


def test_the_curve_is_of_recent_estimates_or_else_of_training_estimates():
    distances = [4.0, 3.0, 2.0, 1.0]
    columns = {"curve": [8.0, 6.0, 7.0, 5.0], "estimate": [1.0, 2.0, 3.0, 4.0]}
    assert symptoms(diagnoses(exact=distances, **columns))["follows"] == pytest.approx(0.8)
    assert symptoms(diagnoses(exact=distances, estimate=[8.0, 6.0, 7.0, 5.0]))["follows"] == pytest.approx(0.8)
    columns = {"estimate": [1.0, 2.0, 3.0, 4.0], "training_estimate": [4.0, 3.0, 2.0, 1.0]}
    assert symptoms(diagnoses(exact=distances, **columns))["follows"] == pytest.approx(-1.0)
    del columns["estimate"]
    assert symptoms(diagnoses(exact=distances, **columns))["follows"] == pytest.approx(1.0)
    # Too few pairs, and constant distances.
    assert "follows" not in symptoms(diagnoses(exact=distances[:2], **{k: v[:2] for k, v in columns.items()}))
    assert "follows" not in symptoms(diagnoses(exact=[1.0] * 4, **columns))


def test_efficiency_beyond_nearest_neighbours():
    columns = {"certified": [3.0, 1.5], "without_critic": [1.0, 1.0], "exact": [5.0, 2.0], "exact_floor": [0.5, 0.5]}
    assert symptoms(diagnoses(**columns))["proves"] == pytest.approx(0.5)
    # Not defined at the floor, nor where nearest neighbours prove the whole distance.
    assert symptoms(diagnoses(**columns, exact_low=[4.0, 0.4]))["proves"] == pytest.approx(0.5)
    assert "proves" not in symptoms(diagnoses(**columns, exact_low=[0.4, 0.4]))
    assert "proves" not in symptoms(diagnoses(**columns | {"without_critic": [5.0, 2.0]}))


NEAR = {"exact": 1.0, "exact_low": 0.8, "exact_floor": 0.95, "without_critic": 0.5}


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({}, True),
        ({"exact": 1.046}, False),
        ({"exact": 1.044}, True),
        ({"exact_low": 0.96}, False),
        ({"exact_low": None}, True),
        # In many dimensions nearest neighbours prove nearly all of the distance, and so does the floor.
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
def test_samples_are_near_by_an_informative_distance(changes, wanted):
    line = {name: value for name, value in (NEAR | changes).items() if value is not None}
    assert is_near(line) is wanted


def test_a_distance_is_uninformative_only_near_its_floor():
    assert is_uninformative(NEAR | {"without_critic": 0.95})
    # Far from the data, nearest neighbours prove nearly all too, but the floor is small.
    assert not is_uninformative(NEAR | {"without_critic": 0.99, "exact_floor": 0.5})
    assert not is_uninformative({"exact": 1.0})
