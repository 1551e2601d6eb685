"""The guide and the other pages are true: their examples run, and their links, imports and options exist."""

import ast
import importlib
import re
from pathlib import Path

import pytest

from wgan.cli.main import main
from wgan.constraints import CONSTRAINTS
from wgan.runs import RunWarning

REPOSITORY = Path(__file__).parents[1]
GUIDE = REPOSITORY / "docs" / "guide.md"
PAGES = [*REPOSITORY.glob("*.md"), *(REPOSITORY / "docs").glob("*.md")]
every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def blocks(text, *languages):
    """The code blocks of a page in these languages; "" for blocks without one."""
    found = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    return [code for language, code in found if language in languages]


def examples(section):
    """The Python blocks of one section of the guide."""
    text = re.split(rf"^## {section}$", GUIDE.read_text(encoding="utf-8"), flags=re.MULTILINE)[1]
    return blocks(re.split(r"^## ", text, flags=re.MULTILINE)[0], "python")


def run(codes):
    """Execute the blocks one after another, and return their variables."""
    names: dict = {"__name__": "guide"}
    for code in codes:
        exec(compile(code, "guide", "exec"), names)
    return names


def test_the_examples_of_your_own_parts_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(CONSTRAINTS, "rows", dict(CONSTRAINTS.rows))
    codes = examples("Your own parts")
    assert len(codes) == 5
    with pytest.warns(RunWarning, match="your own parts are not saved"):
        names = run(codes)
    assert names["again"].sample(3).shape == names["model"].sample(3).shape == (3, 2)
    assert names["new"].shape == (100, 2)
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["10", "20"]


def anchors(page):
    """The anchors of the headings of a page, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@every_page
def test_every_link_leads_to_a_file_and_a_heading(page):
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        path, _, anchor = link.partition("#")
        if not path.startswith("http"):
            target = page.parent / path if path else page
            assert target.exists(), link
            assert not anchor or anchor in anchors(target), link


@every_page
def test_every_name_that_is_imported_exists(page):
    for code in blocks(page.read_text(encoding="utf-8"), "python"):
        for node in ast.walk(ast.parse(code)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "wgan":
                module = importlib.import_module(node.module)
                assert all(hasattr(module, alias.name) for alias in node.names), ast.unparse(node)


def commands(text):
    """The commands of wgan in a page: [(command, options)]."""
    lines = "\n".join(blocks(text, "sh", "")).splitlines() + re.findall(r"`(wgan [^`]*)`", text)
    found = [re.match(r"\S*wgan (\w+)(.*)", line.partition(" #")[0]) for line in lines]
    return [(each[1], re.findall(r"(?<!\S)--[a-z][\w-]*", each[2])) for each in found if each]


@every_page
def test_every_option_of_a_command_exists(page, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    known = {}
    for command, options in commands(page.read_text(encoding="utf-8")):
        if command not in known:
            assert main([command, "--help"]) == 0, command
            known[command] = capsys.readouterr().out
        for option in options:
            assert re.search(rf"{option}(?![\w-])", known[command]), f"wgan {command} {option}"
