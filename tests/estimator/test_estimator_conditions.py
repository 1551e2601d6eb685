"""Conditions of the estimator: labels by scikit-learn's conventions, and columns of frames by name."""

import pickle

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch

from wgan import WGAN
from wgan.errors import DataError, UsageError

SMALL = {"steps": 3, "generator": "mlp:width=8", "critic": "mlp:width=8", "random_state": 0}
DRAW = np.random.default_rng(0)
X = DRAW.normal(size=(120, 2)).astype(np.float32)
Y = np.arange(120) % 3
FRAME = pd.DataFrame(
    {
        "pay": DRAW.normal(size=120),
        "job": np.array(["cook", "judge"])[np.arange(120) % 2],
        "age": 20 + np.arange(120) % 40,
    }
)


@pytest.fixture(scope="module")
def labelled() -> WGAN:
    return WGAN(**SMALL).fit(X, Y)


def test_samples_are_drawn_for_labels(labelled):
    assert labelled.classes_.tolist() == [0, 1, 2]
    plain = labelled.sample(6)
    assert (plain.shape, plain.dtype) == ((6, 2), np.float32)
    one = labelled.sample(6, y=2)
    each = labelled.sample(y=[2, 2, 2, 2, 2, 2])
    assert np.array_equal(one, each)
    assert np.array_equal(one, labelled.sample(6, where={"label": 2}))
    mixed = labelled.sample(y=np.array([0, 2, 1]))
    assert np.array_equal(mixed[1], one[1])
    assert not np.array_equal(mixed[0], one[0])
    assert np.array_equal(labelled.sample(3, y=torch.tensor([0, 2, 1])), mixed)
    assert labelled.sample(y=1).shape == (1, 2)


def test_a_fitted_model_survives_saving_and_pickling(labelled, tmp_path):
    labelled.save(tmp_path / "model")
    for again in (WGAN.load(tmp_path / "model"), pickle.loads(pickle.dumps(labelled))):
        assert np.array_equal(again.sample(y=[0, 1, 2]), labelled.sample(y=[0, 1, 2]))
        assert again.classes_.tolist() == [0, 1, 2]
        assert again.score(X) == labelled.score(X)


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        ({"y": 7}, r"label '7' is not known\nKnown: 0, 1, 2"),
        ({"y": [0, 7]}, "label '7' is not known"),
        ({"where": {"lable": 1}}, r"no condition 'lable'\nDid you mean 'label'"),
        ({"n": 4, "y": [0, 1]}, "y has 2 labels, but n is 4"),
        ({"y": []}, "y is empty"),
        ({"y": [[0, 1], [1, 1]]}, "y has 2 columns, but 1 was fitted"),
    ],
)
def test_unknown_conditions_are_refused(labelled, ask, message):
    with pytest.raises(UsageError, match=message):
        labelled.sample(**ask)


def test_an_unconditional_model_refuses_conditions():
    model = WGAN(**SMALL).fit(X)
    assert not hasattr(model, "classes_")
    with pytest.raises(UsageError, match="nothing was fitted as y"):
        model.sample(3, y=1)
    with pytest.raises(UsageError, match="'label' cannot be requested"):
        model.sample(3, where={"label": 1})
    assert not hasattr(WGAN(**SMALL).fit(X, Y).fit(X), "classes_")


def test_several_labels_at_once():
    both = np.stack([Y, np.arange(120) % 2], axis=1)
    model = WGAN(**SMALL).fit(X, both)
    assert model.sample(y=[[0, 1], [2, 0]]).shape == (2, 2)
    assert model.sample(4, where={"label_1": 2}).shape == (4, 2)
    with pytest.raises(UsageError, match=r"y has 2 columns \(label_1, label_2\), not one"):
        model.sample(4, y=2)


@pytest.mark.parametrize("y", [Y, pd.Series(Y, name="kind"), pl.Series("kind", Y), [*map(int, Y)], torch.tensor(Y)])
@pytest.mark.parametrize("data", [X, FRAME])
def test_integers_are_classes_under_any_name(data, y):
    model = WGAN(**SMALL).fit(data, y)
    assert model.classes_.tolist() == [0, 1, 2]
    assert len(model.sample(y=[0, 2, 1])) == 3


def test_integers_can_be_declared_numeric():
    assert not hasattr(WGAN(**SMALL, settings={"numeric": ["kind"]}).fit(X, pd.Series(Y, name="kind")), "classes_")
    assert not hasattr(WGAN(**SMALL).fit(X, pd.DataFrame({"kind": Y})), "classes_")


def test_floats_and_strings_can_be_labels():
    model = WGAN(**SMALL).fit(X, np.linspace(0, 1, 120))
    assert not hasattr(model, "classes_")
    assert model.sample(5, y=0.25).shape == (5, 2)
    with pytest.raises(UsageError, match=r"label 2\.0 is out of the data's range"):
        model.sample(5, y=2.0)
    assert WGAN(**SMALL).fit(X, np.array(["a", "b", "c"])[Y]).classes_.tolist() == ["a", "b", "c"]


@pytest.mark.parametrize("library", [pd, pl])
def test_columns_of_a_frame_are_conditions_by_name(library):
    frame = FRAME if library is pd else pl.from_pandas(FRAME)
    model = WGAN(**SMALL, settings={"condition": ["job", "age"]}).fit(frame)
    assert [*model.feature_names_in_] == ["pay", "job", "age"]
    drawn = model.sample(5, where={"job": "judge", "age": [25, 30]})
    assert [*drawn.columns] == ["pay", "job", "age"]
    assert [*drawn["job"]] == ["judge"] * 5
    assert set(drawn["age"]) <= {25, 30}
    assert drawn["age"].dtype == frame["age"].dtype
    assert np.isfinite(model.score(frame))


@pytest.mark.parametrize("y", [FRAME["job"], pl.Series("job", [*FRAME["job"]]), FRAME[["job"]], [*FRAME["job"]]])
def test_labels_next_to_a_frame_are_not_columns_of_its_samples(y):
    model = WGAN(**SMALL).fit(FRAME[["pay", "age"]], y)
    assert [*model.feature_names_in_] == ["pay", "age"]
    assert model.n_features_in_ == 2
    assert model.classes_.tolist() == ["cook", "judge"]
    drawn = model.sample(y=["cook", "judge", "cook"])
    assert [*drawn.columns] == ["pay", "age"]
    assert len(drawn) == 3
    name = getattr(y, "name", None) or "label" if not isinstance(y, pd.DataFrame) else "job"
    assert len(model.sample(2, where={name: "cook"})) == 2


def test_labels_and_columns_are_conditions_together():
    model = WGAN(**SMALL, settings={"condition": ["age"]}).fit(FRAME[["pay", "age"]], FRAME["job"])
    drawn = model.sample(y=["cook"] * 40, where={"age": 33})
    assert [*drawn.columns] == ["pay", "age"]
    assert set(drawn["age"]) == {33}
    assert len(set(model.sample(y=["cook"] * 40)["age"])) > 5


def test_images_with_labels():
    images = DRAW.integers(0, 256, (40, 8, 8), dtype=np.uint8)
    model = WGAN(**SMALL, settings={"unseen": None}).fit(images, np.arange(40) % 4)
    assert model.sample(y=[0, 1, 2]).shape == (3, 8, 8)
    assert model.classes_.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("y", "error", "message"),
    [
        (Y[:50], DataError, "50 labels for 120 rows"),
        (np.zeros((120, 2, 2)), DataError, r"y has shape \(120, 2, 2\)"),
        (np.ones(120, dtype=int), DataError, "'label' is always 1"),
        ([{"a": 1}, 2] * 60, DataError, "y cannot be read"),
    ],
)
def test_invalid_labels_are_refused(y, error, message):
    with pytest.raises(error, match=message):
        WGAN(**SMALL).fit(X, y)


def test_labels_are_refused_for_data_given_by_name():
    with pytest.raises(UsageError, match="labels cannot be given with a name or a path"):
        WGAN(**SMALL).fit("ring", Y)
    with pytest.raises(DataError, match="a column and a label are both called 'age'"):
        WGAN(**SMALL).fit(FRAME, FRAME["age"])
