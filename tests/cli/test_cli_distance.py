"""The tables, JSON and plots of `wgan distance`, and its refusals."""

import dataclasses
import json

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest
from PIL import Image

from wgan import runs
from wgan.cli.main import main
from wgan.data.export import write_samples
from wgan.evaluation import DISTANCES
from wgan.settings import Settings
from wgan.transport import exact, one_dimensional

RNG = np.random.default_rng
QUICK = ("--permutations", "0")


@pytest.fixture
def printed(capsys):
    def run(*words):
        code = main(["distance", *map(str, words)])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.fixture
def as_json(printed):
    def run(*words):
        code, out, err = printed(*words, "--json")
        assert (code, err) == (0, "")
        return json.loads(out, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))

    return run


@pytest.fixture
def points(tmp_path):
    def write(name, num=60, size=2, seed=0, shift=0.0, scale=1.0):
        path = tmp_path / name
        np.save(path, RNG(seed).normal(size=(num, size)) * scale + shift)
        return path

    return write


@pytest.fixture
def table(tmp_path):
    def write(name, num=80, seed=0, shift=0.0, **more):
        rng = RNG(seed)
        columns = {
            "age": rng.integers(18, 90, num),
            "income": np.round(rng.normal(size=num) * 100 + 1000 * shift, 2),
            "city": rng.choice(["Oslo", "Paris", "Rome"], num),
        } | more
        path = tmp_path / name
        found = pa.table({key: value for key, value in columns.items() if value is not None})
        (pyarrow.csv.write_csv if path.suffix == ".csv" else pyarrow.parquet.write_table)(found, path)
        return path

    return write


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    directory = tmp_path_factory.mktemp("runs") / "ring"
    small = Settings(
        data="ring",
        steps=10,
        batch_size=16,
        critic_steps=1,
        generator="mlp:width=8,depth=2",
        critic="mlp:width=8,depth=2",
        eval_size=16,
        device="cpu",
        threads=1,
        precision="float32",
    )
    with runs.begin(small, directory) as run:
        list(run.run())
    return directory


def test_the_table_has_every_row_within_100_columns(printed, points):
    code, out, err = printed(points("a.npy"), points("b.npy", seed=1), "--permutations", 19)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert max(map(len, lines)) <= 100
    assert "30 samples of each; floor: the same distance between two sets of 30 from A." in lines
    assert "One unit: one unit of the data." in lines
    assert "p: the fraction of 19 random splits whose distance is at least as large." in lines
    for distance in DISTANCES.values():
        assert any(line.startswith(distance.title) for line in lines)
    header = next(line for line in lines if line.startswith("distance "))
    assert header.split() == ["distance", "value", "floor", "p", "unit", "seconds", "solver;", "certificate"]
    last = " ".join(line[header.index("solver") :].strip() for line in lines[lines.index(header) + 1 :])
    assert "optimal: duality gap" in last
    assert "standard error" in last
    assert "lower bound of W2" in last
    assert "counting whole samples; no sample in both" in last
    assert "(5 % of the mean cost); marginal error" in last


def test_json_holds_what_direct_calls_give(as_json, points):
    a, b = points("a.npy", num=40), points("b.npy", num=30, seed=1, shift=2.0)
    found = as_json(a, b, "--no-floor", "--permutations", 99)
    assert (found["kind"], found["num_a"], found["num_b"], found["num_dimensions"]) == ("points", 40, 30, 2)
    assert set(found["distances"]) == set(DISTANCES)
    w1 = found["distances"]["w1"]
    assert w1["value"] == pytest.approx(float(exact(np.load(a), np.load(b)).distance))
    assert (w1["floor"], w1["p_value"]) == (None, None)
    assert w1["proof"]["duality_gap"] == pytest.approx(0, abs=1e-12)
    assert found["distances"]["mmd"]["p_value"] == 0.01
    assert found["distances"]["js"]["value"] == pytest.approx(np.log(2))
    assert found["shared"] == 0


def test_value_and_floor_use_sets_of_equal_size(as_json, points):
    found = as_json(points("a.npy", num=50), points("b.npy", num=200, seed=1), "--only", "w1")
    assert (found["num_a"], found["num_b"]) == (25, 25)
    found = as_json(points("a.npy", num=50), points("c.npy", num=10, seed=1), "--only", "w1")
    assert (found["num_a"], found["num_b"]) == (10, 10)
    found = as_json("ring", points("c.npy", num=10, seed=1), "--only", "w1", "--num", 7)
    assert (found["num_a"], found["num_b"]) == (7, 7)


def test_equal_samplers_are_at_the_floor_and_different_ones_above(as_json):
    only = ("--only", "energy,sliced-w1", "--num", 400, "--permutations", 99)
    same, other = as_json("ring", "ring", *only, "--seed", 1), as_json("ring", "swiss-roll", *only)
    for name in ("energy", "sliced_w1"):
        assert same["distances"][name]["p_value"] > 0.05
        assert same["distances"][name]["value"] < 5 * same["distances"][name]["floor"]
        assert other["distances"][name]["p_value"] == 0.01
        assert other["distances"][name]["value"] > 2.5 * other["distances"][name]["floor"]


def test_numbers_are_determined_by_the_seed(as_json):
    words = ("ring", "grid", "--num", 50, "--only", "w1,mmd")
    values = [
        [row["value"] for row in as_json(*words, *more)["distances"].values()] for more in ((), (), ("--seed", 1))
    ]
    assert values[0] == values[1] != values[2]


def test_a_file_against_itself_is_at_0(printed, as_json, points):
    a = points("a.npy")
    found = as_json(a, a, "--no-floor", "--only", "w1,js")
    assert [row["value"] for row in found["distances"].values()] == [0, 0]
    assert found["shared"] == 60
    halves = as_json(a, a, "--only", "w1")
    assert halves["distances"]["w1"]["value"] <= halves["distances"]["w1"]["floor"]
    _, out, _ = printed(a, a, "--no-floor", "--only", "w1")
    assert "note: 60 of the 60 samples of A are also in B" in out


def test_rows_that_both_files_contain_are_counted(printed, tmp_path):
    a, more = RNG(0).normal(size=(20, 2)), RNG(1).normal(size=(13, 2)) * 50
    np.save(tmp_path / "a.npy", a)
    np.savez(tmp_path / "b.npz", x=np.concatenate([a[:7], more]))
    _, out, _ = printed(tmp_path / "a.npy", tmp_path / "b.npz", "--no-floor", "--only", "js")
    assert "note: 7 of the 20 samples of A are also in B" in out


def test_the_column_that_differs_is_listed_first(printed, as_json, table):
    a, b = table("a.csv"), table("b.parquet", seed=1, shift=2.0)
    found = as_json(a, b, "--no-floor", *QUICK, "--only", "w1")
    incomes = [np.asarray(side["income"]) for side in (pyarrow.csv.read_csv(a), pyarrow.parquet.read_table(b))]
    first = found["columns"][0]
    assert (first["name"], first["distance"]) == ("income", "W1")
    assert first["value"] == pytest.approx(one_dimensional(*incomes).item())
    assert first["deviations"] == pytest.approx(first["value"] / incomes[0].std())
    code, out, _ = printed(a, b, *QUICK, "--only", "w1")
    assert code == 0
    assert "One unit: one standard deviation of A in a column of numbers; another category counts √2." in out
    rows = [line.split()[:2] for line in out.partition("column by itself")[2].splitlines()[1:4]]
    assert rows[0] == ["income", "W1"]
    assert ["city", "TV"] in rows


def test_only_the_most_different_columns_are_listed_by_default(printed, tmp_path):
    for name, seed in (("a.csv", 0), ("b.csv", 1)):
        values = RNG(seed).normal(size=(30, 13))
        pyarrow.csv.write_csv(pa.table({f"x{place}": values[:, place] for place in range(13)}), tmp_path / name)
    words = (tmp_path / "a.csv", tmp_path / "b.csv", "--only", "js")
    _, few, _ = printed(*words)
    _, every, _ = printed(*words, "--all-columns")
    assert "3 more columns are closer: use --all-columns" in few
    assert "more columns" not in every
    # Each column has a line of distances and a line of quantiles.
    assert sum(line.startswith("x") for line in every.splitlines()) == 26
    assert max(map(len, every.splitlines())) <= 100


def test_a_shifted_median_under_a_heavy_tail_is_visible(printed, as_json, tmp_path):
    for name, seed, shift in (("a", 0, 0.0), ("b", 1, 12.3)):
        rng = RNG(seed)
        values = np.stack([np.exp(2.5 * rng.normal(size=2_000)) + shift, rng.normal(size=2_000)], axis=1)
        np.save(tmp_path / f"{name}.npy", values)
        table = pa.table({"amount": values[:, 0], "plain": values[:, 1]})
        pyarrow.csv.write_csv(table, tmp_path / f"{name}.csv")
    for ending, names in (("npy", ["x1", "x2"]), ("csv", ["amount", "plain"])):
        words = (tmp_path / f"a.{ending}", tmp_path / f"b.{ending}", "--only", "js")
        found = as_json(*words)
        assert [column["name"] for column in found["columns"]] == names
        moved, same = found["columns"]
        assert moved["ks"] > 0.8 > 0.1 > same["ks"]
        assert moved["p_value"] < 1e-9
        assert max(moved["ks_floor"], same["ks_floor"]) < 0.1
        middle = moved["levels"].index(0.5)
        assert moved["quantiles"][0][middle] == pytest.approx(1.0, abs=0.15)
        assert moved["quantiles"][1][middle] == pytest.approx(13.3, abs=0.2)
        _, out, _ = printed(*words)
        lines = [line.split() for line in out.splitlines()]
        header = next(line for line in lines if line[:1] == ["quantiles"])
        assert header == ["quantiles", "1", "%", "25", "%", "median", "75", "%", "99", "%"]
        place = lines.index(header)
        assert lines[place + 1][:2] == [names[0], "A"]
        assert float(lines[place + 1][4]) == pytest.approx(1.0, abs=0.15)
        assert lines[place + 2][0] == "B"
        assert float(lines[place + 2][3]) == pytest.approx(13.3, abs=0.2)


def test_categories_of_one_side_and_reordered_columns_are_compared(as_json, tmp_path):
    (tmp_path / "a.csv").write_text("c,k\n" + "a,1\nb,2\n" * 10)
    (tmp_path / "b.csv").write_text("k,c\n" + "1,a\n3,z\n" * 10)
    found = as_json(tmp_path / "a.csv", tmp_path / "b.csv", "--no-floor", *QUICK)
    assert found["distances"]["total_variation"]["value"] == pytest.approx(0.5)
    assert {column["name"]: column["value"] for column in found["columns"]} == {"c": 0.5, "k": 0.5}


def test_missing_cells_can_be_kept(printed, tmp_path):
    (tmp_path / "a.csv").write_text("c,k\n" + "a,1\nb,2\nc,4\n" * 10)
    (tmp_path / "b.csv").write_text("c,k\n" + "a,1\nb,\nc,4\n" * 10)
    code, out, _ = printed(tmp_path / "a.csv", tmp_path / "b.csv", "--missing", "keep", "--no-floor", "--only", "w1")
    assert code == 0
    assert "0.0 % 33.3 %" in out


def test_images_of_different_ranges_are_refused(as_json, printed, tmp_path):
    masks = RNG(0).integers(0, 2, (20, 8, 8)).astype(np.uint8)
    np.save(tmp_path / "masks.npy", masks)
    run, data = tmp_path / "run", tmp_path / "masks.npy"
    short = ["--steps", "1", "--generator", "mlp:width=8", "--critic", "mlp:width=8", "--batch-size", "8", "--quiet"]
    short += ["--diagnose", "off"]
    assert main(["train", str(data), "--range", "0", "1", "--out", str(run), *short]) == 0
    code, _, err = printed(run, data, *QUICK)
    assert code == 3
    assert "pixel values range in A from 0 to 1 and B from 0 to 255" in err
    assert "Read the data with --range 0 1." in err
    assert as_json(run, data, "--range", "0", "1", *QUICK)


def test_images_are_compared_pixel_by_pixel_at_one_size(as_json, printed, tmp_path):
    rng = RNG(0)
    for folder, size in (("a", 8), ("b", 10)):
        (tmp_path / folder).mkdir()
        for number in range(6):
            pixels = rng.integers(0, 256, (size, size), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / folder / f"{number}.png")
    a, b = tmp_path / "a", tmp_path / "b"
    code, _, err = printed(a, b)
    assert code == 3
    assert "A holds images of 8x8x1 and B of 10x10x1\nUse --size 8 8 to bring both to one form." in err
    found = as_json(a, b, "--size", 8, 8, "--only", "w1", "--no-floor")
    assert (found["kind"], found["num_dimensions"], found["num_a"]) == ("images", 64, 6)
    assert "black is -1 and white 1" in found["unit"]


def test_a_run_is_compared_by_its_samples(as_json, printed, trained):
    found = as_json(trained, "ring", "--num", 40, "--only", "w1")
    assert (found["num_a"], found["num_b"]) == (40, 40)
    samples = [as_json("ring", trained, "--num", 40, "--only", "w1", *more)["distances"]["w1"] for more in ((), ())]
    assert samples[0]["value"] == samples[1]["value"] > samples[0]["floor"]
    _, out, _ = printed(trained, "ring", "--num", 40, "--only", "w1")
    assert f"A: points sampled from the run {trained} at step 10" in " ".join(out.split())
    assert "exchange A and B for those of the data" in out
    # Both sides are samples of one run, drawn from independent noise.
    assert as_json(trained, trained, "--num", 40, "--only", "w1")["shared"] == 0


def test_a_run_on_a_table_is_compared_with_a_table(as_json, table, tmp_path):
    data = table("a.csv")
    small = Settings(
        data=str(data),
        steps=2,
        batch_size=8,
        critic_steps=1,
        generator="mlp:width=8,depth=2",
        critic="mlp:width=8,depth=2",
        eval_size=8,
        device="cpu",
        threads=1,
        precision="float32",
    )
    with runs.begin(dataclasses.replace(small), tmp_path / "run") as run:
        list(run.run())
    found = as_json(data, tmp_path / "run", "--only", "w1")
    assert {column["name"] for column in found["columns"]} == {"age", "income", "city"}
    assert found["num_b"] == 40


def test_the_plan_is_drawn_whether_or_not_w1_is_shown(printed, tmp_path):
    for only in ("w1", "js"):
        out = tmp_path / f"{only}.png"
        code, text, _ = printed("ring", "grid", "--num", 20, "--only", only, "--plan", out)
        assert code == 0
        assert f"plan: {out}" in text
        with Image.open(out) as picture:
            assert picture.format == "PNG"
    assert (tmp_path / "w1.png").read_bytes() == (tmp_path / "js.png").read_bytes()


def test_rows_with_nan_can_be_dropped(printed, tmp_path):
    values = RNG(0).normal(size=(20, 2))
    values[3, 1] = np.nan
    np.save(tmp_path / "a.npy", values)
    code, out, _ = printed(tmp_path / "a.npy", "ring", "--missing", "drop", "--only", "js")
    assert code == 0
    assert "note: 1 row with NaN or infinite values left out" in out
    assert "9 samples of each" in out


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["ring"], 2, "B is needed"),
        (["ring", "ring", "--ony", "w1"], 2, "did you mean --only"),
        (["ring", "ring", "--only", "w1,mdm"], 2, "there is no distance 'mdm'\nDid you mean 'mmd'"),
        (["ring", "ring", "--num", "1", "--permutations", "-1"], 2, "2 options cannot be used"),
        (["ring", "ring", "--plan", "plan.jpg"], 2, "--plan plan.jpg does not end in .png"),
        (["ring", "ring", "--num", "1000000000"], 2, "Use a smaller --num"),
        (["ring", "ring", "--size", "8", "8"], 2, "--size (8, 8) cannot be used with ring and ring"),
        (["rin", "ring"], 2, "Did you mean 'ring'"),
        (["ring", "fashion-mnist"], 3, "A (ring) holds points and B (fashion-mnist) images"),
    ],
)
def test_invalid_arguments_are_refused(printed, words, code, message):
    assert printed(*words)[0] == code
    _, out, err = printed(*words)
    assert out == ""
    assert message in err
    assert "Traceback" not in err
    assert len(err.splitlines()) <= 3


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        ({"num": 0}, {}, "needs at least 2 rows"),
        ({"num": 1}, {}, "needs at least 2 rows"),
        ({"num": 3}, {}, "3 rows, too few for two halves of at least 2\nUse --no-floor"),
        ({"shift": np.nan}, {}, "NaN or infinite cells"),
        ({"size": 3}, {}, "A has 3 columns and B has 2"),
        ({}, {"size": 1}, "A has 2 columns and B has 1"),
        ({"scale": 1e300}, {}, "overflow float64"),
    ],
)
def test_invalid_points_are_refused(printed, points, a, b, message):
    words = (points("a.npy", **a), points("b.npy", **({"seed": 1} | b)))
    code, out, err = printed(*words)
    assert (code, out) == (3, "")
    assert message in err


def test_incomparable_tables_are_refused_with_their_columns(printed, table):
    a = table("a.csv")
    for b, message in (
        (table("b.csv", income=None, incom=[1.5] * 40 + [2.5] * 40), "only A has 'income'; only B has 'incom'"),
        (table("c.csv", age=["young", "old"] * 40), "column 'age' holds numbers in A and text in B"),
        ("ring", "holds a table and B (ring) points"),
    ):
        code, out, err = printed(a, b)
        assert (code, out) == (3, "")
        assert message in err
    code, _, err = printed(a, a, "--ignore", "agee")
    assert code == 2
    assert "did you mean 'age'?" in err


def test_options_that_apply_to_one_side_are_accepted(as_json, tmp_path):
    (tmp_path / "a.csv").write_text("1,2\n3,4\n5,7\n9,8\n")
    pyarrow.parquet.write_table(pa.table({"column_1": [1, 3, 5, 9], "column_2": [2, 4, 7, 8]}), tmp_path / "b.parquet")
    found = as_json(tmp_path / "a.csv", tmp_path / "b.parquet", "--no-header", "--no-floor", "--only", "js")
    assert found["distances"]["js"]["value"] == 0


def test_the_help_names_every_distance(printed):
    code, out, _ = printed("--help")
    assert code == 0
    words = set(out.replace(",", " ").replace(".", " ").split())
    assert set(DISTANCES) <= words


def test_points_of_different_dimensions_are_refused_with_a_remedy(printed, tmp_path):
    for name, size in (("a", 2), ("b", 3)):
        np.save(tmp_path / f"{name}.npy", RNG(0).normal(size=(20, size)))
    code, out, err = printed(tmp_path / "a.npy", tmp_path / "b.npy", *QUICK)
    assert (code, out) == (3, "")
    assert "A has 2 columns and B has 3" in err
    assert "Save arrays of the same columns for both." in err


@pytest.fixture(scope="module")
def conditional(tmp_path_factory):
    """A table, and a run on it with a category and a number as conditions."""
    folder = tmp_path_factory.mktemp("conditional")
    rng = RNG(0)
    columns = {"x": rng.normal(size=80), "city": rng.choice(["Oslo", "Paris"], 80), "age": rng.integers(18, 90, 80)}
    pa.csv.write_csv(pa.table(columns), folder / "t.csv")
    words = [
        "--steps",
        "2",
        "--batch-size",
        "8",
        "--generator",
        "mlp:width=8",
        "--critic",
        "mlp:width=8",
        "--diagnose",
        "off",
        "--quiet",
    ]
    words += ["--condition", "city,age", "--out", str(folder / "run")]
    assert main(["train", str(folder / "t.csv"), *words]) == 0
    return folder


def test_conditions_of_a_run_on_a_table_are_compared_like_other_columns(as_json, conditional):
    for sides in (("run", "t.csv"), ("t.csv", "run"), ("run", "run")):
        found = as_json(*(conditional / side for side in sides), *QUICK, "--only", "sliced_w1")
        assert {column["name"] for column in found["columns"]} == {"x", "city", "age"}


def test_columns_are_ignored_on_both_sides(as_json, printed, conditional):
    for ignored in (("--ignore", "city,age"), ("--ignore", "city", "--ignore", "age")):
        found = as_json(conditional / "run", conditional / "t.csv", *QUICK, "--only", "w1", *ignored)
        assert [column["name"] for column in found["columns"]] == ["x"]


@pytest.mark.parametrize("ending", [".jsonl", ".feather", ".tsv", ".csv.gz", ".parquet", ".txt"])
def test_tables_of_every_format_are_compared(as_json, conditional, tmp_path, ending):
    table = pa.csv.read_csv(conditional / "t.csv")
    write_samples(iter([table]), len(table), tmp_path / f"t{ending}", "table")
    found = as_json(tmp_path / f"t{ending}", conditional / "t.csv", *QUICK, "--only", "w1", "--no-floor")
    assert found["distances"]["w1"]["value"] == pytest.approx(0, abs=1e-9)
