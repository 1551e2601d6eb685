"""Marginal distributions on the page of a run."""

import json
import re

import pyarrow as pa
import pytest

from fake_runs import fake_run
from wgan.evaluation import marginal
from wgan.report import write_report
from wgan.report.evaluations import read_columns


def with_columns(run, columns):
    """Add columns to the last evaluation of a run."""
    path = run / "metrics.jsonl"
    lines = path.read_text().splitlines()
    lines[-1] = json.dumps(json.loads(lines[-1]) | {"score": 1.0, "w1": 1.0, "w1_floor": 0.5, "columns": columns})
    path.write_text("".join(f"{line}\n" for line in lines))
    return run


SHIFTED = marginal("a <b> amount", pa.array([0.5, 1.0, 2.0] * 40), pa.array([13.0, 13.3, 15.0] * 40))


def test_a_shifted_column_is_on_the_page(tmp_path):
    run = with_columns(fake_run(tmp_path / "run", "table"), [SHIFTED.as_json()])
    page = write_report(run).read_text()
    section = page[page.index("Marginal distributions") :]
    rows = [
        re.findall("<td>(.*?)</td>", row) for row in re.findall("<tr>(.*?)</tr>", section.partition("</table>")[0])[1:]
    ]
    assert rows[0] == ["a &lt;b&gt; amount", "1", "&lt;.0001", "real", "0.5", "0.5", "1", "2", "2"]
    assert rows[1] == ["", "", "", "samples", "13", "13", "13.3", "15", "15"]


@pytest.mark.parametrize("columns", [[], None, [{"name": "x"}], "lost", [SHIFTED.as_json() | {"first": None}]])
def test_without_columns_there_is_no_section(tmp_path, columns):
    assert read_columns({"columns": columns}) == []
    page = write_report(with_columns(fake_run(tmp_path / "run", "table"), columns)).read_text()
    assert "Marginal distributions" not in page
