"""The section of a report on the critic and its loss."""

import dataclasses
import json
import re

import numpy as np
import pytest
from test_report import report

from fake_runs import SCRIPT, fake_run, lines_of, rewrite, with_diagnoses
from wgan import figures
from wgan.report import questions
from wgan.report.record import _OF_EVIDENCE, read_record
from wgan.report.trust import line_of, title_of, verdict_block, verdict_of
from wgan.report.words import distance_unit
from wgan.trust import evidence
from wgan.trust.evidence import Evidence
from wgan.trust.verdict import KINDS, Verdict

HEADING = "Can the loss be trusted?"
ALL = [value for value in vars(questions).values() if isinstance(value, questions.Question)]


@pytest.fixture
def undrawn(monkeypatch):
    """Do not draw figures, and keep the arguments of the functions that would draw them, by name."""
    given = {}

    def recording(name):
        make = getattr(figures, name)

        def draw(*values, **more):
            given.setdefault(name, []).append((values, more))
            return make(*values, **more)

        return draw

    for name in ("bracket", "small_lines", "by_layer", "scores"):
        monkeypatch.setattr(figures, name, recording(name))
    monkeypatch.setattr(figures, "svg", lambda figure, theme: b"<svg/>")
    return given


def small(given, line):
    """The arguments of the small figure with a line of that name."""
    return next((values, more) for values, more in given["small_lines"] if line in values[1])


def test_the_section_follows_the_curve_and_holds_the_verdict(tmp_path, undrawn):
    run = with_diagnoses(fake_run(tmp_path / "run"))
    text = report(run).text
    verdict = verdict_of(read_record(run))
    assert text.index("Training curve") < text.index(HEADING) < text.index("Evaluation on held-out data")
    assert f"Can its loss be trusted? {title_of(verdict)}." in text[: text.index("Training curve")]
    assert f"{title_of(verdict)}." in text[text.index(HEADING) :]
    for question in ALL:
        is_expected = question not in (questions.SLICED, questions.FEATURES)
        assert (question.title in text) == is_expected
        assert (question.words in text) == is_expected


def test_the_distance_is_drawn_as_recorded(tmp_path, undrawn):
    run = with_diagnoses(fake_run(tmp_path / "run"))
    report(run)
    diagnoses = [line for line in lines_of(run) if "exact" in line]
    (bracket, raw), more = undrawn["bracket"][0]
    np.testing.assert_array_equal(bracket.at, np.arange(1_000, 8_001, 1_000))
    for name, key in (("certified", "certified"), ("exact", "exact"), ("low", "exact_low"), ("high", "exact_high")):
        np.testing.assert_array_equal(getattr(bracket, name), [line[key] for line in diagnoses])
    np.testing.assert_array_equal(bracket.floor, 0.07)
    assert len(raw[0]) == 800
    assert more["unit"] == "W1 between held-out rows and samples, in units of the data"
    assert more["scale"].endswith("raw estimate of the earth mover's distance, up to an unknown constant factor")


def test_small_figures_are_drawn_as_recorded(tmp_path, undrawn):
    run = with_diagnoses(fake_run(tmp_path / "run"))
    text = report(run).text
    diagnoses = [line for line in lines_of(run) if "exact" in line]
    (_, lines), _ = small(undrawn, "training rows")
    for name, key in (
        ("training rows", "training_estimate"), ("held-out rows", "held_out_estimate"),
        ("copy trained further", "further_estimate"),
    ):  # fmt: skip
        np.testing.assert_array_equal(lines[name], [line[key] for line in diagnoses])
    (_, lines), more = small(undrawn, "critic")
    np.testing.assert_allclose(lines["critic"], 90)
    np.testing.assert_allclose(lines["without a critic"], 60)
    assert more["limits"][0] < 0 < 100 < more["limits"][1]
    (_, lines), _ = small(undrawn, "gap")
    np.testing.assert_allclose(lines["gap"], 1.5)
    (_, lines), more = small(undrawn, "by ascent")
    assert [values[0] for values in lines.values()] == [0.02, 0.021, 0.025, 0.03]
    assert [*more["marks"].values()] == [1.0]
    (_, lines), _ = small(undrawn, "at the bound")
    np.testing.assert_allclose(lines["at the bound"], 61)
    (_, lines), more = small(undrawn, "cosine")
    np.testing.assert_allclose(lines["cosine"], 0.4)
    (_, lines), more = small(undrawn, "sample to nearest sample")
    np.testing.assert_allclose(lines["sample to nearest sample"], 0.8)
    assert more["marks"] == {"": 1.0}
    (_, lines), _ = small(undrawn, "sample to nearest training row")
    np.testing.assert_allclose(lines["sample to nearest training row"], 0.9)
    np.testing.assert_allclose(small(undrawn, "coverage")[0][1]["coverage"], 98)
    (_, lines), _ = small(undrawn, "memorised")
    np.testing.assert_allclose([lines["memorised"][0], lines["twice the error"][0]], [1, 4])
    (players,), _ = undrawn["by_layer"][0]
    assert players == {
        "critic": {"update 1,000": [1.0, 0.01, 0.1, 1.0], "update 8,000": [8.0, 0.01, 0.1, 1.0]},
        "generator": {"update 1,000": [0.2, 0.3, 0.4], "update 8,000": [0.2, 0.3, 0.4]},
    }
    (edges, real, fake), _ = undrawn["scores"][0]
    assert (edges, real, fake) == ([-1, 0, 1], [250, 750], [500, 500])
    assert "of update 8,000" in text
    assert "bound all slopes by 4.25" in text


def test_images_show_sliced_distances_and_omit_what_is_missing(tmp_path, undrawn):
    exact = ("exact", "exact_low", "exact_high", "exact_floor", "efficiency", "at_bound", "slope_bound")
    run = with_diagnoses(fake_run(tmp_path / "run", "images", steps=2_000), without=exact)
    lines = lines_of(run)
    rewrite(run, [line | ({"sliced": 0.2, "sliced_floor": 0.01} if "certified" in line else {}) for line in lines])
    text = report(run).text
    (_, drawn), _ = small(undrawn, "floor: real rows")
    np.testing.assert_array_equal(drawn["samples"], 0.2)
    assert questions.SLICED.title in text
    assert questions.EFFICIENCY.title not in text
    assert questions.AT_BOUND.title not in text
    assert "bound all slopes" not in text
    assert "is above it" not in text


def test_objectives_other_than_wasserstein_have_no_mark_at_slope_1(tmp_path, undrawn):
    text = report(with_diagnoses(fake_run(tmp_path / "run", objective="gan", constraint="none"))).text
    assert small(undrawn, "by ascent")[1]["marks"] is None
    assert "slopes up to 1" not in text


@pytest.mark.usefixtures("undrawn")
def test_floors_of_evidence_are_not_evaluations(tmp_path):
    run = with_diagnoses(fake_run(tmp_path / "run"), every=500)
    record = read_record(run)
    assert record.distances == ["w1"]
    assert len(record.evaluations) == 8
    assert len(record.diagnoses) == 16
    names = {field.name for field in dataclasses.fields(Evidence)}
    assert {name for name in names if name.endswith("_floor")} == _OF_EVIDENCE


def test_a_number_without_a_separate_figure_has_a_panel(tmp_path, undrawn, monkeypatch):
    field = evidence.FIELDS["slope_real"] | {"label": "new number", "meaning": "What it means.", "panel": True}
    monkeypatch.setitem(evidence.FIELDS, "new", field)
    run = with_diagnoses(fake_run(tmp_path / "run", steps=2_000))
    rewrite(run, [line | ({"new": 0.25} if "certified" in line else {}) for line in lines_of(run)])
    text = report(run).text
    (_, lines), more = small(undrawn, "new number")
    np.testing.assert_array_equal(lines["new number"], 0.25)
    assert more["title"] == field["unit"]
    assert "New number What it means." in " ".join(text.split())


@pytest.mark.usefixtures("undrawn")
def test_runs_without_evidence_are_marked(tmp_path):
    text = report(fake_run(tmp_path / "run", steps=1_000)).text
    assert f"{HEADING} The run has recorded no evidence on its critic" in text
    assert not [question for question in ALL if question.title in text]


@pytest.mark.usefixtures("undrawn")
def test_a_run_that_diverged_before_its_first_diagnosis_has_a_verdict(tmp_path):
    run = fake_run(tmp_path / "run", steps=1_000)
    with (run / "events.jsonl").open("a") as file:
        message = f"training diverged at step 1,000: {SCRIPT} is not finite. The last good checkpoint is /a/b"
        file.write(json.dumps({"time": 1.9e9, "event": "diverged", "step": 1_000, "message": message}) + "\n")
    text = report(run).text
    section = text[text.index(HEADING) :]
    assert f"{SCRIPT} is not finite at step 1,000." in section
    assert "/a/b" not in section
    assert verdict_of(read_record(run)).kind == "diverged"


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize(
    "malformed",
    [
        {"score_histogram": [1, 2]},
        {"score_histogram": {"edges": [0, 1], "real": "x", "fake": [3, 4]}},
        {"layer_gradients": "text", "generator_layer_gradients": [None]},
        {"exact": "many", "certified": None, "gap": float("nan")},
        {"diversity_real": 0.0, "nearest_held_out": 0},
    ],
)
def test_malformed_evidence_is_ignored(tmp_path, malformed):
    run = with_diagnoses(fake_run(tmp_path / "run", steps=2_000))
    rewrite(run, [line | (malformed if "certified" in line else {}) for line in lines_of(run)])
    text = report(run).text
    assert "could not be drawn" not in text
    assert not re.search(r"\bnan\b", text, re.IGNORECASE)


def test_a_single_diagnosis_is_drawn_without_warnings(tmp_path):
    page = report(with_diagnoses(fake_run(tmp_path / "run", steps=1_000)))
    assert "could not be drawn" not in page.text
    assert page.tags.count("img") > 10
    assert (tmp_path / "run" / "report.html").stat().st_size < 3e6


def test_verdicts_are_shown_with_reason_remedy_and_evidence():
    verdict = Verdict(
        kind="clip-too-small", reason="the gradient falls by 1e-9", remedy=f"use {SCRIPT}", evidence={"at_bound": 0.97}
    )
    block = str(verdict_block(verdict))
    assert 'class="verdict doubted"' in block
    assert "The gradient falls by 1e-9." in block
    assert "<script>" not in block
    assert "weights at the bound" in block
    assert "0.97" in block
    assert line_of(verdict).startswith(f"{title_of(verdict)}. The gradient falls by 1e-9. Use <script>")
    assert 'class="verdict"' in str(verdict_block(Verdict(kind="trust", reason="x")))


def test_every_kind_of_verdict_has_a_distinct_title():
    titles = {title_of(Verdict(kind=kind, reason="")) for kind in KINDS}
    assert len(titles) == len(KINDS)
    assert not {title.lower().replace(" ", "-") for title in titles} & set(KINDS)


def test_units_of_distances(tmp_path):
    points = read_record(fake_run(tmp_path / "points", steps=10))
    assert distance_unit(points) == "in units of the data"
    points.settings["packing"] = 2
    assert distance_unit(points) == "in units of the data, in packs of 2"
    unknown = read_record(fake_run(tmp_path / "images", "images", steps=10))
    assert distance_unit(unknown) == "in the units of the networks"
