"""`wgan distance`: how far apart two sets of samples are, by every distance there is."""

from __future__ import annotations

import contextlib
import json
import math
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wgan.cli.main import say
from wgan.cli.options import Group, parse
from wgan.cli.tables import WIDTH, plain_table, quantile_table, rendered, shortened, shown
from wgan.errors import DataError
from wgan.settings import DataOptions, Settings, problems, refuse
from wgan.system.text import counted, escaped, shown_p

if TYPE_CHECKING:
    from rich.table import Table

    from wgan.cli.inputs import Side
    from wgan.evaluation import ColumnDistance, Comparison, Joint

_NUM_COLUMNS = 10


@dataclass(frozen=True, kw_only=True)
class DistanceOptions:
    """Options of `wgan distance`.

    Attributes:
        a: A built-in name, a path of data, or the directory of a run, whose samples are then drawn.
        b: The same; compared with A in the units of A.
        num: Samples to compare on each side, at most.
        only: Leave out all other distances: w1, w2, sliced_w1, sinkhorn, gaussian_w2, mmd, energy, total_variation or
            js; may be given several times, or several words joined by commas.
        permutations: Random splits of the pooled samples behind each p-value; 0 for no p-values.
        floor: Keep half of A for the floors, which are between the two halves; without, all of A is compared.
        plan: File ending in .png to draw the optimal plan of the exact W1 in.
        all_columns: Print every column, not only those that are furthest apart.
        seed: Of the samples that are drawn, and of random splits and directions.
        json: Print one JSON object instead of tables.
    """

    a: str
    b: str
    num: int = 2000
    only: tuple[str, ...] = ()
    permutations: int = 199
    floor: bool = True
    plan: Path | None = None
    all_columns: bool = False
    seed: int = 0
    json: bool = False


@dataclass(frozen=True, kw_only=True)
class _Found:
    """All that there is to be shown.

    Attributes:
        options: As they were given.
        a: The first side.
        b: The second.
        joint: The samples in one space: those of A that are compared, then its other half.
        num: Samples of A that are compared.
        shared: How many of them are also in B.
        shared_by_halves: How many of them are also in the other half of A; None where there is none.
        rows: The distances.
        columns: Each column by itself: of tables, and of points of a few coordinates.
    """

    options: DistanceOptions
    a: Side
    b: Side
    joint: Joint
    num: int
    shared: int
    shared_by_halves: int | None
    rows: tuple[Comparison, ...]
    columns: tuple[ColumnDistance, ...]


def run(words: Sequence[str]) -> int:
    """Answer `wgan distance`."""
    groups = [
        Group(title="comparison", kind=DistanceOptions, positional={"a": "A", "b": "B"}),
        Group(title="data", kind=DataOptions, hidden=("held_out",)),
    ]
    description = (
        "Compare two sets of samples by every distance there is: each with its floor between halves of A, a p-value "
        "where there is one, and what proves it."
    )
    options, reading = parse(words, groups, command="distance", description=description)
    _check(options)
    refuse(problems(Settings(seed=options.seed, input=reading)), noun="options")
    found = _compared(options, reading)
    if options.plan is not None:
        _draw(found, options.plan)
    if options.json:
        print(json.dumps(_facts(found)))
        return 0
    for line in _lines(found):
        say(line)
    return 0


def _check(options: DistanceOptions) -> None:
    """Refuse what cannot be used before any data is read."""
    from wgan.data.export import check_target
    from wgan.evaluation import chosen

    faults = [f"--num must be at least 2, not {options.num}"] if options.num < 2 else []
    if options.permutations < 0:
        faults.append(f"--permutations must be at least 0, not {options.permutations}")
    if options.plan is not None and options.plan.suffix.lower() != ".png":
        faults.append(f"--plan {options.plan} does not end in .png")
    refuse(faults, noun="options")
    chosen(_words(options), 1)
    if options.plan is not None:
        check_target(options.plan, "points")


def _words(options: DistanceOptions) -> list[str]:
    return [word.strip() for part in options.only for word in part.split(",") if word.strip()]


def _compared(options: DistanceOptions, reading: DataOptions) -> _Found:
    from wgan.cli.inputs import joined, open_sides
    from wgan.evaluation import chosen, compare, compare_columns, num_shared, refuse_too_many

    a, b = open_sides(options.a, options.b, reading, seed=options.seed)
    num_a, num_b = _sizes(options, a, b)
    names = chosen(_words(options), a.codec.layout.size)
    remedy = "Use a smaller --num, or name the distances that you want by --only."
    drawn = 2 * num_a if options.floor else num_a
    refuse_too_many(num_a, num_b, names, num_dimensions=a.codec.layout.size, remedy=remedy)
    joint = joined(a, b, drawn, num_b)
    x, other = joint.x[:num_a], joint.x[num_a:] if options.floor else None
    with _status() as progress:
        rows = compare(
            x,
            joint.y,
            other=other,
            only=names,
            num_permutations=options.permutations,
            seed=options.seed,
            progress=progress,
        )
    return _Found(
        options=options,
        a=a,
        b=b,
        joint=joint,
        num=num_a,
        shared=num_shared(x, joint.y),
        shared_by_halves=None if other is None else num_shared(x, other),
        rows=rows,
        columns=compare_columns(joint.columns, num_a, with_floor=options.floor),
    )


def _sizes(options: DistanceOptions, a: Side, b: Side) -> tuple[int, int]:
    """How many samples of A and of B are compared.

    A floor is worth something only between sets of the sizes that are compared: with floors, all three are equal.
    """
    num_a, num_b = (options.num if side.size is None else min(options.num, side.size) for side in (a, b))
    if not options.floor:
        return num_a, num_b
    num = min(num_b, options.num if a.size is None else min(options.num, a.size // 2))
    if num < 2:
        raise DataError(
            f"A ({escaped(a.name)}) has {counted(a.size or 0, 'row')}, too few for two halves of at least 2",
            remedy="Use --no-floor to compare all of them without a floor, or exchange A and B.",
        )
    return num, num


@contextlib.contextmanager
def _status() -> Iterator[Callable[[str], None] | None]:
    """What is being measured, shown on standard error where that is a terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console

    with Console(stderr=True).status("") as status:
        yield lambda title: status.update(f"measuring the {title}")


def _draw(found: _Found, out: Path) -> None:
    from wgan import figures
    from wgan.system.storage import replace_file
    from wgan.transport import exact

    x, y = found.joint.x[: found.num], found.joint.y
    plan = next((row.plan for row in found.rows if row.name == "w1"), None) or exact(x, y).plan
    figure = figures.transport_plan(x, y, plan.rows.numpy(), plan.columns.numpy(), plan.masses.numpy())
    replace_file(out, figures.png(figure))


def _lines(found: _Found) -> Iterator[str]:
    """What a person reads."""
    options = found.options
    for letter, side in (("A", found.a), ("B", found.b)):
        for line in (f"{letter}: {side.described}", *(f"   note: {note}" for note in side.notes)):
            yield from textwrap.wrap(line, WIDTH, subsequent_indent="   ", break_on_hyphens=False)
    yield ""
    num_b = len(found.joint.y)
    sizes = f"{found.num:,} samples of each" if found.num == num_b else f"{found.num:,} samples of A, {num_b:,} of B"
    halves = f"; floor: the same between two sets of {found.num:,} from A" if options.floor else ""
    yield f"{sizes}{halves}."
    yield f"One unit: {found.joint.unit}."
    if options.permutations and any(row.p_value is not None for row in found.rows):
        yield f"p: the share of {options.permutations:,} random splits that are at least as far apart."
    yield ""
    yield from rendered(_distances_table(found))
    if found.columns:
        if any(column.ks is not None for column in found.columns):
            yield ""
            yield "KS: the largest difference of the two distribution functions; p: right where rows are independent."
        yield ""
        yield from rendered(_columns_table(found))
        yield from _quantile_lines(found)
        left = len(found.columns) - _NUM_COLUMNS
        if left > 0 and not options.all_columns:
            yield f"{left:,} more columns are nearer: --all-columns"
    yield ""
    if found.shared:
        also = "" if found.shared_by_halves is None else f"; in the other half of A, {found.shared_by_halves:,}"
        yield f"note: {found.shared:,} of the {found.num:,} samples of A are also in B{also}"
    if not options.only and all(row.name != "gaussian_w2" for row in found.rows):
        size = found.joint.x.shape[1]
        yield f"note: Gaussian W2 in {size:,} dimensions takes minutes, and is measured if asked: --only gaussian_w2"
    if options.floor and found.a.is_run and not found.b.is_run:
        yield "note: these floors are between samples of the run; exchange A and B for those of the data"
    if options.plan is not None:
        yield f"plan: {options.plan}"


def _distances_table(found: _Found) -> Table:
    table = plain_table()
    for title in ("distance", "value", "floor", "p", "unit", "seconds", "solver; certificate"):
        is_text = title in ("distance", "unit", "solver; certificate")
        table.add_column(title, justify="left" if is_text else "right", no_wrap=title != "solver; certificate")
    for row in found.rows:
        p_value = "–" if row.p_value is None else f"{row.p_value:.3g}"
        cells = (row.title, shown(row.value), shown(row.floor), p_value, row.unit, f"{row.seconds:.1f}")
        table.add_row(*map(escaped, cells), f"{row.solver}; {row.certificate}")
    return table


def _columns_table(found: _Found) -> Table:
    listed = _listed(found)
    is_missing = any(any(column.missing) for column in listed)
    table = plain_table()
    titles = ["column by itself", "", "value", "floor", "in std. dev.", "KS", "its floor", "p"]
    titles += ["missing in A, B"] if is_missing else []
    for place, title in enumerate(titles):
        table.add_column(title, justify="left" if place < 2 else "right", no_wrap=True)
    for column in listed:
        values = [shown(value) for value in (column.value, column.floor)]
        values[0] += f" {column.unit}" if column.unit else ""
        deviations = shown(column.deviations) if column.distance == "W1" and column.value is not None else "–"
        test = ["–" if value is None else f"{value:.2g}" for value in (column.ks, column.ks_floor)]
        test.append("–" if column.p_value is None else shown_p(column.p_value))
        gaps = [" ".join(f"{100 * share:.1f} %" for share in column.missing)] if is_missing else []
        table.add_row(shortened(column.name), column.distance, *values, deviations, *test, *gaps)
    return table


def _listed(found: _Found) -> Sequence[ColumnDistance]:
    return found.columns if found.options.all_columns else found.columns[:_NUM_COLUMNS]


def _quantile_lines(found: _Found) -> Iterator[str]:
    """The quantiles of the columns of numbers, those of A above those of B."""
    from wgan.evaluation import Marginal

    known = [
        Marginal(
            name=column.name,
            ks=column.ks,
            p_value=1.0 if column.p_value is None else column.p_value,
            levels=column.levels,
            first=column.quantiles[0],
            second=column.quantiles[1],
        )
        for column in _listed(found)
        if column.ks is not None
    ]
    if known:
        yield ""
        yield from rendered(quantile_table(known, ("A", "B")))


def _facts(found: _Found) -> dict[str, Any]:
    """What JSON says: infinity, which JSON does not know, is the text "inf"."""
    facts = {
        "a": found.options.a,
        "b": found.options.b,
        "kind": found.a.kind,
        "unit": found.joint.unit,
        "num_a": found.num,
        "num_b": len(found.joint.y),
        "num_dimensions": found.joint.x.shape[1],
        "shared": found.shared,
        "shared_by_halves": found.shared_by_halves,
        "permutations": found.options.permutations,
        "seed": found.options.seed,
        "distances": {row.name: _row_facts(row) for row in found.rows},
    }
    if found.joint.columns:
        facts["columns"] = [{key: _plain(value) for key, value in asdict(each).items()} for each in found.columns]
    if found.options.plan is not None:
        facts["plan"] = str(found.options.plan)
    return facts


def _row_facts(row: Comparison) -> dict[str, Any]:
    names = ("value", "floor", "unit", "p_value", "solver", "certificate", "seconds")
    facts = {name: _plain(getattr(row, name)) for name in names}
    return facts | {"proof": {name: _plain(value) for name, value in row.proof.items()}}


def _plain(value: Any) -> Any:  # noqa: ANN401 - any value of a result
    return "inf" if isinstance(value, float) and math.isinf(value) else value
