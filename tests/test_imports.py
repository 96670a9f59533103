"""What is loaded when: help at once, the CPU path without torch, public names on first use."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import britekit
from britekit.commands import command_names

PACKAGE = Path(britekit.__file__).parent
TORCH = {"torch", "lightning", "torchaudio", "timm"}
HEAVY = TORCH | {"pandas", "numpy", "scipy", "sqlalchemy", "matplotlib", "bentoml", "wandb", "sklearn", "yaml", "dvc"}
# The PyTorch backend and the making of exports; whoever uses them imports them inside a function.
NEED_TORCH = {"britekit.inference.torch_model", "britekit.inference.export"}
WITHOUT_TORCH = "annotations audio collect config database evaluation inference metrics plots project service tracking"


def loaded_by(code: str) -> set[str]:
    """Return the modules that a fresh interpreter has loaded after some code."""
    code += "\nimport sys; print('LOADED', *{name.partition('.')[0] for name in sys.modules}, *sys.modules)"
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode == 0, result.stderr
    return set(result.stdout.rpartition("LOADED")[2].split())


def modules_of(room: str) -> list[str]:
    files = [path for path in (PACKAGE / room).rglob("*.py") if path.stem != "__main__"]
    names = [str(path.relative_to(PACKAGE.parent).with_suffix("")).replace("/", ".") for path in files]
    return sorted({name.removesuffix(".__init__") for name in names} - NEED_TORCH)


def test_importing_the_package_loads_nothing():
    assert not loaded_by("import britekit, britekit.cli, britekit.commands") & (HEAVY | {"argparse"})


def test_help_of_every_command_loads_no_library():
    code = "from britekit.cli import build_parser, help_text\nfrom britekit.commands import command_names\n"
    code += "help_text()\nfor name in command_names(): build_parser(name).format_help()"
    assert not loaded_by(code) & HEAVY


@pytest.mark.parametrize("room", WITHOUT_TORCH.split())
def test_rooms_of_the_cpu_path_load_no_torch(room):
    """The serving image has none."""
    names = modules_of(room)
    if not names:
        pytest.skip(f"no room {room} yet")
    loaded = loaded_by(f"import importlib\nfor name in {names!r}: importlib.import_module(name)")
    assert not loaded & TORCH


def test_functions_that_load_networks_are_imported_without_torch():
    """A program that scores with exports imports them by name, and calls them only without."""
    assert not loaded_by("from britekit import load_from_checkpoint, load_new_model") & TORCH


def test_analyses_and_the_service_start_without_the_slow_parts_of_scipy():
    """``scipy.stats`` alone takes 0.8 s of CPU to import, which each start of the service would take."""
    loaded = loaded_by("import britekit.service.run, britekit.inference.output, britekit.commands.analyze")
    assert "scipy" in loaded and not loaded & {"scipy.stats", "scipy.signal", "scipy.optimize"}


def test_public_names_exist():
    for name in britekit.__all__:
        assert getattr(britekit, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = britekit.nothing


@pytest.mark.parametrize("name", command_names())
def test_commands_are_functions_however_imported(name):
    module = importlib.import_module(f"britekit.commands.{name}")
    function = getattr(britekit.commands, name)
    assert function is getattr(module, name)
    assert callable(function)
    assert function.__name__ == name


def test_star_import_brings_every_command():
    namespace: dict[str, object] = {}
    exec("from britekit.commands import *", namespace)
    assert set(command_names()) <= set(namespace)
    assert all(callable(namespace[name]) for name in command_names())
