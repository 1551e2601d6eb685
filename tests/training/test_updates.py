"""Compiled updates equal those that run operation by operation, up to rounding."""

import dataclasses
import itertools
import warnings

import pytest
import torch

from wgan.batch import Batch
from wgan.constraints import CONSTRAINTS
from wgan.data.points import PointsCodec
from wgan.objectives import OBJECTIVES
from wgan.runs.setups import build_setup
from wgan.settings import Settings
from wgan.training import updates
from wgan.training.engine import EngineWarning, has_compiler
from wgan.training.loop import train

TINY = Settings(
    constraint="penalty:weight=1",
    generator="mlp:width=8,depth=1",
    critic="mlp:width=8,depth=1",
    generator_optimizer="adam:lr=0.01,beta1=0.5",
    critic_optimizer="adam:lr=0.01,beta1=0.5",
    latent_dim=2,
    batch_size=16,
    critic_steps=2,
    steps=6,
    lr_schedule="linear",
    ema_decay=0.5,
    threads=1,
    device="cpu",
    precision="float32",
)

needs_compiler = pytest.mark.skipif(not has_compiler(), reason="needs a C++ compiler")


class Shifted:
    """N(1, 1) in the plane."""

    conditions = None
    codec = PointsCodec.identity(2)

    def sample(self, size, rng):
        return Batch(torch.randn(size, 2, generator=rng) + 1.0)


def played(settings, *, stop=None):
    setup = build_setup(settings, Shifted())
    return setup.game, list(itertools.islice(train(setup), stop))


def compare(settings):
    (eager, by_hand), (compiled, at_once) = (
        played(dataclasses.replace(settings, engine=engine)) for engine in ("eager", "compiled")
    )
    assert compiled.engine.compiled
    assert not eager.engine.compiled
    for ours, theirs in zip(at_once, by_hand, strict=True):
        for name in ("estimate", "critic_loss", "generator_loss"):
            torch.testing.assert_close(getattr(ours, name), getattr(theirs, name), rtol=1e-4, atol=1e-5)
    assert compiled.state()[0].keys() == eager.state()[0].keys()
    # Outputs, not parameters: some parameters, such as a bias that cancels, change by rounding alone.
    rng = torch.Generator().manual_seed(0)
    noise, points = torch.randn(50, 2, generator=rng), 2 * torch.randn(50, 2 * settings.packing, generator=rng)
    with torch.no_grad():
        for ours, theirs in (
            (compiled.draw(noise), eager.draw(noise)),
            *[(game.score(points) - game.score(points).mean() for game in (compiled, eager))],
        ):
            torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4)


@pytest.fixture
def no_engine_warning():
    """Fail if an update falls back to eager mode."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", EngineWarning)
        yield


@needs_compiler
@pytest.mark.usefixtures("no_engine_warning")
def test_compiled_updates_equal_eager_ones():
    compare(TINY)


@needs_compiler
@pytest.mark.slow
@pytest.mark.usefixtures("no_engine_warning")
@pytest.mark.parametrize("name", [name for name in CONSTRAINTS if name != "penalty"])
def test_under_every_constraint(name):
    compare(dataclasses.replace(TINY, constraint=name, critic_optimizer="rmsprop:lr=0.01"))


@needs_compiler
@pytest.mark.slow
@pytest.mark.usefixtures("no_engine_warning")
@pytest.mark.parametrize("name", [name for name in OBJECTIVES if OBJECTIVES.build(name).of_scores][1:])
def test_for_every_objective_of_scores(name):
    compare(dataclasses.replace(TINY, objective=name, constraint="none"))


@needs_compiler
@pytest.mark.slow
@pytest.mark.usefixtures("no_engine_warning")
@pytest.mark.parametrize(
    "changes", [{"packing": 2, "objective": "gan"}, {"ema_decay": 0.0, "constraint": "penalty:weight=1,every=3"}]
)
def test_with_other_hyperparameters(changes):
    compare(dataclasses.replace(TINY, **changes))


@pytest.mark.parametrize("failing", ["critic", "generator"])
def test_if_compiling_fails_the_run_warns_and_continues_eagerly(failing, monkeypatch):
    """The first call fails, as without a compiler; or the second, after the critic's update."""
    calls = []

    def compile_whole(function):
        calls.append(function)

        def run(*arguments):
            if failing == "critic" or len(calls) == 2:
                raise RuntimeError("no compiler\nand a page of reasons")
            return function(*arguments)

        return run

    monkeypatch.setattr("wgan.training.updates.compile_whole", compile_whole)
    with pytest.warns(
        EngineWarning, match=r"compiling failed \(RuntimeError: no compiler\); the run continues"
    ) as said:
        ours, _ = played(dataclasses.replace(TINY, engine="compiled"))
    assert len(said) == 1
    assert ours.engine.describe().endswith("eager updates (compiling failed (RuntimeError: no compiler))")
    theirs, _ = played(dataclasses.replace(TINY, engine="eager"))
    for name, value in ours.state()[0].items():
        torch.testing.assert_close(value, theirs.state()[0][name], rtol=1e-4, atol=1e-6)


@needs_compiler
@pytest.mark.usefixtures("no_engine_warning")
def test_a_restored_compiled_game_continues_bit_for_bit():
    settings = dataclasses.replace(TINY, engine="compiled")
    straight, _ = played(settings)
    stopped, _ = played(settings, stop=3)
    setup = build_setup(settings, Shifted())
    again = setup.game
    tensors, facts = stopped.state()
    again.restore({name: value.clone() for name, value in tensors.items()}, facts)
    for _ in train(setup):
        pass
    for name, value in straight.state()[0].items():
        assert torch.equal(value, again.state()[0][name]), name


@needs_compiler
@pytest.mark.usefixtures("no_engine_warning")
def test_the_learning_rate_is_not_compiled_in(monkeypatch):
    """All updates of the run use the two functions of the first."""
    made = []
    compiled = updates.compile_whole
    monkeypatch.setattr(updates, "compile_whole", lambda function: made.append(function) or compiled(function))
    before = torch._dynamo.utils.counters["stats"]["unique_graphs"]
    played(dataclasses.replace(TINY, engine="compiled"))
    assert len(made) == 2
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == before + 2
