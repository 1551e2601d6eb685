"""`wgan divergences`: the table of f-divergences."""

from __future__ import annotations

import json
import math
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from wgan.cli.main import say
from wgan.cli.options import Group, parse

if TYPE_CHECKING:
    from wgan.divergences import Divergence

_WIDEST = 24
"""Longer formulas go on in the next line, so that the table fits into 120 columns."""

_NOTES = """
f* is +∞ outside its domain. f'(1) is the threshold of t between real and fake. Near P = Q each row rises by
f''(1)/2 times χ²; the last column is its value on disjoint supports. Parameters are shown at their defaults:
weighted_jensen_shannon:pi=0.3 names another row. jensen_shannon is twice the usual JS; weighted_jensen_shannon
at pi=0.5 is the usual one."""


@dataclass(frozen=True, kw_only=True)
class DivergencesOptions:
    """Options of `wgan divergences`.

    Attributes:
        json: Print one JSON list instead of a table.
    """

    json: bool = False


def run(words: Sequence[str]) -> int:
    """Answer `wgan divergences`."""
    group = Group(title="display", kind=DivergencesOptions)
    description = "List the f-divergences: f, its conjugate f* and where that is finite, and the threshold f'(1)."
    (options,) = parse(words, [group], command="divergences", description=description)
    from wgan.divergences import DIVERGENCES
    from wgan.divergences.table import COLUMNS, listing

    if options.json:
        print(json.dumps([_facts(DIVERGENCES.build(name)) for name in DIVERGENCES]))
        return 0
    say("D(P‖Q) = ∫ q f(p/q), P the data, Q the model, natural logarithms; f*(t) = sup over u ≥ 0 of t u − f(u)\n")
    for line in _table([COLUMNS, *listing()]):
        say(line)
    say(_NOTES)
    return 0


def _table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """The rows as lines of columns; what is too long for its cell goes on below."""
    wrapped = [[_wrapped(cell) for cell in row] for row in rows]
    widths = [max(len(line) for cell in column for line in cell) for column in zip(*wrapped, strict=True)]
    for row in wrapped:
        for number in range(max(map(len, row))):
            cells = [cell[number] if number < len(cell) else "" for cell in row]
            yield "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()


def _wrapped(cell: str) -> list[str]:
    if len(cell) <= _WIDEST:
        return [cell]
    return textwrap.wrap(cell.replace(":", ": "), _WIDEST, break_long_words=False, break_on_hyphens=False)


def _facts(row: Divergence) -> dict[str, Any]:
    """What JSON says of a row; infinity, which JSON does not know, is the text "inf"."""
    domain = asdict(row.domain) | {"upper": _number(row.domain.upper)}
    return {
        "name": row.name,
        "parameters": asdict(row),  # type: ignore[call-overload]
        "f": row.f_text,
        "conjugate": row.conjugate_text,
        "domain": domain,
        "threshold": row.threshold,
        "curvature": row.curvature,
        "disjoint": _number(row.disjoint),
    }


def _number(value: float) -> float | str:
    return "inf" if value == math.inf else value
