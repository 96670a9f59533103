"""One file per command: its summary and a function of the same name, whose annotations declare the options.

The function takes plain values (paths, names, numbers), calls the library and prints results, one
`name = value` per line. The folder is the list: adding a file is the whole job.

`britekit.commands.train` is the function `train`, loaded on first use, also after `import
britekit.commands.train`. The file itself is `importlib.import_module("britekit.commands.train")`.
"""

import os
import sys
from types import ModuleType
from typing import Any


def command_names() -> list[str]:
    """Return the names of all commands as functions are called, `extract_all` for `extract-all`."""
    return sorted(
        name[:-3] for name in os.listdir(os.path.dirname(__file__)) if name.endswith(".py") and name[0] != "_"
    )


class _Commands(ModuleType):
    """The package, except that a loaded command file shows as its function."""

    def __setattr__(self, name: str, value: Any) -> None:
        # The import system sets each loaded submodule on its package.
        if isinstance(value, ModuleType) and value.__name__ == f"{__name__}.{name}":
            from britekit.options import document

            value = document(getattr(value, name))
        super().__setattr__(name, value)

    def __getattr__(self, name: str) -> Any:
        import importlib

        if name == "__all__":
            return command_names()
        if name in command_names():
            importlib.import_module(f"{__name__}.{name}")
            return self.__dict__[name]
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__(self) -> list[str]:
        return sorted({*self.__dict__, *command_names()})


sys.modules[__name__].__class__ = _Commands
