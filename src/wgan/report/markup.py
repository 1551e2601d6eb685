"""HTML that is escaped by construction: text becomes part of a page only through `element`."""

from __future__ import annotations

import base64
import hashlib
import html
from collections.abc import Sequence
from importlib import resources
from typing import TypeAlias

from wgan.system.text import escaped


class Html(str):
    """Text that is HTML already. Everything else is escaped."""

    __slots__ = ()


Part: TypeAlias = "str | float | Sequence[Part] | None"

_VOID = ("img", "source", "meta")


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
