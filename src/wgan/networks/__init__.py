"""Networks for generators and critics. To add one, write its class in a file here and add it to `NETWORKS`."""

from __future__ import annotations

from wgan.networks.autoencoders import Autoencoder, ConvAutoencoder
from wgan.networks.conditioning import NOTHING, Conditioning, Given, given_to
from wgan.networks.custom import OwnNetwork, refuse_shared
from wgan.networks.dcgan import DCGAN
from wgan.networks.identity import Identity
from wgan.networks.mlp import MLP
from wgan.networks.players import Architecture, Critic, Generator, mixes_batch
from wgan.networks.resnet import ResNet
from wgan.settings.registry import Registry

NETWORKS: Registry[Architecture] = Registry(
    "network",
    {
        "mlp": MLP,
        "dcgan": DCGAN,
        "resnet": ResNet,
        "autoencoder": Autoencoder,
        "conv-autoencoder": ConvAutoencoder,
        "identity": Identity,
    },
    members=("generator", "critic"),
)

__all__ = [
    "DCGAN",
    "MLP",
    "NETWORKS",
    "NOTHING",
    "Architecture",
    "Autoencoder",
    "Conditioning",
    "ConvAutoencoder",
    "Critic",
    "Generator",
    "Given",
    "Identity",
    "OwnNetwork",
    "ResNet",
    "given_to",
    "mixes_batch",
    "refuse_shared",
]
