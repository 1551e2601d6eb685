"""What all figures share: two themes, the page width, fonts, and reproducible bytes."""

from __future__ import annotations

import io
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Floats: TypeAlias = NDArray[np.float64]

PAGE_WIDTH = 7.6
"""Inches of a figure that is as wide as the page."""

# The layout is computed in DejaVu Sans, which matplotlib includes. The reader's own font is slightly narrower.
_READERS_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"


@dataclass(frozen=True, kw_only=True)
class Theme:
    """Colours on one background that colour-blind readers can tell apart (after Okabe and Ito).

    Attributes:
        ink: Text.
        faint: Axes, ticks and notes.
        grid: Grid lines.
        real: Real data.
        generated: Samples.
        distance: Measured distances.
        runs: Several runs on one axis.
    """

    ink: str
    faint: str
    grid: str
    real: str
    generated: str
    distance: str
    runs: tuple[str, ...]


LIGHT = Theme(
    ink="#1f2328",
    faint="#646b75",
    grid="#e7e9ec",
    real="#9aa1ab",
    generated="#0072b2",
    distance="#c2410c",
    runs=("#0072b2", "#c2410c", "#00805f", "#a3478e", "#7d7700", "#1f2328"),
)
DARK = Theme(
    ink="#e6e8eb",
    faint="#9aa3ae",
    grid="#2b3038",
    real="#7d8590",
    generated="#56b4e9",
    distance="#f0904f",
    runs=("#56b4e9", "#f0904f", "#2fbf95", "#dd92cf", "#e8dc4a", "#e6e8eb"),
)


def svg(figure: Figure, *, theme: Theme = LIGHT) -> bytes:
    """The figure as SVG with a transparent background and the reader's own font; `theme` is that of the figure."""
    import matplotlib as mpl

    buffer = io.BytesIO()
    with style(theme):
        mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "wgan"})
        figure.savefig(buffer, format="svg", transparent=True, dpi=190, metadata={"Date": None, "Creator": None})
    drawn = buffer.getvalue().decode()
    return re.sub(r"'DejaVu Sans'(?:, [\w' -]+)*", _READERS_FONT, drawn).encode()


def png(figure: Figure) -> bytes:
    """The figure, of the light theme, as PNG on white."""
    buffer = io.BytesIO()
    with style(LIGHT):
        figure.savefig(buffer, format="png", dpi=150, facecolor="white", metadata={"Software": None})
    return buffer.getvalue()


_STYLED = threading.RLock()


@contextmanager
def style(theme: Theme) -> Iterator[None]:
    """The style of a theme; text of the user is never parsed as mathematics.

    Matplotlib creates ticks when it draws, so that drawing needs the style too.
    """
    import matplotlib as mpl

    parameters: Any = {
        "text.parse_math": False,
        "font.family": ["DejaVu Sans"],
        "font.size": 8.6,
        "text.color": theme.ink,
        "axes.labelcolor": theme.faint,
        "axes.edgecolor": theme.faint,
        "axes.linewidth": 0.6,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.spines.left": False,
        "axes.titlesize": 9.2,
        "axes.titlelocation": "left",
        "axes.titlecolor": theme.ink,
        "axes.titlepad": 7.0,
        "axes.labelsize": 8.6,
        "axes.labelpad": 6.0,
        "axes.axisbelow": True,
        "axes.facecolor": "none",
        "xtick.color": theme.faint,
        "ytick.color": theme.faint,
        "xtick.labelsize": 8.2,
        "ytick.labelsize": 8.2,
        "xtick.major.size": 3.0,
        "ytick.major.size": 0.0,
        "xtick.major.width": 0.6,
        "grid.color": theme.grid,
        "grid.linewidth": 0.8,
        "legend.frameon": False,
        "legend.fontsize": 8.6,
        "legend.handlelength": 1.4,
        "legend.borderaxespad": 0.0,
    }
    errors = np.errstate(divide="warn", over="warn", under="ignore", invalid="warn")
    # Matplotlib has one style for the whole process.
    with _STYLED, mpl.rc_context(), errors:
        # A matplotlibrc must not change the bytes.
        mpl.rcdefaults()
        mpl.rcParams.update(parameters)
        yield


def blank(width: float, height: float) -> Figure:
    """An empty figure, width and height in inches, whose layout makes room for labels."""
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    layout = ConstrainedLayoutEngine(w_pad=0.06, h_pad=0.06, wspace=0.04, hspace=0.05)
    return Figure(figsize=(width, height), layout=layout)


def power(value: float, position: object = None) -> str:
    """A tick label without an offset or a factor for the whole axis: 1e-3, 5e-5, 0.02, 300."""
    if value == 0 or 0.01 <= abs(value) < 1e5:
        return f"{value:.6g}"
    digits, _, size = f"{value:.2e}".partition("e")
    return f"{digits.rstrip('0').rstrip('.')}e{int(size)}"


def handles(theme: Theme) -> list[Any]:
    """Legend entries for real and generated."""
    from matplotlib.patches import Patch

    return [Patch(color=theme.real, label="real"), Patch(color=theme.generated, label="generated")]
