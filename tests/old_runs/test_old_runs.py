"""Runs that version 0.1.0 has written are loaded, sampled from, judged, resumed, compared and ended as they were by it.

What was true of them stands in `truths.json`; `README.md` says how they were made. On the machine that made them, to
the last bit; on others up to rounding.
"""

import json
import re
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest
from old_facts import (
    TO_STEP,
    WORDS,
    answer,
    at_rest,
    begun,
    cli,
    compared,
    go_on,
    lines,
    machine,
    of_model,
    one_more,
    resumed,
    short_settings,
    tensors,
)
from PIL import Image

import wgan

pytestmark = [
    pytest.mark.filterwarnings("ignore::wgan.errors.WganWarning"),
    pytest.mark.filterwarnings("default::wgan.errors.DataWarning"),
]

# Names that a later version writes in the place of those of version 0.1.0: whole keys of the record and of what
# `wgan evaluate --json` prints, beginnings of such keys, and events.
KEYS: dict[str, str] = {
    "reached": "coverage",
    "copied": "memorised",
    "copied_error": "memorised_error",
    "astray": "off_support",
}
PREFIXES: dict[str, str] = {
    "followed": "correlation",
    "ignored": "chance",
    "obeyed": "accuracy",
    "read": "classifier_accuracy",
    "unseen_followed": "unseen_correlation",
    "unseen_ignored": "unseen_chance",
    "unseen_obeyed": "unseen_accuracy",
    "unseen_read": "unseen_classifier_accuracy",
}
EVENTS: dict[str, str] = {"judged": "evaluated"}

HERE = Path(__file__).parent
TRUTHS = json.loads((HERE / "truths.json").read_text())
IS_SAME_MACHINE = TRUTHS["machine"] == machine()
NEAR = {"rel": 1e-3, "abs": 1e-4}
"""How near numbers are on other machines: a few updates of training amplify what rounding leaves."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """All runs and estimators, and their data."""
    folder = tmp_path_factory.mktemp("old")
    for archive in HERE.glob("*.tar.xz"):
        with tarfile.open(archive) as opened:
            opened.extractall(folder, filter="data")
    for path in (HERE / "data").iterdir():
        shutil.copy(path, folder)
    return folder


@pytest.fixture(scope="module")
def ended(folder):
    """What has become of each run when a copy of it was resumed to its end."""
    return {name: resumed(name, folder / name, folder) for name in TO_STEP}


def renamed(key):
    """The present name of a key of version 0.1.0."""
    if key in KEYS:
        return KEYS[key]
    begun = next((prefix for prefix in PREFIXES if key.startswith(prefix)), "")
    return PREFIXES.get(begun, "") + key.removeprefix(begun)


def assert_same(found, true, where=""):
    """Equal in structure, and in numbers up to the rounding of another machine; old keys are renamed first."""
    if isinstance(true, dict):
        now = {renamed(key): value for key, value in true.items()}
        assert found.keys() == now.keys(), where
        for key, value in now.items():
            assert_same(found[key], value, f"{where}.{key}")
    elif isinstance(true, list):
        assert len(found) == len(true), where
        for place, value in enumerate(true):
            assert_same(found[place], value, f"{where}[{place}]")
    elif isinstance(true, float) and not IS_SAME_MACHINE:
        assert found == pytest.approx(true, **NEAR), where
    elif isinstance(true, str) and not IS_SAME_MACHINE:
        assert re.sub(r"[-\d]+", "0", found) == re.sub(r"[-\d]+", "0", true), where
    else:
        assert found == true, where


def change(path, **values):
    """Write another settings file with some lines replaced."""
    text = path.read_text()
    for name, value in values.items():
        text, count = re.subn(rf"(?m)^{name} = .*$", f"{name} = {value}", text)
        assert count == 1, name
    return text


@pytest.mark.parametrize("name", TO_STEP)
def test_an_old_run_is_sampled_and_judged(name, folder):
    assert_same(at_rest(name, folder / name, folder), TRUTHS["runs"][name])


@pytest.mark.parametrize("name", TO_STEP)
def test_an_old_run_is_resumed(name, folder, ended):
    found, true = dict(ended[name]), dict(TRUTHS["resumed"][name])
    before = lines(folder / name / "metrics.jsonl")
    resumed_at = found["events"][0][1]
    kept = [line for line in before if line["step"] <= resumed_at]
    # Existing lines do not change; new ones may have other keys.
    raw, now = ((folder / each / "metrics.jsonl").read_bytes() for each in (name, f"{name}-resumed"))
    assert now.startswith(b"".join(raw.splitlines(keepends=True)[: len(kept)]))
    assert found.pop("record")[: len(kept)] == kept == true["record"][: len(kept)]
    assert_same(ended[name]["record"][len(kept) :], true.pop("record")[len(kept) :], "record")
    true["events"] = [[EVENTS.get(event, event), step] for event, step in true["events"]]
    if not IS_SAME_MACHINE:
        # A warning says that the machine is another one.
        found["events"] = [event for event in found["events"] if event[0] != EVENTS.get("warning", "warning")]
        true["events"] = [event for event in true["events"] if event[0] != EVENTS.get("warning", "warning")]
        for checkpoint in (found["checkpoint"], true["checkpoint"]):
            checkpoint["tensors"] = sorted((shape, number) for shape, number, _ in checkpoint["tensors"])
    assert_same(found, true)


@pytest.mark.parametrize("name", TO_STEP)
def test_a_resumed_old_run_can_be_loaded_and_resumed_again(name, folder, ended):
    trained = wgan.load(folder / f"{name}-resumed")
    assert trained.step == ended[name]["checkpoint"]["step"]
    again = folder / f"{name}-again"
    shutil.copytree(folder / f"{name}-resumed", again)
    go_on(name, again, trained.step + 1, folder)
    assert tensors(again)["step"] == trained.step + 1


@pytest.mark.parametrize("name", ["ring", "lost"])
def test_an_old_run_is_reported(name, folder):
    answer("report", folder / name)
    page = (folder / name / "report.html").read_text()
    assert "</html>" in page
    assert "<img" in page
    last = lines(folder / name / "metrics.jsonl")[-1:]
    for line in last:
        assert f"{line['step']:,}" in page


def test_old_runs_are_compared(folder, ended):
    assert_same(compared(folder / "ring-resumed", folder / "gan"), TRUTHS["compared"])


def test_an_old_run_is_ended_as_it_is(folder):
    run = folder / "tiles-finished"
    shutil.copytree(folder / "tiles", run)
    answer("finish", run)
    assert [line["event"] for line in lines(run / "events.jsonl")][-1] == EVENTS.get("finished", "finished")
    assert {line["step"] for line in lines(run / "metrics.jsonl")} == {2, 4, 6}
    assert Image.open(run / "samples" / "00000006.png").size == Image.open(run / "samples" / "00000000.png").size
    assert "00000006.png" in json.loads((run / "samples" / "checksums.json").read_text())


def test_an_old_run_that_diverged_says_so(folder):
    code, _, err = cli("sample", folder / "lost", "--num", 2, "--out", folder / "lost.npy")
    assert code == 0
    assert "diverged" in err
    assert np.load(folder / "lost.npy").shape == (2, 2)


def test_old_data_that_has_moved_is_asked_for(folder):
    run = folder / "pets-moved"
    shutil.copytree(folder / "pets", run)
    text = (run / "settings.toml").read_text()
    assert "pets.csv" in text
    if Path(wgan.load(run).settings.data).exists():
        pytest.skip("the runs were made on this machine, and their data is still there")
    code, _, err = cli("train", "--resume", run, "--steps", 30, "--quiet")
    assert code == 2
    assert "pets.csv" in err


def test_an_old_run_that_was_changed_is_refused(folder):
    run = folder / "gan-changed"
    shutil.copytree(folder / "gan", run)
    record = run / "metrics.jsonl"
    record.write_text(record.read_text().replace('"estimate": 0.', '"estimate": 1.', 1))
    assert cli("report", run)[0] == 5
    settings = run / "settings.toml"
    settings.write_text(change(settings, batch_size=17))
    assert cli("sample", run, "--num", 2, "--out", folder / "changed.npy")[0] == 5


def test_old_settings_train_the_same_run_again(folder, monkeypatch):
    monkeypatch.chdir(folder)
    answer("train", "pets.csv", "--settings", folder / "pets" / "settings.toml", "--out", "pets-1", "--quiet")
    begun(HERE / "settings" / "pets.toml", folder / "pets-2")
    for out in (folder / "pets-1", folder / "pets-2"):
        assert_same(lines(out / "metrics.jsonl"), lines(folder / "pets" / "metrics.jsonl"))
    made = [tensors(each)["tensors"] for each in (folder / "pets", folder / "pets-1", folder / "pets-2")]
    if IS_SAME_MACHINE:
        assert made[0] == made[1] == made[2]
    page = (folder / "pets-1" / "report.html").read_text()
    assert all(word in page for word in ("</html>", "rabbit", "brown", "weight", "price"))


@pytest.mark.parametrize("number", range(len(WORDS)))
def test_every_old_part_is_loaded_and_resumed(number, folder):
    found, true = one_more(number, folder / "words" / f"{number}", folder), TRUTHS["words"][number]
    if not IS_SAME_MACHINE:
        for checkpoint in (found["checkpoint"], true["checkpoint"]):
            checkpoint["tensors"] = sorted((shape, number) for shape, number, _ in checkpoint["tensors"])
    assert_same(found, true)


@pytest.mark.parametrize("number", range(len(WORDS)))
def test_old_words_are_understood(number, folder, tmp_path):
    """The given value is in the written settings, under its present name."""
    path, out = tmp_path / "old.toml", tmp_path / "run"
    path.write_text(short_settings(number, folder))
    begun(path, out)
    written = (out / "settings.toml").read_text()
    for name, word in WORDS[number].items():
        if not isinstance(word, str):
            continue
        values = [{"one": "true", "two": "false"}.get(value, value) for value in re.findall(r"=([^,]+)", word)]
        assert any(all(f"={value}" in line for value in values) for line in written.splitlines() if '"' in line), (
            f"{name}: {word}"
        )


@pytest.mark.parametrize("name", TRUTHS["models"])
def test_an_old_estimator_is_loaded(name, folder):
    assert_same(of_model(name, folder / name, folder), TRUTHS["models"][name])


@pytest.mark.parametrize("name", TRUTHS["models"])
def test_an_old_estimator_is_saved_again(name, folder):
    model = wgan.WGAN.load(folder / name)
    model.save(folder / f"{name}-saved")
    again = wgan.WGAN.load(folder / f"{name}-saved")
    assert np.array_equal(np.asarray(again.sample(5)), np.asarray(model.sample(5)))
    assert cli("sample", folder / f"{name}-saved", "--num", 2, "--out", folder / f"{name}.csv")[0] == 0
