"""A room imports only rooms listed above it."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "britekit"

# From the ground floor up; what stands on one line may not import each other.
FLOORS = [
    ["errors"],
    ["processes", "leftovers"],
    ["files", "progress", "options", "format_names"],
    ["config"],
    ["audio"],
    ["quality"],
    ["annotations"],
    ["formats"],
    ["metrics"],
    ["plots"],
    ["tracking"],
    ["database"],
    ["collect"],
    ["datasets", "models"],
    ["occurrence"],
    ["training"],
    ["inference"],
    ["evaluation", "pretraining"],
    ["tuning"],
    ["archive"],
    ["results"],
    ["exchange"],
    ["service"],
    ["project"],
    ["api"],
    ["core"],
    ["commands"],
    ["command_parser"],
    ["cli"],
    ["__main__"],
]
LEVEL = {room: level for level, rooms in enumerate(FLOORS) for room in rooms}


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_rooms(path: Path) -> set[tuple[str, int]]:
    """Return the rooms a file names in imports, at its top or inside functions, with the line."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative imports hide the room"
            module = node.module or ""
            names = [f"britekit.{alias.name}" for alias in node.names] if module == "britekit" else [module]
        else:
            continue
        for name in names:
            parts = name.split(".")
            # `from britekit import __version__` names no room
            if parts[0] == "britekit" and len(parts) > 1 and parts[1] != "__version__":
                found.add((parts[1], node.lineno))
    return found


FILES = sorted(path for path in PACKAGE.rglob("*.py") if path.parent != PACKAGE or path.stem != "__init__")


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_down(path):
    room = room_of(path)
    assert room in LEVEL, f"{room} is a new room: give it its floor in tests/test_layers.py"
    wrong = [
        f"{path.relative_to(PACKAGE.parent)}:{line}: {room} may not import {other}"
        for other, line in sorted(imported_rooms(path))
        if other != room and LEVEL.get(other, 99) >= LEVEL[room]
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    "room", sorted(path.name for path in PACKAGE.iterdir() if path.is_dir() and any(path.glob("*.py")))
)
def test_rooms_explain_themselves(room):
    docstring = ast.get_docstring(ast.parse((PACKAGE / room / "__init__.py").read_text(encoding="utf-8")))
    assert docstring and len(docstring.splitlines()) >= 2, f"britekit/{room}/__init__.py has no docstring"


def test_no_room_for_everything():
    ours = [path for path in FILES if room_of(path) != "core"]  # re-exports names of public britekit
    assert not [path for path in ours if path.stem in ("util", "utils", "helpers", "common", "misc_utils")]
