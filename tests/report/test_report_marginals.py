"""Columns by themselves on the page of a run, as its last evaluation found them."""

import json
import re

import pyarrow as pa
import pytest

from fake_runs import fake_run
from wgan.evaluation import marginal
from wgan.report import write_report
from wgan.report.marginals import read_columns


def with_columns(run, columns):
    """The run, whose last line holds an evaluation with columns."""
    path = run / "metrics.jsonl"
    lines = path.read_text().splitlines()
    lines[-1] = json.dumps(json.loads(lines[-1]) | {"score": 1.0, "w1": 1.0, "w1_floor": 0.5, "columns": columns})
    path.write_text("".join(f"{line}\n" for line in lines))
    return run


MOVED = marginal("a <b> amount", pa.array([0.5, 1.0, 2.0] * 40), pa.array([13.0, 13.3, 15.0] * 40))


def test_a_median_that_moved_stands_on_the_page(tmp_path):
    run = with_columns(fake_run(tmp_path / "run", "table"), [MOVED.as_json()])
    page = write_report(run).read_text()
    section = page[page.index("Each column by itself") :]
    rows = [
        re.findall("<td>(.*?)</td>", row) for row in re.findall("<tr>(.*?)</tr>", section.partition("</table>")[0])[1:]
    ]
    assert rows[0] == ["a &lt;b&gt; amount", "1", "&lt;.0001", "real", "0.5", "0.5", "1", "2", "2"]
    assert rows[1] == ["", "", "", "samples", "13", "13", "13.3", "15", "15"]


@pytest.mark.parametrize("columns", [[], None, [{"name": "x"}], "lost", [MOVED.as_json() | {"first": None}]])
def test_without_columns_there_is_no_section(tmp_path, columns):
    assert read_columns({"columns": columns}) == []
    page = write_report(with_columns(fake_run(tmp_path / "run", "table"), columns)).read_text()
    assert "Each column by itself" not in page
