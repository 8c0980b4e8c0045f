"""Plugins import only what the guide lists, and the guide lists only what exists."""

import ast
import re
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
GUIDE = (ROOT / "docs" / "writing-a-plugin.md").read_text()
SECTION = GUIDE.partition("## What a plugin may import\n")[2].partition("\n## ")[0]
ROOMS = {
    room: re.findall(r"`(\w+)`", names)
    for room, names in re.findall(r"^\| `(lesionbench[\w.]*)` \| (.*) \|$", SECTION, re.M)
}
SOURCES = sorted([*ROOT.glob("plugins/*/src/**/*.py"), *ROOT.glob("tests/packages/*.py")])


def imports_of_lesionbench(file):
    """(module, name) of everything that a file imports from lesionbench, for type checkers too."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "lesionbench":
            yield from ((node.module, alias.name) for alias in node.names)
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names if alias.name.partition(".")[0] == "lesionbench")


@pytest.mark.parametrize("file", SOURCES, ids=lambda file: str(file.relative_to(ROOT)))
def test_a_plugin_imports_only_what_the_guide_lists(file):
    for room, name in imports_of_lesionbench(file):
        assert name in ROOMS.get(room, []), f"{name} of {room} is not listed in docs/writing-a-plugin.md"


@pytest.mark.parametrize("room", ROOMS)
def test_every_name_that_the_guide_lists_exists(room):
    assert [name for name in ROOMS[room] if not hasattr(import_module(room), name)] == []


def test_the_guide_lists_every_room():
    rooms = {"", ".image_files", ".pictures", ".tables", ".testing"}
    rooms |= {
        f".torchkit.{path.stem}" for path in ROOT.glob("src/lesionbench/torchkit/*.py") if path.stem != "__init__"
    }

    assert set(ROOMS) == {f"lesionbench{room}" for room in rooms}
