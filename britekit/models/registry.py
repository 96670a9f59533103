"""Backbones and heads by name: the folders are the lists.

``effnet.2`` leads to ``backbones/effnet.py`` and its size ``2``; ``basic_sed`` to ``heads/basic_sed.py``.
"""

import importlib
import pkgutil
from types import ModuleType

from britekit.config.model_names import wrong_head, wrong_model
from britekit.errors import ModelError


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
    if wrong := wrong_model(model_type):
        raise ModelError(f"train.model_type: {wrong}")
    family, _, size = model_type.partition(".")
    return _load("backbones", family), size


def find_head(head_type: str) -> ModuleType:
    """File of a head.

    Raises
    ------
    ModelError
        Unknown head.
    """
    if wrong := wrong_head(head_type):
        raise ModelError(f"train.head_type: {wrong}")
    return _load("heads", head_type)


def is_sed_head(head_type: str | None) -> bool:
    """Whether the head gives frame logits; no family's own head does."""
    return head_type is not None and bool(find_head(head_type).IS_SED)
