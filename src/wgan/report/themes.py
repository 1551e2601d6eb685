"""Figures on a page, each in the reader's theme, light or dark."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from wgan import figures
from wgan.figures import DARK, LIGHT, Theme
from wgan.report.markup import Html, data_uri, element
from wgan.system.warning_filters import quiet

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_DRAWING = r"(matplotlib|numpy|PIL|wgan\.figures|wgan\.report)(\.|$)"


def in_both_themes(
    draw: Callable[[Theme], Figure], alternative: str, caption: Html | None = None, *, class_: str = "wide"
) -> Html:
    """A figure that follows the reader's theme; a note where none can be made.

    Args:
        draw: Draws it in a theme.
        alternative: What it is, for who cannot see it.
        caption: What stands below it.
        class_: How the page shows it; a wide one is scrolled on a telephone and not made smaller.
    """
    try:
        # What matplotlib and NumPy remark on odd numbers says nothing to a reader of the report.
        with quiet(_DRAWING), np.errstate(all="ignore"):
            light, dark = (data_uri(figures.svg(draw(theme), theme=theme), "image/svg+xml") for theme in (LIGHT, DARK))
    except Exception as error:
        return element("p", f"{alternative}: could not be drawn ({type(error).__name__}: {error})", class_="note")
    source = element("source", srcset=dark, media="(prefers-color-scheme: dark)")
    picture = element("picture", source, element("img", src=light, alt=alternative))
    return element("figure", element("div", picture, class_=class_), caption)
