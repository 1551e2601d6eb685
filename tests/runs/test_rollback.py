"""Runs that diverge go back to the last good checkpoint, or end if that does not help."""

import contextlib
import dataclasses
import signal
import time
import warnings
from pathlib import Path

import pytest
import torch
from small_runs import SETTINGS, ask, events, finish, records, run_and, stop_at, tree

from wgan import runs
from wgan.data import open_data
from wgan.errors import Interrupted, NumericError
from wgan.evaluation.metrics import SampleEvaluator
from wgan.objectives import Wasserstein
from wgan.runs import checkpoints, divergence
from wgan.runs.saver import Saver
from wgan.settings import DataOptions


class Spoilt:
    """A source whose rows become NaN from a given update on, until there were so many rollbacks."""

    def __init__(self, step: int, rollbacks: float = float("inf")) -> None:
        self._inner, self.step, self.game = open_data("ring", DataOptions(), seed=0), step, None
        self.rollbacks = rollbacks

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)

    def sample(self, size: int, rng: torch.Generator) -> object:
        batch = self._inner.sample(size, rng)
        game = self.game
        if game is not None and game.steps_done >= self.step and game.rollbacks < self.rollbacks:
            batch.values[0, 0] = float("nan")
        return batch


NO_RETURN = dataclasses.replace(SETTINGS, rollbacks=0)


def test_nan_is_detected_within_one_recorded_step_and_never_saved(tmp_path):
    source = Spoilt(23)
    with runs.begin(NO_RETURN, tmp_path / "run", source=source) as run:
        source.game = run.game
        with pytest.raises(NumericError, match=r"diverged at step 25: the estimate is nan\. .*/00000020\n") as caught:
            list(run.run())
    assert "learning rates are too high (0.002 " in caught.value.remedy
    assert records(tmp_path / "run")[-1]["step"] == 20
    assert [line["step"] for line in events(tmp_path / "run", "diverged")] == [25]
    assert "diverged at step 25" in events(tmp_path / "run", "diverged")[0]["message"]
    assert checkpoints.load(tmp_path / "run" / "checkpoints").step == 20


def test_a_state_that_is_not_finite_is_never_saved(tmp_path):
    with runs.begin(SETTINGS, tmp_path / "run") as run:
        next(updates := run.run())
        slots = run.game.critic_optimizer.state_dict()["state"][0]
        slots["exp_avg_sq"][0] = float("inf")
        with pytest.raises(NumericError, match=r"'critic_optimizer\.0\.exp_avg_sq' is not finite"):
            run.save()
        updates.close()


@pytest.mark.parametrize(
    "changes",
    [
        {"generator_optimizer": "rmsprop:lr=1000", "critic_optimizer": "rmsprop:lr=1000"},
        {"generator_optimizer": "rmsprop:lr=1000", "critic_optimizer": "rmsprop:lr=1000", "constraint": "clipping"},
        {"generator_optimizer": "rmsprop:lr=1000", "critic_optimizer": "rmsprop", "constraint": "clipping"},
        {"generator_optimizer": "rmsprop", "critic_optimizer": "rmsprop:lr=1000", "constraint": "clipping"},
        {"generator_optimizer": "adam:lr=1000"},
        {"critic_optimizer": "adam:lr=1000"},
        {"critic_optimizer": "adam:lr=1000", "constraint": "spectral"},
        {"generator_optimizer": "adam:lr=1000", "lr_schedule": "cosine", "steps": 2, "log_every": 100},
    ],
)
def test_a_learning_rate_of_a_thousand_never_finishes(tmp_path, changes):
    run = runs.begin(dataclasses.replace(SETTINGS, **({"steps": 12} | changes)), tmp_path / "run")
    with run, pytest.raises(NumericError, match=r"diverged at step .*/00000000\n") as caught:
        list(run.run())
    assert "learning rates are too high" in caught.value.remedy
    assert not events(tmp_path / "run", "finished")


def spoilt(step: int = 23, rollbacks: float = 1, settings=SETTINGS, directory: Path | None = None):
    """A run whose data becomes NaN; begun, or resumed without settings."""
    source = Spoilt(step, rollbacks)
    run = runs.begin(settings, directory, source=source) if settings else runs.resume(directory, source=source)
    source.game = run.game
    return run


SAID = (
    "training diverged at step 25: the estimate is nan; going back to step 20 with other random draws and half the "
    r"learning rates \(0.001 for the generator, 0.001 for the critic\): rollback 1 of 3"
)


def test_a_diverged_run_rolls_back_with_a_warning_and_finishes(tmp_path):
    directory = tmp_path / "run"
    with pytest.warns(runs.RunWarning, match=SAID) as said:
        found = finish(spoilt(directory=directory))
    assert len(said) == 1
    steps = [progress.step for progress in found]
    assert steps[19:27] == [20, 21, 22, 23, 24, 20, 21, 22]
    assert steps[-1] == 60
    (back,) = [progress for progress in found if progress.went_back]
    assert (back.step, back.record, back.went_back) == (20, None, str(said[0].message))
    (noted,) = events(directory, "rolled-back")
    assert (noted["step"], noted["to"], noted["message"]) == (25, 20, str(said[0].message))
    assert [line["step"] for line in records(directory)] == list(range(5, 61, 5))
    assert [line["step"] for line in records(directory) if "rollbacks" in line] == list(range(25, 61, 5))
    assert checkpoints.load(directory / "checkpoints").facts["game"]["rollbacks"] == 1
    assert events(directory, "finished")


def test_after_a_rollback_draws_differ_and_rates_are_halved(straight, tmp_path):
    rates = []
    with ignored(), spoilt(directory=tmp_path / "run") as run:
        for progress in run.run():
            if progress.step == 31:
                rates += [group["lr"] for group in run.game.critic_optimizer.param_groups]
    assert rates == [pytest.approx(0.002 * 0.5 * (1 - 30 / 60))]
    ours, theirs = records(tmp_path / "run"), records(straight)
    assert ours[3] == theirs[3]
    assert all(mine["estimate"] != other["estimate"] for mine, other in zip(ours[4:], theirs[4:], strict=True))


@contextlib.contextmanager
def ignored():
    """Ignore warnings within the block."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", runs.RunWarning)
        yield


@pytest.fixture(scope="module")
def went_back(tmp_path_factory) -> Path:
    """A run that diverged once and was never stopped."""
    directory = tmp_path_factory.mktemp("back") / "run"
    with ignored():
        finish(spoilt(directory=directory))
    return directory


# At step 24 the state has diverged, which only the stop detects.
@pytest.mark.parametrize(("step", "saved"), [(22, 22), (24, 20), (33, 33)])
def test_a_stop_before_or_after_it_leaves_no_trace(went_back, tmp_path, step, saved):
    with ignored():
        with pytest.raises(Interrupted, match=f"after {saved} of 60"):
            run_and(spoilt(directory=tmp_path / "run"), step, ask(signal.SIGTERM))
        finish(spoilt(settings=None, directory=tmp_path / "run"))
    assert tree(tmp_path / "run") == tree(went_back)


@pytest.mark.parametrize("saved", [False, True])
def test_a_run_killed_right_after_a_rollback_gives_the_same_bytes(went_back, tmp_path, monkeypatch, saved):
    """Before the state after the rollback is saved, and after."""

    class Killed(BaseException):
        pass

    save = Saver.save

    def die(self, **given):
        if self._context.game.rollbacks:
            if saved:
                save(self, **given)
            raise Killed
        return save(self, **given)

    monkeypatch.setattr(Saver, "save", die)
    with ignored(), pytest.raises(Killed):
        finish(spoilt(directory=tmp_path / "run"))
    monkeypatch.undo()
    found = checkpoints.load(tmp_path / "run" / "checkpoints")
    assert (found.step, found.facts["game"]["rollbacks"]) == (20, int(saved))
    with ignored():
        finish(spoilt(settings=None, directory=tmp_path / "run"))
    assert tree(tmp_path / "run") == tree(went_back)
    assert len(events(tmp_path / "run", "rolled-back")) == (1 if saved else 2)


def test_after_the_last_rollback_the_run_ends(tmp_path):
    directory = tmp_path / "run"
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always", runs.RunWarning)
        with spoilt(rollbacks=float("inf"), directory=directory) as run, pytest.raises(NumericError) as caught:
            list(run.run())
    assert "step 25: the estimate is nan. The last good checkpoint after 3 rollbacks is" in str(caught.value)
    assert f"{directory}/checkpoints/00000020" in str(caught.value)
    assert "too high (0.00025 for the generator, 0.00025 for the critic)" in caught.value.remedy
    assert [str(line.message)[-15:] for line in said] == [f"rollback {count} of 3" for count in (1, 2, 3)]
    assert [line["to"] for line in events(directory, "rolled-back")] == [20, 20, 20]
    assert [line["step"] for line in events(directory, "diverged")] == [25]
    assert records(directory)[-1]["step"] == 20
    # Resuming cannot help, and raises at once.
    with pytest.raises(NumericError, match="after 3 rollbacks"):
        finish(spoilt(rollbacks=float("inf"), settings=None, directory=directory))


def test_samples_and_diagnoses_after_the_checkpoint_are_removed(tmp_path, monkeypatch):
    """The update that diverges comes after a sample sheet and a diagnosis, which are removed too."""
    monkeypatch.setattr("wgan.runs.schedule.MIN_UPDATES_BETWEEN", 1)
    monkeypatch.setattr("wgan.runs.schedule.MIN_DIAGNOSES", 1)
    monkeypatch.setattr("wgan.runs.schedule.early_diagnoses", lambda settings: frozenset())
    settings = dataclasses.replace(SETTINGS, sample_every=22, save_every=20, eval_every=20)
    fault, found = divergence.fault_of, []

    def late(game, parts, numbers, scale):
        if game.steps_done == 35 and not game.rollbacks:
            found.append(sorted(path.name for path in (tmp_path / "run" / "samples").iterdir()))
            return "it is enough"
        return fault(game, parts, numbers, scale)

    monkeypatch.setattr(divergence, "fault_of", late)
    with ignored(), runs.begin(settings, tmp_path / "run") as run:
        for progress in run.run():
            if progress.went_back:
                left = sorted(path.name for path in (tmp_path / "run" / "samples").iterdir())
                assert [line["step"] for line in records(tmp_path / "run")] == [5, 10, 15, 20]
    assert "00000022.npy" in found[0]
    assert "00000022.npy" not in left
    assert [line["step"] for line in records(tmp_path / "run") if "verdict" in line] == [20, 40, 60]


def test_a_numeric_error_within_an_update_is_a_divergence(tmp_path, monkeypatch):
    estimate, games = Wasserstein.estimate, []

    def fail_once(self, real, fake):
        if games[0].steps_done == 33 and not games[0].rollbacks:
            raise NumericError("scores that are not finite")
        return estimate(self, real, fake)

    monkeypatch.setattr(Wasserstein, "estimate", fail_once)
    run = runs.begin(SETTINGS, tmp_path / "run")
    games.append(run.game)
    with pytest.warns(runs.RunWarning, match="at step 34: scores that are not finite; going back to step 30"):
        assert finish(run)[-1].step == 60


def test_a_rollback_skips_checkpoints_of_stops(went_back, tmp_path):
    directory = tmp_path / "run"
    stop_at(spoilt(directory=directory), 22)
    assert checkpoints.steps_saved(directory / "checkpoints")[-1] == 22
    run = spoilt(settings=None, directory=directory)
    with pytest.warns(runs.RunWarning, match="diverged at step 25: .* going back to step 20"):
        finish(run)
    assert tree(directory) == tree(went_back)


def test_a_rollback_skips_the_checkpoint_of_the_diverged_state(tmp_path, monkeypatch):
    """A stop during the evaluation saved it before its numbers were checked."""
    directory, call = tmp_path / "run", SampleEvaluator.__call__

    def stopped(self, draw, **options):
        ask(signal.SIGTERM)()
        time.sleep(5)
        return call(self, draw, **options)

    monkeypatch.setattr(SampleEvaluator, "__call__", stopped)
    monkeypatch.setattr("wgan.runs.run.GRACE_SECONDS", 0.1)
    with runs.begin(SETTINGS, directory) as run, pytest.raises(Interrupted, match="after 20 of 60"):
        list(run.run())
    monkeypatch.undo()
    fault = divergence.fault_of

    def at_first(game, *given):
        return fault(game, *given) if game.rollbacks else "it is no good"

    monkeypatch.setattr(divergence, "fault_of", at_first)
    run = runs.resume(directory)
    with pytest.warns(runs.RunWarning, match="diverged at step 20: it is no good; going back to step 10"):
        found = finish(run)
    assert [progress.step for progress in found][:2] == [10, 11]


def test_rates_too_high_to_halve_end_the_run(tmp_path, monkeypatch):
    monkeypatch.setattr(divergence, "fault_of", lambda *given: "it is no good")
    for lr, count in ((2.5, 0), (1.5, 3)):
        settings = dataclasses.replace(SETTINGS, critic_optimizer=f"adam:lr={lr}")
        with ignored(), pytest.raises(NumericError, match="it is no good"):
            finish(runs.begin(settings, tmp_path / str(lr)))
        assert len(events(tmp_path / str(lr), "rolled-back")) == count


def test_half_the_rate_lets_a_clipped_critic_train(tmp_path):
    """At 0.3 each update moves the weights across the box of width 0.02; at 0.15 it does not."""
    settings = dataclasses.replace(
        SETTINGS, steps=20, constraint="clipping:bound=0.01", critic_optimizer="rmsprop:lr=0.3"
    )
    run = runs.begin(settings, tmp_path / "run")
    with pytest.warns(runs.RunWarning, match="moves its weights across a box 0.02 wide; going back to step 0"):
        finish(run)
    assert records(tmp_path / "run")[-1]["rollbacks"] == 1


def test_a_run_that_never_diverged_records_no_rollbacks(straight):
    assert not any("rollbacks" in line for line in records(straight))
    assert events(straight, "rolled-back") == []
