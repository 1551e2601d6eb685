"""Custom objects and modules as parts, in `WGAN` and `setup`."""

from __future__ import annotations

import copy
import dataclasses
import functools
import pickle
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

from custom_parts import (
    ADAMW,
    BatchSpread,
    ChangingBuffer,
    ConditionalGenerator,
    ConvCritic,
    Drift,
    MyLoss,
    Pair,
    dense,
)
from wgan import WGAN, Settings, register, setup, train
from wgan.batch import Layout
from wgan.constraints import CONSTRAINTS, Constraint, GradientPenalty
from wgan.errors import CheckpointError, UsageError
from wgan.networks import MLP, OwnNetwork
from wgan.objectives import Wasserstein
from wgan.optimizers import OPTIMIZERS, OwnOptimizer
from wgan.runs import RunWarning

RNG = np.random.default_rng(0)
POINTS = RNG.normal(size=(120, 2)).astype(np.float32)
IMAGES = (RNG.random((80, 12, 12)) * 255).astype(np.uint8)
SMALL = {"steps": 3, "latent_dim": 4, "random_state": 0}
OWN = {
    "objective": MyLoss(),
    "constraint": Drift(0.1),
    "generator": dense(4, 8, 2),
    "critic": dense(2, 8, 1, seed=1),
    "generator_optimizer": ADAMW,
    "critic_optimizer": torch.optim.SGD,
}


@pytest.fixture(scope="module")
def fitted() -> WGAN:
    return WGAN(**SMALL, **OWN).fit(POINTS)


def weights_of(module):
    return {name: value.clone() for name, value in module.state_dict().items()}


class TestFitting:
    def test_fit_does_not_change_modules_and_is_reproducible(self, fitted):
        batch_norm = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2))
        model = WGAN(**{**SMALL, **OWN, "generator": batch_norm})
        before = [weights_of(batch_norm), weights_of(OWN["critic"])]
        first, second = model.fit(POINTS).sample(5), model.fit(POINTS).sample(5)
        np.testing.assert_array_equal(first, second)
        for module, weights in zip((batch_norm, OWN["critic"]), before, strict=True):
            assert all(torch.equal(value, weights[name]) for name, value in module.state_dict().items())
        again = WGAN(**SMALL, **OWN).fit(POINTS)
        np.testing.assert_array_equal(again.sample(5), fitted.sample(5))
        assert fitted.history_ == again.history_

    def test_training_starts_from_the_parameters_of_the_module(self):
        generator = dense(4, 8, 2)
        lr = functools.partial(torch.optim.SGD, lr=1e-30)
        still = WGAN(
            **SMALL, generator=generator, critic="mlp:width=8", generator_optimizer=lr, settings={"scaling": "none"}
        )
        noise = torch.randn(6, 4)
        still.fit(POINTS)
        np.testing.assert_allclose(still.sample(noise=noise), generator(noise).detach(), rtol=1e-5, atol=1e-5)
        moved = still.set_params(generator_optimizer=ADAMW).fit(POINTS)
        assert np.abs(moved.sample(noise=noise) - generator(noise).detach().numpy()).max() > 1e-4

    def test_a_custom_penalty_is_in_the_loss(self):
        losses = [
            WGAN(
                **{**SMALL, "steps": 1},
                generator="mlp:width=8",
                critic="mlp:width=8",
                constraint=constraint,
                critic_steps=1,
            )
            .fit(POINTS)
            .history_[0]["critic_loss"]
            for constraint in ("none", Drift(0.0), Drift(1.0))
        ]
        assert losses[0] == losses[1] < losses[2]

    @pytest.mark.parametrize("constraint", ["clipping", "penalty", "spectral", "r1"])
    def test_a_convolutional_critic_that_calls_view(self, constraint):
        model = WGAN(**SMALL, critic=ConvCritic(), generator="dcgan:filters=4", constraint=constraint).fit(IMAGES)
        assert model.sample(3).shape == (3, 12, 12)
        assert model.sample(3).dtype == np.uint8

    def test_conditions_are_the_second_argument(self):
        labels = RNG.choice(["a", "b"], 80)
        model = WGAN(**SMALL, critic=ConvCritic(2), generator=ConditionalGenerator(4, 2)).fit(IMAGES, labels)
        noise = np.zeros((1, 4))
        assert not np.array_equal(model.sample(noise=noise, y="a"), model.sample(noise=noise, y="b"))

    def test_conditions_are_concatenated_to_the_input(self):
        model = WGAN(**SMALL, critic=dense(5, 8, 1), generator=dense(7, 8, 2), settings={"conditioning": "concat"})
        assert model.fit(POINTS, RNG.choice(3, 120)).sample(4, y=1).shape == (4, 2)
        critic, generator = (
            nn.Sequential(nn.Conv2d(3, 4, 12), nn.Flatten(), nn.Linear(4, 1)),
            nn.Sequential(dense(6, 144), nn.Tanh()),
        )
        model.set_params(critic=critic, generator=generator)
        assert model.fit(IMAGES, RNG.choice(2, 80)).sample(4, y=1).shape == (4, 12, 12)

    def test_tied_weights_within_one_module_and_weights_without_a_gradient(self):
        layer = nn.Linear(4, 4)
        tied = nn.Sequential(layer, nn.ReLU(), layer, nn.Linear(4, 2))
        critic = dense(2, 8, 1)
        critic.register_parameter("unused", nn.Parameter(torch.zeros(3)))
        model = WGAN(**SMALL, generator=tied, critic=critic, settings={"ema_decay": 0.9}).fit(POINTS)
        body = model._trained.game.generator.body
        assert body[0].weight is body[2].weight
        assert not torch.equal(body[0].weight, layer.weight)
        np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).sample(3), model.sample(3))

    def test_a_critic_with_batch_statistics_scores_real_and_fake_separately(self):
        game = setup(POINTS, critic=BatchSpread(), generator=dense(4, 2), latent_dim=4, constraint="clipping").game
        real, fake = (game.engine.batch_to_device(batch) for batch in (wide(1.0), wide(9.0)))
        alone = game.score(real.values)
        torch.testing.assert_close(game.score_both(real, fake)[0], alone)

    def test_packing_and_objects_of_the_tables(self):
        model = WGAN(
            **SMALL,
            generator=MLP(width=8),
            critic=dense(4, 8, 1),
            constraint=GradientPenalty(weight=1.0),
            batch_size=16,
            settings={"packing": 2},
        )
        assert model.fit(POINTS).sample(2).shape == (2, 2)

    @pytest.mark.parametrize(
        "name", ["SGD", "AdamW", "NAdam", "RAdam", "Adagrad", "Adadelta", "Adamax", "ASGD", "Rprop"]
    )
    def test_optimisers_of_torch_are_saved_and_restored(self, name, tmp_path):
        make = functools.partial(getattr(torch.optim, name), lr=1e-3)
        model = WGAN(**SMALL, generator=dense(4, 2), critic=dense(2, 1), critic_optimizer=make, constraint="none").fit(
            POINTS
        )
        np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).sample(3), model.sample(3))


def wide(width):
    from wgan.batch import Batch

    return Batch(width * torch.randn(16, 2))


class TestRefusing:
    @pytest.mark.parametrize(
        ("params", "message"),
        [
            (
                {"generator": dense(4, 8, 3)},
                r"your own generator \(Sequential\) made \(4, 3\) of \(4, 4\)\nWanted: \(4, 2\)",
            ),
            (
                {"generator": dense(5, 2)},
                r"failed on 4 rows: RuntimeError: mat1 .*\nIt is called with noise of shape \(4, 4\)",
            ),
            ({"critic": dense(2, 8, 2)}, r"your own critic \(Sequential\) made \(4, 2\).*\nWanted: \(4,\) or \(4, 1\)"),
            ({"critic": nn.LazyLinear(1)}, r"lazily initialised parameter 'weight'.*\nCall the module once"),
            ({"critic": nn.Flatten()}, "has no parameters"),
            ({"critic": dense(2, 1).double()}, r"'0.weight' of dtype float64, not float32\nCall .float\(\)"),
            ({"critic": dense(2, 1).to("meta")}, "on the device meta"),
            (
                {"critic": dense(2, 1).requires_grad_(False)},
                r"not to be trained .*: 0.weight, 0.bias\nCall requires_grad_",
            ),
            (
                {"critic": nn.Sequential(dense(2, 8), nn.Dropout(0.5), nn.Linear(8, 1))},
                r"draws random numbers itself \(bernoulli",
            ),
            ({"critic": ChangingBuffer()}, "changes its buffer 'seen', which is not persistent"),
            ({"critic": Pair(2, 1)}, "returned tuple, not a tensor"),
            (
                {"critic": nn.Sequential(dense(2, 8), nn.BatchNorm1d(8), nn.Linear(8, 1)), "constraint": "penalty"},
                "'body.module.1' is batch norm\n.*nn.LayerNorm",
            ),
            ({"critic": BatchSpread(), "constraint": "penalty"}, "score depends on the rest of its batch"),
            (
                {"critic_optimizer": torch.optim.SGD([nn.Parameter(torch.ones(1))])},
                r"functools.partial\(torch.optim.SGD",
            ),
            ({"critic_optimizer": torch.optim.LBFGS}, "the optimiser LBFGS failed on one parameter: TypeError"),
            (
                {"critic_optimizer": ADAMW, "critic": dense(2, 1), "settings": {"unrolled_steps": 1}},
                "updates of AdamW cannot be looked",
            ),
            (
                {"objective": MyLoss},
                r"objective must be an object, not the class MyLoss: give MyLoss\(\)",
            ),
            ({"objective": Drift()}, "Drift does not inherit from wgan.objectives.Objective"),
            (
                {"constraint": 3, "steps": 0},
                r"2 parameters cannot be used:\n  - constraint must .*not 3\n  - steps must",
            ),
            ({"generator": object()}, "or an nn.Module; not <object"),
        ],
    )
    def test_modules_that_cannot_be_trained_are_refused(self, params, message):
        with pytest.raises(UsageError, match=message):
            WGAN(**{**SMALL, "generator": "mlp:width=8", "critic": "mlp:width=8"} | params).fit(POINTS)

    def test_shared_tensors(self):
        layer = nn.Linear(2, 2)
        model = WGAN(
            **SMALL, generator=nn.Sequential(nn.Linear(4, 2), layer), critic=nn.Sequential(layer, nn.Linear(2, 1))
        )
        with pytest.raises(
            UsageError, match=r"critic's '0.weight' and the generator's '1.weight' are one tensor.*\n.*deepcopy"
        ):
            model.fit(POINTS)

    def test_a_generator_of_images_without_tanh(self):
        with pytest.raises(UsageError, match=r"values up to .* but images lie in \[-1, 1\].*\nEnd it in nn.Tanh"):
            WGAN(**SMALL, generator=dense(4, 144)).fit(IMAGES)

    def test_a_module_that_takes_no_condition(self):
        with pytest.raises(
            UsageError, match=r'the second the condition; with settings={"conditioning": "concat"} both are joined'
        ):
            WGAN(**SMALL, generator=dense(4, 2), critic=dense(2, 1)).fit(POINTS, RNG.choice(2, 120))
        with pytest.raises(UsageError, match="cannot enter a module of your own by projection"):
            WGAN(**SMALL, critic=dense(2, 1), settings={"conditioning": "projection"}).fit(POINTS, RNG.choice(2, 120))

    @pytest.mark.parametrize(
        ("method", "loss", "message"),
        [
            (
                "critic_loss",
                lambda self, real, fake, drawn=None: fake - real,
                "critic's loss must be a tensor without axes",
            ),
            ("critic_loss", lambda self, real, fake, drawn=None: torch.zeros(()), "critic's loss has no gradient"),
            ("critic_loss", lambda self, real, fake, drawn=None: real.mean() / 0, "critic's loss is (inf|-inf|nan)"),
            ("generator_loss", lambda self, fake, real=None: -fake.detach().mean(), "generator's loss has no gradient"),
            (
                "generator_loss",
                lambda self, fake, real=None: {}["x"],
                "a few random rows failed: KeyError: 'x'",
            ),
            ("estimate", lambda self, real, fake: 1.0, "estimate is not a tensor"),
        ],
    )
    def test_invalid_losses_are_refused(self, method, loss, message):
        own = type("Odd", (MyLoss,), {method: loss})()
        game = {"generator": "mlp:width=8", "critic": "mlp:width=8", "constraint": "none"}
        with pytest.raises(UsageError, match=rf"trial of your own parts \(objective Odd\).*{message}"):
            WGAN(**SMALL, **game, objective=own).fit(POINTS)


class TestScikitLearn:
    def test_clones_and_parameters(self, fitted):
        other = clone(fitted)
        assert other.get_params()["generator"] is not OWN["generator"]
        np.testing.assert_array_equal(other.fit(POINTS).sample(4), fitted.sample(4))
        assert "generator=Sequential(" in repr(other)

    @pytest.mark.slow
    def test_a_search_over_objects_in_processes(self):
        grid = {"generator": [dense(4, 8, 2), nn.Linear(4, 2)], "objective": ["wasserstein", MyLoss()]}
        model = WGAN(**SMALL, critic="mlp:width=8")
        scores = [
            GridSearchCV(model, grid, cv=2, n_jobs=jobs, refit=False).fit(POINTS).cv_results_["mean_test_score"]
            for jobs in (1, 2)
        ]
        np.testing.assert_array_equal(*scores)
        assert np.isfinite(scores[0]).all()

    def test_in_a_pipeline(self):
        assert make_pipeline(StandardScaler(), WGAN(**SMALL, **OWN)).fit(POINTS)[-1].sample(2).shape == (2, 2)


class TestKeeping:
    def test_parameters_are_saved_and_parts_are_given_again(self, fitted, tmp_path):
        with pytest.warns(
            RunWarning, match=r"only the weights of modules; load with WGAN.load\('.*run', objective=..., "
        ):
            fitted.save(tmp_path / "run")
        with pytest.raises(
            UsageError, match=r"no file holds: objective \(MyLoss\), .*\n.*WGAN.load\(.*parts=\{'objective'"
        ):
            WGAN.load(tmp_path / "run")
        again = WGAN.load(tmp_path / "run", **OWN)
        np.testing.assert_array_equal(again.sample(5), fitted.sample(5))
        assert again.get_params()["generator"] is OWN["generator"]
        assert not any(b"Linear" in path.read_bytes() for path in (tmp_path / "run").rglob("*.json"))

    def test_other_parts_are_refused(self, fitted, tmp_path):
        with pytest.warns(RunWarning):
            fitted.save(tmp_path / "run")
        tanh = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 2))
        for other in ({"generator": tanh}, {"constraint": Drift(0.2)}, {"objective": "wasserstein"}):
            with pytest.raises(CheckpointError, match=rf"not those of the run .*{next(iter(other))}: "):
                WGAN.load(tmp_path / "run", **{**OWN, **other})

    def test_pickles_and_models_whose_parameters_were_changed_since(self, fitted):
        model = copy.deepcopy(fitted).set_params(generator="mlp")
        np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).sample(5), fitted.sample(5))

    def test_registered_parts_are_saved_by_name(self, tmp_path, monkeypatch):
        monkeypatch.setattr(CONSTRAINTS, "rows", dict(CONSTRAINTS.rows))
        register(CONSTRAINTS, "drift", Drift)
        model = WGAN(**SMALL, generator="mlp:width=8", critic="mlp:width=8", constraint=Drift(0.25)).fit(POINTS)
        model.save(tmp_path / "run")
        again = WGAN.load(tmp_path / "run")
        assert again.constraint == "drift:weight=0.25"
        assert 'constraint = "drift:weight=0.25"' in (tmp_path / "run" / "settings.toml").read_text()
        by_word = WGAN(**SMALL, generator="mlp:width=8", critic="mlp:width=8", constraint="drift:weight=0.25").fit(
            POINTS
        )
        np.testing.assert_array_equal(by_word.sample(5), again.sample(5))


class TestSetup:
    def test_ten_lines(self):
        game = setup(POINTS, generator=dense(4, 8, 2), critic=dense(2, 8, 1), latent_dim=4, batch_size=16, steps=5)
        steps = list(train(game))
        assert [step.number for step in steps] == [1, 2, 3, 4, 5]
        drawn = game.game.draw(torch.randn(7, 4))
        assert game.source.codec.decode(drawn).shape == (7, 2)

    def test_setup_and_build_setup_agree(self):
        from wgan.data import open_data
        from wgan.runs.setups import build_setup

        settings = Settings(data="ring", steps=3, generator="mlp:width=8", critic="mlp:width=8", latent_dim=2, seed=3)
        apart = list(train(build_setup(settings, open_data("ring", settings.input, seed=3))))
        whole = list(train(setup("ring", dataclasses.replace(settings, seed=5), seed=3)))
        assert [step.critic_loss for step in apart] == [step.critic_loss for step in whole]

    def test_a_custom_penalty_is_tried_and_trained(self):
        class Seen(Constraint):
            updates = 0

            def penalty(self, scores, real, fake, drawn):
                Seen.updates += 1
                return 0.1 * scores(*fake).square().mean()

        game = setup(POINTS, constraint=Seen(), steps=2, critic_steps=3, generator="mlp:width=8", critic="mlp:width=8")
        assert Seen.updates == 1
        list(train(game))
        assert Seen.updates == 1 + 2 * 3

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"step": 3}, "there is no setting 'step'\nDid you mean 'steps'"),
            ({"steps": 0}, "steps must be at least 1"),
            ({"seed": "x"}, "seed must be a whole number"),
            ({"batch_size": 400}, "batch_size=400 is more than|batch_size 400 is more than 'array' has"),
            ({"critic": "mlpp"}, "Did you mean 'mlp'"),
        ],
    )
    def test_invalid_settings_are_refused(self, changes, message):
        with pytest.raises(UsageError, match=message):
            setup(POINTS, **changes)


def test_a_custom_optimiser_has_its_learning_rate():
    assert OwnOptimizer(ADAMW).lr == 1e-3
    with pytest.raises(UsageError, match=r"made int, not a torch\.optim\.Optimizer"):
        _ = OwnOptimizer(lambda parameters: 3).lr


def test_an_optimiser_with_the_right_methods_needs_no_registration(monkeypatch):
    @dataclass(frozen=True)
    class Plain:
        lr: float = 1e-2

        def build(self, parameters):
            return torch.optim.SGD(list(parameters), lr=self.lr)

    model = WGAN(**SMALL, generator="mlp:width=8", critic="mlp:width=8", critic_optimizer=Plain())
    unregistered = model.fit(POINTS).sample(3)
    monkeypatch.setattr(OPTIMIZERS, "rows", dict(OPTIMIZERS.rows))
    register(OPTIMIZERS, "plain", Plain)
    np.testing.assert_array_equal(
        model.set_params(critic_optimizer="plain:lr=0.01").fit(POINTS).sample(3), unregistered
    )


def test_registered_objectives_given_as_objects_become_names():
    model = WGAN(**SMALL, generator="mlp:width=8", critic="mlp:width=8")
    by_object, by_word = (
        model.set_params(objective=part).fit(POINTS).sample(3) for part in (Wasserstein(), "wasserstein")
    )
    np.testing.assert_array_equal(by_object, by_word)


def test_each_player_gets_its_own_copy():
    module, layout = dense(4, 2), Layout(shape=(2,))
    first, second = (OwnNetwork(module).generator(4, layout) for _ in range(2))
    with torch.no_grad():
        first.body[0].weight.zero_()
    assert torch.equal(second.body[0].weight, module[0].weight)
    assert bool(module[0].weight.any())
