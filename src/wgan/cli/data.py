"""`wgan data`: describe a data set as training would read it."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wgan.cli.options import Group, arg, parse
from wgan.cli.streams import say
from wgan.data.names import kind_of
from wgan.errors import DataError, UsageError, WganError
from wgan.settings import DataOptions, Settings, problems, refuse

if TYPE_CHECKING:
    import pyarrow as pa

    from wgan.data.columns import Number
    from wgan.data.conditions import Conditions
    from wgan.data.source import Decoded, Source

_NUM_DRAWN = 10_000
_NUM_TILES = 64
_NUM_SHOWN = 5
_CELL_WIDTH = 24
_MAX_OFFERS = 12


@dataclass(frozen=True, kw_only=True)
class LookOptions:
    """Options of `wgan data`."""

    data: str = arg("A built-in name or a path.")
    picture: Path | None = arg("File to draw the data in, .png.", None)
    seed: int = arg(
        "Seed of the rows that are shown. With the seed of a run, the same rows are held out as in the run.", 0
    )


def run(words: Sequence[str]) -> int:
    """Run `wgan data`."""
    groups = [
        Group(title="display", dataclass=LookOptions, positional={"data": "DATA"}),
        Group(title="data", dataclass=DataOptions),
    ]
    description = "Describe a data set as training would read it: counts, ranges, and some rows."
    options, reading = parse(words, groups, command="data", description=description)
    refuse(problems(Settings(data=options.data, seed=options.seed, input=reading)))
    kind = kind_of(options.data)
    if options.picture is not None and options.picture.suffix.lower() != ".png":
        raise UsageError(f"--picture {options.picture} does not end in .png")
    from wgan.data import open_data
    from wgan.data.export import check_target
    from wgan.randomness import Randomness

    if options.picture is not None:
        # Any kind of data can be drawn here, so only the path has to be checked.
        check_target(options.picture, "images" if kind == "images" else "points")
    refused = None
    try:
        source = open_data(options.data, reading, seed=options.seed)
    except DataError as error:
        source, refused = _with_missing(options, reading, error), error
    num = _NUM_TILES if kind == "images" else _NUM_DRAWN
    batch = source.labelled("train", num, Randomness(options.seed).at("rows to look at"))
    rows = source.codec.decode(batch.values)
    for line in _lines(source, rows):
        say(line)
    if refused is not None:
        raise refused
    if options.picture is not None:
        _draw(source, rows, options.picture)
        say(f"picture: {options.picture}")
    return 0


def _with_missing(options: LookOptions, reading: DataOptions, refused: DataError) -> Source:
    """The data, if it was refused only for its missing cells, so that it can be described nevertheless.

    Raises:
        DataError: As before, if there are other reasons.
    """
    from wgan.data import open_data

    if reading.missing == "error":
        for choice in ("keep", "drop"):
            with contextlib.suppress(WganError):
                return open_data(options.data, dataclasses.replace(reading, missing=choice), seed=options.seed)
    raise refused


def _lines(source: Source, rows: Decoded) -> Iterator[str]:
    import numpy as np

    from wgan.data.sample_formats import as_table

    yield source.describe()
    for note in source.notes:
        yield f"note: {note}"
    if source.conditions is not None:
        yield "conditions:"
        for place, condition in enumerate(source.conditions.parts):
            occurring = _occurring(source.conditions, place, is_finite=source.size is not None)
            yield f"  {_cell(condition.name):{_CELL_WIDTH}} {occurring}"
    elif source.offers:
        some = ", ".join(map(_cell, source.offers[:_MAX_OFFERS])) + (
            ", ..." if len(source.offers) > _MAX_OFFERS else ""
        )
        yield f"possible conditions (--condition): {some}"
    numbers = "number" if source.codec.layout.size == 1 else "numbers"
    yield f"one sample: {'×'.join(map(str, source.codec.layout.shape))} {numbers} as the networks see it"
    if isinstance(rows, np.ndarray) and rows.ndim == 4:
        pixels = rows.reshape(-1, rows.shape[-1])
        for channel in range(pixels.shape[1]):
            part = pixels[:, channel]
            ends = f"{part.min()} to {part.max()}"
            yield f"channel {channel + 1}: {ends}, mean {part.mean():.1f} (of {len(rows)} images drawn)"
        return
    yield f"\nof {len(rows):,} rows drawn:"
    table, written = as_table(rows), _written(source)
    for name in table.column_names:
        ends = _range_of(written[name], table[name]) if name in written else _range(table[name])
        yield f"  {_cell(name):{_CELL_WIDTH}} {ends}"
    yield f"\n{_NUM_SHOWN} of them:"
    yield "  " + "  ".join(_cell(name) for name in table.column_names)
    for row in table.slice(0, _NUM_SHOWN).to_pylist():
        yield "  " + "  ".join(_cell(value) for value in row.values())


def _occurring(conditions: Conditions, place: int, *, is_finite: bool) -> str:
    """The values of one condition in the training rows, with their counts if the rows can be counted."""
    import pyarrow as pa
    import torch

    from wgan.data.codes import ends_of, words_of
    from wgan.data.columns import Number

    part = conditions.parts[place]
    if isinstance(part, Number):
        return _range_of(part, pa.chunked_array([ends_of(part)]))
    words = words_of(part)
    counts = torch.zeros(len(words), dtype=torch.int64, device="cpu")
    counts.index_add_(0, conditions.codes[:, place].long(), conditions.counts)
    return _most_frequent(dict(zip(words, counts.tolist(), strict=True)), counted=is_finite)


def _range(column: pa.ChunkedArray) -> str:
    """The minimum and maximum of a column of numbers or dates; the most frequent values of any other."""
    import pyarrow as pa
    import pyarrow.compute as pc

    missing = f", {column.null_count:,} missing" if column.null_count else ""
    kind = column.type
    if pa.types.is_float16(kind):
        # Arrow cannot compare half floats.
        column = column.cast(pa.float32())
    if (
        pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_decimal(kind)
        or pa.types.is_temporal(kind)
    ):
        ends = pc.min_max(column).as_py()
        return f"{kind}: {_cell(ends['min'])} to {_cell(ends['max'])}{missing}"
    found = {entry["values"]: entry["counts"] for entry in column.drop_null().value_counts().to_pylist()}
    return f"{_most_frequent(found)}{missing}"


def _most_frequent(counts: Mapping[Any, int], *, counted: bool = True) -> str:
    """The number of categories, and the four most frequent ones."""
    first = sorted(counts, key=lambda value: -counts[value])[:4]
    named = ", ".join(f"{_cell(value)} ({counts[value]:,})" if counted else _cell(value) for value in first)
    more = f", and {len(counts) - 4} more" if len(counts) > 4 else ""
    return f"{len(counts):,} {'category' if len(counts) == 1 else 'categories'}: {named}{more}"


def _cell(value: object) -> str:
    # Adding zero turns -0.0 into 0.0.
    text = f"{value + 0.0:.4g}" if isinstance(value, float) else "" if value is None else str(value)
    text = text.replace("\n", "\\n")
    return text if len(text) <= _CELL_WIDTH else f"{text[: _CELL_WIDTH - 1]}…"


def _written(source: Source) -> dict[str, Number]:
    """Columns of numbers and dates that samples hold as formatted text, by name."""
    from wgan.data.columns import Number
    from wgan.data.tables.codec import TableCodec

    columns = source.codec.columns if isinstance(source.codec, TableCodec) else ()
    return {column.name: column for column in columns if isinstance(column, Number) and column.form is not None}


def _range_of(part: Number, column: pa.ChunkedArray) -> str:
    """The minimum and maximum of a column of numbers or dates, in the format of the data."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if part.form is None:
        return _range(column)
    values = pa.chunked_array([part.read(chunk) for chunk in column.chunks])
    missing = f", {values.null_count:,} missing" if values.null_count else ""
    ends = pc.min_max(values)
    low, high = part.form.write(pa.array([ends["min"].as_py(), ends["max"].as_py()], values.type)).to_pylist()
    return f"{part.type} as text: {_cell(low)} to {_cell(high)}{missing}"


def _draw(source: Source, rows: Decoded, out: Path) -> None:
    import numpy as np

    from wgan import figures
    from wgan.data.export import write_samples
    from wgan.data.sample_formats import as_table
    from wgan.system.storage import replace_file

    if isinstance(rows, np.ndarray) and rows.ndim == 4:
        write_samples(iter([rows]), len(rows), out, "images")
    elif isinstance(rows, np.ndarray) and rows.shape[1] == 2:
        write_samples(iter([rows]), len(rows), out, "points")
    else:
        table, written = as_table(rows), _written(source)
        columns = {
            name: (written[name].read(table[name].combine_chunks()) if name in written else table[name]).to_numpy(
                zero_copy_only=False
            )
            for name in table.column_names
        }
        replace_file(out, figures.png(figures.marginals(columns)))
