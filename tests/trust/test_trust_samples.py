"""Snapshots: their rows, samples and scores, without side effects."""

import copy

import numpy as np
import pytest
import torch
from small_games import assert_same_state, played, small, state_of

from wgan.data import open_data
from wgan.errors import UsageError
from wgan.randomness import Randomness
from wgan.settings import DataOptions
from wgan.trust.samples import Rows, most_rows, rescore, snapshot


@pytest.fixture
def numbered(tmp_path):
    """Points whose entries are their row number, with a share held out."""

    def opened(num, held_out):
        path = tmp_path / "numbered.npy"
        np.save(path, np.arange(2 * num, dtype=np.float32).reshape(num, 2))
        return open_data(str(path), DataOptions(scaling="none", held_out=held_out), seed=3)

    return opened


def test_equally_many_training_and_held_out_rows_are_drawn(numbered):
    source = numbered(1000, 0.2)
    rows = Rows.of(source, size=150, packing=1, seed=0)
    held_out, training = ({tuple(row) for row in part.values.tolist()} for part in (rows.held_out, rows.training))
    assert len(held_out) == len(training) == 150
    assert not held_out & training
    seen = {tuple(row) for row in source.sample(20_000, torch.Generator().manual_seed(0)).values.tolist()}
    assert training <= seen
    assert not held_out & seen


def test_rows_follow_from_the_seed_and_are_limited_by_the_data(numbered):
    source = numbered(200, 0.25)
    first, again, other = (Rows.of(source, size=40, packing=1, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(first.held_out.values, again.held_out.values)
    assert torch.equal(first.training.values, again.training.values)
    assert not torch.equal(first.held_out.values, other.held_out.values)
    assert len(Rows.of(source, size=1000, packing=1, seed=0).held_out.values) == 50
    assert len(Rows.of(source, size=1000, packing=8, seed=0).training.values) == 48
    assert len(Rows.of(source, size=3, packing=8, seed=0).training.values) == 24


def test_too_few_rows_are_refused(numbered):
    with pytest.raises(UsageError, match="1 row was held out, and evidence of a critic needs at least 4"):
        Rows.of(numbered(10, 0.1), size=10, packing=4, seed=0)
    with pytest.raises(UsageError, match="0 rows were held out"):
        Rows.of(numbered(10, 0.0), size=10, packing=1, seed=0)


def test_fewer_images_than_points_are_evaluated():
    sources = [open_data(name, DataOptions(), seed=0) for name in ("ring", "fashion-mnist")]
    assert [most_rows(source.codec.layout) for source in sources] == [1000, 512]


def test_samples_are_those_of_the_generator_under_training():
    setup = small(ema_decay=0.9)
    game, source = played(setup, 3), setup.source
    rows = Rows.of(source, size=40, packing=1, seed=0)
    seen = snapshot(setup, rows)
    noise = game.prior.sample(40, Randomness(game.seed).at("noise of the evidence"))
    with torch.no_grad():
        wanted, averaged = game.generator(noise), game.sampling_generator(noise)
        scores = [game.critic(values) for values in (rows.held_out.values, rows.training.values, wanted)]
    torch.testing.assert_close(seen.fake.rows.values, wanted)
    assert (seen.fake.rows.values - averaged).abs().max() > 1e-2
    for found, score in zip((seen.held_out, seen.training, seen.fake), scores, strict=True):
        torch.testing.assert_close(found.scores, score)
    assert seen.held_out_estimate == pytest.approx(float(scores[0].mean() - scores[2].mean()), abs=1e-6)
    assert seen.training_estimate == pytest.approx(float(scores[1].mean() - scores[2].mean()), abs=1e-6)
    assert not seen.fake.scores.requires_grad


def test_scores_of_a_discriminator_are_its_logits():
    setup = small(objective="gan", constraint="none")
    game, source = setup.game, setup.source
    seen = snapshot(setup, Rows.of(source, size=40, packing=1, seed=0))
    with torch.no_grad():
        torch.testing.assert_close(seen.fake.scores, game.critic(seen.fake.rows.values))


IMAGES = {
    "data": "fashion-mnist", "generator": "dcgan:filters=2,norm=batch", "critic": "dcgan:filters=2,norm=batch",
    "constraint": "none", "batch_size": 16, "precision": "float32",
}  # fmt: skip


def test_batch_norm_is_evaluated_as_in_training():
    setup = small(**IMAGES)
    game, source = played(setup, 2), setup.source
    before = state_of(game)
    seen = snapshot(setup, Rows.of(source, size=40, packing=1, seed=0))
    assert_same_state(state_of(game), before)
    noise = game.prior.sample(40, Randomness(game.seed).at("noise of the evidence"))
    # 40 samples make three batches of at most 16, of nearly equal size; real rows and samples share none.
    parts = [slice(0, 13), slice(13, 27), slice(27, 40)]
    players = copy.deepcopy((game.generator, game.critic))
    with torch.no_grad():
        fake = torch.cat([players[0](noise[part]) for part in parts])
        scores = torch.cat([players[1](fake[part]) for part in parts])
        in_one_batch = players[1](fake)
    torch.testing.assert_close(seen.fake.rows.values, fake)
    torch.testing.assert_close(seen.fake.scores, scores)
    assert (seen.fake.scores - in_one_batch).abs().max() > 1e-3


@pytest.mark.parametrize("constraint", ["spectral", "penalty"])
def test_a_second_snapshot_is_equal(constraint):
    setup = small(constraint=constraint)
    game, source = played(setup, 2), setup.source
    before, rows = state_of(game), Rows.of(source, size=600, packing=1, seed=0)
    seen, again = snapshot(setup, rows), snapshot(setup, rows)
    assert_same_state(state_of(game), before)
    assert torch.equal(seen.held_out.scores, again.held_out.scores)
    assert torch.equal(seen.fake.scores, again.fake.scores)
    # All scores are of one function: a few points alone get the same scores.
    game.critic.eval()
    with torch.no_grad():
        torch.testing.assert_close(seen.fake.scores[:5], game.critic(seen.fake.rows.values[:5]))


def test_with_packing_points_are_packs():
    setup = small(packing=4)
    source = setup.source
    seen = snapshot(setup, Rows.of(source, size=30, packing=4, seed=0))
    assert seen.fake.rows.values.shape == (120, 2)
    assert seen.fake.points.values.shape == (30, 8)
    assert seen.held_out.scores.shape == seen.fake.scores.shape == (30,)
    assert torch.equal(seen.fake.points.values[7], seen.fake.rows.values[28:32].flatten())


CONDITIONAL = {"input": DataOptions(condition=("label",))}


def test_samples_share_the_conditions_of_the_held_out_rows():
    setup = small(**CONDITIONAL)
    game, source = setup.game, setup.source
    rows = Rows.of(source, size=50, packing=1, seed=0)
    seen = snapshot(setup, rows)
    assert torch.equal(seen.fake.rows.condition, rows.held_out.condition)
    noise = game.prior.sample(50, Randomness(game.seed).at("noise of the evidence"))
    with torch.no_grad():
        torch.testing.assert_close(seen.fake.rows.values, game.generator(noise, rows.held_out.condition))


def test_biases_of_conditions_cancel_in_the_estimates():
    setup = small(**CONDITIONAL, critic="mlp:depth=0")
    game, source = setup.game, setup.source
    weight = next(game.critic.parameters())
    with torch.no_grad():
        weight[:, 2:] = torch.arange(8.0)
        weight[:, :2] = 0.0
    seen = snapshot(setup, Rows.of(source, size=50, packing=1, seed=0))
    assert seen.held_out.scores.std() > 1
    assert seen.held_out.scores.mean() != seen.training.scores.mean()
    assert seen.held_out_estimate == seen.training_estimate == 0.0


def test_another_critic_scores_the_same_points():
    setup = small()
    game, source = setup.game, setup.source
    seen = snapshot(setup, Rows.of(source, size=50, packing=1, seed=0))
    same = rescore(setup, seen)
    assert torch.equal(same.held_out, seen.held_out.scores)
    assert torch.equal(same.fake, seen.fake.scores)
    assert same.held_out_estimate == seen.held_out_estimate
    played(setup, 2)
    with torch.no_grad():
        torch.testing.assert_close(rescore(setup, seen).fake, game.critic(seen.fake.rows.values))


def test_the_mmd_witness_uses_training_rows():
    setup = small(objective="mmd:kernel=energy", critic="identity", constraint="none")
    source = setup.source
    rows = Rows.of(source, size=50, packing=1, seed=0)
    seen = snapshot(setup, rows)
    wanted = setup.objective.witness(rows.held_out.values, rows.training.values, seen.fake.rows.values)
    torch.testing.assert_close(seen.held_out.scores, wanted)
