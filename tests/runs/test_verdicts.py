"""The verdict along a run: in its record, among its events if it changes, and equal after any stop."""

import dataclasses
import json
import warnings

import pytest
from small_runs import SETTINGS, events, finish, records, stop_at, tree

from wgan import runs
from wgan.errors import NumericError
from wgan.runs import diagnosis, divergence, schedule
from wgan.settings import from_toml
from wgan.trust.faults import VerdictSettings
from wgan.trust.verdict import Verdict, verdict_of

EXAMINED = dataclasses.replace(SETTINGS, steps=80)


@pytest.fixture(autouse=True)
def often(monkeypatch):
    """Every evaluation of the smallest run has a diagnosis, and no other update."""
    monkeypatch.setattr(schedule, "MIN_UPDATES_BETWEEN", 1)
    monkeypatch.setattr(schedule, "MIN_DIAGNOSES", 1)
    monkeypatch.setattr(schedule, "early_diagnoses", lambda settings: frozenset())


@pytest.fixture
def thinking(monkeypatch):
    """Verdicts by the number of diagnoses so far."""

    def by(*kinds):
        def thought(lines, settings, *, diverged):
            assert settings == VerdictSettings.of(dataclasses.asdict(SETTINGS))
            kind = "diverged" if diverged else kinds[len(lines) - 1]
            return Verdict(kind=kind, reason=diverged or f"diagnosis {len(lines)}", remedy="wait")

        monkeypatch.setattr(diagnosis, "verdict_of", thought)

    return by


def test_the_recorded_verdict_is_that_of_the_lines_so_far(tmp_path):
    finish(runs.begin(EXAMINED, tmp_path / "run"))
    lines, facts = records(tmp_path / "run"), dataclasses.asdict(from_toml(tmp_path / "run" / "settings.toml"))
    looked = [place for place, line in enumerate(lines) if "verdict" in line]
    assert [lines[place]["step"] for place in looked] == [20, 40, 60, 80]
    for place in looked:
        before = [{name: value for name, value in line.items() if name != "verdict"} for line in lines[: place + 1]]
        assert verdict_of(before, VerdictSettings.of(facts)).kind == lines[place]["verdict"]


def test_each_diagnosis_has_a_verdict_and_each_change_an_event(tmp_path, thinking):
    thinking("cannot-tell", "critic-overfits", "critic-overfits", "trust")
    with runs.begin(EXAMINED, tmp_path / "run") as run:
        found = [(progress.step, progress.verdict.kind) for progress in run.run() if progress.verdict]
        assert run.verdict == Verdict(kind="trust", reason="diagnosis 4", remedy="wait")
    assert found == [(20, "cannot-tell"), (40, "critic-overfits"), (60, "critic-overfits"), (80, "trust")]
    assert [(line["step"], line["verdict"]) for line in records(tmp_path / "run") if "verdict" in line] == found
    noted = [(line["step"], line["kind"], line["reason"]) for line in events(tmp_path / "run", "verdict")]
    assert noted == [
        (20, "cannot-tell", "diagnosis 1"),
        (40, "critic-overfits", "diagnosis 2"),
        (80, "trust", "diagnosis 4"),
    ]


def test_a_resumed_run_remembers_its_diagnoses(tmp_path, thinking):
    thinking("cannot-tell", "critic-overfits", "trust", "trust")
    finish(runs.begin(EXAMINED, tmp_path / "straight"))
    stop_at(runs.begin(EXAMINED, tmp_path / "run"), 47)
    with runs.resume(tmp_path / "run") as run:
        assert run.verdict is not None
        assert run.verdict.kind == "critic-overfits"
        list(run.run())
    assert tree(tmp_path / "run") == tree(tmp_path / "straight")
    noted = [(line["step"], line["kind"]) for line in events(tmp_path / "run", "verdict")]
    assert noted == [(20, "cannot-tell"), (40, "critic-overfits"), (60, "trust")]


def test_diagnoses_before_a_rollback_are_forgotten(tmp_path, thinking, monkeypatch):
    """The diagnosis at step 30 comes without an evaluation, so that no checkpoint is saved there."""
    thinking(*["trust"] * 8)
    monkeypatch.setattr(schedule, "MIN_DIAGNOSES", 8)
    fault = divergence.fault_of

    def at_once(game, *given):
        return fault(game, *given) if game.rollbacks or game.steps_done < 35 else "it is enough"

    monkeypatch.setattr(divergence, "fault_of", at_once)
    settings = dataclasses.replace(EXAMINED, save_every=20)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", runs.RunWarning)
        found = finish(runs.begin(settings, tmp_path / "run"))
    assert [progress.step for progress in found if progress.verdict] == [10, 20, 30, 30, 40, 50, 60, 70, 80]
    assert [line["step"] for line in records(tmp_path / "run") if "verdict" in line] == list(range(10, 81, 10))


def test_a_run_without_diagnoses_has_no_verdict(tmp_path):
    with runs.begin(dataclasses.replace(SETTINGS, diagnose="off", steps=20), tmp_path / "run") as run:
        assert all(progress.verdict is None for progress in run.run())
        assert run.verdict is None
    assert not events(tmp_path / "run", "verdict")


def test_a_run_that_diverges_ends_with_the_verdict_diverged(tmp_path):
    settings = dataclasses.replace(EXAMINED, generator_optimizer="adam:lr=1000")
    with runs.begin(settings, tmp_path / "run") as run, pytest.raises(NumericError, match="diverged"):
        list(run.run())
    noted = [json.loads(line) for line in (tmp_path / "run" / "events.jsonl").read_text().splitlines()]
    assert [line["event"] for line in noted[-2:]] == ["verdict", "diverged"]
    assert noted[-2]["kind"] == "diverged"
    assert "has grown to" in noted[-2]["reason"]
