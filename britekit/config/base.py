"""All sections together, what must hold between them, and their plain form."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from britekit.config.audio import AudioConfig, stored_audio
from britekit.config.augmentations import size_problems
from britekit.config.fields import Problem, Section, declared, default_of
from britekit.config.infer import InferConfig
from britekit.config.misc import MiscConfig
from britekit.config.pipeline import PipelineConfig
from britekit.config.pretrain import PretrainConfig
from britekit.config.service import ServiceConfig
from britekit.config.train import TrainConfig
from britekit.errors import ConfigError, suggest

SECTIONS: dict[str, type[Section]] = {
    section.SECTION: section
    for section in (AudioConfig, TrainConfig, InferConfig, MiscConfig, PipelineConfig, ServiceConfig, PretrainConfig)
}


@dataclass
class BaseConfig:
    """The settings of a run, one attribute per section."""

    audio: AudioConfig = field(default_factory=AudioConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    infer: InferConfig = field(default_factory=InferConfig)
    misc: MiscConfig = field(default_factory=MiscConfig)
    pipeline: PipelineConfig = field(default_factory=PipelineConfig)
    service: ServiceConfig = field(default_factory=ServiceConfig)
    pretrain: PretrainConfig = field(default_factory=PretrainConfig)

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in SECTIONS:
            raise ConfigError(f"{name}: unknown section{suggest(name, SECTIONS)}")
        if not isinstance(value, SECTIONS[name]):
            raise ConfigError(f"{name}: {type(value).__name__} is not a {SECTIONS[name].__name__}")
        object.__setattr__(self, name, value)

    def sections(self) -> Iterator[Section]:
        """Yield the sections in the order of `params.yaml`."""
        for name in SECTIONS:
            yield getattr(self, name)

    def problems(self) -> Iterator[Problem]:
        """Yield everything that contradicts itself, within sections and between them."""
        for section in self.sections():
            yield from section.relations()
        audio, train, infer = self.audio, self.train, self.infer
        yield from self._window_problems()
        if (train.head_type or "").endswith("_sed") and train.sed_fps * audio.spec_duration < 1:
            yield Problem(
                ("train.sed_fps", "audio.spec_duration"),
                f"{train.sed_fps} frames per second make less than one frame in {audio.spec_duration:g} s",
            )
        if train.front == "pcen" and audio.decibels:
            yield Problem(
                ("train.front", "audio.decibels"),
                "pcen computes with amplitudes, not decibels; set audio.decibels to false and audio.power to 2",
            )
        if infer.segment_len is not None and round(infer.segment_len * train.sed_fps) < 1:
            yield Problem(
                ("infer.segment_len", "train.sed_fps"),
                f"{infer.segment_len:g} s is shorter than a frame of {1 / train.sed_fps:g} s",
            )
        yield from size_problems(
            train.augmentations, {"spec_height": audio.spec_height, "spec_width": audio.spec_width}
        )

    def _window_problems(self) -> Iterator[Problem]:
        """Yield what does not fit the length of a window."""
        infer, model_s, columns = self.infer, self.audio.spec_duration, self.audio.spec_width
        window_s = infer.window_s or model_s
        used = "audio.spec_duration" if infer.window_s is None else "infer.window_s"
        step_s = window_s - infer.overlap
        for name, value, limit_s, limit in (
            ("infer.overlap", infer.overlap, window_s, f"{used}, {window_s:g} s"),
            ("pipeline.extract_overlap", self.pipeline.extract_overlap, model_s, f"audio.spec_duration, {model_s:g} s"),
            ("infer.initial_offsets", max(infer.initial_offsets or [0.0]), window_s, f"{used}, {window_s:g} s"),
            ("infer.shift_s", infer.shift_s, max(step_s, 0.0) / 2, f"half the step of windows, {step_s / 2:g} s"),
        ):
            if value >= limit_s and (value > 0 or name.endswith("overlap")):
                yield Problem((name, used), f"{value:g} s is not less than {limit}")
        if infer.window_s is not None:
            if window_s <= model_s:
                yield Problem(
                    ("infer.window_s", "audio.spec_duration"),
                    f"{window_s:g} s is not longer than the model's windows, {model_s:g} s; give more, or null",
                )
            width = columns * window_s / model_s
            if abs(width - round(width)) > 1e-6:
                near = max(columns + 1, round(width)) * model_s / columns
                yield Problem(
                    ("infer.window_s", "audio.spec_duration"),
                    f"{window_s:g} s makes {width:.2f} columns of a spectrogram, which must be whole; try {near:.6g} s",
                )

    def advice(self) -> Iterator[Problem]:
        """Yield everything that works but is probably not meant."""
        for section in self.sections():
            yield from section.advice()
        length = self.infer.segment_len
        if length is not None:
            frames = length * self.train.sed_fps
            if abs(frames - round(frames)) > 1e-6:
                yield Problem(
                    ("infer.segment_len", "train.sed_fps"),
                    f"{length:g} s is not a whole number of frames of {1 / self.train.sed_fps:g} s; "
                    f"{round(frames)} frames are used",
                )


def to_dict(cfg: BaseConfig) -> dict[str, dict[str, Any]]:
    """Return the settings as nested plain dicts, lists, texts and numbers."""
    return dataclasses.asdict(cfg)


# The password as SQLAlchemy reads it: all from the colon after the user to the last @, or given in the query.
_IN_URL = re.compile(r"^((?:-.*=)?\s*[A-Za-z][\w+.-]*://[^:/@]*:).*(@)")
_IN_QUERY = re.compile(r"([?&][^=&]*(?:password|passwd|key|token|secret)=)[^&]*", re.IGNORECASE)


def to_shown_dict(cfg: BaseConfig) -> dict[str, dict[str, Any]]:
    """Return the settings as `to_dict`, for files and records that others will see: URLs lose passwords."""
    settings = to_dict(cfg)
    for section in settings.values():
        for name, value in section.items():
            if isinstance(value, str):
                section[name] = without_password(value)
    return settings


def without_defaults(settings: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return settings as checkpoints hold them: late ones only where they differ, so that a file's bytes stay."""
    found = {key: dict(section) for key, section in settings.items()}
    for key, section in SECTIONS.items():
        for name, (declaration, _) in declared(section).items():
            late = declaration.metadata["setting"].late
            if late and name in found.get(key, {}) and found[key][name] == default_of(declaration):
                del found[key][name]
        if key in found and not found[key]:
            del found[key]  # a late section
    if "audio" in found:
        found["audio"] = stored_audio(found["audio"])
    return found


def without_password(text: str) -> str:
    """Return a text as others may see it: if it is a URL, without password and keys."""
    return _IN_QUERY.sub(r"\1***", _IN_URL.sub(r"\1***\2", text)) if "://" in text else text


def find_field(name: str, section: str) -> tuple[str, str] | None:
    """Return (section, field) a name stands for: its own section's first, aliases included."""
    for key in (section, *SECTIONS):
        if key in SECTIONS:
            real = SECTIONS[key].ALIASES.get(name, name)
            if real in declared(SECTIONS[key]):
                return key, real
    return None
