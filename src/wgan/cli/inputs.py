"""The two sides of `wgan distance`: data or samples of a run, as rows that are not encoded for a network."""

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

from wgan.data.names import format_of, kind_of
from wgan.data.options import CONDITIONS, applicable_to, check_applies
from wgan.errors import DataError, DataWarning
from wgan.settings import DataOptions
from wgan.system.text import counted, escaped, split_lists

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from wgan.data.source import Codec, Kind
    from wgan.evaluation import Joint

_NOTHING_HELD_OUT = re.compile(r"[;,] (?:[\d,]+ to train on, )?0 held out$")


@dataclass(frozen=True, kw_only=True)
class Side:
    """One of the two data sets.

    Attributes:
        name: Its name on the command line.
        kind: The kind of its rows.
        described: A line about it.
        notes: Notes of its reader.
        is_run: Whether its rows are samples of a run.
        codec: The preprocessing of the run, or the one that training on the data would use.
        size: The number of rows; None if any number can be drawn.
        draw: Draws this many distinct rows: an array (points in their own dtype, images as bytes of shape
            (N, height, width, channels)), or `TableRows`.
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
        a: A built-in name, a path of data, or a run directory.
        b: The same.
        options: How data is read. Each option is used for the sides that it applies to.
        seed: Seed of the rows that are drawn.

    Raises:
        UsageError: A path that does not exist, or an option that applies to neither side.
        DataError: Data that cannot be read, or not be compared with the other side.
        CheckpointError: A run that cannot be loaded.
    """
    # Conditions are not used here: all columns are compared.
    known = [frozenset({"ignore"}) if _is_run(data) else applicable_to(data) - CONDITIONS for data in (a, b)]
    check_applies(options, known[0] | known[1], f"{escaped(a)} and {escaped(b)}")
    sides = []
    for letter, data, applicable in zip("AB", (a, b), known, strict=True):
        # Each side has its own random stream: the same data on both sides gives different rows.
        own = _Reader(data=data, options=_restricted(options, applicable), purpose=f"rows of {letter}", seed=seed)
        with warnings.catch_warnings():
            # Constant columns are compared like others, although they cannot be learnt.
            warnings.filterwarnings("ignore", message=".*constant columns", category=DataWarning)
            sides.append(own.open())
    first, second = sides
    if first.kind != second.kind:
        what = {"points": "points", "table": "a table", "images": "images"}
        raise DataError(
            f"A ({escaped(a)}) holds {what[first.kind]} and B ({escaped(b)}) {what[second.kind]}",
            remedy="Compare data of the same kind. A table of numbers can be saved as points, in an .npy.",
        )
    return first, second


def joined(a: Side, b: Side, num_a: int, num_b: int) -> Joint:
    """Draw rows from both sides and bring them into one space.

    Raises:
        DataError: The columns, dimensions or image sizes differ.
    """
    from wgan.data.points import PointsCodec
    from wgan.evaluation import TableRows, join_images, join_points, join_tables

    x, y = a.draw(num_a), b.draw(num_b)
    if isinstance(x, TableRows):
        return join_tables(x, y)
    if isinstance(a.codec, PointsCodec):
        return join_points(x, y, a.codec)
    _refuse_ranges(a, b)
    return join_images(x, y)


def _refuse_ranges(a: Side, b: Side) -> None:
    """Refuse images of one kind of number whose black and white are different values on the two sides.

    Raises:
        DataError: They are different.
    """
    from wgan.data.images import ImageCodec

    codecs = [side.codec for side in (a, b) if isinstance(side.codec, ImageCodec)]
    ranges = [(codec.low, codec.high) for codec in codecs]
    stretched = [codec.is_stretched for codec in codecs]
    if not any(stretched) or len(set(ranges)) == 1 or len({codec.dtype.kind for codec in codecs}) == 2:
        return
    low, high = ranges[stretched.index(True)]
    seen = " and ".join(f"{name} from {low:.6g} to {high:.6g}" for name, (low, high) in zip("AB", ranges, strict=True))
    raise DataError(f"pixel values range in {seen}", remedy=f"Read the data with --range {low:.6g} {high:.6g}.")


def _is_run(data: str) -> bool:
    from wgan.data.names import BUILT_IN

    root = Path(data)
    return data not in BUILT_IN and (root / "source.json").is_file() and (root / "settings.toml").is_file()


def _restricted(options: DataOptions, applicable: frozenset[str]) -> DataOptions:
    """The options that apply, others at their defaults, and no rows held out."""
    plain = DataOptions()
    kept = {name: getattr(options, name) for name in applicable}
    return dataclasses.replace(plain, **(kept | ({"held_out": 0.0} if "held_out" in applicable else {})))


@dataclass(frozen=True, kw_only=True)
class _Reader:
    """Reads one side.

    Attributes:
        data: Its name on the command line.
        options: The options that apply to it.
        purpose: The purpose of its random stream.
        seed: The seed of its random stream.
    """

    data: str
    options: DataOptions
    purpose: str
    seed: int

    def open(self) -> Side:
        """Open the side."""
        if _is_run(self.data):
            return self._run()
        form = format_of(self.data)
        if form == "table":
            return self._table()
        if form == "array" and kind_of(self.data) == "points":
            return self._points()
        return self._source()

    def rng(self) -> torch.Generator:
        """The generator that chooses the rows."""
        from wgan.randomness import Randomness

        return Randomness(self.seed).at(self.purpose)

    def numbers(self, size: int, num: int) -> NDArray[np.int64]:
        """The numbers of `num` distinct rows of `size`, shape (num,)."""
        import torch

        drawn: NDArray[np.int64] = torch.randperm(size, generator=self.rng(), device="cpu")[:num].numpy()
        return drawn

    def _run(self) -> Side:
        import pyarrow as pa

        from wgan.data.columns import Number
        from wgan.data.columns.types import to_plain
        from wgan.data.tables.codec import TableCodec
        from wgan.data.texts import Text
        from wgan.evaluation import TableRows
        from wgan.randomness import Randomness
        from wgan.runs import load

        trained = load(Path(self.data))
        if trained.doubt:
            print(f"wgan: warning: {escaped(trained.doubt)}", file=sys.stderr)

        generated = trained.codec.columns if isinstance(trained.codec, TableCodec) else ()
        check_applies(self.options, frozenset({"ignore"} if generated else ()), f"the run {escaped(self.data)}")
        parts = trained.conditions.parts if trained.conditions is not None else ()
        # The conditions of a table are columns of its samples. Text has no distance, and is left out.
        columns = {column.name: column for column in (*generated, *parts) if not isinstance(column, Text)}
        ignored = split_lists(self.options.ignore, columns)

        def read(name: str, chunk: pa.Array) -> pa.Array:
            column = columns[name]
            return to_plain(column.read(chunk) if isinstance(column, Number) else chunk)

        def draw(num: int) -> Any:  # noqa: ANN401 - as `Side.draw` says
            rows = trained.sample(num, Randomness(self.seed).key(self.purpose))
            if not isinstance(rows, pa.Table):
                return rows
            names = [name for name in rows.column_names if name in columns and name not in ignored]
            return TableRows(
                columns=tuple(columns[name] for name in names),
                arrays=tuple(pa.concat_arrays([read(name, chunk) for chunk in rows[name].chunks]) for name in names),
            )

        what = {"points": "points", "table": "rows", "images": "images"}[trained.codec.kind]
        return Side(
            name=self.data,
            kind=trained.codec.kind,
            described=f"{what} sampled from the run {self.data} at step {trained.step:,}",
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
        from wgan.evaluation import TableRows

        path, name = Path(self.data), escaped(self.data)
        found = detect(read_table(path, name=name, header=self.options.header), self.options)
        size, columns = len(found.arrays[0]), len(found.arrays)

        def draw(num: int) -> TableRows:
            numbers = pa.array(self.numbers(size, num))
            return TableRows(columns=found.codec.columns, arrays=tuple(array.take(numbers) for array in found.arrays))

        return Side(
            name=self.data,
            kind="table",
            described=f"table {name}: {size:,} rows, {counted(columns, 'column')}",
            notes=found.notes,
            codec=found.codec,
            size=size,
            draw=draw,
        )

    def _points(self) -> Side:
        from wgan.data.array_files import read_array_file
        from wgan.data.arrays import open_array

        name = escaped(self.data)
        read = read_array_file(Path(self.data), name=name)
        # Data that cannot be trained on is refused here too.
        source = open_array(read.array, self.options, name=name, seed=self.seed, labels_name=read.labels_name)
        array = read.array.reshape(len(read.array), -1)
        usable = np.flatnonzero(np.isfinite(array).all(axis=1)) if array.dtype.kind == "f" else np.arange(len(array))
        dropped = len(array) - len(usable)
        notes = (f"{counted(dropped, 'row')} with NaN or infinite values left out",) if dropped else ()
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
