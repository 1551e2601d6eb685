"""On resume, each setting either may change or is refused if it has changed."""

import contextlib
import dataclasses
import inspect
import shutil
import typing

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pytest

from wgan import begin, resume
from wgan.errors import CheckpointError, WganError
from wgan.settings import FIXED, RESUME_OPTIONS, DataOptions, Settings, from_toml, sealed_toml

OTHERS = {
    "recipe": "ring",
    "device": "cpu",
    "objective": "gan",
    "constraint": "penalty",
    "generator": "mlp:width=9",
    "critic": "mlp:width=9",
    "generator_optimizer": "adam",
    "critic_optimizer": "adam",
}
"""Other values of settings whose type does not provide one."""

INPUT_OTHERS = {
    "categorical": ("b",),
    "numeric": ("a",),
    "ignore": ("b",),
    "decimal": (",",),
    "thousands": ("'",),
    "dayfirst": ("yes",),
    "date_format": ("%d.%m.%Y",),
    "max_categories": 3,
    "size": (4, 4),
    "range": (0.0, 9.0),
    "condition": ("c",),
    "text": ("c",),
    "embedding": "none",
}


def other_value(name, value, hint):
    """Another valid value of a setting."""
    if name in OTHERS | INPUT_OTHERS:
        return (OTHERS | INPUT_OTHERS)[name]
    if typing.get_origin(hint) is typing.Literal:
        return next(choice for choice in reversed(typing.get_args(hint)) if choice != value)
    if hint is bool:
        return not value
    return value + 0.25 if hint is float else value + 2


def save_settings(directory, settings):
    """Write the settings with a valid checksum, as the run itself does."""
    (directory / "settings.toml").write_bytes(sealed_toml(settings))


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    directory = tmp_path_factory.mktemp("stopped") / "run"
    settings = Settings(
        data="ring",
        steps=4,
        batch_size=8,
        critic_steps=1,
        generator="mlp:width=8",
        critic="mlp:width=8",
        eval_size=20,
        save_every=2,
    )
    with begin(settings, directory) as run:
        assert next(iter(run.run())).step == 1
        run.save()
    return directory


@pytest.mark.parametrize(
    "name", [item.name for item in dataclasses.fields(Settings) if item.name not in ("data", "input")]
)
def test_every_setting_is_refused_on_resume_or_declared_resumable(stopped, tmp_path, name):
    directory = shutil.copytree(stopped, tmp_path / "run")
    settings = from_toml(directory / "settings.toml")
    value = other_value(name, getattr(settings, name), typing.get_type_hints(Settings)[name])
    save_settings(directory, dataclasses.replace(settings, **{name: value}))
    if name in FIXED:
        with pytest.raises(CheckpointError, match=f"do not fit its checkpoint: {name}: "):
            resume(directory)
        return
    with resume(directory) as run:
        assert getattr(run.settings, name) == value
        # Compiling takes many seconds, and is tested elsewhere.
        assert name == "engine" or next(iter(run.run())).step == 2


def test_resume_takes_the_settings_that_are_declared_as_its_options():
    own = {"directory", "source", "parts"}
    assert set(inspect.signature(resume).parameters) - own == set(RESUME_OPTIONS)


def test_other_data_is_refused_on_resume(stopped, tmp_path):
    directory = shutil.copytree(stopped, tmp_path / "run")
    save_settings(directory, dataclasses.replace(from_toml(directory / "settings.toml"), data="grid"))
    with pytest.raises(CheckpointError, match="the data is not what the run"):
        resume(directory)


@pytest.fixture(scope="module")
def stopped_table(tmp_path_factory):
    folder = tmp_path_factory.mktemp("table")
    rng = np.random.default_rng(0)
    table = pa.table({"a": rng.integers(0, 9, 60), "b": rng.normal(size=60), "c": rng.choice(list("xyz"), 60)})
    pyarrow.csv.write_csv(table, folder / "rows.csv")
    settings = Settings(data=str(folder / "rows.csv"), steps=2, batch_size=8, critic_steps=1, generator="mlp:width=8")
    with begin(settings, folder / "run") as run:
        run.save()
    return folder / "run"


@pytest.mark.parametrize("name", [item.name for item in dataclasses.fields(DataOptions)])
def test_every_data_option_is_refused_on_resume_if_it_changes_the_data(stopped_table, tmp_path, name):
    directory = shutil.copytree(stopped_table, tmp_path / "run")
    settings = from_toml(directory / "settings.toml")
    value = other_value(name, getattr(settings.input, name), typing.get_type_hints(DataOptions)[name])
    save_settings(directory, dataclasses.replace(settings, input=dataclasses.replace(settings.input, **{name: value})))
    with contextlib.ExitStack() as stack:
        # The option does not change this table, so the data is exactly that of the run.
        if name not in ("numeric", "missing", "dayfirst", "date_format", "thousands", "max_categories"):
            stack.enter_context(pytest.raises(WganError))
        resume(directory).close()
