"""Conditions: conversion between user values and network inputs, and their distribution."""

import json
from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from wgan.data import open_data
from wgan.data.columns import Category
from wgan.data.conditions import Conditions
from wgan.data.finite import rows_of_unseen_combinations
from wgan.errors import DataError, UsageError
from wgan.settings import DataOptions, Settings, check


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def category(name: str, *values: str) -> Category:
    return Category(name=name, type="string", values=values, dictionary=None, may_miss=False)


def described(*rows: tuple[int, ...]) -> Conditions:
    """Rows described by hair (3), eyes (2)."""
    parts = (category("hair", "black", "green", "red"), category("eyes", "blue", "green"))
    return Conditions.of_rows(parts, torch.tensor(rows))


ROWS = [(0, 0)] * 6 + [(0, 1)] * 3 + [(1, 0)] * 2 + [(2, 1)]


def words(conditions: Conditions, condition: torch.Tensor) -> list[tuple]:
    return [tuple(row.values()) for row in conditions.decode(condition).to_pylist()]


TABLE = pa.table(
    {
        "age": [20, 30, 40, 30, 25, 60],
        "job": ["cook", "judge", None, "cook", "judge", "cook"],
        "hours": [1.5, 2.5, 3.5, 4.5, 5.5, 6.5],
        "since": pa.array([0, 365, 730, 10, 20, 30], pa.date32()),
        "kind": pa.array(["b", "a", "b", "a", "b", "a"]).dictionary_encode(),
    }
)


def open_table(**options) -> object:
    return open_data(TABLE, DataOptions(**{"missing": "keep", "held_out": 0.0} | options), seed=0)


def test_parts_are_encoded_side_by_side():
    conditions = described(*ROWS)
    assert (conditions.names, conditions.size) == (["hair", "eyes"], 5)
    seen = conditions.expand(torch.tensor([[2, 1], [0, 0]]))
    assert seen.tolist() == [[0, 0, 1, 0, 1], [1, 0, 0, 1, 0]]
    assert conditions.describe() == "hair (3 categories), eyes (2 categories)"


def test_values_are_encoded_and_decoded_in_their_types():
    source = open_table(condition=("age,job", "since", "kind"))
    batch = source.sample(50, rng())
    assert source.conditions.size == 1 + 3 + 1 + 2
    table = source.conditions.decode(batch.condition)
    assert table.column_names == ["age", "job", "since", "kind"]
    for name in table.column_names:
        assert table[name].type == TABLE[name].type
        assert set(table[name].to_pylist()) <= set(TABLE[name].to_pylist())
    assert torch.equal(source.conditions.encode(table), batch.condition)
    # The generated values do not contain the columns of the conditions.
    assert [column.name for column in source.codec.columns] == ["hours"]


def test_rows_are_drawn_with_their_own_conditions():
    for options in ({}, {"held_out": 0.5}):
        source = open_table(condition=("age", "job"), **options)
        pairs = set(zip(TABLE["hours"].to_pylist(), TABLE["age"].to_pylist(), TABLE["job"].to_pylist(), strict=True))
        seen = set()
        for batch in (
            source.sample(40, rng()),
            source.labelled("train", 9, rng()),
            source.labelled("held-out", 9, rng()),
        ):
            hours = source.codec.decode(batch.values)["hours"].to_pylist()
            seen |= {(hour, *row) for hour, row in zip(hours, words(source.conditions, batch.condition), strict=True)}
        assert seen == pairs


def test_conditions_are_drawn_with_their_frequencies():
    conditions = described(*ROWS)
    counts = Counter(words(conditions, conditions.draw(24_000, rng())))
    shares = {
        ("black", "blue"): 6 / 12,
        ("black", "green"): 3 / 12,
        ("green", "blue"): 2 / 12,
        ("red", "green"): 1 / 12,
    }
    assert counts.keys() == shares.keys()
    for row, share in shares.items():
        assert counts[row] / 24_000 == pytest.approx(share, abs=0.01)
    assert torch.equal(conditions.draw(7, rng(3)), conditions.draw(7, rng(3)))


def test_mismatched_conditions_differ_and_have_the_frequencies_of_the_others():
    conditions = described(*ROWS)
    own = conditions.expand(torch.tensor([[0, 0]] * 12_000 + [[2, 1]] * 12_000))
    wrong = conditions.mismatched(own, rng())
    assert not (wrong == own).all(dim=1).any()
    first, last = Counter(words(conditions, wrong[:12_000])), Counter(words(conditions, wrong[12_000:]))
    for counts, shares in (
        (first, {("black", "green"): 3 / 6, ("green", "blue"): 2 / 6, ("red", "green"): 1 / 6}),
        (last, {("black", "blue"): 6 / 11, ("black", "green"): 3 / 11, ("green", "blue"): 2 / 11}),
    ):
        assert counts.keys() == shares.keys()
        for row, share in shares.items():
            assert counts[row] / 12_000 == pytest.approx(share, abs=0.015)


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 1)), min_size=2, max_size=9), st.integers(0, 99))
@settings(deadline=None, max_examples=40)
def test_mismatched_conditions_always_differ(rows, seed):
    conditions = described(*rows)
    own = conditions.expand(torch.tensor(rows))
    if len(set(rows)) == 1:
        with pytest.raises(UsageError, match="all rows have the same condition"):
            conditions.mismatched(own, rng(seed))
        return
    wrong = conditions.mismatched(own, rng(seed))
    assert not (wrong == own).all(dim=1).any()
    assert set(words(conditions, wrong)) <= set(words(conditions, own))


def test_mismatched_numbers_and_texts_differ_too():
    source = open_table(condition=("hours",), ignore=("job", "kind"))
    own = source.sample(500, rng()).condition
    assert not (source.conditions.mismatched(own, rng(1)) == own).any()


# -- asking ---------------------------------------------------------------------------------------------------------


def test_given_values_are_fixed_and_the_others_drawn_from_the_data():
    conditions = described(*ROWS)
    drawn = Counter(words(conditions, conditions.where({"hair": "black"}).draw(9_000, rng())))
    assert drawn.keys() == {("black", "blue"), ("black", "green")}
    assert drawn["black", "blue"] / 9_000 == pytest.approx(6 / 9, abs=0.02)
    both = conditions.where({"hair": "red", "eyes": "green"})
    assert set(words(conditions, both.draw(20, rng()))) == {("red", "green")}


def test_combinations_that_never_occurred_can_be_requested():
    conditions = described(*ROWS)
    never = conditions.where({"hair": "red", "eyes": "blue"})
    assert set(words(conditions, never.draw(20, rng()))) == {("red", "blue")}


def test_given_a_number_the_others_are_drawn_from_the_nearest_rows():
    number = np.arange(400)
    columns = {"size": number + 0.25, "tall": np.where(number < 200, "no", "yes"), "x": number % 7 * 1.0}
    conditions = open_data(pa.table(columns), DataOptions(condition=("size", "tall"), held_out=0.0), seed=0).conditions

    def tall(size, **wanted):
        drawn = conditions.decode(conditions.where({"size": size, **wanted}).draw(2000, rng()))
        assert set(drawn["size"].to_pylist()) == {size}
        return Counter(drawn["tall"].to_pylist())

    # 20 of the 400 rows are nearest: 193 to 212 (and 192 or 213, as near), of which 13 of 21 begin at 200.
    assert set(tall(50.25)) == set(tall(51.5)) == {"no"}
    assert set(tall(380.25)) == {"yes"}
    shares = tall(202.25)
    assert shares["yes"] / 2000 == pytest.approx(13 / 21, abs=0.04)
    assert set(tall(50.25, tall="yes")) == {"yes"}


def test_enough_rows_with_the_exact_number_are_used_alone():
    columns = {"age": [30] * 90 + [31] * 310, "job": ["cook"] * 90 + ["judge"] * 310, "x": np.arange(400.0)}
    conditions = open_data(pa.table(columns), DataOptions(condition=("age", "job"), held_out=0.0), seed=0).conditions
    drawn = conditions.decode(conditions.where({"age": 30}).draw(500, rng()))
    assert set(drawn["job"].to_pylist()) == {"cook"}


def test_several_values_are_drawn_equally_often():
    conditions = described(*ROWS)
    drawn = words(conditions, conditions.where({"hair": ["black", "red"]}).draw(8_000, rng()))
    counts = Counter(hair for hair, _ in drawn)
    assert counts.keys() == {"black", "red"}
    assert counts["red"] / 8_000 == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"hiar": "red"}, r"no condition 'hiar'\nDid you mean 'hair'\? Known: hair, eyes\."),
        ({"hair": "rad"}, r"hair 'rad' is not known\nDid you mean 'red'\? Known: black, green, red\."),
        ({"hair": "purple"}, r"hair 'purple' is not known\nKnown: black, green, red\."),
        ({"eyes": []}, "no value of 'eyes' was given"),
    ],
)
def test_unknown_values_are_refused_and_the_known_listed(wanted, message):
    with pytest.raises(UsageError, match=message):
        described(*ROWS).where(wanted)


def test_values_can_be_typed_as_text():
    source = open_table(condition=("age", "job", "since", "kind"))
    conditions = source.conditions

    def drawn(**wanted):
        return conditions.decode(conditions.where(wanted).draw(3, rng())).to_pylist()[0]

    assert (
        drawn(age=" 30.0 ")["age"]
        == drawn(age="30")["age"]
        == drawn(age=30)["age"]
        == drawn(age=np.int64(30))["age"]
        == 30
    )
    assert drawn(job="(missing)")["job"] is drawn(job=None)["job"] is drawn(job="")["job"] is None
    assert drawn(job="JUDGE")["job"] == "judge"
    assert str(drawn(since="1971-01-01")["since"]) == "1971-01-01"
    for wanted, message in (
        ({"age": "old"}, r"age 'old' cannot be read as int64\nage goes from 20 to 60\."),
        ({"age": "30.5"}, r"age '30.5' cannot be read as int64\nage goes from 20 to 60\."),
        ({"age": 61}, r"age 61 is out of the data's range\nage goes from 20 to 60\."),
        ({"since": "1969-01-01"}, r"out of the data's range\nsince goes from 1970-01-01 to 1972-01-01\."),
        ({"job": "clerk"}, r"job 'clerk' is not known\n.*cook, judge, \(missing\)"),
    ):
        with pytest.raises(UsageError, match=message):
            conditions.where(wanted)


def test_named_classes_can_be_requested_by_number():
    source = open_data("fashion-mnist", DataOptions(condition=("label",)), seed=0)
    assert source.offers == ("label",)
    for wanted, name in ((9, "Ankle boot"), ("0", "T-shirt/top"), ("bag", "Bag")):
        conditions = source.conditions.where({"label": wanted})
        assert conditions.decode(conditions.draw(1, rng()))["label"].to_pylist() == [name]
    with pytest.raises(UsageError, match=r"label '10' is not known\nKnown: T-shirt/top, Trouser"):
        source.conditions.where({"label": 10})


def test_incomplete_or_unknown_values_cannot_be_encoded():
    conditions = described(*ROWS)
    assert conditions.encode({"eyes": ["green"], "hair": ["red"]}).tolist() == [[0, 0, 1, 0, 1]]
    with pytest.raises(UsageError, match="no 'eyes' was given"):
        conditions.encode({"hair": ["red"]})
    with pytest.raises(UsageError, match="no condition 'nose'"):
        conditions.encode({"hair": ["red"], "eyes": ["blue"], "nose": ["long"]})


def test_long_lists_of_known_values_are_truncated():
    parts = (category("word", *(f"w{number:03}" for number in range(100))),)
    conditions = Conditions.of_rows(parts, torch.arange(100)[:, None])
    with pytest.raises(UsageError, match=r"Known: w000, .*w029 and 70 more\."):
        conditions.where({"word": "zebra"})


# -- what a run keeps -----------------------------------------------------------------------------------------------


def test_conditions_are_restored_from_their_state():
    conditions = open_table(condition=("age", "job", "since", "kind")).conditions
    again = Conditions.from_state(json.loads(json.dumps(conditions.state(), allow_nan=False)))
    assert again.describe() == conditions.describe()
    assert again.order == tuple(TABLE.column_names)
    assert torch.equal(again.draw(100, rng()), conditions.draw(100, rng()))
    assert again.decode(again.draw(9, rng())).equals(conditions.decode(conditions.draw(9, rng())))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"counts": [1]}, r"codes of shape \(6, 2\) for 1 counts"),
        ({"counts": [], "codes": [[], []]}, "for 0 counts"),
        ({"counts": [1, 1, 1, 1, 1, -1]}, "a count that is not positive"),
        ({"codes": [[0.0] * 6, [0, 1, 2, 3, 0, 0]]}, "a code that 'job' does not have"),
        ({"codes": [[0.0] * 6, [0, 1, 0.5, 0, 0, 0]]}, "a code that 'job' does not have"),
        ({"codes": [[float("nan")] * 6, [0, 1, 2, 0, 0, 0]]}, "a code that 'age' does not have"),
        ({"parts": []}, "codes of shape"),
    ],
)
def test_an_invalid_state_is_refused(change, message):
    state = open_table(condition=("age", "job")).conditions.state()
    with pytest.raises(ValueError, match=message):
        Conditions.from_state(state | change)


def test_the_state_holds_a_subset_of_very_many_conditions():
    values = np.arange(12_000) / 100
    table = pa.table({"x": np.arange(12_000.0), "height": values})
    conditions = open_data(table, DataOptions(condition=("height",), held_out=0.0), seed=0).conditions
    assert len(conditions.codes) == 12_000
    kept = Conditions.from_state(conditions.state())
    assert len(kept.codes) == 10_000
    drawn = kept.decode(kept.draw(20_000, rng()))["height"].to_numpy()
    assert set(drawn) <= set(values)
    assert drawn.std() == pytest.approx(values.std(), rel=0.03)


# -- from labels, and what is refused ---------------------------------------------------------------------------------


def test_labels_of_points_can_be_conditions(tmp_path):
    x = np.random.default_rng(0).normal(size=(40, 2))
    for labels, kind in (
        (np.arange(40) % 4, "4 categories"),
        (np.linspace(0, 1, 40), "number"),
        (np.array(["a", "b"] * 20), "2 categories"),
    ):
        np.savez(tmp_path / "x.npz", x=x, y=labels)
        source = open_data(tmp_path / "x.npz", DataOptions(condition=("label",)), seed=0)
        assert source.describe().endswith(f"conditions: label ({kind})")
        batch = source.sample(30, rng())
        found = source.conditions.decode(batch.condition)["label"].to_pylist()
        rows = source.codec.decode(batch.values)
        for row, label in zip(rows, found, strict=True):
            place = int(np.abs(x - row).sum(axis=1).argmin())
            assert label == (pytest.approx(labels[place]) if kind == "number" else labels[place])
    plain = open_data(tmp_path / "x.npz", DataOptions(), seed=0)
    assert plain.conditions is None
    assert plain.offers == ("label",)
    assert plain.sample(3, rng()).condition is None
    assert "labels 'y' not used" in plain.describe()
    np.savez(tmp_path / "x.npz", x=x, y=np.arange(39))
    with pytest.raises(DataError, match=r"labels of shape \(39,\) and type int64 for 40 rows"):
        open_data(tmp_path / "x.npz", DataOptions(condition=("label",)), seed=0)


def test_rows_whose_label_is_missing_are_dropped_with_their_points(tmp_path):
    labels = np.array([0.5, np.nan, 2.5, 3.5])
    np.savez(tmp_path / "x.npz", x=np.array([[0.0], [1.0], [2.0], [3.0]]), y=labels)
    with pytest.raises(DataError, match=r"1 missing or NaN cell: row 2 'label' \(missing\)"):
        open_data(tmp_path / "x.npz", DataOptions(condition=("label",)), seed=0)
    options = DataOptions(condition=("label",), missing="drop", held_out=0.0)
    source = open_data(tmp_path / "x.npz", options, seed=0)
    batch = source.sample(30, rng())
    labels = source.conditions.decode(batch.condition)["label"].to_numpy()
    np.testing.assert_allclose(source.codec.decode(batch.values)[:, 0], labels - 0.5, atol=1e-6)
    assert set(labels) == {0.5, 2.5, 3.5}


@pytest.mark.parametrize("shape", [(60, 3), (60, 4, 4)])
def test_labels_of_arrays_follow_the_options(tmp_path, shape):
    values = np.random.default_rng(0).integers(0, 255, shape, dtype=np.uint8)
    np.savez(tmp_path / "x.npz", x=values, y=np.arange(60) % 7)
    open_as = {"condition": ("label",), "held_out": 0.0}
    assert open_data(tmp_path / "x.npz", DataOptions(**open_as), seed=0).conditions.size == 7
    assert open_data(tmp_path / "x.npz", DataOptions(**open_as, numeric=("label",)), seed=0).conditions.size == 1
    with pytest.raises(UsageError, match=r"numeric=.* cannot be used with"):
        open_data(tmp_path / "x.npz", DataOptions(numeric=("label",)), seed=0)
    np.savez(tmp_path / "gaps.npz", x=values, y=np.where(np.arange(60) % 5, np.arange(60.0), np.nan))
    source = open_data(tmp_path / "gaps.npz", DataOptions(**open_as, missing="drop"), seed=0)
    assert source.size == 48
    assert "12 rows with missing or infinite conditions were dropped" in source.notes


def test_labels_of_bytes_are_text_in_utf_8(tmp_path):
    for name, labels in (("good", ["é", "b"]), ("bad", [b"a", b"\xff"])):
        coded = [label if isinstance(label, bytes) else label.encode() for label in labels]
        np.savez(tmp_path / f"{name}.npz", x=np.random.default_rng(0).normal(size=(60, 3)), y=np.array(coded * 30))
    options = DataOptions(condition=("label",))
    source = open_data(tmp_path / "good.npz", options, seed=0)
    assert set(source.conditions.decode(source.sample(60, rng()).condition)["label"].to_pylist()) == {"é", "b"}
    with pytest.raises(DataError, match=r"bad.npz: labels that are not UTF-8: b'\\xff'"):
        open_data(tmp_path / "bad.npz", options, seed=0)


def test_the_modes_of_a_toy_are_its_labels():
    source = open_data("ring", DataOptions(condition=("label",)), seed=0)
    batch = source.sample(200, rng())
    modes = source.conditions.decode(batch.condition)["label"].to_numpy()
    assert ((batch.values - source.modes[torch.tensor(modes)]).norm(dim=1) < 6 * source.sigma).all()
    assert torch.equal(batch.values, open_data("ring", DataOptions(), seed=0).sample(200, rng()).values)


@pytest.mark.parametrize(
    ("data", "options", "error", "message"),
    [
        ("ring", {"condition": ("mode",)}, UsageError, r"no condition 'mode'\nThere are: label\."),
        ("swiss-roll", {"condition": ("label",)}, UsageError, r"no condition 'label'\nThe data has no labels"),
        (TABLE, {"condition": ("ag",)}, UsageError, r"no condition 'ag'\nDid you mean 'age'\? There are: age, job,"),
        (TABLE, {"condition": ("age", "job,age")}, UsageError, "'age' is given twice"),
        (TABLE, {"condition": tuple(TABLE.column_names)}, UsageError, "every column is a condition"),
        (TABLE, {"condition": ("age",), "ignore": ("age",)}, UsageError, "named under both ignore and condition"),
        (TABLE, {"condition": ("age",), "text": ("job",)}, UsageError, r'text=\["job"\] is not a condition'),
        (TABLE, {"condition": ("age",), "text": ("age",)}, UsageError, r'text=\["age"\] is int64, not text'),
        (TABLE, {"condition": ("job",), "unseen": 0.1}, UsageError, "only where two or more categories"),
        (TABLE, {"condition": ("job",), "unseen": 0.6}, UsageError, "unseen must be between 0 and 0.5"),
        (np.zeros((4, 2)), {"unseen": 0.1}, UsageError, "unseen has no effect without condition"),
        ("ring", {"unseen": 0.1, "condition": ("label",)}, UsageError, "unseen=0.1 cannot be used with the sampler"),
        (pa.table({"x": [1, 2, 3], "c": ["a"] * 3}), {"condition": ("c",)}, DataError, "'c' is always 'a'"),
        (
            pa.table({"x": range(2000), "label": range(2000)}),
            {"condition": ("label",)},
            DataError,
            r"2,000 different values .*\nUse numeric=\[.label.\] to take it as a number, or leave it out",
        ),
        (
            pa.table({"x": range(2000), "c": [f"u{number}" for number in range(2000)]}),
            {"condition": ("c",)},
            DataError,
            r"2,000 different values .*\nUse text=\[.c.\] to embed it, or leave it out",
        ),
        (
            pa.table({"x": [1, 2, 3], "c": [1.5, None, 3.5]}),
            {"condition": ("c",), "missing": "keep"},
            DataError,
            "numbers are missing in the condition 'c'",
        ),
    ],
)  # fmt: skip
def test_invalid_conditions_are_refused_with_a_reason(data, options, error, message):
    with pytest.raises(error, match=message):
        open_data(
            data, DataOptions(**{"missing": "keep"} | options) if data is TABLE else DataOptions(**options), seed=0
        )


def test_a_condition_can_also_be_categorical():
    check(Settings(input=DataOptions(condition=("age",), categorical=("age",))))
    assert open_table(condition=("age",), categorical=("age",)).conditions.size == 5


# -- combinations kept from training ----------------------------------------------------------------------------------


def test_unseen_combinations_are_neither_trained_on_nor_held_out():
    draws = np.random.default_rng(0).integers(0, [4, 3], (600, 2))
    table = pa.table({"x": np.arange(600.0), "a": [f"a{a}" for a in draws[:, 0]], "b": [f"b{b}" for b in draws[:, 1]]})
    source = open_data(table, DataOptions(condition=("a", "b"), unseen=0.25), seed=0)
    parts = {part: source.labelled(part, 600, rng()) for part in ("train", "held-out", "unseen")}
    found = {part: set(words(source.conditions, batch.condition)) for part, batch in parts.items()}
    assert len(found["unseen"]) == 3
    assert not found["unseen"] & (found["train"] | found["held-out"])
    for place in (0, 1):
        assert {row[place] for row in found["unseen"]} <= {row[place] for row in found["train"]}
    assert sum(len(batch.values) for batch in parts.values()) == 600
    assert "rows of unseen combinations" in source.describe()
    assert set(words(source.conditions, source.conditions.draw(500, rng()))) <= found["train"]
    other = open_data(table, DataOptions(condition=("a", "b"), unseen=0.25), seed=1)
    assert set(words(other.conditions, other.labelled("unseen", 600, rng()).condition)) != found["unseen"]


def test_combinations_with_a_unique_value_are_trained_on():
    parts = (category("a", "x", "y"), category("b", "x", "y"))
    with pytest.raises(UsageError, match="each has a value that no other has"):
        rows_of_unseen_combinations(parts, torch.tensor([[0, 0], [1, 1]]), 0.5, 0)
    apart = rows_of_unseen_combinations(parts, torch.tensor([[0, 0], [0, 1], [1, 0], [1, 1]]), 0.5, 0)
    assert apart.sum() == 2
    codes = torch.tensor([[0, 0], [0, 1], [1, 0], [1, 1]])[~apart]
    assert set(codes[:, 0].tolist()) == set(codes[:, 1].tolist()) == {0, 1}


def test_the_fingerprint_depends_on_the_conditions():
    plain, first, second = (open_table(condition=names) for names in ((), ("age",), ("age", "job")))
    assert len({source.fingerprint() for source in (plain, first, second)}) == 3
    assert open_table(condition=("age",)).fingerprint() == first.fingerprint()
