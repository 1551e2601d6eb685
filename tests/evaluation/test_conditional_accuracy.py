"""Conditional accuracy of generators that follow, ignore or confuse their conditions."""

import numpy as np
import pyarrow as pa
import pytest
import torch

from wgan.batch import Batch
from wgan.data import open_data
from wgan.errors import UsageError
from wgan.evaluation.conditional_accuracy import ConditionClassifier, conditional_accuracy
from wgan.report.evaluations import conditional_accuracies, score_drop
from wgan.settings import DataOptions
from wgan.training.engine import Engine

ENGINE = Engine()


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def people():
    """Rows whose x shows the town, y the job and z the age."""
    draw = np.random.default_rng(0)
    town, job, age = draw.integers(0, 3, 900), draw.integers(0, 2, 900), draw.uniform(20, 60, 900)
    table = pa.table(
        {
            "x": town + draw.normal(0, 0.1, 900),
            "y": job + draw.normal(0, 0.1, 900),
            "z": age + draw.normal(0, 2, 900),
            "town": [("Ayr", "Bern", "Cork")[number] for number in town],
            "job": [("cook", "judge")[number] for number in job],
            "age": age,
        }
    )
    return open_data(table, DataOptions(condition=("town", "job", "age"), unseen=0.2), seed=0)


def honest(source):
    """A generator that gives for each condition a real row with the nearest condition."""
    real = source.labelled("train", 10_000, rng())
    more = source.labelled("unseen", 10_000, rng())
    values, given = torch.cat([real.values, more.values]), torch.cat([real.condition, more.condition])
    return lambda asked: values[torch.cdist(asked, given).argmin(dim=1)]


def found_by(source, draw, score=None, **options):
    return conditional_accuracy(source, draw, score, size=600, seed=0, engine=ENGINE, **options)


def test_a_generator_that_follows_conditions_has_high_accuracy(people):
    found = found_by(people, honest(people))
    for name in (
        "accuracy",
        "accuracy_town",
        "accuracy_job",
        "accuracy_town=Bern",
        "unseen_accuracy",
        "unseen_accuracy_town",
    ):
        assert found[name] > 0.95, name
    for name in ("classifier_accuracy", "classifier_accuracy_town", "unseen_classifier_accuracy_job"):
        assert found[name] > 0.95, name
    assert found["correlation_age"] > 0.95
    assert found["classifier_accuracy_age"] > 0.95
    assert found["chance_town"] == pytest.approx(1 / 3, abs=0.1)
    assert found["chance_job"] == pytest.approx(1 / 2, abs=0.1)
    assert abs(found["chance_age"]) < 0.15
    by_town = {name for name in found if name.startswith("accuracy_town=")}
    assert by_town == {f"accuracy_town={town}" for town in ("Ayr", "Bern", "Cork")}


def test_a_generator_that_ignores_conditions_has_the_accuracy_of_chance(people):
    def draw(asked):
        return people.labelled("train", len(asked), rng(5)).values[: len(asked)]

    found = found_by(people, lambda asked: draw(asked).repeat(2, 1)[: len(asked)])
    assert found["accuracy_town"] == pytest.approx(found["chance_town"], abs=0.1)
    assert found["accuracy_job"] == pytest.approx(0.5, abs=0.1)
    assert abs(found["correlation_age"]) < 0.15
    assert found["classifier_accuracy_town"] > 0.95


def test_one_unseen_combination_is_not_compared_with_itself():
    draw = np.random.default_rng(0)
    town, job = draw.integers(0, 2, 900), draw.integers(0, 2, 900)
    table = pa.table(
        {
            "x": town + draw.normal(0, 0.1, 900),
            "y": job + draw.normal(0, 0.1, 900),
            "town": [("Ayr", "Bern")[number] for number in town],
            "job": [("cook", "judge")[number] for number in job],
        }
    )
    source = open_data(table, DataOptions(condition=("town", "job"), unseen=0.2), seed=0)
    assert len(source.labelled("unseen", 900, rng()).condition.unique(dim=0)) == 1
    found = found_by(source, honest(source))
    assert found["unseen_accuracy"] > 0.95
    # A generator that ignores conditions gives the training combinations, and this is not one of them.
    assert found["unseen_chance"] < 0.05
    assert found["unseen_chance_town"] == pytest.approx(1 / 3, abs=0.1)


def test_one_value_that_is_ignored_shows(people):
    draw, place = honest(people), people.conditions.names.index("town")
    assert place == 0

    def without_cork(asked):
        instead = asked.clone()
        instead[asked[:, 2] == 1, 0], instead[:, 2] = 1.0, 0.0
        return draw(instead)

    found = found_by(people, without_cork)
    assert found["accuracy_town=Cork"] < 0.1
    assert found["accuracy_town=Ayr"] > 0.95
    assert found["accuracy_town=Bern"] > 0.95


def test_the_drop_of_the_critics_score(people):
    """A critic that scores how well x fits the town: 1 if right, else 0; drop over deviation in closed form."""
    classifier = ConditionClassifier(people, seed=0, engine=ENGINE)

    def scores(rows: Batch) -> torch.Tensor:
        right = classifier.predict(rows.values)[:, :3].argmax(1) == rows.condition[:, :3].argmax(1)
        return right.float() + torch.linspace(-1, 1, len(right))

    found = found_by(people, honest(people), scores)
    held = people.labelled("held-out", 5_000, rng())
    spread = torch.linspace(-1, 1, len(held.values)).std().item()
    # Wrong conditions have another town in about two thirds of the cases, and all else else.
    share = found["score_drop"] * spread
    assert 0.55 < share < 0.85
    blind = found_by(people, honest(people), lambda rows: torch.linspace(-1, 1, len(rows.values)))
    assert blind["score_drop"] == 0.0
    assert found_by(people, honest(people), lambda rows: torch.zeros(len(rows.values)))["score_drop"] == 0.0
    assert "score_drop" not in found_by(people, honest(people))


def test_the_classifier_is_reproducible_and_draws_nothing_from_the_global_generator(people):
    before = torch.random.get_rng_state()
    first, second = (ConditionClassifier(people, seed=3, engine=ENGINE, steps=20) for _ in range(2))
    other = ConditionClassifier(people, seed=4, engine=ENGINE, steps=20)
    values = people.sample(9, rng()).values
    assert torch.equal(first.predict(values), second.predict(values))
    assert not torch.equal(first.predict(values), other.predict(values))
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize("shape", [(16, 16, 1), (5, 30, 3), (2, 2, 1), (40, 40, 4)])
def test_images_of_any_size_are_classified(shape):
    draw = np.random.default_rng(0)
    labels = draw.integers(0, 3, 240)
    pixels = (draw.integers(0, 60, (240, *shape)) + 60 * labels[:, None, None, None]).astype(np.uint8)
    from wgan.data.images import images_from_array

    source = images_from_array(pixels, labels, "x", DataOptions(condition=("label",)), 0)
    classifier = ConditionClassifier(source, seed=0, engine=ENGINE, steps=60)
    rows = source.labelled("held-out", 100, rng())
    assert classifier.compare(*rows)["label"].float().mean() > 0.9


def test_soft_categories_are_hardened_before_classification():
    draw = np.random.default_rng(0)
    colour = draw.integers(0, 2, 300)
    table = pa.table({"a": [("p", "q")[number] for number in colour], "b": [("r", "s")[number] for number in colour]})
    source = open_data(table, DataOptions(condition=("b",)), seed=0)
    classifier = ConditionClassifier(source, seed=0, engine=ENGINE, steps=200)
    soft, hard = torch.tensor([[0.51, 0.49], [0.4, 0.6]]), torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    assert torch.equal(classifier.predict(soft), classifier.predict(hard))
    assert classifier.predict(soft).argmax(1).tolist() == [0, 1]


def test_without_conditions_it_is_refused():
    with pytest.raises(UsageError, match="no conditions to predict"):
        ConditionClassifier(open_data("ring", DataOptions(), seed=0), seed=0, engine=ENGINE)


def test_the_report_reads_the_accuracies_of_an_evaluation(people):
    found = found_by(people, honest(people), lambda rows: rows.values[:, 0])
    parts = conditional_accuracies({"score": 1.0, **found})
    assert [part.title for part in parts] == [
        "all categories jointly", "town", "job", "age",
        "all categories jointly, unseen combinations", "town, unseen combinations",
        "job, unseen combinations", "age, unseen combinations",
    ]  # fmt: skip
    assert [part.is_share for part in parts] == [True, True, True, False] * 2
    town = parts[1]
    assert (town.samples, town.real, town.ignored) == (
        found["accuracy_town"],
        found["classifier_accuracy_town"],
        found["chance_town"],
    )
    assert dict(town.values) == {value: found[f"accuracy_town={value}"] for value in ("Ayr", "Bern", "Cork")}
    assert town.line().startswith(f"town: accuracy {100 * town.samples:.1f} % (real rows ")
    assert "; lowest: " in town.line()
    assert parts[3].line().startswith("age: correlation with the condition 0.9")
    assert score_drop({"score_drop": 0.5}).startswith(
        "Under wrong conditions the critic's scores of real rows fall by 0.50 of"
    )
    assert "real rows rise by 0.25 of" in score_drop({"score_drop": -0.25})
    assert conditional_accuracies({"score": 1.0, "w1": 2.0}) == []
