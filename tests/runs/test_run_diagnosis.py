"""Diagnoses along a run: when they are made, that they change nothing else, and that stops and kills leave no trace."""

import dataclasses
import itertools
import json
import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from small_runs import SETTINGS, finish, points, records, run_and, stop_at, tree

from wgan import runs
from wgan.data import open_data
from wgan.errors import CheckpointError, Interrupted
from wgan.runs.diagnosis import RunDiagnosis
from wgan.runs.setups import build_setup
from wgan.settings import DataOptions
from wgan.training.loop import train
from wgan.trust.evaluator import CriticEvaluator

# All that a diagnosis could disturb: statistics of both players, an average, random labels, momentum, falling rates.
EXAMINED = dataclasses.replace(
    SETTINGS,
    objective="gan:flipping=0.1",
    constraint="none",
    generator="mlp:width=16,depth=2,norm=batch",
    critic="mlp:width=16,depth=2,norm=batch",
    packing=2,
    steps=40,
)


@pytest.fixture
def often(monkeypatch):
    """Every evaluation of the smallest run has a diagnosis, and there is one between two."""
    look_often(monkeypatch)


def look_often(patch):
    patch.setattr("wgan.runs.schedule.MIN_UPDATES_BETWEEN", 1)
    patch.setattr("wgan.runs.schedule.MIN_DIAGNOSES", 4)
    patch.setattr("wgan.runs.schedule.early_diagnoses", lambda settings: frozenset())


@pytest.fixture(scope="module")
def diagnosed(tmp_path_factory) -> Path:
    directory = tmp_path_factory.mktemp("diagnosed") / "run"
    with pytest.MonkeyPatch.context() as patch:
        look_often(patch)
        finish(runs.begin(EXAMINED, directory))
    return directory


def diagnoses(directory: Path) -> list[int]:
    return [line["step"] for line in records(directory) if "certified" in line]


def test_evidence_is_gathered_at_evaluations_and_between(diagnosed):
    assert diagnoses(diagnosed) == [10, 20, 30, 40]
    assert [line["step"] for line in records(diagnosed) if "score" in line] == [20, 40]
    last = records(diagnosed)[-1]
    assert {"training_estimate", "held_out_estimate", "exact", "exact_floor", "efficiency", "gap"} <= last.keys()
    assert 0 < last["certified"] <= last["exact"] * (1 + 1e-9)


@pytest.mark.usefixtures("often")
@pytest.mark.parametrize("settings", [EXAMINED, dataclasses.replace(SETTINGS, constraint="spectral", steps=40)])
def test_diagnoses_change_nothing_else(tmp_path, settings):
    for diagnose in ("auto", "off"):
        finish(runs.begin(dataclasses.replace(settings, diagnose=diagnose), tmp_path / diagnose))
    assert diagnoses(tmp_path / "auto") == [10, 20, 30, 40]
    assert diagnoses(tmp_path / "off") == []
    for mine, others in zip(records(tmp_path / "auto"), records(tmp_path / "off"), strict=True):
        assert mine.items() >= others.items()
    noted = {"settings.toml", "metrics.jsonl", *(f"checkpoints/{step:08}/manifest.json" for step in range(0, 41, 10))}
    noted |= {name.replace("manifest", "state") for name in noted}
    kept, without = (
        {name: content for name, content in tree(tmp_path / diagnose).items() if name not in noted}
        for diagnose in ("auto", "off")
    )
    assert any(name.endswith("tensors.safetensors") for name in kept)
    assert kept == without


@pytest.mark.usefixtures("often")
@pytest.mark.parametrize("step", [19, 20, 30])
def test_a_stopped_run_records_the_same_bytes(diagnosed, tmp_path, step):
    stop_at(runs.begin(EXAMINED, tmp_path / "run"), step)
    finish(runs.resume(tmp_path / "run"))
    assert tree(tmp_path / "run") == tree(diagnosed)


@pytest.mark.usefixtures("often")
def test_a_killed_run_records_the_same_bytes(diagnosed, tmp_path):
    class Killed(BaseException):
        pass

    def die() -> None:
        raise Killed

    with pytest.raises(Killed):
        run_and(runs.begin(EXAMINED, tmp_path / "run"), 27, die)
    finish(runs.resume(tmp_path / "run"))
    assert tree(tmp_path / "run") == tree(diagnosed)


@pytest.mark.usefixtures("often")
def test_a_stop_during_a_diagnosis_saves_the_state_before_it_at_once(diagnosed, tmp_path, monkeypatch):
    """The signal comes during a diagnosis, while the statistics of the game are changed."""
    call, calls = CriticEvaluator.__call__, itertools.count(1)

    def slow(self, **options):
        if next(calls) == 1:
            for player in (self.setup.game.generator, self.setup.game.critic):
                for buffer in player.buffers():
                    buffer.add_(1)
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(10)
        return call(self, **options)

    monkeypatch.setattr(CriticEvaluator, "__call__", slow)
    monkeypatch.setattr("wgan.runs.run.GRACE_SECONDS", 0.1)
    began = time.monotonic()
    with runs.begin(EXAMINED, tmp_path / "run") as run, pytest.raises(Interrupted, match="after 10 of 40"):
        list(run.run())
    assert time.monotonic() - began < 8
    assert records(tmp_path / "run")[-1]["step"] == 5
    finish(runs.resume(tmp_path / "run"))
    assert tree(tmp_path / "run") == tree(diagnosed)


def diagnosis_of(steps=10_000, data="ring", **changes) -> RunDiagnosis | None:
    settings = dataclasses.replace(SETTINGS, **{"steps": steps, "data": data, "critic_steps": 5} | changes)
    source = open_data(settings.data, settings.input, seed=0)
    return RunDiagnosis.of(settings, build_setup(settings, source))


@pytest.mark.parametrize(
    ("eval_every", "steps", "between", "size", "gap_steps"),
    [
        (10, 10_000, 100, 489, 20),  # 600 updates between two diagnoses, of ten evaluations one
        (100, 10_000, 100, 489, 20),
        (250, 10_000, 250, 774, 50),
        (1_000, 10_000, 1_000, 1_000, 200),
        (5_000, 10_000, 1_250, 1_000, 250),  # eight diagnoses, of which two are at an evaluation
        (5_000, 5_000, 625, 1_000, 125),
        (350, 700, 175, 648, 35),  # four diagnoses: of seven times 50 updates, and of 70, each would cost too much
        (0, 10_000, 10_000, 1_000, 2_000),  # once, at the end
    ],
)
def test_interval_and_size_of_diagnoses_follow_from_counts(eval_every, steps, between, size, gap_steps):
    found = diagnosis_of(eval_every=eval_every, steps=steps)
    assert (found.between, found.evaluator.size, found.evaluator.gap_steps) == (between, size, gap_steps)


def test_with_compiled_updates_the_gap_gets_fewer_updates():
    assert diagnosis_of(eval_every=1_000, engine="compiled").evaluator.gap_steps == 75


def test_diagnoses_are_at_regular_evaluations_and_at_the_end():
    found = diagnosis_of(steps=310, eval_every=10)
    assert [step for step in range(10, 311, 10) if found.is_due(step)] == [100, 200, 300, 310]
    found = diagnosis_of(steps=310, eval_every=0)
    assert found.is_due(310)


@pytest.mark.parametrize(
    ("eval_every", "steps", "early"),
    [
        (10, 10_000, set()),  # a regular diagnosis after as few updates as are between any two
        (1_000, 10_000, {100, 200, 400}),
        (0, 1_000, {100, 200, 400}),
        (0, 199, set()),
        (0, 200, {100}),
    ],
)
def test_there_are_early_diagnoses(eval_every, steps, early):
    found = diagnosis_of(eval_every=eval_every, steps=steps)
    due = [step for step in range(1, steps + 1) if found.is_due(step)]
    assert due == sorted(early | set(range(found.between, steps + 1, found.between)) | {steps})


def test_an_early_diagnosis_trains_no_copy_of_the_critic():
    found = diagnosis_of(eval_every=0, steps=200)
    seen = {}
    for step in train(found.evaluator.setup):
        if found.is_due(step.number):
            seen[step.number] = found(step.estimate.item())
        if step.number == 200:
            break
    assert not {"gap", "further_estimate"} & seen[100].keys()
    assert seen[100].keys() | {"gap", "further_estimate"} == seen[200].keys()


@pytest.mark.usefixtures("often")
def test_the_curve_at_a_diagnosis_is_the_median_of_recent_estimates(tmp_path):
    finish(runs.begin(dataclasses.replace(SETTINGS, steps=40, log_every=1), tmp_path / "run"))
    lines = records(tmp_path / "run")
    estimates = {line["step"]: line["estimate"] for line in lines}
    for line in lines:
        if "curve" in line:
            latest = [estimates[step] for step in range(max(1, line["step"] - 4), line["step"] + 1)]
            assert line["curve"] == np.median(latest)
    assert sum("curve" in line for line in lines) == 4


def test_diagnoses_after_a_step_can_be_forgotten():
    found = diagnosis_of()
    for step in (10, 20, 30, 40):
        found.add({"step": step, "estimate": float(step)} | ({"verdict": "trust"} if step % 20 == 0 else {}))
    found.forget(20)
    assert found._curve == [(10, 10.0), (20, 20.0)]
    assert [line["step"] for line in found._diagnosed] == [20]


def test_diagnoses_take_less_than_a_tenth_of_a_long_run():
    """In processor time, with evaluations as frequent as diagnoses can be."""
    settings = dataclasses.replace(
        SETTINGS, batch_size=64, generator="mlp:width=64", critic="mlp:width=64", eval_every=200, steps=400
    )
    setup = build_setup(settings, open_data("ring", DataOptions(), seed=0))
    found, steps = RunDiagnosis.of(settings, setup), train(setup)
    list(itertools.islice(steps, 3))
    found(0.0)
    began = time.process_time()
    list(itertools.islice(steps, 200))
    trained = time.process_time()
    found(0.0)
    assert time.process_time() - trained < 0.15 * (trained - began)


def test_too_few_rows_for_a_diagnosis_do_not_prevent_training(tmp_path):
    data = points(tmp_path, num=30)
    settings = dataclasses.replace(SETTINGS, data=data, packing=4, steps=20, batch_size=8)
    finish(runs.begin(settings, tmp_path / "run"))
    assert diagnoses(tmp_path / "run") == []
    assert "score" in records(tmp_path / "run")[-1]


def kinds(folder: Path) -> dict[str, tuple[str, dict]]:
    """A little of every kind of data, and networks for it."""
    rng = np.random.default_rng(0)
    np.save(folder / "points.npy", rng.normal(size=(200, 3)))
    np.save(folder / "pictures.npy", rng.integers(0, 255, (60, 16, 16), dtype=np.uint8))
    rows = [f"{rng.normal():.3f},{'abc'[rng.integers(3)]}" for _ in range(200)]
    (folder / "table.csv").write_text("\n".join(["length,kind", *rows]) + "\n")
    dcgan = {"generator": "dcgan:filters=2", "critic": "dcgan:filters=2,norm=none", "batch_size": 4}
    return {
        "sampler": ("ring", {}),
        "points": (str(folder / "points.npy"), {}),
        "table": (str(folder / "table.csv"), {}),
        "images": (str(folder / "pictures.npy"), dcgan),
    }


@pytest.mark.parametrize("kind", ["sampler", "points", "table", "images"])
def test_rows_are_held_out_by_default_and_the_split_is_the_runs_own(tmp_path, kind):
    data, networks = kinds(tmp_path)[kind]
    settings = dataclasses.replace(SETTINGS, data=data, steps=2, eval_every=2, **networks)
    finish(runs.begin(settings, tmp_path / "run"))
    assert diagnoses(tmp_path / "run") == [2]
    noted = json.loads((tmp_path / "run" / "source.json").read_text())["split"]
    if kind == "sampler":
        assert noted == {"train": None, "held_out": None}
        return
    count = {"points": 200, "table": 200, "images": 60}[kind]
    assert noted == {"train": count - count // 10, "held_out": count // 10}
    for other in ({"seed": 1}, {"held_out": 0.2}):
        reading = dataclasses.replace(settings.input, **{name: other[name] for name in other if name != "seed"})
        elsewhere = open_data(data, reading, seed=other.get("seed", settings.seed))
        with pytest.raises(CheckpointError, match="data is not what the run"):
            runs.resume(tmp_path / "run", steps=4, source=elsewhere)
