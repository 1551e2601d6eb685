"""The JAX programs compute the same numbers as the plain loops, given the same parameters and batch."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bench import plain

jax = pytest.importorskip("jax")

from bench.cases import CASES  # noqa: E402
from bench.operations import weights_of  # noqa: E402
from bench.sampling import SAMPLING  # noqa: E402

from bench import jax_recipes, jax_rival  # noqa: E402


def _converted(network: nn.Module, rival: jax_rival.Network) -> jax_rival.Weights:
    """The parameters of a torch network in the layout of the JAX network."""
    layers = iter([layer for layer in network.children() if next(layer.parameters(), None) is not None])
    converted = []
    for spec in rival:
        if not spec.shapes:
            converted.append({})
            continue
        layer = next(layers)
        own = {name: value.detach() for name, value in layer.named_parameters()}
        weight, shape = own["weight"], spec.shapes.get("weight", ())
        if isinstance(layer, nn.ConvTranspose2d) and len(shape) == 2:
            # From a single pixel: a matrix to all pixels, channels last.
            weight = weight.permute(0, 2, 3, 1).reshape(shape)
        elif isinstance(layer, nn.ConvTranspose2d):
            weight = weight.permute(2, 3, 0, 1)
        elif isinstance(layer, nn.Conv2d):
            weight = weight.permute(2, 3, 1, 0)
        elif isinstance(layer, nn.Linear) and isinstance(network[1], nn.Unflatten):
            channels, height, width = network[1].unflattened_size
            weight = weight.reshape(channels, height, width, -1).permute(3, 1, 2, 0).reshape(shape)
        elif isinstance(layer, nn.Linear):
            weight = weight.T
        values = {"norm" if isinstance(layer, nn.BatchNorm2d) else "weight": weight}
        values |= {"shift": own["bias"]} if "bias" in own else {}
        assert {name: tuple(value.shape) for name, value in values.items()} == spec.shapes
        converted.append({name: jax.numpy.asarray(value.contiguous().numpy()) for name, value in values.items()})
    return converted


def _channels_last(values: Tensor) -> np.ndarray:
    return (values.permute(0, 2, 3, 1) if values.dim() == 4 else values).contiguous().detach().numpy()


@pytest.mark.parametrize(
    ("mine", "theirs", "noise"),
    [
        (plain.mlp(3, 16, 2), jax_rival.mlp(3, 16, 2), 3),
        (plain.dcgan_generator(5, 4, 3), jax_rival.dcgan_generator(5, 4, (4, 8, 16, 32), 3), 5),
        (plain.dcgan_28_generator(5, 4), jax_rival.dcgan_generator(5, 4, (3, 7, 14, 28), 1), 5),
    ],
)
def test_generators_agree(mine: nn.Module, theirs: jax_rival.Network, noise: int) -> None:
    z = torch.randn(6, noise, generator=torch.Generator().manual_seed(0))
    samples = jax_rival.apply(theirs, _converted(mine, theirs), z.numpy())
    np.testing.assert_allclose(samples, _channels_last(mine(z)), atol=2e-5)


@pytest.mark.parametrize(
    ("mine", "theirs", "shape"),
    [
        (plain.mlp(2, 16, 1), jax_rival.mlp(2, 16, 1), (2,)),
        (plain.dcgan_28_critic(4), jax_rival.dcgan_critic(4, (3, 7, 14, 28), 1, norm=False), (1, 28, 28)),
    ],
)
def test_gradients_of_penalised_critics_agree(
    mine: nn.Module, theirs: jax_rival.Network, shape: tuple[int, ...]
) -> None:
    rng = torch.Generator().manual_seed(0)
    real, fake = torch.randn(2, 6, *shape, generator=rng).unbind()
    mix = torch.rand(6, *[1] * len(shape), generator=rng)
    between = (mix * real + (1 - mix) * fake).requires_grad_()
    (slopes,) = torch.autograd.grad(mine(between).sum(), between, create_graph=True)
    penalty = 3.0 * ((slopes.flatten(1).norm(dim=1) - 1) ** 2).mean()
    loss = mine(fake).mean() - mine(real).mean() + penalty
    loss.backward()
    weights = _converted(mine, theirs)
    value, gradients = jax.value_and_grad(
        lambda w: jax_rival.penalised_loss(
            theirs, w, _channels_last(real), _channels_last(fake), _channels_last(mix), 3.0
        )
    )(weights)
    assert float(value) == pytest.approx(loss.item(), rel=1e-4)
    for weight in mine.parameters():
        weight.data = weight.grad
    for one, other in zip(_converted(mine, theirs), gradients, strict=True):
        for name in one:
            np.testing.assert_allclose(other[name], one[name], atol=2e-4)


def test_gradients_of_clipped_critics_agree() -> None:
    mine, theirs = plain.dcgan_critic(4, 3), jax_rival.dcgan_critic(4, (4, 8, 16, 32), 3, norm=True)
    real, fake = torch.randn(2, 6, 3, 32, 32, generator=torch.Generator().manual_seed(0)).unbind()
    (mine(fake).mean() - mine(real).mean()).backward()
    gradients = jax.grad(lambda w: jax_rival.clipped_loss(theirs, w, _channels_last(real), _channels_last(fake)))(
        _converted(mine, theirs)
    )
    for weight in mine.parameters():
        weight.data = weight.grad
    for one, other in zip(_converted(mine, theirs), gradients, strict=True):
        for name in one:
            np.testing.assert_allclose(other[name], one[name], atol=2e-5)


@pytest.mark.parametrize("penalty", [0.1, None])
def test_optimisers_agree(penalty: float | None) -> None:
    rng = np.random.default_rng(0)
    start, gradients = rng.normal(size=4).astype(np.float32), rng.normal(size=(5, 4)).astype(np.float32)
    weight = torch.tensor(start.copy(), requires_grad=True)
    recipe = replace(jax_recipes.RECIPES["mlp-128"](), penalty=penalty)
    if penalty is None:
        optimizer: torch.optim.Optimizer = torch.optim.RMSprop([weight], lr=recipe.lr)
    else:
        optimizer = torch.optim.Adam([weight], lr=recipe.lr, betas=recipe.betas)
    parameters = [{"weight": jax.numpy.asarray(start)}]
    slots = jax_rival.slots(parameters)
    for gradient in gradients:
        weight.grad = torch.tensor(gradient)
        optimizer.step()
        parameters, slots = jax_rival.updated(recipe, parameters, [{"weight": jax.numpy.asarray(gradient)}], slots)
    np.testing.assert_allclose(parameters[0]["weight"], weight.detach().numpy(), rtol=1e-5)


def test_loops_update_both_players_and_have_the_networks_of_the_plain_loop() -> None:
    loop = jax_rival.Loop(jax_recipes.RECIPES["mlp-128"](), 2)
    before = [jax.tree.map(np.asarray, loop.weights(player)) for player in (0, 1)]
    loop.turn(2)
    assert loop.num_weights == CASES["mlp-128"].plain().num_weights
    for player in (0, 1):
        changes = jax.tree.map(lambda a, b: float(abs(a - b).max()), before[player], loop.weights(player))
        # The last shift does not change, since no difference of scores depends on it.
        assert all(0 < layer["weight"] < 0.01 for layer in changes if layer)


@pytest.mark.parametrize("work", ["dcgan-28", "dcgan-32"])
def test_recipes_have_the_networks_of_the_plain_loops(work: str) -> None:
    recipe, key = jax_recipes.RECIPES[work](), jax.random.key(0)
    num_weights = tuple(
        jax_rival.num_weights(jax_rival.initial(network, key)) for network in (recipe.generator, recipe.critic)
    )
    assert num_weights == CASES[work].plain().num_weights


@pytest.mark.parametrize("work", list(SAMPLING))
def test_samplers_have_the_networks_of_the_plain_loops(work: str) -> None:
    assert jax_recipes.SAMPLERS[work]().num_weights == weights_of(SAMPLING[work].plain())
