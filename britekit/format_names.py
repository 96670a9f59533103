"""Names of the text formats, from their folder and without importing it, so that help is quick."""

from __future__ import annotations

import functools
import re
from pathlib import Path

_FOLDER = Path(__file__).parent / "formats"


@functools.cache
def format_names(written: bool = False) -> tuple[str, ...]:
    """Return the names of all formats, or of those that labels are written in, sorted."""
    files = [path for path in _FOLDER.glob("*.py") if path.name[0] != "_"]
    if written:
        files = [path for path in files if re.search(r"\bwriter=", path.read_text(encoding="utf-8"))]
    return tuple(sorted(path.stem.rstrip("_").replace("_", "-") for path in files))
