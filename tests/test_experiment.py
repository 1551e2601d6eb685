import dataclasses
import errno
import itertools
import json
import os
import shutil
import signal
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import kill_and_resume
from wgan import checkpoints, experiment
from wgan.data import open_data
from wgan.errors import CheckpointError, Interrupted, NumericError, UsageError
from wgan.experiment import Experiment, running
from wgan.metrics import Judge
from wgan.settings import DataOptions, Settings, from_toml

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


@pytest.fixture(scope="module")
def straight(tmp_path_factory) -> Path:
    """A run that was never stopped."""
    directory = tmp_path_factory.mktemp("straight") / "run"
    finish(experiment.begin(SETTINGS, directory))
    return directory


@pytest.fixture
def finished(straight, tmp_path) -> Path:
    return Path(shutil.copytree(straight, tmp_path / "run"))


def test_a_run_leaves_what_it_promises(straight):
    assert from_toml(straight / "settings.toml") == SETTINGS
    assert json.loads((straight / "source.json").read_text())["codec"]["kind"] == "points"
    assert json.loads((straight / "environment.json").read_text())["torch"] == torch.__version__
    assert checkpoints.steps_saved(straight / "checkpoints")[-2:] == [50, 60]
    assert sorted(path.name for path in (straight / "samples").iterdir()) == [
        *(f"000000{step:02}.npy" for step in (0, 20, 40, 60)),
        "real.npy",
    ]
    for name in ("00000060.npy", "real.npy"):
        assert np.load(straight / "samples" / name).shape == (1000, 2)
    lines = records(straight)
    assert [line["step"] for line in lines] == list(range(5, 61, 5))
    assert [line["step"] for line in lines if "score" in line] == [20, 40, 60]
    assert {"estimate", "critic_loss", "generator_loss", "w1", "w1_floor", "modes", "high_quality"} < set(lines[-1])
    best = min((line for line in lines if "score" in line), key=lambda line: line["score"])
    assert checkpoints.read_best(straight / "checkpoints") == checkpoints.Best(best["step"], best["score"])
    told = [json.loads(line) for line in (straight / "events.jsonl").read_text().splitlines()]
    assert [told[0]["event"], told[-1]["event"]] == ["started", "finished"]
    assert [line["step"] for line in told if line["event"] == "saved"] == list(range(0, 61, 10))
    assert 0 < told[-1]["seconds"] < 60


def test_progress_says_what_was_done(tmp_path):
    settings = dataclasses.replace(SETTINGS, steps=20)
    found = finish(experiment.begin(settings, tmp_path / "run"))
    assert [progress.step for progress in found] == list(range(1, 21))
    assert [progress.step for progress in found if progress.record] == [5, 10, 15, 20]
    assert [progress.saved for progress in found if progress.saved] == [
        tmp_path / "run" / "checkpoints" / name for name in ("00000010", "00000020")
    ]
    assert found[-1].evaluation is not None
    assert found[-1].record == {"step": 20, **found[-1].evaluation} | {
        name: found[-1].record[name] for name in ("estimate", "critic_loss", "generator_loss")
    }


def test_the_same_settings_give_the_same_bytes(straight, tmp_path):
    finish(experiment.begin(SETTINGS, tmp_path / "run"))
    assert tree(tmp_path / "run") == tree(straight)


@pytest.mark.parametrize(
    ("step", "number"), [(1, signal.SIGTERM), (20, signal.SIGINT), (37, signal.SIGUSR1), (59, signal.SIGTERM)]
)
def test_a_stopped_run_resumes_to_the_same_bytes(straight, tmp_path, step, number):
    stop_at(experiment.begin(SETTINGS, tmp_path / "run"), step, number)
    assert checkpoints.steps_saved(tmp_path / "run" / "checkpoints")[-1] == step
    finish(experiment.resume(tmp_path / "run"))
    assert tree(tmp_path / "run") == tree(straight)
    assert [line["step"] for line in events(tmp_path / "run", "resumed")] == [step]


def test_a_signal_before_the_first_update_is_answered(straight, tmp_path):
    before = signal.getsignal(signal.SIGTERM)
    with experiment.begin(SETTINGS, tmp_path / "run") as run:
        ask(signal.SIGTERM)()
        with pytest.raises(Interrupted, match="after 0 of 60"):
            list(run.run())
        assert signal.getsignal(signal.SIGTERM) == before
    finish(experiment.resume(tmp_path / "run"))
    assert tree(tmp_path / "run") == tree(straight)


def test_a_signal_after_the_last_step_does_not_make_it_unfinished(tmp_path):
    run_and(experiment.begin(dataclasses.replace(SETTINGS, steps=10), tmp_path / "run"), 10, ask(signal.SIGTERM))
    assert events(tmp_path / "run", "finished")


def test_a_stop_while_judging_is_saved_at_once_and_judged_on_resuming(straight, tmp_path, monkeypatch):
    call, calls = Judge.__call__, itertools.count(1)

    def slow(self: Judge, draw: Callable[[int], torch.Tensor]) -> dict[str, float]:
        if next(calls) == 2:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(20)
        return call(self, draw)

    monkeypatch.setattr(Judge, "__call__", slow)
    monkeypatch.setattr(running, "_PATIENCE", 0.1)
    began = time.monotonic()
    with experiment.begin(SETTINGS, tmp_path / "run") as run, pytest.raises(Interrupted, match="after 40 of 60"):
        list(run.run())
    assert time.monotonic() - began < 10
    assert [line["step"] for line in records(tmp_path / "run")][-1] == 35
    found = finish(experiment.resume(tmp_path / "run"))
    assert [progress.step for progress in found][:2] == [40, 41]
    assert tree(tmp_path / "run") == tree(straight)


@pytest.mark.parametrize("step", [20, 23])
def test_a_slow_update_is_broken_off_and_done_again(straight, tmp_path, monkeypatch, step):
    monkeypatch.setattr(running, "SLOW_STEP", 0.0)
    source = open_data("ring", DataOptions(), seed=0)
    sample = source.sample
    run = experiment.begin(SETTINGS, tmp_path / "run", source=source)

    def hang(size: int, rng: torch.Generator) -> object:
        if run.game.steps_done == step:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(20)
        return sample(size, rng)

    monkeypatch.setattr(source, "sample", hang)
    began = time.monotonic()
    with run, pytest.raises(Interrupted, match=f"after {step} of 60"):
        list(run.run())
    assert time.monotonic() - began < 10
    finish(experiment.resume(tmp_path / "run"))
    assert tree(tmp_path / "run") == tree(straight)


def test_a_second_interrupt_ends_at_once_with_the_old_checkpoint_valid(tmp_path, monkeypatch):
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)]
    sync = os.fsync

    def interrupt(descriptor: int) -> None:
        ask(signal.SIGINT)()
        sync(descriptor)

    def interrupt_twice() -> None:
        monkeypatch.setattr(os, "fsync", interrupt)
        ask(signal.SIGINT)()

    run = experiment.begin(SETTINGS, tmp_path / "run")
    with pytest.raises(KeyboardInterrupt):
        run_and(run, 33, interrupt_twice)
    after = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)]
    assert after == before
    assert checkpoints.load(tmp_path / "run" / "checkpoints").step == 30
    assert not list((tmp_path / "run" / "checkpoints").glob(".*"))


def test_what_a_kill_may_leave_is_put_right(straight, tmp_path):
    directory = tmp_path / "run"
    stop_at(experiment.begin(SETTINGS, directory), 30)
    with (directory / "metrics.jsonl").open("a") as file:
        file.write('{"step": 35, "estimate": 0.')
    with (directory / "events.jsonl").open("a") as file:
        file.write('{"time": 17')
    (directory / "samples" / "00000040.npy").write_bytes(b"later")
    (directory / "samples" / ".wgan-00.part").write_bytes(b"half")
    (directory / ".tmp-settings.toml-00").write_bytes(b"half")
    (directory / "checkpoints" / ".tmp-00000040-00").mkdir()
    (directory / "lock").write_text("12345")
    with experiment.resume(directory) as run:
        assert not (directory / "samples" / "00000040.npy").exists()
        list(run.run())
    assert tree(directory) == tree(straight)


def test_a_damaged_checkpoint_costs_a_few_steps_and_says_so(straight, tmp_path):
    directory = tmp_path / "run"
    stop_at(experiment.begin(SETTINGS, directory), 45)
    file = directory / "checkpoints" / "00000045" / "tensors.safetensors"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.warns(checkpoints.CheckpointWarning, match=r"00000045' is damaged.*falling back to step 40"):
        run = experiment.resume(directory)
    finish(run)
    assert "00000045' is damaged" in events(directory, "warning")[0]["message"]
    shutil.rmtree(directory / "checkpoints" / "damaged-00000045")
    assert tree(directory) == tree(straight)


def test_killed_runs_resume_to_the_same_bytes():
    settings = dataclasses.replace(kill_and_resume.SETTINGS, steps=40, judge_every=20)
    for trial in kill_and_resume.trials(2, seed=0, settings=settings):
        assert trial.differing == ()


def test_lost_lines_of_the_record_are_told(tmp_path):
    directory = tmp_path / "run"
    stop_at(experiment.begin(SETTINGS, directory), 30)
    (directory / "metrics.jsonl").write_bytes(b"")
    with pytest.warns(experiment.RunWarning, match="lines of it are lost"):
        experiment.resume(directory).close()


def test_a_finished_run_wants_more_steps(finished):
    with pytest.raises(UsageError, match="has done all its 60 steps"):
        experiment.resume(finished)
    with pytest.raises(UsageError, match="60 are done: 50 would be fewer"):
        experiment.resume(finished, steps=50)
    with pytest.warns(experiment.RunWarning, match="the linear decay of the learning rates now runs to step 80"):
        run = experiment.resume(finished, steps=80)
    assert [progress.step for progress in finish(run)] == list(range(61, 81))
    assert from_toml(finished / "settings.toml").steps == 80
    assert "linear decay" in events(finished, "warning")[0]["message"]
    assert [line["step"] for line in records(finished)][-2:] == [75, 80]


def test_a_run_killed_before_it_could_say_that_it_has_finished_may_say_so(finished):
    lines = (finished / "events.jsonl").read_text().splitlines(keepends=True)
    (finished / "events.jsonl").write_text("".join(lines[:-1]))
    assert finish(experiment.resume(finished)) == []
    assert events(finished, "finished")


@pytest.mark.parametrize("name", ["<script>", "..", ".", ".hidden", "-x", "a\nb", "a'b", "a" * 300, "a\udc80"])
def test_a_name_that_needs_quoting_is_refused(tmp_path, name):
    with pytest.raises(UsageError, match="a run cannot be named"):
        experiment.begin(SETTINGS, Path(name) if name == "." else tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_unusual_harmless_names_are_taken(tmp_path):
    experiment.begin(SETTINGS, tmp_path / "Ringe für Zoë, 2 (λ=.1)").close()


def test_an_unwritable_directory_is_refused_before_the_data_is_read(tmp_path, monkeypatch):
    def read(*args: object, **options: object) -> None:
        raise AssertionError("the data was read")

    monkeypatch.setattr("wgan.experiment.opening.open_data", read)
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"run' cannot be made: Not a directory"):
        experiment.begin(SETTINGS, tmp_path / "file" / "run")
    with pytest.raises(UsageError, match=r"file' cannot be made: there is a file of that name"):
        experiment.begin(SETTINGS, tmp_path / "file")
    (tmp_path / "there").mkdir()
    mkdir = Path.mkdir

    def refuse(path: Path, *args: object, **options: object) -> None:
        if path.parent.name == "there":
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        mkdir(path, *args, **options)

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(UsageError, match=r"there' cannot be written: Read-only file system"):
        experiment.begin(SETTINGS, tmp_path / "there")


def test_a_directory_that_is_taken_is_refused_and_left_alone(finished):
    before = tree(finished)
    with pytest.raises(UsageError, match="holds a run already") as caught:
        experiment.begin(SETTINGS, finished)
    assert f"wgan train --resume {finished}" in caught.value.remedy
    assert tree(finished) == before
    other = finished.parent / "photos"
    other.mkdir()
    (other / "settings.toml").write_text("mine")
    with pytest.raises(UsageError, match="is not empty and holds no run"):
        experiment.begin(SETTINGS, other)
    assert [path.name for path in other.iterdir()] == ["settings.toml"]


def test_a_second_run_in_one_directory_is_refused(tmp_path):
    with experiment.begin(SETTINGS, tmp_path / "run"):
        with pytest.raises(UsageError, match=f"process {os.getpid()} is training in it"):
            experiment.begin(SETTINGS, tmp_path / "run")
        with pytest.raises(UsageError, match=f"process {os.getpid()} is training in it"):
            experiment.resume(tmp_path / "run")
    experiment.resume(tmp_path / "run").close()


def test_a_run_that_cannot_begin_leaves_no_trace(tmp_path):
    bad = dataclasses.replace(SETTINGS, data=str(tmp_path / "missing.npy"))
    with pytest.raises(UsageError, match="neither a built-in data set nor an existing path"):
        experiment.begin(bad, tmp_path / "runs" / "new")
    with pytest.raises(UsageError, match="objective 'wassers' is not known"):
        experiment.begin(dataclasses.replace(SETTINGS, objective="wassers"), tmp_path / "new")
    assert list(tmp_path.iterdir()) == []


def test_a_killed_beginning_can_be_begun_again(tmp_path):
    directory = tmp_path / "run"
    (directory / "checkpoints" / ".tmp-00000000-00").mkdir(parents=True)
    (directory / "lock").write_text("12345")
    (directory / "settings.toml").write_text("half")
    (directory / "events.jsonl").write_text('{"time"')
    with pytest.raises(UsageError, match="it has no checkpoint"):
        experiment.resume(directory)
    experiment.begin(SETTINGS, directory).close()
    assert checkpoints.load(directory / "checkpoints").step == 0


def test_runs_are_numbered(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save(tmp_path / "My data<1>.npy", np.random.default_rng(0).normal(size=(64, 2)))
    names = []
    for data in ("ring", "ring", "My data<1>.npy"):
        with experiment.begin(dataclasses.replace(SETTINGS, data=data, recipe="toy")) as run:
            names.append(str(run.directory))
            assert Path(run.settings.data).is_absolute() == (data != "ring")
    assert names == ["runs/ring-toy-001", "runs/ring-toy-002", "runs/My-data-1--toy-001"]


def points(directory: Path, num: int = 64, columns: int = 2, seed: int = 0) -> str:
    path = directory / f"points-{num}-{columns}-{seed}.npy"
    np.save(path, np.random.default_rng(seed).normal(size=(num, columns)).astype(np.float32))
    return str(path)


def test_a_batch_larger_than_the_data_is_refused_with_the_largest(tmp_path):
    settings = dataclasses.replace(SETTINGS, data=points(tmp_path, num=20), batch_size=64)
    with pytest.raises(UsageError, match=r"batch_size 64 is more than .* has to train on: 18") as caught:
        experiment.begin(settings, tmp_path / "run")
    assert caught.value.remedy == "The largest batch size is 18."
    experiment.begin(dataclasses.replace(settings, batch_size=18), tmp_path / "run").close()


def test_without_held_out_rows_there_is_no_judge_and_no_best(tmp_path):
    settings = dataclasses.replace(SETTINGS, data=points(tmp_path), input=DataOptions(held_out=0.0), steps=20)
    with pytest.warns(experiment.RunWarning, match="no rows are held out"):
        run = experiment.begin(settings, tmp_path / "run")
    finish(run)
    assert "score" not in records(tmp_path / "run")[-1]
    with pytest.raises(CheckpointError, match="none was judged"):
        experiment.load(tmp_path / "run", checkpoint="best")


def test_other_data_is_refused_field_by_field(tmp_path):
    directory = tmp_path / "run"
    settings = dataclasses.replace(SETTINGS, data=points(tmp_path))
    experiment.begin(settings, directory).close()
    before = tree(directory)

    def resume_with(data: str) -> None:
        experiment.resume(directory, source=open_data(data, DataOptions(), seed=0))

    with pytest.raises(CheckpointError, match=r"not what the run .* was begun with: .*columns: 3, was 2"):
        resume_with(points(tmp_path, columns=3))
    with pytest.raises(CheckpointError, match=r"was begun with: "):
        resume_with(points(tmp_path, seed=1))
    assert tree(directory) == before
    experiment.resume(directory).close()


@pytest.mark.parametrize(
    ("old", "new", "difference"),
    [
        (
            'generator = "mlp:width=16,depth=2"',
            'generator = "mlp:width=8,depth=2"',
            "generator: mlp:width=8,depth=2, was ",
        ),
        ("noise_size = 2", "noise_size = 3", "noise_size: 3, was 2"),
    ],
)
def test_another_network_is_refused_field_by_field(finished, old, new, difference):
    path = finished / "settings.toml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new).replace("steps = 60", "steps = 70"))
    for use in (experiment.resume, experiment.load):
        with pytest.raises(CheckpointError, match=difference):
            use(finished)


def test_tensors_of_another_shape_are_listed(finished):
    saved = checkpoints.load(finished / "checkpoints")
    name = "generator.body.0.weight"
    assert name in saved.tensors
    checkpoints.save(finished / "checkpoints", 60, saved.tensors | {name: torch.zeros(4, 4)}, saved.facts)
    with pytest.raises(CheckpointError, match=rf"another network: {name}: 16x2, was 4x4"):
        experiment.load(finished)


class Spoilt:
    """A source whose rows become NaN from a given update on."""

    def __init__(self, step: int) -> None:
        self._inner, self.step, self.game = open_data("ring", DataOptions(), seed=0), step, None

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)

    def sample(self, size: int, rng: torch.Generator) -> object:
        batch = self._inner.sample(size, rng)
        if self.game is not None and self.game.steps_done >= self.step:
            batch.values[0, 0] = float("nan")
        return batch


def test_nan_is_found_within_one_recorded_step_and_never_saved(tmp_path):
    source = Spoilt(23)
    with experiment.begin(SETTINGS, tmp_path / "run", source=source) as run:
        source.game = run.game
        with pytest.raises(NumericError, match=r"diverged at step 25: the estimate is nan\. .*/00000020\n") as caught:
            list(run.run())
    assert "learning rates are too high (0.002 " in caught.value.remedy
    assert records(tmp_path / "run")[-1]["step"] == 20
    assert "diverged at step 25" in events(tmp_path / "run", "warning")[0]["message"]
    assert checkpoints.load(tmp_path / "run" / "checkpoints").step == 20


def test_a_state_that_is_not_finite_is_never_saved(tmp_path):
    with experiment.begin(SETTINGS, tmp_path / "run") as run:
        next(updates := run.run())
        slots = run.game.critic_optimizer.state_dict()["state"][0]
        slots["exp_avg_sq"][0] = float("inf")
        with pytest.raises(NumericError, match=r"'critic_optimizer\.0\.exp_avg_sq' is not finite"):
            run.save()
        updates.close()


@pytest.mark.parametrize(
    "changes",
    [
        {"generator_optimizer": "rmsprop:rate=1000", "critic_optimizer": "rmsprop:rate=1000"},
        {"generator_optimizer": "rmsprop:rate=1000", "critic_optimizer": "rmsprop:rate=1000", "constraint": "clipping"},
        {"generator_optimizer": "rmsprop:rate=1000", "critic_optimizer": "rmsprop", "constraint": "clipping"},
        {"generator_optimizer": "rmsprop", "critic_optimizer": "rmsprop:rate=1000", "constraint": "clipping"},
        {"generator_optimizer": "adam:rate=1000"},
        {"critic_optimizer": "adam:rate=1000"},
        {"critic_optimizer": "adam:rate=1000", "constraint": "spectral"},
        {"generator_optimizer": "adam:rate=1000", "decay": "cosine", "steps": 2, "record_every": 100},
    ],
)
def test_a_learning_rate_of_a_thousand_never_finishes(tmp_path, changes):
    run = experiment.begin(dataclasses.replace(SETTINGS, **({"steps": 12} | changes)), tmp_path / "run")
    with run, pytest.raises(NumericError, match=r"diverged at step .*/00000000\n") as caught:
        list(run.run())
    assert "learning rates are too high" in caught.value.remedy
    assert not events(tmp_path / "run", "finished")


def test_a_full_disk_ends_the_run_with_the_old_checkpoint_valid(straight, tmp_path, monkeypatch):
    usage = shutil.disk_usage
    run = experiment.begin(SETTINGS, tmp_path / "run")

    def fill() -> None:
        monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(path)._replace(free=7))

    with pytest.raises(CheckpointError, match="and 7 are free"):
        run_and(run, 25, fill)
    monkeypatch.setattr(shutil, "disk_usage", usage)
    assert checkpoints.steps_saved(tmp_path / "run" / "checkpoints")[-1] == 20
    finish(experiment.resume(tmp_path / "run"))
    assert tree(tmp_path / "run") == tree(straight)


def test_a_smaller_draw_is_the_beginning_of_a_larger_one(straight):
    trained = experiment.load(straight)
    assert (trained.step, trained.settings, trained.layout.shape) == (60, SETTINGS, (2,))
    few, many = trained.values(3, seed=5), trained.values(9_000, seed=5)
    assert torch.equal(few, many[:3])
    assert not torch.equal(few, trained.values(3, seed=6))
    assert not torch.equal(many[:808], many[8192:])
    assert np.array_equal(trained.sample(9_000, seed=5), np.concatenate(list(trained.generate(9_000, seed=5))))
    assert [len(block) for block in itertools.islice(trained.generate(10**9), 2)] == [8192, 8192]


@pytest.mark.parametrize("num", [0, -1])
def test_no_samples_cannot_be_drawn(straight, num):
    trained = experiment.load(straight)
    for draw in (trained.generate, trained.sample, trained.values):
        with pytest.raises(UsageError, match=f"must be at least 1, not {num}"):
            draw(num)


def test_samples_need_no_data_and_come_from_the_average(tmp_path):
    data = points(tmp_path)
    finish(experiment.begin(dataclasses.replace(SETTINGS, data=data, steps=10), tmp_path / "run"))
    Path(data).unlink()
    trained = experiment.load(tmp_path / "run")
    before = trained.values(4)
    for weight in trained.game.generator.parameters():
        weight.data.zero_()
    assert torch.equal(trained.values(4), before)
    with pytest.raises(UsageError, match="existing path"):
        experiment.evaluate(tmp_path / "run")


def test_evaluating_repeats_what_the_run_found(straight):
    best = checkpoints.read_best(straight / "checkpoints")
    assert best is not None
    found = {line["step"]: line for line in records(straight) if "score" in line}
    for which, step in (("last", 60), ("best", best.step)):
        judged = experiment.evaluate(straight, checkpoint=which)
        assert judged == {name: found[step][name] for name in judged}


def test_a_path_that_is_no_run_is_refused(tmp_path):
    for use in (experiment.resume, experiment.load, experiment.evaluate):
        with pytest.raises(UsageError, match="no such directory"):
            use(tmp_path / "nothing")
        with pytest.raises(UsageError, match="it has no checkpoint"):
            use(tmp_path)


def test_loading_a_run_that_goes_on_disturbs_nothing(straight, tmp_path):
    with experiment.begin(SETTINGS, tmp_path / "run") as run:
        for progress in run.run():
            if progress.step % 7 == 0:
                with warnings.catch_warnings():
                    warnings.simplefilter("error")
                    assert experiment.load(tmp_path / "run").step == progress.step // 10 * 10
    assert tree(tmp_path / "run") == tree(straight)


def test_data_in_memory_cannot_be_opened_again_and_that_is_said(tmp_path):
    source = open_data(np.random.default_rng(0).normal(size=(200, 2)), SETTINGS.input, seed=0, cache=None)
    settings = dataclasses.replace(SETTINGS, data="<ndarray in memory>", steps=5)
    finish(experiment.begin(settings, tmp_path / "run", source=source))
    with pytest.raises(UsageError, match="trained on data in memory, <ndarray in memory>, which is not there any more"):
        experiment.evaluate(tmp_path / "run")
    assert experiment.evaluate(tmp_path / "run", source=source)["w1"] > 0
