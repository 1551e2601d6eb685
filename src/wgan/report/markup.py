"""HTML elements. All text is escaped: it becomes part of a page only through `element` or `joined`."""

from __future__ import annotations

import base64
import hashlib
import html
from collections.abc import Callable, Iterable, Sequence
from importlib import resources
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from wgan import figures
from wgan.figures import DARK, LIGHT, Theme
from wgan.system.text import escaped
from wgan.system.warning_filters import quiet

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Html(str):
    """A string that is HTML already and is not escaped again."""

    __slots__ = ()


Part: TypeAlias = "str | float | Sequence[Part] | None"

_VOID = ("img", "source", "meta")
_DRAWING = r"(matplotlib|numpy|PIL|wgan\.figures|wgan\.report)(\.|$)"


def joined(*parts: Part) -> Html:
    """Concatenate parts: HTML is kept, text is escaped, lists are flattened, None is left out."""
    written = []
    for part in parts:
        if isinstance(part, Html):
            written.append(part)
        elif isinstance(part, list | tuple):
            written.append(joined(*part))
        elif part is not None:
            written.append(Html(html.escape(escaped(str(part), keep="\n\t"))))
    return Html("".join(written))


def element(name: str, /, *parts: Part, **attributes: str | None) -> Html:
    """An element whose content and attributes are escaped.

    Args:
        name: The tag.
        parts: Its content.
        attributes: A trailing underscore is dropped (`class_`), other underscores become dashes. None is left out.
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{html.escape(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in _VOID:
        return Html(f"<{name}{written}>")
    return Html(f"<{name}{written}>{joined(*parts)}</{name}>")


def section(title: str, *parts: Part) -> Html:
    """A section with a heading."""
    return element("section", element("h2", title), *parts)


def note(*parts: Part) -> Html:
    """A paragraph of class "note"."""
    return element("p", *parts, class_="note")


def table(
    head: Iterable[str], rows: Iterable[Iterable[Part]], *, class_: str = "measured", best: int | None = None
) -> Html:
    """A table that scrolls if it is too wide.

    Args:
        head: Column names.
        rows: The cells of each row.
        class_: Its CSS class.
        best: The index of the row to set in bold.
    """
    body = [
        element("tr", [element("td", cell) for cell in row], class_="best" if index == best else None)
        for index, row in enumerate(rows)
    ]
    titles = element("tr", [element("th", name) for name in head])
    return element("div", element("table", titles, body, class_=class_), class_="scroll")


def terms(pairs: Iterable[tuple[str, str]], *, class_: str) -> Html:
    """A definition list of names and values."""
    cells = [element("div", element("dt", name), element("dd", value)) for name, value in pairs]
    return element("dl", cells, class_=class_)


def in_both_themes(
    draw: Callable[[Theme], Figure], alternative: str, caption: Html | None = None, *, class_: str = "wide"
) -> Html:
    """A figure in the reader's theme, light or dark. A note replaces it if drawing fails.

    Args:
        draw: Draws the figure in a theme.
        alternative: Its description as text.
        caption: The caption below it.
        class_: Its CSS class; a "wide" figure scrolls on small screens instead of being scaled down.
    """
    try:
        # Warnings of matplotlib and NumPy about unusual numbers are of no use to a reader of the report.
        with quiet(_DRAWING), np.errstate(all="ignore"):
            light, dark = (data_uri(figures.svg(draw(theme), theme=theme), "image/svg+xml") for theme in (LIGHT, DARK))
    except Exception as error:
        return note(f"{alternative}: could not be drawn ({type(error).__name__}: {error})")
    source = element("source", srcset=dark, media="(prefers-color-scheme: dark)")
    picture = element("picture", source, element("img", src=light, alt=alternative))
    return element("figure", element("div", picture, class_=class_), caption)


def data_uri(content: bytes, media_type: str) -> str:
    """The content as a data URI."""
    return f"data:{media_type};base64,{base64.b64encode(content).decode('ascii')}"


def document(title: str, main: Html) -> str:
    """A whole page with the style sheet. Its policy forbids scripts and network requests."""
    style = resources.files("wgan.report").joinpath("style.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=policy),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", f"{title} – wgan"),
        element("style", Html(style)),
    )
    return "<!doctype html>\n" + element("html", head, element("body", main), lang="en") + "\n"
