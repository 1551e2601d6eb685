"""Every objective: the signs of its gradients, and training under every constraint that suits it."""

import itertools
from types import SimpleNamespace

import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from wgan.batch import Batch, Layout
from wgan.constraints import CONSTRAINTS
from wgan.errors import UsageError
from wgan.kernels import KERNELS
from wgan.objectives import OBJECTIVES
from wgan.runs.setups import build_setup
from wgan.settings import Settings
from wgan.training.loop import train

SCORED = [name for name in OBJECTIVES if name not in ("mmd", "semidual")]

LAYOUTS = {
    "points": Layout(shape=(2,)),
    "table": Layout(shape=(5,), groups=((1, 4),)),
    "images": Layout(shape=(1, 8, 8), bounded=True),
}


@pytest.mark.parametrize("name", SCORED)
def test_critic_and_generator_losses_move_scores_in_opposite_directions(name):
    """The critic raises real scores and lowers fake ones; the generator raises fake ones."""
    objective = OBJECTIVES.build(name)
    scores = -0.5 if name == "energy" else 0.5
    real, fake = (torch.full((4,), scores, requires_grad=True) for _ in range(2))
    of_real, of_fake = torch.autograd.grad(objective.critic_loss(real, fake), (real, fake))
    assert (of_real < 0).all()
    assert (of_fake > 0).all()
    (of_fake,) = torch.autograd.grad(objective.generator_loss(fake, real), fake)
    assert (of_fake < 0).all()


def test_the_classifier_loss_is_the_cross_entropy_of_the_logits():
    """Saturation is then computed from the logits for every loss."""
    real, fake = torch.linspace(-4, 6, 8), torch.linspace(2, -5, 8)
    found = {name: OBJECTIVES.build(name).logits(real, fake) for name in OBJECTIVES}
    assert {name for name, logits in found.items() if logits is not None} == {"gan", "relativistic"}
    # A relativistic critic sees each pair in both orders.
    for name, times in (("gan", 1.0), ("relativistic", 0.5)):
        of_real, of_fake = found[name]
        entropy = binary_cross_entropy_with_logits
        loss = entropy(of_real, torch.ones(8)) + entropy(of_fake, torch.zeros(8))
        torch.testing.assert_close(OBJECTIVES.build(name).critic_loss(real, fake), times * loss)


class Anything:
    """Normal numbers, one-hot blocks or pixels, according to the layout."""

    conditions = None

    def __init__(self, layout: Layout) -> None:
        self.layout, self.codec = layout, SimpleNamespace(layout=layout)

    def sample(self, size: int, rng: torch.Generator) -> Batch:
        values = torch.randn(size, *self.layout.shape, generator=rng)
        for start, stop in self.layout.groups:
            block = values[:, start:stop]
            values[:, start:stop] = torch.zeros_like(block).scatter_(1, block.argmax(1, keepdim=True), 1.0)
        return Batch(values.tanh() if self.layout.bounded else values)


def play(layout: Layout, **changes: object) -> list[float]:
    settings = Settings(
        **{
            "generator": "mlp:width=8", "critic": "mlp:width=8", "latent_dim": 2, "batch_size": 8, "critic_steps": 2,
            "steps": 2, "generator_optimizer": "adam:lr=0.01", "critic_optimizer": "adam:lr=0.01", "threads": 1,
        }
        | changes
    )  # fmt: skip
    setup = build_setup(settings, Anything(layout))
    game = setup.game
    before = [weight.clone() for weight in game.generator.parameters()]
    steps = list(train(setup))
    assert all(not torch.equal(old, new) for old, new in zip(before, game.generator.parameters(), strict=True))
    assert all(weight.isfinite().all() for weight in (*game.generator.parameters(), *game.critic.parameters()))
    return [value.item() for step in steps for value in (step.estimate, step.critic_loss, step.generator_loss)]


def critic_for(objective: str) -> dict[str, str]:
    return {"critic": "autoencoder:width=8,code=2"} if objective == "energy" else {}


WAYS = {"plain": {}, "packed": {"packing": 2}, "looking ahead": {"unrolled_steps": 2}}


@pytest.mark.parametrize("way", list(WAYS))
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", list(OBJECTIVES))
def test_every_objective_trains_under_every_constraint(name, layout, way):
    for constraint in ("clipping:bound=0.1", *(name for name in CONSTRAINTS if name != "clipping")):
        numbers = play(LAYOUTS[layout], objective=name, constraint=constraint, **WAYS[way], **critic_for(name))
        assert torch.tensor(numbers).isfinite().all(), constraint


@pytest.mark.parametrize("way", list(WAYS))
@pytest.mark.parametrize("name", list(OBJECTIVES))
def test_every_objective_trains_convolutions(name, way):
    players = {"generator": "dcgan:filters=4", "critic": "dcgan:filters=4,norm=none", "precision": "float32"}
    if name == "energy":
        players["critic"] = "conv-autoencoder:filters=4,code=4"
    for constraint in ("r1r2:every=2", "spectral"):
        numbers = play(LAYOUTS["images"], objective=name, constraint=constraint, **WAYS[way], **players)
        assert torch.tensor(numbers).isfinite().all(), constraint


@pytest.mark.parametrize("layout", LAYOUTS)
def test_mmd_trains_without_a_critic(layout):
    numbers = play(LAYOUTS[layout], objective="mmd", constraint="none", critic="identity", packing=2)
    assert torch.tensor(numbers).isfinite().all()


@pytest.mark.parametrize(
    ("changes", "message", "remedy"),
    [
        ({"objective": "energy"}, "would fall for ever", "--critic autoencoder"),
        *[
            ({"objective": name, "critic": "identity"}, "needs a critic that learns to score samples", "--critic mlp")
            for name in OBJECTIVES
            if name != "mmd"
        ],
        *[
            (
                {"objective": "mmd", "critic": "identity", "constraint": name},
                "nothing that a constraint could hold",
                "--constraint none",
            )
            for name in CONSTRAINTS
            if name != "none"
        ],
        *[
            ({"objective": "semidual:cost=squared", "constraint": name}, "as steep as samples have to travel", "r1")
            for name in ("clipping", "penalty", "lp", "dragan", "spectral")
        ],
        *[
            ({"critic": "mlp:norm=batch", "constraint": name}, "is batch norm", "norm=layer")
            for name in ("penalty", "lp", "dragan", "r1", "r2", "r1r2", "spectral")
        ],
        ({"objective": "mmd", "critic": "autoencoder"}, "where 16 features are wanted", "--critic mlp"),
        ({"generator": "autoencoder"}, "autoencoder is a critic", "--generator mlp"),
        (
            {"objective": "mmd", "critic": "identity", "constraint": "none", "unrolled_steps": 1},
            "no updates to look ahead",
            "--unrolled-steps 0",
        ),
        ({"packing": 3}, "batches of 8 cannot be packed by 3", "multiple"),
        (
            {"packing": 2, "batch_size": 2, "objective": "mmd"},
            "batch of 2, packed by 2, is too small",
            "--batch-size 4",
        ),
        ({"batch_size": 1, "objective": "mmd"}, "too small for the losses of .* moment matching", "--batch-size 2"),
        ({"batch_size": 1, "generator": "mlp:norm=batch"}, "for batch norm in the generator", "--batch-size 2"),
        (
            {"batch_size": 2, "packing": 2, "critic": "mlp:norm=batch", "constraint": "none"},
            "for batch norm in the critic",
            "--batch-size 4",
        ),
        (
            {"objective": "mmd", "critic": "identity", "constraint": "none", "mismatch": 0.5},
            "cannot learn from samples under wrong conditions",
            "--mismatch 0",
        ),
    ],
)
def test_incompatible_parts_are_refused_with_reason_and_remedy(changes, message, remedy):
    with pytest.raises(UsageError, match=message) as caught:
        play(LAYOUTS["points"], **changes)
    assert remedy in caught.value.remedy
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("kernel", list(KERNELS))
def test_every_kernel_trains_with_a_penalty_and_unrolling(kernel):
    changes = {"objective": f"mmd:kernel={kernel},features=3", "constraint": "penalty"}
    for way in WAYS.values():
        numbers = play(LAYOUTS["points"], **changes, **way)
        assert torch.tensor(numbers).isfinite().all()


@pytest.mark.parametrize("name", [name for name in OBJECTIVES if name != "mmd"])
def test_batches_of_one_sample_or_one_pack_train(name):
    for constraint in ("dragan", "r1r2", "penalty:pairs=optimal"):
        for way in ({"batch_size": 1}, {"batch_size": 2, "packing": 2, "generator": "mlp:width=8,norm=batch"}):
            numbers = play(LAYOUTS["points"], objective=name, constraint=constraint, **way, **critic_for(name))
            assert torch.tensor(numbers).isfinite().all(), constraint


def test_compatible_parts_are_accepted():
    for objective, constraint in itertools.product(("semidual:cost=squared",), ("none", "r1", "r2", "r1r2")):
        play(LAYOUTS["points"], objective=objective, constraint=constraint)
    play(LAYOUTS["points"], objective="gan", critic="mlp:norm=batch", constraint="none")
    play(LAYOUTS["points"], critic="autoencoder:width=8", constraint="lp")
    for way in WAYS.values():
        play(LAYOUTS["table"], objective="energy:pull_away=0.1", critic="autoencoder:width=8", constraint="r1", **way)
