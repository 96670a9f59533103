"""Facts of the members of an ensemble, and whether they fit together and the settings."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from britekit.annotations.classes import ClassInfo, map_name
from britekit.config import AudioConfig, BaseConfig
from britekit.config.audio import with_channels
from britekit.errors import ModelError, some
from britekit.inference.backend import PROBE

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class MemberFacts:
    """A model of an ensemble, as described in the manifest."""

    path: Path
    """The loaded file: a checkpoint or its export."""
    classes: list[ClassInfo]
    training_cfg: dict[str, Any]
    multi_label: bool
    identifier: str
    training_date: str | None
    sha256: str
    """SHA-256 of the checkpoint, even if its export is used."""
    frames: int | None
    """T, frames per window; None without an SED head."""
    licence: str | None = None
    """Licence of the embedder in a probe."""


def mapped_classes(classes: Sequence[ClassInfo], cfg: BaseConfig) -> list[ClassInfo]:
    """Return the classes of old models with their new names and codes."""
    return [
        dataclasses.replace(
            info, name=map_name(info.name, cfg.misc.map_names), code=map_name(info.code, cfg.misc.map_codes)
        )
        for info in classes
    ]


def class_order(first: MemberFacts, member: MemberFacts) -> np.ndarray:
    """Return the column in a member of each class of the first member."""
    return columns_of(member.path, member.classes, first.path, first.classes, "members of an ensemble must agree")


def columns_of(
    path: Path, classes: Sequence[ClassInfo], than: object, wanted: Sequence[ClassInfo], advice: str
) -> np.ndarray:
    """Return the column in a model of each wanted class; raises `ModelError` if it knows others."""
    column = {info.name: place for place, info in enumerate(classes)}
    names = [info.name for info in wanted]
    missing = [f'"{name}"' for name in names if name not in column]
    extra = [f'"{name}"' for name in sorted(column.keys() - set(names))]
    if missing or extra:
        parts = [f"lacks {some(missing, 4)}"] if missing else []
        parts += [f"adds {some(extra, 4)}"] if extra else []
        raise ModelError(f"{path} knows other classes than {than}: it {' and '.join(parts)}; {advice}")
    return np.array([column[name] for name in names])


def check_members(members: Sequence[MemberFacts]) -> None:
    """Raise unless all members use the same spectrograms and the same kind of score."""
    first = members[0]
    for member in members[1:]:
        if (member.path.suffix == PROBE) != (first.path.suffix == PROBE):
            raise ModelError(
                f"{first.path} and {member.path} cannot form an ensemble: one takes sound, one spectrograms"
            )
    fields = [field.name for field in dataclasses.fields(AudioConfig)]
    for member in members[1:]:
        own, wanted = (with_channels(each.training_cfg["audio"]) for each in (member, first))
        for name in fields:
            if own.get(name) != wanted.get(name):
                raise ModelError(
                    f"{member.path} was trained with audio.{name} {own.get(name)}, {first.path} with "
                    f"{wanted.get(name)}; members of an ensemble must agree"
                )
        if member.multi_label != first.multi_label:
            raise ModelError(
                f"{member.path} and {first.path} differ in train.multi_label; members of an ensemble must agree"
            )


def common_frame_rate(cfg: BaseConfig, duration_s: float, members: Sequence[MemberFacts]) -> int | None:
    """Return the frame rate if all members give frames, else None."""
    with_frames = [member for member in members if member.frames is not None]
    if not with_frames:
        return None
    if len(with_frames) < len(members):
        without = next(member for member in members if member.frames is None)
        log.warning(
            "%s has no SED head, so the ensemble gives scores only per window, not per frame", without.path.name
        )
        return None
    expected = max(1, round(cfg.train.sed_fps * duration_s))
    for member in members:
        if member.frames != expected:
            raise ModelError(
                f"{member.path} gives {member.frames} frames per window; train.sed_fps "
                f"{cfg.train.sed_fps} and {duration_s:g} s make {expected}"
            )
    return cfg.train.sed_fps


def window_audio(cfg: BaseConfig) -> AudioConfig:
    """Return the settings of the spectrograms that the models score, which ``infer.window_s`` makes longer."""
    audio, window_s = cfg.audio, cfg.infer.window_s
    if window_s is None:
        return audio
    width = round(audio.spec_width * window_s / audio.spec_duration)
    return dataclasses.replace(audio, spec_duration=window_s, spec_width=width)


def check_steps(cfg: BaseConfig, members: Sequence[MemberFacts], has_frames: bool) -> None:
    """Raise where a setting needs scores of frames, which these models do not give."""
    without = next((member.path.name for member in members if member.frames is None), "")
    infer = cfg.infer
    if infer.window_s is not None and without:
        raise ModelError(f"infer.window_s needs models with an SED head, which {without} lacks; set it to null")
    for name in ("frame_taper", "quantile"):
        if getattr(infer, name) not in (None, False) and not has_frames:
            raise ModelError(
                f"infer.{name} needs scores of frames: models with an SED head, which {without} lacks, or "
                "infer.initial_offsets; leave it out"
            )
