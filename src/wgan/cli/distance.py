"""`wgan distance`: the distances between two data sets."""

from __future__ import annotations

import contextlib
import json
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wgan.cli.distance_tables import Found, lines
from wgan.cli.options import Group, arg, parse, wants_help
from wgan.cli.streams import say
from wgan.errors import DataError
from wgan.settings import DataOptions, Settings, problems, refuse
from wgan.system.text import counted, escaped

if TYPE_CHECKING:
    from wgan.cli.inputs import Side
    from wgan.evaluation import Comparison


@dataclass(frozen=True, kw_only=True)
class DistanceOptions:
    """Options of `wgan distance`."""

    a: str = arg("A built-in name, a path of data, or a run directory, from which samples are drawn.")
    b: str = arg("The same. It is compared with A, in the units of A.")
    num: int = arg("Maximum number of samples on each side.", 2000)
    only: tuple[str, ...] = arg(
        "Compute only these distances (several with commas, or by repeating the option).",
        (),
    )
    permutations: int = arg("Random splits of the pooled samples for each p-value; 0 for no p-values.", 199)
    floor: bool = arg("Keep half of A for floors, the distances between its halves; otherwise compare all of A.", True)
    plan: Path | None = arg("File to draw the optimal plan of the exact W1 in, .png.", None)
    all_columns: bool = arg("Print every column, not only those that are furthest apart.", False)
    seed: int = arg("Seed of drawn samples, random splits and directions.", 0)
    json: bool = arg("Print one JSON object instead of tables.", False)


def _distance_names() -> str:
    """The names of all distances, for the help. Only the help needs this import of torch."""
    from wgan.evaluation import DISTANCES

    return ", ".join(DISTANCES)


def run(words: Sequence[str]) -> int:
    """Run `wgan distance`."""
    more = {"only": f"They are {_distance_names()}."} if wants_help(words) else {}
    groups = [
        Group(title="comparison", dataclass=DistanceOptions, positional={"a": "A", "b": "B"}, more=more),
        Group(title="data", dataclass=DataOptions, hidden=("held_out",)),
    ]
    description = (
        "Compare two data sets, or the samples of runs, by every distance: each with its floor between halves of A, a "
        "p-value if it has one, and its certificate."
    )
    options, reading = parse(words, groups, command="distance", description=description)
    _check(options)
    refuse(problems(Settings(seed=options.seed, input=reading)), noun="options")
    found = _compared(options, reading)
    if options.plan is not None:
        _draw(found, options.plan)
    if options.json:
        print(json.dumps(_facts(found, options)))
        return 0
    for line in lines(
        found,
        permutations=options.permutations,
        only=options.only,
        all_columns=options.all_columns,
        plan=options.plan,
    ):
        say(line)
    return 0


def _check(options: DistanceOptions) -> None:
    """Refuse unusable options before any data is read."""
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


def _compared(options: DistanceOptions, reading: DataOptions) -> Found:
    from wgan.cli.inputs import joined, open_sides
    from wgan.evaluation import chosen, compare, compare_columns, num_shared, refuse_too_many

    a, b = open_sides(options.a, options.b, reading, seed=options.seed)
    num_a, num_b = _sizes(options, a, b)
    names = chosen(_words(options), a.codec.layout.size)
    remedy = "Use a smaller --num, or choose distances with --only."
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
    return Found(
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
    """The numbers of samples of A and of B to compare.

    A floor is comparable only between sets of the same size, so with floors all three sets are equally large.
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
    """Shows the distance that is being computed, if standard error is a terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console

    with Console(stderr=True).status("") as status:
        yield lambda title: status.update(f"computing the {title}")


def _draw(found: Found, out: Path) -> None:
    from wgan import figures
    from wgan.system.storage import replace_file
    from wgan.transport import exact

    x, y = found.joint.x[: found.num], found.joint.y
    plan = next((row.plan for row in found.rows if row.name == "w1"), None) or exact(x, y).plan
    figure = figures.transport_plan(x, y, plan.rows.numpy(), plan.columns.numpy(), plan.masses.numpy())
    replace_file(out, figures.png(figure))


def _facts(found: Found, options: DistanceOptions) -> dict[str, Any]:
    """The result as plain JSON; infinity, which JSON lacks, is the text "inf"."""
    facts = {
        "a": options.a,
        "b": options.b,
        "kind": found.a.kind,
        "unit": found.joint.unit,
        "num_a": found.num,
        "num_b": len(found.joint.y),
        "num_dimensions": found.joint.x.shape[1],
        "shared": found.shared,
        "shared_by_halves": found.shared_by_halves,
        "permutations": options.permutations,
        "seed": options.seed,
        "distances": {row.name: _row_facts(row) for row in found.rows},
    }
    if found.joint.columns:
        facts["columns"] = [{key: _plain(value) for key, value in asdict(each).items()} for each in found.columns]
    if options.plan is not None:
        facts["plan"] = str(options.plan)
    return facts


def _row_facts(row: Comparison) -> dict[str, Any]:
    names = ("value", "floor", "unit", "p_value", "solver", "certificate", "seconds")
    facts = {name: _plain(getattr(row, name)) for name in names}
    return facts | {"proof": {name: _plain(value) for name, value in row.proof.items()}}


def _plain(value: Any) -> Any:  # noqa: ANN401 - any value of a result
    return "inf" if isinstance(value, float) and math.isinf(value) else value
