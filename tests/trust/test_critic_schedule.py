"""The critic schedule with optimality: when it ends, that measuring changes nothing, and resuming."""

import dataclasses
import itertools

import pytest
import torch

from wgan.batch import Batch
from wgan.data.points import PointsCodec
from wgan.errors import UsageError
from wgan.runs.setups import build_setup
from wgan.settings import Settings, problems
from wgan.training.engine import has_compiler
from wgan.training.hyperparameters import Hyperparameters
from wgan.training.loop import train
from wgan.trust import critic_schedule
from wgan.trust.optimality import trained_further

SMALL = Settings(
    steps=6,
    batch_size=32,
    critic_steps=2,
    optimality=0.05,
    max_critic_steps=9,
    constraint="penalty:weight=0.1",
    generator="mlp:width=16,depth=2",
    critic="mlp:width=16,depth=2",
    generator_optimizer="adam:lr=0.002,beta1=0.5",
    critic_optimizer="adam:lr=0.002,beta1=0.5",
    latent_dim=2,
    threads=1,
    device="cpu",
    precision="float32",
    engine="eager",
)


class Shifted:
    """N(3, 1) in the plane."""

    conditions = None
    codec = PointsCodec.identity(2)

    def sample(self, size, rng):
        return Batch(torch.randn(size, 2, generator=rng) + 3.0)


def small(**changes):
    return build_setup(dataclasses.replace(SMALL, **changes), Shifted())


def played(setup, *, stop=None):
    return setup.game, list(itertools.islice(train(setup), stop))


@pytest.fixture
def proving(monkeypatch):
    """Replace the measurement by given values: before the first group of updates, after it, and so on."""

    def tell(*proofs):
        told = iter(proofs)
        monkeypatch.setattr(critic_schedule._Proven, "__call__", lambda self: next(told))

    return tell


def numbered(**changes):
    setup = small(**changes)
    return list(setup.critic_schedule(setup))


@pytest.mark.parametrize(
    ("proofs", "num"),
    [
        ((0.5, 0.51), 2),  # the first round adds 2 %
        ((0.1, 0.5, 0.51), 4),
        ((0.1, 0.2, 0.3, 0.4, 0.5), 9),  # rises until there may be no more
        ((0.5, 0.3), 2),  # a little worse is no rise
        ((0.5, 0.2, 0.21, 0.3, 0.3), 8),  # less than half of what it knew is no optimum
        ((0.0, 0.0, 0.1, 0.1), 6),  # nor is nothing
        ((0.1, None), 2),
        ((None, 0.1), 2),
    ],
)
def test_updates_continue_until_a_group_adds_too_little(proving, proofs, num):
    proving(*proofs)
    assert numbered() == list(range(num))


def test_without_optimality_nothing_is_measured(monkeypatch):
    monkeypatch.setattr(critic_schedule, "_Proven", lambda *given: pytest.fail("it was measured"))
    assert numbered(optimality=0.0) == [0, 1]


def test_the_authors_schedule_comes_first(proving):
    proving(0.1, 0.1)
    assert numbered(critic_schedule="authors", max_critic_steps=50) == list(range(100))


def test_the_proven_distance_excludes_that_of_nearest_neighbours():
    """A constant critic proves nothing; one with the right direction proves most of the rest."""
    setup = small(generator="mlp:depth=0", critic="mlp:depth=0")
    game = setup.game
    with torch.no_grad():
        layer = game.generator.body[0]
        layer.weight.copy_(torch.eye(2))
        layer.bias.zero_()
        score = game.critic.body[1][0]
        score.weight.zero_()
    proven = critic_schedule._Proven(setup)
    assert proven() == 0.0
    with torch.no_grad():
        score.weight.copy_(torch.tensor([[1e-5, 1e-5]]))
    tiny = proven()
    with torch.no_grad():
        score.weight.copy_(torch.tensor([[1e5, 1e5]]))
    # The scale of the scores does not matter.
    assert proven() == pytest.approx(tiny, rel=1e-3)
    # W1 between the two is at most sqrt(18), and 256 points of each overlap little.
    assert 0.2 < tiny < 18**0.5


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"generator": "mlp:width=8,norm=batch", "critic": "mlp:width=8,norm=batch", "constraint": "clipping"},
        {"constraint": "spectral", "packing": 2, "critic_optimizer": "rmsprop"},
    ],
)
def test_measuring_changes_nothing(changes):
    setup = small(**changes)
    game = setup.game
    before = {name: value.clone() for name, value in game.state()[0].items()}
    proven = critic_schedule._Proven(setup)
    assert proven() == proven()
    for name, value in game.state()[0].items():
        assert torch.equal(value, before[name]), name


def test_a_critic_trained_to_optimality_proves_more():
    """With a fixed generator: the proven distance relative to that after 200 more updates."""
    known = []
    for tolerance in (0.0, 0.05):
        setup = small(
            optimality=tolerance,
            max_critic_steps=200,
            generator_optimizer="adam:lr=0.0000001",
            steps=1,
            seed=1,
        )
        (step,) = train(setup)
        proven = critic_schedule._Proven(setup)
        now = proven()
        proven.setup = trained_further(setup, steps=200)
        known.append(now / proven())
    assert known[0] < 0.05
    assert known[1] > 0.4
    assert 10 < step.critic_updates < 200


@pytest.mark.parametrize("changes", [{}, {"constraint": "r1:every=4", "objective": "gan", "packing": 2}])
def test_a_restored_game_continues_bit_for_bit(changes):
    straight, steps = played(small(**changes))
    stopped, _ = played(small(**changes), stop=3)
    setup = small(**changes)
    tensors, facts = stopped.state()
    setup.game.restore({name: value.clone() for name, value in tensors.items()}, facts)
    again, rest = played(setup)
    assert [step.critic_updates for step in rest] == [step.critic_updates for step in steps[3:]]
    for name, value in straight.state()[0].items():
        assert torch.equal(value, again.state()[0][name]), name


@pytest.mark.slow
@pytest.mark.skipif(not has_compiler(), reason="needs a C++ compiler")
def test_compiled_updates_are_trained_to_optimality_too(proving):
    proving(*([0.1, 0.5, 0.5] * 3))
    game, steps = played(small(engine="compiled", steps=3))
    assert game.engine.compiled
    assert [step.critic_updates for step in steps] == [4, 4, 4]


def test_invalid_schedules_are_refused():
    assert problems(Settings(optimality=1.0)) == ["optimality must be at least 0 and below 1, not 1.0"]
    (problem,) = problems(Settings(optimality=0.1, critic_steps=5, max_critic_steps=4))
    assert problem == "max_critic_steps must be at least the 5 critic_steps of one round, not 4"
    assert problems(Settings(critic_steps=100)) == []
    with pytest.raises(UsageError, match="max_critic_steps must be at least the 5 of one round, not 4"):
        Hyperparameters(generator_steps=1, optimality=0.1, max_critic_steps=4)
    with pytest.raises(UsageError, match="a critic without weights has no optimum"):
        small(objective="mmd", critic="identity", constraint="none")
