"""The table of f-divergences by name.

To add one, see `wgan.divergences.logarithms` and `wgan.divergences.powers`.

Published tables omit the domains, exchange the integrals of Pearson and Neyman, or give total variation a conjugate
that is not a bound. Here every formula holds for u >= 0, and tests compare it with a numeric supremum.
"""

from __future__ import annotations

import math

from wgan.divergences import logarithms, powers
from wgan.divergences.base import Divergence
from wgan.settings.registry import Registry

DIVERGENCES: Registry[Divergence] = Registry("divergence", {row.name: row for row in (*logarithms.ROWS, *powers.ROWS)})
"""Name to class. Parameters follow the name: "weighted_jensen_shannon:pi=0.3"."""


def as_divergence(kind: Divergence | str) -> Divergence:
    """A divergence, given as itself or by its name with parameters.

    Raises:
        UsageError: An unknown name or parameter.
    """
    return kind if isinstance(kind, Divergence) else DIVERGENCES.build(kind)


COLUMNS = ("word", "f(u)", "f*(t)", "domain of f*", "f'(1)", "f''(1)", "disjoint")
"""The columns of `listing`; the last is the value on disjoint supports."""


def listing() -> list[tuple[str, ...]]:
    """The table as text: a row of cells for each divergence, with parameters at their defaults."""
    cells = []
    for row in map(DIVERGENCES.build, DIVERGENCES):
        numbers = (_spell(value) for value in (row.threshold, row.curvature, row.disjoint))
        cells.append((row.word, row.f_text, row.conjugate_text, row.domain.text, *numbers))
    return cells


def _spell(value: float | None) -> str:
    if value is None:
        return "kink"
    return "∞" if value == math.inf else f"{value:.4g}".replace("-", "−")
