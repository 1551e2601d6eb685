"""Conditional runs: files, samples under conditions, and resume."""

import dataclasses
import json
import re
import shutil
import tomllib
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pytest
import tomli_w
import torch
from PIL import Image
from small_runs import SETTINGS, change_on_purpose, finish, records, stop_at, tree, without_checksums

from wgan import runs
from wgan.batch import Batch
from wgan.data import Labelled, open_data
from wgan.data.embeddings import EMBEDDINGS
from wgan.data.export import write_samples
from wgan.errors import CheckpointError, UsageError
from wgan.report import write_report
from wgan.runs import checkpoints
from wgan.runs.samples import sheet_of
from wgan.settings import DataOptions, Settings

RING = dataclasses.replace(SETTINGS, input=DataOptions(condition=("label",)), mismatch=0.2)


@pytest.fixture(scope="module")
def ring(tmp_path_factory) -> Path:
    directory = tmp_path_factory.mktemp("conditional") / "run"
    finish(runs.begin(RING, directory))
    return directory


def table(folder: Path, num: int = 60) -> str:
    rng = np.random.default_rng(0)
    columns = {
        "job": rng.choice(["cook", "judge", "nurse"], num),
        "age": rng.integers(20, 60, num),
        "pay": rng.normal(size=num),
        "town": rng.choice(["x", "y"], num),
    }
    path = folder / "people.csv"
    pyarrow.csv.write_csv(pa.table(columns), path)
    return str(path)


def run_on(data: str, directory: Path, **changes) -> runs.Trained:
    settings = dataclasses.replace(SETTINGS, data=data, steps=10, **changes)
    finish(runs.begin(settings, directory))
    return runs.load(directory)


def test_a_stopped_run_resumes_to_the_same_bytes(ring, tmp_path):
    stop_at(runs.begin(RING, tmp_path / "run"), 33)
    finish(runs.resume(tmp_path / "run"))
    assert tree(tmp_path / "run") == tree(ring)


def test_samples_are_drawn_under_named_conditions(ring):
    trained = runs.load(ring)
    assert trained.conditions.describe() == "label (8 categories)"
    drawn = trained.sample(2000, seed=3)
    assert isinstance(drawn, Labelled)
    assert drawn.values.shape == (2000, 2)
    counts = Counter(drawn.words["label"].to_pylist())
    assert counts.keys() == set(range(8))
    assert max(counts.values()) < 320
    asked = trained.sample(5, seed=3, where={"label": 6})
    assert asked.words["label"].to_pylist() == [6] * 5
    # The noise depends on the seed alone, not on the conditions.
    rows = [row for row, label in enumerate(drawn.words["label"].to_pylist()[:5]) if label == 6]
    assert np.array_equal(asked.values[rows], drawn.values[rows])
    assert not np.array_equal(asked.values, drawn.values[:5])
    two = trained.sample(400, where={"label": [1, 2]}).words["label"].to_pylist()
    assert set(two) == {1, 2}
    assert 150 < two.count(1) < 250
    # The same conditions, given for each row.
    encoded = trained.conditions.encode(drawn.words)
    assert torch.equal(trained.draw(encoded, seed=3), trained.values(2000, seed=3))
    assert torch.equal(trained.draw(encoded[:1], seed=3), trained.values(1, seed=3))


def test_a_smaller_draw_is_the_beginning_of_a_larger_one(ring):
    trained = runs.load(ring)
    few, many = trained.sample(3, seed=5), trained.sample(9_000, seed=5)
    assert np.array_equal(few.values, many.values[:3])
    assert few.words.equals(many.words[:3])
    # Blocks of 8192 are drawn apart.
    assert not many.words[:808].equals(many.words[8192:])


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ({"lable": 3}, r"no condition 'lable'\nDid you mean 'label'"),
        ({"label": 8}, r"label '8' is not known\nKnown: 0, 1, 2"),
    ],
)
def test_unknown_conditions_are_refused(ring, where, message):
    trained = runs.load(ring)
    for ask in (trained.generate, trained.sample, trained.values):
        with pytest.raises(UsageError, match=message):
            ask(4, where=where)


def test_a_run_without_conditions_refuses_where(straight):
    with pytest.raises(UsageError, match="'label' cannot be requested: this run was trained without conditions"):
        runs.load(straight).sample(4, where={"label": 1})
    assert isinstance(runs.load(straight).sample(4), np.ndarray)


def test_evaluate_gives_the_numbers_of_the_run(ring):
    found = runs.evaluate(ring)
    last = records(ring)[-1]
    assert {name: last[name] for name in ("score", "w1", "modes")} == {
        name: found[name] for name in ("score", "w1", "modes")
    }


def test_fewer_held_out_rows_than_packing_have_no_score_drop(tmp_path):
    """A critic that sees four samples at once cannot score three rows, so that there is no score drop."""
    data = table(tmp_path)
    options = DataOptions(condition=("job",), held_out=0.05)
    run_on(data, tmp_path / "run", input=options, packing=4, batch_size=8)
    found = runs.evaluate(tmp_path / "run")
    assert "score_drop" not in found
    assert 0 <= found["accuracy_job"] <= 1


@pytest.mark.parametrize(
    "game",
    [
        {"objective": "mmd:kernel=energy"},
        {"objective": "semidual", "constraint": "none"},
        {"objective": "energy:pull_away=0.1", "critic": "autoencoder:width=8,code=2", "constraint": "none"},
    ],
    ids=lambda game: game["objective"].partition(":")[0],
)
def test_the_score_drop_is_measured_for_critics_with_several_outputs(tmp_path, game):
    settings = dataclasses.replace(RING, steps=30, **game)
    finish(runs.begin(settings, tmp_path / "run"))
    found = runs.evaluate(tmp_path / "run")
    assert np.isfinite(found["score_drop"])
    assert found["score_drop"] != 0


def test_other_conditions_are_other_data(ring, tmp_path):
    run = Path(shutil.copytree(ring, tmp_path / "run"))
    change_on_purpose(run, '    "label",\n', "")
    with pytest.raises(CheckpointError, match=r"data is not what .* was begun with: conditions: nothing, was"):
        runs.resume(run, steps=70)


def test_damaged_conditions_are_named(ring, tmp_path):
    run = Path(shutil.copytree(ring, tmp_path / "run"))
    without_checksums(run)
    note = json.loads((run / "source.json").read_text())
    del note["conditions"]["counts"]
    (run / "source.json").write_text(json.dumps(note))
    with pytest.raises(CheckpointError, match="the stored conditions of this run cannot be read: KeyError"):
        runs.load(run)


OF_FORMS = ("decimal", "thousands", "dayfirst", "date_format", "max_categories", "range")
OF_EVIDENCE = ("diagnose", "optimality", "max_critic_steps", "best_by", "patience", "rollbacks")


@pytest.mark.parametrize(
    ("lacking", "of_input"),
    [
        (
            ("packing", "unrolled_steps", "mismatch", "conditioning", "engine", *OF_EVIDENCE),
            ("condition", "text", "embedding", "unseen", *OF_FORMS),
        ),
        (("engine", *OF_EVIDENCE), OF_FORMS),
        (OF_EVIDENCE, OF_FORMS),
        ((), OF_FORMS),
    ],
    ids=["before the games", "before the engine", "before the evidence", "before the forms of text"],
)
def test_runs_of_earlier_versions_still_load(straight, tmp_path, lacking, of_input):
    run = Path(shutil.copytree(straight, tmp_path / "run"))
    without_checksums(run)
    values = tomllib.loads((run / "settings.toml").read_text())
    for name in lacking:
        del values[name]
    for name in of_input:
        del values["input"][name]
    (run / "settings.toml").write_text(tomli_w.dumps(values))
    with pytest.warns(runs.RunWarning, match="carry no checksums"):
        assert runs.load(run).settings == SETTINGS
    del values["seed"]
    (run / "settings.toml").write_text(tomli_w.dumps(values))
    with pytest.raises(CheckpointError, match="it lacks seed"):
        runs.load(run)


def test_a_mismatch_without_conditions_is_refused_before_training(tmp_path):
    with pytest.raises(UsageError, match=r"mismatch is 0\.2, but there are no conditions"):
        runs.begin(dataclasses.replace(SETTINGS, mismatch=0.2), tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


# -- tables, points and images ----------------------------------------------------------------------------------------


def test_conditions_of_a_table_keep_their_position_and_type(tmp_path):
    data = table(tmp_path)
    trained = run_on(data, tmp_path / "run", input=DataOptions(condition=("age,job",)))
    drawn = trained.sample(30)
    real = open_data(data, DataOptions(), seed=0).codec.schema
    assert drawn.schema.equals(real)
    asked = trained.sample(7, where={"job": "nurse", "age": "33"})
    assert asked["job"].to_pylist() == ["nurse"] * 7
    assert asked["age"].to_pylist() == [33] * 7
    assert asked.column_names == ["job", "age", "pay", "town"]
    for file in ("real.csv", "00000010.csv"):
        assert pyarrow.csv.read_csv(tmp_path / "run" / "samples" / file).column_names == asked.column_names
    write_samples(trained.generate(5, where={"job": "cook"}), 5, tmp_path / "s.csv", "table")
    assert pyarrow.csv.read_csv(tmp_path / "s.csv")["job"].to_pylist() == ["cook"] * 5


def test_conditions_of_a_data_frame_keep_their_type(tmp_path):
    frame = pa.table(
        {
            "x": np.arange(40.0),
            "kind": pa.array(["b", "a"] * 20).dictionary_encode(),
            "day": pa.array(np.arange(40) % 7, pa.int32()).cast(pa.date32()),
        }
    )
    source = open_data(frame, DataOptions(condition=("kind", "day")), seed=0)
    settings = dataclasses.replace(SETTINGS, data="<Table in memory>", steps=5)
    finish(runs.begin(settings, tmp_path / "run", source=source))
    drawn = runs.load(tmp_path / "run").sample(20)
    assert drawn.schema.equals(frame.schema)
    assert set(drawn["day"].to_pylist()) <= set(frame["day"].to_pylist())


IMAGES = {
    "generator": "dcgan:filters=4",
    "critic": "dcgan:filters=4,norm=none",
    "latent_dim": 4,
    "eval_size": 8,
    "batch_size": 8,
}


@pytest.fixture(scope="module")
def faces(tmp_path_factory) -> runs.Trained:
    folder = tmp_path_factory.mktemp("faces")
    rng = np.random.default_rng(0)
    rows = ["file,hair,age"]
    (folder / "in").mkdir()
    for number in range(60):
        Image.fromarray(rng.integers(0, 256, (12, 12, 3), dtype=np.uint8)).save(folder / "in" / f"{number}.png")
        rows.append(f"{number}.png,{('red', 'black', 'green')[number % 3]},{number % 10}")
    (folder / "in" / "tags.csv").write_text("\n".join(rows))
    return run_on(str(folder / "in"), folder / "run", input=DataOptions(condition=("hair", "age")), **IMAGES)


def test_sheets_have_rows_for_each_value(faces):
    """Three values share 64 positions: two rows of ten images each."""
    run = Path(faces.settings.data).with_name("run")
    for name in ("real.png", "00000010.png"):
        with Image.open(run / "samples" / name) as sheet:
            assert sheet.size == (10 * 14 - 2, 6 * 14 - 2)


def test_pictures_have_a_file_of_their_conditions(faces, tmp_path):
    said = write_samples(faces.generate(6, where={"hair": "green"}), 6, tmp_path / "out", "images")
    assert re.search(r"6 images of 12×12×3, described in tags\.csv, in ", said)
    lines = (tmp_path / "out" / "tags.csv").read_text().splitlines()
    assert lines[0].replace('"', "") == "file,hair,age"
    assert [line.replace('"', "").split(",")[:2] for line in lines[1:]] == [
        [f"00000{n}.png", "green"] for n in range(6)
    ]
    again = open_data(tmp_path / "out", DataOptions(condition=("age",), categorical=("age",)), seed=0)
    assert again.offers == ("hair", "age")
    write_samples(faces.generate(6, where={"hair": ["green", "red"]}), 6, tmp_path / "x.npz", "images")
    with np.load(tmp_path / "x.npz") as arrays:
        assert arrays["x"].shape == (6, 12, 12, 3)
        assert set(arrays["hair"]) <= {"green", "red"}
        assert arrays["age"].dtype == np.int64
    before = (tmp_path / "x.npz").read_bytes()
    write_samples(faces.generate(6, where={"hair": ["green", "red"]}), 6, tmp_path / "x.npz", "images")
    assert (tmp_path / "x.npz").read_bytes() == before


def test_the_report_names_the_conditions_of_the_rows(faces):
    page = write_report(Path(faces.settings.data).with_name("run")).read_text()
    assert "Conditions of the rows, from top to bottom: hair black, green, red." in page


def test_real_rows_are_laid_out_like_the_samples():
    conditions = open_data("ring", DataOptions(condition=("label",)), seed=0).conditions
    sheet = sheet_of(conditions, 64, torch.Generator().manual_seed(0))
    assert (sheet.columns, sheet.condition.shape) == (8, (64, 8))
    assert sheet.condition.argmax(1).tolist() == [value for value in range(8) for _ in range(8)]
    labels = torch.tensor([*range(8), 3, 3])
    rows = Batch(torch.arange(10.0)[:, None], conditions.expand(labels[:, None]))
    chosen = sheet.matching(rows)
    assert torch.equal(chosen.condition, sheet.condition)
    assert chosen.values[24:32, 0].tolist() == [3, 8, 9, 3, 8, 9, 3, 8]
    assert sheet.matching(Batch(rows.values[:7], rows.condition[:7])) is None


def test_a_run_on_texts_accepts_new_texts(tmp_path, monkeypatch):
    monkeypatch.setitem(EMBEDDINGS.rows, "letters", lambda: lambda said: [[s.count("a"), s.count("b")] for s in said])
    texts = ["a", "ab", "bb"] * 20
    frame = pa.table({"x": np.arange(60.0), "says": texts})
    pyarrow.csv.write_csv(frame, tmp_path / "said.csv")
    options = DataOptions(condition=("says",), text=("says",), embedding="letters")
    trained = run_on(str(tmp_path / "said.csv"), tmp_path / "run", input=options)
    drawn = trained.sample(5, where={"says": "abba"})
    assert drawn["says"].to_pylist() == ["abba"] * 5
    assert set(trained.sample(50)["says"].to_pylist()) == {"a", "ab", "bb"}
    assert "correlation_says" in records(tmp_path / "run")[-1]


@pytest.mark.parametrize("conditioning", ["concat", "norm", "projection", "norm-projection"])
def test_every_conditioning_trains_on_images(faces, tmp_path, conditioning):
    trained = run_on(
        faces.settings.data, tmp_path / "run", input=faces.settings.input, conditioning=conditioning, **IMAGES
    )
    first, second = (trained.values(4, where={"hair": hair, "age": 3}) for hair in ("red", "green"))
    assert (first != second).any()


def test_settings_of_conditions_are_written_and_read(ring):
    text = (ring / "settings.toml").read_text()
    assert 'conditioning = "auto"' in text
    assert tomllib.loads(text)["input"]["condition"] == ["label"]
    assert Settings().input.condition == ()
    assert checkpoints.load(ring / "checkpoints").facts["settings"]["mismatch"] == 0.2
