import pytest
import torch

from wgan.batch import Layout
from wgan.errors import UsageError
from wgan.networks import DCGAN, MLP, NETWORKS, ResNet, mixes_batch
from wgan.networks.layers import resolutions

IMAGES = [(1, 28, 28), (3, 32, 32), (3, 64, 64), (3, 48, 80), (4, 96, 96), (1, 5, 13), (2, 2, 2)]
SMALL = {"mlp": "mlp:width=8", "dcgan": "dcgan:filters=4", "resnet": "resnet:filters=4"}
CRITICS = SMALL | {
    "autoencoder": "autoencoder:width=8,code=2",
    "conv-autoencoder": "conv-autoencoder:filters=4,code=2",
    "identity": "identity",
}


@pytest.mark.parametrize("shape", IMAGES)
@pytest.mark.parametrize("name", list(NETWORKS))
def test_networks_accept_and_return_any_image_size(name, shape):
    network, layout = NETWORKS.build(CRITICS.get(name, name)), Layout(shape=shape, bounded=True)
    samples = torch.randn(3, *shape).tanh()
    if name in SMALL or name not in CRITICS:
        samples = network.generator(7, layout)(torch.randn(3, 7))
        assert samples.shape == (3, *shape)
        assert samples.abs().max() <= 1
        assert network.critic(layout, outputs=5)(samples).shape == (3, 5)
    scores = network.critic(layout)(samples)
    assert scores.shape == ((3, layout.size) if name == "identity" else (3,))
    assert scores.dtype == torch.float32


@pytest.mark.parametrize("name", [name for name in CRITICS if name not in SMALL])
def test_critics_only_refuse_to_generate(name):
    with pytest.raises(UsageError, match=r"cannot generate|is a critic") as caught:
        NETWORKS.build(name).generator(3, Layout(shape=(2,)))
    assert "--generator" in caught.value.remedy


@pytest.mark.parametrize("layout", [Layout(shape=(4,)), Layout(shape=(5,), groups=((1, 3),))])
def test_the_score_of_an_autoencoder_is_minus_its_mean_squared_error(layout):
    critic = NETWORKS.build("autoencoder:width=8,code=2").critic(layout)
    samples = torch.randn(6, layout.size)
    again = critic.decoder(critic.encoder(samples))
    torch.testing.assert_close(critic(samples), -(again - samples).square().sum(dim=1) / layout.size)
    assert critic.is_energy
    with pytest.raises(UsageError, match="one score for each sample, its error, where 3 features are wanted"):
        NETWORKS.build("autoencoder").critic(layout, outputs=3)


@pytest.mark.parametrize("norm", ["batch", "layer", "none"])
@pytest.mark.parametrize("name", ["dcgan", "resnet"])
def test_every_parameter_of_both_players_gets_a_gradient(name, norm):
    network = NETWORKS.build(f"{SMALL[name]},norm={norm}")
    layout = Layout(shape=(1, 16, 16), bounded=True)
    generator, critic = network.generator(5, layout), network.critic(layout)
    critic(generator(torch.randn(4, 5))).square().sum().backward()
    for player in (generator, critic):
        for label, weight in player.named_parameters():
            assert weight.grad is not None, label
            assert weight.grad.abs().sum() > 0, label


@pytest.mark.parametrize("generator", SMALL.values())
@pytest.mark.parametrize("critic", SMALL.values())
def test_generator_and_critic_are_chosen_independently(generator, critic):
    layout = Layout(shape=(1, 12, 12), bounded=True)
    samples = NETWORKS.build(generator).generator(3, layout)(torch.randn(2, 3))
    assert NETWORKS.build(critic).critic(layout)(samples).shape == (2,)


def test_resolutions_halve_until_four():
    assert resolutions(Layout(shape=(3, 64, 64)), "dcgan") == [(64, 64), (32, 32), (16, 16), (8, 8), (4, 4)]
    assert resolutions(Layout(shape=(1, 28, 28)), "dcgan") == [(28, 28), (14, 14), (7, 7), (3, 3)]
    assert resolutions(Layout(shape=(3, 48, 80)), "dcgan")[-1] == (3, 5)


def test_filters_double_or_stay_constant():
    layout = Layout(shape=(3, 32, 32))
    widths = lambda network: [c.out_channels for c in network.critic(layout).modules() if hasattr(c, "kernel_size")]  # noqa: E731
    assert widths(DCGAN(filters=8)) == [8, 16, 32, 1]
    assert widths(DCGAN(filters=8, growth="constant")) == [8, 8, 8, 1]


@pytest.mark.parametrize("network", [DCGAN(), ResNet()])
def test_convolutions_refuse_vectors_by_name(network):
    with pytest.raises(UsageError, match="is a network for images, but a sample of this data is a vector of 2"):
        network.critic(Layout(shape=(2,)))


def test_one_hot_groups_become_probabilities_and_numbers_are_unchanged():
    layout = Layout(shape=(6,), groups=((1, 3), (4, 6)))
    generator = MLP(width=16).generator(4, layout)
    noise = torch.randn(50, 4)
    samples, raw = generator(noise), generator.body(noise)
    for start, stop in layout.groups:
        torch.testing.assert_close(samples[:, start:stop].sum(1), torch.ones(50))
        assert (samples[:, start:stop] > 0).all()
    torch.testing.assert_close(samples[:, [0, 3]], raw[:, [0, 3]])


def test_batch_norm_mixes_the_batch_and_layer_norm_does_not():
    layout = Layout(shape=(1, 16, 16))
    for norm, tied in (("batch", True), ("layer", False), ("none", False)):
        critic = DCGAN(filters=4, norm=norm).critic(layout)
        assert mixes_batch(critic) is tied
        x, other = torch.randn(2, 1, 16, 16), torch.randn(2, 1, 16, 16)
        together = critic(torch.cat([x, other]))[:2]
        assert torch.allclose(together, critic(x), atol=1e-5) is not tied


def test_a_deep_mlp_keeps_the_initial_scale():
    body = MLP(width=256, depth=6).critic(Layout(shape=(64,)))
    scores = body(torch.randn(512, 64, generator=torch.Generator().manual_seed(0)))
    assert 0.2 < scores.std().item() < 5
