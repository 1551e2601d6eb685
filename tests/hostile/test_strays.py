"""Foreign files in a run's directory, or in place of its own files."""

import contextlib
import os
import shutil
import warnings

import pytest
from readers import _copied_run, report, use_run

from wgan import runs
from wgan.errors import WganError

STRAYS = ("7", "00000099", "99999999999", "0000000x", "notes.txt", ".tmp-x", "damaged-00000002", "٣")

BELONGINGS = (
    "settings.toml",
    "source.json",
    "environment.json",
    "metrics.jsonl",
    "events.jsonl",
    "checkpoints",
    "checkpoints/best.json",
    "checkpoints/00000002",
    "checkpoints/00000002/state.json",
    "samples",
    "samples/00000002.npy",
    "lock",
)


@pytest.fixture(autouse=True)
def _quietly():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@pytest.mark.parametrize("name", BELONGINGS)
@pytest.mark.parametrize("kind", ["file", "folder", "loop", "nothing", "fifo"])
def test_a_foreign_file_in_place_of_a_run_file_is_refused_or_ignored(tmp_path, name, kind):
    path = _copied_run("points", tmp_path) / name
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
    if kind == "file":
        path.write_bytes(b"x\n")
    elif kind == "folder":
        path.mkdir()
    elif kind == "loop":
        path.symlink_to(path.name)
    elif kind == "fifo":
        os.mkfifo(path)
    use_run(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", BELONGINGS)
@pytest.mark.parametrize("kind", ["folder", "loop"])
def test_a_report_is_written_or_refused_too(tmp_path, name, kind):
    path = _copied_run("points", tmp_path) / name
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    path.mkdir() if kind == "folder" else path.symlink_to(path.name)
    with contextlib.suppress(WganError):
        report(tmp_path)


@pytest.mark.parametrize(
    "name", ["7", "00000099", "99999999999", "0000000x", "notes.txt", ".tmp-x", "damaged-00000002", "٣"]
)
@pytest.mark.parametrize("kind", ["file", "folder", "link"])
def test_strays_among_the_checkpoints_are_left_alone(tmp_path, name, kind):
    run = _copied_run("points", tmp_path)
    stray = run / "checkpoints" / name
    if kind == "file":
        stray.write_text("x")
    elif kind == "folder":
        stray.mkdir()
    else:
        stray.symlink_to("00000001")
    trained = runs.load(run)
    assert trained.step == 2
    use_run(tmp_path)
