"""Backbones and heads by name: the folders are the lists.

``effnet.2`` leads to ``backbones/effnet.py`` and its size ``2``; ``basic_sed`` to ``heads/basic_sed.py``.
"""

import importlib
import pkgutil
from types import ModuleType

from britekit.errors import ModelError, suggest


def _names(package: str) -> list[str]:
    """Names of the files in one of the two folders, without importing them."""
    folder = importlib.import_module(f"britekit.models.{package}")
    return sorted(info.name.rstrip("_") for info in pkgutil.iter_modules(folder.__path__))


def backbone_families() -> list[str]:
    """Names of all families, e.g. ``["effnet", "timm"]``."""
    return _names("backbones")


def head_names() -> list[str]:
    """Names of all heads."""
    return _names("heads")


def _load(package: str, name: str) -> ModuleType:
    folder = importlib.import_module(f"britekit.models.{package}")
    stem = next(i.name for i in pkgutil.iter_modules(folder.__path__) if i.name.rstrip("_") == name)
    return importlib.import_module(f"britekit.models.{package}.{stem}")


def find_backbone(model_type: str) -> tuple[ModuleType, str]:
    """File of a model's family, and the size within it.

    Parameters
    ----------
    model_type
        ``family.size`` or ``timm.NAME``.

    Raises
    ------
    ModelError
        Unknown family or size.
    """
    family, dot, size = model_type.partition(".")
    families = backbone_families()
    if family not in families:
        raise ModelError(
            f'train.model_type: "{model_type}" has no known family; families are {", ".join(families)}'
            + suggest(family, families)
        )
    module = _load("backbones", family)
    sizes: list[str] | None = None if module.SIZES is None else list(module.SIZES)
    if not dot or not size or (sizes is not None and size not in sizes):
        known = "a name of timm's list" if sizes is None else f"{sizes[0]} to {sizes[-1]}"
        raise ModelError(
            f'train.model_type: "{model_type}" has no known size; after "{family}." comes {known}'
        )
    return module, size


def find_head(head_type: str) -> ModuleType:
    """File of a head.

    Raises
    ------
    ModelError
        Unknown head.
    """
    names = head_names()
    if head_type not in names:
        raise ModelError(
            f'train.head_type: "{head_type}" is not a head; heads are {", ".join(names)}'
            + suggest(head_type, names)
        )
    return _load("heads", head_type)


def is_sed_head(head_type: str | None) -> bool:
    """Whether the head gives frame logits; no family's own head does."""
    return head_type is not None and bool(find_head(head_type).IS_SED)
