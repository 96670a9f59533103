"""Ways to choose detections for review: one file each, the folder is the list.

Each file has ``SUMMARY``, one line for help, and ``draw(candidates, num, rng) -> list[Drawn]``: at most
``num`` detections of each class (all if None) in the order in which they are heard. ``rng`` is a numpy
generator, so a seed repeats a sample. With ``MERGE = False`` a review plays single detections where others join
those that touch: of a longer stretch a verdict says that the class is in it somewhere, not where.
"""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import dataclass
from types import ModuleType

from britekit.errors import InputError, suggest


@dataclass(frozen=True)
class Drawn:
    """One detection of a sample."""

    index: int
    """Its row among the candidates."""
    stratum: str = ""
    """The part of its class that it was drawn from."""
    share: float | None = None
    """Part of its stratum that was drawn; None if it was chosen, so that no estimate may use it."""


def queue_names() -> list[str]:
    """Return the names of all ways, ``site-day`` for ``site_day.py``."""
    return sorted(info.name.replace("_", "-") for info in pkgutil.iter_modules(__path__) if info.name[0] != "_")


def find_queue(name: str) -> ModuleType:
    """Return the file of a way; raises `InputError` if there is none of this name."""
    names = queue_names()
    if name not in names:
        raise InputError(
            f'"{name}" is not a way to choose detections; use one of {", ".join(names)}' + suggest(name, names)
        )
    return importlib.import_module(f"{__name__}.{name.replace('-', '_')}")
