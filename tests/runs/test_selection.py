"""The choice of the best checkpoint, and runs that end early because no better one comes."""

import dataclasses
import itertools

import pytest
from small_runs import SETTINGS, events, finish, points, records, run_and, stop_at, tree

from wgan import runs
from wgan.cli.main import main
from wgan.errors import CheckpointError, UsageError
from wgan.evaluation.metrics import SampleEvaluator
from wgan.runs import checkpoints, schedule
from wgan.runs.selection import early_end_reason, has_score, score_of
from wgan.settings import DataOptions, Settings, from_toml, problems, to_toml
from wgan.trust.evaluator import CriticEvaluator

PATIENT = dataclasses.replace(SETTINGS, steps=100, eval_every=10, patience=3, lr_schedule="none")
# The best of them is the third, at step 30; the sixth ends it.
SCORES = {10: 0.5, 20: 0.4, 30: 0.2, 40: 0.3, 50: 0.3, 60: 0.2, 70: 0.1, 80: 0.3, 90: 0.4, 100: 0.5}


@pytest.fixture
def scored(monkeypatch):
    """Scores are those of the table, by the step of the game."""
    monkeypatch.setattr(schedule, "MIN_UPDATES_BETWEEN", 1)
    monkeypatch.setattr(schedule, "early_diagnoses", lambda settings: frozenset())
    games = []
    remember = runs.Run.__init__

    def init(self, context, *given, **options):
        games.append(context.game)
        remember(self, context, *given, **options)

    monkeypatch.setattr(runs.Run, "__init__", init)
    monkeypatch.setattr(
        SampleEvaluator, "__call__", lambda self, draw, **options: {"score": SCORES[games[-1].steps_done]}
    )


def best_of(directory):
    return checkpoints.read_best(directory / "checkpoints")


@pytest.mark.usefixtures("scored")
class TestPatience:
    def test_a_run_ends_after_so_many_scores_that_are_no_better(self, tmp_path):
        with runs.begin(PATIENT, tmp_path / "run") as run:
            found = list(run.run())
            assert run.ended_early == "no better score in 3 evaluations since step 30"
        assert found[-1].step == 60
        (noted,) = events(tmp_path / "run", "finished")
        assert (noted["step"], noted["reason"]) == (60, "no better score in 3 evaluations since step 30")
        assert best_of(tmp_path / "run") == checkpoints.Best(30, 0.2)
        assert runs.load(tmp_path / "run", checkpoint="best").step == 30
        assert runs.load(tmp_path / "run").step == 60

    def test_more_patience_lets_it_go_on_as_if_it_had_never_ended(self, tmp_path):
        finish(runs.begin(dataclasses.replace(PATIENT, patience=6), tmp_path / "patient"))
        assert records(tmp_path / "patient")[-1]["step"] == 100
        finish(runs.begin(PATIENT, tmp_path / "run"))
        with pytest.raises(UsageError, match="ended early at step 60: no better score in 3 evaluations") as caught:
            runs.resume(tmp_path / "run")
        assert "--patience 6" in caught.value.remedy
        with pytest.raises(UsageError, match="ended early at step 60"):
            runs.resume(tmp_path / "run", steps=200)
        with pytest.raises(UsageError, match="patience must be at least 0, not -1"):
            runs.resume(tmp_path / "run", patience=-1)
        finish(runs.resume(tmp_path / "run", patience=6))
        assert from_toml(tmp_path / "run" / "settings.toml").patience == 6
        assert tree(tmp_path / "run") == tree(tmp_path / "patient")
        assert best_of(tmp_path / "run") == checkpoints.Best(70, 0.1)

    def test_no_patience_is_endless_patience(self, tmp_path):
        finish(runs.begin(PATIENT, tmp_path / "run"))
        found = finish(runs.resume(tmp_path / "run", patience=0))
        assert found[-1].step == 100

    @pytest.mark.parametrize("step", [40, 55])
    def test_a_stop_does_not_use_up_patience(self, tmp_path, step):
        finish(runs.begin(PATIENT, tmp_path / "straight"))
        stop_at(runs.begin(PATIENT, tmp_path / "run"), step)
        finish(runs.resume(tmp_path / "run"))
        assert tree(tmp_path / "run") == tree(tmp_path / "straight")

    def test_a_run_killed_right_after_its_early_end_has_ended(self, tmp_path):
        class Killed(BaseException):
            pass

        def die() -> None:
            raise Killed

        with pytest.raises(Killed):
            run_and(runs.begin(PATIENT, tmp_path / "run"), 60, die)
        assert finish(runs.resume(tmp_path / "run")) == []
        assert events(tmp_path / "run", "finished")[0]["reason"]

    def test_the_last_step_is_not_an_early_end(self, tmp_path):
        finish(runs.begin(dataclasses.replace(PATIENT, steps=60), tmp_path / "run"))
        assert "reason" not in events(tmp_path / "run", "finished")[0]

    def test_the_command_says_so_and_points_to_the_best(self, tmp_path, capsys):
        path = tmp_path / "patient.toml"
        path.write_text(to_toml(PATIENT))
        run = tmp_path / "run"
        assert main(["train", "--settings", str(path), "--out", str(run)]) == 0
        said = capsys.readouterr().out
        assert "ended early, after 60 updates: no better score in 3 evaluations since step 30" in said
        assert "--checkpoint best" in said
        assert main(["train", "--resume", str(run), "--quiet"]) == 2
        assert "--patience 6" in capsys.readouterr().err
        assert main(["train", "--resume", str(run), "--patience", "-1", "--quiet"]) == 2
        assert "patience must be at least 0, not -1" in capsys.readouterr().err
        assert main(["train", "--resume", str(run), "--best-by", "exact"]) == 2
        assert "Only --steps and --patience may change" in capsys.readouterr().err


def test_an_early_end_has_its_reason():
    settings = Settings(eval_every=10, patience=2, steps=100)

    def over(step, best, **changes):
        return bool(early_end_reason(dataclasses.replace(settings, **changes), step, checkpoints.Best(best, 0.0)))

    assert [step for step in range(1, 100) if over(step, 30)] == [50, 60, 70, 80, 90]
    assert not over(50, 30, patience=0)
    assert not over(100, 30)
    # The last step of a run that was then made longer.
    assert not over(40, 35)
    assert over(50, 35)
    assert early_end_reason(settings, 50, None) == ""
    # Looks are fewer than evaluations: 60 updates of both players from one to the next, of 600 that they need.
    assert [step for step in range(1, 1000) if has_score(dataclasses.replace(settings, best_by="exact"), step)] == [
        100, 200, 300, 400, 500, 600, 700, 800, 900,
    ]  # fmt: skip


@pytest.mark.parametrize(("best_by", "name"), [("held-out", "certified"), ("exact", "exact"), ("score", "score")])
def test_the_best_is_chosen_by_best_by(tmp_path, monkeypatch, best_by, name):
    monkeypatch.setattr(schedule, "MIN_UPDATES_BETWEEN", 1)
    monkeypatch.setattr(schedule, "early_diagnoses", lambda settings: frozenset())
    settings = dataclasses.replace(SETTINGS, best_by=best_by)
    finish(runs.begin(settings, tmp_path / "run"))
    lines = [line for line in records(tmp_path / "run") if name in line]
    least = min(lines, key=lambda line: line[name])
    assert best_of(tmp_path / "run") == checkpoints.Best(least["step"], least[name])


def test_evidence_ends_a_run_too(tmp_path, monkeypatch):
    monkeypatch.setattr(schedule, "MIN_UPDATES_BETWEEN", 1)
    monkeypatch.setattr(schedule, "early_diagnoses", lambda settings: frozenset())
    call, worse = CriticEvaluator.__call__, itertools.count(1)

    def worsening(self, **options):
        return dataclasses.replace(call(self, **options), certified=float(next(worse)))

    monkeypatch.setattr(CriticEvaluator, "__call__", worsening)
    with runs.begin(dataclasses.replace(PATIENT, best_by="held-out"), tmp_path / "run") as run:
        list(run.run())
        assert run.ended_early == "no better distance proven by the critic in 3 evaluations since step 10"
    assert best_of(tmp_path / "run") == checkpoints.Best(10, 1.0)


def test_best_by_cannot_change_on_resume(tmp_path):
    finish(runs.begin(dataclasses.replace(SETTINGS, steps=20), tmp_path / "run"))
    path = tmp_path / "run" / "settings.toml"
    path.write_text(path.read_text().replace('best_by = "score"', 'best_by = "exact"'))
    with pytest.raises(CheckpointError, match="best_by: exact, was score"):
        runs.resume(tmp_path / "run", steps=40)


def test_a_score_that_was_not_measured_is_none():
    settings = Settings(best_by="exact")
    assert score_of(settings, {"score": 1.0}, {"exact": 0.5, "certified": 0.25}) == 0.5
    assert score_of(settings, {"score": 1.0}, {}) is None
    assert score_of(Settings(), {"score": 1.0}, {"exact": 0.5}) == 1.0
    assert score_of(Settings(best_by="held-out"), {"score": 1.0}, {"exact": 0.5, "certified": 0.25}) == 0.25


def test_best_by_and_patience_need_held_out_rows(tmp_path):
    assert problems(Settings(best_by="exact", diagnose="off")) == [
        "best_by must be score where diagnose is off, not 'exact'"
    ]
    assert problems(Settings(patience=2, eval_every=0)) == [
        "eval_every must be at least 1 where patience counts evaluations, not 0"
    ]
    data = points(tmp_path, num=64)
    for changes, said in (({"patience": 2}, "patience 2"), ({"best_by": "held-out"}, "best_by held-out")):
        settings = dataclasses.replace(SETTINGS, data=data, input=DataOptions(held_out=0.0), **changes)
        with pytest.raises(UsageError, match=f"{said} needs held-out rows, of which there are 0"):
            runs.begin(settings, tmp_path / "run")
    packed = dataclasses.replace(SETTINGS, data=points(tmp_path, num=20), packing=4, batch_size=8, best_by="exact")
    with pytest.raises(UsageError, match="best_by exact needs held-out rows, of which there are 2"):
        runs.begin(packed, tmp_path / "run")
    assert not (tmp_path / "run").exists()
