import errno
import hashlib
import json
import os
import pickle
import random
import shutil
import struct
import subprocess
import sys
import textwrap
import warnings
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from wgan.errors import CheckpointError
from wgan.runs import checkpoints
from wgan.system import storage
from wgan.system.storage import seal, unseal

FILES = ("tensors.safetensors", "state.json", "manifest.json")


def state(step: int) -> dict[str, torch.Tensor]:
    rng = torch.Generator().manual_seed(step)
    return {
        "weights": torch.randn(4, 3, generator=rng),
        "filters": torch.randn(2, 3, 4, 4, generator=rng).contiguous(memory_format=torch.channels_last),
        "count": torch.tensor(step),
        "half": torch.randn(5, generator=rng).bfloat16(),
        "nothing": torch.zeros(0, 2),
    }


def save(directory: Path, step: int, **options) -> Path:
    return checkpoints.save(directory, step, state(step), {"estimate": step / 3}, **options)


def snapshot(directory: Path) -> dict[str, bytes]:
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def forge(path: Path, tensors: bytes) -> None:
    """Put other bytes in the tensors' place, with a manifest that fits them."""
    (path / "tensors.safetensors").write_bytes(tensors)
    manifest = unseal((path / "manifest.json").read_bytes(), "manifest.json")
    manifest["files"]["tensors.safetensors"] = {
        "bytes": len(tensors),
        "sha256": hashlib.sha256(tensors).hexdigest(),
    }
    (path / "manifest.json").write_bytes(seal(manifest))


def test_loaded_tensors_equal_the_saved_ones(tmp_path):
    path = save(tmp_path / "new", 7, score=0.1)
    assert path.name == "00000007"
    assert sorted(entry.name for entry in path.iterdir()) == sorted(FILES)
    loaded = checkpoints.load(tmp_path / "new")
    assert (loaded.step, loaded.facts, loaded.path) == (7, {"estimate": 7 / 3}, path)
    assert loaded.best == checkpoints.Best(7, 0.1)
    assert loaded.passed_over == ()
    for name, tensor in state(7).items():
        assert loaded.tensors[name].dtype == tensor.dtype
        assert torch.equal(loaded.tensors[name], tensor)


def test_tied_tensors_are_saved_apart(tmp_path):
    tied = torch.arange(6.0)
    checkpoints.save(tmp_path, 1, {"a": tied, "b": tied, "c": tied[2:4]}, {})
    loaded = checkpoints.load(tmp_path).tensors
    assert torch.equal(loaded["b"], tied)
    assert torch.equal(loaded["c"], tied[2:4])


def test_the_same_state_gives_the_same_bytes(tmp_path):
    save(tmp_path / "a", 3, score=1.0)
    save(tmp_path / "b", 3, score=1.0)
    assert snapshot(tmp_path / "a") == snapshot(tmp_path / "b")


@settings(max_examples=40, deadline=None)
@given(st.dictionaries(st.text(), st.floats(allow_nan=False, allow_infinity=False) | st.integers() | st.text()))
def test_sealed_json_is_read_back_exactly(content):
    content.pop("sha256", None)
    assert unseal(seal(content), "note") == content


def test_a_fact_that_is_not_finite_is_refused(tmp_path):
    save(tmp_path, 1)
    with pytest.raises(ValueError, match="not JSON compliant"):
        checkpoints.save(tmp_path, 2, {}, {"estimate": float("inf")})
    assert checkpoints.steps_saved(tmp_path) == [1]


def test_the_last_two_and_the_best_are_kept(tmp_path):
    scores = {10: 0.5, 20: 0.2, 30: None, 40: 0.3, 50: 0.2}
    for step, score in scores.items():
        save(tmp_path, step, score=score)
    assert checkpoints.steps_saved(tmp_path) == [20, 40, 50]
    assert checkpoints.read_best(tmp_path) == checkpoints.Best(20, 0.2)
    assert json.loads((tmp_path / "best.json").read_bytes())["directory"] == "00000020"
    assert checkpoints.load(tmp_path, "best").step == 20
    assert checkpoints.load(tmp_path, "last").step == 50


def test_the_checkpoint_of_a_stop_leaves_no_trace(tmp_path):
    def is_regular(step: int) -> bool:
        return step % 10 == 0

    for step in (10, 20, 25, 30):
        save(tmp_path / "stopped", step, is_regular=is_regular)
        if step == 25:
            assert checkpoints.steps_saved(tmp_path / "stopped") == [10, 20, 25]
        else:
            save(tmp_path / "straight", step, is_regular=is_regular)
    assert snapshot(tmp_path / "stopped") == snapshot(tmp_path / "straight")


def test_a_step_may_be_saved_again(tmp_path):
    save(tmp_path, 1)
    save(tmp_path, 2)
    checkpoints.save(tmp_path, 2, {"weights": torch.ones(1)}, {}, score=0.5)
    assert torch.equal(checkpoints.load(tmp_path, "best").tensors["weights"], torch.ones(1))


@pytest.mark.parametrize("name", FILES)
def test_any_flipped_byte_is_found_and_the_one_before_is_used(tmp_path, name):
    save(tmp_path, 1)
    file = save(tmp_path, 2) / name
    whole = file.read_bytes()
    rng = random.Random(0)
    places = {0, 7, 8, len(whole) - 1, *(rng.randrange(len(whole)) for _ in range(60))}
    for place in places:
        broken = bytearray(whole)
        broken[place] ^= 0xFF if place % 2 else 1 << rng.randrange(8)
        file.write_bytes(broken)
        with pytest.warns(checkpoints.CheckpointWarning, match=r"00000002' is damaged.*falling back to step 1"):
            loaded = checkpoints.load(tmp_path)
        assert loaded.step == 1, place
        assert len(loaded.passed_over) == 1


@pytest.mark.parametrize("name", FILES)
def test_any_truncation_is_found_and_the_one_before_is_used(tmp_path, name):
    save(tmp_path, 1)
    file = save(tmp_path, 2) / name
    whole = file.read_bytes()
    for length in {0, 1, 8, 9, 20, len(whole) // 2, len(whole) - 1}:
        file.write_bytes(whole[:length])
        with pytest.warns(checkpoints.CheckpointWarning, match="00000002' is damaged"):
            assert checkpoints.load(tmp_path).step == 1
    file.unlink()
    with pytest.warns(checkpoints.CheckpointWarning, match=f"{name} is not there"):
        assert checkpoints.load(tmp_path).step == 1


def test_a_damaged_best_falls_back_to_the_last(tmp_path):
    best = save(tmp_path, 1, score=0.1)
    save(tmp_path, 2)
    (best / "state.json").write_bytes(b"{}")
    with pytest.warns(checkpoints.CheckpointWarning, match="00000001' is damaged.*falling back to step 2"):
        assert checkpoints.load(tmp_path, "best").step == 2
    shutil.rmtree(best)
    with pytest.warns(checkpoints.CheckpointWarning, match="00000001' is damaged"):
        assert checkpoints.load(tmp_path, "best").step == 2


def test_a_damaged_best_json_is_replaced_by_the_last_checkpoint(tmp_path):
    save(tmp_path, 1, score=0.1)
    save(tmp_path, 2, score=0.2)
    (tmp_path / "best.json").write_bytes((tmp_path / "best.json").read_bytes().replace(b"0.1", b"0.3"))
    assert checkpoints.load(tmp_path, "best").step == 1


def test_without_an_intact_checkpoint_all_reasons_are_given(tmp_path):
    with pytest.raises(CheckpointError, match="holds no checkpoint"):
        checkpoints.load(tmp_path / "nowhere")
    for step in (1, 2):
        (save(tmp_path, step) / "tensors.safetensors").write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"00000002' is damaged.*00000001' is damaged"):
        checkpoints.load(tmp_path)
    save(tmp_path, 3)
    with pytest.raises(CheckpointError, match="none has a score yet"):
        checkpoints.load(tmp_path, "best")


def test_settling_restores_the_folder(tmp_path):
    save(tmp_path, 1, score=0.3)
    save(tmp_path, 2)
    before = snapshot(tmp_path)
    (save(tmp_path, 3, score=0.1, keep=3) / "state.json").write_bytes(b"torn")
    storage.temporary_beside(tmp_path / "00000004").mkdir()
    with pytest.warns(checkpoints.CheckpointWarning, match="00000003"):
        loaded = checkpoints.load(tmp_path)
    checkpoints.settle(tmp_path, loaded)
    after = snapshot(tmp_path)
    assert {name: content for name, content in after.items() if not name.startswith("damaged-00000003")} == before
    assert not list(tmp_path.glob(".*"))
    assert checkpoints.load(tmp_path).step == 2


@pytest.mark.parametrize("name", ["state.json", "manifest.json"])
@pytest.mark.parametrize("version", [2, 99, "one"])
def test_a_different_version_is_named_with_the_current_one(tmp_path, name, version):
    save(tmp_path, 1)
    path = save(tmp_path, 2)
    note = json.loads((path / name).read_bytes())
    (path / name).write_text(json.dumps(note | {"version": version}))
    with pytest.raises(CheckpointError, match=f"format version {version!r}; this program reads version 1"):
        checkpoints.load(tmp_path)


def forge_notes(path: Path, state: dict, manifest: dict) -> None:
    """Change the notes of a checkpoint, with checksums that fit."""
    content = storage.canonical_json(json.loads((path / "state.json").read_bytes()) | state)
    (path / "state.json").write_bytes(content)
    notes = unseal((path / "manifest.json").read_bytes(), "manifest.json")
    notes["files"]["state.json"] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    (path / "manifest.json").write_bytes(seal(notes | manifest))


@pytest.mark.parametrize(
    ("state", "manifest", "fault"),
    [
        ({}, {"format": "other"}, "manifest.json says that its format is 'other'"),
        ({"format": "other"}, {}, "state.json says that its format is 'other'"),
        ({"step": 3}, {}, "its notes are of step 3"),
        ({"facts": []}, {}, "its facts are not a JSON object"),
        ({"best": {"step": 2}}, {}, "its notes lack 'score'"),
        ({"best": {"step": "two", "score": 0.5}}, {}, "its notes are of another form"),
        ({"best": []}, {}, "its notes are of another form"),
        ({}, {"files": {}}, "its notes lack 'state.json'"),
    ],
)
def test_metadata_of_another_form_is_refused_even_with_right_checksums(tmp_path, state, manifest, fault):
    save(tmp_path, 1)
    forge_notes(save(tmp_path, 2), state, manifest)
    with pytest.raises(CheckpointError, match=f"00000002' is not a checkpoint of this program: {fault}"):
        checkpoints.load(tmp_path)


class Trap:
    """Leaves a mark if anybody unpickles it."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return (Path.touch, (self.mark,))


@pytest.mark.parametrize("forged", [False, True])
@pytest.mark.parametrize("protocol", [0, 2, 4, 5, "torch"])
def test_a_pickle_is_refused_without_running_it(tmp_path, protocol, forged):
    save(tmp_path / "run", 1)
    path = save(tmp_path / "run", 2)
    mark = tmp_path / "mark"
    if protocol == "torch":
        torch.save(Trap(mark), tmp_path / "pickle")
        content = (tmp_path / "pickle").read_bytes()
    else:
        content = pickle.dumps([Trap(mark), "." * 2000], protocol=protocol)
    if forged:
        forge(path, content)
    else:
        (path / "tensors.safetensors").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"not a checkpoint of this program: (it is a pickle|its header)"):
        checkpoints.load(tmp_path / "run")
    assert not mark.exists()


@pytest.mark.parametrize("length", [1 << 62, 1 << 33, (1 << 64) - 1])
def test_a_hostile_header_is_refused_before_a_parser_sees_it(tmp_path, length):
    save(tmp_path, 1)
    path = save(tmp_path, 2)
    content = struct.pack("<Q", length) + b"{" + b" " * 100
    (path / "tensors.safetensors").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"its header claims [\d,]+ bytes in a file of 109"):
        checkpoints.load(tmp_path)
    forge(path, content)
    with pytest.raises(CheckpointError, match=r"its header claims [\d,]+ bytes in a file of 109"):
        checkpoints.load(tmp_path)


@pytest.mark.parametrize(
    "header",
    [
        b"{" * 1000,
        b'{"a":{"dtype":"F32","shape":[1099511627776],"data_offsets":[0,4398046511104]}}',
        b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}',
        b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}}',
    ],
)
def test_a_wrong_header_is_refused(tmp_path, header):
    path = save(tmp_path, 2)
    forge(path, struct.pack("<Q", len(header)) + header + b"\0" * 4)
    with pytest.raises(CheckpointError, match="not a checkpoint of this program"):
        checkpoints.load(tmp_path)


@pytest.mark.slow
def test_memory_stays_bounded_under_a_large_hostile_header(tmp_path):
    path = save(tmp_path, 2)
    header = b'{"' + b"a" * (1 << 28)
    (path / "tensors.safetensors").write_bytes(struct.pack("<Q", len(header)) + header)
    program = textwrap.dedent(
        """
        import resource, sys
        from pathlib import Path
        from wgan.runs import checkpoints
        from wgan.errors import CheckpointError
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        try:
            checkpoints.load(Path(sys.argv[1]))
        except CheckpointError as error:
            print(error)
        print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
        """
    )
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=True)
    assert "its header claims 268,435,458 bytes" in done.stdout
    assert int(done.stdout.split()[-1]) < 50


def test_a_full_disk_is_refused_before_writing(tmp_path, monkeypatch):
    save(tmp_path, 1)
    before = snapshot(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10, 5, 5))
    with pytest.raises(CheckpointError, match=r"needs 1,\d{3},\d{3} bytes and 5 are free"):
        save(tmp_path, 2)
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize("fault", [errno.ENOSPC, errno.EIO])
@pytest.mark.parametrize("call", range(1, 7))
def test_a_disk_that_fails_anywhere_in_a_save_leaves_the_old_checkpoint(tmp_path, monkeypatch, fault, call):
    save(tmp_path, 1)
    before = snapshot(tmp_path)
    calls = 0
    sync = os.fsync

    def fail(descriptor: int) -> None:
        nonlocal calls
        calls += 1
        if calls == call:
            raise OSError(fault, os.strerror(fault))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", fail)
    if call == 6:
        save(tmp_path, 2)
        return
    with pytest.raises(CheckpointError, match=r"00000002' could not be written: .*bytes needed, [\d,]+ free"):
        save(tmp_path, 2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert checkpoints.load(tmp_path).step in ((1,) if call < 5 else (1, 2))
    after = snapshot(tmp_path)
    assert {name: after[name] for name in before} == before
    assert not list(tmp_path.glob(".*"))


def test_a_rollback_leaves_the_folder_as_after_that_save(tmp_path):
    def is_regular(step: int) -> bool:
        return step % 10 == 0

    for step in (10, 20, 30):
        save(tmp_path / "wanted", step, is_regular=is_regular, score=1 / step)
        save(tmp_path / "run", step, is_regular=is_regular, score=1 / step)
    # Taken by a stop along the way.
    save(tmp_path / "run", 37, is_regular=is_regular)
    found = checkpoints.go_back(tmp_path / "run", before=40, is_regular=is_regular)
    assert (found.step, found.best) == (30, checkpoints.Best(30, 1 / 30))
    assert snapshot(tmp_path / "run") == snapshot(tmp_path / "wanted")
    # Saved by a stop between the diverged step and its check.
    save(tmp_path / "run", 40, is_regular=is_regular)
    assert checkpoints.go_back(tmp_path / "run", before=40, is_regular=is_regular).step == 30
    assert checkpoints.steps_saved(tmp_path / "run") == [30]


def test_going_back_skips_damaged_checkpoints(tmp_path):
    for step in (10, 20, 30):
        save(tmp_path, step, keep=3)
    (tmp_path / checkpoints.name_of(20) / "state.json").write_bytes(b"{}")
    with pytest.warns(checkpoints.CheckpointWarning, match="falling back to step 10"):
        found = checkpoints.go_back(tmp_path, before=30, is_regular=lambda step: True)
    assert found.step == 10
    assert checkpoints.steps_saved(tmp_path) == [10]
    assert (tmp_path / f"damaged-{checkpoints.name_of(20)}").is_dir()


def test_without_an_earlier_checkpoint_going_back_is_refused(tmp_path):
    save(tmp_path, 5)
    before = snapshot(tmp_path)
    with pytest.raises(CheckpointError, match="holds no checkpoint"):
        checkpoints.go_back(tmp_path, before=5, is_regular=lambda step: True)
    assert snapshot(tmp_path) == before
