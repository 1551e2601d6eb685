"""The examples of the guide run as they stand."""

import re
from pathlib import Path

import pytest

from wgan.constraints import CONSTRAINTS
from wgan.runs import RunWarning

GUIDE = Path(__file__).parents[1] / "docs" / "guide.md"


def examples(section):
    """The Python blocks of one section of the guide."""
    text = re.split(rf"^## {section}$", GUIDE.read_text(encoding="utf-8"), flags=re.MULTILINE)[1]
    text = re.split(r"^## ", text, flags=re.MULTILINE)[0]
    return re.findall(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def run(blocks):
    """Execute the blocks one after another, and return their variables."""
    names: dict = {"__name__": "guide"}
    for block in blocks:
        exec(compile(block, "guide", "exec"), names)
    return names


def test_the_examples_of_your_own_parts_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(CONSTRAINTS, "rows", dict(CONSTRAINTS.rows))
    blocks = examples("Your own parts")
    assert len(blocks) == 5
    with pytest.warns(RunWarning, match="your own parts are not saved"):
        names = run(blocks)
    assert names["again"].sample(3).shape == names["model"].sample(3).shape == (3, 2)
    assert names["new"].shape == (100, 2)
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["10", "20"]
