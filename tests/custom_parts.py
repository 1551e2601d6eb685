"""Parts as a user writes them, for tests."""

import functools
import itertools
from dataclasses import dataclass

import torch
from torch import nn

from wgan.constraints import Constraint
from wgan.objectives import Objective

ADAMW = functools.partial(torch.optim.AdamW, lr=1e-3)


class MyLoss(Objective):
    """An objective that is not registered, and not a dataclass."""

    unit = "my distance"
    title = "my objective"

    def critic_loss(self, real, fake, drawn=None):
        return fake.mean() - real.mean()

    def generator_loss(self, fake, real=None):
        return -fake.mean()

    def estimate(self, real, fake):
        return real.mean() - fake.mean()


@dataclass(frozen=True)
class Drift(Constraint):
    """Keep the scores of real samples near 0."""

    weight: float = 0.001

    def penalty(self, scores, real, fake, drawn):
        return self.weight * scores(*real).square().mean()


def dense(*sizes, seed=0):
    """Fully connected layers with ReLU between them; the initial weights follow from the seed."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        layers = [layer for a, b in itertools.pairwise(sizes) for layer in (nn.Linear(a, b), nn.ReLU())]
        return nn.Sequential(*layers[:-1])


class ConvCritic(nn.Module):
    """A critic of grey images (12 × 12 pixels) that calls `view`."""

    def __init__(self, condition_size=0):
        super().__init__()
        self.convolutions = nn.Sequential(nn.Conv2d(1, 4, 3, 2, 1), nn.ReLU(), nn.Conv2d(4, 4, 3, 2, 1), nn.ReLU())
        self.score = nn.Linear(36 + condition_size, 1)

    def forward(self, images, condition=None):
        features = self.convolutions(images)
        features = features.view(len(features), -1)
        return self.score(features if condition is None else torch.cat([features, condition], dim=1)).squeeze(1)


class ConditionalGenerator(nn.Module):
    """A generator of images (12 × 12 pixels) from noise and a condition."""

    def __init__(self, latent_dim, condition_size):
        super().__init__()
        self.layer = nn.Linear(latent_dim + condition_size, 144)

    def forward(self, noise, condition):
        return self.layer(torch.cat([noise, condition], dim=1)).tanh()


class BatchSpread(nn.Module):
    """A critic of each point and the standard deviation of its batch."""

    def __init__(self):
        super().__init__()
        self.layers = dense(3, 8, 1)

    def forward(self, points):
        return self.layers(torch.cat([points, points.std(dim=0).mean().expand(len(points), 1)], dim=1))


class ChangingBuffer(nn.Module):
    """A critic with a buffer that changes and is not persistent."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 1)
        self.register_buffer("seen", torch.zeros(()), persistent=False)

    def forward(self, points):
        self.seen += 1
        return self.layer(points)


class Pair(nn.Linear):
    """A critic that returns a tuple."""

    def forward(self, points):
        return super().forward(points), points
