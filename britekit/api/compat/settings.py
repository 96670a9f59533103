"""Settings as scripts for public britekit hold them, as ours.

Such a script may hold a map of sections, an OmegaConf object or a class of its own; sections that are not ours are its
own business, and settings that only that program has must be known to have no effect.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping
from typing import Any

from britekit.api.compat.scripts import cfg_to_pure
from britekit.config import BaseConfig
from britekit.config.base import SECTIONS
from britekit.config.layers import from_dict
from britekit.errors import InferenceError, suggest

# Accepted and without effect: how that program stores, reads and batches, not what it computes.
WITHOUT_EFFECT = {"audio": {"use_spec_cache": False, "chunks_per_spec": 3}, "infer": {"openvino_block_size": 100}}


def as_settings(cfg: Any) -> BaseConfig | None:
    """Return settings of any kind as a `BaseConfig`; None stays None.

    Raises
    ------
    ConfigError
        A section of ours has an unknown field or a value that cannot be used.
    """
    if cfg is None or isinstance(cfg, BaseConfig):
        return cfg
    sections = cfg if isinstance(cfg, Mapping) else {name: getattr(cfg, name, {}) for name in SECTIONS}
    plain = {name: cfg_to_pure(sections[name]) for name in SECTIONS if name in sections}
    for name, fields in plain.items():
        for field in WITHOUT_EFFECT.get(name, ()):
            fields.pop(field, None)
    return from_dict(plain)


def with_audio(cfg: BaseConfig, overrides: Mapping[str, Any] | None) -> BaseConfig:
    """Return a copy with other settings of the section ``audio``.

    Raises
    ------
    InferenceError
        There is no such setting.
    """
    cfg = copy.deepcopy(cfg)
    known = {field.name for field in dataclasses.fields(cfg.audio)} | set(cfg.audio.ALIASES)
    for name, value in (overrides or {}).items():
        if name in WITHOUT_EFFECT["audio"]:
            continue
        if name not in known:
            raise InferenceError(f'Unknown audio configuration option "{name}"{suggest(name, known)}')
        setattr(cfg.audio, name, value)
    return cfg
