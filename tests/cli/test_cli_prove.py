"""The runs, claims and plots of `wgan prove`."""

import json

import pytest

from wgan.cli.main import main
from wgan.studies.proofs import curves, zoo
from wgan.studies.proofs.known import known
from wgan.trust.verdict import Verdict


def output_of(capsys, *words):
    code = main(["prove", *words])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.fixture
def tiny(monkeypatch):
    """Shorten the runs to a few updates."""
    monkeypatch.setattr(curves, "TOYS", ("ring",))
    monkeypatch.setattr(curves, "QUICK", curves.Scale(steps=8, early=4, late=3, rows=40, seeds=1))


def test_known_prints_a_table_and_claims_and_draws_a_figure(capsys, tmp_path):
    code, out, err = output_of(capsys, "known", "--quick", "--picture", str(tmp_path / "drawn.svg"))
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert sum(line.startswith(("yes  ", "NO   ")) for line in lines) == 7
    assert sum(line.startswith(("parallel lines ", "Gaussians, ")) for line in lines) == 4
    drawn = (tmp_path / "drawn.svg").read_text(encoding="utf-8")
    for text in ("parallel lines", "Gaussians, 10-D", "nearest neighbours, no critic", "√(Ŵ² − floor²)"):
        assert text in drawn


@pytest.mark.slow
def test_all_claims_on_known_distances_hold(capsys):
    code, out, err = output_of(capsys, "known", "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert all(claim["holds"] for claim in found["claims"])
    assert [len(row["repetitions"]) for row in found["known"]] == [5] * 4


def test_a_failed_claim_is_an_error_unless_quick(capsys, monkeypatch):
    def poor(**given):
        return known(**(given | {"size": 40, "repetitions": 2, "critic_steps": 1}))

    monkeypatch.setattr("wgan.studies.proofs.known.known", poor)
    code, out, err = output_of(capsys, "known")
    assert code == 4
    assert "NO   a critic at its optimum proves the exact distance of its samples" in out
    assert "does not hold in this experiment: a critic at its optimum" in err
    assert output_of(capsys, "known", "--quick")[0] == 0


def test_curves_report_each_run_and_reuse_stored_runs(capsys, tmp_path, tiny):
    words = ["curves", "--quick", "--folder", str(tmp_path / "kept"), "--picture", str(tmp_path / "drawn.png")]
    code, out, err = output_of(capsys, *words)
    assert (code, err) == (0, "")
    assert "The Adult census is left out" in out
    assert [line.split()[1] for line in out.splitlines() if " seed 0: W1 " in line] == ["penalty", "clipping", "gan"]
    assert "(kept)" not in out
    assert max(len(line) for line in out.splitlines() if not line.startswith(("yes", "NO"))) <= 120
    assert (tmp_path / "drawn.png").read_bytes().startswith(b"\x89PNG")
    again = output_of(capsys, *words)[1]
    assert again.count("(kept)") == 3
    assert again.replace("  (kept)", "") == out


def test_curves_as_json(capsys, tiny):
    code, out, err = output_of(capsys, "curves", "--quick", "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert found["left_out"] == ["adult"]
    assert len(found["claims"]) == 8
    for row in found["runs"]:
        assert len(row["seen"]["certified"]) == len(row["steps"]) == 6
        assert set(row["rank_correlations"]) == {"all", "later", "off_floor"}
        assert -1 <= row["rank_correlations"]["all"]["certified"] <= 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "PROOF is needed"),
        (["curve"], "PROOF takes one of curves, known, zoo"),
        (["known", "--adult", "adult.csv"], "--adult does not apply to known, but to curves"),
        (["known", "--jobs", "2"], "--jobs does not apply to known, but to curves"),
        (["known", "--folder", "kept"], "--folder does not apply to known, but to curves"),
        (["curves", "--jobs", "0"], "--jobs must be at least 1, not 0"),
        (["curves", "--adult", "nowhere.csv"], "--adult nowhere.csv is not an existing file with a table"),
        (["curves", "--picture", "x.gif"], "ends neither in .png nor in .svg"),
        (["known", "--picture", "/nowhere/x.png"], "there is no folder /nowhere"),
    ],
)
def test_other_arguments_are_refused_before_training(capsys, words, message):
    code, out, err = output_of(capsys, *words)
    assert (code, out) == (2, "")
    assert message in err


def zoo_run(name, expected, found):
    verdict = Verdict(kind=found, reason="because", remedy="", evidence={})
    return zoo.CaseResult(
        name=name, seed=0, expected=expected, verdict=verdict, ground_truth={}, is_true=True, lines=[]
    )  # fmt: skip


@pytest.mark.parametrize(("found", "code"), [("collapsed", 0), ("trust", 4)])
def test_the_zoo_prints_each_run_and_a_table_and_draws_a_figure(capsys, tmp_path, monkeypatch, found, code):
    runs = [zoo_run("sound", "trust", "trust"), zoo_run("poor", "collapsed", found)]
    monkeypatch.setattr(zoo, "run_cases", lambda names, seeds: iter(runs))
    answer, out, err = output_of(capsys, "zoo", "--picture", str(tmp_path / "drawn.png"))
    assert answer == code
    assert bool(err) == bool(code)
    lines = out.splitlines()
    assert any(line.startswith("    sound ") for line in lines)
    assert any(line.startswith("NO  poor " if code else "    poor ") for line in lines)
    (row,) = [line for line in lines if line.startswith("collapsed")]
    assert row.split() == (["collapsed", "1", "·"] if code else ["collapsed", "·", "1"])
    assert (tmp_path / "drawn.png").read_bytes().startswith(b"\x89PNG")
    printed = json.loads(output_of(capsys, "zoo", "--json")[1])
    assert printed["confusion"] == {"trust": {"trust": 1}, "collapsed": {found: 1}}


@pytest.mark.slow
def test_a_quick_zoo(capsys):
    code, out, err = output_of(capsys, "zoo", "--quick")
    assert (code, err) == (0, "")
    assert "ring-penalty " in out
    assert "ring-dead " in out
