"""A critic trained further: as training would, of no consequence for the game, and near its optimum in the end."""

import copy
import math

import pytest
import torch
from small_games import assert_same_state, played, small, state_of

from wgan.randomness import Randomness
from wgan.training.batches import LOOKING_AHEAD, draw, draw_real
from wgan.training.losses import critic_loss
from wgan.training.updates import descend
from wgan.trust.distances import certify, exact_distance, flat
from wgan.trust.optimality import relative_rise, trained_further
from wgan.trust.samples import Rows, look, scored

KINDS = {
    "penalty": {"constraint": "penalty:every=4"},
    "clipping": {"constraint": "clipping:bound=0.02", "critic_optimizer": "rmsprop:lr=0.01"},
    "spectral": {"constraint": "spectral"},
    "packed": {"packing": 4, "objective": "gan", "constraint": "none"},
    "ahead": {"objective": "gan:flipping=0.2", "constraint": "dragan", "unrolled_steps": 2},
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_copy_is_trained_as_training_would(kind):
    run = game, source, objective, constraint, hparams = small(**KINDS[kind])
    played(run, 3)
    before = state_of(game)
    found = trained_further(*run, steps=4)
    assert_same_state(state_of(game), before)

    own = copy.deepcopy(game)
    optimizer = copy.deepcopy(game.critic_optimizer)
    groups, state = optimizer.param_groups, game.critic_optimizer.state_dict()
    groups[0]["params"] = list(own.critic.parameters())
    optimizer.state.clear()
    optimizer.load_state_dict(state)
    for t, share in enumerate((1.0, 0.5 + math.sqrt(0.125), 0.5, 0.5 - math.sqrt(0.125))):
        groups = optimizer.param_groups
        groups[0]["lr"] = share * (0.01 if kind == "clipping" else 0.03)
        real, _ = draw_real(own, source, hparams, "real of the gap", 3, t)
        noise = own.prior.sample(16, Randomness(own.seed).at("noise of the gap", 3, t))
        with torch.no_grad():
            fake = own.generate(noise).packed(hparams.packing)
        real = real.packed(hparams.packing)
        # Two critic updates before each of three generator updates were made: a lazy penalty goes on counting.
        held = constraint.at(6 + t)
        drawn = draw(own, objective, held, real, 3, LOOKING_AHEAD, t)
        descend(critic_loss(own, objective, held, real, fake, drawn)[0], own.critic, optimizer)
        constraint.project(own.critic)
    for (name, weight), wanted in zip(found.critic.named_parameters(), own.critic.parameters(), strict=True):
        assert torch.equal(weight, wanted), name
    if kind == "clipping":
        assert max(float(weight.detach().abs().max()) for weight in found.critic.parameters()) <= 0.02 + 1e-9


def test_a_run_whose_rate_has_fallen_to_nothing_still_has_a_copy_that_moves():
    run = small(lr_schedule="linear", steps=4)
    game = played(run, 4)
    game.set_rates(0.0)
    further = trained_further(*run, steps=2)
    moved = [
        float((weight - before).detach().abs().max())
        for weight, before in zip(further.critic.parameters(), game.critic.parameters(), strict=True)
    ]
    assert max(moved) > 0.01
    assert all(group["lr"] == 0.0 for group in game.critic_optimizer.param_groups)


def test_no_further_updates_leave_the_critic_as_it_is():
    run = small()
    game = played(run, 2)
    further = trained_further(*run, steps=0)
    assert further.critic is not game.critic
    for weight, wanted in zip(further.critic.parameters(), game.critic.parameters(), strict=True):
        assert torch.equal(weight, wanted)


@pytest.mark.parametrize(
    ("before", "after", "rise"), [(1.0, 2.0, 0.5), (2.0, 1.0, 0.0), (0.0, 3.0, 1.0), (0.0, 0.0, 0.0)]
)
def test_a_rise_is_a_share_of_what_there_is_afterwards(before, after, rise):
    assert relative_rise(before, after) == rise


def test_the_rise_falls_as_a_critic_nears_its_optimum():
    """Against a generator that stands still and makes a cloud beside the ring's centre."""
    run = game, source, objective, _, hparams = small(
        critic="mlp:width=32,depth=2", critic_optimizer="adam:lr=0.005,beta1=0.5", constraint="penalty:weight=0.1",
        generator="mlp:depth=0", batch_size=64, seed=1,
    )  # fmt: skip
    with torch.no_grad():
        game.generator.body[-1].weight.copy_(torch.tensor([[0.9, 0.0], [0.0, 0.3]]))
        game.generator.body[-1].bias.copy_(torch.tensor([0.6, 0.0]))
    rows = Rows.of(source, size=300, packing=1, seed=0)
    seen = look(game, objective, hparams, rows)
    points = [flat(side.points) for side in (seen.held_out, seen.fake)]

    def proven(one):
        found = scored(one, objective, hparams, seen)
        return certify(found.held_out, found.fake, *points).value

    def gap(one):
        further = trained_further(one, *run[1:], steps=60)
        return relative_rise(proven(one), proven(further)), further

    untrained, further = gap(game)
    for _ in range(4):
        last, further = gap(further)
    assert untrained > 0.1
    assert last < 0.01
    # At its optimum the critic proves nearly all that there is.
    assert proven(further) > 0.95 * exact_distance(*points, torch.Generator().manual_seed(0)).value
