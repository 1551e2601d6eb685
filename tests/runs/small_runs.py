"""A run of sixty updates on the ring, and helpers to run it, stop it and read its files."""

import hashlib
import itertools
import json
import os
import re
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from wgan import runs
from wgan.errors import Interrupted
from wgan.runs import Run, checkpoints
from wgan.runs.record import Journal, read_lines
from wgan.settings import Settings
from wgan.system.storage import canonical_json, seal

SETTINGS = Settings(
    data="ring",
    steps=60,
    batch_size=16,
    critic_steps=2,
    generator="mlp:width=16,depth=2",
    critic="mlp:width=16,depth=2",
    constraint="penalty:weight=0.1",
    generator_optimizer="adam:lr=0.002,beta1=0.5",
    critic_optimizer="adam:lr=0.002,beta1=0.5",
    latent_dim=2,
    lr_schedule="linear",
    ema_decay=0.9,
    log_every=5,
    eval_every=20,
    sample_every=20,
    save_every=10,
    eval_size=32,
    device="cpu",
    precision="float32",
    threads=1,
    engine="eager",
)

VARYING = {"events.jsonl", "lock"}


def tree(directory: Path) -> dict[str, bytes]:
    """Every file of a run but those with times."""
    files = (path for path in directory.rglob("*") if path.is_file() and path.name not in VARYING)
    return {str(path.relative_to(directory)): path.read_bytes() for path in files}


def events(directory: Path, kind: str) -> list[dict]:
    return [line for line in Journal(directory / "events.jsonl").lines() if line["event"] == kind]


def records(directory: Path) -> list[dict]:
    return read_lines(directory / "metrics.jsonl")


def change_on_purpose(directory: Path, old: str, new: str) -> None:
    """Edit a run's settings, and remove the line with their checksum."""
    path = directory / "settings.toml"
    text = path.read_text()
    assert old in text
    path.write_text("".join(line for line in text.replace(old, new).splitlines(True) if "sha256" not in line))


def without_checksums(directory: Path) -> None:
    """Turn a run into one of an earlier version: only checkpoints have checksums."""
    change_on_purpose(directory, "steps", "steps")
    (directory / "samples" / "checksums.json").unlink(missing_ok=True)
    lengths = {0: 0}
    for name in ("metrics.jsonl", "events.jsonl"):
        before = (directory / name).read_bytes().splitlines(True)
        after = [re.sub(rb', "check": "\w+"\}', b"}", line) for line in before]
        (directory / name).write_bytes(b"".join(after))
        if name == "metrics.jsonl":
            ends = (itertools.accumulate(map(len, lines)) for lines in (before, after))
            lengths |= dict(zip(*ends, strict=True))
    for step in checkpoints.steps_saved(directory / "checkpoints"):
        folder = directory / "checkpoints" / f"{step:08}"
        state = json.loads((folder / "state.json").read_bytes())
        for name in ("files", "record_check", "last"):
            del state["facts"][name]
        state["facts"]["settings"].pop("data")
        state["facts"]["record_bytes"] = lengths[state["facts"]["record_bytes"]]
        raw = canonical_json(state)
        (folder / "state.json").write_bytes(raw)
        manifest = json.loads((folder / "manifest.json").read_bytes())
        del manifest["sha256"]
        manifest["files"]["state.json"] = {"bytes": len(raw), "sha256": hashlib.sha256(raw).hexdigest()}
        (folder / "manifest.json").write_bytes(seal(manifest))


def finish(run: Run) -> list[runs.Progress]:
    with run:
        return list(run.run())


def run_and(run: Run, step: int, act: Callable[[], object]) -> None:
    """Run, and do something else after one of the updates."""
    with run:
        for progress in run.run():
            if progress.step == step:
                act()


def ask(number: signal.Signals) -> Callable[[], None]:
    return lambda: os.kill(os.getpid(), number)


def stop_at(run: Run, step: int, number: signal.Signals = signal.SIGTERM) -> None:
    with pytest.raises(Interrupted, match=f"stopped by {number.name} after {step} of") as caught:
        run_and(run, step, ask(number))
    assert f"--resume {run.directory}" in caught.value.remedy


def points(directory: Path, num: int = 64, columns: int = 2, seed: int = 0) -> str:
    path = directory / f"points-{num}-{columns}-{seed}.npy"
    np.save(path, np.random.default_rng(seed).normal(size=(num, columns)).astype(np.float32))
    return str(path)
