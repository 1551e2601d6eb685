"""Figures of `wgan prove`."""

from dataclasses import replace

import numpy as np
import pytest

from wgan import figures


def followed(**changes):
    at = np.array([1.0, 10.0, 100.0])
    exact = np.array([2.0, 1.0, 0.5])
    sound = figures.Trace(
        title="penalty", at=at, certified=0.8 * exact, exact=exact, low=0.9 * exact, high=1.1 * exact,
        floor=np.full(3, 0.2), raw=np.array([-5.0, 0.0, 5.0]),
    )  # fmt: skip
    return replace(sound, **changes)


def test_runs_on_the_same_data_are_in_one_row():
    rows = {"a": [followed(), followed(title="other")], "b": [followed(), followed()]}
    figure = figures.traces(rows)
    assert [panel.get_title(loc="left") for panel in figure.axes] == ["penalty", "other", "penalty", "penalty"]
    assert [panel.get_ylabel() for panel in figure.axes] == ["a", "", "b", ""]
    lines = {line.get_label(): line.get_ydata() for line in figure.axes[0].get_lines()}
    assert lines["exact W1"].tolist() == [2.0, 1.0, 0.5]
    assert lines["Ŵ"].tolist() == [1.6, 0.8, 0.4]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        "raw estimate, rescaled", "exact W1", "Ŵ", "floor",
    ]  # fmt: skip
    assert figures.png(figure) == figures.png(figures.traces(rows))


@pytest.mark.parametrize("raw", [[-5.0, 0.0, 5.0], [3.0, 3.0, 3.0], [np.nan, 1e9, 2e9]])
def test_a_raw_estimate_of_any_size_keeps_its_shape_within_the_panel(raw):
    panel = figures.traces({"a": [followed(raw=np.array(raw))]}).axes[0]
    (drawn,) = [line.get_ydata() for line in panel.get_lines() if line.get_label().startswith("raw")]
    known = np.isfinite(drawn)
    assert ((drawn[known] >= 0) & (drawn[known] <= panel.get_ylim()[1])).all()
    assert (np.sign(np.diff(drawn[known])) == np.sign(np.diff(np.array(raw)[known]))).all()


def test_repetitions_of_known_distances_are_dots():
    row = figures.KnownPair(
        name="pair",
        rows={"exact": np.array([1.1, 1.2]), "debiased": np.array([0.9, 1.05])},
        shares={"Ŵ": np.array([0.97, 0.99])},
        interval=(0.8, 9.0),
    )
    left, right = figures.known([row, row]).axes
    assert [text.get_text() for text in left.get_yticklabels()] == ["pair", "pair"]
    assert sorted(tuple(line.get_xdata()) for line in right.get_lines() if line.get_marker() == "o") == [
        (0.9, 1.05), (0.9, 1.05), (1.1, 1.2), (1.1, 1.2),
    ]  # fmt: skip
    # A wide interval does not extend the axis.
    assert right.get_xlim()[1] < 2


def test_confusion_has_verdicts_in_columns_and_ground_truth_in_rows():
    panel = figures.confusion({"trust": {"trust": 7, "collapsed": 1}, "diverged": {"diverged": 3}}).axes[0]
    assert [text.get_text() for text in panel.get_xticklabels()] == ["trust", "diverged", "collapsed"]
    assert [text.get_text() for text in panel.get_yticklabels()] == ["trust", "diverged"]
    assert {(text.get_position(), text.get_text()) for text in panel.texts} == {
        ((0, 0), "7"), ((2, 0), "1"), ((1, 1), "3"),
    }  # fmt: skip
