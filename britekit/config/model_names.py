"""Which models and heads there are, read from the files of `britekit/models/` without importing them.

They import torch, which no settings may load; `SIZES` of a backbone is a literal or a map with literal keys.
"""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

from britekit.errors import suggest

_MODELS = Path(__file__).parents[1] / "models"


def backbone_families() -> list[str]:
    """Return the names of all families, e.g. ``["effnet", "timm"]``."""
    return _names("backbones")


def head_names() -> list[str]:
    """Return the names of all heads."""
    return _names("heads")


def wrong_model(model_type: str) -> str:
    """Return what is wrong with ``family.size`` or ``timm.NAME``; empty if it names a model."""
    family, _, size = model_type.partition(".")
    families = backbone_families()
    if family not in families:
        hint = suggest(family, families)
        return f'"{model_type}" has no known family; families are {", ".join(families)}{hint}'
    sizes = _sizes(family)
    if not size or (sizes is not None and size not in sizes):
        known = "a name of timm's list" if sizes is None else f"{sizes[0]} to {sizes[-1]}"
        return f'"{model_type}" has no known size; after "{family}." comes {known}'
    return ""


def wrong_head(head_type: str) -> str:
    """Return what is wrong with the name of a head; empty if there is such a head."""
    names = head_names()
    if head_type in names:
        return ""
    return f'"{head_type}" is not a head; heads are {", ".join(names)}{suggest(head_type, names)}'


def _names(folder: str) -> list[str]:
    return sorted(path.stem.rstrip("_") for path in (_MODELS / folder).glob("[!_]*.py"))


@cache
def _sizes(family: str) -> list[str] | None:
    """Return the sizes of a family, or None where any name may follow the dot."""
    path = next(path for path in (_MODELS / "backbones").glob("*.py") if path.stem.rstrip("_") == family)
    for statement in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "SIZES":
            if isinstance(statement.value, ast.Dict):
                return [ast.literal_eval(key) for key in statement.value.keys if key is not None]
            return None
    return None
