"""Files other than checkpoints are read back to the byte, or refused."""

import contextlib
import dataclasses
import json
import random
import re
import shutil
import warnings
from pathlib import Path

import pytest
from small_runs import SETTINGS, change_on_purpose, events, finish, records, stop_at, tree, without_checksums

from wgan import runs
from wgan.errors import CheckpointError, UsageError
from wgan.report import write_report
from wgan.report.record import read_record
from wgan.runs import checkpoints
from wgan.runs.hash_chain import checked, read_chain
from wgan.runs.record import Journal, Record, read_lines

READERS = {
    "settings.toml": (runs.load, runs.resume, runs.evaluate, read_record, runs.finish),
    "source.json": (runs.load, runs.resume, runs.evaluate, read_record, runs.finish),
    "environment.json": (runs.load, runs.resume, runs.evaluate, read_record, runs.finish),
    "metrics.jsonl": (runs.resume, read_record, runs.finish),
    "events.jsonl": (runs.resume, read_record, runs.finish),
    "samples/real.npy": (read_record,),
    "samples/00000020.npy": (read_record,),
    "samples/checksums.json": (read_record, runs.resume),
}


@pytest.fixture(scope="session")
def stopped_once(tmp_path_factory) -> Path:
    directory = tmp_path_factory.mktemp("stopped") / "run"
    stop_at(runs.begin(SETTINGS, directory), 35)
    return directory


@pytest.fixture
def stopped(stopped_once, tmp_path) -> Path:
    """A run that was stopped at a step that has a line in its record."""
    return Path(shutil.copytree(stopped_once, tmp_path / "run"))


@pytest.mark.filterwarnings("ignore::wgan.runs.RunWarning")
@pytest.mark.parametrize("name", READERS)
def test_a_changed_byte_is_detected_wherever_the_file_is_read(stopped, name):
    path, rng = stopped / name, random.Random(name)
    whole = path.read_bytes()
    # The line that carries a file's checksum can be removed on purpose, so damage to it may look like that.
    free = {"settings.toml": range(whole.find(b"# sha256"), whole.find(b"line.\n") + 6)}.get(name, range(0))
    places = [place for place in range(len(whole)) if place not in free]
    for place in [places[0], places[-1], *rng.sample(places, 20)]:
        changed = bytearray(whole)
        changed[place] ^= 1 << rng.randrange(8)
        path.write_bytes(changed)
        before = tree(stopped)
        for use in READERS[name]:
            if place == len(whole) - 1 and name.endswith(".jsonl") and use is read_record:
                # A line whose end is missing may be under way.
                continue
            with pytest.raises(CheckpointError, match=re.escape(name)) as caught:
                use(stopped)
            assert caught.value.exit_code == 5
            assert "Restore it" in caught.value.remedy
        assert tree(stopped) == before
    path.write_bytes(whole)
    finish(runs.resume(stopped))


def test_the_checksum_line_of_the_settings_has_no_other_effect(stopped):
    path, rng = stopped / "settings.toml", random.Random(0)
    whole = path.read_bytes()
    start = whole.find(b"# sha256")
    for place in [start - 1, start, whole.find(b"line.\n") + 5, *rng.sample(range(start, start + 100), 10)]:
        changed = bytearray(whole)
        changed[place] ^= 1 << rng.randrange(7)
        path.write_bytes(changed)
        read = None
        with contextlib.suppress(CheckpointError), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            read = runs.load(stopped).settings
        assert read in (None, SETTINGS)


def test_settings_changed_on_purpose_are_listed_in_a_warning(stopped):
    change_on_purpose(stopped, "eval_every = 20", "eval_every = 30")
    with pytest.warns(runs.RunWarning, match=r"carries no checksum .* changed .*: eval_every: 30, was 20"):
        assert runs.load(stopped).settings.eval_every == 30
    with pytest.warns(runs.RunWarning, match="eval_every: 30, was 20"):
        run = runs.resume(stopped)
    finish(run)
    # The resumed run has written its settings with their checksum.
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert runs.load(stopped).settings.eval_every == 30


def test_runs_of_earlier_versions_load_and_are_resumed_to_the_same_numbers(stopped, straight):
    without_checksums(stopped)
    for use in (runs.load, runs.evaluate):
        with pytest.warns(runs.RunWarning, match="earlier version: settings.toml, source.json, .* carry"):
            use(stopped)
    assert read_record(stopped).metrics == records(stopped)
    with pytest.warns(runs.RunWarning, match="carry no checksums"):
        run = runs.resume(stopped)
    finish(run)
    assert records(stopped) == records(straight)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        runs.load(stopped)
        read_record(stopped)
    for name in ("source.json", "metrics.jsonl", "events.jsonl"):
        damaged = (stopped / name).read_bytes()
        (stopped / name).write_bytes(damaged.replace(b"0", b"1", 1))
        with pytest.raises(CheckpointError, match=name):
            read_record(stopped)
        (stopped / name).write_bytes(damaged)


def test_samples_can_be_drawn_without_intact_events(stopped):
    path = stopped / "events.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"started"', b'"startef"'))
    doubt = runs.load(stopped).doubt
    assert re.search(r"events.jsonl' was changed .*: line 1 .*; how the run ended is not known", doubt)


def test_a_source_of_another_run_is_refused(stopped, tmp_path):
    note = json.loads((stopped / "source.json").read_text())
    (stopped / "source.json").write_text(json.dumps(note, indent=1))
    with pytest.raises(CheckpointError, match=r"source.json' was changed .* checksum that the checkpoint notes"):
        runs.load(stopped)


def test_a_damaged_best_json_is_replaced_by_the_checkpoints(finished):
    best = checkpoints.known_best(finished / "checkpoints")
    assert best is not None
    (finished / "checkpoints" / "best.json").write_text("{}")
    assert checkpoints.read_best(finished / "checkpoints") is None
    assert checkpoints.known_best(finished / "checkpoints") == best


def test_a_best_json_that_is_damaged_during_a_run_is_repaired(tmp_path, straight):
    directory = tmp_path / "run"
    with runs.begin(SETTINGS, directory) as run:
        for progress in run.run():
            if progress.step == 45:
                (directory / "checkpoints" / "best.json").write_bytes(b"damaged")
    assert tree(directory) == tree(straight)


def journal(*lines: str) -> bytes:
    check, raw = "", b""
    for line in lines:
        text, check = checked(line, check)
        raw += text
    return raw


@pytest.mark.parametrize("may_be_torn", [False, True])
def test_changed_removed_or_moved_lines_break_the_chain(may_be_torn):
    whole = journal('{"a": 1}', '{"a": 2}', '{"a": 3}', '{"a": 4}')
    first, second, third, fourth = whole.splitlines(True)
    assert read_chain(whole, may_be_torn=may_be_torn).lines == [{"a": each} for each in (1, 2, 3, 4)]
    for damaged in (
        first + third + fourth,
        second + third,
        first + third + second + fourth,
        first + second + second,
        first + b'{"a": 2}\n' + third,
        first + second + third + b'{"a": 4}\n',
        first + second[:-3] + b"\n" + third,
        first + second + third[:-3] + b"\n",
    ):
        found = read_chain(damaged, may_be_torn=may_be_torn)
        assert found.fault, damaged


def test_half_a_line_of_a_killed_process_is_left_out(tmp_path):
    path = tmp_path / "events.jsonl"
    Journal(path).add("started", 0)
    for cut in (1, 10, 40):
        with path.open("ab") as file:
            file.write(b'{"time": 17, "event": "saved", "step": 1, "check": "00'[:cut])
        assert all(line["event"] == "started" for line in Journal(path).lines())
        Journal(path).add("started", 0)
    assert len(Journal(path).lines()) == 4
    # The last byte of all is the end of a line, without which it is whole all the same.
    path.write_bytes(path.read_bytes()[:-1])
    assert len(Journal(path).lines()) == 4
    Journal(path).add("started", 0)
    assert len(Journal(path).lines()) == 5


def test_two_journals_of_one_file_continue_each_other(tmp_path):
    first, second = Journal(tmp_path / "events.jsonl"), Journal(tmp_path / "events.jsonl")
    for each in (first, second, second, first, second):
        each.add("saved", 1)
    assert len(first.lines()) == 5


def test_a_truncated_record_continues_with_the_same_bytes(tmp_path):
    record, other = Record(tmp_path / "a"), Record(tmp_path / "b")
    for step in (1, 2):
        record.add({"step": step})
        other.add({"step": step})
    length, check = record.length, record.check
    record.add({"step": 3})
    record.cut(length)
    assert record.check == check
    for each in (record, other):
        each.add({"step": 4})
        each.close()
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert [line["step"] for line in read_lines(tmp_path / "a", length=length, check=check)] == [1, 2, 4]
    with pytest.raises(CheckpointError, match=r"its first .* bytes are not those"):
        read_lines(tmp_path / "a", length=length, check="0" * 16)


def test_a_report_can_be_written_while_a_run_cuts_its_record(stopped, monkeypatch):
    from wgan.runs import metadata

    later = checkpoints.read_facts(stopped / "checkpoints")
    facts = [later | {"record_bytes": later["record_bytes"] + 100}, later]
    monkeypatch.setattr(metadata, "read_facts", lambda directory: facts.pop(0) if len(facts) > 1 else facts[0])
    assert metadata.read_recorded(runs.RunFiles(stopped)) == records(stopped)


def test_a_stopped_run_can_be_ended_earlier_than_planned(stopped, tmp_path):
    shorter = tmp_path / "shorter"
    finish(runs.begin(SETTINGS, shorter))
    with pytest.raises(UsageError, match="has done 35 of 60 steps, so it cannot end after 34") as caught:
        runs.resume(stopped, steps=34)
    assert "--steps 35" in caught.value.remedy
    with pytest.warns(runs.RunWarning, match="decay of the learning rates now runs to step 45 instead of 60"):
        run = runs.resume(stopped, steps=45)
    assert [progress.step for progress in finish(run)] == list(range(36, 46))
    assert "score" in records(stopped)[-1]
    assert events(stopped, "finished")
    with pytest.raises(UsageError, match="has done all its 45 steps"):
        runs.resume(stopped)


@pytest.mark.parametrize("step", [35, 37])
def test_a_run_ended_where_it_was_stopped_equals_one_of_as_many_steps(tmp_path, step):
    settings = dataclasses.replace(SETTINGS, lr_schedule="none")
    directory, shorter = tmp_path / "run", tmp_path / "shorter"
    stop_at(runs.begin(settings, directory), step)
    finish(runs.begin(dataclasses.replace(settings, steps=step), shorter))
    (progress,) = finish(runs.resume(directory, steps=step))
    assert progress.step == step
    assert "score" in progress.evaluation
    assert runs.load(directory).settings.steps == step
    assert records(directory)[-1] == records(shorter)[-1]
    differing = {name for name in tree(shorter) if tree(shorter)[name] != tree(directory).get(name)}
    # Where the step was recorded before, its line is followed by one with the evaluation.
    noted = {"metrics.jsonl", *(f"checkpoints/{step:08}/{name}.json" for name in ("state", "manifest"))}
    others = {name for name in differing if name.endswith(("state.json", "manifest.json"))}
    assert differing - others <= (noted if step == 35 else set())
    assert f"samples/{step:08}.npy" in tree(shorter)


def test_finish_draws_the_last_samples_and_the_run_can_be_resumed(stopped, straight):
    ended = runs.finish(stopped)
    assert (ended.step, ended.steps, ended.was_over, ended.doubt) == (35, 60, False, "")
    assert ended.samples.is_file()
    assert events(stopped, "finished")[-1]["reason"] == "it was ended by hand"
    text = write_report(stopped).read_text()
    assert "It made 35 of 60 generator updates" in text
    assert "ended early: it was ended by hand" in text
    assert runs.finish(stopped).was_over
    (stopped / "report.html").unlink()
    finish(runs.resume(stopped))
    assert tree(stopped) == tree(straight)


def test_finish_cuts_what_a_kill_left_after_the_checkpoint_and_refuses_a_running_run(stopped, straight):
    shutil.rmtree(stopped / "checkpoints" / "00000035")
    runs.finish(stopped)
    assert records(stopped)[-1]["step"] == 30
    with runs.resume(stopped) as run:
        with pytest.raises(UsageError, match="is in use"):
            runs.finish(stopped)
        list(run.run())
    assert tree(stopped) == tree(straight)
