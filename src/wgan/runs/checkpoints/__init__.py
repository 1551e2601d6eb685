"""Save and load the state of training.

A checkpoint is a folder named after its step: `tensors.safetensors`, `state.json`, and `manifest.json` with the length
and SHA-256 of both. The folder appears under its name atomically. Nothing in it is ever executed: there is no pickle,
and lengths are checked before a parser reads a file. What differs from what was written is refused.
"""

from __future__ import annotations

from wgan.runs.checkpoints.format import Best, Checkpoint, CheckpointWarning, name_of, read_best, steps_saved
from wgan.runs.checkpoints.loading import go_back, load, settle
from wgan.runs.checkpoints.metadata import known_best, read_facts, read_state
from wgan.runs.checkpoints.saving import save

__all__ = [
    "Best",
    "Checkpoint",
    "CheckpointWarning",
    "go_back",
    "known_best",
    "load",
    "name_of",
    "read_best",
    "read_facts",
    "read_state",
    "save",
    "settle",
    "steps_saved",
]
