from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wgan.errors import UsageError
from wgan.settings import DataOptions, Settings, check, from_toml, problems, settings_fields, to_toml

# Unpaired surrogates cannot be encoded in a file.
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


def settings_file(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "settings.toml"
    path.write_text(text, encoding="utf-8")
    return path


@given(
    data=TEXT.filter(lambda text: not text.endswith((".pt", ".pth", ".pkl"))),
    seed=st.integers(-(2**63), 2**63 - 1),
    average=st.floats(0, 1, exclude_max=True),
    columns=st.lists(TEXT, unique=True, max_size=3).map(tuple),
    size=st.one_of(st.just((0, 0)), st.tuples(st.integers(1, 4096), st.integers(1, 4096))),
)
def test_toml_round_trip(tmp_path_factory, data, seed, average, columns, size):
    options = DataOptions(categorical=columns, size=size, skip_broken=True)
    settings = Settings(data=data, seed=seed, ema_decay=average, constraint="penalty:weight=0.1", input=options)
    path = settings_file(tmp_path_factory.mktemp("toml"), to_toml(settings))
    assert from_toml(path) == settings


def test_data_in_memory_is_named_by_its_type():
    settings = Settings(data=[1, 2])  # type: ignore[arg-type]
    assert 'data = "<list in memory>"' in to_toml(settings)
    assert problems(settings) == []


def test_settings_missing_in_a_file_keep_the_given_values(tmp_path):
    path = settings_file(tmp_path, "steps = 7\nema_decay = 0\n[input]\nignore = ['id']\n")
    start = Settings(data="ring", batch_size=9, ema_decay=0.5, input=DataOptions(held_out=0.2))
    assert from_toml(path, start=start) == dataclasses.replace(
        start, steps=7, ema_decay=0.0, input=DataOptions(held_out=0.2, ignore=("id",))
    )


def test_every_fault_of_a_file_is_listed_with_its_setting(tmp_path):
    path = settings_file(
        tmp_path,
        "stepz = 5\nbatch_size = '64'\nseed = true\nema_decay = 1.5\n"
        "critic = 'torch.nn.Linear'\nlr_schedule = 'cubic'\n"
        "[input]\nscalings = 'each'\nsize = [64]\nheld_out = nan\n",
    )
    with pytest.raises(UsageError) as caught:
        from_toml(path)
    text = str(caught.value)
    assert caught.value.exit_code == 2
    assert text.startswith(f"{path}: 9 settings cannot be used")
    for part in (
        "'stepz'; did you mean 'steps'?",
        "batch_size must be a whole number, not '64'",
        "seed must be a whole number, not true",
        "ema_decay must be at least 0 and below 1, not 1.5",
        "critic 'torch.nn.Linear' is refused",
        "lr_schedule must be one of none, linear, cosine, not 'cubic'",
        "'input.scalings'; did you mean 'scaling'?",
        "input.size must be a list of 2 whole numbers, not [64]",
        "held_out must be between 0 and 0.5, not nan",
    ):
        assert part in text


@pytest.mark.parametrize(
    "word",
    [
        "torch.nn.Linear",
        "wgan.networks:MLP",
        "os.system('true')",
        "!!python/object:os.system",
        "__import__('os')",
        "net.pkl",
    ],
)
@pytest.mark.parametrize("name", ["generator", "constraint", "objective"])
def test_class_paths_and_pickles_are_refused(name, word):
    with pytest.raises(UsageError, match=f"{name} .* is refused: .*never import or unpickle"):
        check(Settings(**{name: word}))


@pytest.mark.parametrize("data", ["rows.pkl", "a/b.PT", "model.ckpt", "x.joblib"])
def test_pickled_data_is_refused(data):
    with pytest.raises(UsageError, match="reading a pickle can run"):
        check(Settings(data=data))


def test_a_malformed_word_is_refused_with_the_right_form():
    with pytest.raises(UsageError, match=r"critic must have the form name or name:key=value"):
        check(Settings(critic="mlp depth 3"))


def test_defaults_have_no_problems():
    assert problems(Settings()) == []


@pytest.mark.parametrize("name", [name for name, item in settings_fields().items() if item.metadata["allowed"]])
def test_numbers_beyond_their_range_are_refused(name):
    edges = {"seed": 2**63, "ema_decay": 1.0, "held_out": 0.51, "size": (0, 1), "range": (5.0, 5.0), "eval_size": 1}
    wrong = edges.get(name, -1)
    if name in {item.name for item in dataclasses.fields(Settings)}:
        settings = Settings(**{name: wrong})
    else:
        settings = Settings(input=DataOptions(**{name: wrong}))
    (problem,) = problems(settings)
    assert problem.startswith(f"{name} must be ")


def test_an_evaluation_that_does_not_fit_into_memory_is_refused_with_the_reason():
    (problem,) = problems(Settings(eval_size=10**9))
    assert problem.startswith("eval_size must be between 2 and 20,000 (exact transport holds the costs of all pairs")
    assert problems(Settings(eval_size=20_000)) == []


def test_every_number_has_a_range_and_every_setting_a_meaning():
    numeric = ("int", "float", "tuple[int, int]", "tuple[float, float]")
    for name, item in settings_fields().items():
        assert (item.metadata["allowed"] is not None) == (item.type in numeric), name
        assert item.metadata["meaning"].endswith((".", ")"))


def test_wrong_types_in_python_are_found():
    settings = Settings(steps="many", input=DataOptions(ignore="age"))  # type: ignore[arg-type]
    assert problems(settings) == [
        "steps must be a whole number, not 'many'",
        "input.ignore must be a list of texts, not 'age'",
    ]


def test_a_column_in_two_lists_is_named():
    options = DataOptions(categorical=("age", "sex"), numeric=("age",), ignore=("sex",))
    assert problems(Settings(input=options)) == [
        "column 'age' is named under both categorical and numeric",
        "column 'sex' is named under both categorical and ignore",
    ]


def test_the_error_of_a_missing_file_names_similar_files(tmp_path):
    (tmp_path / "settings.toml").touch()
    with pytest.raises(UsageError, match=r"no settings file .*setings.toml\nNear it: .*settings.toml"):
        from_toml(tmp_path / "setings.toml")


def test_files_that_are_not_toml_are_refused(tmp_path):
    with pytest.raises(UsageError, match=r"is not valid TOML: .*line 2"):
        from_toml(settings_file(tmp_path, "steps = 1\nseed: 3\n"))
    (tmp_path / "b.toml").write_bytes(b"data = '\xff'")
    with pytest.raises(UsageError, match="not UTF-8 text: byte 8"):
        from_toml(tmp_path / "b.toml")
    with pytest.raises(UsageError, match="is a directory"):
        from_toml(tmp_path)


def test_control_characters_are_escaped_in_messages(tmp_path):
    with pytest.raises(UsageError) as caught:
        from_toml(settings_file(tmp_path, '"st\\u001beps" = 1\n'))
    assert "\x1b" not in str(caught.value)
    assert r"'st\x1beps'" in str(caught.value)


def test_settings_do_not_load_torch():
    code = "import sys, wgan.settings as s; s.to_toml(s.Settings()); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
