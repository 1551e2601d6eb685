"""HTML that is escaped by construction: text becomes part of a page only through `element`."""

from __future__ import annotations

import base64
import hashlib
import html
from collections.abc import Callable, Iterable, Sequence
from importlib import resources
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from wgan import figures
from wgan.display import escaped
from wgan.figures import DARK, LIGHT, Theme
from wgan.quiet import quiet

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Html(str):
    """Text that is HTML already. Everything else is escaped."""

    __slots__ = ()


Part: TypeAlias = "str | float | Sequence[Part] | None"

_VOID = ("img", "source", "meta")
_DRAWING = r"(matplotlib|numpy|PIL|wgan\.figures|wgan\.report)(\.|$)"


def joined(*parts: Part) -> Html:
    """Put parts in a row: HTML as it is, text escaped, lists flattened, None left out."""
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
    """An element with escaped content and escaped attributes.

    Args:
        name: The tag.
        parts: Its content.
        attributes: A trailing underscore is dropped (`class_`), others become dashes; None is left out.
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
    """A paragraph in small print."""
    return element("p", *parts, class_="note")


def table(
    head: Iterable[str], rows: Iterable[Iterable[Part]], *, class_: str = "measured", best: int | None = None
) -> Html:
    """A table that scrolls where it is too wide.

    Args:
        head: The names of the columns.
        rows: The cells.
        class_: How the page shows it.
        best: The index of the row in bold.
    """
    body = [
        element("tr", [element("td", cell) for cell in row], class_="best" if index == best else None)
        for index, row in enumerate(rows)
    ]
    titles = element("tr", [element("th", name) for name in head])
    return element("div", element("table", titles, body, class_=class_), class_="scroll")


def terms(pairs: Iterable[tuple[str, str]], *, class_: str) -> Html:
    """Numbers with their names."""
    cells = [element("div", element("dt", name), element("dd", value)) for name, value in pairs]
    return element("dl", cells, class_=class_)


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
        return note(f"{alternative}: could not be drawn ({type(error).__name__}: {error})")
    source = element("source", srcset=dark, media="(prefers-color-scheme: dark)")
    picture = element("picture", source, element("img", src=light, alt=alternative))
    return element("figure", element("div", picture, class_=class_), caption)


def data_uri(content: bytes, media_type: str) -> str:
    """The content as an address that needs no file and no network."""
    return f"data:{media_type};base64,{base64.b64encode(content).decode('ascii')}"


def document(title: str, main: Html) -> str:
    """A whole page in the house's style, which runs no script and asks no network."""
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
