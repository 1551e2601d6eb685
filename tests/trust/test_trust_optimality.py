"""A copy of the critic trained further: as in training, without side effects, up to near its optimum."""

import copy
import dataclasses
import math

import pytest
import torch
from small_games import assert_same_state, played, small, state_of

from wgan.training.batches import LOOKING_AHEAD, draw_critic_batch, generate, with_loss_draws
from wgan.training.losses import critic_loss
from wgan.training.updates import descend
from wgan.trust.distances import certify, exact_distance, flat
from wgan.trust.optimality import relative_rise, trained_further
from wgan.trust.samples import Rows, rescore, snapshot

KINDS = {
    "penalty": {"constraint": "penalty:every=4"},
    "clipping": {"constraint": "clipping:bound=0.02", "critic_optimizer": "rmsprop:lr=0.01"},
    "spectral": {"constraint": "spectral"},
    "packed": {"packing": 4, "objective": "gan", "constraint": "none"},
    "ahead": {"objective": "gan:flipping=0.2", "constraint": "dragan", "unrolled_steps": 2},
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_copy_is_updated_as_in_training(kind):
    setup = small(**KINDS[kind])
    game = played(setup, 3)
    before = state_of(game)
    found = trained_further(setup, steps=4).game
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
        # Two critic updates were made before each of three generator updates: a lazy penalty continues the count.
        current = dataclasses.replace(setup, game=own).at(6 + t)
        batch = draw_critic_batch(current, "real of the gap", "noise of the gap", 3, t)
        batch = with_loss_draws(current, batch, 3, LOOKING_AHEAD, t)
        with torch.no_grad():
            fake = generate(current, batch.noise, batch.condition)
        descend(critic_loss(current, batch, fake)[0], own.critic, optimizer)
        setup.constraint.project(own.critic)
    for (name, weight), wanted in zip(found.critic.named_parameters(), own.critic.parameters(), strict=True):
        assert torch.equal(weight, wanted), name
    if kind == "clipping":
        assert max(float(weight.detach().abs().max()) for weight in found.critic.parameters()) <= 0.02 + 1e-9


def test_the_copy_is_trained_even_if_the_learning_rate_has_fallen_to_zero():
    setup = small(lr_schedule="linear", steps=4)
    game = played(setup, 4)
    game.set_lr(0.0)
    further = trained_further(setup, steps=2).game
    moved = [
        float((weight - before).detach().abs().max())
        for weight, before in zip(further.critic.parameters(), game.critic.parameters(), strict=True)
    ]
    assert max(moved) > 0.01
    assert all(group["lr"] == 0.0 for group in game.critic_optimizer.param_groups)


def test_zero_updates_leave_the_critic_unchanged():
    setup = small()
    game = played(setup, 2)
    further = trained_further(setup, steps=0).game
    assert further.critic is not game.critic
    for weight, wanted in zip(further.critic.parameters(), game.critic.parameters(), strict=True):
        assert torch.equal(weight, wanted)


@pytest.mark.parametrize(
    ("before", "after", "rise"), [(1.0, 2.0, 0.5), (2.0, 1.0, 0.0), (0.0, 3.0, 1.0), (0.0, 0.0, 0.0)]
)
def test_the_rise_is_relative_to_the_value_after(before, after, rise):
    assert relative_rise(before, after) == rise


def test_the_rise_falls_near_the_optimum():
    """With a fixed generator, whose samples are a cloud near the ring's centre."""
    setup = small(
        critic="mlp:width=32,depth=2", critic_optimizer="adam:lr=0.005,beta1=0.5", constraint="penalty:weight=0.1",
        generator="mlp:depth=0", batch_size=64, seed=1,
    )  # fmt: skip
    game = setup.game
    with torch.no_grad():
        game.generator.body[-1].weight.copy_(torch.tensor([[0.9, 0.0], [0.0, 0.3]]))
        game.generator.body[-1].bias.copy_(torch.tensor([0.6, 0.0]))
    rows = Rows.of(setup.source, size=300, packing=1, seed=0)
    seen = snapshot(setup, rows)
    points = [flat(side.points) for side in (seen.held_out, seen.fake)]

    def proven(one):
        found = rescore(one, seen)
        return certify(found.held_out, found.fake, *points).value

    def gap(one):
        further = trained_further(one, steps=60)
        return relative_rise(proven(one), proven(further)), further

    untrained, further = gap(setup)
    for _ in range(4):
        last, further = gap(further)
    assert untrained > 0.1
    assert last < 0.01
    # At its optimum the critic proves nearly the whole distance.
    assert proven(further) > 0.95 * exact_distance(*points, torch.Generator().manual_seed(0)).value
