"""Recipes: named settings that are known to work, with a line each on what they are for.

To add one, add a row to `RECIPES`. This module imports neither torch nor the modules that its words name.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from wgan.errors import UsageError
from wgan.settings.fields import DataOptions, Settings
from wgan.system.text import did_you_mean


@dataclass(frozen=True)
class Recipe:
    """Named settings.

    Attributes:
        line: What the recipe is for.
        settings: The settings; `data` is empty if the recipe is for any data of a kind.
    """

    line: str
    settings: Settings


_PAPER = Settings(recipe="paper")

_TOY = Settings(
    generator="mlp:width=128",
    critic="mlp:width=128",
    constraint="penalty:weight=0.1",
    generator_optimizer="adam:lr=0.002,beta1=0.5",
    critic_optimizer="adam:lr=0.002,beta1=0.5",
    latent_dim=2,
    batch_size=256,
    critic_steps=2,
    lr_schedule="cosine",
    ema_decay=0.995,
    steps=6_000,
    eval_every=2_000,
    # With few modes, one exact distance between samples varies by a fifth, the mean of four by a tenth.
    eval_repeats=4,
    sample_every=1_000,
    save_every=1_000,
)

_IMAGES = Settings(
    generator="dcgan:filters=64",
    # A critic without norm layers learns several times more slowly from N(0, 0.02) than from He's initial weights.
    critic="dcgan:filters=64,norm=none,init=he",
    constraint="penalty",
    generator_optimizer="adam:lr=0.0005",
    critic_optimizer="adam:lr=0.0005",
    latent_dim=64,
    batch_size=64,
    critic_steps=2,
    lr_schedule="linear",
    ema_decay=0.99,
    steps=20_000,
    eval_every=500,
    sample_every=500,
    save_every=500,
)

_RING = replace(
    _TOY,
    data="ring",
    # Two dimensions of noise suffice to choose a mode; with eight, the points within a mode spread too. The wider
    # generator and the weaker penalty keep the bridges between modes thin.
    generator="mlp:width=256",
    constraint="penalty:weight=0.05",
    latent_dim=8,
    ema_decay=0.998,
    steps=5_000,
    eval_every=2_500,
)

# The other objectives on the same data with the same networks; each has the constraint that suits it.
_RING_VARIANTS: dict[str, tuple[str, Settings]] = {
    "gan": ("the original GAN with the -log D trick", replace(_RING, objective="gan", constraint="r1:weight=1")),
    "minimax": (
        "the original GAN, minimax",
        replace(_RING, objective="gan:generator=minimax", constraint="r1:weight=1"),
    ),
    "unconstrained": (
        "the original GAN with an unconstrained critic, which loses modes",
        replace(_RING, objective="gan", constraint="none"),
    ),
    "unrolled": (
        "an unconstrained critic, and a generator loss unrolled through five of its updates",
        # As in the unrolled GAN's own experiment on the ring: small networks, a slow critic. With the networks and
        # learning rates of the other recipes it keeps one mode only.
        replace(
            _RING,
            objective="gan:generator=minimax",
            constraint="none",
            unrolled_steps=5,
            generator="mlp:width=128,depth=2,activation=tanh",
            critic="mlp:width=128,depth=2,activation=tanh",
            generator_optimizer="adam:lr=0.003,beta1=0.5,beta2=0.999",
            critic_optimizer="adam:lr=0.0003,beta1=0.5,beta2=0.999",
            critic_steps=1,
            latent_dim=64,
        ),
    ),
    "packed": (
        "an unconstrained critic that sees four samples together",
        replace(_RING, objective="gan", constraint="none", packing=4),
    ),
    "fgan": (
        "an f-GAN for the Kullback-Leibler divergence",
        replace(_RING, objective="fgan:divergence=kl", constraint="r1r2:weight=1"),
    ),
    "least-squares": ("LSGAN", replace(_RING, objective="least-squares", constraint="r1:weight=1")),
    "hinge": ("the hinge loss", replace(_RING, objective="hinge", constraint="r1:weight=1")),
    "relativistic": (
        "R3GAN's recipe: relativistic, R1 and R2",
        replace(_RING, objective="relativistic", constraint="r1r2:weight=1"),
    ),
    "energy": (
        "EBGAN: the critic is an autoencoder of four samples together; of single ones, it keeps one mode",
        replace(_RING, objective="energy", critic="autoencoder:width=128,code=8", constraint="none", packing=4),
    ),
    "mmd": (
        "GMMN: moments are matched, without a critic",
        replace(
            _RING,
            # Bandwidths from 1/16 to 16 times the median distance, because the modes are narrow.
            objective="mmd:kernel=gaussian-mixture:num_bandwidths=9",
            critic="identity",
            constraint="none",
            critic_steps=1,
        ),
    ),
    "mmd-gan": ("MMD-GAN: moments of learned features, under a penalty", replace(_RING, objective="mmd:kernel=energy")),
    "semidual": ("optimal transport between batches", replace(_RING, objective="semidual", constraint="none")),
}

_CONDITIONAL = replace(
    _IMAGES,
    generator="dcgan:filters=32",
    critic="dcgan:filters=32,norm=none,init=he",
    generator_optimizer="adam:lr=0.001",
    critic_optimizer="adam:lr=0.001",
    # As good as a penalty in each update, in three quarters of the time.
    constraint="penalty:every=4",
    threads=1,
    steps=4_000,
    eval_every=1_000,
)

RECIPES: dict[str, Recipe] = {
    "paper": Recipe("Algorithm 1 as printed: RMSProp 5e-5, clipping at 0.01, batches of 64, 5 critic updates", _PAPER),
    "ring": Recipe(
        "8 Gaussians on a ring, WGAN-GP",
        replace(
            _RING,
            generator="mlp:width=128",
            critic="mlp:width=64",
            generator_optimizer="adam:lr=0.005,beta1=0.5",
            critic_optimizer="adam:lr=0.005,beta1=0.5",
            steps=4_000,
            eval_every=2_000,
        ),
    ),
    "grid": Recipe(
        "25 Gaussians on a grid, WGAN-GP",
        replace(
            _TOY,
            data="grid",
            critic="mlp:width=64",
            generator_optimizer="adam:lr=0.003,beta1=0.5",
            critic_optimizer="adam:lr=0.003,beta1=0.5",
            steps=8_000,
        ),
    ),
    "swiss-roll": Recipe("the swiss roll, WGAN-GP", replace(_TOY, data="swiss-roll")),
    "ring-clipping": Recipe(
        "8 Gaussians on a ring, the original WGAN: RMSProp and weight clipping",
        replace(
            _TOY,
            data="ring",
            constraint="clipping:bound=0.1",
            generator_optimizer="rmsprop:lr=0.0005",
            critic_optimizer="rmsprop:lr=0.0005",
            critic_steps=5,
            lr_schedule="linear",
            ema_decay=0.99,
        ),
    ),
    **{
        f"ring-{name}": Recipe(f"8 Gaussians on a ring: {line}", settings)
        for name, (line, settings) in _RING_VARIANTS.items()
    },
    "points": Recipe("any array of points, WGAN-GP", replace(_TOY, latent_dim=16, steps=10_000, eval_repeats=1)),
    "table": Recipe(
        "any table of numbers and categories, WGAN-GP", replace(_TOY, latent_dim=64, steps=20_000, eval_repeats=1)
    ),
    "images": Recipe("any set of images, WGAN-GP with DCGAN networks", _IMAGES),
    "demo": Recipe(
        "Fashion-MNIST in two minutes on one core",
        replace(
            _IMAGES,
            data="fashion-mnist",
            generator="dcgan:filters=32",
            critic="dcgan:filters=32,norm=none,init=he",
            generator_optimizer="adam:lr=0.001",
            critic_optimizer="adam:lr=0.001",
            # Two threads are a third faster than one on an idle machine, but ten times slower on a busy one.
            threads=1,
            steps=1_000,
            eval_every=200,
            sample_every=100,
            save_every=100,
        ),
    ),
    "fashion-classes": Recipe(
        "Fashion-MNIST conditional on its classes: sample with --where label=9",
        replace(_CONDITIONAL, data="fashion-mnist", mismatch=0.1, input=DataOptions(condition=("label",))),
    ),
    "avatars": Recipe(
        "faces with a tags.csv of hair, eyes and length; a tenth of the combinations is held out",
        replace(_CONDITIONAL, steps=5_000, input=DataOptions(condition=("hair", "eyes", "length"), unseen=0.1)),
    ),
}


def recipe_faults(name: str) -> list[str]:
    """What is wrong with the name of a recipe, one line at most; nothing if no recipe is named."""
    if not isinstance(name, str) or not name or name in RECIPES:
        return []
    return [_unknown(name).in_full]


def _unknown(name: str) -> UsageError:
    return UsageError(f"recipe '{name}' is not known", remedy=did_you_mean(name, list(RECIPES)))


def recipe(name: str) -> Settings:
    """The settings of a named recipe.

    Raises:
        UsageError: There is no recipe of that name.
    """
    if name not in RECIPES:
        raise _unknown(name)
    return replace(RECIPES[name].settings, recipe=name)
