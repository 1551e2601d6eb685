from __future__ import annotations

import datetime
import inspect
import itertools
import pickle
import subprocess
import sys
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import torch
from sklearn.exceptions import NotFittedError as SklearnNotFittedError

import wgan
from wgan import WGAN, runs
from wgan.errors import CheckpointError, DataError, NumericError, UsageError
from wgan.estimator.forms import Form, encoded, form_of
from wgan.estimator.parameters import DIRECT, ELSEWHERE, checked_parameters
from wgan.settings import settings_fields
from wgan.transport import exact

SMALL = {"steps": 2, "generator": "mlp:width=8", "critic": "mlp:width=8", "random_state": 0}
RNG = np.random.default_rng(0)
POINTS = RNG.normal(size=(60, 2)).astype(np.float32)
FRAME = pd.DataFrame(
    {
        "number": RNG.normal(size=50),
        "letter": RNG.choice(list("xyz"), 50),
        "kind": pd.Categorical(RNG.choice(list("uv"), 50)),
        "count": pd.array(RNG.integers(0, 9, 50), dtype="Int64"),
        "day": pd.date_range("2020", periods=50),
    }
)


@pytest.fixture(scope="module")
def fitted() -> WGAN:
    return WGAN(**SMALL).fit(POINTS)


class TestParameters:
    def test_the_constructor_only_stores(self):
        odd = object()
        assert all(value is odd for value in WGAN(**dict.fromkeys(WGAN().get_params(), odd)).get_params().values())

    def test_every_setting_is_a_parameter_or_can_be_given_in_settings(self):
        params, names = inspect.signature(WGAN).parameters, settings_fields().keys()
        assert {name for name in params if name in names} == {*DIRECT, "recipe"}
        values, _ = checked_parameters(WGAN(settings=dict.fromkeys(names - {*DIRECT, *ELSEWHERE})).get_params())
        assert values == {}
        for name in (*DIRECT, *ELSEWHERE):
            with pytest.raises(UsageError, match=f"settings cannot contain '{name}': it is given as "):
                WGAN(settings={name: 1}).fit(POINTS)

    def test_settings_must_be_a_mapping_of_known_names(self):
        with pytest.raises(UsageError, match="settings must map names of settings to values, not 3"):
            WGAN(settings=3).fit(POINTS)
        with pytest.raises(UsageError, match=r"there is no setting 'pakcing'\. Did you mean 'packing'\?"):
            WGAN(settings={"pakcing": 2}).fit(POINTS)
        with pytest.raises(UsageError, match=r"held_out must be between 0 and 0\.5, not 0\.9"):
            WGAN(settings={"held_out": 0.9}).fit(POINTS)

    def test_set_params_changes_one_entry_of_settings(self):
        given = {"packing": 2, "held_out": 0.2}
        model = WGAN(settings=given).set_params(steps=4, settings__packing=4)
        assert model.get_params() == WGAN(steps=4, settings={"packing": 4, "held_out": 0.2}).get_params()
        assert given == {"packing": 2, "held_out": 0.2}
        assert WGAN().set_params(settings__packing=4).settings == {"packing": 4}

    def test_set_params_and_repr(self):
        model = WGAN(steps=3)
        assert model.set_params(steps=4, constraint="penalty") is model
        assert repr(model) == "WGAN(constraint='penalty', steps=4)"
        with pytest.raises(UsageError, match="no parameter 'stepz'"):
            model.set_params(stepz=1)

    def test_clone(self, fitted):
        from sklearn.base import clone
        from sklearn.utils.validation import check_is_fitted

        copied = clone(fitted)
        assert copied.get_params() == fitted.get_params()
        assert not hasattr(copied, "history_")
        check_is_fitted(fitted)

    def test_grid_search(self):
        from sklearn.model_selection import GridSearchCV

        grid = {"critic_steps": [1], "settings__ema_decay": [0.0, 0.5]}
        found = GridSearchCV(WGAN(**SMALL, settings={"diagnose": "off"}), grid, cv=2).fit(POINTS)
        assert found.best_estimator_.sample(3).shape == (3, 2)
        decay = found.best_params_["settings__ema_decay"]
        assert found.best_estimator_.settings == {"diagnose": "off", "ema_decay": decay}
        assert np.isfinite(found.cv_results_["mean_test_score"]).all()

    def test_bad_parameters_are_all_listed(self):
        wrong = {
            "steps": "x",
            "constraint": "penlty",
            "generator": 3,
            "recipe": "rong",
            "random_state": 2**70,
            "directory": 5,
        }
        settings = {"ema_decay": 2.0, "fit": "round", "held_out": 0.9, "categorical": "age"}
        with pytest.raises(UsageError) as caught:
            # No data is read before the parameters are checked.
            WGAN(**wrong, settings=settings).fit("no such data")
        first, *lines = str(caught.value).splitlines()
        assert first == "10 parameters cannot be used:"
        assert all(sum(line.startswith(f"  - {name}") for line in lines) == 1 for name in wrong | settings)
        assert "seed" not in str(caught.value)
        assert "input" not in str(caught.value)

    def test_numpy_scalars_are_accepted(self):
        steps = np.arange(3)[2]
        assert len(WGAN(**{**SMALL, "steps": steps}, settings={"ema_decay": np.float32(0.5)}).fit(POINTS).history_) == 1


class TestFitting:
    def test_methods_before_fit_raise(self, tmp_path):
        model = WGAN()
        for call in (model.sample, lambda: model.score(POINTS), lambda: model.save(tmp_path / "a")):
            with pytest.raises(UsageError, match=r"not fitted yet\nCall fit\(X\) first") as caught:
                call()
            assert isinstance(caught.value, SklearnNotFittedError)
            assert isinstance(pickle.loads(pickle.dumps(caught.value)), SklearnNotFittedError)

    def test_methods_before_fit_raise_without_scikit_learn(self):
        code = """if True:
            import sys
            sys.modules["sklearn"] = sys.modules["sklearn.exceptions"] = None
            from wgan import WGAN
            from wgan.errors import UsageError
            try:
                WGAN().sample()
            except UsageError as error:
                sys.exit(type(error).__mro__[1] is not UsageError)
        """
        assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

    def test_attributes_after_fit(self, fitted):
        assert fitted.n_features_in_ == 2
        assert [line["step"] for line in fitted.history_] == [2]
        assert {"estimate", "critic_loss", "generator_loss", "w1"} <= fitted.history_[-1].keys()

    def test_samples_are_determined_by_the_seed(self, fitted):
        again = WGAN(**SMALL).fit(POINTS)
        np.testing.assert_array_equal(again.sample(7), fitted.sample(7))
        other = WGAN(**{**SMALL, "random_state": 1}).fit(POINTS)
        assert not np.array_equal(other.sample(7, random_state=0), fitted.sample(7, random_state=0))

    def test_numpy_generators_are_advanced(self, fitted):
        rng = np.random.default_rng(3)
        first, second = fitted.sample(4, random_state=rng), fitted.sample(4, random_state=rng)
        assert not np.array_equal(first, second)
        np.testing.assert_array_equal(fitted.sample(4, random_state=np.random.default_rng(3)), first)
        assert fitted.sample(4, random_state=np.random.RandomState(3)).shape == (4, 2)
        with pytest.raises(UsageError, match="random_state must be"):
            fitted.sample(4, random_state="seed")

    def test_global_generators_are_not_advanced(self):
        torch.manual_seed(5)
        np.random.seed(5)  # noqa: NPY002 - the global generator is what is tested
        before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
        WGAN(**{**SMALL, "random_state": None}).fit(POINTS).sample(3)
        assert torch.equal(torch.get_rng_state(), before[0])
        np.testing.assert_array_equal(np.random.get_state()[1], before[1])  # noqa: NPY002

    def test_batches_are_no_larger_than_the_data_by_default(self):
        WGAN(**SMALL).fit(POINTS[:6])
        with pytest.raises(UsageError, match="batch_size 64"):
            WGAN(**SMALL, batch_size=64).fit(POINTS[:6])

    def test_each_fit_is_a_run_in_the_directory(self, tmp_path):
        model = WGAN(**SMALL, directory=tmp_path / "runs").fit(POINTS)
        assert model.directory_ == tmp_path / "runs" / "001"
        first = (model.directory_ / "metrics.jsonl").read_bytes()
        assert model.fit(POINTS + 1).directory_ == tmp_path / "runs" / "002"
        assert (tmp_path / "runs" / "001" / "metrics.jsonl").read_bytes() == first
        np.testing.assert_array_equal(WGAN.load(tmp_path / "runs" / "002").sample(3, random_state=0), model.sample(3))

    def test_a_failed_fit_uses_no_run_number(self, tmp_path):
        with pytest.raises(UsageError, match="batch_size 64"):
            WGAN(**SMALL, batch_size=64, directory=tmp_path).fit(POINTS[:6])
        assert list(tmp_path.iterdir()) == []

    def test_a_directory_that_is_a_file_is_refused(self, tmp_path):
        (tmp_path / "file").touch()
        with pytest.raises(UsageError, match="cannot be made: Not a directory"):
            WGAN(**SMALL, directory=tmp_path / "file").fit(POINTS)

    def test_grid_search_with_a_directory(self, tmp_path):
        from sklearn.model_selection import GridSearchCV

        GridSearchCV(WGAN(**SMALL, directory=tmp_path), {"critic_steps": [1]}, cv=2).fit(POINTS)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["001", "002", "003"]

    def test_invalid_numbers_of_samples_are_refused(self, fitted):
        for n in (0, -1, 2.5, True, "3"):
            with pytest.raises(UsageError, match=r"must be (at least 1|a whole number)"):
                fitted.sample(n)


class TestForms:
    @pytest.mark.parametrize(
        "data",
        [
            POINTS.astype(np.float64),
            np.arange(40).reshape(20, 2),
            np.arange(20, dtype=np.int16),
            torch.randn(30, 3, dtype=torch.float64),
        ],
        ids=["float64", "int64", "one axis", "tensor"],
    )
    def test_samples_of_points_have_the_type_and_shape_of_the_data(self, data):
        samples = WGAN(**SMALL).fit(data).sample(5)
        assert type(samples) is type(data)
        assert samples.dtype == data.dtype
        assert samples.shape == (5, *data.shape[1:])

    @pytest.mark.parametrize(
        "data",
        [
            RNG.integers(0, 255, (20, 8, 6), dtype=np.uint8),
            RNG.random((20, 6, 8, 3)).astype(np.float32),
            torch.from_numpy(RNG.random((20, 3, 8, 8))) * 2 - 1,
            RNG.random((20, 4, 8, 8)),
        ],
        ids=["grey", "channels last", "tensor", "channels first"],
    )
    def test_samples_of_images_have_the_axes_and_range_of_the_data(self, data):
        model = WGAN(**SMALL).fit(data)
        samples = model.sample(5)
        assert type(samples) is type(data)
        assert samples.dtype == data.dtype
        assert samples.shape == (5, *data.shape[1:])
        low, high = {True: (-1, 1), False: (0, 255 if samples.dtype == np.uint8 else 1)}[bool(data.min() < 0)]
        assert low <= samples.min() < (low + high) / 2 < samples.max() <= high
        assert model.score(data) < 0

    @pytest.mark.parametrize("dtype", ["float32", "uint8"])
    @pytest.mark.parametrize("first", [True, False])
    def test_decoding_undoes_encoding_of_images(self, dtype, first):
        from wgan.data import open_data
        from wgan.settings import DataOptions

        data = RNG.integers(0, 255, (20, 3, 5, 7) if first else (20, 5, 7, 3)).astype(dtype)
        data = data / np.float32(127.5) - 1 if dtype == "float32" else data
        codec, form = open_data(data, DataOptions(), seed=0).codec, form_of(data)
        np.testing.assert_allclose(form.restore(codec.restore(encoded(data, codec))), data, atol=1e-6)

    def test_images_are_encoded_with_the_range_of_the_fit(self):
        from wgan.data import open_data
        from wgan.settings import DataOptions

        fitted = np.linspace(-1, 1, 20 * 4 * 4).reshape(20, 4, 4)
        codec = open_data(fitted, DataOptions(), seed=0).codec
        bright = fitted[fitted.min(axis=(1, 2)) >= 0]
        np.testing.assert_array_equal(encoded(bright, codec), encoded(fitted, codec)[-len(bright) :])
        for wrong in (bright * 2, np.full((2, 4, 4), np.nan), bright - 2):
            with pytest.raises(DataError, match=r"X ranges from .* images in \[-1, 1\] were fitted"):
                encoded(wrong, codec)

    def test_pandas_frames(self):
        model = WGAN(**SMALL).fit(FRAME)
        samples = model.sample(5)
        assert isinstance(samples, pd.DataFrame)
        pd.testing.assert_series_equal(samples.dtypes, FRAME.dtypes)
        assert set(samples["letter"]) <= set("xyz")
        assert list(model.feature_names_in_) == list(FRAME)
        assert model.score(FRAME) < 0
        assert model.score(FRAME[FRAME.columns[::-1]]) == model.score(FRAME)

    @pytest.mark.parametrize(
        "columns",
        [
            pd.RangeIndex(2),
            pd.Index(["a", 5]),
            pd.Index(["a", "b"], name="letters"),
            pd.Index(pd.to_datetime(["2020-01-01", "2021-01-01"])),
            pd.Index([datetime.date(2020, 1, 1), datetime.date(2021, 1, 1)]),
            pd.MultiIndex.from_tuples([("a", 1), ("a", 2)], names=["letter", None]),
            pd.MultiIndex.from_tuples([("a", pd.Timestamp(2020, 1, 1)), ("a", pd.Timestamp(2021, 1, 1))]),
        ],
        ids=["numbers", "mixed", "named", "instants", "dates", "levels", "levels of instants"],
    )
    def test_samples_have_the_column_labels_of_the_frame(self, columns, tmp_path):
        frame = pd.DataFrame(RNG.normal(size=(20, 2)), columns=columns)
        model = WGAN(**SMALL).fit(frame)
        pd.testing.assert_index_equal(model.sample(3).columns, columns, exact="equiv")
        assert model.score(frame) < 0
        model.save(tmp_path / "model")
        pd.testing.assert_index_equal(WGAN.load(tmp_path / "model").sample(3).columns, columns, exact="equiv")

    def test_pandas_labels_of_ignored_columns(self):
        frame = pd.DataFrame(RNG.normal(size=(20, 3)))
        assert [*WGAN(**SMALL, settings={"ignore": ["1"]}).fit(frame).sample(3).columns] == [0, 2]

    @pytest.mark.parametrize("name", [None, "q", 3])
    def test_a_pandas_series_is_one_column(self, name, tmp_path):
        series = pd.Series(RNG.integers(0, 9, 20), name=name)
        model = WGAN(**SMALL).fit(series)
        samples = model.sample(4)
        assert isinstance(samples, pd.Series)
        assert (samples.name, samples.dtype, len(samples)) == (name, series.dtype, 4)
        assert model.score(series) < 0
        model.save(tmp_path / "model")
        pd.testing.assert_series_equal(WGAN.load(tmp_path / "model").sample(4), samples)

    @pytest.mark.parametrize("name", ["", "q"])
    def test_a_polars_series_is_one_column(self, name):
        series = pl.Series(name, ["x", "y"] * 10)
        model = WGAN(**SMALL).fit(series)
        samples = model.sample(4)
        assert (samples.name, samples.dtype, len(samples)) == (name, pl.String, 4)
        assert model.score(series) <= 0

    def test_unreadable_data_is_refused_before_training(self, monkeypatch):
        monkeypatch.setattr("wgan.estimator.model.train", lambda *given, **more: pytest.fail("it was trained on"))
        for data in (object(), pd.Index([1, 2]), [[1], [1, 2]]):
            with pytest.raises(DataError, match="cannot be read"):
                WGAN(**SMALL).fit(data)

    def test_polars_frames(self):
        frame = pl.from_pandas(FRAME)
        model = WGAN(**SMALL).fit(frame)
        assert model.sample(5).schema == frame.schema
        assert model.score(frame) < 0

    def test_arrow_tables_with_options(self):
        table = pa.table({"a": [1, 2, 3, 4], "b": ["x", "y", "x", "y"], "c": [1.5, 2.5, 3.5, 4.5]})
        samples = WGAN(**SMALL, settings={"categorical": ["a"], "ignore": ["c"]}).fit(table).sample(3)
        assert samples.schema == table.schema.remove(2)

    def test_score_refuses_other_columns(self):
        from wgan.data import open_data
        from wgan.settings import DataOptions

        frame = pd.DataFrame({"a": [1.0, 2, 3], "b": ["x", "y", "x"]})
        codec = open_data(frame, DataOptions(), seed=0).codec
        for changed, expected in (
            (frame.drop(columns="a"), "lacks the columns 'a'"),
            (frame.assign(b="w"), "'b' of X holds 'w'"),
            (frame.assign(a=[1, None, 2]), "'a' of X has 1 missing"),
            (frame.assign(a="one"), "'a' of X cannot be read as double"),
            (POINTS, "of type ndarray, but a data frame"),
        ):
            with pytest.raises(DataError, match=expected):
                encoded(changed, codec)

    def test_score_refuses_other_points(self, fitted):
        with pytest.raises(DataError, match="X has 3 features, but WGAN is expecting 2 features as input"):
            fitted.score(np.zeros((4, 3)))
        with pytest.raises(DataError, match="NaN"):
            fitted.score(np.full((4, 2), np.nan))


class TestScore:
    def test_score_is_minus_the_distance_to_the_samples(self, fitted):
        assert fitted.score(fitted.sample(50)) == pytest.approx(0, abs=1e-5)
        shifted = fitted.sample(50) + np.array([3.0, 4.0], dtype=np.float32)
        assert fitted.score(shifted) == pytest.approx(-5, rel=1e-5)

    def test_large_sets_are_thinned(self, fitted, monkeypatch):
        monkeypatch.setattr("wgan.estimator.fitted._MAX_SCORED", 10)
        sizes = []

        def spy(x, y):
            sizes.append((len(x), len(y)))
            return exact(x, y)

        monkeypatch.setattr("wgan.estimator.fitted.exact", spy)
        fitted.score(POINTS)
        assert sizes == [(10, 10)]


class TestTrust:
    def test_fit_sets_a_verdict(self, fitted):
        last = fitted.history_[-1]
        assert fitted.verdict_.kind == last["verdict"]
        assert fitted.verdict_.reason
        assert fitted.evidence_.items() <= last.items()
        assert {"certified", "exact", "efficiency", "held_out_estimate"} <= fitted.evidence_.keys()
        assert not {"step", "score", "verdict"} & fitted.evidence_.keys()

    def test_saved_and_pickled_models_keep_the_verdict(self, fitted, tmp_path):
        fitted.save(tmp_path / "model")
        for again in (WGAN.load(tmp_path / "model"), pickle.loads(pickle.dumps(fitted))):
            assert (again.verdict_, again.evidence_) == (fitted.verdict_, fitted.evidence_)

    def test_patience_keeps_the_best_checkpoint(self, monkeypatch, tmp_path):
        worse = itertools.count()
        monkeypatch.setattr(
            "wgan.evaluation.metrics.SampleEvaluator.__call__", lambda *given, **options: {"score": float(next(worse))}
        )
        model = WGAN(**{**SMALL, "steps": 30}, settings={"eval_every": 2, "patience": 3}).fit(POINTS)
        assert model.history_[-1]["step"] == 8
        model.save(tmp_path / "model")
        for again in (model, WGAN.load(tmp_path / "model"), pickle.loads(pickle.dumps(model))):
            assert again._trained.step == 2

    def test_the_history_leaves_out_rolled_back_steps(self, monkeypatch):

        def initially(game, *given):
            return None if game.rollbacks or game.steps_done < 12 else "it is enough"

        monkeypatch.setattr("wgan.runs.divergence.fault_of", initially)
        with pytest.warns(runs.RunWarning, match="at step 12: it is enough; going back to step 8"):
            model = WGAN(**{**SMALL, "steps": 12}, settings={"eval_every": 4}).fit(POINTS)
        assert [line["step"] for line in model.history_] == [4, 8, 10, 12]
        model.set_params(settings__rollbacks=0)
        with pytest.raises(NumericError, match="at step 12: it is enough"):
            model.fit(POINTS)

    @pytest.mark.parametrize("settings", [{"diagnose": "off"}, {"held_out": 0.0}])
    def test_without_evidence_the_verdict_is_cannot_tell(self, settings):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", runs.RunWarning)
            model = WGAN(**SMALL, settings=settings).fit(POINTS)
        assert model.evidence_ == {}
        assert model.verdict_.kind == "cannot-tell"


class TestSaving:
    def test_save_and_load(self, fitted, tmp_path):
        fitted.save(tmp_path / "model")
        loaded = WGAN.load(tmp_path / "model")
        assert loaded.get_params() == fitted.get_params()
        assert loaded.history_ == fitted.history_
        np.testing.assert_array_equal(loaded.sample(4), fitted.sample(4))
        assert {path.name for path in tmp_path.iterdir()} == {"model"}

    def test_forms_of_data_are_saved(self, tmp_path):
        WGAN(**SMALL, settings={"size": (4, 4)}).fit(torch.rand(20, 3, 8, 8)).save(tmp_path / "model")
        loaded = WGAN.load(tmp_path / "model")
        assert loaded.settings == {"size": (4, 4)}
        samples = loaded.sample(2)
        assert (samples.shape, samples.dtype) == ((2, 3, 4, 4), torch.float32)

    def test_a_saved_model_is_a_run_for_the_command_line(self, fitted, tmp_path):
        from wgan.cli.main import main

        fitted.save(tmp_path / "model")
        assert main(["sample", str(tmp_path / "model"), "--num", "4", "--out", str(tmp_path / "a.npy")]) == 0
        np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), fitted.sample(4))

    def test_pickle(self, fitted):
        copied = pickle.loads(pickle.dumps(fitted))
        np.testing.assert_array_equal(copied.sample(4), fitted.sample(4))

    def test_only_the_last_and_the_best_checkpoint_are_saved(self, tmp_path):
        model = WGAN(**SMALL, directory=tmp_path).fit(POINTS)
        there = {path.name for path in (model.directory_ / "checkpoints").glob("0*")}
        kept = {name.split("/")[1] for name in model._files if name.startswith("checkpoints/0")}
        assert there == {"00000000", "00000002"}
        assert kept == {"00000002"}
        model.save(tmp_path / "model")
        assert runs.load(tmp_path / "model", checkpoint="best").step == 2

    def test_save_overwrites_nothing(self, fitted, tmp_path):
        (tmp_path / "file").touch()
        for path in (tmp_path, tmp_path / "file"):
            with pytest.raises(UsageError, match="there is something at"):
                fitted.save(path)
        with pytest.raises(UsageError, match="does not exist"):
            fitted.save(tmp_path / "a" / "b")

    def test_a_damaged_estimator_json_is_refused(self, fitted, tmp_path):
        fitted.save(tmp_path / "model")
        (tmp_path / "model" / "estimator.json").write_text("{")
        with pytest.raises(CheckpointError, match=r"estimator.json' cannot be read"):
            WGAN.load(tmp_path / "model")

    def test_loading_a_directory_that_is_not_a_run_is_refused(self, tmp_path):
        with pytest.raises(UsageError, match="no run"):
            WGAN.load(tmp_path / "nothing")


class TestThePackage:
    def test_every_public_name_resolves(self):
        assert set(wgan.__all__) <= set(dir(wgan))
        assert sum(not inspect.ismodule(getattr(wgan, name)) for name in wgan.__all__) <= 15
        assert all(getattr(wgan, name) is not None for name in dir(wgan))
        with pytest.raises(AttributeError, match="no attribute 'nothing'"):
            _ = wgan.nothing

    def test_importing_it_does_not_import_torch(self):
        code = "import sys, wgan; from wgan import Settings, errors; sys.exit('torch' in sys.modules)"
        assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

    def test_a_default_form_returns_arrays_unchanged(self):
        images = RNG.integers(0, 255, (2, 3, 4, 1), dtype=np.uint8)
        assert Form().restore(images) is images
