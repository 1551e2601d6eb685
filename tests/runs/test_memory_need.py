"""The memory that training needs is estimated before it begins, and too much is refused by setting."""

import dataclasses
import json
import threading

import numpy as np
import pytest
import torch
from small_runs import SETTINGS, finish

from wgan import runs
from wgan.batch import Layout
from wgan.data import open_data
from wgan.errors import CheckpointError, OutOfMemoryError, UsageError
from wgan.runs import checkpoints, memory_need
from wgan.runs.memory_need import need_of
from wgan.settings import DataOptions
from wgan.training.factory import build_game, choose_parts

POINTS = Layout(shape=(5,))
IMAGES = Layout(shape=(3, 32, 32), bounded=True)


def refuse_what_cannot_fit(settings, layout):
    memory_need.refuse_what_cannot_fit(settings, choose_parts(settings), layout)


@pytest.mark.parametrize(
    ("layout", "changes"),
    [
        (POINTS, {}),
        (POINTS, {"ema_decay": 0.0, "generator_optimizer": "rmsprop"}),
        (IMAGES, {"generator": "dcgan:filters=8", "critic": "resnet:filters=8"}),
        (POINTS, {"critic": "autoencoder", "objective": "energy", "constraint": "none"}),
    ],
)
def test_parameters_and_optimiser_state_are_counted(layout, changes):
    settings = dataclasses.replace(SETTINGS, **changes)
    need, game = need_of(settings, choose_parts(settings), layout), build_game(settings, layout)
    for player, optimizer, counted in (
        (game.generator, game.generator_optimizer, need.generator),
        (game.critic, game.critic_optimizer, need.critic),
    ):
        weights = sum(weight.nbytes for weight in player.parameters())
        slots = sum(v.nbytes for slot in optimizer.initialised_slots() for v in slot.values() if v.dim())
        averaged = weights if player is game.generator and settings.ema_decay else 0
        assert counted == 2 * weights + slots + averaged


def test_outputs_of_layers_are_counted_for_each_sample():
    need = need_of(SETTINGS, choose_parts(SETTINGS), POINTS)
    # Two hidden layers of 16 and the output, of the generator once and of the critic for real and generated samples.
    assert need.sample == 4 * (2 + 2 * 5) + 2 * (16 + 16 + 5 + 2 * (16 + 16 + 1))


def test_counting_draws_no_random_numbers_and_allocates_nothing():
    settings, before = dataclasses.replace(SETTINGS, generator="mlp:width=1000000"), torch.get_rng_state()
    need_of(settings, choose_parts(settings), POINTS)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"latent_dim": 10**11}, r"^latent_dim 100,000,000,000 needs at least .*\nUse a smaller latent_dim"),
        (
            {"batch_size": 10**9},
            r"^batch_size 1,000,000,000 needs at least .*\nA batch_size of [\d,]+ or less would do",
        ),
        ({"batch_size": 10**11, "packing": 10**11}, r"^batch_size 100,000,000,000 needs at least .*\n.*do"),
        ({"batch_size": 10**9, "latent_dim": 10**11}, r"^batch_size 1,000,000,000 with .*latent_dim 100,000,000,000 "),
        ({"generator": "mlp:width=1000000"}, r"^generator 'mlp:width=1000000' needs at least .*of memory"),
        ({"critic": f"mlp:width={10**21}"}, r"^critic 'mlp:width=10+' needs at least"),
        ({"critic": "resnet:filters=10000000"}, r"^critic 'resnet:filters=10000000' needs at least"),
    ],
)
def test_settings_that_exceed_memory_are_refused_by_name(monkeypatch, changes, said):
    monkeypatch.setattr(memory_need, "available", lambda: 4 * 10**9)
    layout = IMAGES if "filters" in str(changes) else POINTS
    with pytest.raises(UsageError, match=said):
        refuse_what_cannot_fit(dataclasses.replace(SETTINGS, **changes), layout)


def test_the_suggested_batch_fits(monkeypatch):
    monkeypatch.setattr(memory_need, "available", lambda: 10**8)
    settings = dataclasses.replace(SETTINGS, batch_size=10**7)
    with pytest.raises(UsageError) as caught:
        refuse_what_cannot_fit(settings, POINTS)
    largest = int(caught.value.remedy.split()[3].replace(",", ""))
    refuse_what_cannot_fit(dataclasses.replace(settings, batch_size=largest), POINTS)
    with pytest.raises(UsageError):
        refuse_what_cannot_fit(dataclasses.replace(settings, batch_size=largest + 1), POINTS)


def test_data_too_large_for_any_network_is_refused(monkeypatch):
    monkeypatch.setattr(memory_need, "available", lambda: 10**5)
    with pytest.raises(UsageError, match="samples of 3,072 numbers"):
        refuse_what_cannot_fit(SETTINGS, Layout(shape=(3072,)))


def test_if_the_free_memory_is_unknown_nothing_is_refused(monkeypatch):
    monkeypatch.setattr(memory_need, "available", lambda: None)
    refuse_what_cannot_fit(dataclasses.replace(SETTINGS, latent_dim=10**11), POINTS)


def test_threads_that_the_system_cannot_start_are_refused(monkeypatch):
    start, begun = threading.Thread.start, []

    def some(self):
        if len(begun) == 3:
            raise RuntimeError("can't start new thread")
        begun.append(self)
        start(self)

    monkeypatch.setattr(threading.Thread, "start", some)
    with pytest.raises(UsageError, match="threads 8 cannot be started: the system starts no more than 3"):
        refuse_what_cannot_fit(dataclasses.replace(SETTINGS, threads=8), POINTS)
    assert not any(thread.is_alive() for thread in begun)


def test_a_run_that_cannot_fit_leaves_nothing(tmp_path):
    with pytest.raises(UsageError, match="latent_dim"):
        runs.begin(dataclasses.replace(SETTINGS, latent_dim=10**11), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("moment", ["wgan.runs.run.train", "wgan.runs.saver.checkpoints.save"])
def test_out_of_memory_in_a_run_leaves_a_valid_checkpoint(tmp_path, monkeypatch, moment):
    run = runs.begin(SETTINGS, tmp_path / "run")

    def exhaust(*_, **__):
        torch.empty(10**15)

    with monkeypatch.context() as patch:
        patch.setattr(moment, exhaust)
        with pytest.raises(OutOfMemoryError, match=r"batches of 16 samples; .*\n.*batch_size=8"):
            finish(run)
    assert checkpoints.load(tmp_path / "run" / "checkpoints").step == 0
    assert finish(runs.resume(tmp_path / "run"))[-1].step == 60


def test_out_of_memory_while_sampling_is_reported(tmp_path, monkeypatch):
    finish(runs.begin(dataclasses.replace(SETTINGS, steps=1), tmp_path / "run"))
    trained = runs.load(tmp_path / "run")
    monkeypatch.setattr(trained.game, "draw", lambda *_: torch.empty(10**15))
    for draw in (trained.sample, trained.values, lambda num: list(trained.generate(num))):
        with pytest.raises(OutOfMemoryError, match="out of memory while samples were drawn"):
            draw(3)


@pytest.mark.parametrize("field", ["height", "width"])
def test_a_sample_size_edited_by_hand_is_refused_before_its_network_is_built(tmp_path, field, monkeypatch):
    pixels = np.random.default_rng(0).integers(0, 256, (40, 8, 8, 3), dtype=np.uint8)
    source = open_data(pixels, DataOptions(), seed=0)
    settings = dataclasses.replace(SETTINGS, steps=1, data="<images>", generator="mlp:width=4", critic="mlp:width=4")
    finish(runs.begin(settings, tmp_path / "run", source=source))
    runs.load(tmp_path / "run")
    path = tmp_path / "run" / "source.json"
    state = json.loads(path.read_bytes())
    state["codec"][field] = 60_000
    path.write_text(json.dumps(state))
    monkeypatch.setattr("wgan.runs.trained.build_game", None)
    with pytest.raises(CheckpointError):
        runs.load(tmp_path / "run")
