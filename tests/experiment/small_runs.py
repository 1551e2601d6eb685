"""A run of sixty updates on the ring, and ways to run it, stop it and look at what it left."""

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from wgan import experiment
from wgan.errors import Interrupted
from wgan.experiment import Experiment
from wgan.settings import Settings

SETTINGS = Settings(
    data="ring",
    steps=60,
    batch_size=16,
    critic_steps=2,
    generator="mlp:width=16,depth=2",
    critic="mlp:width=16,depth=2",
    constraint="penalty:weight=0.1",
    generator_optimizer="adam:rate=0.002,beta1=0.5",
    critic_optimizer="adam:rate=0.002,beta1=0.5",
    noise_size=2,
    decay="linear",
    average=0.9,
    record_every=5,
    judge_every=20,
    sample_every=20,
    save_every=10,
    judge_size=32,
    device="cpu",
    precision="float32",
    threads=1,
    engine="eager",
)

VARYING = {"events.jsonl", "lock"}


def tree(directory: Path) -> dict[str, bytes]:
    """Every file of a run but those that tell the time."""
    files = (path for path in directory.rglob("*") if path.is_file() and path.name not in VARYING)
    return {str(path.relative_to(directory)): path.read_bytes() for path in files}


def events(directory: Path, kind: str) -> list[dict]:
    lines = [json.loads(line) for line in (directory / "events.jsonl").read_text().splitlines()]
    return [line for line in lines if line["event"] == kind]


def records(directory: Path) -> list[dict]:
    return [json.loads(line) for line in (directory / "metrics.jsonl").read_text().splitlines()]


def finish(run: Experiment) -> list[experiment.Progress]:
    with run:
        return list(run.run())


def run_and(run: Experiment, step: int, act: Callable[[], object]) -> None:
    """Run, and do something else after one of the updates."""
    with run:
        for progress in run.run():
            if progress.step == step:
                act()


def ask(number: signal.Signals) -> Callable[[], None]:
    return lambda: os.kill(os.getpid(), number)


def stop_at(run: Experiment, step: int, number: signal.Signals = signal.SIGTERM) -> None:
    with pytest.raises(Interrupted, match=f"stopped by {number.name} after {step} of") as caught:
        run_and(run, step, ask(number))
    assert f"--resume {run.directory}" in caught.value.remedy


def points(directory: Path, num: int = 64, columns: int = 2, seed: int = 0) -> str:
    path = directory / f"points-{num}-{columns}-{seed}.npy"
    np.save(path, np.random.default_rng(seed).normal(size=(num, columns)).astype(np.float32))
    return str(path)
