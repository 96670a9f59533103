"""One file per source of recordings; the folder is the list."""

import importlib
import pkgutil
from types import ModuleType


def available_sources() -> list[str]:
    """Return the names of the sources, which are those of the modules in this folder."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def load_source(name: str) -> ModuleType:
    """Return the module of a source, which has a function ``find(row, context)``."""
    return importlib.import_module(f"{__name__}.{name}")
