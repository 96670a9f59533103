"""Type checkers and editors know every public name."""

import ast
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import britekit as bk

ROOT = Path(__file__).parents[2]
SCRIPT = Path(__file__).with_name("every_name.py")


def mypy(tmp_path: Path, text: str) -> str:
    """Check a script as a user's project would, with the package as it is installed."""
    (tmp_path / "script.py").write_text(text)
    command = [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", "script.py"]
    command += ["--config-file", str(ROOT / "pyproject.toml"), "--cache-dir", str(ROOT / ".mypy_cache/strict")]
    environment = {"MYPYPATH": str(ROOT), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    result = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, check=False, env=environment, timeout=500
    )
    return result.stdout + result.stderr


def test_the_script_uses_every_public_name():
    text = SCRIPT.read_text()
    used = set(re.findall(r"\bbk\.(\w+)", text))
    assert used == set(bk.__all__)
    methods = {name for name, _ in inspect.getmembers(bk.TrainingDatabase, inspect.isfunction) if name[0] != "_"}
    generic = {"insert", "get", "count", "update", "delete"}
    assert methods - generic <= set(re.findall(r"\bdb\.(\w+)", text))


def test_names_for_type_checkers_are_those_of_the_package():
    tree = ast.parse((ROOT / "britekit/__init__.py").read_text())
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    named = {alias.asname: node.module for node in block.body for alias in node.names}
    assert named == {"commands": "britekit", "util": "britekit.api.compat"} | bk._HOMES
    assert (ROOT / "britekit/py.typed").exists()


@pytest.mark.slow
def test_strict_mypy_knows_every_name(tmp_path):
    assert "Success" in (printed := mypy(tmp_path, SCRIPT.read_text())), printed
    # And none of them is Any: an attribute that does not exist is an error.
    names = [name for name in bk.__all__ if name != "__version__"]
    wrong = "import britekit as bk\n" + "".join(f"bk.{name}.missing_attribute\n" for name in names)
    wrong += "bk.TrainingDatabase().insert_class(nmae='x')\nbk.commands.analyze(inputpath='x')\n"
    printed = mypy(tmp_path, wrong)
    lines = {int(line) for line in re.findall(r"script\.py:(\d+): error", printed)}
    assert lines == set(range(2, len(names) + 4)), printed
