import dataclasses

import pytest
import torch

from wgan.batch import Batch, Layout
from wgan.constraints import GradientPenalty
from wgan.data.names import default_recipe
from wgan.errors import UsageError
from wgan.settings import Settings
from wgan.settings.recipes import RECIPES, recipe
from wgan.training.factory import build_game, choose_parts, hparams_of, word_faults


def test_names_become_objects():
    parts = choose_parts(Settings(constraint="penalty:weight=0.1,one_sided=true", critic="dcgan:filters=8"))
    assert parts.constraint == GradientPenalty(weight=0.1, one_sided=True)
    assert parts.critic.filters == 8


def test_every_unknown_name_is_listed_with_the_nearest():
    settings = Settings(constraint="penlty", critic="mlp:widht=3", objective="os.system")
    with pytest.raises(UsageError, match="3 settings cannot be used") as caught:
        choose_parts(settings)
    assert "Did you mean 'penalty'" in caught.value.message
    assert "Did you mean 'width='" in caught.value.message
    assert "'os.system' is not known" in caught.value.message


def test_faults_are_given_by_setting():
    settings = Settings(objective="wassersteim", critic="mlp:widht=3")
    faults = word_faults(settings)
    assert list(faults) == ["objective", "critic"]
    assert "wassersteim" in faults["objective"].message
    assert word_faults(Settings()) == {}


def test_a_constraint_that_does_not_suit_the_critic_is_refused():
    settings = Settings(critic="dcgan:filters=4", constraint="penalty")
    with pytest.raises(UsageError, match="batch norm"):
        build_game(settings, Layout(shape=(1, 16, 16), bounded=True))


def test_initial_parameters_do_not_depend_on_the_other_player():
    layout = Layout(shape=(2,))
    one = build_game(Settings(generator="mlp:width=4", critic="mlp:width=4"), layout)
    two = build_game(Settings(generator="mlp:width=9", critic="mlp:width=4"), layout)
    for first, second in zip(one.critic.parameters(), two.critic.parameters(), strict=True):
        assert torch.equal(first, second)


LAYOUTS = {
    "paper": Layout(shape=(2,)),
    "table": Layout(shape=(5,), groups=((1, 3),)),
    "images": Layout(shape=(3, 32, 32), bounded=True),
    "demo": Layout(shape=(1, 28, 28), bounded=True),
    "fashion-classes": Layout(shape=(1, 28, 28), bounded=True),
    "avatars": Layout(shape=(4, 32, 32), bounded=True),
}


@pytest.mark.parametrize("name", list(RECIPES))
def test_every_recipe_builds_and_takes_a_batch(name):
    settings = recipe(name)
    assert settings.recipe == name
    assert RECIPES[name].line
    layout = LAYOUTS.get(name, Layout(shape=(2,)))
    game = build_game(dataclasses.replace(settings, precision="float32"), layout)
    assert hparams_of(settings).generator_steps == settings.steps
    samples = game.draw(game.prior.sample(4, torch.Generator().manual_seed(0)))
    assert samples.shape == (4, *layout.shape)
    assert len(game.score(*Batch(samples).packed(settings.packing))) == 4 // settings.packing


def test_data_gets_its_own_recipe_or_that_of_its_kind(tmp_path):
    assert default_recipe("ring") == recipe("ring")
    assert default_recipe("ring").data == "ring"
    for ending, kind in ((".npy", "points"), (".csv", "table"), (".zip", "images")):
        path = tmp_path / f"mine{ending}"
        path.write_bytes(b"\x93NUMPY")
        assert default_recipe(str(path)).recipe == kind
        assert default_recipe(str(path)).data == str(path)
    assert default_recipe("fashion-mnist").recipe == "images"
    with pytest.raises(UsageError, match="'paper' is neither"):
        default_recipe("paper")


def test_unknown_recipe_lists_the_known():
    with pytest.raises(UsageError, match="recipe 'rign' is not known") as caught:
        recipe("rign")
    assert "Did you mean 'ring'" in caught.value.remedy
