"""The report of a run: its page and its summary."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from wgan.evaluation.metrics import other_numbers
from wgan.figures import median_filtered, median_width
from wgan.report import evaluations, pictures, trust, words
from wgan.report.markup import Html, document, element, joined, note, section, terms
from wgan.report.record import Record, number, read_record
from wgan.system.storage import replace_file
from wgan.trust.verdict import UNINFORMATIVE_DISTANCE


def write_report(run: Path) -> Path:
    """Write RUN/report.html. The run may be finished, in progress or interrupted.

    Args:
        run: A run directory.

    Returns:
        The path of the file. It is self-contained, has no scripts and is replaced atomically.

    Raises:
        UsageError: `run` is not a run directory.
        CheckpointError: The file cannot be written.
    """
    out = run / "report.html"
    record, title = read_record(run), run.resolve().name
    replace_file(out, document(title, _main(record, title)).encode("utf-8"))
    return out


def _main(record: Record, title: str) -> Html:
    return element(
        "main",
        element("header", element("p", _kicker(record), class_="kicker"), element("h1", title)),
        summary(record),
        _warnings(record),
        _key_numbers(record),
        section("Samples", pictures.samples(record)),
        section("Training curve", pictures.curve(record)),
        trust.section(record),
        section("Gradients of the generator", pictures.reaching(record)) if record.probed else None,
        evaluations.distances(record),
        evaluations.columns(record),
        evaluations.conditional_accuracy_section(record),
        _data(record),
        _details("Settings", _facts(_flat(record.settings))),
        _details("Versions and machine", _facts(_flat(record.environment))) if record.environment else None,
        element("footer", "Written by wgan from the records of the run. No scripts, no network requests."),
    )


def _warnings(record: Record) -> Html | None:
    events = [event for event in record.events if event.get("event") in ("warning", "rolled-back")]
    messages = [str(event["message"]) for event in events if "message" in event]
    items = [element("p", element("strong", "Warning. "), message) for message in dict.fromkeys(messages)]
    if record.divergence is not None:
        items.insert(0, element("p", element("strong", "Diverged. "), record.divergence))
    return element("div", items, class_="warning") if items else None


def _kicker(record: Record) -> str:
    started = next((number(event.get("time")) for event in record.events), float("nan"))
    if not 0 <= started < 1e11:
        return "Report of a training run"
    return f"Report of a training run, started {datetime.fromtimestamp(started, UTC):%d %B %Y, %H:%M} UTC".replace(
        " 0", " "
    )


def summary(record: Record) -> Html:
    """The summary in one paragraph."""
    constraint = element("code", words.word(record, "constraint"))
    data = str(record.source.get("describe") or record.settings.get("data") or "data passed from Python")
    objective = words.objective_of(record)
    model = "a GAN" if objective is None else objective.title
    kind = (f"This is {model} with the constraint ", constraint, " on its critic")
    text = [*kind, ", trained on ", element("em", data), ". ", _progress(record), _last_estimate(record)]
    last = record.evaluations[-1] if record.evaluations else None
    if last is not None:
        text.append(_evaluation(record, last))
    if record.diagnoses:
        text.append(f"Can its loss be trusted? {trust.title_of(trust.verdict_of(record))}.")
    return element("p", *text, class_="lead")


def _progress(record: Record) -> str:
    steps = record.settings.get("steps")
    total = f" of {steps:,}" if isinstance(steps, int) and steps != record.step else ""
    time = f" in {words.duration(record.seconds)}" if record.seconds is not None else ""
    updates = "generator update" + "s" * (record.step != 1 or bool(total))
    if record.step == 0:
        return "It has not made a generator update yet. "
    if record.is_finished:
        early = record.events[-1].get("reason")
        ended = f"ended early: {early}" if early else "finished"
        return f"It made {record.step:,}{total} {updates}{time} and {ended}. "
    progress = f"It has made {record.step:,}{total} {updates}{time}."
    if record.divergence is not None:
        last = record.last_saved
        good = "" if last is None else f" The last good checkpoint is of update {last:,}."
        return f"{progress} Then training diverged and the run ended.{good} "
    was_stopped = record.last_event == "stopped"
    status = "It was stopped" if was_stopped else "It is still running or was interrupted,"
    return f"{progress} {status} and can be resumed. "


def _last_estimate(record: Record) -> str:
    _, values = record.estimates
    if len(values) == 0:
        return ""
    width = median_width(len(values))
    smoothing = f" (median of {width} records)" if width > 1 else ""
    last = words.significant(float(median_filtered(values)[-1]))
    return f"The critic's last estimate of the {words.unit_of(record)} is {last}{smoothing}. "


def _evaluation(record: Record, last: dict[str, Any]) -> Html:
    sentences: list[str] = []
    for index, key in enumerate(record.distances):
        if not math.isfinite(number(last.get(key))):
            continue
        floor, ratio = last.get(f"{key}_floor"), words.times_floor(last, key)
        reference = f"the floor, the distance between two sets of real rows of that size, is {words.significant(floor)}"
        times = f" (ratio {ratio:.2f})" if math.isfinite(ratio) else ""
        between = "between held-out rows and samples " if index == 0 else ""
        name, value = words.distance_name(key), words.significant(last[key])
        sentences.append(f"The {name} {between}is {value}; {reference}{times}. ")
    if sentences and words.is_uninformative(record):
        sentences.append(f"However, {UNINFORMATIVE_DISTANCE}. ")
    sentences += [f"{title[0].upper()}{title[1:]}: {text}. " for title, text in other_numbers(last).items()]
    return joined(*sentences)


def _key_numbers(record: Record) -> Html | None:
    """The most important numbers, in large print."""
    entries: list[tuple[str, str]] = []
    last = record.evaluations[-1] if record.evaluations else {}
    for key in record.distances[:1]:
        floor = words.significant(last.get(f"{key}_floor"))
        entries.append((f"{words.distance_name(key)}, floor {floor}", words.significant(last.get(key))))
        if math.isfinite(words.times_floor(last, key)):
            entries.append(("ratio to the floor", f"{words.times_floor(last, key):.2f}"))
    entries += other_numbers(last).items()
    entries.append(("generator updates", f"{record.step:,}"))
    if record.seconds is not None:
        entries.append(("training time", words.duration(record.seconds)))
    return terms(entries, class_="numbers") if record.step else None


def _data(record: Record) -> Html:
    notes = record.source.get("notes")
    lines = list(map(str, notes)) if isinstance(notes, list) else []
    description = record.source.get("describe") or record.settings.get("data") or "No description is recorded."
    fingerprint = record.source.get("fingerprint")
    return section(
        "Data",
        element("p", str(description)),
        element("ul", [element("li", line) for line in lines]) if lines else None,
        note("Fingerprint ", element("code", str(fingerprint))) if fingerprint else None,
    )


def _details(title: str, content: Html) -> Html:
    return element("details", element("summary", title), content)


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Nested settings as pairs of a dotted name and a value as text."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        elif isinstance(value, list):
            yield f"{prefix}{key}", ", ".join(map(str, value)) or "none"
        else:
            yield f"{prefix}{key}", str(value).lower() if isinstance(value, bool) else str(value)


def _facts(pairs: Iterator[tuple[str, str]]) -> Html:
    lines = [element("tr", element("th", key), element("td", element("code", value))) for key, value in pairs]
    return element("div", element("table", lines, class_="facts"), class_="scroll")
