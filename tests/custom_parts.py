"""Parts of a user's own, as a user would write them: for the tests of what takes them."""

import functools
import itertools
from dataclasses import dataclass

import torch
from torch import nn

from wgan.constraints import Constraint
from wgan.objectives import Objective

ADAMW = functools.partial(torch.optim.AdamW, lr=1e-3)


class Mine(Objective):
    """A game that is not in the table, and no dataclass."""

    unit = "my distance"
    title = "my game"

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
    """A chain of fully connected layers that initialises its weights."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        layers = [layer for a, b in itertools.pairwise(sizes) for layer in (nn.Linear(a, b), nn.ReLU())]
        return nn.Sequential(*layers[:-1])


class ConvCritic(nn.Module):
    """A critic of 12×12 images in grey, which calls `view` as many do."""

    def __init__(self, told=0):
        super().__init__()
        self.convolutions = nn.Sequential(nn.Conv2d(1, 4, 3, 2, 1), nn.ReLU(), nn.Conv2d(4, 4, 3, 2, 1), nn.ReLU())
        self.score = nn.Linear(36 + told, 1)

    def forward(self, images, condition=None):
        seen = self.convolutions(images)
        seen = seen.view(len(seen), -1)
        return self.score(seen if condition is None else torch.cat([seen, condition], dim=1)).squeeze(1)


class ToldGenerator(nn.Module):
    """A generator of 12×12 images with a condition in addition to the noise."""

    def __init__(self, latent_dim, told):
        super().__init__()
        self.layer = nn.Linear(latent_dim + told, 144)

    def forward(self, noise, condition):
        return self.layer(torch.cat([noise, condition], dim=1)).tanh()


class BatchSpread(nn.Module):
    """A critic of each point and the standard deviation of its batch."""

    def __init__(self):
        super().__init__()
        self.layers = dense(3, 8, 1)

    def forward(self, points):
        return self.layers(torch.cat([points, points.std(dim=0).mean().expand(len(points), 1)], dim=1))


class Counting(nn.Module):
    """A critic whose buffer changes and is in no checkpoint."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 1)
        self.register_buffer("seen", torch.zeros(()), persistent=False)

    def forward(self, points):
        self.seen += 1
        return self.layer(points)


class Pair(nn.Linear):
    """A critic that returns two things."""

    def forward(self, points):
        return super().forward(points), points
