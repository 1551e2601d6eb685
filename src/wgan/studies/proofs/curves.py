"""Rank correlations of Ŵ and of the loss with the exact distance along runs.

Each run is diagnosed some twenty times: the critic's lower bound, the exact W1 of the same rows and samples, and the
critic's own estimate. A meaningful loss has a rank correlation with the exact distance close to 1.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from wgan.data import open_data
from wgan.data.compression import head_of
from wgan.data.contents import table_format
from wgan.data.source import Source
from wgan.data.tables.formats import by_ending
from wgan.errors import UsageError
from wgan.runs.setups import build_setup
from wgan.settings import DataOptions, Settings
from wgan.studies.proofs.traces import MEASURED, Trace
from wgan.system.storage import canonical_json, replace_file
from wgan.system.torch_state import in_default_state
from wgan.training.loop import train
from wgan.trust.evaluator import CriticEvaluator

TOYS = ("ring", "grid", "swiss-roll")
"""Built-in data."""

ADULT = "adult"
"""The Adult census, whose file the user provides."""

METHODS: dict[str, dict[str, Any]] = {
    "penalty": {
        "constraint": "penalty:weight=1",
        "generator_optimizer": "adam:lr=0.0001,beta1=0.5",
        "critic_optimizer": "adam:lr=0.001,beta1=0.5",
    },
    "clipping": {
        "constraint": "clipping:bound=0.1",
        "generator_optimizer": "rmsprop:lr=0.0001",
        "critic_optimizer": "rmsprop:lr=0.0005",
    },
    "gan": {
        "objective": "gan",
        "constraint": "none",
        "critic_steps": 1,
        "generator_optimizer": "adam:lr=0.0002,beta1=0.5",
        "critic_optimizer": "adam:lr=0.0002,beta1=0.5",
    },
}
"""Name of each method to its settings. Constrained critics have five to ten times the learning rate of their
generators, so that they are close to their optimum at every diagnosis."""

_SLOWER: dict[tuple[str, str], str] = {
    ("grid", "penalty"): "adam:lr=0.000005,beta1=0.5",
    ("grid", "clipping"): "rmsprop:lr=0.00001",
}
"""Data and name to a slower generator. With the common learning rate these runs converge in the first fifth. After that
W1 is constant, and ranks are those of noise."""

_SHARED = Settings(
    generator="mlp:width=128",
    critic="mlp:width=128",
    latent_dim=4,
    batch_size=128,
    critic_steps=5,
    # Constant learning rates: a decay would flatten the curve, and its later half would be noise.
    lr_schedule="none",
    ema_decay=0.0,
    threads=1,
    precision="float32",
    engine="eager",
)
_TABLE_NOISE = 32
_RECENT = 50
"""Updates whose median estimate is the curve."""


@dataclass(frozen=True, kw_only=True)
class Scale:
    """The size of the study.

    Attributes:
        steps: Generator updates of each run.
        early: Diagnoses in the first half, denser at its beginning.
        late: Diagnoses in the second half, evenly spaced.
        rows: Rows, and samples, of each diagnosis.
        seeds: Runs of each kind on each data set.
    """

    steps: int = 1_500
    early: int = 11
    late: int = 10
    rows: int = 1_000
    seeds: int = 3

    def diagnoses(self) -> tuple[int, ...]:
        """Generator updates after which a run is diagnosed, from the first to the last."""
        half = self.steps // 2
        first = np.round(half * np.linspace(0, 1, self.early) ** 2)
        second = np.round(np.linspace(half, self.steps, self.late + 1))
        return tuple(sorted({max(1, int(step)) for step in (*first, *second)}))


FULL = Scale()
QUICK = Scale(steps=60, early=5, late=4, rows=200, seeds=1)
"""A small study, to test that everything runs."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """One run of the study.

    Attributes:
        data: Name of the data.
        path: What is opened: a built-in name or a file.
        method: A name of `METHODS`.
        seed: Of the run.
        scale: The size of the study.
    """

    data: str
    path: str
    method: str
    seed: int
    scale: Scale

    @property
    def name(self) -> str:
        """Name of its file."""
        return f"{self.data}-{self.method}-{self.seed}"

    @property
    def settings(self) -> Settings:
        """The settings of the run."""
        chosen = replace(_SHARED, data=self.path, seed=self.seed, steps=self.scale.steps, **METHODS[self.method])
        slower = _SLOWER.get((self.data, self.method), chosen.generator_optimizer)
        latent_dim = _TABLE_NOISE if self.data == ADULT else chosen.latent_dim
        return replace(chosen, generator_optimizer=slower, latent_dim=latent_dim)

    def open(self) -> Source:
        """The data."""
        header = self.data != ADULT or _has_header(Path(self.path))
        return open_data(self.path, DataOptions(header=header), seed=self.seed)


def tasks(*, adult: Path | None, scale: Scale, seed: int = 0) -> list[Task]:
    """All runs of the study, seed by seed.

    Args:
        adult: The file of the Adult census; None to omit it.
        scale: The size of the study.
        seed: The first of the seeds.

    Raises:
        UsageError: No such file.
    """
    if adult is not None and (not adult.is_file() or by_ending(adult.name) is None):
        raise UsageError(
            f"--adult {adult} is not an existing file with a table",
            remedy="Take adult.data of the UCI repository.",
        )
    data = {name: name for name in TOYS} | ({} if adult is None else {ADULT: str(adult)})
    return [
        Task(data=name, path=path, method=method, seed=number, scale=scale)
        for number in range(seed, seed + scale.seeds)
        for name, path in data.items()
        for method in METHODS
    ]


def run_all(
    wanted: Sequence[Task],
    *,
    folder: Path | None = None,
    jobs: int = 1,
    report: Callable[[Trace, bool], None] = lambda trace, is_stored: None,
) -> list[Trace]:
    """Train the runs that are not stored yet.

    Args:
        wanted: The runs.
        folder: Directory in which the trace of each run is stored when it ends. A stored trace of the same settings,
            data and diagnoses is reused. None to store nothing.
        jobs: Number of processes; 1 for this process.
        report: Called with each trace, and whether it was stored before.

    Returns:
        Traces, in the order of the tasks.

    Raises:
        UsageError: jobs below 1, or data that cannot be opened.
        NumericError: A run failed.
    """
    if jobs < 1:
        raise UsageError(f"--jobs must be at least 1, not {jobs}")
    found: dict[str, Trace] = {}
    missing = []
    for task in wanted:
        stored = _stored(task, folder)
        if stored is None:
            missing.append(task)
        else:
            found[task.name] = stored
            report(stored, True)
    for task, trace in _train_all(missing, jobs):
        found[task.name] = trace
        if folder is not None:
            _store(task, trace, folder)
        report(trace, False)
    return [found[task.name] for task in wanted]


@in_default_state
def run(task: Task) -> Trace:
    """Train and diagnose one run.

    Args:
        task: The run.

    Returns:
        Its trace. The same task gives the same trace on the same machine.
    """
    setup = build_setup(task.settings, task.open())
    evaluate = CriticEvaluator(setup, size=task.scale.rows, gap_steps=0, seed=task.settings.seed)
    diagnosed = task.scale.diagnoses()
    estimates: list[float] = []
    values: dict[str, list[float]] = {name: [] for name in MEASURED}

    def diagnose() -> None:
        evidence = evaluate()
        raw = float(np.median(estimates[-_RECENT:]))
        for name in MEASURED:
            value = raw if name == "raw" else getattr(evidence, name)
            values[name].append(float("nan") if value is None else float(value))

    with setup.game.engine.limits():
        for step in train(setup):
            estimates.append(float(step.estimate))
            if step.number in diagnosed:
                diagnose()
    return Trace(
        data=task.data,
        method=task.method,
        seed=task.seed,
        steps=diagnosed,
        values={name: tuple(numbers) for name, numbers in values.items()},
    )


def _train_all(missing: Sequence[Task], jobs: int) -> Iterator[tuple[Task, Trace]]:
    """Yield each task and its trace when it ends."""
    if jobs == 1:
        yield from ((task, run(task)) for task in missing)
        return
    # Forking is unsafe once torch has started threads.
    with ProcessPoolExecutor(max_workers=jobs, mp_context=get_context("spawn")) as pool:
        futures = {pool.submit(run, task): task for task in missing}
        try:
            for done in as_completed(futures):
                yield futures[done], done.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _facts(task: Task) -> dict[str, Any]:
    """What determines a trace, as plain JSON; data is identified by its rows, not by its path."""
    settings = dataclasses.asdict(replace(task.settings, data=task.data))
    facts = {"settings": settings, "scale": dataclasses.asdict(task.scale), "rows": task.open().fingerprint()}
    plain: dict[str, Any] = json.loads(json.dumps(facts))
    return plain


def _store(task: Task, trace: Trace, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    replace_file(folder / f"{task.name}.json", canonical_json({"facts": _facts(task), "trace": trace.as_json()}))


def _stored(task: Task, folder: Path | None) -> Trace | None:
    """The stored trace of the same run, if there is one."""
    if folder is None:
        return None
    try:
        stored = json.loads((folder / f"{task.name}.json").read_text(encoding="ascii"))
        return Trace.from_json(stored["trace"]) if stored["facts"] == _facts(task) else None
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError):
        # Not written by this command, or by another version of it: it is replaced.
        return None


def _has_header(path: Path) -> bool:
    """Whether a file of the census starts with column names; the file published by UCI starts with an age."""
    known, _ = table_format(path)
    return known is None or known.named_columns or not head_of(path).split(b",")[0].strip().isdigit()
