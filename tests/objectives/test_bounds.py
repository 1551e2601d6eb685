"""Between two distributions on a few points a critic is a vector of scores, means are exact expectations, and the best
critic is known: each estimate must be a lower bound for all vectors, and attained by that one."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from wgan.batch import Layout
from wgan.divergences import DIVERGENCES, divergence, js
from wgan.errors import UsageError
from wgan.networks import NETWORKS
from wgan.objectives import FGAN, GAN, OBJECTIVES, EnergyBased, LeastSquares
from wgan.settings.registry import Registry

# Probabilities in twentieths; every point has mass under both, so that every divergence is finite.
P = torch.tensor([8, 5, 4, 2, 1])
Q = torch.tensor([1, 4, 4, 6, 5])
p, q = P.double() / 20, Q.double() / 20
RATIO = (p / q).log()


def of_pairs(kind):
    """A divergence between the pairs (real, fake) and (fake, real)."""
    return kind(torch.outer(p, q).flatten(), torch.outer(q, p).flatten())


def variation():
    return divergence(p, q, "total_variation")


# Name to the divergence that is bounded and the scores that attain it.
CASES = {
    "gan": (lambda: js(p, q), RATIO),
    "gan:smoothing=0.1,flipping=0.2": (lambda: js(p, q), RATIO),
    "least-squares": (lambda: 2 * divergence(p, (p + q) / 2, "pearson"), p / (p + q)),
    "least-squares:a=-1,b=1,c=0": (lambda: 2 * divergence(p, (p + q) / 2, "pearson"), (p - q) / (p + q)),
    "hinge": (variation, (p - q).sign()),
    "relativistic": (lambda: of_pairs(js), RATIO),
    "energy": (variation, -1.0 * (q > p)),
    "energy:margin=3": (variation, -3.0 * (q > p)),
} | {
    f"fgan:{score}divergence={word}": (lambda word=word: divergence(p, q, word), best)
    for word in [*DIVERGENCES, "weighted_jensen_shannon:pi=0.3", "alpha:alpha=0.3"]
    # The best score s of a ratio: 1 + s above 0, and 1 / (1 - s) below.
    for score, best in (("", RATIO.sign() * RATIO.abs().expm1()), ("score=log-ratio,", RATIO))
}
CASES["fgan:divergence=total_variation"] = (variation, 1e10 * RATIO.sign())
CASES["fgan:score=log-ratio,divergence=total_variation"] = (variation, 40.0 * RATIO.sign())


def shown(name, scores):
    """Scores of all points, each repeated in proportion to its probability; all pairs for objectives of pairs."""
    real, fake = scores.repeat_interleave(P), scores.repeat_interleave(Q)
    if name == "relativistic":
        return real.repeat_interleave(20), fake.repeat(20)
    return real, fake


@pytest.mark.parametrize("name", CASES)
def test_the_best_critic_attains_the_divergence(name):
    truth, best = CASES[name]
    objective = OBJECTIVES.build(name)
    estimate = objective.estimate(*shown(name, best.double()))
    assert estimate.item() == pytest.approx(truth().item(), rel=1e-10)
    assert estimate > objective.estimate(*shown(name, torch.zeros(5).double())) + 0.05


@pytest.mark.parametrize("name", CASES)
@settings(deadline=None, max_examples=15)
@given(scores=st.lists(st.floats(-4, 4), min_size=5, max_size=5))
def test_no_critic_exceeds_it_and_none_has_a_smaller_loss(name, scores):
    truth, best = CASES[name]
    objective, scores = OBJECTIVES.build(name), torch.tensor(scores, dtype=torch.float64)
    if name.startswith("energy"):
        scores = -scores.abs()
    assert objective.estimate(*shown(name, scores)) <= truth() + 1e-12
    if "smoothing" not in name:
        least = objective.critic_loss(*shown(name, best.double()))
        assert objective.critic_loss(*shown(name, scores)) >= least - 1e-12


# Where the loss is smooth and its best critic finite.
SMOOTH = [name for name in CASES if not any(word in name for word in ("variation", "smoothing", "hinge", "energy"))]


@pytest.mark.parametrize("name", SMOOTH)
def test_minimising_the_loss_reaches_the_divergence(name):
    objective = OBJECTIVES.build(name)
    scores = torch.zeros(5, dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS([scores], max_iter=200, line_search_fn="strong_wolfe", tolerance_grad=1e-10)

    def loss():
        optimiser.zero_grad()
        value = objective.critic_loss(*shown(name, scores))
        value.backward()
        return value

    optimiser.step(loss)
    assert objective.estimate(*shown(name, scores)).item() == pytest.approx(CASES[name][0]().item(), rel=1e-7)


@pytest.mark.parametrize("name", CASES)
def test_equal_distributions_are_at_distance_zero(name):
    """With equal distributions no critic gives more than 0, and the best gives 0; -log 4 for one divergence."""
    objective = OBJECTIVES.build(name)
    scores = {"least-squares": 0.5, "energy": -0.0}.get(name, 0.0)
    same = torch.full((40,), scores, dtype=torch.float64)
    expected = -math.log(4) if name.endswith("divergence=gan") else 0.0
    assert objective.estimate(same, same).item() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("word", list(DIVERGENCES))
def test_the_two_generator_losses(word):
    fake = torch.linspace(-2, 2, 9, dtype=torch.float64, requires_grad=True)
    real = torch.zeros(1, dtype=torch.float64)
    objective = FGAN(divergence=word, generator="minimax", score="log-ratio")
    (of_loss,) = torch.autograd.grad(objective.generator_loss(fake), fake)
    (of_bound,) = torch.autograd.grad(objective.estimate(real, fake), fake)
    torch.testing.assert_close(of_loss, of_bound, rtol=1e-12, atol=0)
    trick = FGAN(divergence=word, score="log-ratio").generator_loss(fake)
    assert trick.item() == pytest.approx(-DIVERGENCES.build(word).link(fake).mean().item())
    assert (torch.autograd.grad(trick, fake)[0] < 0).all()


@pytest.mark.parametrize("word", list(DIVERGENCES))
def test_a_symlog_score_is_a_function_of_the_ratio(word):
    ratio = torch.linspace(-3, 3, 13, dtype=torch.float64)
    scores = (ratio.sign() * ratio.abs().expm1()).requires_grad_()
    ours, theirs = FGAN(divergence=word), FGAN(divergence=word, score="log-ratio")
    assert ours.estimate(scores, scores.flip(0)).item() == pytest.approx(theirs.estimate(ratio, ratio.flip(0)).item())
    assert ours.generator_loss(scores).item() == pytest.approx(theirs.generator_loss(ratio).item())
    (slope,) = torch.autograd.grad(ours.generator_loss(scores), scores)
    ratio.requires_grad_()
    (of_ratio,) = torch.autograd.grad(theirs.generator_loss(ratio), ratio)
    # At 0 too, where both halves have slope 1.
    torch.testing.assert_close(slope, of_ratio / (1 + scores.detach().abs()))


@pytest.mark.parametrize("word", list(DIVERGENCES))
def test_large_symlog_scores_give_finite_losses(word):
    scores = torch.tensor([-1e4, 1e4], requires_grad=True)
    objective = FGAN(divergence=word)
    loss = objective.critic_loss(scores, scores) + objective.generator_loss(scores)
    (slopes,) = torch.autograd.grad(loss, scores)
    assert loss.isfinite()
    assert slopes.isfinite().all()


def test_the_minimax_generator_saturates_and_the_other_does_not():
    sure, undecided = torch.tensor([-30.0], requires_grad=True), torch.zeros(1, requires_grad=True)
    slopes = {}
    for form in ("minimax", "nonsaturating"):
        objective = GAN(generator=form)
        slopes[form] = [
            torch.autograd.grad(objective.generator_loss(fake), fake)[0].item() for fake in (sure, undecided)
        ]
    assert slopes["minimax"] == pytest.approx([0.0, -0.5], abs=1e-12)
    assert slopes["nonsaturating"] == pytest.approx([-1.0, -0.5], abs=1e-12)


def test_losses_of_the_gan_by_hand():
    real, fake = torch.tensor([2.0, -1.0]), torch.tensor([0.5, -3.0])
    log_d = lambda scores: torch.sigmoid(scores).log()  # noqa: E731
    total = log_d(real).mean() + log_d(-fake).mean()
    torch.testing.assert_close(GAN().critic_loss(real, fake), -total)
    torch.testing.assert_close(GAN().estimate(real, fake), total / 2 + math.log(2))
    torch.testing.assert_close(GAN(generator="minimax").generator_loss(fake), log_d(-fake).mean())
    torch.testing.assert_close(GAN().generator_loss(fake), -log_d(fake).mean())
    smoothed = -(0.9 * log_d(real) + 0.1 * log_d(-real)).mean() - log_d(-fake).mean()
    torch.testing.assert_close(GAN(smoothing=0.1).critic_loss(real, fake), smoothed)
    flipped = -(log_d(real[0]) + log_d(-real[1])) / 2 - (log_d(fake[0]) + log_d(-fake[1])) / 2
    drawn = torch.tensor([[0.0, 1.0], [1.0, 0.0]])
    torch.testing.assert_close(GAN(flipping=0.1).critic_loss(real, fake, drawn), flipped)
    # A flipped fake sample has the smoothed label of a real one.
    both = -(0.9 * log_d(real[0]) + 0.1 * log_d(-real[0]) + log_d(-real[1])) / 2
    both -= (log_d(-fake[1]) + 0.9 * log_d(fake[0]) + 0.1 * log_d(-fake[0])) / 2
    torch.testing.assert_close(GAN(flipping=0.1, smoothing=0.1).critic_loss(real, fake, drawn), both)


def test_flipped_labels_are_drawn_with_their_probability_and_average_to_smoothed_ones():
    objective = GAN(flipping=0.2)
    rng = torch.Generator().manual_seed(0)
    drawn = objective.draw(20_000, rng)
    assert drawn.shape == (2, 20_000)
    assert drawn.mean(dim=1).tolist() == pytest.approx([0.2, 0.2], abs=0.01)
    assert GAN().draw(10, rng) is None
    real, fake = torch.full((20_000,), 1.5), torch.full((20_000,), -0.5)
    softplus = torch.nn.functional.softplus
    expected = 0.8 * softplus(-real[0]) + 0.2 * softplus(real[0]) + 0.8 * softplus(fake[0]) + 0.2 * softplus(-fake[0])
    assert objective.critic_loss(real, fake, drawn).item() == pytest.approx(expected.item(), abs=0.02)


@pytest.mark.parametrize("name", ["gan", "gan:generator=minimax,smoothing=0.1", "relativistic"])
@pytest.mark.parametrize("size", [1e4, -1e4])
def test_no_logit_overflows(name, size):
    objective = OBJECTIVES.build(name)
    real, fake = torch.tensor([size, -size]).requires_grad_(True), torch.tensor([size, size]).requires_grad_(True)
    for value in (
        objective.critic_loss(real, fake),
        objective.generator_loss(fake, real),
        objective.estimate(real, fake),
    ):
        gradients = torch.autograd.grad(value, (real, fake), allow_unused=True)
        assert value.isfinite()
        assert all(gradient is None or gradient.isfinite().all() for gradient in gradients)


def test_the_least_squares_generator_minimises_half_the_pearson_divergence():
    """For the best critic with b - c = 1 and b - a = 2, its loss plus that of real samples is X / 2."""
    objective = LeastSquares(a=-1.0, b=1.0, c=0.0)
    real, fake = shown("least-squares", (p - q) / (p + q))
    total = objective.generator_loss(fake) + objective.generator_loss(real)
    assert total.item() == pytest.approx(divergence(p, (p + q) / 2, "pearson").item(), rel=1e-12)


def test_the_pull_away_term_equals_its_formula():
    """Zhao et al. (2017), section 2.4, in two loops; the critic's loss and the estimate use only the scores."""
    objective, plain = EnergyBased(pull_away=0.3), EnergyBased()
    scores, codes = -torch.rand(5).double(), torch.randn(5, 3).double()
    outputs = torch.cat([scores[:, None], codes], dim=1)
    total = 0.0
    for i in range(5):
        for j in range(5):
            if i != j:
                total += ((codes[i] @ codes[j]) / (codes[i].norm() * codes[j].norm())).item() ** 2 / 20
    expected = -scores.mean().item() + 0.3 * total
    assert objective.generator_loss(outputs).item() == pytest.approx(expected)
    assert torch.equal(objective.critic_loss(outputs, outputs), plain.critic_loss(scores, scores))
    assert torch.equal(objective.witness(outputs, outputs, outputs), scores)
    assert objective.generator_loss(outputs[:1]).item() == pytest.approx(-scores[0].item())
    critic = NETWORKS.build("autoencoder:width=4,code=2").critic(Layout(shape=(3,)))
    samples = torch.randn(6, 3)
    alone = critic(samples)
    assert torch.equal(objective.attach(critic)(samples)[:, 0], alone)
    assert critic(samples).shape == (6, 3)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("energy:pull_away=-1", "pull_away must be at least 0"),
        ("gan:smoothing=0.5", "smoothing must be at least 0 and below 0.5"),
        ("gan:flipping=-0.1", "flipping must be at least 0 and below 0.5"),
        ("gan:generator=maximin", "'maximin' is not one of nonsaturating, minimax"),
        ("fgan:divergence=kll", "divergence 'kll' is not known"),
        ("fgan:divergence=weighted_jensen_shannon:pi=2", "pi"),
        ("least-squares:a=1", "a must be below b"),
        ("least-squares:c=2", "c must be above a and at most b"),
        ("least-squares:b=inf", "a, b and c must be finite"),
        ("least-squares:a=-inf", "a, b and c must be finite"),
        ("least-squares:c=nan", "a, b and c must be finite"),
        ("energy:margin=0", "margin must be above 0"),
        ("energy:margin=inf", "margin must be above 0 and finite, not inf"),
        ("energy:pull_away=inf", "pull_away must be at least 0 and finite"),
        ("mmd:features=0", "features must be at least 1"),
        ("mmd:kernel=gaussian:bandwidth=-1", "bandwidth must be above 0"),
        ("mmd:kernel=laplacian:bandwidth=inf", "bandwidth must be above 0 and finite"),
        ("semidual:epsilon=-1", "epsilon must be at least 0"),
    ],
)
def test_invalid_parameters_are_refused(text, message):
    with pytest.raises(UsageError, match=message):
        OBJECTIVES.build(text)


def test_every_objective_has_a_unit_and_a_title():
    assert isinstance(OBJECTIVES, Registry)
    assert OBJECTIVES.build("fgan:divergence=weighted_jensen_shannon:pi=0.3").unit.endswith(":pi=0.3")
    for name in OBJECTIVES:
        objective = OBJECTIVES.build(name)
        assert objective.unit
        assert objective.title
        assert (objective.scale is None) == (name == "wasserstein")
