"""Save and load all that training changes, so that what is read back is what was written or is refused.

A checkpoint is a folder named after its step: `tensors.safetensors`, `state.json`, and `manifest.json` with the length
and SHA-256 of both, written last. The folder appears under its name complete or not at all. Nothing in it is ever
executed: there is no pickle, and lengths are checked against the file before a parser sees them.
"""

from __future__ import annotations

from wgan.runs.checkpoints.format import Best, Checkpoint, CheckpointWarning, name_of, read_best, steps_saved
from wgan.runs.checkpoints.loading import go_back, load, settle
from wgan.runs.checkpoints.saving import save
from wgan.runs.checkpoints.states import known_best, read_facts, read_state

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
