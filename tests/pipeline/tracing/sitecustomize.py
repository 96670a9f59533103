"""Notes which settings a stage of DVC reads; Python imports it by itself where this folder is on its path.

A line ``section.field`` for each, in a file per stage below the folder that SETTINGS_TRACE names. What the
configuration does with itself (merging, checks, saving the whole) is no reading.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from importlib.abc import MetaPathFinder
from types import FrameType
from typing import Any

# Their frames stand between a reader and what it reads: `asdict`, `replace`, a generated `__eq__`.
_BETWEEN = ("dataclasses.py", "<string>", "copy.py")
_OWN = f"{os.sep}britekit{os.sep}config{os.sep}"


def _is_reading(frame: FrameType | None) -> bool:
    while frame is not None and frame.f_code.co_filename.endswith(_BETWEEN):
        frame = frame.f_back
    return frame is not None and _OWN not in frame.f_code.co_filename


def watch(section: type, path: str) -> None:
    """Note in a file what is read of sections from now on."""
    noted: set[str] = set()

    def reading(self: Any, name: str) -> Any:
        value = object.__getattribute__(self, name)
        kind = type(self)
        if name in getattr(kind, "__dataclass_fields__", ()):
            full = f"{kind.SECTION}.{name}"
            if full not in noted and _is_reading(sys._getframe(1)):
                noted.add(full)
                with open(path, "a", encoding="utf-8") as file:
                    file.write(full + "\n")
        return value

    section.__getattribute__ = reading  # type: ignore[method-assign,assignment]


class _Watcher(MetaPathFinder):
    """Watches the sections as soon as their class exists."""

    def find_spec(self, name: str, path: Any, target: Any = None) -> Any:
        if name != "britekit.config.fields":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        assert spec is not None and spec.loader is not None
        run = spec.loader.exec_module

        def run_and_watch(module: Any) -> None:
            run(module)
            stage = os.environ["DVC_STAGE"].partition("@")[0]
            watch(module.Section, os.path.join(os.environ["SETTINGS_TRACE"], stage))

        spec.loader.exec_module = run_and_watch  # type: ignore[method-assign]
        return spec


if os.environ.get("DVC_STAGE") and os.environ.get("SETTINGS_TRACE"):
    sys.meta_path.insert(0, _Watcher())
