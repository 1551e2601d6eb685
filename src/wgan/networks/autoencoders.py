"""Critics that score a sample by how well they can reproduce it from a short code."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from wgan.batch import Layout
from wgan.errors import UsageError
from wgan.networks.convolutions import Norm
from wgan.networks.dcgan import DCGAN
from wgan.networks.mlp import MLP, Activation
from wgan.networks.players import Critic, Generator


class Reconstruction(Critic):
    """A critic whose score is minus the mean squared error of its reconstruction, over the entries of a sample.

    Args:
        encoder: From samples to codes (N, K).
        decoder: From codes back to samples.
    """

    is_energy = True

    def __init__(self, encoder: Critic, decoder: Generator) -> None:
        nn.Module.__init__(self)
        self.encoder, self.decoder, self.outputs = encoder, decoder, 1

    def forward(self, values: Tensor, condition: Tensor | None = None) -> Tensor:
        """Score samples, shape (N,), float32, at most 0, differentiable."""
        codes: Tensor = self.encoder(values, condition).reshape(len(values), -1)
        again: Tensor = self.decoder(codes, condition)
        return -(again.float() - values.float()).square().flatten(1).mean(dim=1)


@dataclass(frozen=True)
class Autoencoder:
    """A critic of layers of equal width that reproduces samples from a code; its score is minus the error.

    Source: Zhao, Mathieu and LeCun (2017), section 2.3.
    """

    code: int = 8
    width: int = 128
    depth: int = 2
    activation: Activation = "relu"

    def __post_init__(self) -> None:
        _check_code(self.code)
        _ = self._layers

    @property
    def _layers(self) -> MLP:
        return MLP(width=self.width, depth=self.depth, activation=self.activation)

    def generator(self, noise_size: int, layout: Layout) -> Generator:
        """There is none.

        Raises:
            UsageError: Always.
        """
        raise _no_generator("autoencoder", "mlp")

    def critic(self, layout: Layout, outputs: int = 1) -> Critic:
        """A critic of samples of any shape."""
        _refuse_features(outputs)
        return Reconstruction(self._layers.critic(layout, outputs=self.code), self._layers.generator(self.code, layout))


@dataclass(frozen=True)
class ConvAutoencoder:
    """The same for images, of DCGAN's convolutions.

    Source: Zhao, Mathieu and LeCun (2017), section 4.3.
    """

    code: int = 32
    filters: int = 64
    norm: Norm = "none"

    def __post_init__(self) -> None:
        _check_code(self.code)
        _ = self._convolutions

    @property
    def _convolutions(self) -> DCGAN:
        return DCGAN(filters=self.filters, norm=self.norm, weights="he")

    def generator(self, noise_size: int, layout: Layout) -> Generator:
        """There is none.

        Raises:
            UsageError: Always.
        """
        raise _no_generator("conv-autoencoder", "dcgan")

    def critic(self, layout: Layout, outputs: int = 1) -> Critic:
        """A critic of images."""
        _refuse_features(outputs)
        network = self._convolutions
        return Reconstruction(network.critic(layout, outputs=self.code), network.generator(self.code, layout))


def _check_code(code: int) -> None:
    if code < 1:
        raise ValueError(f"code must be at least 1, not {code}")


def _no_generator(name: str, other: str) -> UsageError:
    return UsageError(
        f"{name} is a critic: it makes samples of samples, not of noise", remedy=f"Use --generator {other}."
    )


def _refuse_features(outputs: int) -> None:
    if outputs != 1:
        raise UsageError(
            f"an autoencoder gives one score for each sample, its error, where {outputs} features are wanted",
            remedy="Use --critic mlp or dcgan.",
        )
