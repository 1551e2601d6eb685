"""A house stands only if every floor rests on those below it: imports go downwards, and this is where it is checked."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import wgan

PACKAGE = Path(wgan.__file__).parent

# Rooms are named by their first component: "data" stands for wgan.data and everything in it.
FLOORS = (
    (
        "ambient",
        "errors",
        "batch",
        "choices",
        "display",
        "divergences",
        "measures",
        "memory",
        "permutations",
        "quiet",
        "randomness",
        "settings",
        "storage",
        "threads",
        "topology",
        "transport",
        "kernels",
    ),
    ("objectives", "constraints", "optimizers", "networks", "data", "engine", "features"),
    (
        "training",
        "game",
        "rounds",
        "rules",
        "draws",
        "losses",
        "updates",
        "checkpoints",
        "critics",
        "metrics",
        "obedience",
        "comparing",
        "figures",
        "failures",
        "export",
        "trust",
    ),
    ("assembly", "own", "recipes", "experiment", "proofs"),
    ("report", "live"),
    ("estimator", "cli", "__main__", "__init__"),
)
# What every room may read: the top of the package is otherwise only for users.
VERSION = "wgan.__version__"


def room_of(module):
    """The room of a dotted module name: "data" for "wgan.data.images", "__init__" for "wgan"."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


def module_name(path, package):
    """The dotted name of a file of the package."""
    parts = path.relative_to(package.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(path, package):
    """Every import of a file of the package, wherever it stands, as (line, full dotted target)."""
    top = package.name
    here = module_name(path, package).split(".")
    own_package = here if path.name == "__init__.py" else here[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = own_package[: len(own_package) - node.level + 1] if node.level else []
            module = ".".join([*start, *([node.module] if node.module else [])])
            if module == top:
                yield from ((node.lineno, f"{module}.{alias.name}") for alias in node.names)
            else:
                yield node.lineno, module


def faults(package, floors):
    """What is wrong with a package's imports, a line each.

    Args:
        package: Folder of the package.
        floors: Rooms of each floor, the lowest first.
    """
    height = {room: floor for floor, rooms in enumerate(floors) for room in rooms}
    found, beside = [], {}
    for path in sorted(package.rglob("*.py")):
        room = room_of(module_name(path, package))
        if room not in height:
            found.append(
                f"{path.relative_to(package)}: room '{room}' has no floor: give it one in tests/test_floors.py"
            )
            continue
        for line, target in imports_of(path, package):
            if target.split(".")[0] != package.name or target == VERSION:
                continue
            below, where = room_of(target), f"{path.relative_to(package)}:{line}"
            if below not in height:
                found.append(f"{where} imports {target}, which has no floor")
            elif height[below] > height[room]:
                found.append(
                    f"{where} (room '{room}', floor {height[room]}) imports {target} (floor {height[below]}): "
                    "imports go downwards"
                )
            elif height[below] == height[room] and below != room:
                beside.setdefault(room, set()).add(below)
    return found + [f"rooms of one floor import one another in a circle: {circle}" for circle in circles(beside)]


def circles(edges):
    """Each circle of a directed graph once, as text."""
    found = set()

    def walk(node, trail):
        if node in trail:
            circle = trail[trail.index(node) :]
            start = circle.index(min(circle))
            found.add(" -> ".join([*circle[start:], *circle[:start], min(circle)]))
            return
        for following in edges.get(node, ()):
            walk(following, [*trail, node])

    for node in edges:
        walk(node, [])
    return sorted(found)


def test_imports_of_the_package_go_downwards():
    found = faults(PACKAGE, FLOORS)
    assert not found, "\n".join(["", *found])


def test_the_rooms_have_one_floor_each():
    rooms = [room for floor in FLOORS for room in floor]
    assert len(rooms) == len(set(rooms))


def test_every_room_with_a_floor_exists():
    there = {path.stem for path in PACKAGE.glob("*.py")} | {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert {room for floor in FLOORS for room in floor} == there


def test_the_picture_of_the_house_shows_the_same_rooms_on_the_same_floors():
    text = (PACKAGE.parents[1] / "docs" / "architecture.md").read_text(encoding="utf-8")
    drawn = re.findall(r"^floor (\d)  \w+ +(.+)$", text, re.MULTILINE)
    assert [int(number) for number, _ in drawn] == list(range(len(FLOORS)))[::-1]
    assert {int(number): {room.rstrip("/") for room in rooms.split()} for number, rooms in drawn} == dict(
        enumerate(map(set, FLOORS))
    )


@pytest.fixture
def house(tmp_path):
    """Builds a small package from {file: text}."""

    def build(files):
        package = tmp_path / "wgan"
        for name, text in ({"__init__.py": ""} | files).items():
            (package / name).parent.mkdir(parents=True, exist_ok=True)
            (package / name).write_text(text)
        return package

    return build


SMALL = (("low", "stone"), ("middle", "beam"), ("__init__",))


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"low.py": "import wgan.middle"}, "low.py:1 (room 'low', floor 0) imports wgan.middle (floor 1)"),
        ({"low.py": "from wgan.middle import x"}, "low.py:1 (room 'low', floor 0) imports wgan.middle (floor 1)"),
        ({"low.py": "from wgan import middle"}, "low.py:1 (room 'low', floor 0) imports wgan.middle (floor 1)"),
        ({"low.py": "from . import middle"}, "low.py:1 (room 'low', floor 0) imports wgan.middle (floor 1)"),
        ({"low.py": "from .middle import x"}, "low.py:1 (room 'low', floor 0) imports wgan.middle (floor 1)"),
        (
            {"low.py": "\ndef f():\n    import wgan.middle.deep"},
            "low.py:3 (room 'low', floor 0) imports wgan.middle.deep",
        ),
        ({"low/__init__.py": "", "low/in.py": "from ..middle import x"}, "low/in.py:1 (room 'low', floor 0) imports"),
        ({"low/__init__.py": "from ..middle import x"}, "low/__init__.py:1 (room 'low', floor 0) imports wgan.middle"),
        ({"low.py": "if TYPE_CHECKING:\n    from wgan.middle import x"}, "low.py:2 (room 'low', floor 0) imports"),
        ({"middle.py": "import wgan"}, "middle.py:1 (room 'middle', floor 1) imports wgan (floor 2)"),
        ({"attic.py": ""}, "attic.py: room 'attic' has no floor"),
        ({"low.py": "from wgan.attic import x"}, "low.py:1 imports wgan.attic, which has no floor"),
        (
            {"low.py": "from wgan.stone import x", "stone.py": "from wgan.low import y"},
            "rooms of one floor import one another in a circle: low -> stone -> low",
        ),
    ],
)
def test_the_check_finds(files, message, house):
    found = faults(house(files), SMALL)
    assert len(found) == 1
    assert found[0].startswith(message)


@pytest.mark.parametrize(
    "files",
    [
        {"middle.py": "import torch\nfrom wgan.low import x\nfrom wgan import low, __version__"},
        {"low.py": "from wgan.stone import x", "stone.py": "import wgandering"},
        {"low/__init__.py": "from .a import x", "low/a.py": "from wgan.low import b", "low/b.py": ""},
        {"__init__.py": "from wgan.middle import x", "middle.py": "from .low import y"},
    ],
)
def test_the_check_lets_pass(files, house):
    assert faults(house(files), SMALL) == []


@pytest.mark.parametrize(
    "module", ["wgan", "wgan.settings", "wgan.settings.recipes", "wgan.data.names", "wgan.data", "wgan.cli"]
)
def test_what_answers_at_once_does_not_import_torch(module):
    # A fresh process: this one has imported torch long ago. Nothing slow may come in by another name either.
    slow = ("torch", "ot", "matplotlib", "pandas", "pyarrow", "scipy", "lmdb")
    code = f"import sys, {module}; print(*[name for name in {slow!r} if name in sys.modules])"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert answer.stdout.split() == []


def test_the_command_line_helps_without_importing_torch():
    code = (
        "import sys\nsys.argv = ['wgan', '--help']\nfrom wgan.__main__ import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\nprint('torch' in sys.modules, file=sys.stderr)"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert "train" in answer.stdout
    assert answer.stderr.strip().endswith("False")
