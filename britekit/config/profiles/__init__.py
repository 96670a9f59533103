"""Settings for groups of animals, for `init --profile`: one file each, with the evidence that they fit.

A file holds ``SETTINGS``, laid over the defaults, and ``EVIDENCE``: what was measured, or the literature they follow.
"""

from __future__ import annotations

import importlib
import os
from typing import Any


def profile_names() -> tuple[str, ...]:
    """Return the names of all profiles, sorted."""
    folder = os.path.dirname(__file__)
    return tuple(sorted(name[:-3] for name in os.listdir(folder) if name.endswith(".py") and name[0] != "_"))


def profile(name: str) -> tuple[dict[str, dict[str, Any]], str]:
    """Return settings and evidence of a profile."""
    module = importlib.import_module(f"{__name__}.{name}")
    return module.SETTINGS, module.EVIDENCE
