import os
import subprocess
import sys

import numpy as np
import pytest

from wgan.data.names import BUILT_IN, format_of, kind_of
from wgan.errors import UsageError


def test_names_are_looked_up_without_torch():
    code = "import sys; from wgan.data import BUILT_IN, kind_of; kind_of('ring'); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("name", BUILT_IN)
def test_every_built_in_name_has_a_kind(name):
    assert kind_of(name) == ("images" if name == "fashion-mnist" else "points")


@pytest.mark.parametrize(
    ("file", "form"),
    [
        ("a.NPY", "array"),
        ("a.npz", "array"),
        ("a.csv", "table"),
        ("a.parquet", "table"),
        ("a.zip", "images"),
        ("a.tar.gz", "images"),
        ("a.tgz", "images"),
        ("t10k-images-idx3-ubyte.gz", "images"),
    ],
)
def test_the_ending_decides_the_reader(tmp_path, file, form):
    (tmp_path / file).write_bytes(b"x")
    assert format_of(str(tmp_path / file)) == form


@pytest.mark.parametrize("ending", ["npy", "npz"])
@pytest.mark.parametrize(("shape", "kind"), [((4,), "points"), ((4, 2), "points"), ((4, 8, 8), "images")])
def test_the_rank_of_an_array_decides_its_kind(tmp_path, ending, shape, kind):
    path = tmp_path / f"a.{ending}"
    if ending == "npy":
        np.save(path, np.zeros(shape))
    else:
        np.savez(path, y=np.zeros(shape[0], np.int8), x=np.zeros(shape))
    assert kind_of(str(path)) == kind


def test_an_unreadable_array_counts_as_points(tmp_path):
    (tmp_path / "a.npy").write_bytes(b"junk")
    assert kind_of(str(tmp_path / "a.npy")) == "points"


def test_a_folder_holds_images(tmp_path):
    assert kind_of(str(tmp_path)) == "images"


def test_a_missing_path_suggests_similar_names(tmp_path):
    (tmp_path / "customers.csv").write_text("a\n")
    with pytest.raises(UsageError, match=r"Did you mean '.*customers\.csv'"):
        kind_of(str(tmp_path / "custmers.csv"))
    with pytest.raises(UsageError, match="Did you mean 'swiss-roll'"):
        kind_of("swissroll")
    with pytest.raises(UsageError, match=r"neither a built-in.*\nSupported: a built-in name \(ring"):
        kind_of("/nowhere/at/all")


def test_unknown_endings_empty_names_and_fifos_are_refused(tmp_path):
    (tmp_path / "a.xyz").write_text("1")
    with pytest.raises(UsageError, match="ending that is not known"):
        kind_of(str(tmp_path / "a.xyz"))
    with pytest.raises(UsageError, match="no data was named"):
        kind_of("")
    os.mkfifo(tmp_path / "pipe.csv")
    with pytest.raises(UsageError, match="neither a file nor a folder"):
        kind_of(str(tmp_path / "pipe.csv"))
