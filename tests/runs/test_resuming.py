"""Resume a run: what is accepted, and what is refused."""

import dataclasses
import errno
import json
import os
import shutil
import warnings

import numpy as np
import pytest
import torch
from small_runs import (
    SETTINGS,
    change_on_purpose,
    events,
    finish,
    points,
    records,
    stop_at,
    tree,
    without_checksums,
)

from wgan import runs
from wgan.data import open_data
from wgan.errors import CheckpointError, UsageError
from wgan.runs import checkpoints, trained
from wgan.runs.hash_chain import read_chain
from wgan.settings import DataOptions, from_toml
from wgan.training import engine


def test_files_that_a_kill_leaves_are_cleaned_up(straight, tmp_path):
    directory = tmp_path / "run"
    stop_at(runs.begin(SETTINGS, directory), 30)
    with (directory / "metrics.jsonl").open("a") as file:
        file.write('{"step": 35, "estimate": 0.')
    with (directory / "events.jsonl").open("a") as file:
        file.write('{"time": 17')
    (directory / "samples" / "00000040.npy").write_bytes(b"later")
    (directory / "samples" / ".wgan-00.part").write_bytes(b"half")
    (directory / ".tmp-settings.toml-00").write_bytes(b"half")
    (directory / "checkpoints" / ".tmp-00000040-00").mkdir()
    (directory / "lock").write_text("12345")
    with runs.resume(directory) as run:
        assert not (directory / "samples" / "00000040.npy").exists()
        list(run.run())
    assert tree(directory) == tree(straight)


def test_a_damaged_checkpoint_costs_a_few_steps_with_a_warning(straight, tmp_path):
    directory = tmp_path / "run"
    stop_at(runs.begin(SETTINGS, directory), 45)
    file = directory / "checkpoints" / "00000045" / "tensors.safetensors"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.warns(checkpoints.CheckpointWarning, match=r"00000045' is damaged.*falling back to step 40"):
        run = runs.resume(directory)
    finish(run)
    assert "00000045' is damaged" in events(directory, "warning")[0]["message"]
    shutil.rmtree(directory / "checkpoints" / "damaged-00000045")
    assert tree(directory) == tree(straight)


def test_lost_lines_of_the_record_are_an_error_and_a_removed_record_starts_again(tmp_path):
    directory = tmp_path / "run"
    stop_at(runs.begin(SETTINGS, directory), 30)
    record = directory / "metrics.jsonl"
    record.write_bytes(b"".join(record.read_bytes().splitlines(True)[:-1]))
    before = tree(directory)
    with pytest.raises(
        CheckpointError, match=r"metrics.jsonl' was changed .*bytes where the checkpoint recorded"
    ) as caught:
        runs.resume(directory)
    assert "or remove it" in caught.value.remedy
    assert tree(directory) == before
    record.unlink()
    with pytest.warns(runs.RunWarning, match="metrics.jsonl' is missing: a new record begins"):
        run = runs.resume(directory)
    finish(run)
    assert [line["step"] for line in records(directory)] == [35, 40, 45, 50, 55, 60]
    runs.resume(directory, steps=61).close()


def test_a_finished_run_needs_more_steps(finished):
    with pytest.raises(UsageError, match="has done all its 60 steps"):
        runs.resume(finished)
    with pytest.raises(UsageError, match="has done 60 of 60 steps, so it cannot end after 50") as caught:
        runs.resume(finished, steps=50)
    assert "wgan train --settings" in caught.value.remedy
    with pytest.warns(runs.RunWarning, match="the linear decay of the learning rates now runs to step 80"):
        run = runs.resume(finished, steps=80)
    assert [progress.step for progress in finish(run)] == list(range(61, 81))
    assert from_toml(finished / "settings.toml").steps == 80
    assert "linear decay" in events(finished, "warning")[0]["message"]
    assert [line["step"] for line in records(finished)][-2:] == [75, 80]


def test_a_run_killed_before_its_finished_event_can_be_resumed(finished):
    lines = (finished / "events.jsonl").read_text().splitlines(keepends=True)
    (finished / "events.jsonl").write_text("".join(lines[:-1]))
    assert finish(runs.resume(finished)) == []
    assert events(finished, "finished")


def test_other_data_is_refused_field_by_field(tmp_path):
    directory = tmp_path / "run"
    settings = dataclasses.replace(SETTINGS, data=points(tmp_path))
    runs.begin(settings, directory).close()
    before = tree(directory)

    def resume_with(data: str) -> None:
        runs.resume(directory, source=open_data(data, DataOptions(), seed=0))

    with pytest.raises(CheckpointError, match=r"not what the run .* was begun with: .*columns: 3, was 2"):
        resume_with(points(tmp_path, columns=3))
    with pytest.raises(CheckpointError, match=r"was begun with: "):
        resume_with(points(tmp_path, seed=1))
    assert tree(directory) == before
    runs.resume(directory).close()


@pytest.mark.parametrize(
    ("old", "new", "difference"),
    [
        (
            'generator = "mlp:width=16,depth=2"',
            'generator = "mlp:width=8,depth=2"',
            "generator: mlp:width=8,depth=2, was ",
        ),
        ("latent_dim = 2", "latent_dim = 3", "latent_dim: 3, was 2"),
        ("seed = 0", "seed = 1", "seed: 1, was 0"),
        ("batch_size = 16", "batch_size = 8", "batch_size: 8, was 16"),
        ("critic_steps = 2", "critic_steps = 3", "critic_steps: 3, was 2"),
        ('schedule = "constant"', 'schedule = "authors"', "schedule: authors, was constant"),
        ('lr_schedule = "linear"', 'lr_schedule = "none"', "lr_schedule: none, was linear"),
        ("ema_decay = 0.9", "ema_decay = 0.8", "ema_decay: 0.8, was 0.9"),
        ("eval_size = 32", "eval_size = 64", "eval_size: 64, was 32"),
    ],
)
def test_other_settings_are_refused_field_by_field(finished, old, new, difference):
    path = finished / "settings.toml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new).replace("steps = 60", "steps = 70"))
    for use in (runs.resume, runs.load):
        with pytest.raises(CheckpointError, match=difference):
            use(finished)


def test_tensors_of_another_shape_are_listed(finished):
    saved = checkpoints.load(finished / "checkpoints")
    name = "generator.body.0.weight"
    assert name in saved.tensors
    checkpoints.save(finished / "checkpoints", 60, saved.tensors | {name: torch.zeros(4, 4)}, saved.facts)
    with pytest.raises(CheckpointError, match=rf"another network: {name}: 16x2, was 4x4"):
        runs.load(finished)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"steps": None}, "its fact 'steps' is None"),
        ({"steps": True}, "its fact 'steps' is True"),
        ({"record_bytes": -1}, "its fact 'record_bytes' is -1"),
        ({"game": {"seed": 0}}, "it lacks the fact 'game.steps_done'"),
        ({"pending": {"estimate": 0.5, "critic_loss": 0}}, "it lacks the fact 'pending.generator_loss'"),
        ({"settings": []}, r"its fact 'settings' is \[\]"),
    ],
)
def test_facts_of_wrong_types_are_listed(finished, change, fault):
    saved = checkpoints.load(finished / "checkpoints")
    checkpoints.save(finished / "checkpoints", 60, saved.tensors, saved.facts | change)
    for use in (runs.resume, runs.load):
        with pytest.raises(CheckpointError, match=rf"00000060' is not a checkpoint of a run: {fault}"):
            use(finished)


@pytest.mark.parametrize("fact", ["game", "settings", "steps", "record_bytes", "pending"])
def test_a_missing_fact_is_named(finished, fact):
    saved = checkpoints.load(finished / "checkpoints")
    facts = {name: value for name, value in saved.facts.items() if name != fact}
    checkpoints.save(finished / "checkpoints", 60, saved.tensors, facts)
    for use in (runs.resume, runs.load):
        with pytest.raises(CheckpointError, match=f"it lacks the fact '{fact}'"):
            use(finished)


@pytest.mark.parametrize("steps", [50, 80])
def test_steps_edited_by_hand_are_used(finished, steps):
    path = finished / "settings.toml"
    whole = path.read_text()
    path.write_text(whole.replace("steps = 60", f"steps = {steps}"))
    with pytest.raises(CheckpointError, match=rf"settings.toml' was changed .*: steps: {steps}, was 60"):
        runs.resume(finished)
    path.write_text(whole)
    change_on_purpose(finished, "steps = 60", f"steps = {steps}")
    if steps < 60:
        with pytest.raises(UsageError, match="has done 60 of 60 steps, so it cannot end after 50"):
            runs.resume(finished)
    else:
        with pytest.warns(runs.RunWarning, match="decay of the learning rates now runs to step 80 instead of 60"):
            runs.resume(finished).close()


def test_threads_and_precision_are_chosen_once(tmp_path, monkeypatch):
    """A run that was begun on three cores continues with three threads on one core."""
    directory = tmp_path / "run"
    monkeypatch.setattr(engine, "SMALL_NETWORKS", 0)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 1, 2}, raising=False)
    monkeypatch.setattr(engine, "has_fast_bfloat16", lambda: True)
    pixels = np.random.default_rng(0).integers(0, 255, (24, 16, 16), dtype=np.uint8)
    source = open_data(pixels, DataOptions(), seed=0)
    settings = dataclasses.replace(
        SETTINGS, data="<pixels>", generator="dcgan:filters=2", critic="dcgan:filters=2,norm=none", precision="auto",
        threads=0, steps=3, eval_size=2, batch_size=4, log_every=1,
    )  # fmt: skip
    stop_at(runs.begin(settings, directory, source=source), 1)
    written = from_toml(directory / "settings.toml")
    assert (written.threads, written.precision) == (3, "bfloat16")
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0}, raising=False)
    monkeypatch.setattr(engine, "has_fast_bfloat16", lambda: False)
    assert runs.load(directory).game.engine == engine.Engine(threads=3, precision="bfloat16", channels_last=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error", runs.RunWarning)
        run = runs.resume(directory, source=source)
    assert (run.game.engine.threads, run.game.engine.precision) == (3, "bfloat16")
    finish(run)
    again = tmp_path / "again"
    finish(runs.begin(written, again, source=source))
    assert tree(again) == tree(directory)


def test_a_bfloat16_run_of_a_gpu_is_sampled_in_float32_if_that_is_faster(finished, monkeypatch):
    without_checksums(finished)
    settings, environment = finished / "settings.toml", finished / "environment.json"
    settings.write_text(settings.read_text().replace('"float32"', '"bfloat16"').replace('"cpu"', '"cuda"'))
    note = json.loads(environment.read_text())
    environment.write_text(json.dumps(note | {"device": "NVIDIA H200", "precision": "bfloat16"}))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for is_fast, precision in ((False, "float32"), (True, "bfloat16")):
        monkeypatch.setattr(trained, "has_fast_bfloat16", lambda is_fast=is_fast: is_fast)
        assert runs.load(finished).game.engine.precision == precision


@pytest.mark.parametrize("name", ["settings.toml", "source.json", "environment.json"])
def test_a_missing_file_is_named_with_a_remedy(finished, name):
    (finished / name).unlink()
    for use in (runs.resume, runs.load):
        with pytest.raises(CheckpointError, match=f"lacks its file '{name}'; its checkpoints exist") as caught:
            use(finished)
        assert "Restore it" in caught.value.remedy


@pytest.mark.parametrize(("name", "kept"), [("settings.toml", 0.95), ("settings.toml", 0.5), ("source.json", 0.5)])
@pytest.mark.parametrize("at_a_line", [False, True])
def test_a_truncated_file_is_refused_with_a_remedy(finished, name, kept, at_a_line):
    path = finished / name
    whole = path.read_bytes()
    part = whole[: int(kept * len(whole))]
    path.write_bytes(part[: part.rindex(b"\n") + 1] if at_a_line else part)
    for use in (runs.resume, runs.load):
        with pytest.raises(CheckpointError, match=name) as caught:
            use(finished)
        assert "Restore it" in caught.value.remedy


def test_a_file_without_its_members_is_refused(finished):
    without_checksums(finished)
    (finished / "source.json").write_text("{}")
    with pytest.raises(CheckpointError, match=r"source.json' lacks name, describe, fingerprint, codec"):
        runs.load(finished)


@pytest.mark.parametrize("call", ["mkdir", "space"])
def test_a_full_disk_error_names_the_needed_bytes(tmp_path, monkeypatch, call):
    directory = tmp_path / "run"
    stop_at(runs.begin(SETTINGS, directory), 30)
    before = tree(directory)
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10, 5, 5))
        if call == "mkdir":
            patch.setattr(type(directory), "mkdir", lambda *args, **options: (_ for _ in ()).throw(full))
        with pytest.raises(
            CheckpointError, match=r"disk is full: .*needs 1,\d{3},\d{3} bytes and 5 are free"
        ) as caught:
            runs.resume(directory)
    assert "Make room" in caught.value.remedy
    assert tree(directory) == before
    runs.resume(directory).close()


def test_data_that_has_moved_can_be_given_again(tmp_path):
    directory, data = tmp_path / "run", points(tmp_path)
    stop_at(runs.begin(dataclasses.replace(SETTINGS, data=data), directory), 10)
    moved = str(tmp_path / "moved.npy")
    shutil.move(data, moved)
    for use in (runs.resume, runs.evaluate):
        with pytest.raises(UsageError, match="existing path") as caught:
            use(directory)
        assert f"wgan train DATA --resume {directory}, or wgan evaluate {directory} --data DATA" in caught.value.remedy
    assert runs.evaluate(directory, data=moved)["score"] > 0
    runs.resume(directory, data=moved).close()
    assert from_toml(directory / "settings.toml").data == moved
    runs.resume(directory).close()


def test_the_record_is_parsed_once(finished, monkeypatch):
    parsed = []

    def read(raw, *, may_be_torn):
        parsed.append(may_be_torn)
        return read_chain(raw, may_be_torn=may_be_torn)

    monkeypatch.setattr("wgan.runs.record.read_chain", read)
    with runs.resume(finished, steps=SETTINGS.steps + 1):
        pass
    # Lines of the events may be torn, those of the record not.
    assert parsed.count(False) == 1
