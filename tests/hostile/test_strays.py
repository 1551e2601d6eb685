"""Files and folders in a run directory that do not belong there, or replace those that do."""

import contextlib
import os
import shutil
import warnings

import pytest
from readers import copied_run, report, use_run

from wgan import runs
from wgan.errors import WganError

STRAYS = ("7", "00000099", "99999999999", "0000000x", "notes.txt", ".tmp-x", "damaged-00000002", "٣")

FILES_OF_A_RUN = (
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
def _without_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@pytest.mark.parametrize("name", FILES_OF_A_RUN)
@pytest.mark.parametrize("kind", ["file", "folder", "loop", "nothing", "fifo"])
def test_anything_in_place_of_a_file_of_the_run_is_refused_or_ignored(tmp_path, name, kind):
    path = copied_run("points", tmp_path) / name
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
@pytest.mark.parametrize("name", FILES_OF_A_RUN)
@pytest.mark.parametrize("kind", ["folder", "loop"])
def test_a_report_is_written_or_refused(tmp_path, name, kind):
    path = copied_run("points", tmp_path) / name
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    path.mkdir() if kind == "folder" else path.symlink_to(path.name)
    with contextlib.suppress(WganError):
        report(tmp_path)


@pytest.mark.parametrize("name", STRAYS)
@pytest.mark.parametrize("kind", ["file", "folder", "link"])
def test_foreign_files_among_the_checkpoints_are_left_alone(tmp_path, name, kind):
    run = copied_run("points", tmp_path)
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
