"""The figures of a report: the training curve, gradients, and samples as images, scatter plots or marginals."""

from __future__ import annotations

import functools
import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from wgan import figures
from wgan.data import conditions_from_state
from wgan.data.array_files import open_mapped
from wgan.data.codes import words_of
from wgan.data.columns.text_formats import TextFormat
from wgan.errors import WganError
from wgan.figures import EvaluatedDistance
from wgan.report.markup import Html, Part, data_uri, element, in_both_themes, note, table
from wgan.report.record import Frame, Record, columns, forms_of, number, rows, series
from wgan.report.words import axis_label, distance_name, has_common_unit
from wgan.runs.samples import sheet_part
from wgan.system.text import counted, listed

_MOST_FRAMES = 6
_MOST_DOTS = 5_000
# All images of a report take less than two megabytes, three in base 64.
_SHEET_BYTES = 220_000
_LARGE_BYTES = 450_000

_PROBED = ("gradient_at_weights", "gradient_at_samples", "saturated_real", "saturated_fake", "saturation_slope")


def curve(record: Record) -> Html:
    """The training curve: the estimate, and the distances of the evaluations."""
    steps, estimate = record.estimates
    evaluated = []
    for key in record.distances:
        lines = [line for line in record.evaluations if np.isfinite(number(line.get(key)))]
        at, values, floors = (series(lines, name) for name in ("step", key, f"{key}_floor"))
        evaluated.append(EvaluatedDistance(label=_evaluated_label(record, key), steps=at, values=values, floors=floors))
    return in_both_themes(
        lambda theme: figures.curve(steps, estimate, unit=axis_label(record), distances=evaluated, theme=theme),
        "Curve of the estimate against generator updates",
        element(
            "figcaption",
            "Faint: every record. Strong: median-filtered, as in the Wasserstein GAN paper. The floor is the distance "
            "between two sets of real samples, which a perfect generator would reach.",
        ),
    )


def reaching(record: Record) -> Html:
    """Norms of the generator's gradients, and the saturation of a critic that is a classifier."""
    steps, at_weights, at_samples, real, fake, slope = (series(record.probed, name) for name in ("step", *_PROBED))
    gradients = {"with respect to the parameters": at_weights, "with respect to a sample, mean": at_samples}
    # The slope of a sigmoid is at most 1/4.
    saturation = {"real": real, "generated": fake, "slope of the sigmoid × 4": 4.0 * slope}
    saturation = saturation if np.isfinite(np.concatenate([*saturation.values()])).any() else {}
    return in_both_themes(
        lambda theme: figures.generator_gradients(steps, gradients, saturation, theme=theme),
        "Norms of the generator's gradients against generator updates",
        element("figcaption", _gradient_caption(is_classifier=bool(saturation))),
    )


def _gradient_caption(*, is_classifier: bool) -> str:
    if is_classifier:
        return (
            "If gradients vanish, the norms fall towards zero, the share of saturated scores (probability within 0.001 "
            "of 0 or 1) goes to 1, and the slope goes to 0. The discriminator then separates all samples, and the "
            "generator no longer learns."
        )
    return (
        "If the norms fall towards zero while samples are still far from the data, gradients vanish and the generator "
        "no longer learns."
    )


def samples(record: Record) -> list[Part]:
    """The last samples next to real ones, and samples from the same noise over time."""
    ending = record.frames[-1].path.suffix if record.frames else ""
    frames = [frame for frame in record.frames if frame.path.suffix == ending]
    real = record.real if record.real is not None and record.real.suffix == ending else None
    drawing: dict[str, Callable[[list[Frame], Path | None], list[Part]]] = {
        ".png": functools.partial(_sheets, rows=_rows_of_sheets(record)),
        ".npy": _points,
        ".csv": functools.partial(_table, forms=forms_of(record)),
    }
    draw = drawing.get(ending)
    if draw is None:
        return [note("The run has not drawn samples yet.")]
    try:
        return draw(frames, real)
    except Exception as error:
        return [note(f"The samples could not be read: {error}")]


def _evaluated_label(record: Record, key: str) -> str:
    unit = ", in units of the data" if key == "w1" and has_common_unit(record) else ""
    return f"{distance_name(key)} between held-out rows and samples{unit}"


def _spread(frames: Sequence[Frame], most: int) -> list[Frame]:
    """At most `most` frames, evenly spaced, the first and the last among them."""
    chosen = np.unique(np.linspace(0, len(frames) - 1, min(most, len(frames))).round().astype(int))
    return [frames[index] for index in chosen]


def _moment(frame: Frame) -> str:
    return counted(frame.step, "update")


def _rows_of_sheets(record: Record) -> str:
    """The conditions of the rows of a sheet as text; empty without conditions."""
    try:
        conditions = conditions_from_state(record.source.get("conditions"))
    except WganError:
        return ""
    index = None if conditions is None else sheet_part(conditions)
    if conditions is None or index is None:
        return ""
    part = conditions.parts[index]
    return f"Conditions of the rows, from top to bottom: {part.name} {listed(words_of(part))}."


def _sheets(frames: list[Frame], real: Path | None, rows: str = "") -> list[Part]:
    pair = [_sheet(frames[-1].path, f"generated, {_moment(frames[-1])}", _LARGE_BYTES)]
    if real is not None:
        pair.insert(0, _sheet(real, "real, held out", _LARGE_BYTES))
    parts: list[Part] = [note(rows)] if rows else []
    parts.append(element("div", pair, class_="sheets pair"))
    if len(frames) > 1:
        small = [_sheet(frame.path, _moment(frame), _SHEET_BYTES) for frame in _spread(frames, _MOST_FRAMES)]
        parts += [element("h3", "Over time, from the same noise"), element("div", small, class_="sheets")]
    return parts


def _sheet(path: Path, caption: str, most: int) -> Html:
    content, media_type, is_small = _compact(path, most)
    picture = element(
        "img", src=data_uri(content, media_type), alt=f"Images, {caption}", class_="pixels" if is_small else None
    )
    return element("figure", element("figcaption", caption), picture)


def _compact(path: Path, most: int) -> tuple[bytes, str, bool]:
    """The image in about `most` bytes at most: unchanged, or compressed with loss and scaled down as needed."""
    content = path.read_bytes()
    with Image.open(io.BytesIO(content), formats=("PNG",)) as image:
        is_small = image.width <= 480
        if len(content) <= most:
            return content, "image/png", is_small
        smaller = image.convert("RGBA")
    while True:
        buffer = io.BytesIO()
        smaller.save(buffer, format="WEBP", quality=82, method=4)
        if buffer.tell() <= most or min(smaller.size) < 64:
            return buffer.getvalue(), "image/webp", is_small
        smaller = smaller.resize(
            (max(1, smaller.width * 3 // 4), max(1, smaller.height * 3 // 4)), Image.Resampling.LANCZOS
        )


def _points(frames: list[Frame], real: Path | None) -> list[Part]:
    drawn = [(_moment(frame), _matrix(frame.path)) for frame in _spread(frames, _MOST_FRAMES)]
    true = None if real is None else _matrix(real)
    if drawn[-1][1].shape[1] != 2:
        return _marginals(frames[-1], real)
    title, last = drawn[-1]
    parts: list[Part] = [in_both_themes(lambda theme: figures.scatter(last, true, theme=theme), f"Points, {title}")]
    if len(drawn) > 1:
        over_time = in_both_themes(lambda theme: figures.scatters(drawn, true, theme=theme), "Points over time")
        parts += [
            element("h3", "Over time, from the same noise", None if true is None else "; real points in grey"),
            over_time,
        ]
    return parts


def _matrix(path: Path) -> figures.Floats:
    array = open_mapped(path)[:_MOST_DOTS]
    return np.asarray(array, dtype=np.float64).reshape(len(array), -1)


def _marginals(frame: Frame, real: Path | None, forms: Mapping[str, TextFormat] | None = None) -> list[Part]:
    generated, true = columns(frame.path, forms=forms), None if real is None else columns(real, forms=forms)
    if not generated:
        return []
    num, most = len(generated), figures.MAX_MARGINALS
    limit = f"The first {most} of {num} columns. " if num > most else ""
    num_rows = len(next(iter(generated.values())))
    caption = element("figcaption", f"{limit}{num_rows:,} generated rows, {_moment(frame)}.")
    return [
        element("h3", "Each column's distribution"),
        in_both_themes(
            lambda theme: figures.marginals(generated, true, theme=theme), "Distribution of each column", caption
        ),
    ]


def _table(frames: list[Frame], real: Path | None, forms: Mapping[str, TextFormat]) -> list[Part]:
    parts: list[Part] = [element("h3", f"The first generated rows, {_moment(frames[-1])}"), _cells(frames[-1].path)]
    if real is not None:
        parts += [element("h3", "The first real rows, held out"), _cells(real, most=5)]
    return parts + _marginals(frames[-1], real, forms)


def _cells(path: Path, most: int = 10) -> Html:
    header, *body = rows(path, most) or [[]]
    return table(header, ((cell[:200] for cell in line) for line in body), class_="cells")
