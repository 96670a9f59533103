"""`load_new_model` and `load_from_checkpoint`: a network by itself, for scripts.

Programs import these by name and call them only without exports, so PyTorch is imported by the call.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from britekit.annotations.classes import ClassInfo
from britekit.config import get_config
from britekit.config.audio import with_channels

if TYPE_CHECKING:
    from britekit.api.network import Model


def load_new_model(
    train_class_names: Sequence[str],
    train_class_codes: Sequence[str],
    train_class_alt_names: Sequence[str],
    train_class_alt_codes: Sequence[str],
    num_train_specs: int,
) -> Model:
    """Return a network with fresh weights, as the settings of `get_config()` describe it.

    Raises
    ------
    ModelError
        Unknown model or head, or values that do not go together.
    """
    from britekit.api.network import Model
    from britekit.models.recognizer import build_recognizer

    cfg = get_config()
    columns = zip(train_class_names, train_class_codes, train_class_alt_names, train_class_alt_codes, strict=True)
    classes = [ClassInfo(*(str(value or "") for value in row)) for row in columns]
    recognizer = build_recognizer(cfg.train, cfg.audio, len(classes))
    return Model(recognizer, classes, cfg.train.multi_label, num_train_specs)


def load_from_checkpoint(
    checkpoint_path: str | os.PathLike[str], multi_label: bool | None = None, apply_training_config: bool = True
) -> Model:
    """Return the network of a checkpoint, ours or one of public britekit, in evaluation mode.

    Parameters
    ----------
    multi_label
        Instead of what it was trained for.
    apply_training_config
        Also put its audio settings into `get_config()`, as there.

    Raises
    ------
    ModelError
        The checkpoint is missing, damaged, or does not fit the network it names.
    """
    from britekit.api.network import Model
    from britekit.models.checkpoint import load_checkpoint

    stored = load_checkpoint(os.fspath(checkpoint_path))
    if apply_training_config:
        audio = get_config().audio
        known = {field.name for field in dataclasses.fields(audio)}
        for name, value in with_channels(stored.training_cfg.get("audio", {})).items():
            if name in known:
                setattr(audio, name, value)
    return Model(
        stored.recognizer,
        stored.classes,
        stored.multi_label if multi_label is None else multi_label,
        int(stored.hyper_parameters.get("num_train_specs", 0)),
        stored.training_cfg,
        stored.identifier,
        stored.training_date,
    )
