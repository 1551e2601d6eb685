"""The settings of a run: their fields, checks and TOML file. Nothing here imports torch."""

from __future__ import annotations

from wgan.settings.checking import check, problems, range_fault, refuse
from wgan.settings.fields import ADDED, FIXED, PER_COLUMN, RESUME_OPTIONS, DataOptions, Settings, settings_fields
from wgan.settings.toml import Seal, from_mapping, from_toml, read_toml, seal_of, sealed_toml, to_toml
from wgan.settings.wording import in_python, on_command_line

__all__ = [
    "ADDED",
    "FIXED",
    "PER_COLUMN",
    "RESUME_OPTIONS",
    "DataOptions",
    "Seal",
    "Settings",
    "check",
    "from_mapping",
    "from_toml",
    "in_python",
    "on_command_line",
    "problems",
    "range_fault",
    "read_toml",
    "refuse",
    "seal_of",
    "sealed_toml",
    "settings_fields",
    "to_toml",
]
