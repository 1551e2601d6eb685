"""Begin a run: the files that it writes, directories and data that are accepted or refused."""

import dataclasses
import errno
import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from small_runs import SETTINGS, events, finish, points, records, tree

from wgan import runs
from wgan.errors import CheckpointError, UsageError
from wgan.runs import checkpoints
from wgan.settings import DataOptions, from_toml


def test_a_run_writes_all_its_files(straight):
    assert from_toml(straight / "settings.toml") == SETTINGS
    assert json.loads((straight / "source.json").read_text())["codec"]["kind"] == "points"
    assert json.loads((straight / "environment.json").read_text())["torch"] == torch.__version__
    assert checkpoints.steps_saved(straight / "checkpoints")[-2:] == [50, 60]
    assert sorted(path.name for path in (straight / "samples").iterdir()) == [
        *(f"000000{step:02}.npy" for step in (0, 20, 40, 60)),
        "checksums.json",
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
    noted = [json.loads(line) for line in (straight / "events.jsonl").read_text().splitlines()]
    assert [noted[0]["event"], noted[-1]["event"]] == ["started", "finished"]
    assert [line["step"] for line in noted if line["event"] == "saved"] == list(range(0, 61, 10))
    assert 0 < noted[-1]["seconds"] < 60


def test_progress_reports_each_event(tmp_path):
    settings = dataclasses.replace(SETTINGS, steps=20)
    found = finish(runs.begin(settings, tmp_path / "run"))
    assert [progress.step for progress in found] == list(range(1, 21))
    assert [progress.step for progress in found if progress.record] == [5, 10, 15, 20]
    assert [progress.saved for progress in found if progress.saved] == [
        tmp_path / "run" / "checkpoints" / name for name in ("00000010", "00000020")
    ]
    assert found[-1].evaluation is not None
    assert found[-1].record is not None
    assert {"step": 20, **found[-1].evaluation}.items() <= found[-1].record.items()
    assert {"estimate", "critic_loss", "gradient_at_weights", "certified"} <= found[-1].record.keys()


def test_the_same_settings_give_the_same_bytes(straight, tmp_path):
    finish(runs.begin(SETTINGS, tmp_path / "run"))
    assert tree(tmp_path / "run") == tree(straight)


@pytest.mark.parametrize("name", ["<script>", "..", ".", ".hidden", "-x", "a\nb", "a'b", "a" * 300, "a\udc80"])
def test_a_name_that_needs_quoting_is_refused(tmp_path, name):
    with pytest.raises(UsageError, match="a run cannot be named"):
        runs.begin(SETTINGS, Path(name) if name == "." else tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_unusual_harmless_names_are_accepted(tmp_path):
    runs.begin(SETTINGS, tmp_path / "Ringe für Zoë, 2 (λ=.1)").close()


def test_an_unwritable_directory_is_refused_before_the_data_is_read(tmp_path, monkeypatch):
    def read(*args: object, **options: object) -> None:
        raise AssertionError("the data was read")

    monkeypatch.setattr("wgan.runs.data.open_data", read)
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"run' cannot be made: Not a directory"):
        runs.begin(SETTINGS, tmp_path / "file" / "run")
    with pytest.raises(UsageError, match=r"file' cannot be made: there is a file of that name"):
        runs.begin(SETTINGS, tmp_path / "file")
    (tmp_path / "there").mkdir()
    mkdir = Path.mkdir

    def refuse(path: Path, *args: object, **options: object) -> None:
        if path.parent.name == "there":
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        mkdir(path, *args, **options)

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(UsageError, match=r"there' cannot be written: Read-only file system"):
        runs.begin(SETTINGS, tmp_path / "there")


def test_a_directory_in_use_is_refused_and_unchanged(finished):
    before = tree(finished)
    with pytest.raises(UsageError, match="holds a run already") as caught:
        runs.begin(SETTINGS, finished)
    assert f"wgan train --resume {finished}" in caught.value.remedy
    assert tree(finished) == before
    other = finished.parent / "photos"
    other.mkdir()
    (other / "settings.toml").write_text("mine")
    with pytest.raises(UsageError, match="is not empty and holds no run"):
        runs.begin(SETTINGS, other)
    assert [path.name for path in other.iterdir()] == ["settings.toml"]


def test_a_second_run_in_one_directory_is_refused(tmp_path):
    with runs.begin(SETTINGS, tmp_path / "run"):
        with pytest.raises(UsageError, match=f"process {os.getpid()} is training in it"):
            runs.begin(SETTINGS, tmp_path / "run")
        with pytest.raises(UsageError, match=f"process {os.getpid()} is training in it"):
            runs.resume(tmp_path / "run")
    runs.resume(tmp_path / "run").close()


def test_a_run_that_cannot_begin_leaves_no_trace(tmp_path):
    bad = dataclasses.replace(SETTINGS, data=str(tmp_path / "missing.npy"))
    with pytest.raises(UsageError, match="neither a built-in data set nor an existing path"):
        runs.begin(bad, tmp_path / "runs" / "new")
    with pytest.raises(UsageError, match="objective 'wassers' is not known"):
        runs.begin(dataclasses.replace(SETTINGS, objective="wassers"), tmp_path / "new")
    assert list(tmp_path.iterdir()) == []


def test_a_run_killed_while_it_began_can_be_begun_again(tmp_path):
    directory = tmp_path / "run"
    (directory / "checkpoints" / ".tmp-00000000-00").mkdir(parents=True)
    (directory / "lock").write_text("12345")
    (directory / "settings.toml").write_text("half")
    (directory / "events.jsonl").write_text('{"time"')
    (directory / ".tmp-settings.toml-00").write_text("half")
    with pytest.raises(UsageError, match="it has no checkpoint"):
        runs.resume(directory)
    runs.begin(SETTINGS, directory).close()
    assert checkpoints.load(directory / "checkpoints").step == 0
    assert not list(directory.rglob(".tmp-*"))


def test_a_run_killed_before_its_lock_can_be_begun_again(tmp_path):
    directory = tmp_path / "run"
    (directory / ".tmp-probe-00").mkdir(parents=True)
    runs.begin(SETTINGS, directory).close()
    assert not list(directory.glob(".tmp-*"))
    (tmp_path / "photos" / ".tmp-of-mine").mkdir(parents=True)
    with pytest.raises(UsageError, match="is not empty and holds no run"):
        runs.begin(SETTINGS, tmp_path / "photos")


def test_runs_are_numbered(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save(tmp_path / "My data<1>.npy", np.random.default_rng(0).normal(size=(64, 2)))
    names = []
    for data in ("ring", "ring", "My data<1>.npy"):
        with runs.begin(dataclasses.replace(SETTINGS, data=data, recipe="grid")) as run:
            names.append(str(run.directory))
            assert Path(run.settings.data).is_absolute() == (data != "ring")
    assert names == ["runs/ring-grid-001", "runs/ring-grid-002", "runs/My-data-1--grid-001"]


def test_a_batch_larger_than_the_data_is_refused_with_the_largest(tmp_path):
    settings = dataclasses.replace(SETTINGS, data=points(tmp_path, num=20), batch_size=64)
    with pytest.raises(UsageError, match=r"batch_size 64 is more than .* has to train on: 18") as caught:
        runs.begin(settings, tmp_path / "run")
    assert caught.value.remedy == "The largest batch size is 18."
    runs.begin(dataclasses.replace(settings, batch_size=18), tmp_path / "run").close()


def test_a_default_batch_shrinks_to_the_data_with_a_warning(tmp_path):
    settings = dataclasses.replace(SETTINGS, data=points(tmp_path, num=20), batch_size=64, steps=2)
    with pytest.warns(runs.RunWarning, match="18 samples to train on: the batch size is 18, not 64"):
        run = runs.begin(settings, tmp_path / "run", shrink_batch=True)
    finish(run)
    assert from_toml(tmp_path / "run" / "settings.toml").batch_size == run.settings.batch_size == 18
    assert "batch size is 18" in events(tmp_path / "run", "warning")[0]["message"]


def test_few_held_out_rows_give_a_warning(tmp_path):
    few = dataclasses.replace(SETTINGS, data=points(tmp_path, num=990), steps=2)
    with pytest.warns(runs.RunWarning, match="only 99 held-out rows"):
        runs.begin(few, tmp_path / "few").close()
    assert "only 99 held-out rows" in events(tmp_path / "few", "warning")[0]["message"]
    many = dataclasses.replace(SETTINGS, data=points(tmp_path, num=1000), steps=2)
    runs.begin(many, tmp_path / "many").close()
    assert events(tmp_path / "many", "warning") == []


def test_without_held_out_rows_there_is_no_evaluation_and_no_best(tmp_path):
    settings = dataclasses.replace(SETTINGS, data=points(tmp_path), input=DataOptions(held_out=0.0), steps=20)
    with pytest.warns(runs.RunWarning, match="no rows are held out"):
        run = runs.begin(settings, tmp_path / "run")
    finish(run)
    assert "score" not in records(tmp_path / "run")[-1]
    with pytest.raises(CheckpointError, match="none has a score"):
        runs.load(tmp_path / "run", checkpoint="best")


def test_a_path_that_the_system_cannot_look_up_is_refused(tmp_path):
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "file").write_text("x")
    for path in (tmp_path / ("a/" * 3000) / "run", tmp_path / "loop" / "run", tmp_path / "file" / "run"):
        with pytest.raises(UsageError, match="cannot be made"):
            runs.begin(SETTINGS, path)
