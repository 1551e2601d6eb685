"""Runs that make no sense any more end, and keep the last good state."""

import dataclasses

import pytest
import torch
from small_runs import SETTINGS, events, records

from wgan import checkpoints, experiment
from wgan.data import open_data
from wgan.errors import NumericError
from wgan.settings import DataOptions


class Spoilt:
    """A source whose rows become NaN from a given update on."""

    def __init__(self, step: int) -> None:
        self._inner, self.step, self.game = open_data("ring", DataOptions(), seed=0), step, None

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)

    def sample(self, size: int, rng: torch.Generator) -> object:
        batch = self._inner.sample(size, rng)
        if self.game is not None and self.game.steps_done >= self.step:
            batch.values[0, 0] = float("nan")
        return batch


def test_nan_is_found_within_one_recorded_step_and_never_saved(tmp_path):
    source = Spoilt(23)
    with experiment.begin(SETTINGS, tmp_path / "run", source=source) as run:
        source.game = run.game
        with pytest.raises(NumericError, match=r"diverged at step 25: the estimate is nan\. .*/00000020\n") as caught:
            list(run.run())
    assert "learning rates are too high (0.002 " in caught.value.remedy
    assert records(tmp_path / "run")[-1]["step"] == 20
    assert [line["step"] for line in events(tmp_path / "run", "diverged")] == [25]
    assert "diverged at step 25" in events(tmp_path / "run", "diverged")[0]["message"]
    assert checkpoints.load(tmp_path / "run" / "checkpoints").step == 20


def test_a_state_that_is_not_finite_is_never_saved(tmp_path):
    with experiment.begin(SETTINGS, tmp_path / "run") as run:
        next(updates := run.run())
        slots = run.game.critic_optimizer.state_dict()["state"][0]
        slots["exp_avg_sq"][0] = float("inf")
        with pytest.raises(NumericError, match=r"'critic_optimizer\.0\.exp_avg_sq' is not finite"):
            run.save()
        updates.close()


@pytest.mark.parametrize(
    "changes",
    [
        {"generator_optimizer": "rmsprop:rate=1000", "critic_optimizer": "rmsprop:rate=1000"},
        {"generator_optimizer": "rmsprop:rate=1000", "critic_optimizer": "rmsprop:rate=1000", "constraint": "clipping"},
        {"generator_optimizer": "rmsprop:rate=1000", "critic_optimizer": "rmsprop", "constraint": "clipping"},
        {"generator_optimizer": "rmsprop", "critic_optimizer": "rmsprop:rate=1000", "constraint": "clipping"},
        {"generator_optimizer": "adam:rate=1000"},
        {"critic_optimizer": "adam:rate=1000"},
        {"critic_optimizer": "adam:rate=1000", "constraint": "spectral"},
        {"generator_optimizer": "adam:rate=1000", "decay": "cosine", "steps": 2, "record_every": 100},
    ],
)
def test_a_learning_rate_of_a_thousand_never_finishes(tmp_path, changes):
    run = experiment.begin(dataclasses.replace(SETTINGS, **({"steps": 12} | changes)), tmp_path / "run")
    with run, pytest.raises(NumericError, match=r"diverged at step .*/00000000\n") as caught:
        list(run.run())
    assert "learning rates are too high" in caught.value.remedy
    assert not events(tmp_path / "run", "finished")
