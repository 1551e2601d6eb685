"""Write settings as TOML, and read them."""

from __future__ import annotations

import dataclasses
import hashlib
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from wgan.errors import UsageError
from wgan.settings.checking import problems, refuse, sift, spell
from wgan.settings.fields import Settings
from wgan.settings.former import todays_settings
from wgan.system.text import escaped, nearest

_MAX_BYTES = 1 << 19
_MAX_REASON = 200
_STRING = re.compile(r"""\"(?:\\.|[^"\\\n])*"|'[^'\n]*'""")
_LONG_KEY = re.compile(r"(?:[\w-]+[ \t]*\.[ \t]*){32}")
_HEADER = "# The settings of one training run. `wgan train --settings FILE` trains it again.\n\n"
_SEAL = "# sha256 {} of all other lines. To change them on purpose, remove this line.\n"
_SEALED = re.compile(re.escape(_SEAL).replace(re.escape("{}"), "(?P<digest>[0-9a-f]{64})").encode("ascii"))

Seal = Literal["intact", "broken", "none"]
"""Whether a file contains a checksum of its other lines: one that matches, one that does not, or none."""


def to_toml(settings: Settings) -> str:
    """Write settings as TOML that `from_toml` reads back to an equal object.

    Args:
        settings: Any settings. Data in memory is named by its type.

    Returns:
        A comment, one line for each setting, and the options of `input` in a separate table.
    """
    import tomli_w

    values = dataclasses.asdict(dataclasses.replace(settings, data=""))
    data: object = settings.data
    values["data"] = str(data) if isinstance(data, (str, Path)) else f"<{type(data).__name__} in memory>"
    return _HEADER + tomli_w.dumps(values)


def sealed_toml(settings: Settings) -> bytes:
    """Settings as `to_toml` writes them, in UTF-8, with the checksum of the text in a comment."""
    text = to_toml(settings)
    seal = _SEAL.format(hashlib.sha256(text.encode("utf-8")).hexdigest())
    # Between other comments, so that damage to this line cannot affect a value.
    return text.replace("\n", f"\n{seal}", 1).encode("utf-8")


def seal_of(raw: bytes) -> Seal:
    """Verify the checksum of a settings file.

    Args:
        raw: The content of the file.
    """
    found = _SEALED.search(raw)
    if found is None:
        return "none"
    rest = raw[: found.start()] + raw[found.end() :]
    return "intact" if hashlib.sha256(rest).hexdigest() == found["digest"].decode("ascii") else "broken"


def from_toml(path: str | Path, *, start: Settings | None = None) -> Settings:
    """Read settings from a TOML file.

    Args:
        path: The file. Nothing that it names is imported, unpickled or executed.
        start: The values of settings that the file does not contain; the defaults if None.

    Returns:
        The settings. Each value has the type of its field and is in its range.

    Raises:
        UsageError: The file cannot be read or is not valid TOML; or it contains unknown keys, wrong types, values out
            of range or class paths, which are all listed.
    """
    settings, faults = from_mapping(read_toml(path), start=start)
    refuse(faults, where=escaped(str(path)))
    return settings


def read_toml(path: str | Path) -> dict[str, Any]:
    """Read the raw values of a TOML file. Former names of settings are replaced by those of today.

    Raises:
        UsageError: The file is missing, unreadable or not valid TOML.
    """
    try:
        text = _bounded(Path(path)).decode("utf-8-sig")
        if _LONG_KEY.search(_STRING.sub("a", text)):
            # The parser's time is quadratic in the number of parts of a key.
            raise ValueError("a key has more than two parts")
        return todays_settings(tomllib.loads(text))
    except FileNotFoundError:
        raise UsageError(f"there is no settings file {escaped(str(path))}", remedy=_similar_files(Path(path))) from None
    except OSError as error:
        raise UsageError(f"the settings file {escaped(str(path))} cannot be read: {error.strerror}") from None
    except UnicodeError as error:
        where = f": byte {error.start}" if isinstance(error, UnicodeDecodeError) else ""
        raise UsageError(f"the settings file {escaped(str(path))} is not UTF-8 text{where}") from None
    except (ValueError, RecursionError, OverflowError) as error:
        if isinstance(error, UsageError):
            raise
        # For numbers, dates and nesting out of range, the parser raises Python's own errors.
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else _short(error)
        raise UsageError(
            f"{escaped(str(path))} is not valid TOML: {reason}", remedy="Write one `name = value` per line."
        ) from None


def _bounded(path: Path) -> bytes:
    """Read a file that may be a settings file: a regular file of bounded size."""
    # Reading a pipe may block or consume it, and a device may have no end.
    if path.exists() and not path.is_file():
        what = "a directory" if path.is_dir() else "a pipe or a device: write the settings to a file"
        raise UsageError(f"the settings file {escaped(str(path))} is {what}")
    with path.open("rb") as file:
        content = file.read(_MAX_BYTES + 1)
    if len(content) > _MAX_BYTES:
        raise UsageError(f"{escaped(str(path))} is longer than {_MAX_BYTES:,} bytes and cannot be a settings file")
    return content


def _short(error: Exception) -> str:
    return escaped(" ".join(str(error).split()))[:_MAX_REASON]


def from_mapping(values: Mapping[str, Any], *, start: Settings | None = None) -> tuple[Settings, list[str]]:
    """Override settings by plain values.

    Args:
        values: As a TOML parser returns them: `input` is a mapping, sequences are lists.
        start: The settings to override; the defaults if None.

    Returns:
        The settings, without the faulty values, and a list of the faults.
    """
    start = start or Settings()
    table = values.get("input", {})
    top = {name: value for name, value in values.items() if name != "input"}
    fitting, faults = sift(top, start, "")
    if isinstance(table, Mapping):
        inner, more = sift(table, start.input, "input.")
        faults += more
    else:
        inner = {}
        faults.append(f"input must be a table [input], not {spell(table)}")
    settings = dataclasses.replace(start, **fitting, input=dataclasses.replace(start.input, **inner))
    return settings, faults + problems(settings)


def _similar_files(path: Path) -> str:
    try:
        names = sorted(entry.name for entry in path.parent.iterdir() if entry.suffix == ".toml")
    except OSError:
        return ""
    near = nearest(path.name, names, most=3) or names[:3]
    return f"Near it: {', '.join(escaped(str(path.parent / name)) for name in near)}." if near else ""
