"""Names of settings in messages: options on the command line, parameters in Python."""

import numpy as np
import pandas as pd
import pytest

import wgan
from wgan import WGAN
from wgan.cli.main import main
from wgan.errors import UsageError
from wgan.estimator.parameters import DIRECT, as_parameter
from wgan.settings import in_python, on_command_line

SMALL = {"steps": 2, "generator": "mlp:width=8", "critic": "mlp:width=8", "random_state": 0}


@pytest.mark.parametrize(
    ("written", "python"),
    [
        ("Use --missing drop to drop these rows.", 'Use missing="drop" to drop these rows.'),
        ("or --missing keep, which", 'or missing="keep", which'),
        ("--ignore 'a b' names no column", 'ignore=["a b"] names no column'),
        ("--numeric ('q', 'r') cannot", 'numeric=["q", "r"] cannot'),
        ("--categorical ('x1',) cannot", 'categorical=["x1"] cannot'),
        ("--ignore NAME leaves it out", 'ignore=["NAME"] leaves it out'),
        ("--ignore the columns that are empty", "ignore the columns that are empty"),
        ("Use --no-header if", "Use header=False if"),
        ("or use --skip-broken, which", "or use skip_broken=True, which"),
        ("Use --size 4 5 --mode L to", 'Use size=(4, 5) mode="L" to'),
        ("Hold rows out (--held-out above 0).", "Hold rows out (held_out above 0)."),
        ("Use --batch-size 4,096 or more.", "Use batch_size=4_096 or more."),
        ("(--optimality 0.05), or", "(optimality=0.05), or"),
        ("Use --constraint none, r1 or r2", 'Use constraint="none", r1 or r2'),
        ("--objective semidual:cost=euclidean.", 'objective="semidual:cost=euclidean".'),
        ("a stronger --constraint, or fewer --critic-steps", "a stronger constraint, or fewer critic_steps"),
        ("Resume with: wgan train --resume runs/a --steps 8", "Resume with: wgan train --resume runs/a --steps 8"),
        ("Use --checkpoint best.", "Use --checkpoint best."),
        ("input.held_out must be between 0 and 0.5", "held_out must be between 0 and 0.5"),
        ("my--size 3", "my--size 3"),
    ],
)
def test_messages_in_python_name_parameters(written, python):
    assert in_python(written) == python
    assert str(UsageError("no", remedy=written)).endswith(python)
    assert UsageError("no", remedy=written).text.endswith(written)


@pytest.mark.parametrize(
    ("written", "typed"),
    [
        ("batch_size must be at least 1, not 0", "--batch-size must be at least 1, not 0"),
        ("input.held_out must be between", "--held-out must be between"),
        ("best_by must be score where diagnose is off", "--best-by must be score where --diagnose is off"),
        ("batch_size 9 is more than 'batch_size' has", "--batch-size 9 is more than 'batch_size' has"),
        ("2 settings cannot be used:\n  - steps must be 1", "2 settings cannot be used:\n  - --steps must be 1"),
        (
            "a.toml: 2 settings cannot be used:\n  - steps must be",
            "a.toml: 2 settings cannot be used:\n  - steps must be",
        ),
        ("column 'batch_size': 3 missing", "column 'batch_size': 3 missing"),
        ("the steps must be", "the steps must be"),
    ],
)
def test_messages_on_the_command_line_name_options(written, typed):
    assert on_command_line(written) == typed


def test_the_command_line_prints_options(capsys, tmp_path):
    assert main(["train", "ring", "--batch-size", "0", "--held-out", "0.9", "--out", str(tmp_path / "run")]) == 2
    written = capsys.readouterr().err
    assert "--batch-size must be at least 1" in written
    assert "--held-out must be between" in written
    (tmp_path / "gap.csv").write_text("a,b\n1,2\n,3\n4,5\n")
    assert main(["data", str(tmp_path / "gap.csv")]) == 3
    assert "Use --missing drop" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("params", "data", "message"),
    [
        (
            {},
            pd.DataFrame({"a": [1.0, np.nan] * 50}),
            'Use settings={"missing": "drop"} .* or settings={"missing": "keep"}',
        ),
        (
            {"settings": {"ignore": ["zz"]}},
            pd.DataFrame({"a": np.arange(50.0)}),
            r'settings={"ignore": \["zz"\]} names no column',
        ),
        (
            {"settings": {"categorical": ["x1"]}},
            np.ones((50, 2)),
            r'settings={"categorical": \["x1"\]} cannot be used with points\nOptions that apply: held_out,',
        ),
        ({"settings": {"fit": "pad"}}, np.ones((50, 2)), 'settings={"fit": "pad"} cannot be used with points'),
        ({"batch_size": 400}, np.random.default_rng(0).random((50, 2)), "batch_size 400 is more than"),
        ({"constraint": "spectral", "critic": "dcgan"}, np.zeros((20, 32, 32), np.uint8), 'critic="dcgan:norm=none"'),
    ],
)
def test_the_estimator_names_its_parameters(params, data, message):
    with pytest.raises(ValueError, match=message) as caught:
        WGAN(**SMALL | params).fit(data)
    assert "--" not in str(caught.value)


def test_settings_are_written_as_the_estimator_takes_them():
    for name in DIRECT:
        assert as_parameter(name, "3") == f"{name}=3"
    assert as_parameter("seed", "3") == "random_state=3"
    assert as_parameter("packing", "3") == 'settings={"packing": 3}'
    assert as_parameter("packing", None) == "packing"


def test_the_verdict_names_parameters():
    points = np.random.default_rng(0).normal(size=(400, 2))
    verdict = WGAN(**SMALL | {"constraint": "none"}).fit(points).verdict_
    assert "--" not in verdict.reason + verdict.remedy


class TestLabelsOfColumns:
    def test_integer_labels(self):
        frame = pd.DataFrame({0: [1, 2] * 50, 1: np.arange(100.0)})
        new = WGAN(**SMALL, settings={"categorical": [0], "numeric": np.array([1])}).fit(frame).sample(30)
        assert list(new.columns) == [0, 1]
        assert set(new[0]) <= {1, 2}

    def test_labels_of_several_levels(self):
        frame = pd.DataFrame(np.arange(200.0).reshape(100, 2), columns=pd.MultiIndex.from_tuples([("a", 1), ("a", 2)]))
        assert list(WGAN(**SMALL, settings={"ignore": [("a", 2)]}).fit(frame).sample(3).columns) == [("a", 1)]

    def test_unnamed_labels_of_an_index(self):
        frame = pd.DataFrame({0: np.arange(50.0), 1: np.arange(50.0)})
        assert list(WGAN(**SMALL, settings={"ignore": frame.columns[1:]}).fit(frame).sample(3).columns) == [0]
        with pytest.raises(UsageError, match=r'"ignore": \["7"\]} names no column'):
            WGAN(**SMALL, settings={"ignore": [7]}).fit(frame)

    def test_strings_that_are_not_labels(self):
        with pytest.raises(UsageError, match="categorical must be a list of texts, not 'a'"):
            WGAN(**SMALL, settings={"categorical": "a"}).fit(pd.DataFrame({"a": np.arange(50.0)}))


class TestObjectArrays:
    @pytest.mark.parametrize(
        ("values", "dtype"),
        [
            ([[1.5, 2], [3, 4]], "float64"),
            ([[1, 2], [3, 4]], "int64"),
            ([[True, False], [False, False], [True, True]], "bool"),
        ],
    )
    def test_object_arrays_of_numbers_are_numeric(self, values, dtype):
        new = WGAN(**SMALL).fit(np.array(values * 40, dtype=object)).sample(3)
        assert new.dtype == dtype

    @pytest.mark.parametrize("values", [[[1, "a"]], [[1, None]], [[True, 2]], [[1j, 2]], [[2**70, 1]]])
    def test_other_objects_are_refused(self, values):
        with pytest.raises(wgan.errors.DataError, match="holds Python objects"):
            WGAN(**SMALL).fit(np.array(values * 40, dtype=object))
