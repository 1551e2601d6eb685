"""The rooms of the package and their floors, computed from import statements: `python docs/floors.py` prints them.

A room is an entry at the top of the package, a module or a folder. Its floor is one more than the highest floor of the
rooms that it imports from. Imports inside functions count too.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

Edges = dict[str, set[str]]
PACKAGE = Path(__file__).parents[1] / "src" / "wgan"


def module_of(path: Path, package: Path) -> str:
    """The dotted name of a file of the package."""
    parts = path.relative_to(package.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(path: Path, package: Path, modules: set[str]) -> Iterator[tuple[int, str]]:
    """Each import of the package's own modules in a file, as (line, dotted module).

    Args:
        path: The file.
        package: Folder of the package.
        modules: The dotted names of all its modules.
    """
    own = module_of(path, package).split(".")
    folder = own if path.name == "__init__.py" else own[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            start = folder[: len(folder) - node.level + 1] if node.level else []
            base = ".".join([*start, *([node.module] if node.module else [])])
            # `from package import module` depends on the module, `from module import name` on the module too.
            targets = [f"{base}.{alias.name}" if f"{base}.{alias.name}" in modules else base for alias in node.names]
        else:
            continue
        yield from ((node.lineno, target) for target in targets if target.split(".")[0] == package.name)


def module_graph(package: Path) -> Edges:
    """Each module of the package with the modules that it imports."""
    files = {module_of(path, package): path for path in sorted(package.rglob("*.py"))}
    return {
        module: {target for _, target in imports_of(path, package, set(files))} - {module}
        for module, path in files.items()
    }


def room_of(module: str) -> str:
    """The room of a dotted module: "data" for "wgan.data.images", "__init__" for "wgan"."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


def room_graph(modules: Edges) -> Edges:
    """Each room with the other rooms that it imports from."""
    rooms: Edges = {}
    for module, targets in modules.items():
        room = room_of(module)
        rooms.setdefault(room, set()).update({room_of(target) for target in targets} - {room})
    return rooms


def circle_of(edges: Mapping[str, set[str]]) -> list[str]:
    """The nodes of one circle of a directed graph, in order and closed; empty if there is none."""
    done: set[str] = set()

    def walk(node: str, trail: list[str]) -> list[str]:
        if node in trail:
            return [*trail[trail.index(node) :], node]
        if node in done:
            return []
        for target in sorted(edges.get(node, ())):
            if found := walk(target, [*trail, node]):
                return found
        done.add(node)
        return []

    return next((found for node in sorted(edges) if (found := walk(node, []))), [])


def floors_of(rooms: Edges) -> list[list[str]]:
    """The rooms of each floor, the lowest first.

    Raises:
        ValueError: Rooms import one another in a circle.
    """
    if circle := circle_of(rooms):
        raise ValueError(f"rooms import one another in a circle: {' -> '.join(circle)}")
    heights: dict[str, int] = {}

    def height(room: str) -> int:
        if room not in heights:
            heights[room] = 1 + max((height(target) for target in rooms.get(room, ())), default=-1)
        return heights[room]

    top = max(map(height, rooms), default=-1)
    return [sorted(room for room in rooms if heights[room] == floor) for floor in range(top + 1)]


def picture(package: Path = PACKAGE) -> str:
    """The floors as lines of text, the highest first."""
    floors = floors_of(room_graph(module_graph(package)))
    lines = []
    for number, rooms in reversed(list(enumerate(floors, start=1))):
        names = [f"{room}/" if (package / room).is_dir() else f"{room}.py" for room in rooms]
        lines.append(f"{number:>2}  {'  '.join(names)}")
    return "\n".join(lines)


if __name__ == "__main__":
    print(picture())
