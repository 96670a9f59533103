"""Settings as plain fields of any type, for clients that extend them and hand them to OmegaConf.

OmegaConf knows neither fixed choices nor most unions, which our own sections have; values are checked when a client
hands its settings to `Predictor` or `Audio`. Fields of public britekit without effect here are accepted.
"""

import dataclasses
from functools import partial
from typing import Any

from britekit.api.compat.scripts import cfg_to_pure
from britekit.api.compat.settings import WITHOUT_EFFECT
from britekit.config.audio import stored_audio
from britekit.config.base import SECTIONS

# Where the program whose clients use this has other defaults than we.
_DEFAULTS: dict[str, dict[str, Any]] = {
    "audio": {"choose_channel": False, "check_seconds": 6.0},
    "misc": {"ckpt_folder": "data/ckpt"},
}


def _section(name: str) -> type:
    values = cfg_to_pure(SECTIONS[name]())
    # Public britekit has choose_channel, not channels.
    values = stored_audio(values) if name == "audio" else values
    values = values | _DEFAULTS.get(name, {}) | WITHOUT_EFFECT.get(name, {})
    fields = []
    for field, value in values.items():
        changeable = isinstance(value, (list, dict))
        default = dataclasses.field(default_factory=partial(cfg_to_pure, value)) if changeable else value
        fields.append((field, Any, default))
    return dataclasses.make_dataclass(f"{name.capitalize()}Config", fields, namespace={"__module__": __name__})


_sections = map(_section, SECTIONS)
AudioConfig, TrainConfig, InferConfig, MiscConfig, PipelineConfig, ServiceConfig, PretrainConfig = _sections


@dataclasses.dataclass
class BaseConfig:
    """The settings of a run, one attribute per section."""

    audio: AudioConfig = dataclasses.field(default_factory=AudioConfig)  # type: ignore[valid-type]
    train: TrainConfig = dataclasses.field(default_factory=TrainConfig)  # type: ignore[valid-type]
    infer: InferConfig = dataclasses.field(default_factory=InferConfig)  # type: ignore[valid-type]
    misc: MiscConfig = dataclasses.field(default_factory=MiscConfig)  # type: ignore[valid-type]
    pipeline: PipelineConfig = dataclasses.field(default_factory=PipelineConfig)  # type: ignore[valid-type]
    service: ServiceConfig = dataclasses.field(default_factory=ServiceConfig)  # type: ignore[valid-type]
    pretrain: PretrainConfig = dataclasses.field(default_factory=PretrainConfig)  # type: ignore[valid-type]
