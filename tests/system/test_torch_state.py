"""Equal results under any global state of PyTorch, NumPy and Python, which is left unchanged."""

import contextlib
import copy
import functools
import warnings

import numpy as np
import pytest
import torch
from torch.overrides import TorchFunctionMode

import wgan
from wgan import WGAN, DataOptions, figures
from wgan.batch import Batch, Layout
from wgan.cli.main import main
from wgan.constraints import CONSTRAINTS
from wgan.networks import NETWORKS, Generator
from wgan.objectives import OBJECTIVES
from wgan.optimizers import OPTIMIZERS
from wgan.randomness import Randomness
from wgan.report import write_report
from wgan.studies.failures import TWO_MODES, fit_by_fgan, fit_gaussian
from wgan.system.torch_state import default_state, in_default_state
from wgan.training.engine import Engine
from wgan.training.game import Game, Prior
from wgan.training.hyperparameters import Hyperparameters
from wgan.training.loop import train
from wgan.training.setup import Setup
from wgan.trust.critics import fit_critic
from wgan.trust.gradients import generator_gradient

POINTS = np.random.default_rng(0).normal(size=(60, 2))
SMALL = "mlp:width=8,depth=1"


class Adding(TorchFunctionMode):
    """A mode of the caller that would change results."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        made = func(*args, **(kwargs or {}))
        return made + 1 if func is torch.randn else made


@contextlib.contextmanager
def setting(change, before):
    """Within the block the process has something set as a notebook may have it."""
    change()
    try:
        yield
    finally:
        before()


@contextlib.contextmanager
def warnings_as_errors():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # Small tests hold few rows out, and the warning about it would be an error here.
        warnings.filterwarnings("ignore", message="only .* held-out row")
        yield


def default_dtype(dtype):
    return setting(lambda: torch.set_default_dtype(dtype), lambda: torch.set_default_dtype(torch.float32))


AMBIENT = {
    "default dtype float64": lambda: default_dtype(torch.float64),
    "default dtype bfloat16": lambda: default_dtype(torch.bfloat16),
    "default device": lambda: setting(lambda: torch.set_default_device("meta"), lambda: torch.set_default_device(None)),
    "device as a context": lambda: torch.device("meta"),
    "no_grad": torch.no_grad,
    "inference mode": torch.inference_mode,
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
    "deterministic": lambda: setting(
        lambda: torch.use_deterministic_algorithms(True), lambda: torch.use_deterministic_algorithms(False)
    ),
    "rounded products": lambda: setting(
        lambda: torch.set_float32_matmul_precision("medium"), lambda: torch.set_float32_matmul_precision("highest")
    ),
    "threads": lambda: setting(
        functools.partial(torch.set_num_threads, torch.get_num_threads() + 1),
        functools.partial(torch.set_num_threads, torch.get_num_threads()),
    ),
    "function mode": Adding,
    "NumPy's errors": lambda: np.errstate(all="raise"),
    "warnings as errors": warnings_as_errors,
}


def state():
    """The global state that a caller can observe, including the generators."""
    return {
        "dtype": torch.get_default_dtype(),
        "device": torch.empty(0).device,
        "gradients": torch.is_grad_enabled(),
        "inference": torch.is_inference_mode_enabled(),
        "autocast": torch.is_autocast_enabled("cpu"),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "precision": torch.get_float32_matmul_precision(),
        "threads": torch.get_num_threads(),
        "modes": torch._C._len_torch_function_stack(),
        "errors": np.geterr(),
        "filters": list(warnings.filters),
        "drawn": (torch.get_rng_state().tolist(), np.random.get_state()[1].tolist()),  # noqa: NPY002
    }


def model(**params):
    return WGAN(**{"steps": 2, "critic_steps": 1, "generator": SMALL, "critic": SMALL, "random_state": 0} | params)


@functools.cache
def fitted():
    """One fitted model for all, fitted under no state at all."""
    with quiet():
        return model().fit(POINTS)


@contextlib.contextmanager
def quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved") / "model"
    fitted().save(folder)
    return folder


def weights_of(network):
    return [weight.detach() for weight in network.parameters()]


def by_hand(objective="wasserstein", constraint="penalty"):
    """A game put together and trained without a run, by the names that a user imports."""
    source, hparams = (
        wgan.open_data("ring", DataOptions(), seed=0),
        Hyperparameters(generator_steps=2, batch_size=16, critic_steps=2),
    )
    held, aim = CONSTRAINTS.build(constraint), OBJECTIVES.build(objective)
    with Randomness(0).as_global("weights"):
        generator = NETWORKS.build(SMALL).generator(2, source.codec.layout)
        critic = NETWORKS.build(SMALL).critic(source.codec.layout, aim.critic_outputs)
        held.attach(critic)
    game = Game(
        generator=generator,
        critic=aim.attach(critic),
        generator_optimizer=OPTIMIZERS.build("adam").build(generator.parameters()),
        critic_optimizer=OPTIMIZERS.build("rmsprop").build(critic.parameters()),
        prior=Prior(2),
        seed=0,
        engine=Engine(),
        averaged=False,
    )
    setup = Setup(game, source, aim, held, hparams)
    steps = [step.estimate for step in train(setup)]
    noise = Prior(2).sample(8, Randomness(0).at("noise"))
    pull = generator_gradient(setup, noise, source.sample(8, Randomness(0).at("real")))
    return [*steps, game.draw(noise), pull.at_weights, *weights_of(game.generator), *weights_of(game.critic)]


def penalties():
    """The penalties of a critic at given samples."""
    real, fake = (Batch(torch.from_numpy(POINTS[part].astype(np.float32))) for part in (slice(6), slice(6, 12)))
    with Randomness(0).as_global("weights"):
        critic = NETWORKS.build(SMALL).critic(Layout(shape=(2,)))
    found = []
    for name in CONSTRAINTS:
        held = CONSTRAINTS.build(name)
        drawn = held.draw((6, 2), Randomness(0).at("drawn"))
        found.append(float(held.penalty(critic, real, fake, drawn)))
    return found


def networks():
    found = []
    for name, shape in {"mlp:norm=batch": (3,), "dcgan:filters=2": (1, 8, 8), "resnet:filters=2": (1, 8, 8)}.items():
        layout = Layout(shape=shape, bounded=len(shape) == 3)
        with Randomness(0).as_global("weights"):
            found += weights_of(NETWORKS.build(name).generator(2, layout))
            found += weights_of(NETWORKS.build(name.replace("batch", "none")).critic(layout))
    return found


_DRAWN_BY_HAND = ("train by hand", "train by hand, spectral", "penalties", "open data")

CALLS = {
    "fit": lambda saved, tmp_path: [model().fit(POINTS).sample(3)],
    "fit of a tensor": lambda saved, tmp_path: [model().fit(torch.from_numpy(POINTS).float()).sample(3)],
    "fit of images": lambda saved, tmp_path: [
        model(generator="dcgan:filters=2", critic="dcgan:filters=2,norm=none", batch_size=4)
        .fit((np.arange(40 * 64) % 256).astype(np.uint8).reshape(40, 8, 8))
        .sample(2)
    ],
    "fit with labels": lambda saved, tmp_path: [model().fit(POINTS, np.arange(60) % 2).sample(2, y=[0, 1])],
    "spectral fit": lambda saved, tmp_path: [model(constraint="spectral").fit(POINTS).sample(2)],
    "sample": lambda saved, tmp_path: [copy.copy(fitted()).sample(3)],
    "score": lambda saved, tmp_path: [fitted().score(POINTS[:20])],
    "save and load": lambda saved, tmp_path: [fitted().save(tmp_path / "copy"), WGAN.load(tmp_path / "copy").sample(3)][
        1:
    ],
    "load a run": lambda saved, tmp_path: [wgan.load(saved).sample(3)],
    "evaluate": lambda saved, tmp_path: list(
        wgan.evaluate(saved, source=wgan.open_data(POINTS, DataOptions(), seed=0), repeats=1).values()
    ),
    "report": lambda saved, tmp_path: [write_report(saved).read_bytes()],
    "figure": lambda saved, tmp_path: [figures.svg(figures.confusion({"trust": {"trust": 3}}))],
    "train by hand": lambda saved, tmp_path: by_hand(),
    "train by hand, spectral": lambda saved, tmp_path: by_hand("gan", "spectral"),
    "penalties": lambda saved, tmp_path: penalties(),
    "networks": lambda saved, tmp_path: networks(),
    "open data": lambda saved, tmp_path: [
        wgan.open_data(POINTS, DataOptions(held_out=0.5), seed=0).sample(4, Randomness(0).at("rows")).values,
        *[
            wgan.open_data(name, DataOptions(), seed=0).sample(4, Randomness(0).at("rows")).values
            for name in ("ring", "grid", "swiss-roll")
        ],
    ],
    "fit a critic": lambda saved, tmp_path: weights_of(fit_critic(POINTS[:20], POINTS[20:40] + 1, critic_steps=3)),
    "fit a Gaussian": lambda saved, tmp_path: [fit_gaussian(TWO_MODES, "kl").mean],
    "fit a game": lambda saved, tmp_path: [fit_by_fgan(TWO_MODES, "kl", generator_steps=3, batch_size=16).mean],
}


def plain(found):
    return [np.asarray(value.tolist() if isinstance(value, torch.Tensor) else value) for value in found]


@pytest.fixture(scope="module")
def usual(saved, tmp_path_factory):
    """The answers where nothing is set, each found once."""

    @functools.cache
    def answer(call):
        with quiet():
            return plain(CALLS[call](saved, tmp_path_factory.mktemp("usual")))

    return answer


WISHES = {("penalties", "autocast"), *((call, "function mode") for call in CALLS if call in _DRAWN_BY_HAND)}
"""A critic that is called by hand is evaluated as autocast says, and noise that is drawn by hand as a mode has it."""


LONG = ("report", "evaluate", "fit of a tensor", "fit of images", "fit with labels", "spectral fit", "save and load")
TELLING = ("default dtype float64", "inference mode", "autocast", "NumPy's errors")
"""States that the quick tests put the longer calls in."""


def pairs():
    for call in CALLS:
        for ambient in AMBIENT:
            if (call, ambient) not in WISHES:
                is_slow = call in LONG and (ambient not in TELLING or call == "report")
                yield pytest.param(call, ambient, marks=[pytest.mark.slow] if is_slow else [])


@pytest.mark.parametrize(("call", "ambient"), list(pairs()))
def test_every_call_gives_the_same_result_and_does_not_change_global_state(call, ambient, saved, usual, tmp_path):
    wanted = usual(call)
    with quiet(), AMBIENT[ambient]():
        before = state()
        found = CALLS[call](saved, tmp_path)
        assert state() == before
    for value, expected in zip(plain(found), wanted, strict=True):
        np.testing.assert_array_equal(value, expected)


def test_the_callers_autocast_keeps_no_outdated_weights():
    """Within an outer context PyTorch keeps rounded weights until that ends, regardless of inner contexts."""
    with torch.autocast("cpu", torch.bfloat16):
        layer, x = torch.nn.Linear(4, 4), torch.ones(2, 4)
        before = layer(x)
        with default_state():
            with torch.no_grad():
                layer.weight.mul_(2)
                layer.bias.mul_(2)
            with torch.autocast("cpu", torch.bfloat16):
                assert torch.equal(layer(x), 2 * before)
            assert layer(x).dtype == torch.float32
        assert torch.equal(layer(x), 2 * before)


def test_the_state_is_restored_between_the_steps_of_a_generator_and_after_its_end():
    seen = []

    @in_default_state
    def steps():
        try:
            for _ in range(3):
                seen.append(torch.is_grad_enabled())
                yield torch.is_grad_enabled()
        finally:
            seen.append(torch.is_grad_enabled())

    with torch.no_grad():
        for number, inside in enumerate(steps()):
            assert inside
            assert not torch.is_grad_enabled()
            if number == 1:
                break
    assert seen == [True, True, True]


def test_any_network_is_built_with_the_numbers_of_a_seeded_global_generator():
    """Including networks that do not use this project, and without a change of the global generator."""

    def foreign():
        layers = [torch.nn.Conv2d(1, 3, 3), torch.nn.BatchNorm2d(3), torch.nn.Linear(3, 2), torch.nn.LSTM(2, 3)]
        torch.nn.utils.parametrizations.spectral_norm(layers[2])
        torch.nn.init.orthogonal_(layers[0].weight)
        layers.append(torch.nn.ParameterList([torch.randn(2), torch.rand(3), torch.randn_like(torch.zeros(2))]))
        return torch.nn.ModuleList(layers).state_dict()

    with torch.random.fork_rng():
        torch.manual_seed(Randomness(1).key("weights"))
        wanted = foreign()
    before = torch.get_rng_state()
    with default_dtype(torch.float64), torch.device("meta"), Randomness(1).as_global("weights"):
        found = foreign()
    assert torch.equal(torch.get_rng_state(), before)
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        assert found[name].dtype == value.dtype, name
        assert torch.equal(found[name], value), name


def test_a_network_made_in_inference_mode_is_refused_with_the_reason():
    source = wgan.open_data("ring", DataOptions(), seed=0)
    with torch.inference_mode():
        body = torch.nn.Linear(2, 2)
    generator = Generator(body, 2, source.codec.layout)
    critic = NETWORKS.build(SMALL).critic(source.codec.layout)
    with pytest.raises(wgan.errors.UsageError, match="generator was made in inference mode"):
        Game(
            generator=generator,
            critic=critic,
            generator_optimizer=torch.optim.SGD(critic.parameters(), 0.1),
            critic_optimizer=torch.optim.SGD(critic.parameters(), 0.1),
            prior=Prior(2),
            seed=0,
            engine=Engine(),
            averaged=False,
        )


def test_commands_show_warnings_even_if_python_makes_them_errors(tmp_path, capsys):
    np.save(tmp_path / "few.npy", np.c_[POINTS, np.ones(60)])
    words = ["train", str(tmp_path / "few.npy"), "--steps", "2", "--critic-steps", "1", "--batch-size", "8"]
    words += ["--generator", SMALL, "--critic", SMALL, "--out", str(tmp_path / "run")]
    with warnings_as_errors():
        warnings.resetwarnings()
        warnings.simplefilter("error")
        assert main(words) == 0
    told = capsys.readouterr().err
    assert "warning: only 6 held-out rows" in told
    assert "constant columns" in told
