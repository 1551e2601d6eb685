"""The kind of data behind a name or path, without reading the data and without importing torch."""

from __future__ import annotations

from collections import ChainMap
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from wgan.data.compression import COMPRESSIONS
from wgan.data.contents import Content, foreign_name, identify
from wgan.data.formats import ARRAY_CONTENTS, ARRAY_ENDINGS, IMAGE_FORMATS
from wgan.data.tables.formats import TABLE_FORMATS, by_ending
from wgan.data.toys import SUMMARIES
from wgan.errors import UsageError
from wgan.settings import Settings
from wgan.settings.recipes import RECIPES, recipe
from wgan.system.text import nearest

if TYPE_CHECKING:
    from wgan.data.source import Kind

Format = Literal["built-in", "array", "table", "images"]

_EMBEDDED = {"fashion-mnist": "the 10,000 Fashion-MNIST test images: clothes in grey, 28×28, 10 classes"}
BUILT_IN: ChainMap[str, str] = ChainMap(_EMBEDDED, SUMMARIES)
"""Each built-in name with the line that describes it; `register(TOYS, ...)` adds to it."""

_BY_CONTENT: dict[Content, Format] = {
    **dict.fromkeys(ARRAY_CONTENTS, "array"),
    **{known.content: "images" for known in IMAGE_FORMATS if known.content},
}
_IMAGE_ENDINGS = tuple(ending for known in IMAGE_FORMATS for ending in known.endings)

SUPPORTED = (
    f"Supported: a built-in name ({', '.join(BUILT_IN)}), an array (.npy, .npz), a table "
    f"({', '.join(known.endings[0] for known in TABLE_FORMATS)}; text also with {', '.join(COMPRESSIONS)}), "
    f"or images: a folder, {', '.join(f'{known.name} ({known.endings[0]})' for known in IMAGE_FORMATS)}."
)


def format_of(data: str) -> Format:
    """The reader for a name or path: by the content of a file if that is clear, else by its ending.

    Args:
        data: A built-in name or a path. A built-in name takes precedence over a file: write ./ring for the file.

    Raises:
        UsageError: The path does not exist (similar names are suggested), or neither its content nor its ending is
            known.
    """
    if data in BUILT_IN:
        return "built-in"
    if not data:
        raise UsageError("no data was named", remedy=SUPPORTED)
    path = Path(data)
    try:
        there, folder = path.exists(), path.is_dir()
    except (OSError, ValueError) as error:
        raise UsageError(f"{data!r} is not a path that can be opened: {error}", remedy=SUPPORTED) from None
    if not there:
        near = _nearest(path)
        remedy = f"Did you mean {' or '.join(near)}? {SUPPORTED}" if near else SUPPORTED
        raise UsageError(f"{data!r} is neither a built-in data set nor an existing path", remedy=remedy)
    if not folder and not path.is_file():
        # Opening a FIFO would block.
        raise UsageError(f"{data!r} is neither a file nor a folder", remedy=SUPPORTED)
    if folder:
        return "images"
    content, known = identify(path)
    if content == "foreign" and "pickle" in foreign_name(path) and path.name.lower().endswith(ARRAY_ENDINGS):
        return "array"  # Its reader refuses it, like pickled objects in an array.
    if content == "foreign":
        remedy = "A pickle can run any program. " if "pickle" in foreign_name(path) else ""
        raise UsageError(
            f"{data!r} is {foreign_name(path)}, which is not read", remedy=f"{remedy}{_CONVERT} {SUPPORTED}"
        )
    if content == "image":
        raise UsageError(f"{data!r} is one image; needs at least 2", remedy="Name the folder that the images are in.")
    form = "table" if known else _BY_CONTENT.get(content) or _by_ending(path.name.lower())
    if form is None:
        raise UsageError(f"{data!r} has an ending that is not known, and its content is not either", remedy=SUPPORTED)
    return form


def _by_ending(name: str) -> Format | None:
    if name.endswith(_IMAGE_ENDINGS):
        return "images"
    if name.endswith(ARRAY_ENDINGS):
        return "array"
    return "table" if by_ending(name) else None


def kind_of(data: str) -> Kind:
    """The kind of data behind a name or path. Of an array, only the header is read.

    Args:
        data: A built-in name or a path.

    Returns:
        "points", "table" or "images". An array that cannot be read counts as points, and its reader reports the error.

    Raises:
        UsageError: The path does not exist (similar names are suggested), or its ending is not known.
    """
    form = format_of(data)
    if form == "built-in":
        return "images" if data == "fashion-mnist" else "points"
    if form == "array":
        from wgan.data.array_files import rank_of

        return "images" if rank_of(Path(data)) in (3, 4) else "points"
    return form


_CONVERT = "Save it as .csv, .parquet or .jsonl (an object a line)."


def _nearest(path: Path) -> list[str]:
    """The names most similar to that of a missing path, among built-in names and in the deepest folder that exists."""
    missing = path
    while not missing.parent.exists():
        missing = missing.parent
    try:
        siblings = {entry.name: str(missing.parent / entry.name) for entry in missing.parent.iterdir()}
    except OSError:
        siblings = {}
    known = {name.lower(): shown for name, shown in siblings.items()} | {name: name for name in BUILT_IN}
    return [repr(known[name]) for name in nearest(missing.name.lower(), known)]


def default_recipe(data: str) -> Settings:
    """The default settings for data: its own recipe, or that of its kind.

    Args:
        data: A built-in name or a path.

    Raises:
        UsageError: The data does not exist.
    """
    if data in BUILT_IN and data in RECIPES:
        return recipe(data)
    kind = kind_of(data)
    return replace(recipe(kind), data=data)
