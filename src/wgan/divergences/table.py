"""The table of f-divergences, by word.

Published tables of these rows name no domains, exchange the integrals of Pearson and Neyman, or give total variation a
conjugate that is no bound; here every formula holds on u >= 0 and is compared with a numeric supremum by the tests.
"""

from __future__ import annotations

import math

from wgan.divergences import logarithms, powers
from wgan.divergences.divergence import Divergence
from wgan.settings.registry import Registry

DIVERGENCES: Registry[Divergence] = Registry("divergence", {row.name: row for row in (*logarithms.ROWS, *powers.ROWS)})
"""Word to row; a row's parameters follow its word: "weighted_jensen_shannon:pi=0.3"."""


def as_divergence(kind: Divergence | str) -> Divergence:
    """A row of the table: itself, or by its word.

    Raises:
        UsageError: An unknown word or parameter.
    """
    return kind if isinstance(kind, Divergence) else DIVERGENCES.build(kind)


COLUMNS = ("word", "f(u)", "f*(t)", "domain of f*", "f'(1)", "f''(1)", "disjoint")
"""What `listing` says of each row; the last is its value on disjoint supports."""


def listing() -> list[tuple[str, ...]]:
    """The table for a reader: for each row, its parameters at their defaults, the cells that `COLUMNS` names."""
    cells = []
    for row in map(DIVERGENCES.build, DIVERGENCES):
        numbers = (_spell(value) for value in (row.threshold, row.curvature, row.disjoint))
        cells.append((row.word, row.f_text, row.conjugate_text, row.domain.text, *numbers))
    return cells


def _spell(value: float | None) -> str:
    if value is None:
        return "kink"
    return "∞" if value == math.inf else f"{value:.4g}".replace("-", "−")
