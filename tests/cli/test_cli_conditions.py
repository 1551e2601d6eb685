"""Conditions on the command line: they are listed, trained on, given to `sample` and evaluated."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from shlex import split

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pytest

from wgan.cli.main import main
from wgan.settings import from_toml

SMALL = split("--steps 3 --batch-size 8 --generator mlp:width=8 --critic mlp:width=8 --eval-size 40 --quiet")


@pytest.fixture(scope="module")
def table(tmp_path_factory) -> Path:
    draw = np.random.default_rng(0)
    columns = {
        "hair": draw.choice(["red", "black", "brown"], 200),
        "size": draw.normal(170, 10, 200).round(1),
        "eyes": draw.choice(["green", "blue"], 200),
        "age": draw.integers(18, 80, 200),
    }
    path = tmp_path_factory.mktemp("cli") / "people.csv"
    pyarrow.csv.write_csv(pa.table(columns), path)
    return path


@pytest.fixture(scope="module")
def run(table) -> Path:
    place = table.with_name("run")
    words = ["--condition", "hair,eyes", "--condition", "age", "--unseen", "0.2", "--mismatch", "0.3"]
    assert main(["train", str(table), *words, *SMALL, "--out", str(place)]) == 0
    return place


def failure(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    assert main(words) == 2
    text = capsys.readouterr().err
    assert "Traceback" not in text
    return text


def test_conditions_are_separated_by_commas_or_repeated_options(run):
    settings = from_toml(run / "settings.toml")
    assert settings.input.condition == ("hair,eyes", "age")
    assert (settings.input.unseen, settings.mismatch) == (0.2, 0.3)
    parts = json.loads((run / "source.json").read_text())["conditions"]["parts"]
    assert [part["name"] for part in parts] == ["hair", "eyes", "age"]
    assert main(["train", "--resume", str(run), "--steps", "4", "--quiet"]) == 0


def test_the_suggested_next_command_has_a_condition(table, tmp_path, capsys):
    words = ["--condition", "age,hair", *SMALL[:-1], "--out", str(tmp_path / "told")]
    assert main(["train", str(table), *words]) == 0
    hair = Counter(pyarrow.csv.read_csv(table)["hair"].to_pylist())
    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("next: "))
    assert line.rpartition("--where ")[2] in {f"hair={name}" for name, _ in hair.most_common(2)}
    assert main(split(line.partition("wgan ")[2])) == 0


def test_samples_have_the_conditions_that_were_given(run, tmp_path, capsys):
    out = tmp_path / "s.csv"
    words = ["sample", str(run), "--num", "30", "--out", str(out)]
    assert main([*words, "--where", "hair=red,eyes=green", "--where", "age=33"]) == 0
    assert "30 rows of 4 columns" in capsys.readouterr().out
    read = pyarrow.csv.read_csv(out)
    assert read.column_names == ["hair", "size", "eyes", "age"]
    assert [set(read[name].to_pylist()) for name in ("hair", "eyes", "age")] == [{"red"}, {"green"}, {33}]
    assert main([*words, "--where", "hair=red", "--where", "hair=brown"]) == 0
    assert set(pyarrow.csv.read_csv(out)["hair"].to_pylist()) == {"red", "brown"}
    assert main(words) == 0
    assert len(set(pyarrow.csv.read_csv(out)["hair"].to_pylist())) == 3


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("hiar=red", "there is no condition 'hiar'\nDid you mean 'hair'? Known: hair, eyes, age.\n"),
        ("hair=rad", "hair 'rad' is not known\nDid you mean 'red'? Known: black, brown, red.\n"),
        ("hair=purple,eyes=green", "hair 'purple' is not known\nKnown: black, brown, red.\n"),
        ("age=12", "age 12 is out of the data's range\nage goes from 18 to 79.\n"),
        ("red", "--where takes name=value, not 'red'\nFor example: --where hair=red,eyes=green.\n"),
        ("=red", "--where takes name=value, not '=red'"),
    ],
)
def test_unknown_values_are_refused_with_the_known_ones(run, tmp_path, capsys, where, expected):
    assert expected in failure(
        ["sample", str(run), "--num", "3", "--out", str(tmp_path / "s.csv"), "--where", where], capsys
    )
    assert not (tmp_path / "s.csv").exists()


def test_a_run_without_conditions_refuses_where(table, tmp_path, capsys):
    assert main(["train", "ring", *SMALL, "--out", str(tmp_path / "plain")]) == 0
    words = ["sample", str(tmp_path / "plain"), "--num", "3", "--out", str(tmp_path / "s.npy"), "--where", "label=3"]
    assert "'label' cannot be requested: this run was trained without conditions" in failure(words, capsys)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (
            ["--condition", "hiar"],
            "there is no condition 'hiar'\nDid you mean 'hair'? There are: hair, size, eyes, age.",
        ),
        (["--condition", "hair", "--ignore", "hair"], "column 'hair' is named under both ignore and condition"),
        (["--conditioning", "norm", "--condition", "hair"], "norm=none\nUse --generator mlp:norm=batch"),
        (["--condition", ","], "people.csv: --condition names nothing\nThere are: hair, size, eyes, age."),
        (["--mismatch", "0.5"], "mismatch is 0.5, but there are no conditions"),
        (["--mismatch", "1.0"], "mismatch must be at least 0 and below 1, not 1.0"),
        (["--unseen", "0.1"], "--unseen has no effect without --condition"),
    ],
)
def test_columns_that_cannot_be_conditions_are_refused_with_a_reason(table, tmp_path, capsys, words, expected):
    assert expected in failure(["train", str(table), *words, *SMALL, "--out", str(tmp_path / "run")], capsys)
    assert not (tmp_path / "run").exists()


def test_data_lists_the_possible_conditions(table, capsys):
    assert main(["data", str(table)]) == 0
    assert "possible conditions (--condition): hair, size, eyes, age\n" in capsys.readouterr().out
    assert main(["data", str(table), "--condition", "eyes,age"]) == 0
    text = capsys.readouterr().out
    assert "conditions: eyes (2 categories), age (number)" in text
    assert "\nconditions:\n  eyes " in text
    assert " 2 categories: " in text
    assert "int64: 18 to 79" in text
    assert main(["data", "ring", "--condition", "label"]) == 0
    assert "  label                    8 categories: 0, 1, 2, 3, and 4 more\n" in capsys.readouterr().out


def test_conditions_are_counted_in_all_rows(tmp_path, capsys):
    images, labels = np.random.default_rng(0).integers(0, 255, (200, 4, 4), np.uint8), np.array([0, 1, 1, 1] * 50)
    np.savez(tmp_path / "x.npz", x=images, y=labels)
    assert main(["data", str(tmp_path / "x.npz"), "--condition", "label", "--held-out", "0"]) == 0
    assert "  label                    2 categories: 1 (150), 0 (50)\n" in capsys.readouterr().out


def test_evaluate_prints_the_conditional_accuracy(run, capsys):
    assert main(["evaluate", str(run)]) == 0
    text = capsys.readouterr().out
    for start in ("hair: ", "eyes: ", "all categories jointly: ", "hair, unseen combinations: "):
        assert f"\n{start}" in text, start
    assert ": accuracy " in text
    assert "age: correlation with the condition " in text
    assert "Under wrong conditions the critic's scores of real rows " in text
    assert main(["evaluate", str(run), "--no-conditional-accuracy", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert not any("accuracy" in name for name in found)
    assert main(["evaluate", str(run), "--json"]) == 0
    assert {"accuracy_hair=red", "classifier_accuracy_eyes", "correlation_age", "score_drop"} < set(
        json.loads(capsys.readouterr().out)
    )


def test_the_report_has_the_conditional_accuracy(run):
    page = (run / "report.html").read_text()
    assert "Conditional accuracy" in page
    assert "<td>hair, unseen combinations</td>" in page
    assert "<strong>hair</strong>: black: " in page
    assert "Under wrong conditions the critic's scores of real rows " in page.replace("&#x27;", "'")
