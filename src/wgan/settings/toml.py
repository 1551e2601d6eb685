"""Settings as a TOML file, written and read back."""

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

_MOST_BYTES = 1 << 19
_LONGEST_REASON = 200
_STRING = re.compile(r"""\"(?:\\.|[^"\\\n])*"|'[^'\n]*'""")
_LONG_KEY = re.compile(r"(?:[\w-]+[ \t]*\.[ \t]*){32}")
_HEADER = "# The settings of one training run. `wgan train --settings FILE` trains it again.\n\n"
_SEAL = "# sha256 {} of all other lines. To change them on purpose, remove this line.\n"
_SEALED = re.compile(re.escape(_SEAL).replace(re.escape("{}"), "(?P<digest>[0-9a-f]{64})").encode("ascii"))

Seal = Literal["intact", "broken", "none"]
"""Whether a file carries the checksum of its other lines: one that fits, one that does not, or none."""


def to_toml(settings: Settings) -> str:
    """Write settings as TOML that `from_toml` reads back to an equal object.

    Args:
        settings: Any settings. Data that is no text (an object in memory) is named by its type.

    Returns:
        A comment, one line a setting, and those of `input` in a table of their own.
    """
    import tomli_w

    values = dataclasses.asdict(dataclasses.replace(settings, data=""))
    data: object = settings.data
    values["data"] = str(data) if isinstance(data, (str, Path)) else f"<{type(data).__name__} in memory>"
    return _HEADER + tomli_w.dumps(values)


def sealed_toml(settings: Settings) -> bytes:
    """Settings as `to_toml` writes them, with a line that carries the checksum of all others."""
    text = to_toml(settings)
    seal = _SEAL.format(hashlib.sha256(text.encode("utf-8")).hexdigest())
    # Between comments, so that no value is touched by what damages the line.
    return text.replace("\n", f"\n{seal}", 1).encode("utf-8")


def seal_of(raw: bytes) -> Seal:
    """Whether the bytes of a settings file are those that were written.

    Args:
        raw: All of the file.
    """
    found = _SEALED.search(raw)
    if found is None:
        return "none"
    rest = raw[: found.start()] + raw[found.end() :]
    return "intact" if hashlib.sha256(rest).hexdigest() == found["digest"].decode("ascii") else "broken"


def from_toml(path: str | Path, *, start: Settings | None = None) -> Settings:
    """Read settings from a TOML file.

    Args:
        path: The file. Nothing that it names is imported, unpickled or run.
        start: What the settings are that the file leaves out; the defaults if None.

    Returns:
        Settings whose every value has its declared type and lies in its range.

    Raises:
        UsageError: A file that cannot be read or is not valid TOML; or unknown keys, wrong types, values out of range
            and class paths, all of them listed.
    """
    settings, faults = from_mapping(read_toml(path), start=start)
    refuse(faults, where=escaped(str(path)))
    return settings


def read_toml(path: str | Path) -> dict[str, Any]:
    """Read the raw values of a TOML file, former names of settings under those of today.

    Raises:
        UsageError: The file is missing, unreadable or not valid TOML.
    """
    try:
        text = _bounded(Path(path)).decode("utf-8-sig")
        if _LONG_KEY.search(_STRING.sub("a", text)):
            # The parser takes time that grows with the square of the parts of a key.
            raise ValueError("a key has more than two parts")
        return todays_settings(tomllib.loads(text))
    except FileNotFoundError:
        raise UsageError(f"there is no settings file {escaped(str(path))}", remedy=_neighbours(Path(path))) from None
    except OSError as error:
        raise UsageError(f"the settings file {escaped(str(path))} cannot be read: {error.strerror}") from None
    except UnicodeError as error:
        where = f": byte {error.start}" if isinstance(error, UnicodeDecodeError) else ""
        raise UsageError(f"the settings file {escaped(str(path))} is not UTF-8 text{where}") from None
    except (ValueError, RecursionError, OverflowError) as error:
        if isinstance(error, UsageError):
            raise
        # Beside its own errors the parser raises those of Python for numbers, dates and nesting that are out of range.
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else _short(error)
        raise UsageError(
            f"{escaped(str(path))} is not valid TOML: {reason}", remedy="Write one `name = value` a line."
        ) from None


def _bounded(path: Path) -> bytes:
    """The bytes of a file that may be a settings file."""
    # A pipe without a writer would be waited for, one with a writer can be read only once, and a device has no end.
    if path.exists() and not path.is_file():
        what = "a folder" if path.is_dir() else "a pipe or a device: write the settings to a file"
        raise UsageError(f"the settings file {escaped(str(path))} is {what}")
    with path.open("rb") as file:
        content = file.read(_MOST_BYTES + 1)
    if len(content) > _MOST_BYTES:
        raise UsageError(f"{escaped(str(path))} is longer than {_MOST_BYTES:,} bytes, and so not a settings file")
    return content


def _short(error: Exception) -> str:
    return escaped(" ".join(str(error).split()))[:_LONGEST_REASON]


def from_mapping(values: Mapping[str, Any], *, start: Settings | None = None) -> tuple[Settings, list[str]]:
    """Lay plain values over settings.

    Args:
        values: As TOML gives them: `input` a mapping, sequences lists.
        start: What the settings are that `values` leaves out; the defaults if None.

    Returns:
        The settings, in which faulty values are left out, and the list of faults.
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


def _neighbours(path: Path) -> str:
    try:
        names = sorted(entry.name for entry in path.parent.iterdir() if entry.suffix == ".toml")
    except OSError:
        return ""
    near = nearest(path.name, names, most=3) or names[:3]
    return f"Near it: {', '.join(escaped(str(path.parent / name)) for name in near)}." if near else ""
