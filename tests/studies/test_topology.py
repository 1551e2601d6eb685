"""Example 1 and theorem 2: closed forms against the solvers, bounds on every pair, claims along every sequence."""

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from wgan.errors import NumericError, UsageError
from wgan.studies.topology import (
    ATOMS,
    IMPLICATIONS,
    SEQUENCES,
    DiscretePair,
    discrete_distances,
    example_1,
    parallel_lines,
    training_snapshots,
)

LOG_2 = math.log(2)


@pytest.mark.parametrize("theta", [2.5, 1.0, 0.25, 1e-9, 0.0, -1e-9, -0.25, -3.0])
@pytest.mark.parametrize("num", [1, 7])
def test_the_discrete_lines_agree_with_the_closed_forms_of_example_1(theta, num):
    measured, said = parallel_lines(theta, num=num).distances().as_numbers(), example_1(theta).as_numbers()
    assert measured == pytest.approx(said, rel=1e-12)
    apart = theta != 0
    assert said == {
        "wasserstein": abs(theta),
        "weak": min(abs(theta), 1.0),
        "total_variation": float(apart),
        "jensen_shannon": LOG_2 if apart else 0.0,
        "kl": math.inf if apart else 0.0,
        "reverse_kl": math.inf if apart else 0.0,
    }


def test_in_example_1_only_w_has_a_gradient():
    theta = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    distances = parallel_lines(theta).distances()
    (gradient,) = torch.autograd.grad(distances.wasserstein, theta)
    assert float(gradient) == pytest.approx(1.0)
    (closed,) = torch.autograd.grad(example_1(theta).wasserstein, theta)
    assert float(closed) == 1.0
    assert not distances.jensen_shannon.requires_grad
    assert not distances.total_variation.requires_grad


def test_js_is_constant_over_the_snapshots_until_the_end():
    snapshots = training_snapshots(4.0, 0.7)
    distances = {name: pair.distances() for name, pair in snapshots.items()}
    assert list(distances) == ["P_G0", "P_G50", "P_G100"]
    assert [float(each.jensen_shannon) for each in distances.values()] == pytest.approx([LOG_2, LOG_2, 0.0])
    assert [float(each.wasserstein) for each in distances.values()] == pytest.approx([4.0, 0.7, 0.0])


@pytest.mark.parametrize("sequence", SEQUENCES, ids=lambda sequence: sequence.name)
def test_n_must_be_in_the_range_of_the_sequence(sequence):
    assert float(sequence.pair(ATOMS - 1).distances().wasserstein) >= 0
    for n in (1, 0, -3, *((ATOMS, 1000) if sequence.is_cut else ())):
        with pytest.raises(UsageError, match=rf"must be at least 2.*, not {n}"):
            sequence.pair(n)
    if not sequence.is_cut:
        assert float(sequence.pair(1000).distances().wasserstein) > 0


@pytest.mark.parametrize("sequence", SEQUENCES, ids=lambda sequence: sequence.name)
def test_each_sequence_has_its_limits(sequence):
    steps = (4, 16, 64, 256)
    along = [sequence.pair(n).distances().as_numbers() for n in steps]
    assert set(sequence.limits) == set(along[0])
    for name, limit in sequence.limits.items():
        values = [each[name] for each in along]
        if math.isinf(limit):
            assert all(math.isinf(value) for value in values), name
        elif limit == 0:
            # Each is of order 1 / n, or at most log n / n.
            assert values == sorted(values, reverse=True), name
            assert values[-1] < values[0] / 8, name
            assert values[-1] < 0.05, name
        else:
            away = [abs(value - limit) for value in values]
            assert away[-1] < 0.01, name
            assert all(later <= earlier + 1e-12 for earlier, later in itertools.pairwise(away)), name


@pytest.mark.parametrize("sequence", SEQUENCES, ids=lambda sequence: sequence.name)
def test_compact_sequences_have_bounded_supports(sequence):
    # The diameter of the points with mass.
    reached = [float(pair.points[(pair.p > 0)].abs().max()) for pair in map(sequence.pair, (4, 64, 256))]
    if sequence.compact:
        assert max(reached) <= 2.0
    else:
        assert reached[-1] >= 256.0


@pytest.mark.parametrize("sequence", SEQUENCES, ids=lambda sequence: sequence.name)
def test_no_sequence_breaks_an_implication_of_the_theorem(sequence):
    converges = sequence.converges_in
    for implication in IMPLICATIONS:
        if implication.stronger in converges and (sequence.compact or not implication.needs_compact):
            assert implication.weaker in converges, (implication.text, sequence.name)
    # The two equivalences, and the chain from the strongest to the weakest.
    assert ("total_variation" in converges) == ("jensen_shannon" in converges)
    if sequence.compact:
        assert ("wasserstein" in converges) == ("weak" in converges)


# Implications that are false by theorem 2: each needs a counterexample on a compact space.
STRICT = [
    ("total_variation", "kl"),
    ("total_variation", "reverse_kl"),
    ("jensen_shannon", "kl"),
    ("kl", "reverse_kl"),
    ("reverse_kl", "kl"),
    ("wasserstein", "total_variation"),
    ("wasserstein", "jensen_shannon"),
    ("weak", "total_variation"),
]


@pytest.mark.parametrize(("weaker", "stronger"), STRICT)
def test_every_strict_line_has_a_counterexample_for_the_converse(weaker, stronger):
    def tells(sequence):
        return weaker in sequence.converges_in and stronger not in sequence.converges_in

    assert any(tells(sequence) for sequence in SEQUENCES if sequence.compact)


@pytest.mark.parametrize(
    "implication", [each for each in IMPLICATIONS if each.needs_compact], ids=lambda each: each.text
)
def test_every_bound_that_needs_a_diameter_fails_without_it(implication):
    assert any(
        implication.stronger in sequence.converges_in and implication.weaker not in sequence.converges_in
        for sequence in SEQUENCES
        if not sequence.compact
    )


def test_the_ratio_of_w_and_total_variation_grows_with_the_diameter():
    for n in (2, 10, 1000):
        distances = discrete_distances([0.0, n], [1 - 1 / n, 1 / n], [1.0, 0.0])
        assert float(distances.wasserstein) == pytest.approx(1.0, rel=1e-12)
        assert float(distances.total_variation) == pytest.approx(1 / n, rel=1e-12)
        assert float(distances.weak) == pytest.approx(1 / n, rel=1e-12)


def probabilities(size):
    return (
        st.lists(st.integers(0, 20), min_size=size, max_size=size)
        .filter(lambda masses: sum(masses) > 0)
        .map(lambda masses: [mass / sum(masses) for mass in masses])
    )


@given(data=st.data(), size=st.integers(2, 7), dim=st.integers(1, 3))
@settings(deadline=None, max_examples=40)
def test_every_bound_holds_for_every_pair(data, size, dim):
    coordinate = st.integers(-12, 12).map(lambda number: number / 4)
    points = data.draw(st.lists(st.lists(coordinate, min_size=dim, max_size=dim), min_size=size, max_size=size))
    pair = DiscretePair.of(points, data.draw(probabilities(size)), data.draw(probabilities(size)))
    distances = pair.distances().as_numbers()
    for implication in IMPLICATIONS:
        most = implication.bound(distances[implication.stronger], pair.diameter)
        assert distances[implication.weaker] <= most * (1 + 1e-9) + 1e-9, implication.text


@pytest.mark.parametrize("implication", IMPLICATIONS, ids=lambda implication: implication.text)
def test_every_bound_goes_to_zero_with_its_argument(implication):
    bounds = [implication.bound(10.0**-digits, 3.0) for digits in (0, 4, 8, 12)]
    assert bounds == sorted(bounds, reverse=True)
    assert bounds[-1] < 1e-5
    assert implication.bound(0.0, 3.0) == 0.0


@pytest.mark.parametrize("text", ["JS <= log 2 TV", "W <= diameter TV", "weak <= W", "weak <= TV"])
def test_tight_bounds_are_attained(text):
    (implication,) = [each for each in IMPLICATIONS if each.text == text]
    pair = DiscretePair.of([0.0, 1.0], [1.0, 0.0], [0.0, 1.0])
    distances = pair.distances().as_numbers()
    most = implication.bound(distances[implication.stronger], pair.diameter)
    assert distances[implication.weaker] == pytest.approx(most, rel=1e-12)


def test_equal_points_are_merged():
    split = discrete_distances([[0, 1], [0, 1], [2, 2]], [0.25, 0.25, 0.5], [0.5, 0.0, 0.5])
    assert set(split.as_numbers().values()) == {0.0}


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: parallel_lines(1.0, num=0), UsageError, "num must be at least 1"),
        (lambda: parallel_lines(math.nan), NumericError, "theta are NaN or infinite"),
        (lambda: training_snapshots(1.0, 2.0), UsageError, "the distances must decrease"),
        (lambda: discrete_distances([0.0, 1.0], [1.0], [0.5, 0.5]), UsageError, r"p must have shape \(2,\)"),
        (lambda: discrete_distances([0.0, 1.0], [0.5, 0.5], [0.5, 0.7]), UsageError, "q must sum to 1"),
    ],
)
def test_invalid_distributions_are_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()
