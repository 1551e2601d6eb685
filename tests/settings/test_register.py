"""`register` adds a user's classes to every registry."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pytest
import torch
from torch import nn

from custom_parts import Drift, MyLoss
from wgan import WGAN, Settings, begin, register
from wgan.constraints import CONSTRAINTS, Constraint
from wgan.data.embeddings import EMBEDDINGS
from wgan.data.names import BUILT_IN
from wgan.data.toys import SUMMARIES, TOYS, ring
from wgan.errors import UsageError
from wgan.networks import NETWORKS, Critic, Generator
from wgan.objectives import OBJECTIVES, Wasserstein
from wgan.optimizers import OPTIMIZERS

SMALL = {"steps": 2, "generator": "mlp:width=8", "critic": "mlp:width=8", "random_state": 0}
POINTS = np.random.default_rng(0).normal(size=(60, 2))


@dataclass(frozen=True)
class Scaled(Wasserstein):
    """The Wasserstein objective, scaled."""

    weight: float = 1.0

    def critic_loss(self, real, fake, drawn=None):
        return self.weight * super().critic_loss(real, fake)


@dataclass(frozen=True)
class LinearNetwork:
    """One linear map."""

    bias: bool = True

    def generator(self, latent_dim, layout, given=None):
        return Generator(nn.Linear(latent_dim, layout.size, bias=self.bias), latent_dim, layout)

    def critic(self, layout, outputs=1, given=None):
        return Critic(nn.Linear(layout.size, outputs, bias=self.bias), outputs)


@dataclass(frozen=True)
class PlainDescent:
    """Gradient descent."""

    lr: float = 1e-3

    def build(self, parameters):
        return torch.optim.SGD(list(parameters), lr=self.lr)


@pytest.fixture(autouse=True)
def restored_registries(monkeypatch):
    """Restore the registries after the test."""
    for table in (OBJECTIVES, CONSTRAINTS, NETWORKS, OPTIMIZERS, TOYS, EMBEDDINGS):
        monkeypatch.setattr(table, "rows", dict(table.rows))
    before = dict(SUMMARIES)
    yield
    SUMMARIES.clear()
    SUMMARIES.update(before)


@pytest.mark.parametrize(
    ("table", "setting", "row", "word"),
    [
        (OBJECTIVES, "objective", Scaled, "mine:weight=2"),
        (CONSTRAINTS, "constraint", Drift, "mine:weight=2"),
        (NETWORKS, "generator", LinearNetwork, "mine:bias=false"),
        (NETWORKS, "critic", LinearNetwork, "mine"),
        (OPTIMIZERS, "critic_optimizer", PlainDescent, "mine:lr=0.1"),
    ],
)
def test_a_registered_name_works_in_settings_and_parameters(table, setting, row, word, tmp_path):
    assert register(table, "mine", row) is row
    assert WGAN(**SMALL | {setting: word}).fit(POINTS).sample(3).shape == (3, 2)
    settings = Settings(data="ring", steps=2, **{"generator": "mlp:width=8", "critic": "mlp:width=8"} | {setting: word})
    with begin(settings, tmp_path / "run") as run:
        assert [progress.step for progress in run.run()] == [1, 2]
    assert f'{setting} = "{word}"' in (tmp_path / "run" / "settings.toml").read_text()
    with pytest.raises(UsageError, match="has no parameter 'wait=1'"):
        WGAN(**SMALL | {setting: f"{word.partition(':')[0]}:wait=1"}).fit(POINTS)


def test_a_registered_toy_distribution_can_be_opened(tmp_path):
    class Line:
        """A line in space."""

        def draw(self, size, rng):
            return torch.randn(size, 1, generator=rng) * torch.ones(3)

    register(TOYS, "line", Line())
    register(TOYS, "small-ring", ring(radius=0.5, sigma=0.01, divisor=1.0))
    assert WGAN(**SMALL, critic_steps=1).fit("line").sample(4).shape == (4, 3)
    assert BUILT_IN["line"] == "A line in space."
    settings = Settings(data="small-ring", steps=2, generator="mlp:width=8", critic="mlp:width=8", eval_size=50)
    with begin(settings, tmp_path / "run") as run:
        assert "modes" in list(run.run())[-1].evaluation


def test_a_registered_embedding_is_used():
    def letters(texts):
        return [[text.count("a"), text.count("b")] for text in texts]

    register(EMBEDDINGS, "letters", lambda: letters)
    assert EMBEDDINGS["letters"]() is letters
    with pytest.raises(UsageError, match=r"embedding 'again' must be a function without arguments .*lambda: embed"):
        register(EMBEDDINGS, "again", letters)


def draws(**changes):
    """A class of one method, `draw`."""
    return type("Odd", (), {"draw": lambda self, size, rng: changes["drawn"](size, rng)})()


@dataclass(frozen=True)
class ListField(Constraint):
    """A field whose type has no text form."""

    weights: tuple[float, ...] = ()


@dataclass
class NotFrozen(Constraint):
    """Not frozen."""


class NotADataclass(Constraint):
    """Not a dataclass."""


@dataclass(frozen=True)
class Incomplete:
    """An optimiser without `build`."""

    lr: float = 1.0


@pytest.mark.parametrize(
    ("table", "name", "row", "message"),
    [
        (CONSTRAINTS, "penalty", Drift, "the name is a built-in constraint"),
        (CONSTRAINTS, "own", Drift, "stands for objects that are not registered"),
        (CONSTRAINTS, "my drift", Drift, "'my drift' cannot be the name of a constraint"),
        (CONSTRAINTS, 3, Drift, "3 cannot be the name of a constraint"),
        (CONSTRAINTS, "a", Drift(), r"must be a class, not Drift\(weight=0.001\)"),
        (CONSTRAINTS, "a", NotFrozen, "must be a frozen dataclass.*\nPut @dataclass"),
        (CONSTRAINTS, "a", NotADataclass, "must be a frozen dataclass"),
        (CONSTRAINTS, "a", Scaled, "Scaled does not inherit from wgan.constraints.Constraint"),
        (CONSTRAINTS, "a", ListField, "the field 'weights' has the type"),
        (OBJECTIVES, "a", MyLoss, "must be a frozen dataclass"),
        (OPTIMIZERS, "a", Incomplete, "Incomplete does not define build"),
        (TOYS, "ring", ring(radius=1, sigma=1, divisor=1), "the name is a built-in toy distribution"),
        (TOYS, "fashion-mnist", ring(radius=1, sigma=1, divisor=1), "the name is a built-in toy distribution"),
        (TOYS, "a", 3, "must have a method draw"),
        (TOYS, "a", draws(drawn=lambda size, rng: torch.randn(size, 2)), "all its randomness must come from `rng`"),
        (TOYS, "a", draws(drawn=lambda size, rng: torch.randn(size, generator=rng)), r"not torch.float32, \(3,\)"),
        (TOYS, "a", draws(drawn=lambda size, rng: torch.zeros(size, 2).double()), "not torch.float64"),
        (TOYS, "a", draws(drawn=lambda size, rng: torch.full((size, 2), torch.nan)), "not finite"),
        ({}, "a", Drift, "registered in a registry such as wgan.objectives.OBJECTIVES, not in a dict"),
    ],
)
def test_invalid_classes_are_refused(table, name, row, message):
    before = dict(TOYS), dict(CONSTRAINTS)
    with pytest.raises(UsageError, match=message):
        register(table, name, row)
    assert before == (dict(TOYS), dict(CONSTRAINTS))


def test_a_name_is_replaced_only_on_request():
    register(CONSTRAINTS, "mine", Drift)
    with pytest.raises(UsageError, match=r"registered already\n.*replace=True"):
        register(CONSTRAINTS, "mine", Drift)
    register(CONSTRAINTS, "mine", Drift, replace=True)
    with pytest.raises(UsageError, match="is a built-in constraint"):
        register(CONSTRAINTS, "penalty", Drift, replace=True)


def test_fields_without_a_default_are_required():
    @dataclass(frozen=True)
    class NoDefault(Constraint):
        """A constraint whose parameter has no default."""

        weight: float
        penalty_at: Literal["real", "fake"] = "real"

    register(CONSTRAINTS, "needy", NoDefault)
    with pytest.raises(UsageError, match=r"constraint 'needy' needs weight\nWrite needy:weight=\.\.\."):
        CONSTRAINTS.build("needy:penalty_at=fake")
    assert CONSTRAINTS.build("needy:weight=2") == NoDefault(2.0)
    assert CONSTRAINTS.word_of(NoDefault(2.0, "fake")) == "needy:weight=2.0,penalty_at=fake"
    assert CONSTRAINTS.word_of(Drift()) is None
