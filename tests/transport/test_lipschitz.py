"""Slopes of critics against closed forms, and upper bounds against lower bounds."""

import math

import pytest
import torch
from torch import nn

from wgan.batch import Layout
from wgan.constraints import SpectralNorm
from wgan.errors import NumericError, UsageError
from wgan.networks import DCGAN, MLP
from wgan.networks.mlp import _ACTIVATIONS
from wgan.transport.lipschitz import layer_bound, scores_of, steepest_gradient, steepest_secant


def points(num, dim, seed):
    return torch.randn(num, dim, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.fixture(autouse=True)
def seeded():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def mlp(activation="relu", dim=3, **options):
    return MLP(width=16, depth=2, activation=activation, **options).critic(Layout(shape=(dim,)))


def test_the_steepest_secant_is_the_largest_over_all_pairs_in_any_block():
    x, y = points(9, 2, 0), points(7, 2, 1)
    f, g = points(9, 1, 2)[:, 0], points(7, 1, 3)[:, 0]
    by_hand = max(abs(float(f[i] - g[j])) / math.dist(x[i].tolist(), y[j].tolist()) for i in range(9) for j in range(7))
    for held in (1, 10, 1000):
        assert steepest_secant(f, g, x, y, held=held) == (pytest.approx(by_hand, rel=1e-12), 0.0)


def test_coincident_points_contribute_a_jump_and_no_slope():
    x = torch.tensor([[0.0], [1.0]], dtype=torch.float64)
    f, g = torch.tensor([0.0, 2.0]).double(), torch.tensor([0.5, 2.0]).double()
    assert steepest_secant(f, g, x, x, held=100) == (2.0, 0.5)


def test_the_slope_of_a_linear_critic_is_the_norm_of_its_weights():
    critic = nn.Linear(3, 1)
    norm = float(critic.weight.detach().norm())
    assert steepest_gradient(critic, points(5, 3, 0), climb_steps=3) == pytest.approx(norm, rel=1e-6)
    assert layer_bound(critic, points(5, 3, 0)) == pytest.approx(norm, rel=1e-6)


def test_the_ascent_finds_the_steepest_point_of_a_smooth_critic():
    # sin is steepest at 0, which is none of the starting points.
    start = torch.tensor([[0.9], [1.4], [2.0]], dtype=torch.float64)

    def critic(values):
        return 3.0 * values[:, 0].sin()

    without, climbed = (steepest_gradient(critic, start, climb_steps=steps) for steps in (0, 40))
    assert without == pytest.approx(3.0 * math.cos(0.9))
    assert 3.0 - 1e-3 < climbed <= 3.0


def test_the_ascent_follows_the_gradient_norm_and_not_the_critic():
    # At (0, 1) the critic increases along the first axis, where no slope exceeds 0.86; it is steepest at 0.
    def critic(values):
        return values[:, 0].sin() * (-values[:, 1].square()).exp()

    start = torch.tensor([[0.0, 1.0], [0.0, -1.2]], dtype=torch.float64)
    assert steepest_gradient(critic, start, climb_steps=30) == pytest.approx(1.0, abs=1e-3)


def test_the_ascent_finds_a_steeper_piece_of_a_piecewise_linear_critic():
    # Slope 1 at the starting points, and 5 beyond 2.
    def critic(values):
        return values[:, 0] + 4.0 * torch.relu(values[:, 0] - 2.0)

    start = torch.linspace(-1.8, 1.8, 20, dtype=torch.float64)[:, None]
    assert steepest_gradient(critic, start, climb_steps=0) == pytest.approx(1.0)
    assert steepest_gradient(critic, start, climb_steps=20) == pytest.approx(5.0)


def test_scores_without_gradient_give_none_and_constant_scores_zero():
    assert steepest_gradient(lambda values: values.detach()[:, 0], points(4, 2, 0), climb_steps=5) is None
    assert steepest_gradient(lambda values: 0.0 * values[:, 0], points(4, 2, 0), climb_steps=5) == 0.0


@pytest.mark.parametrize("activation", list(_ACTIVATIONS))
def test_every_activation_of_the_mlp_has_a_known_constant(activation):
    critic, samples = mlp(activation), points(300, 3, 0)
    bound = layer_bound(critic, samples)
    layers = [part for part in critic.modules() if isinstance(part, nn.Linear)]
    singular = [float(torch.linalg.svdvals(layer.weight.detach()).max()) for layer in layers]
    assert math.prod(singular) * (1 - 1e-5) <= bound <= 1.13**2 * math.prod(singular) * (1 + 1e-5)
    assert steepest_gradient(critic, samples, climb_steps=10) <= bound


@pytest.mark.parametrize(
    "layer",
    [nn.GELU(), nn.GELU("tanh"), nn.SiLU(), nn.Mish(), nn.Sigmoid(), nn.Tanh(), nn.ELU(3.0), nn.LeakyReLU(-2.0)],
)
def test_the_constants_of_activations_are_their_steepest_slopes(layer):
    line = torch.linspace(-8, 8, 100_001, dtype=torch.float64, requires_grad=True)
    steepest = float(torch.autograd.grad(layer(line).sum(), line)[0].abs().max())
    network = nn.Sequential(nn.Linear(1, 1), layer)
    bound = layer_bound(network, points(4, 1, 0)) / float(network[0].weight.detach().abs())
    assert steepest <= bound * (1 + 1e-6)
    assert bound <= steepest * 1.01


def test_the_bound_uses_the_true_norm_of_spectrally_normalised_weights():
    critic = mlp("leaky")
    SpectralNorm().attach(critic)
    early = layer_bound(critic, points(5, 3, 0))
    for _ in range(200):
        critic(points(5, 3, 0).float())
    assert layer_bound(critic, points(5, 3, 0)) == pytest.approx(1.0, rel=1e-3)
    # After few power iterations the estimated norm is too small, and the bound above 1.
    assert early > 1.0


def test_evaluation_mode_restores_modes_and_weights():
    critic = nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.9), nn.Linear(4, 1))
    SpectralNorm().attach(critic)
    critic[0].eval()
    before = {name: value.clone() for name, value in critic.state_dict().items()}
    samples = points(6, 3, 0)
    scores = scores_of(critic, samples)
    assert torch.equal(scores, scores_of(critic, samples))  # no dropout
    steepest_gradient(critic, samples, climb_steps=2)
    assert layer_bound(critic, samples) is not None
    assert [critic[0].training, critic[1].training, critic[2].training] == [False, True, True]
    assert all(torch.equal(value, before[name]) for name, value in critic.state_dict().items())
    assert all(weight.grad is None for weight in critic.parameters())


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(3, 3)
        self.last = nn.Linear(3, 1)

    def forward(self, values):
        return self.last(values + self.inner(values))


class Scaled(nn.Module):
    """A critic that changes the scores outside of its layers."""

    def __init__(self, before, after):
        super().__init__()
        self.inner = nn.Linear(3, 1)
        self.before, self.after = before, after

    def forward(self, values):
        return self.after * self.inner(self.before * values)


class OwnWeight(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(3, 1)
        self.own = nn.Parameter(torch.tensor(1.0))

    def forward(self, values):
        return self.inner(values) * self.own


@pytest.mark.parametrize(
    "critic",
    [
        Residual(),
        Scaled(2.0, 1.0),
        Scaled(1.0, 2.0),
        OwnWeight(),
        nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4), nn.Linear(4, 1)),
        nn.Sequential(nn.Linear(3, 4), nn.Softmax(dim=1), nn.Linear(4, 1)),
    ],
    ids=["residual", "scaled before", "scaled after", "own weight", "layer norm", "softmax"],
)
def test_a_network_that_is_not_a_chain_of_known_layers_has_no_bound(critic):
    assert layer_bound(critic, points(5, 3, 0)) is None


def test_a_chain_is_recognised_by_its_calls_and_not_by_its_class():
    critic = Scaled(1.0, 1.0)
    assert layer_bound(critic, points(5, 3, 0)) == pytest.approx(float(critic.inner.weight.detach().norm()), rel=1e-6)
    in_place = nn.Sequential(nn.Linear(3, 3), nn.ReLU(inplace=True), nn.Linear(3, 1))
    assert layer_bound(in_place, points(5, 3, 0)) is not None
    twice = nn.Linear(3, 3)
    repeated = nn.Sequential(twice, nn.ReLU(), twice)
    norm = float(torch.linalg.svdvals(twice.weight.detach()).max())
    assert layer_bound(repeated, points(5, 3, 0)) == pytest.approx(norm**2, rel=1e-6)


def test_convolutions_have_no_bound_and_images_have_slopes():
    critic = DCGAN(filters=4, norm="none").critic(Layout(shape=(1, 16, 16), bounded=True))
    images = points(6, 256, 0).reshape(6, 1, 16, 16)
    assert layer_bound(critic, images) is None
    assert steepest_gradient(critic, images, climb_steps=2) > 0


def test_scores_are_computed_in_the_dtype_of_the_critic():
    critic = nn.Linear(2, 1).double()
    samples = points(5, 2, 0)
    assert torch.equal(scores_of(critic, samples), critic(samples)[:, 0].detach())
    assert scores_of(nn.Linear(2, 1), samples).dtype == torch.float64
    assert scores_of(nn.Flatten(start_dim=0), samples[:, :1]).tolist() == samples[:, 0].tolist()


@pytest.mark.parametrize(
    ("critic", "error", "message"),
    [
        (lambda values: values, UsageError, r"one score for each sample: 5 samples gave shape \(5, 2\)"),
        (lambda values: values[:1, 0], UsageError, "one score for each sample"),
        (lambda values: values[:, 0] / 0.0, NumericError, "critic's scores are NaN or infinite"),
    ],
)
def test_a_critic_that_does_not_return_scores_is_refused(critic, error, message):
    with pytest.raises(error, match=message):
        scores_of(critic, points(5, 2, 0))
