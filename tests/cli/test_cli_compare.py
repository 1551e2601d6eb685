"""The plots and tables of `wgan compare`, and its refusals."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from fake_runs import fake_run, lines_of, rewrite, with_diagnoses
from wgan import figures
from wgan.cli.compare import CompareOptions
from wgan.cli.main import main
from wgan.cli.options import Group, parse
from wgan.data.points import PointsCodec
from wgan.data.scaling import Scaling
from wgan.report.record import read_record
from wgan.report.runs import read_runs, seconds_at
from wgan.runs.record import Journal


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    """Three runs on the same data: a good one, one with a weak critic, and one without evidence."""
    folder = tmp_path_factory.mktemp("compared")
    with_diagnoses(fake_run(folder / "good", steps=4_000, constraint="penalty:weight=0.1"))
    with_diagnoses(fake_run(folder / "weak", steps=4_000), factor=1.05, share=0.4)
    fake_run(folder / "old", steps=1_000)
    return folder


@pytest.fixture
def runs(originals, tmp_path, monkeypatch):
    """A copy of the folder with the three runs, which is the working directory."""
    folder = shutil.copytree(originals, tmp_path / "runs")
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def printed(capsys):
    def run(*words):
        code = main(["compare", *map(str, words)])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


def source(run, **changed):
    path = run / "source.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changed))


def setting(run, old, new):
    path = run / "settings.toml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def row(out, name):
    return next(line.split() for line in out.splitlines() if line.startswith(f"{name} "))


def test_the_table_has_the_last_numbers_of_each_run(printed, runs):
    code, out, err = printed("good", "weak")
    assert (code, err) == (0, "")
    exact = 1.9 * np.exp(-4_000 / 900) + 0.1
    assert row(out, "good") == [
        "good", "4,000", f"{0.9 * exact:.3g}", f"{exact:.3g}", f"[{0.9 * exact:.3g},", f"{1.1 * exact:.3g}]", "0.07",
        "90", "%", "60", "%", "1.5", "%",
    ]  # fmt: skip
    assert "in units of the data" in out
    assert "wasserstein, penalty:weight=0.1" in out
    assert f"{0.033 * exact:.3g}" in out
    assert f"{0.03 * exact:.3g}" in out
    assert "estimate of the earth mover's distance, up to an unknown constant factor" in " ".join(out.split())
    assert max(map(len, out.splitlines())) <= 100


def test_runs_with_overlapping_intervals_share_a_rank(printed, runs):
    # The intervals overlap, but neither contains the other distance.
    with_diagnoses(runs / "weak", factor=1.15, share=0.4)
    _, out, _ = printed("weak", "good")
    text = " ".join(out.split())
    assert "nearest to the data by exact W1: good 0.122 < weak 0.141" in text
    assert "not distinguishable from good, since their 95 % intervals overlap: weak" in text
    assert "by the critics' lower bounds" in text
    assert "weak 0.0563 < good 0.11" in text


def test_runs_with_disjoint_intervals_are_ranked(printed, runs):
    with_diagnoses(runs / "weak", factor=3.0)
    _, out, _ = printed("weak", "good")
    assert "overlap" not in out


def test_runs_at_their_floor_are_named(printed, runs):
    assert "as near as" not in printed("good", "weak")[1]
    with_diagnoses(runs / "good", factor=0.5)
    assert "as near as other real rows: good" in " ".join(printed("good", "weak")[1].split())


def test_runs_at_the_floor_of_exact_w1_are_ranked_by_sliced_w1(printed, runs):
    def in_runs(name, sliced=None):
        path = runs / name / "metrics.jsonl"
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        for line in lines:
            if "exact" in line:
                line |= {"exact_floor": line["exact"], "without_critic": 0.99 * line["exact"]}
                line |= {} if sliced is None else {"sliced": sliced, "sliced_floor": 0.1}
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))

    in_runs("good")
    in_runs("weak")
    text = " ".join(printed("good", "weak")[1].split())
    assert "nearest to the data by exact W1: good" in text
    assert "this ranking is not informative: in so many dimensions the exact W1 cannot tell samples from noise" in text
    assert "as near as other real rows" not in text
    assert "nearest neighbours alone give nearly all of it" in text
    in_runs("good", 0.29)
    in_runs("weak", 0.12)
    text = " ".join(printed("good", "weak")[1].split())
    assert "nearest to the data by sliced W1: weak 0.12 < good 0.29" in text
    assert "as near as other real rows: weak" in text


def test_a_single_run_is_not_ranked(printed, runs):
    code, out, err = printed("good")
    assert (code, err) == (0, "")
    assert "good" in out
    assert "nearest to the data" not in out


def test_a_run_without_evidence_is_named_and_shown_as_missing(printed, runs):
    code, out, err = printed("good", "old")
    assert code == 0
    assert "wgan: warning: old: it has recorded no evidence and is not drawn: it is of an earlier" in err
    assert row(out, "old")[:3] == ["old", "1,000", "–"]
    assert "cannot-tell" in out


@pytest.mark.parametrize(
    ("settings", "split", "events", "reason"),
    [
        ('examine = "off"', {}, [], "it was trained with --diagnose off; train it again without it"),
        ('examine = "auto"', {"held_out": 0}, [], "it needs held-out rows, and there are 0; train it again"),
        ('examine = "auto"', {"held_out": 40}, ["diverged"], "training diverged before the first diagnosis"),
        (
            'examine = "auto"',
            {"held_out": 40},
            ["saved"],
            "it has not reached its first diagnosis; resume it (wgan train --resume old), or end it now with a "
            "diagnosis (wgan train --resume old --steps 37)",
        ),
    ],
)
def test_a_run_without_evidence_gets_a_reason_and_a_remedy(printed, runs, settings, split, events, reason):
    setting(runs / "old", "seed = 0\n", f"seed = 0\n{settings}\n")
    source(runs / "old", split=split)
    for event in events:
        Journal(runs / "old" / "events.jsonl").add(event, 37, message="it did")
    code, _, err = printed("old")
    assert code == 0
    assert f"wgan: warning: old: it has recorded no evidence and is not drawn: {reason}" in err


def test_json_holds_the_numbers_of_the_tables(printed, runs):
    code, out, _ = printed("good", "weak", "old", "--json")
    found = json.loads(out)
    assert code == 0
    assert [run["run"] for run in found["runs"]] == ["good", "weak", "old"]
    good, weak, old = found["runs"]
    assert good["efficiency"] == 0.9
    assert good["rows"] == 1_000
    assert (weak["constraint"], weak["steps"], weak["looked_at"]) == ("clipping:bound=0.01", 4_000, 4_000)
    assert old["exact"] is None
    assert old["looked_at"] is None
    assert old["raw"] > 0
    assert {"kind", "reason", "remedy", "evidence"} == set(old["verdict"])
    assert found["rankings"][0] == {
        "by": "exact", "order": ["good", "weak"], "not_told_apart_from_the_first": ["weak"],
    }  # fmt: skip
    assert found["rankings"][1]["order"] == ["weak", "good"]
    assert "old: it has recorded no evidence" in found["notes"][0]


@pytest.mark.parametrize(
    ("ending", "begins"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("html", b"<!doctype html>"), ("SVG", b"<?xml")]
)
def test_the_plot_shows_every_run(printed, runs, ending, begins):
    code, out, _ = printed("good", "weak", "--out", f"drawn.{ending}")
    content = (runs / f"drawn.{ending}").read_bytes()
    assert code == 0
    assert f"drawn: drawn.{ending}" in out
    assert content.startswith(begins)
    if ending == "html":
        assert b"<script" not in content
        text = content.decode()
        assert text.count("data:image/svg+xml") == 2
        assert "Can their losses be trusted?" in text


@pytest.mark.parametrize("axis", ["updates", "seconds"])
def test_the_axis_is_updates_or_seconds(printed, runs, axis, monkeypatch):
    drawn, make = [], figures.overlay
    monkeypatch.setattr(figures, "overlay", lambda runs, **more: drawn.append((runs, more)) or make(runs, **more))
    assert printed("good", "old", "weak", "--out", "drawn.png", "--axis", axis)[0] == 0
    ((good, weak), more), *_ = drawn
    steps = np.arange(1_000, 4_001, 1_000)
    np.testing.assert_allclose(good.at, steps if axis == "updates" else steps / 66)
    assert (good.name, weak.name) == ("good", "weak")
    np.testing.assert_allclose(weak.certified, 0.4 * weak.exact)
    assert more["across"] == ("generator updates" if axis == "updates" else "seconds of training")


def test_diagnoses_without_a_time_are_left_out_and_named(printed, runs):
    events = (runs / "good" / "events.jsonl").read_text().splitlines()
    (runs / "good" / "events.jsonl").write_text("\n".join(events[:3]) + "\n")
    code, _, err = printed("good", "weak", "--axis", "seconds", "--out", "drawn.svg")
    assert code == 0
    assert "good: its events give the time of 2 of 4 diagnoses" in err
    found = read_runs([runs / "good"])[0].bracket(by_seconds=True)
    np.testing.assert_allclose(found.at, [1_000 / 66, 2_000 / 66])
    assert len(found.exact) == len(found.floor) == 2


def test_times_between_events_are_interpolated(runs):
    record = read_record(runs / "good")
    np.testing.assert_allclose(seconds_at(record, np.array([0.0, 500.0, 4_000.0])), [0, 500 / 66, 4_000 / 66])
    assert np.isnan(seconds_at(record, np.array([4_001.0]))).all()
    record.events.clear()
    assert np.isnan(seconds_at(record, np.array([0.0]))).all()


def test_a_run_is_compared_at_every_stage_of_training(printed, runs):
    rewrite(runs / "weak", lines_of(runs / "weak")[:250])
    with (runs / "weak" / "metrics.jsonl").open("a") as file:
        file.write('{"step": 2510, "esti')
    code, out, err = printed("good", "weak")
    assert (code, err) == (0, "")
    assert row(out, "weak")[1] == "2,000"


CODEC = PointsCodec(
    dtype=np.dtype(np.float32),
    num_columns=2,
    scaling=Scaling(half=np.ones(2), low=np.zeros(2), span=np.ones(2), mean=np.zeros(2), spread=np.full(2, 1 / 3)),
)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda run: source(run, codec={"kind": "images"}), "kind: images, was points"),
        (lambda run: source(run, codec=CODEC.state()), "scaling, spread: 0.333333333, 0.333333333, was 1"),
        (lambda run: source(run, fingerprint="00" * 16), "rows: points ring"),
        (lambda run: source(run, conditions={"parts": [{"name": "hair"}], "counts": []}), "conditions"),
        (lambda run: setting(run, "packing = 1", "packing = 2"), "packing: 2, was 1"),
    ],
    ids=["kind", "scaling", "rows", "conditions", "packing"],
)
def test_runs_on_different_data_are_refused_in_one_plot(printed, runs, change, message):
    change(runs / "weak")
    code, out, err = printed("good", "weak", "--out", "drawn.png")
    assert (code, out) == (2, "")
    assert "'weak' is not comparable with 'good': " in err
    assert message in err
    assert "Traceback" not in err
    assert not (runs / "drawn.png").exists()


def test_rounding_differences_of_the_scaling_are_the_same_data(printed, runs):
    for name, factor in (("good", 1.0), ("weak", 1 + 1e-15)):
        state = CODEC.state()
        state["scaling"]["spread"] = [spread * factor for spread in state["scaling"]["spread"]]
        source(runs / name, codec=state)
    assert printed("good", "weak")[0] == 0


def test_other_held_out_rows_are_the_same_data_with_a_note(printed, runs):
    source(runs / "weak", fingerprint="00" * 16)
    setting(runs / "weak", "seed = 0", "seed = 1")
    code, _, err = printed("good", "weak")
    assert code == 0
    assert "seeds or held-out shares differ" in err
    source(runs / "weak", name="another file")
    assert printed("good", "weak")[0] == 2


def test_different_numbers_of_rows_are_noted(printed, runs):
    with_diagnoses(runs / "weak", rows=500)
    code, _, err = printed("good", "weak")
    assert code == 0
    assert "numbers of held-out rows differ (1,000 in good, 500 in weak)" in err


def test_without_exact_distances_sliced_ones_are_shown_and_ranked(printed, runs):
    for name, value in (("good", 0.3), ("weak", 0.2)):
        lines = lines_of(runs / name)
        for line in lines:
            if line.pop("exact", None):
                line.update(sliced=value, sliced_floor=0.01)
        rewrite(runs / name, lines)
    _, out, _ = printed("good", "weak")
    assert "sliced W1" in out
    assert "nearest to the data by sliced W1: weak 0.2 < good 0.3" in out


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ([], 2, "RUN... is needed"),
        (["nowhere"], 2, "'nowhere' does not exist"),
        (["good", "."], 2, "'.' is not a run directory: it has no settings.toml"),
        (["good", "good"], 2, "the run 'good' is named twice"),
        (["good", "weak/../good"], 2, "'weak/../good' is the same run as 'good'"),
        (["good", "--out", "drawn.jpg"], 2, "--out drawn.jpg ends in none of .png, .svg, .html"),
        (["good", "--out", "no/drawn.png"], 2, "there is no folder no"),
        (["good", "--out", "folder.png"], 2, "--out folder.png is a folder"),
        (["old", "--out", "drawn.png"], 2, "there is nothing to draw"),
        (["good", "--axis", "hours"], 2, "--axis takes one of updates, seconds, not hours"),
        (["good", "--ouy", "x.png"], 2, "did you mean --out?"),
        (["source"], 5, "lacks describe"),
        (["gone"], 5, "source.json' cannot be read"),
        (["settings"], 5, "settings.toml' cannot be read"),
        (["damaged"], 5, "is damaged: 2 lines cannot be read"),
    ],
)
def test_invalid_arguments_are_refused(printed, runs, words, code, message):
    (runs / "folder.png").mkdir()
    for name in ("source", "gone", "settings", "damaged"):
        shutil.copytree(runs / "old", runs / name)
    (runs / "source" / "source.json").write_text('{"name": "x", "fingerprint": "y", "codec": {}}')
    (runs / "gone" / "source.json").unlink()
    (runs / "settings" / "settings.toml").write_text("not = [toml")
    with (runs / "damaged" / "metrics.jsonl").open("a") as file:
        file.write('{"step": 1, "es\nnull\n{"step": 20')
    found = printed(*words)
    assert (found[0], found[1]) == (code, "")
    assert message in found[2]
    assert "Traceback" not in found[2]


def test_more_runs_than_fit_into_one_plot_get_a_table(printed, runs):
    for place in range(12):
        shutil.copytree(runs / "good", runs / f"good-{place}")
    many = ["good", *(f"good-{place}" for place in range(12))]
    code, _, err = printed(*many, "--out", "drawn.png")
    assert code == 2
    assert "13 runs are too many for one picture: at most 12" in err
    assert printed(*many)[0] == 0


def test_runs_of_equal_names_are_named_with_their_folders(printed, runs):
    (runs / "other").mkdir()
    shutil.copytree(runs / "good", runs / "other" / "good")
    _, out, _ = printed("good", "other/good")
    assert row(out, "runs/good")
    assert row(out, "other/good")


def test_hostile_names_are_escaped(printed, runs):
    shutil.move(runs / "weak", runs / "we\x1b[31mak")
    code, out, err = printed("good", "we\x1b[31mak", "--out", "drawn.html")
    assert code == 0
    assert "\x1b" not in out + err + (runs / "drawn.html").read_text()


def test_runs_and_options_in_any_order():
    group = Group(title="x", dataclass=CompareOptions, positional={"runs": "RUN..."})
    words = ["a", "--out", "x.png", "b", "--json", "c", "--axis=seconds", "d", "--", "-e"]
    (options,) = parse(words, [group], command="compare", description="")
    assert options == CompareOptions(
        runs=tuple(map(Path, ("a", "b", "c", "d", "-e"))), out=Path("x.png"), axis="seconds", json=True
    )
