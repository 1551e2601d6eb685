"""Imports go downwards, without circles. Floors are computed from the import statements."""

import subprocess
import sys
from pathlib import Path

import pytest
from docs.floors import circle_of, floors_of, module_graph, picture, room_graph

import wgan

PACKAGE = Path(wgan.__file__).parent


def test_modules_do_not_import_one_another_in_a_circle():
    circle = circle_of(module_graph(PACKAGE))
    assert not circle, " -> ".join(circle)


def test_modules_of_the_benchmarks_do_not_import_one_another_in_a_circle():
    circle = circle_of(module_graph(PACKAGE.parents[1] / "bench"))
    assert not circle, " -> ".join(circle)


def test_there_are_at_most_22_rooms_on_12_floors():
    rooms = room_graph(module_graph(PACKAGE))
    assert len(floors_of(rooms)) <= 12
    assert len(rooms.keys() - {"__init__", "__main__"}) <= 22


def test_no_room_imports_the_top_of_the_package():
    rooms = room_graph(module_graph(PACKAGE))
    assert {room for room, targets in rooms.items() if "__init__" in targets} == set()


def test_the_picture_in_the_docs_is_current():
    text = (PACKAGE.parents[1] / "docs" / "architecture.md").read_text(encoding="utf-8")
    assert picture(PACKAGE) in text, "run `make docs`"


@pytest.fixture
def package(tmp_path):
    """A function that writes a small package from {file: text}."""

    def write(files):
        folder = tmp_path / "wgan"
        for name, text in ({"__init__.py": ""} | files).items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
        return folder

    return write


@pytest.mark.parametrize(
    "statement",
    [
        "import wgan.low",
        "from wgan.low import x",
        "from wgan import low",
        "from . import low",
        "from .low import x",
        "def f():\n    import wgan.low",
        "if TYPE_CHECKING:\n    from wgan.low import x",
    ],
)
def test_every_form_of_import_is_found(package, statement):
    folder = package({"low.py": "x = 1", "high.py": statement})
    assert room_graph(module_graph(folder))["high"] == {"low"}
    assert floors_of(room_graph(module_graph(folder))) == [["__init__", "low"], ["high"]]


def test_other_packages_and_imports_within_a_room_do_not_count(package):
    folder = package({"a/__init__.py": "from .b import x", "a/b.py": "import torch\nimport wgandering", "c.py": ""})
    assert room_graph(module_graph(folder)) == {"__init__": set(), "a": set(), "c": set()}


@pytest.mark.parametrize(
    ("files", "circle"),
    [
        ({"a.py": "from wgan.b import x", "b.py": "from wgan import a"}, ["wgan.a", "wgan.b", "wgan.a"]),
        (
            {
                "a/__init__.py": "",
                "a/one.py": "from wgan.a.two import x",
                "a/two.py": "def f():\n    import wgan.a.one",
            },
            ["wgan.a.one", "wgan.a.two", "wgan.a.one"],
        ),
    ],
)
def test_a_circle_of_files_is_named(package, files, circle):
    assert circle_of(module_graph(package(files))) == circle


def test_a_circle_of_rooms_is_an_error(package):
    folder = package(
        {
            "a/__init__.py": "", "a/one.py": "from wgan.b.one import x", "a/two.py": "",
            "b/__init__.py": "", "b/one.py": "", "b/two.py": "from wgan.a.two import x",
        }
    )  # fmt: skip
    assert circle_of(module_graph(folder)) == []
    with pytest.raises(ValueError, match="a -> b -> a"):
        floors_of(room_graph(module_graph(folder)))


@pytest.mark.parametrize(
    "module", ["wgan", "wgan.settings", "wgan.settings.recipes", "wgan.data.names", "wgan.data", "wgan.cli.main"]
)
def test_light_modules_do_not_import_torch(module):
    # In a fresh process, since this one has imported torch.
    slow = ("torch", "ot", "matplotlib", "pandas", "pyarrow", "scipy", "lmdb")
    code = f"import sys, {module}; print(*[name for name in {slow!r} if name in sys.modules])"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert answer.stdout.split() == []


def test_help_does_not_import_torch():
    code = (
        "import sys\nsys.argv = ['wgan', '--help']\nfrom wgan.__main__ import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\nprint('torch' in sys.modules, file=sys.stderr)"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert "train" in answer.stdout
    assert answer.stderr.strip().endswith("False")
