"""Runs that are diagnosed along the way, and stored."""

import json
from dataclasses import replace

import numpy as np
import pytest

from wgan.errors import UsageError
from wgan.studies.proofs import curves
from wgan.studies.proofs.curves import FULL, METHODS, QUICK, Scale, Task, run, run_all, tasks
from wgan.studies.proofs.traces import MEASURED, Trace
from wgan.training.game import Game

TINY = Scale(steps=6, early=3, late=2, rows=40, seeds=1)
RING = Task(data="ring", path="ring", method="penalty", seed=3, scale=TINY)


@pytest.mark.parametrize("scale", [FULL, QUICK, TINY])
def test_diagnoses_are_denser_early_and_include_both_ends(scale):
    steps = np.array(scale.diagnoses())
    late = steps > scale.steps / 2
    assert (steps[0], steps[-1]) == (1, scale.steps)
    assert late.sum() == scale.late
    assert scale.early + scale.late - 2 <= len(steps) <= scale.early + scale.late
    gaps = np.diff(steps[~late])
    assert (np.diff(gaps) >= 0).all()


@pytest.mark.parametrize("method", METHODS)
def test_a_task_has_a_reproducible_trace(method):
    first, second = (run(replace(RING, method=method)) for _ in range(2))
    assert first.as_json() == second.as_json()
    assert first.steps == TINY.diagnoses()
    assert np.isfinite(first.of("exact")).all()
    assert (first.of("certified") <= first.of("exact") * (1 + 1e-12)).all()
    assert (first.of("without_critic") <= first.of("certified") + 1e-12).all()
    assert len(set(first.of("exact_floor"))) == 1
    assert len(set(first.of("exact"))) == len(first.steps)


def test_the_raw_curve_is_the_median_of_the_latest_estimates(monkeypatch):
    estimates = []

    def counting(*args):
        for step in train(*args):
            estimates.append(float(step.estimate))
            yield step

    train = curves.train
    monkeypatch.setattr(curves, "train", counting)
    monkeypatch.setattr(curves, "_RECENT", 3)
    raw = run(RING).of("raw")
    assert raw.tolist() == [np.median(estimates[max(0, step - 3) : step]) for step in TINY.diagnoses()]


def test_diagnoses_do_not_change_training(monkeypatch):
    ends = []
    update_average = Game.update_average

    def last(game, decay):
        ends[:] = [{name: value.detach().clone() for name, value in game.generator.state_dict().items()}]
        update_average(game, decay)

    monkeypatch.setattr(Game, "update_average", last)
    run(RING)
    often = ends[0]
    run(replace(RING, scale=replace(TINY, early=1, late=1)))
    assert all(bool((often[name] == value).all()) for name, value in ends[0].items())


def test_stored_traces_are_reused(tmp_path, monkeypatch):
    reported = []
    first = run_all([RING], folder=tmp_path / "kept", report=lambda trace, is_stored: reported.append(is_stored))
    monkeypatch.setattr(curves, "run", None)
    second = run_all([RING], folder=tmp_path / "kept", report=lambda trace, is_stored: reported.append(is_stored))
    assert reported == [False, True]
    assert [trace.as_json() for trace in first] == [trace.as_json() for trace in second]


@pytest.mark.parametrize("content", ["", "{}", "[1]", '{"facts": 1, "trace": 2}', "older"])
def test_invalid_or_older_files_are_replaced(tmp_path, monkeypatch, content):
    sound = run(RING)
    run_all([RING], folder=tmp_path)
    (path,) = tmp_path.iterdir()
    assert path.name == "ring-penalty-3.json"
    if content == "older":
        state = json.loads(path.read_text())
        state["facts"]["settings"]["critic_steps"] = 7
        content = json.dumps(state)
    path.write_text(content)
    trained = []
    monkeypatch.setattr(curves, "run", lambda task: trained.append(task) or sound)
    run_all([RING], folder=tmp_path)
    run_all([RING], folder=tmp_path)
    assert trained == [RING]


def test_other_diagnoses_are_another_run(tmp_path, monkeypatch):
    sound = run(RING)
    trained = []
    monkeypatch.setattr(curves, "run", lambda task: trained.append(task) or sound)
    run_all([RING], folder=tmp_path)
    run_all([replace(RING, scale=replace(TINY, rows=41))], folder=tmp_path)
    assert len(trained) == 2


@pytest.mark.slow
def test_several_processes_give_the_same_traces():
    wanted = [RING, replace(RING, seed=4)]
    alone, together = (run_all(wanted, jobs=jobs) for jobs in (1, 2))
    assert [trace.as_json() for trace in alone] == [trace.as_json() for trace in together]


CENSUS = "".join(f"{20 + row}, {'Private' if row % 3 else 'State-gov'}, {row % 7}\n" for row in range(200))


@pytest.mark.parametrize("first", ["", "age, workclass, education\n"], ids=["as published", "with names"])
def test_the_census_is_read_with_and_without_a_header(tmp_path, first):
    path = tmp_path / "adult.csv"
    path.write_text(first + CENSUS)
    wanted = tasks(adult=path, scale=TINY)
    assert [task.name for task in wanted if task.data == "adult"] == [f"adult-{method}-0" for method in METHODS]
    source = wanted[-1].open()
    assert source.size + source.num_held_out == 200
    assert wanted[-1].settings.latent_dim > RING.settings.latent_dim


def test_tasks_are_ordered_by_seed():
    wanted = tasks(adult=None, scale=replace(TINY, seeds=2), seed=5)
    assert [task.seed for task in wanted] == [5] * 9 + [6] * 9
    assert {task.data for task in wanted} == {"ring", "grid", "swiss-roll"}


@pytest.mark.parametrize("name", ["nowhere.csv", "adult.xyz"])
def test_an_unreadable_census_is_refused(tmp_path, name):
    (tmp_path / "adult.xyz").write_text(CENSUS)
    with pytest.raises(UsageError, match="is not an existing file with a table"):
        tasks(adult=tmp_path / name, scale=TINY)


def test_no_processes_are_refused():
    with pytest.raises(UsageError, match="--jobs must be at least 1, not 0"):
        run_all([RING], jobs=0)


STORED = {"data": "adult", "game": "gan", "seed": 0, "steps": [1], "seen": dict.fromkeys(MEASURED, (1.0,))}


def test_other_rows_are_another_run(tmp_path, monkeypatch):
    path = tmp_path / "adult.csv"
    path.write_text(CENSUS)
    trained = []
    task = tasks(adult=path, scale=TINY)[-1]
    monkeypatch.setattr(curves, "run", lambda task: trained.append(task) or Trace.from_json(STORED))
    run_all([task], folder=tmp_path / "kept")
    run_all([task], folder=tmp_path / "kept")
    assert len(trained) == 1
    path.write_text(CENSUS.replace("21, Private", "120, Private"))
    run_all([task], folder=tmp_path / "kept")
    assert len(trained) == 2
