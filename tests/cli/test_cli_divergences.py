"""The table and the JSON of `wgan divergences`."""

import json

import pytest

from wgan.cli.main import main
from wgan.divergences import DIVERGENCES


def printed(capsys, *words):
    code = main(["divergences", *words])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_the_table_shows_every_row_within_120_columns(capsys):
    code, out, _ = printed(capsys)
    assert code == 0
    lines = out.splitlines()
    assert max(map(len, lines)) <= 120
    first = {line.split()[0].split(":")[0] for line in lines if line.strip()}
    assert set(DIVERGENCES) <= first
    for title in ("f(u)", "f*(t)", "domain", "f'(1)", "disjoint"):
        assert title in out
    row = next(line for line in lines if line.startswith("reverse_kl"))
    assert row.split("  ")[0] == "reverse_kl"
    assert [cell.strip() for cell in row.split("  ") if cell.strip()] == [
        "reverse_kl", "−log u", "−1 − log(−t)", "t < 0", "−1", "1", "∞",
    ]  # fmt: skip


def test_json_holds_the_same_rows_and_is_strict(capsys):
    code, out, _ = printed(capsys, "--json")
    assert code == 0
    rows = {row["name"]: row for row in json.loads(out, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))}
    assert list(rows) == list(DIVERGENCES)
    assert rows["reverse_kl"]["domain"] == {"upper": 0.0, "closed": False, "text": "t < 0"}
    assert rows["kl"]["domain"]["upper"] == rows["kl"]["disjoint"] == "inf"
    assert rows["weighted_jensen_shannon"]["parameters"] == {"pi": 0.5}
    assert rows["total_variation"]["curvature"] is None
    assert rows["gan"]["threshold"] == pytest.approx(-0.6931, abs=1e-4)


@pytest.mark.parametrize(
    ("words", "message"), [(["--jsn"], "did you mean --json"), (["kl"], "unexpected argument 'kl'")]
)
def test_other_arguments_are_refused(capsys, words, message):
    code, out, err = printed(capsys, *words)
    assert (code, out) == (2, "")
    assert message in err
