import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from fake_runs import SCRIPT, fake_run
from wgan import figures
from wgan.constraints import CONSTRAINTS
from wgan.data.columns.text_formats import DateFormat, NumberFormat, format_state
from wgan.data.export import write_samples
from wgan.errors import UsageError
from wgan.objectives import OBJECTIVES
from wgan.report import write_report
from wgan.report.markup import Html, element, joined
from wgan.report.page import summary
from wgan.report.record import columns, forms_of, read_record
from wgan.report.words import axis_label, duration, significant


@pytest.fixture
def undrawn(monkeypatch):
    """Do not draw figures, which takes most of the time of a report. Tests of its text do not need them."""
    monkeypatch.setattr(figures, "svg", lambda figure, theme: b"<svg/>")


class Page(HTMLParser):
    """Collects the tags, attributes, addresses and text of a page."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.addresses, self.attributes, self.words = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [name for name, _ in attrs]
        self.addresses += [value for name, value in attrs if name in ("src", "srcset", "href")]

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


def report(run):
    out = write_report(run)
    assert out == run / "report.html"
    return Page(out.read_text(encoding="utf-8"))


@pytest.mark.parametrize("kind", ["points", "images", "table"])
def test_page_of_each_kind_is_self_contained_and_small(tmp_path, kind):
    run = fake_run(tmp_path / "run-001", kind, steps=1_000, frames=2)
    page = report(run)
    assert all(address.startswith("data:image/") for address in page.addresses)
    assert page.tags.count("img") >= 2
    assert (run / "report.html").stat().st_size < 3e6
    assert sorted(path.name for path in run.iterdir() if path.name.startswith(".")) == []


@pytest.mark.usefixtures("undrawn")
def test_summary_states_the_numbers(tmp_path):
    text = report(fake_run(tmp_path / "run", constraint="penalty:weight=0.1")).text
    assert "a Wasserstein GAN with the constraint penalty:weight=0.1 on its critic, trained on" in text
    assert "It made 8,000 generator updates in 2 min 1 s and finished." in text
    assert (
        "is 0.0501; the floor, the distance between two sets of real rows of that size, is 0.044 (ratio 1.14)." in text
    )
    assert "Modes covered: 8 of 8." in text


@pytest.mark.usefixtures("undrawn")
def test_an_early_end_and_a_rollback_are_reported(tmp_path):
    run = fake_run(tmp_path / "run", steps=8_000)
    path = run / "events.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    lines[-1] |= {"reason": "no better score in 3 evaluations since step 500"}
    lines.insert(
        1, {"event": "rolled-back", "step": 25, "message": "training diverged at step 25: it is enough; going back"}
    )
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    text = report(run).text
    assert "and ended early: no better score in 3 evaluations since step 500." in text
    assert "Warning. training diverged at step 25: it is enough; going back" in text


def test_hostile_names_are_escaped(tmp_path):
    run = fake_run(tmp_path / SCRIPT.replace("/", "%"), "table", steps=1_000, label=f'{SCRIPT}"onload=x')
    content = write_report(run).read_text(encoding="utf-8")
    page = Page(content)
    assert "script" not in page.tags
    assert not [name for name in page.attributes if name.startswith("on")]
    assert SCRIPT in page.text
    assert re.search(r"content=\"default-src &#x27;none&#x27;", content)
    assert "unsafe-inline" not in content


@pytest.mark.usefixtures("undrawn")
def test_events_and_environment_are_escaped_too(tmp_path):
    run = fake_run(tmp_path / "run", steps=10)
    with (run / "events.jsonl").open("a") as file:
        file.write(json.dumps({"time": 1.8e9, "event": "warning", "step": 1, "message": SCRIPT}) + "\n")
    (run / "environment.json").write_text(json.dumps({"platform": {SCRIPT: [SCRIPT, "\x00\ud800"]}}))
    page = report(run)
    assert "script" not in page.tags
    assert page.text.count(SCRIPT) >= 3
    assert "\\x00\\ud800" in page.text


@pytest.mark.usefixtures("undrawn")
def test_style_is_allowed_by_its_digest(tmp_path):
    import base64
    import hashlib
    import html

    content = write_report(fake_run(tmp_path / "run", steps=10)).read_text(encoding="utf-8")
    style = re.search(r"<style>(.*?)</style>", content, re.DOTALL).group(1)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"'sha256-{digest}'" in html.unescape(content)


@pytest.mark.usefixtures("undrawn")
def test_run_in_progress_with_a_torn_last_line(tmp_path):
    run = fake_run(tmp_path / "run", made=3_000)
    with (run / "metrics.jsonl").open("a") as file:
        file.write('{"step": 3010, "esti')
    text = report(run).text
    assert (
        "It has made 3,000 of 8,000 generator updates in 45 s. It is still running or was interrupted, and can" in text
    )


@pytest.mark.usefixtures("undrawn")
def test_stopped_run(tmp_path):
    run = fake_run(tmp_path / "run", made=1_000)
    with (run / "events.jsonl").open("a") as file:
        file.write(json.dumps({"time": 1.9e9, "event": "stopped", "step": 1_000, "seconds": 75.0}) + "\n")
    assert "1 min 15 s. It was stopped and can be resumed." in report(run).text


@pytest.mark.usefixtures("undrawn")
def test_a_diverged_run_reports_the_reason_and_the_last_good_checkpoint(tmp_path):
    run = fake_run(tmp_path / "run", made=1_000)
    with (run / "events.jsonl").open("a") as file:
        file.write(json.dumps({"time": 1.9e9, "event": "diverged", "step": 1_200, "message": f"NaN {SCRIPT}"}) + "\n")
    text = report(run).text
    assert "It has made 1,200 of 8,000 generator updates in 15 s. Then training diverged" in text
    assert "The last good checkpoint is of update 1,000." in text
    assert f"Diverged. NaN {SCRIPT}" in text
    assert "resumed" not in text
    with (run / "events.jsonl").open("a") as file:
        file.write(json.dumps({"time": 1.9e9, "event": "resumed", "step": 1_000}) + "\n")
    assert "diverged" not in report(run).text.lower()


@pytest.mark.parametrize("name", [*CONSTRAINTS])
def test_the_label_of_the_curve_has_the_scale_of_the_constraint(tmp_path, name):
    label = axis_label(read_record(fake_run(tmp_path / "run", steps=10, constraint=name)))
    assert label == f"estimate of the earth mover's distance, {CONSTRAINTS.build(name).scale}"


def test_the_label_of_the_curve_has_no_scale_for_an_unknown_constraint(tmp_path):
    label = axis_label(read_record(fake_run(tmp_path / "run", steps=10, constraint="of-tomorrow")))
    assert label == "estimate of the earth mover's distance"


@pytest.mark.parametrize("name", [name for name in OBJECTIVES if name != "wasserstein"])
def test_label_and_summary_name_the_objective(tmp_path, name):
    objective, directory = OBJECTIVES.build(name), fake_run(tmp_path / "run", steps=10, objective=name)
    assert axis_label(read_record(directory)) == f"estimate of the {objective.unit}, {objective.scale}"
    text = str(summary(read_record(directory)))
    assert f"This is {objective.title} with the constraint" in text


def test_the_label_of_the_curve_names_packs(tmp_path):
    record = read_record(fake_run(tmp_path / "run", steps=10, packing=4, objective="gan"))
    assert axis_label(record).startswith("estimate of the Jensen-Shannon divergence of packs of 4, ")


def test_an_unknown_objective_is_called_a_gan(tmp_path):
    record = read_record(fake_run(tmp_path / "run", steps=10, objective="of-tomorrow"))
    assert "This is a GAN with the constraint" in str(summary(record))
    assert axis_label(record).startswith("estimate of the distance, up to an unknown")


@pytest.mark.usefixtures("undrawn")
def test_one_line_and_empty_records(tmp_path):
    one = fake_run(tmp_path / "one", made=10)
    assert "It has made 10 of 8,000 generator updates" in report(one).text
    empty = tmp_path / "empty"
    empty.mkdir()
    (empty / "settings.toml").write_text('data = "ring"\n')
    text = report(empty).text
    assert "It has not made a generator update yet." in text
    assert "The run has not drawn samples yet." in text


@pytest.mark.usefixtures("undrawn")
def test_numbers_that_are_not_finite_are_ignored(tmp_path):
    run = fake_run(tmp_path / "run", steps=100)
    with (run / "metrics.jsonl").open("a") as file:
        file.write('{"step": 110, "estimate": NaN}\n{"step": 120, "estimate": null, "w1": NaN, "w1_floor": 0.0}\n[]\n')
    record = read_record(run)
    assert record.step == 120
    assert len(record.estimates[0]) == 10
    assert "nan" not in report(run).text.lower()


@pytest.mark.usefixtures("undrawn")
def test_warnings_are_at_the_top(tmp_path):
    run = fake_run(tmp_path / "run", steps=10)
    with (run / "events.jsonl").open("a") as file:
        file.write(json.dumps({"time": 1.8e9, "event": "warning", "step": 10, "message": "training diverged"}) + "\n")
    text = report(run).text
    assert 0 < text.index("Warning. training diverged") < text.index("Samples")


@pytest.mark.usefixtures("undrawn")
def test_unreadable_samples_are_reported(tmp_path):
    run = fake_run(tmp_path / "run", "images", steps=1_000)
    (run / "samples" / "00001000.png").write_text("no picture")
    assert "The samples could not be read" in report(run).text


@pytest.mark.usefixtures("undrawn")
def test_large_sheets_are_compressed(tmp_path):
    run = fake_run(tmp_path / "run", "images", steps=1_000)
    noise = np.random.default_rng(0).integers(0, 256, (25, 96, 96, 3), dtype=np.uint8)
    for name in ("real.png", "00001000.png"):
        write_samples(iter([noise]), 25, run / "samples" / name, "images")
    page = report(run)
    assert any(address.startswith("data:image/webp") for address in page.addresses)
    assert (run / "report.html").stat().st_size < 3e6


@pytest.mark.usefixtures("undrawn")
def test_points_of_many_columns_show_marginals(tmp_path):
    run = fake_run(tmp_path / "run", steps=10)
    for name in ("real", "00000010"):
        np.save(run / "samples" / f"{name}.npy", np.random.default_rng(0).normal(size=(50, 15)))
    assert "The first 12 of 15 columns." in report(run).text


def probe_run(run, *, is_classifier):
    """Add vanishing gradients of the generator to the metrics of a run."""
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    for index, line in enumerate(lines):
        line |= {"gradient_at_weights": 10.0 ** (1 - index), "gradient_at_samples": 0.1**index}
        if is_classifier:
            line |= {
                "saturated_real": 0.1 * index,
                "saturated_fake": 0.1 * index,
                "saturation_slope": 0.25 - 0.02 * index,
            }
    (run / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return run


@pytest.mark.parametrize("is_classifier", [True, False])
def test_gradients_of_the_generator_are_drawn_as_recorded(tmp_path, monkeypatch, is_classifier):
    drawn, draw_it = [], figures.generator_gradients
    monkeypatch.setattr(
        figures, "generator_gradients", lambda *given, theme: drawn.append(given) or draw_it(*given, theme=theme)
    )
    text = report(probe_run(fake_run(tmp_path / "run", steps=50), is_classifier=is_classifier)).text
    assert text.index("Training curve") < text.index("Gradients of the generator")
    assert ("the share of saturated scores" in text) == is_classifier
    assert "fall towards zero" in text
    steps, gradients, saturation = drawn[0]
    np.testing.assert_array_equal(steps, [10, 20, 30, 40, 50])
    np.testing.assert_allclose(gradients["with respect to the parameters"], [10, 1, 0.1, 0.01, 0.001])
    np.testing.assert_allclose(gradients["with respect to a sample, mean"], [1, 0.1, 0.01, 0.001, 0.0001])
    assert bool(saturation) == is_classifier
    if is_classifier:
        np.testing.assert_allclose(saturation["real"], [0, 0.1, 0.2, 0.3, 0.4])
        np.testing.assert_allclose(saturation["slope of the sigmoid × 4"], [1, 0.92, 0.84, 0.76, 0.68])


@pytest.mark.usefixtures("undrawn")
def test_runs_without_recorded_gradients_can_be_read(tmp_path):
    page = report(fake_run(tmp_path / "run", steps=1_000))
    assert "Gradients of the generator" not in page.text
    assert "Training curve" in page.text


def test_a_directory_that_is_not_a_run_is_refused(tmp_path):
    with pytest.raises(UsageError, match="does not exist"):
        write_report(tmp_path / "none")
    with pytest.raises(UsageError, match="has no settings"):
        write_report(tmp_path)


def test_the_report_is_deterministic(tmp_path):
    run = fake_run(tmp_path / "run", steps=200)
    assert write_report(run).read_bytes() == write_report(run).read_bytes()


def test_best_is_the_first_of_the_lowest(tmp_path):
    run = fake_run(tmp_path / "run", steps=10)
    scores = [(1, 0.5), (2, 0.2), (3, 0.2), (4, 0.9)]
    lines = [json.dumps({"step": step, "score": score, "w1": score, "w1_floor": 0.1}) for step, score in scores]
    (run / "metrics.jsonl").write_text("\n".join(lines))
    assert read_record(run).best["step"] == 2


def test_columns_of_a_table(tmp_path):
    path = tmp_path / "00000001.csv"
    path.write_text("age,name,when\n1,a,2020-01-02\n,,\n3,b,2020-01-03\n")
    read = columns(path)
    np.testing.assert_array_equal(read["age"], [1, np.nan, 3])
    assert read["name"].tolist() == ["a", "", "b"]
    assert read["when"].dtype.kind == "M"


def test_formatted_numbers_and_dates_are_parsed(tmp_path):
    path = tmp_path / "00000001.csv"
    path.write_text('pay,when,name\n"$1,200.50",03.07.2024,1\n$3.00,,2\n')
    forms = {
        "pay": NumberFormat(prefix="$", thousands=","),
        "when": DateFormat(format="%d.%m.%Y"),
        "gone": NumberFormat(),
    }
    read = columns(path, forms=forms)
    assert read["pay"].tolist() == [1200.5, 3.0]
    assert read["when"][0] == np.datetime64("2024-07-03")
    assert np.isnat(read["when"][1])
    state = {
        "columns": [{"name": name, "form": format_state(form)} for name, form in forms.items()] + [{"name": "name"}]
    }
    run = fake_run(tmp_path / "run", steps=1)
    (run / "source.json").write_text(json.dumps({"codec": state, "conditions": None}))
    assert forms_of(read_record(run)) == forms


def test_text_is_escaped():
    assert element("p", "<b>", Html("<i></i>"), ["&"], None, title='"') == '<p title="&quot;">&lt;b&gt;<i></i>&amp;</p>'
    assert joined("a\x1b[31m") == "a\\x1b[31m"


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.4, "0 s"), (59.7, "1 min 0 s"), (75, "1 min 15 s"), (3700, "1 h 1 min")]
)
def test_durations(seconds, said):
    assert duration(seconds) == said


@pytest.mark.parametrize(
    ("value", "said"),
    [(0.05012, "0.0501"), (8, "8"), (12345.6, "12,346"), (None, "–"), (float("nan"), "–"), (1e-9, "1e-09")],
)
def test_three_significant_digits(value, said):
    assert significant(value) == said


@pytest.mark.filterwarnings("error")
def test_columns_near_the_limits_of_float64_are_drawn(tmp_path):
    run = fake_run(tmp_path / "run", steps=10)
    rng = np.random.default_rng(0)
    for name in ("real", "00000010"):
        np.save(run / "samples" / f"{name}.npy", rng.uniform(-1.7, 1.7, (50, 3)) * 1e308)
    page = report(run)
    assert "could not" not in page.text
    assert "Each column's distribution" in page.text


def test_a_figure_that_fails_does_not_prevent_the_report(tmp_path, monkeypatch):
    run = fake_run(tmp_path / "run", steps=10)
    np.save(run / "samples" / "00000010.npy", np.random.default_rng(0).normal(size=(50, 2)))

    def fail(*values, **options):
        raise OverflowError("too large")

    monkeypatch.setattr(figures, "scatter", fail)
    monkeypatch.setattr(figures, "curve", fail)
    assert report(run).text.count("could not be drawn (OverflowError: too large)") == 2
