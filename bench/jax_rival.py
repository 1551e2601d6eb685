"""Networks and training loops in JAX: both players' updates in one `lax.scan`, compiled by one `jit`.

Parameters and optimiser state go through pure functions. Data and noise are drawn inside the compiled loop. Images have
their channels last. Everything is float32. Batch norm keeps no running statistics, which training does not need. JAX is
an optional extra: `pip install -e ".[bench]"`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from numpy.typing import NDArray

Array = Any  # jax.Array, which is not available to the type checker without JAX.
Weights = list[dict[str, Array]]
Real = Callable[[Array], Array]


class Layer(NamedTuple):
    """One layer as data.

    Attributes:
        shapes: The shapes of its parameters, by name.
        apply: From its parameters and its input to its output.
        scale: Initial weights are uniform within ± scale. Initial norms are 1, initial shifts 0.
    """

    shapes: dict[str, tuple[int, ...]]
    apply: Callable[[dict[str, Array], Array], Array]
    scale: float = 0.0


Network = list[Layer]


def initial(network: Network, key: Array) -> Weights:
    """Draw initial parameters."""

    def one(layer: Layer, key: Array) -> dict[str, Array]:
        kept: dict[str, Array] = {"norm": jnp.ones, "shift": jnp.zeros}
        drawn = {name: kept[name](shape) for name, shape in layer.shapes.items() if name in kept}
        if "weight" in layer.shapes:
            drawn["weight"] = layer.scale * jax.random.uniform(key, layer.shapes["weight"], minval=-1.0)
        return drawn

    return [one(layer, key) for layer, key in zip(network, jax.random.split(key, len(network)), strict=True)]


def apply(network: Network, weights: Weights, values: Array) -> Array:
    """The network's output."""
    for layer, own in zip(network, weights, strict=True):
        values = layer.apply(own, values)
    return values


def num_weights(weights: Weights) -> int:
    """The number of parameters of a network."""
    return sum(int(value.size) for layer in weights for value in layer.values())


def dense(inputs: int, outputs: int, *, bias: bool = True) -> Layer:
    """A dense layer."""
    shapes: dict[str, tuple[int, ...]] = {"weight": (inputs, outputs)} | ({"shift": (outputs,)} if bias else {})
    return Layer(shapes, lambda w, x: _shifted(x @ w["weight"], w), 1 / math.sqrt(inputs))


def down(inputs: int, outputs: int, *, bias: bool) -> Layer:
    """A convolution of kernel 4, stride 2 and padding 1, as one matrix product.

    XLA's own convolutions and their gradients are about a hundred times slower on a CPU.
    """

    def convolve(w: dict[str, Array], x: Array) -> Array:
        num, height, width, _ = x.shape
        height, width = height // 2, width // 2
        x = jnp.pad(x, [(0, 0), (1, 1), (1, 1), (0, 0)])[:, : 2 * height + 2, : 2 * width + 2]
        # In blocks of 2 × 2: four of them form a window of 4 × 4.
        x = x.reshape(num, height + 1, 2, width + 1, 2, inputs).transpose(0, 1, 3, 2, 4, 5)
        x = x.reshape(num, height + 1, width + 1, 4 * inputs)
        windows = jnp.concatenate([x[:, a : a + height, b : b + width] for a in (0, 1) for b in (0, 1)], axis=-1)
        return _shifted(windows @ _in_blocks(w["weight"]).reshape(16 * inputs, outputs), w)

    return Layer(_kernel(4, inputs, outputs, bias), convolve, 0.25 / math.sqrt(inputs))


def up(inputs: int, outputs: int, more: int, *, bias: bool) -> Layer:
    """A transposed convolution of kernel 4, stride 2 and padding 1; `more` is its output padding."""

    def convolve(w: dict[str, Array], x: Array) -> Array:
        num, height, width, _ = x.shape
        weight = _in_blocks(w["weight"]).transpose(4, 0, 1, 2, 3, 5).reshape(inputs, 16 * outputs)
        parts = jnp.split(x @ weight, 4, axis=-1)
        shifts = [(a, b) for a in (0, 1) for b in (0, 1)]
        pads = [[(0, 0), (a, 1 - a), (b, 1 - b), (0, 0)] for a, b in shifts]
        x = sum(jnp.pad(part, pad) for part, pad in zip(parts, pads, strict=True))
        x = x.reshape(num, height + 1, width + 1, 2, 2, outputs).transpose(0, 1, 3, 2, 4, 5)
        x = x.reshape(num, 2 * height + 2, 2 * width + 2, outputs)
        return _shifted(x[:, 1 : 2 * height + more + 1, 1 : 2 * width + more + 1], w)

    return Layer(_kernel(4, inputs, outputs, bias), convolve, 0.25 / math.sqrt(inputs))


def whole(inputs: int, side: int) -> Layer:
    """A convolution over the whole feature map to one number, as a matrix product."""
    return Layer(
        _kernel(side, inputs, 1, True),
        lambda w, x: _shifted(x.reshape(len(x), -1) @ w["weight"].reshape(-1, 1), w),
        1 / (side * math.sqrt(inputs)),
    )


def batch_norm(channels: int) -> Layer:
    """Batch norm over all axes but the last."""

    def normalise(w: dict[str, Array], x: Array) -> Array:
        axes = tuple(range(x.ndim - 1))
        mean, variance = x.mean(axes), x.var(axes)
        return (x - mean) * lax.rsqrt(variance + 1e-5) * w["norm"] + w["shift"]

    return Layer({"norm": (channels,), "shift": (channels,)}, normalise)


def activation(function: Callable[[Array], Array]) -> Layer:
    """A layer without parameters."""
    return Layer({}, lambda _, x: function(x))


RELU = activation(jax.nn.relu)
LEAKY = activation(lambda x: jax.nn.leaky_relu(x, 0.2))
TANH = activation(jnp.tanh)


def mlp(inputs: int, width: int, outputs: int) -> Network:
    """Three hidden layers with ReLU."""
    hidden = [layer for size in (inputs, width, width) for layer in (dense(size, width), RELU)]
    return [*hidden, dense(width, outputs)]


def dcgan_generator(latent_dim: int, filters: int, sides: tuple[int, ...], channels: int) -> Network:
    """From noise to images through square feature maps with these sides, the smallest first."""
    levels = len(sides) - 1
    widths = [filters * 2**level for level in reversed(range(levels))]
    layers = [
        dense(latent_dim, widths[0] * sides[0] ** 2, bias=False),
        activation(lambda x: x.reshape(len(x), sides[0], sides[0], widths[0])),
        batch_norm(widths[0]),
        RELU,
    ]
    for level in range(levels):
        last = level == levels - 1
        outputs = channels if last else widths[level + 1]
        layers.append(up(widths[level], outputs, sides[level + 1] - 2 * sides[level], bias=last))
        layers += [TANH] if last else [batch_norm(outputs), RELU]
    return layers


def dcgan_critic(filters: int, sides: tuple[int, ...], channels: int, *, norm: bool) -> Network:
    """The critic for `dcgan_generator`."""
    layers: Network = []
    widths = [channels, *(filters * 2**level for level in range(len(sides) - 1))]
    for level, (inputs, outputs) in enumerate(pairwise(widths)):
        normed = norm and level > 0
        layers.append(down(inputs, outputs, bias=not normed))
        layers += [*([batch_norm(outputs)] if normed else []), LEAKY]
    return [*layers, whole(widths[-1], sides[0])]


def penalised_loss(critic: Network, weights: Weights, real: Array, fake: Array, mix: Array, weight: float) -> Array:
    """The critic's loss of WGAN-GP.

    Source: Gulrajani et al. (2017), Algorithm 1.
    """

    def score(x: Array) -> Array:
        return apply(critic, weights, x).reshape(-1)

    slopes = jax.grad(lambda x: score(x).sum())(mix * real + (1 - mix) * fake)
    norms = jnp.sqrt(jnp.square(slopes).reshape(len(real), -1).sum(1))
    return score(fake).mean() - score(real).mean() + weight * jnp.square(norms - 1).mean()


def clipped_loss(critic: Network, weights: Weights, real: Array, fake: Array) -> Array:
    """The critic's loss of WGAN.

    Source: Arjovsky, Chintala and Bottou (2017), Algorithm 1.
    """
    return apply(critic, weights, fake).mean() - apply(critic, weights, real).mean()


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Networks and hyperparameters of a training loop.

    Attributes:
        generator: Noise to samples.
        critic: Samples to scores.
        real: From a key to a batch of real samples.
        batch_size: Samples per batch.
        latent_dim: Dimensions of the noise.
        penalty: Weight of the gradient penalty (with Adam); None for clipping at 0.01 (with RMSProp).
        lr: Learning rate.
        betas: Adam's decay rates.
    """

    generator: Network
    critic: Network
    real: Real
    batch_size: int
    latent_dim: int
    penalty: float | None
    lr: float
    betas: tuple[float, float] = (0.0, 0.0)


class Loop:
    """Iterations of 5 critic updates and 1 generator update, `iterations` of them in one compiled call."""

    def __init__(self, recipe: Recipe, iterations: int) -> None:
        keys = jax.random.split(jax.random.key(0), 3)
        players = tuple(
            initial(network, key) for network, key in zip((recipe.generator, recipe.critic), keys, strict=False)
        )
        self.num_weights = num_weights(players[0]), num_weights(players[1])
        self.iterations = iterations
        self._state = (*((weights, slots(weights)) for weights in players), keys[2])
        self._run = jax.jit(lambda state: lax.scan(_iteration(recipe), state, None, length=iterations)[0])

    def weights(self, player: int) -> Weights:
        """The parameters of the generator (0) or the critic (1)."""
        weights: Weights = self._state[player][0]
        return weights

    def turn(self, iterations: int) -> None:
        """Run the loop once. `iterations` must be the number that it was compiled for."""
        assert iterations == self.iterations, (iterations, self.iterations)
        self._state = jax.block_until_ready(self._run(self._state))


class Sampler:
    """Samples from a generator in blocks. Each block is drawn and decoded in one compiled call."""

    def __init__(self, generator: Network, latent_dim: int, block: int, kind: Literal["points", "images"]) -> None:
        weights = initial(generator, jax.random.key(0))
        self.num_weights, self._block, self._key = num_weights(weights), block, jax.random.key(1)

        def drawn(weights: Weights, key: Array) -> Array:
            x = apply(generator, weights, jax.random.normal(key, (block, latent_dim)))
            return 1.414 * x if kind == "points" else jnp.round(jnp.clip(127.5 * (x + 1), 0, 255)).astype(jnp.uint8)

        compiled = jax.jit(drawn)
        self._draw: Callable[[Array], NDArray[Any]] = lambda key: np.asarray(compiled(weights, key))

    def turn(self, rows: int) -> None:
        """Draw at least this many rows."""
        for _ in range(-(-rows // self._block)):
            self._key, key = jax.random.split(self._key)
            self._draw(key)


def ring(size: int) -> Real:
    """Batches from 8 Gaussians on a ring."""
    angles = jnp.arange(8) * (math.pi / 4)
    centres = 2.0 * jnp.stack([jnp.cos(angles), jnp.sin(angles)], axis=1)

    def draw(key: Array) -> Array:
        which, around = jax.random.split(key)
        return (centres[jax.random.randint(which, (size,), 0, 8)] + 0.02 * jax.random.normal(around, (size, 2))) / 1.414

    return draw


def rows(images: NDArray[np.uint8], size: int) -> Real:
    """Batches of images, stored as float32."""
    values = jnp.asarray(images, jnp.float32) / 127.5 - 1.0
    return lambda key: values[jax.random.randint(key, (size,), 0, len(values))]


def _shifted(x: Array, w: dict[str, Array]) -> Array:
    return x + w["shift"] if "shift" in w else x


def _kernel(side: int, inputs: int, outputs: int, bias: bool) -> dict[str, tuple[int, ...]]:
    return {"weight": (side, side, inputs, outputs)} | ({"shift": (outputs,)} if bias else {})


def _in_blocks(weight: Array) -> Array:
    """A kernel of 4 × 4 as 2 × 2 blocks of 2 × 2: shape (2, 2, 2, 2, inputs, outputs), blocks first."""
    return weight.reshape(2, 2, 2, 2, *weight.shape[2:]).transpose(0, 2, 1, 3, 4, 5)


def slots(weights: Weights) -> tuple[Weights, Weights, Array]:
    """The initial state of an optimiser: two moving averages and a count."""
    zeros: Weights = jax.tree.map(jnp.zeros_like, weights)
    return zeros, zeros, jnp.zeros(())


def _iteration(recipe: Recipe) -> Callable[[Any, None], tuple[Any, None]]:
    """The body of the outer scan: one iteration."""

    def generate(weights: Weights, key: Array) -> Array:
        return apply(recipe.generator, weights, jax.random.normal(key, (recipe.batch_size, recipe.latent_dim)))

    def critic_update(state: Any, _: None) -> tuple[Any, None]:  # noqa: ANN401
        generator, (weights, slots), key = state
        key, of_real, of_noise, of_mix = jax.random.split(key, 4)
        real, fake = recipe.real(of_real), generate(generator[0], of_noise)
        if recipe.penalty is None:
            gradients = jax.grad(lambda w: clipped_loss(recipe.critic, w, real, fake))(weights)
        else:
            mix = jax.random.uniform(of_mix, (recipe.batch_size, *[1] * (real.ndim - 1)))
            gradients = jax.grad(lambda w: penalised_loss(recipe.critic, w, real, fake, mix, recipe.penalty or 0.0))(
                weights
            )
        weights, slots = updated(recipe, weights, gradients, slots)
        if recipe.penalty is None:
            weights = jax.tree.map(lambda w: jnp.clip(w, -0.01, 0.01), weights)
        return (generator, (weights, slots), key), None

    def iteration(state: Any, _: None) -> tuple[Any, None]:  # noqa: ANN401
        state, _ = lax.scan(critic_update, state, None, length=5)
        (weights, slots), critic, key = state
        key, of_noise = jax.random.split(key)
        gradients = jax.grad(lambda w: -apply(recipe.critic, critic[0], generate(w, of_noise)).mean())(weights)
        return (updated(recipe, weights, gradients, slots), critic, key), None

    return iteration


def updated(recipe: Recipe, weights: Weights, gradients: Weights, kept: Any) -> tuple[Weights, Any]:  # noqa: ANN401
    """One step of Adam (with a penalty) or RMSProp (with clipping), with PyTorch's constants."""
    first, second, count = kept
    if recipe.penalty is None:
        second = jax.tree.map(lambda s, g: 0.99 * s + 0.01 * g * g, second, gradients)
        weights = jax.tree.map(lambda w, g, s: w - recipe.lr * g / (jnp.sqrt(s) + 1e-8), weights, gradients, second)
        return weights, (first, second, count)
    (b1, b2), count = recipe.betas, count + 1
    first = jax.tree.map(lambda m, g: b1 * m + (1 - b1) * g, first, gradients)
    second = jax.tree.map(lambda s, g: b2 * s + (1 - b2) * g * g, second, gradients)
    at_first, at_second = 1 - b1**count, 1 - b2**count
    weights = jax.tree.map(
        lambda w, m, s: w - recipe.lr * (m / at_first) / (jnp.sqrt(s / at_second) + 1e-8), weights, first, second
    )
    return weights, (first, second, count)
