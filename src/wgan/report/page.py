"""The page itself: sections in the order in which a reader asks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from wgan.evaluation.metrics import other_numbers
from wgan.report import marginals, pictures, trust, words
from wgan.report.conditional_accuracy import conditional_accuracies, score_drop
from wgan.report.markup import Html, Part, document, element, joined
from wgan.report.record import Record, number, read_record
from wgan.system.storage import replace_file
from wgan.trust.support import IN_MANY_DIMENSIONS

_MOST_LINES = 14


def write_report(run: Path) -> Path:
    """Write RUN/report.html from what the run directory holds, whatever state the run is in.

    Args:
        run: A run directory.

    Returns:
        The file: self-contained, without scripts, readable offline, replaced only when complete.

    Raises:
        UsageError: `run` is not a run directory.
        CheckpointError: The file cannot be written.
    """
    out = run / "report.html"
    replace_file(out, _page(read_record(run)).encode("utf-8"))
    return out


def _page(record: Record) -> str:
    title = record.directory.resolve().name
    return document(title, _main(record, title))


def _main(record: Record, title: str) -> Html:
    return element(
        "main",
        element("header", element("p", _kicker(record), class_="kicker"), element("h1", title)),
        words.summary(record),
        _warnings(record),
        words.key_numbers(record),
        element("section", element("h2", "Samples"), pictures.samples(record)),
        element("section", element("h2", "The curve"), pictures.curve(record)),
        trust.section(record),
        _reaching(record),
        _judged(record),
        marginals.section(record),
        _obeyed(record),
        _data(record),
        _details("Settings", _facts(_flat(record.settings))),
        _details("Versions and machine", _facts(_flat(record.environment))) if record.environment else None,
        element("footer", "Made by wgan from the run's own record. This file holds no script and asks no network."),
    )


def _warnings(record: Record) -> Html | None:
    events = [event for event in record.events if event.get("event") in ("warning", "rolled-back")]
    said = [str(event["message"]) for event in events if "message" in event]
    items = [element("p", element("strong", "Warning. "), message) for message in dict.fromkeys(said)]
    if record.divergence is not None:
        items.insert(0, element("p", element("strong", "Diverged. "), record.divergence))
    return element("div", items, class_="warning") if items else None


def _kicker(record: Record) -> str:
    started = next((number(event.get("time")) for event in record.events), float("nan"))
    if not 0 <= started < 1e11:
        return "Report of a training run"
    return f"Report of a training run, begun {datetime.fromtimestamp(started, UTC):%d %B %Y, %H:%M} UTC".replace(
        " 0", " "
    )


def _reaching(record: Record) -> Html | None:
    if not record.probed:
        return None
    return element("section", element("h2", "What reaches the generator"), pictures.reaching(record))


def _judged(record: Record) -> Html | None:
    if not record.evaluations:
        return None
    others = list(dict.fromkeys(title for line in record.evaluations for title in other_numbers(line)))
    head = ["updates"]
    for key in record.distances:
        head += [words.distance_name(key), "floor", "ratio"]
    head += others
    chosen = np.unique(np.linspace(0, len(record.evaluations) - 1, _MOST_LINES).round().astype(int))
    shown = [record.evaluations[index] for index in chosen]
    if record.best is not None and record.best not in shown:
        shown = sorted([*shown, record.best], key=lambda line: number(line.get("step")))
    body = [
        element("tr", [element("td", cell) for cell in _cells(record, line, others)], class_=_mark(record, line))
        for line in shown
    ]
    table = element("table", element("tr", [element("th", name) for name in head]), body, class_="measured")
    left_out = len(record.evaluations) - len(shown)
    note = (
        "Lower is better; a perfect generator would score about the floor, a ratio of 1. The best is set in bold"
        + (f". But {IN_MANY_DIMENSIONS}" if words.is_told_too_little(record) else "")
        + "."
    )
    return element(
        "section",
        element("h2", "Judged against held-out data"),
        element("p", note, f" {left_out} more in metrics.jsonl." if left_out else None, class_="note"),
        element("div", table, class_="scroll"),
    )


def _obeyed(record: Record) -> Html | None:
    """Whether conditions are obeyed, as the last evaluation that looked found."""
    line = next((line for line in reversed(record.evaluations) if conditional_accuracies(line)), None)
    if line is None:
        return None
    parts = conditional_accuracies(line)
    head = ["condition", "samples as asked", "real rows read right", "if it were ignored"]
    body = [element("tr", [element("td", cell) for cell in (part.title, *part.cells())]) for part in parts]
    table = element("table", element("tr", [element("th", name) for name in head]), body, class_="measured")
    by_value = [
        element("p", element("strong", part.title), ": ", ", ".join(map(": ".join, part.shares())))
        for part in parts
        if part.values
    ]
    note = (
        "A small network learnt from the real rows alone to tell what a row is described by, and says of each sample "
        "what it shows; for numbers and texts these are correlations."
    )
    drop = element("p", f"{score_drop(line)}.") if "score_drop" in line else None
    return element(
        "section",
        element("h2", "Are conditions obeyed?"),
        element("p", note, class_="note"),
        element("div", table, class_="scroll"),
        by_value,
        drop,
    )


def _mark(record: Record, line: Mapping[str, Any]) -> str | None:
    return "best" if line is record.best else None


def _cells(record: Record, line: dict[str, Any], others: list[str]) -> Iterator[str]:
    yield f"{number(line.get('step')):,.0f}"
    for key in record.distances:
        ratio = words.times_floor(line, key)
        yield words.significant(line.get(key))
        yield words.significant(line.get(f"{key}_floor"))
        yield f"{ratio:.2f}" if np.isfinite(ratio) else "–"
    shown = other_numbers(line)
    yield from (shown.get(title, "–") for title in others)


def _data(record: Record) -> Html:
    notes = record.source.get("notes")
    lines = list(map(str, notes)) if isinstance(notes, list) else []
    described = record.source.get("describe") or record.settings.get("data") or "Nothing is known about the data."
    fingerprint = record.source.get("fingerprint")
    return element(
        "section",
        element("h2", "Data"),
        element("p", str(described)),
        element("ul", [element("li", line) for line in lines]) if lines else None,
        element("p", "Fingerprint ", element("code", str(fingerprint)), class_="note") if fingerprint else None,
    )


def _details(title: str, content: Html) -> Html:
    return element("details", element("summary", title), content)


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Nested settings as pairs of a dotted name and a value in words."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        elif isinstance(value, list):
            yield f"{prefix}{key}", ", ".join(map(str, value)) or "none"
        else:
            yield f"{prefix}{key}", str(value).lower() if isinstance(value, bool) else str(value)


def _facts(pairs: Iterator[tuple[str, str]]) -> Html:
    lines: list[Part] = [
        element("tr", element("th", key), element("td", element("code", value))) for key, value in pairs
    ]
    return element("div", element("table", joined(lines), class_="facts"), class_="scroll")
