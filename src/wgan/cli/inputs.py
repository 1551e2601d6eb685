"""The two sides of a comparison: data or a run's samples, read alike and drawn as rows that have not been encoded."""

from __future__ import annotations

import dataclasses
import re
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wgan.data.applying import DESCRIBED, ENCODED_IMAGES, PIXELS, POINTS, SAMPLER, check_applies, of_table
from wgan.data.names import format_of, kind_of
from wgan.errors import DataError, DataWarning
from wgan.settings import DataOptions
from wgan.system.text import escaped

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from wgan.data.source import Codec, Kind
    from wgan.evaluation import Joint

_NOTHING_HELD_OUT = re.compile(r"[;,] (?:[\d,]+ to train on, )?0 held out$")


@dataclass(frozen=True, kw_only=True)
class Side:
    """One of the two sets.

    Attributes:
        name: As the user called it.
        kind: What its rows are.
        described: What was found, in a line.
        notes: What its reader has to say.
        is_run: Whether its rows are samples of a run.
        codec: The preprocessing that training on it would use; a run's own.
        size: Rows that there are; None where as many can be drawn as are wanted.
        draw: Draws so many, none of them twice: an array (points in their own dtype, images as bytes of shape
            (N, height, width, channels)), or the rows of a table in plain form.
    """

    name: str
    kind: Kind
    described: str
    notes: tuple[str, ...]
    is_run: bool = False
    codec: Codec
    size: int | None
    draw: Callable[[int], Any]


def open_sides(a: str, b: str, options: DataOptions, *, seed: int) -> tuple[Side, Side]:
    """Open both sides.

    Args:
        a: The first: a built-in name, a path of data, or the directory of a run.
        b: The second.
        options: How data is read; each applies to the sides that it means something for.
        seed: Of the rows that are drawn.

    Raises:
        UsageError: A path that is not there, or an option that means nothing for either.
        DataError: Data that cannot be read, or that cannot be compared with the other.
        CheckpointError: A run that cannot be loaded.
    """
    known = [_applicable(data) for data in (a, b)]
    check_applies(options, known[0] | known[1], f"{escaped(a)} and {escaped(b)}")
    sides = []
    for letter, data, applicable in zip("AB", (a, b), known, strict=True):
        # The seed of a side is its own: the same data twice is drawn twice.
        own = _Reader(data=data, options=_restricted(options, applicable), purpose=f"rows of {letter}", seed=seed)
        with warnings.catch_warnings():
            # A column that never changes is compared like any other, whatever is said of learning it.
            warnings.filterwarnings("ignore", message=".*constant columns", category=DataWarning)
            sides.append(own.open())
    first, second = sides
    if first.kind != second.kind:
        what = {"points": "points", "table": "a table", "images": "images"}
        raise DataError(
            f"A ({escaped(a)}) holds {what[first.kind]} and B ({escaped(b)}) {what[second.kind]}",
            remedy="Compare two of one kind: a table of numbers is read as points from an .npy.",
        )
    return first, second


def joined(a: Side, b: Side, num_a: int, num_b: int) -> Joint:
    """Draw rows from both sides and bring them into one space.

    Raises:
        DataError: Other columns, dimensions or sizes of images.
    """
    from wgan.data.points import PointsCodec
    from wgan.data.tables.codec import TableCodec
    from wgan.evaluation import TableRows, join_images, join_points, join_tables

    x, y = a.draw(num_a), b.draw(num_b)
    if isinstance(a.codec, TableCodec) and isinstance(b.codec, TableCodec):
        return join_tables(
            TableRows(columns=a.codec.columns, arrays=tuple(x)), TableRows(columns=b.codec.columns, arrays=tuple(y))
        )
    if isinstance(a.codec, PointsCodec):
        return join_points(x, y, a.codec)
    _refuse_ranges(a, b)
    return join_images(x, y)


def _refuse_ranges(a: Side, b: Side) -> None:
    """Refuse to compare images of one kind of number of which black and white are other values on either side.

    Raises:
        DataError: They are.
    """
    from wgan.data.images import ImageCodec

    codecs = [side.codec for side in (a, b) if isinstance(side.codec, ImageCodec)]
    ranges = [(codec.low, codec.high) for codec in codecs]
    stretched = [codec.is_stretched for codec in codecs]
    if not any(stretched) or len(set(ranges)) == 1 or len({codec.dtype.kind for codec in codecs}) == 2:
        return
    low, high = ranges[stretched.index(True)]
    seen = " and ".join(f"{name} from {low:.6g} to {high:.6g}" for name, (low, high) in zip("AB", ranges, strict=True))
    raise DataError(f"pixels go in {seen}", remedy=f"Read the data with --range {low:.6g} {high:.6g}.")


def _is_run(data: str) -> bool:
    from wgan.data.names import BUILT_IN

    root = Path(data)
    return data not in BUILT_IN and (root / "source.json").is_file() and (root / "settings.toml").is_file()


def _applicable(data: str) -> frozenset[str]:
    """The options that mean something for what was named: conditions play no part in a comparison."""
    if _is_run(data):
        return frozenset()
    form, kind = format_of(data), kind_of(data)
    if form == "built-in":
        readable = SAMPLER if kind == "points" else PIXELS
    elif form == "array":
        readable = POINTS if kind == "points" else PIXELS
    elif form == "table":
        readable = of_table(Path(data))
    else:
        readable = ENCODED_IMAGES
    return readable - DESCRIBED


def _restricted(options: DataOptions, applicable: frozenset[str]) -> DataOptions:
    """The options with those that mean nothing at their defaults, and where rows may be held out, none that are."""
    plain = DataOptions()
    kept = {name: getattr(options, name) for name in applicable}
    return dataclasses.replace(plain, **(kept | ({"held_out": 0.0} if "held_out" in applicable else {})))


@dataclass(frozen=True, kw_only=True)
class _Reader:
    """How one side is read.

    Attributes:
        data: As the user called it.
        options: Those that mean something for it.
        purpose: What is drawn from it, as the random streams call it.
        seed: Of all streams.
    """

    data: str
    options: DataOptions
    purpose: str
    seed: int

    def open(self) -> Side:
        """Open it by the reader that it belongs to."""
        if _is_run(self.data):
            return self._run()
        form = format_of(self.data)
        if form == "table":
            return self._table()
        if form == "array" and kind_of(self.data) == "points":
            return self._points()
        return self._source()

    def rng(self) -> torch.Generator:
        """What decides which rows are drawn."""
        from wgan.randomness import Randomness

        return Randomness(self.seed).at(self.purpose)

    def numbers(self, size: int, num: int) -> NDArray[np.int64]:
        """Numbers of `num` rows of `size`, none twice."""
        import torch

        drawn: NDArray[np.int64] = torch.randperm(size, generator=self.rng(), device="cpu")[:num].numpy()
        return drawn

    def _run(self) -> Side:
        import pyarrow as pa

        from wgan.data.columns import Number
        from wgan.data.columns.types import to_plain
        from wgan.data.tables.codec import TableCodec
        from wgan.randomness import Randomness
        from wgan.runs import load

        trained = load(Path(self.data))
        if trained.doubt:
            print(f"wgan: warning: {escaped(trained.doubt)}", file=sys.stderr)

        columns = trained.codec.columns if isinstance(trained.codec, TableCodec) else ()
        parts = trained.conditions.parts if trained.conditions is not None else ()
        written = {column.name: column for column in (*columns, *parts) if isinstance(column, Number)}

        def read(name: str, chunk: pa.Array) -> pa.Array:
            return written[name].read(chunk) if name in written else chunk

        def draw(num: int) -> Any:  # noqa: ANN401 - as `Side.draw` says
            rows = trained.sample(num, Randomness(self.seed).key(self.purpose))
            if not isinstance(rows, pa.Table):
                return rows
            chunked = {name: rows[name].chunks for name in rows.column_names}
            return [pa.concat_arrays([to_plain(read(name, chunk)) for chunk in chunked[name]]) for name in chunked]

        what = {"points": "points", "table": "rows", "images": "images"}[trained.codec.kind]
        return Side(
            name=self.data,
            kind=trained.codec.kind,
            described=f"{what} that the run {self.data} makes at step {trained.step:,}",
            notes=(),
            is_run=True,
            codec=trained.codec,
            size=None,
            draw=draw,
        )

    def _table(self) -> Side:
        import pyarrow as pa

        from wgan.data.tables.detecting import detect
        from wgan.data.tables.reading import read_table

        path, name = Path(self.data), escaped(self.data)
        found = detect(read_table(path, name=name, header=self.options.header), self.options)
        size, columns = len(found.arrays[0]), len(found.arrays)

        def draw(num: int) -> list[pa.Array]:
            numbers = pa.array(self.numbers(size, num))
            return [array.take(numbers) for array in found.arrays]

        return Side(
            name=self.data,
            kind="table",
            described=f"table {name}: {size:,} rows, {columns:,} column{'s' if columns != 1 else ''}",
            notes=found.notes,
            codec=found.codec,
            size=size,
            draw=draw,
        )

    def _points(self) -> Side:
        from wgan.data.arrays import open_array, read_array_file

        name = escaped(self.data)
        read = read_array_file(Path(self.data), name=name)
        # What cannot be compared is refused where training on it would be.
        source = open_array(read.array, self.options, name=name, seed=self.seed, labels_name=read.labels_name)
        array = read.array.reshape(len(read.array), -1)
        usable = np.flatnonzero(np.isfinite(array).all(axis=1)) if array.dtype.kind == "f" else np.arange(len(array))
        dropped = len(array) - len(usable)
        rows = "1 row" if dropped == 1 else f"{dropped:,} rows"
        notes = (f"{rows} with NaN or infinite values left out",) if dropped else ()
        return Side(
            name=self.data,
            kind="points",
            described=_NOTHING_HELD_OUT.sub("", source.describe()),
            notes=read.notes + notes,
            codec=source.codec,
            size=len(usable),
            draw=lambda num: array[usable[self.numbers(len(usable), num)]],
        )

    def _source(self) -> Side:
        from wgan.data import open_data

        source = open_data(self.data, self.options, seed=self.seed)
        return Side(
            name=self.data,
            kind=source.codec.kind,
            described=_NOTHING_HELD_OUT.sub("", source.describe()),
            notes=source.notes,
            codec=source.codec,
            size=source.size,
            draw=lambda num: source.codec.decode(source.distinct(num, self.rng())),
        )
