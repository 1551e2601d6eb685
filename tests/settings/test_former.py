"""Former names in files: settings, words and lines of the record that earlier versions wrote."""

import dataclasses

import pytest

from wgan import WGAN
from wgan.settings import Settings, from_toml
from wgan.settings.former import (
    NUMBERS,
    PARAMETERS,
    SETTINGS,
    todays_line,
    todays_parameters,
    todays_settings,
    todays_word,
)
from wgan.training.factory import REGISTRIES


def test_settings_are_renamed_to_fields_that_exist():
    names = {field.name for field in dataclasses.fields(Settings)}
    assert set(SETTINGS.values()) <= names
    assert not names & set(SETTINGS)


def test_parameters_are_renamed_to_fields_that_exist():
    rows = {name: row for registry in REGISTRIES.values() for name, row in registry.rows.items()}
    for word, renamed in PARAMETERS.items():
        fields = {field.name for field in dataclasses.fields(rows[word])}
        assert {after.partition("=")[0] for after in renamed.values()} <= fields
        assert not {before.partition("=")[0] for before in renamed} & fields


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("adam:rate=0.001,beta1=0.5", "adam:lr=0.001,beta1=0.5"),
        ("rmsprop:smoothing=0.9, rate = 1e-4", "rmsprop:alpha=0.9,lr=1e-4"),
        ("penalty:weight=0.1,sides=one,place=real", "penalty:weight=0.1,one_sided=true,penalty_at=real"),
        ("penalty:sides=two", "penalty:one_sided=false"),
        ("energy:pulling=0.1", "energy:pull_away=0.1"),
        ("dcgan:filters=4,weights=he", "dcgan:filters=4,init=he"),
        ("gan:smoothing=0.1", "gan:smoothing=0.1"),
        ("adam", "adam"),
        ("own:class=Mine,digest=0f12ab34", "own:class=Mine,digest=0f12ab34"),
        (3, 3),
    ],
)
def test_former_parameters_in_words_are_renamed(before, after):
    assert todays_word(before) == after
    assert todays_word(after) == after


def test_a_settings_file_with_former_names_is_read(tmp_path):
    path = tmp_path / "settings.toml"
    path.write_text("decay = 'cosine'\naverage = 0.9\nnoise_size = 7\ncritic_optimizer = 'adam:rate=0.01'\n")
    found = from_toml(path)
    assert (found.lr_schedule, found.ema_decay, found.latent_dim) == ("cosine", 0.9, 7)
    assert found.critic_optimizer == "adam:lr=0.01"


def test_numbers_of_the_record_are_renamed_but_columns_are_not():
    line = {"step": 3, "obeyed_town=Bern": 0.5, "unseen_read": 1.0, "ignored_read": 0.2, "followed_age": 0.9}
    assert todays_line(line | {"copied": 0.1, "columns": {"read": 1, "copied": 2}}) == {
        "step": 3,
        "accuracy_town=Bern": 0.5,
        "unseen_classifier_accuracy": 1.0,
        "chance_read": 0.2,
        "correlation_age": 0.9,
        "memorised": 0.1,
        "columns": {"read": 1, "copied": 2},
    }
    assert todays_line(dict.fromkeys(NUMBERS, 1)) == dict.fromkeys(NUMBERS.values(), 1)
    assert todays_settings({"input": {"held_out": 0.1}}) == {"input": {"held_out": 0.1}}


def test_parameters_of_a_saved_estimator_become_settings():
    former = {"steps": 5, "noise_size": 3, "average": 0.9, "missing": None, "pixel_range": (0, 1), "critic": "mlp"}
    assert todays_parameters(former, WGAN().get_params()) == {
        "critic": "mlp",
        "latent_dim": 3,
        "steps": 5,
        "settings": {"ema_decay": 0.9, "range": (0, 1)},
    }
    today = WGAN(steps=5, settings={"packing": 2}).get_params()
    assert todays_parameters(today, today) == today
