"""Runs with the user's own parts: begun, stopped, resumed, sampled and evaluated."""

import dataclasses
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from small_runs import SETTINGS, ask, finish, run_and, tree
from tests.custom_parts import ADAMW, Drift, MyLoss, dense

from wgan import evaluate, load, resume, runs
from wgan.cli.main import main
from wgan.errors import CheckpointError, Interrupted, UsageError

SHORT = dataclasses.replace(SETTINGS, steps=20, eval_every=10, sample_every=10)


def parts():
    return {
        "objective": MyLoss(),
        "constraint": Drift(0.1),
        "generator": dense(2, 8, 2),
        "critic": dense(2, 8, 1),
        "critic_optimizer": ADAMW,
    }


@pytest.fixture(scope="module")
def own(tmp_path_factory) -> Path:
    directory = tmp_path_factory.mktemp("own") / "run"
    finish(runs.begin(SHORT, directory, parts=parts()))
    return directory


def test_a_stopped_run_resumes_as_if_never_stopped(own, tmp_path):
    run = runs.begin(SHORT, tmp_path / "run", parts=parts())
    with pytest.raises(Interrupted, match="stopped") as caught:
        run_and(run, 7, ask(signal.SIGTERM))
    assert f"in Python, with wgan.resume('{tmp_path / 'run'}', parts={{'objective': ...," in caught.value.remedy
    finish(resume(tmp_path / "run", parts=parts()))
    assert tree(own) == tree(tmp_path / "run")


def test_it_is_sampled_and_evaluated_with_its_parts(own):
    assert np.isfinite(load(own, parts=parts()).sample(5)).all()
    assert evaluate(own, parts=parts(), size=50)["score"] > 0


@pytest.mark.parametrize(
    "words", [["sample", "RUN", "--num", "3", "--out", "x.npy"], ["train", "--resume", "RUN", "--steps", "30"]]
)
def test_the_command_line_says_that_it_needs_python_and_how(own, words, capsys):
    assert main([str(own) if word == "RUN" else word for word in words]) == 2
    said = capsys.readouterr().err
    assert "trained with parts of the user's own, which no file holds: objective (MyLoss), constraint (Drift)" in said
    assert f"WGAN.load('{own}', objective=..., constraint=..., generator=..., critic=..., critic_optimizer=...)" in said
    assert f"with wgan.resume('{own}', parts={{'objective': ..., " in said


def test_its_settings_and_its_report_can_be_read(own, capsys, tmp_path):
    assert main(["report", str(own)]) == 0
    assert main(["train", "--settings", str(own / "settings.toml"), "--out", str(tmp_path / "new")]) == 2
    assert "a user's own object, which a file can only name" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


def test_other_parts_and_unknown_names_are_refused(own):
    other = torch.nn.Sequential(torch.nn.Linear(2, 8), torch.nn.Tanh(), torch.nn.Linear(8, 2))
    for changes in ({"generator": other}, {"constraint": Drift(0.2)}, {"generator_optimizer": ADAMW}):
        with pytest.raises(CheckpointError, match="not those of the run"):
            resume(own, steps=30, parts=parts() | changes)
    with pytest.raises(UsageError, match="there is no part 'critics'\nDid you mean 'critic'"):
        resume(own, steps=30, parts={"critics": other})


def test_a_run_whose_parts_do_not_fit_leaves_nothing(tmp_path):
    with pytest.raises(UsageError, match="your own critic"):
        runs.begin(SHORT, tmp_path / "run", parts=parts() | {"critic": dense(3, 1)})
    assert not (tmp_path / "run").exists()
