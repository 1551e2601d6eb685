"""Everything that a user can set for a run, what it may be, and its TOML file; all without importing torch."""

from __future__ import annotations

from wgan.settings.checking import MOST_JUDGED, check, problems, refuse
from wgan.settings.fields import ADDED, WORDS, WRITTEN, DataOptions, Settings
from wgan.settings.toml import Seal, from_mapping, from_toml, read_toml, seal_of, sealed_toml, to_toml
from wgan.settings.wording import in_python, on_command_line

__all__ = [
    "ADDED",
    "MOST_JUDGED",
    "WORDS",
    "WRITTEN",
    "DataOptions",
    "Seal",
    "Settings",
    "check",
    "from_mapping",
    "from_toml",
    "in_python",
    "on_command_line",
    "problems",
    "read_toml",
    "refuse",
    "seal_of",
    "sealed_toml",
    "to_toml",
]
