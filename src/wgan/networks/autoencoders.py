"""Autoencoders as critics: the score is minus the reconstruction error."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from wgan.batch import Layout
from wgan.errors import UsageError
from wgan.networks.conditioning import NOTHING, Given, refuse_way
from wgan.networks.dcgan import DCGAN
from wgan.networks.layers import Norm
from wgan.networks.mlp import MLP, Activation
from wgan.networks.players import Critic, Generator
from wgan.system.torch_state import built


class Reconstruction(Critic):
    """A critic whose score is minus the mean squared error of its reconstruction, over the entries of a sample.

    Args:
        encoder: From samples to codes (N, K).
        decoder: From codes back to samples.
        given: The condition, which both take.

    Attributes:
        shows_codes: Whether the outputs include the code of each sample; their shape is then (N, 1 + K).
    """

    is_energy = True
    shows_codes = False

    def __init__(self, encoder: Critic, decoder: Generator, given: Given = NOTHING) -> None:
        nn.Module.__init__(self)
        self.encoder, self.decoder, self.outputs, self.given = encoder, decoder, 1, given

    def forward(self, values: Tensor, condition: Tensor | None = None) -> Tensor:
        """Score samples, shape (N,) or (N, 1 + K), float32, scores at most 0, differentiable."""
        codes: Tensor = self.encoder(values, condition).reshape(len(values), -1)
        reconstructed: Tensor = self.decoder(codes, condition)
        scores = -(reconstructed.float() - values.float()).square().flatten(1).mean(dim=1)
        return torch.cat([scores[:, None], codes], dim=1) if self.shows_codes else scores


@dataclass(frozen=True)
class Autoencoder:
    """A fully connected autoencoder; its score is minus the reconstruction error.

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

    def generator(self, latent_dim: int, layout: Layout, given: Given = NOTHING) -> Generator:
        """Not available.

        Raises:
            UsageError: Always.
        """
        raise _no_generator("autoencoder", "mlp")

    @built
    def critic(self, layout: Layout, outputs: int = 1, given: Given = NOTHING) -> Critic:
        """A critic of samples of any shape."""
        _refuse_features(outputs)
        given, network = _joined(given), self._layers
        return Reconstruction(
            network.critic(layout, self.code, given), network.generator(self.code, layout, given), given
        )


@dataclass(frozen=True)
class ConvAutoencoder:
    """A convolutional autoencoder, of DCGAN's layers.

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
        return DCGAN(filters=self.filters, norm=self.norm, init="he")

    def generator(self, latent_dim: int, layout: Layout, given: Given = NOTHING) -> Generator:
        """Not available.

        Raises:
            UsageError: Always.
        """
        raise _no_generator("conv-autoencoder", "dcgan")

    @built
    def critic(self, layout: Layout, outputs: int = 1, given: Given = NOTHING) -> Critic:
        """A critic of images."""
        _refuse_features(outputs)
        given, network = _joined(given), self._convolutions
        return Reconstruction(
            network.critic(layout, self.code, given), network.generator(self.code, layout, given), given
        )


def _joined(given: Given) -> Given:
    """The condition of both halves: a sample is reproduced badly under a condition that does not fit."""
    refuse_way(given, "an autoencoder", "concat")
    return Given(size=given.size, way="concat")


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
