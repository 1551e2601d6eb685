"""Refuse checkpoints, data and settings that do not fit together, and name the differences."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import NoneType
from typing import Any

from torch import Tensor

from wgan.data import codec_differences
from wgan.data.source import Source
from wgan.errors import CheckpointError
from wgan.runs.checkpoints import Checkpoint
from wgan.runs.record import NUMBERS
from wgan.settings import FIXED, Settings
from wgan.training.game import Game

_SHOWN = 8

_FACTS: dict[str, tuple[type, ...]] = {
    "game": (dict,),
    "settings": (dict,),
    "steps": (int,),
    "record_bytes": (int,),
    "pending": (dict, NoneType),
}
_ADDED_FACTS: dict[str, tuple[type, ...]] = {"record_check": (str,), "files": (dict,), "last": (dict, NoneType)}
"""Facts that checkpoints of earlier versions lack."""

_GAME_FACTS: dict[str, tuple[type, ...]] = {"steps_done": (int,), "seed": (int,)}


def source_state(source: Source) -> dict[str, Any]:
    """What `source.json` says of the data: enough to sample without it, and to recognise it."""
    state = {
        "name": source.name,
        "describe": source.describe(),
        "fingerprint": source.fingerprint(),
        "codec": source.codec.state(),
        "notes": list(source.notes),
        # The seed and the share decide which rows these are; the fingerprint covers them.
        "split": {"train": source.size, "held_out": source.num_held_out},
    }
    return state if source.conditions is None else state | {"conditions": source.conditions.state()}


def refuse_other_data(stored: dict[str, Any], source: Source, directory: Path) -> None:
    """Refuse data that differs from the data the run was begun with.

    Raises:
        CheckpointError: It differs; each field is listed.
    """
    now = source_state(source)
    differences = codec_differences(*(note["codec"] | _parts(note) for note in (stored, now)))
    if not differences and stored["fingerprint"] != now["fingerprint"]:
        differences = [f"rows: {now['describe']} ({now['fingerprint']}), was {stored['describe']} "]
        differences[0] += f"({stored['fingerprint']})"
    _refuse(differences, f"the data is not what the run in '{directory}' was begun with", "the same data")


def _parts(note: dict[str, Any]) -> dict[str, Any]:
    """The conditions, without how often each occurs."""
    conditions = note.get("conditions")
    return {} if conditions is None else {"conditions": conditions["parts"]}


def refuse_other_facts(checkpoint: Checkpoint) -> None:
    """Refuse a checkpoint whose facts are incomplete or of wrong types; later code relies on them.

    Raises:
        CheckpointError: A fact is missing or has a wrong type; each is listed.
    """
    faults = [
        *_fact_faults(checkpoint.facts, _FACTS),
        *_fact_faults(checkpoint.facts.get("game"), _GAME_FACTS, "game."),
        *_fact_faults(
            checkpoint.facts, {name: _ADDED_FACTS[name] for name in _ADDED_FACTS if name in checkpoint.facts}
        ),
    ]
    for name in ("pending", "last"):
        if isinstance(numbers := checkpoint.facts.get(name), dict):
            faults += _fact_faults(numbers, dict.fromkeys(NUMBERS, (float, int)), f"{name}.")
    if faults:
        raise CheckpointError(
            f"'{checkpoint.path}' is not a checkpoint of a run: {'; '.join(faults)}",
            remedy="Remove its folder to use the checkpoint before it, or restore it from a copy.",
        )


def _fact_faults(facts: object, wanted: Mapping[str, tuple[type, ...]], prefix: str = "") -> list[str]:
    """Missing facts and facts of wrong types; none if `facts` is not a dictionary."""
    if not isinstance(facts, dict):
        return []
    missing = [f"it lacks the fact '{prefix}{name}'" for name in wanted if name not in facts]
    wrong = [
        f"its fact '{prefix}{name}' is {facts[name]!r}"
        for name, types in wanted.items()
        if name in facts
        and (type(facts[name]) not in types or (int in types and facts[name] < 0 and float not in types))
    ]
    return missing + wrong


def refuse_other_settings(checkpoint: Checkpoint, settings: Settings, directory: Path) -> None:
    """Refuse settings that compute something else than the settings of the checkpoint.

    Raises:
        CheckpointError: They differ; each setting is listed.
    """
    # A checkpoint of a version without a setting used its default.
    now = {name: getattr(settings, name) for name in FIXED}
    before = {name: getattr(Settings(), name) for name in FIXED} | checkpoint.facts["settings"]
    differences = [f"{name}: {now[name]}, was {before[name]}" for name in now if now[name] != before[name]]
    _refuse(differences, f"the settings of '{directory}' do not fit its checkpoint", "the settings it was begun with")


def restore(game: Game, checkpoint: Checkpoint) -> None:
    """Restore a game from a checkpoint.

    Raises:
        CheckpointError: A tensor is missing, unexpected or of another shape; each is listed.
    """
    networks = ("generator.", "critic.", "average.")
    built, stored = (
        {name: tensor for name, tensor in tensors.items() if name.startswith(networks)}
        for tensors in (game.state()[0], checkpoint.tensors)
    )
    differences = _shape_differences(built, stored)
    _refuse(differences, f"'{checkpoint.path}' holds another network", "the settings and data it was saved under")
    try:
        game.restore(checkpoint.tensors, checkpoint.facts["game"])
    except (KeyError, IndexError, ValueError, RuntimeError, TypeError) as error:
        raise CheckpointError(
            f"'{checkpoint.path}' does not fit this run: {' '.join(str(error).split())}",
            remedy="Resume with the settings and data it was saved under.",
        ) from None


def _shape_differences(now: Mapping[str, Tensor], before: Mapping[str, Tensor]) -> list[str]:
    differences = []
    for name in sorted({*now, *before}):
        sizes = [
            "x".join(map(str, side[name].shape)) or "a number" if name in side else "none" for side in (now, before)
        ]
        if sizes[0] != sizes[1]:
            differences.append(f"{name}: {sizes[0]}, was {sizes[1]}")
    return differences


def _refuse(differences: list[str], what: str, wanted: str) -> None:
    if differences:
        more = [f"and {len(differences) - _SHOWN} more"] if len(differences) > _SHOWN else []
        listed = "; ".join(differences[:_SHOWN] + more)
        raise CheckpointError(f"{what}: {listed}", remedy=f"Resume with {wanted}, or begin a new run.")
