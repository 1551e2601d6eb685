"""A run that was never stopped, to compare others with."""

import shutil
from pathlib import Path

import pytest
from small_runs import SETTINGS, finish

from wgan import runs


@pytest.fixture(scope="session")
def straight(tmp_path_factory) -> Path:
    """A run that was never stopped."""
    directory = tmp_path_factory.mktemp("straight") / "run"
    finish(runs.begin(SETTINGS, directory))
    return directory


@pytest.fixture
def finished(straight, tmp_path) -> Path:
    return Path(shutil.copytree(straight, tmp_path / "run"))
