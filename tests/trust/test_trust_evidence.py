"""Evidence for every kind of run: without side effects, in the units of the data, and valid JSON."""

import json
import math

import numpy as np
import pytest
import torch
from small_games import assert_same_state, played, small, state_of

from wgan.errors import UsageError
from wgan.evaluation.features import EfficientNetLite0
from wgan.settings import DataOptions
from wgan.trust.distances import MAX_POINTS
from wgan.trust.evaluator import CriticEvaluator
from wgan.trust.evidence import FIELDS, Evidence
from wgan.trust.samples import Rows, Snapshot

TINY_IMAGES = {
    "data": "fashion-mnist", "generator": "dcgan:filters=2", "critic": "dcgan:filters=2,norm=none", "batch_size": 8,
}  # fmt: skip

KINDS = {
    "wasserstein": {},
    "clipped": {"constraint": "clipping:bound=0.1", "critic_optimizer": "rmsprop:lr=0.01", "ema_decay": 0.9},
    "spectral": {"constraint": "spectral", "objective": "hinge"},
    "gan": {"objective": "gan", "constraint": "r1", "packing": 4},
    "flipped": {"objective": "gan:flipping=0.3", "constraint": "none", "unrolled_steps": 2},
    "f-gan": {"objective": "fgan:divergence=kl", "constraint": "r1r2"},
    "least-squares": {"objective": "least-squares", "constraint": "lp"},
    "relativistic": {"objective": "relativistic", "constraint": "r1r2"},
    "energy": {"objective": "energy:pull_away=0.1", "critic": "autoencoder", "constraint": "none"},
    "moments": {"objective": "mmd:kernel=energy", "constraint": "penalty"},
    "moments alone": {"objective": "mmd:kernel=gaussian-mixture", "critic": "identity", "constraint": "none"},
    "semidual": {"objective": "semidual", "constraint": "none"},
    "conditional": {"input": DataOptions(condition=("label",)), "mismatch": 0.2, "constraint": "penalty:every=3"},
    "images": TINY_IMAGES,
    "normed images": TINY_IMAGES | {"critic": "dcgan:filters=2,norm=batch", "constraint": "clipping"},
}


def evaluator_of(setup, *, size=40, gap_steps=3, **options):
    return CriticEvaluator(setup, size=size, gap_steps=gap_steps, seed=0, **options)


@pytest.mark.parametrize("kind", KINDS)
def test_diagnosing_does_not_change_training(kind):
    run, undisturbed = small(**KINDS[kind]), small(**KINDS[kind])
    evaluate = evaluator_of(run)
    for num in (1, 2):
        before = state_of(played(run, num))
        found = evaluate()
        assert_same_state(state_of(run.game), before)
        assert evaluate().numbers() == found.numbers()
    assert_same_state(state_of(played(run, 2)), state_of(played(undisturbed, 5)))


@pytest.fixture(scope="module")
def numbers():
    """The evidence of a clipped run on the ring and of a run on images, by name."""
    found = {}
    for kind in ("clipped", "images"):
        run = small(**KINDS[kind])
        played(run, 2)
        found |= evaluator_of(run)().numbers()
    return found


@pytest.mark.parametrize("name", [name for name in FIELDS if not name.startswith("exact_features")])
def test_every_number_is_measured_in_some_run(numbers, name):
    """Distances between features take a minute and have a separate test."""
    assert name in numbers


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_run_has_evidence(kind):
    run = small(**KINDS[kind])
    played(run, 2)
    found = evaluator_of(run)()
    numbers = found.numbers()
    assert json.loads(json.dumps(numbers, allow_nan=False)) == numbers
    assert found.without_critic <= found.certified <= found.exact * (1 + 1e-9)
    assert found.efficiency == pytest.approx(found.certified / found.exact)
    assert found.exact_low <= found.exact <= found.exact_high
    assert found.exact_floor > 0
    assert {"training_estimate", "held_out_estimate", "score_histogram", "slope_climbed"} <= numbers.keys()
    assert (found.gap is None) == (kind == "moments alone")
    if found.gap is not None:
        assert 0 <= found.gap <= 1
    # A pack of four 2-D points has eight coordinates; a point with its one-hot label has ten.
    assert (found.sliced is not None) == (kind in ("images", "normed images", "gan", "conditional"))
    # The search for the steepest point starts from the measured ones.
    assert found.slope_climbed >= max(found.slope_real, found.slope_fake, found.slope_between)


def test_evidence_on_a_linear_critic_equals_closed_forms():
    run = small(critic="mlp:depth=0", generator="mlp:depth=0", constraint="none")
    game = run.game
    slope = torch.tensor([[3.0, 4.0]])
    with torch.no_grad():
        next(game.critic.parameters()).copy_(slope)
        game.generator.body[-1].weight.copy_(torch.eye(2) * 0.5)
        game.generator.body[-1].bias.copy_(torch.tensor([-2.0, 0.0]))
    evaluate = evaluator_of(run, size=200)
    found, seen = evaluate(), evaluate.snapshot()
    means = [
        side.rows.values.double().mean(dim=0) @ slope[0].double() for side in (seen.held_out, seen.training, seen.fake)
    ]
    assert found.held_out_estimate == pytest.approx(float(means[0] - means[2]), rel=1e-4)
    assert found.training_estimate == pytest.approx(float(means[1] - means[2]), rel=1e-4)
    for name in ("slope_real", "slope_fake", "slope_between", "slope_climbed", "slope_bound"):
        assert getattr(found, name) == pytest.approx(5.0, rel=1e-4), name
    assert found.estimate_by_slope == pytest.approx(found.held_out_estimate / 5.0, rel=1e-4)
    assert found.estimate_by_slope <= found.certified <= found.exact
    assert sum(found.score_histogram["real"]) == sum(found.score_histogram["fake"]) == 200
    rows, held_out = (part.rows.values.double() @ slope[0].double() for part in (seen.training, seen.held_out))
    error = (rows.var() / 200 + held_out.var() / 200).sqrt()
    assert found.training_lead == pytest.approx(float((rows.mean() - held_out.mean()) / error), rel=1e-4)
    assert found.layer_gradients == (pytest.approx(1.0),)
    assert found.generator_layer_gradients == (pytest.approx(5.0, rel=1e-4),)


def test_slopes_use_running_statistics_of_batch_norm():
    """With batch statistics the score of a sample would depend on the whole batch."""
    run = small(**KINDS["normed images"])
    game = run.game
    evaluate = evaluator_of(run)
    played(run, 2)
    found, seen = evaluate(), evaluate.snapshot()
    game.critic.eval()
    for side, wanted in ((seen.held_out, found.slope_real), (seen.fake, found.slope_fake)):
        values = side.points.values.clone().requires_grad_(True)
        slopes = torch.autograd.grad(game.critic(values).sum(), values)[0].flatten(1).norm(dim=1)
        assert wanted == pytest.approx(float(slopes.max()), rel=1e-4)


def test_a_copy_trained_further_gives_the_gap():
    run = small(critic="mlp:width=32,depth=2", generator="mlp:depth=0", batch_size=64, seed=1,
                constraint="penalty:weight=0.1", critic_optimizer="adam:lr=0.005,beta1=0.5")  # fmt: skip
    game = run.game
    with torch.no_grad():
        game.generator.body[-1].weight.copy_(torch.tensor([[0.9, 0.0], [0.0, 0.3]]))
        game.generator.body[-1].bias.copy_(torch.tensor([0.6, 0.0]))
    found = evaluator_of(run, size=300, gap_steps=60)()
    assert found.gap > 0.1
    assert found.further_estimate > found.held_out_estimate + 1
    assert found.certified / (1 - found.gap) <= found.exact
    without = evaluator_of(run, size=300, gap_steps=0)()
    assert without.gap is without.further_estimate is None
    assert without.certified == found.certified


def test_distances_are_in_the_units_of_the_data(tmp_path):
    points = np.random.default_rng(0).normal(size=(400, 2)) * [1.0, 3.0]
    found = []
    for name, unit in (("plain", 1.0), ("large", 1000.0)):
        np.save(tmp_path / f"{name}.npy", points * unit)
        run = small(data=str(tmp_path / f"{name}.npy"))
        assert run.source.codec.unit is not None
        found.append(evaluator_of(run)())
    plain, large = found
    for name in ("certified", "without_critic", "exact", "exact_low", "exact_high", "exact_floor", "estimate_by_slope"):
        assert getattr(large, name) == pytest.approx(1000 * getattr(plain, name), rel=1e-3), name
    for name in ("held_out_estimate", "efficiency", "slope_real", "slope_climbed"):
        assert getattr(large, name) == pytest.approx(getattr(plain, name), rel=1e-3), name


def test_a_generator_of_one_training_row_has_no_diversity_and_counts_as_one_copy(tmp_path):
    points = np.random.default_rng(0).normal(size=(2000, 2))
    np.save(tmp_path / "points.npy", points)
    run = small(data=str(tmp_path / "points.npy"), generator="mlp:depth=0")
    game, source = run.game, run.source
    evaluate = evaluator_of(run, size=200, gap_steps=0)
    with torch.no_grad():
        game.generator.body[-1].weight.zero_()
        game.generator.body[-1].bias.copy_(source.sample(1, torch.Generator().manual_seed(0)).values[0])
    found = evaluate()
    assert found.diversity_samples == pytest.approx(0.0, abs=1e-6)
    assert found.diversity_real > 0.02 * source.codec.unit
    assert found.coverage < 0.5
    # All samples are the same training row, so the standard error is large.
    assert found.memorised == pytest.approx(1.0)
    assert found.memorised_error > 1.0


def test_samplers_have_no_memorised_share():
    run = small()
    found = evaluator_of(run, gap_steps=0)()
    assert found.memorised is found.nearest_training is None
    assert found.diversity_samples > 0
    assert 0 <= found.coverage <= 1


def test_distances_to_the_nearest_rows_are_in_the_units_of_the_data(tmp_path):
    points = np.arange(400.0).reshape(200, 2)
    np.save(tmp_path / "points.npy", points)
    run = small(data=str(tmp_path / "points.npy"), generator="mlp:depth=0")
    game, source = run.game, run.source
    # Rows are equally spaced on a line, and all samples are one point far beyond its end.
    end = source.codec.encode(np.array([[600.0, 601.0]]))
    with torch.no_grad():
        game.generator.body[-1].weight.zero_()
        game.generator.body[-1].bias.copy_(end[0])
    evaluate = evaluator_of(run, gap_steps=0)
    found = evaluate()
    last = source.codec.decode(evaluate.rows.held_out.values).max(axis=0)
    assert found.nearest_held_out == pytest.approx(float(np.linalg.norm([600.0, 601.0] - last)), rel=1e-4)
    assert found.off_support == pytest.approx(found.nearest_held_out, rel=1e-4)
    assert 200 * math.sqrt(2) < found.nearest_training < 260 * math.sqrt(2)


def test_tables_are_diagnosed_with_soft_categories_and_copies_sought_with_hard_ones(tmp_path):
    rng = np.random.default_rng(0)
    lines = [f"{age:.3f},{'red' if dark < 0.3 else 'blue'}" for age, dark in rng.random((300, 2))]
    (tmp_path / "table.csv").write_text("\n".join(["age,colour", *lines]))
    run = small(data=str(tmp_path / "table.csv"))
    source = run.source
    assert source.codec.layout.groups
    evaluate = evaluator_of(run)
    played(run, 2)
    found, seen = evaluate(), evaluate.snapshot()
    (start, stop), shares = source.codec.layout.groups[0], seen.fake.rows.values
    assert ((shares[:, start:stop] > 0.01) & (shares[:, start:stop] < 0.99)).any()
    assert found.certified <= found.exact
    # Copies are sought among samples with hard categories, like those of rows.
    hard = shares.clone()
    hard[:, start:stop] = torch.nn.functional.one_hot(shares[:, start:stop].argmax(dim=1), stop - start).float()
    nearest = torch.cdist(hard.double(), hard.double()).fill_diagonal_(math.inf).min(dim=1).values
    assert found.diversity_samples == pytest.approx(float(nearest.mean()), rel=1e-4)


def test_the_floor_uses_as_many_real_rows_and_is_constant():
    run = small()
    source = run.source
    evaluate = evaluator_of(run, size=100)
    rows = Rows.of(source, size=100, packing=1, seed=0)
    with torch.no_grad():
        before = evaluate()
    played(run, 3)
    after = evaluate()
    assert after.exact_floor == before.exact_floor
    assert after.exact != before.exact
    assert evaluate.size == 100
    assert torch.equal(evaluate.rows.training.values, rows.training.values)


@pytest.mark.parametrize("player", ["generator", "critic"])
def test_a_diverged_run_has_the_evidence_that_is_finite(player):
    run = small(constraint="clipping")
    game = run.game
    with torch.no_grad():
        next(getattr(game, player).parameters()).fill_(math.nan)
    found = evaluator_of(run)()
    assert found.certified is found.gap is found.efficiency is None
    assert (found.exact is None) == (player == "generator")
    numbers = found.numbers()
    assert "held_out_estimate" not in numbers
    assert numbers["exact_floor"] > 0
    json.dumps(numbers, allow_nan=False)


def test_numbers_omit_missing_and_non_finite_values():
    found = Evidence(training_estimate=1.0, held_out_estimate=math.nan, gap=math.inf, layer_gradients=(0.5, 0.0),
                     generator_layer_gradients=(math.nan,), at_bound=0.0,
                     score_histogram={"edges": [0.0, math.inf], "real": [1], "fake": [2]})  # fmt: skip
    assert found.numbers() == {"training_estimate": 1.0, "layer_gradients": [0.5, 0.0], "at_bound": 0.0}


def test_above_the_size_limit_the_sliced_distance_is_measured():
    run = small(generator="mlp:width=4,depth=1")
    found = evaluator_of(run, size=MAX_POINTS + 1, gap_steps=0)()
    assert found.exact is found.exact_floor is found.exact_low is found.efficiency is None
    assert found.certified > found.sliced > found.sliced_floor > 0


def test_data_without_held_out_rows_is_refused(tmp_path):
    np.save(tmp_path / "points.npy", np.random.default_rng(0).normal(size=(50, 2)))
    run = small(data=str(tmp_path / "points.npy"), input=DataOptions(held_out=0.0))
    with pytest.raises(UsageError, match="0 rows were held out"):
        evaluator_of(run)


@pytest.mark.slow
@pytest.mark.skipif(not EfficientNetLite0.available(), reason="the extra 'features' is not installed")
def test_images_are_compared_by_features_on_request():
    run = small(**TINY_IMAGES)
    found = evaluator_of(run, size=12, features=True)()
    assert found.exact_features > 1.1 * found.exact_features_floor > 0
    assert evaluator_of(run, size=12)().exact_features is None


def test_a_snapshot_is_available_separately():
    run = small()
    seen = evaluator_of(run).snapshot()
    assert isinstance(seen, Snapshot)
    assert seen.fake.scores.shape == (40,)
