"""Checkpoints of public britekit, which Lightning wrote, as checkpoints of ours.

The network is the same, of timm's blocks in most families; its tensors have other names, and a few heads have other
layers (`Blueprint.as_public`). A tensor that finds no place in the network is an error: `load_weights` names it.
"""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Mapping
from typing import Any

import torch

from britekit.config.audio import AudioConfig
from britekit.errors import ModelError, some

log = logging.getLogger(__name__)

# What a later version adds is absent from older files: the values they were trained with.
_AUDIO = {"choose_channel": False, "check_seconds": 6.0}
# Settings of their program that change no spectrogram.
_WITHOUT_EFFECT = {"use_spec_cache", "chunks_per_spec"}

# Their name of a tensor to ours, as regular expressions; what matches none keeps its name.
_Renames = tuple[tuple[str, str], ...]
_BLOCKS = r"backbone\.stages\.(\d+)\.(\d+)\."
_BACKBONES: dict[str, _Renames] = {
    "effnet": (
        (r"backbone\.conv_stem\.", "backbone.stem.0."),
        (r"backbone\.bn1\.", "backbone.stem.1."),
        (r"backbone\.blocks\.", "backbone.stages."),
        (r"backbone\.conv_head\.", "backbone.final.0."),
        (r"backbone\.bn2\.", "backbone.final.1."),
    ),
    "gernet": ((r"backbone\.final_conv\.", "backbone.final."),),
    "bknet": (
        (r"backbone\.final_conv\.", "backbone.final."),
        (r"backbone\.stages\.([01])\.(\d+)\.conv1\.", r"backbone.stages.\1.\2.conv1_kxk."),
        (_BLOCKS + r"conv1\.", r"backbone.stages.\1.\2.conv1_1x1."),
        (_BLOCKS + r"conv2\.", r"backbone.stages.\1.\2.conv2_kxk."),
        (_BLOCKS + r"conv3\.", r"backbone.stages.\1.\2.conv3_1x1."),
    ),
    "mobilenet": ((r"backbone\.", "backbone.model."),),
    "repvit": ((r"backbone\.", "backbone.model."),),
    "timm": ((r"backbone\.", "backbone.model."),),
}
_LINEAR = r"head\.(?:fc|\d)\."  # pool and dropout before it have no tensors
_HEADS: dict[str | None, _Renames] = {
    None: ((r"head\.last_conv\.0\.", "head.widen."), (_LINEAR, "head.linear.")),
    "basic": ((_LINEAR, "head.linear."),),
    "effnet": ((r"head\.0\.", "head.conv."), (r"head\.1\.", "head.norm."), (_LINEAR, "head.linear.")),
    "hgnet": ((r"head\.1\.", "head.widen."), (_LINEAR, "head.linear.")),
    "basic_sed": (
        (r"head\.frame_classifier\.0\.", "head.conv."),
        (r"head\.frame_classifier\.3\.", "head.classify."),
        (r"head\.temporal_attention\.", "head.attention."),
    ),
    "scalable_sed": (
        (r"head\.reduce\.block\.", "head.reduce."),
        (r"head\.temporal\.", "head.conv."),
        (r"head\.frame_head\.", "head.classify."),
        (r"head\.attn\.", "head.attention."),
    ),
    "temporal_sed": (
        (r"head\.conv_fwd\.", "head.forward_conv."),
        (r"head\.conv_bwd\.", "head.backward_conv."),
        (r"head\.bn\.", "head.after.0."),
        (r"head\.frame_head\.", "head.classify."),
    ),
}


def is_public(content: Mapping[str, Any]) -> bool:
    """Whether an archive is a checkpoint of public britekit; ours are not written by Lightning."""
    return "pytorch-lightning_version" in content


def as_ours(content: Mapping[str, Any], path: Any) -> dict[str, Any]:
    """Return a checkpoint of public britekit with our names of tensors and settings.

    Raises `ModelError` if an entry is absent or is not what it should be.
    """
    try:
        hyper, settings = dict(content["hyper_parameters"]), dict(content["training_cfg"])
        model_type, head_type = str(hyper["model_type"]), hyper.get("head_type")
        weights = {str(name): value for name, value in content["state_dict"].items()}
        settings["audio"] = _audio_settings(dict(settings["audio"]), path)
        train = settings["train"] = dict(settings["train"])
        frames = math.floor(train.get("sed_fps", 4) * settings["audio"]["spec_duration"])
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ModelError(
            f"checkpoint {path} of public britekit lacks {error}, or it is not what it should be; it was trained by a "
            "version before 1.0, or is damaged"
        ) from error
    # Measured: 1.8.4 builds the temporal head with these, whatever train.lse_temp and train.two_way say.
    hyper |= {"as_public": True, "frames": max(1, frames), "lse_temp": 0.5, "two_way": True}
    return {
        **content,
        "state_dict": _renamed(weights, model_type.partition(".")[0], head_type, path),
        "hyper_parameters": hyper,
        "training_cfg": settings,
        "identifier": content.get("identifier", path.stem),
    }


def _audio_settings(audio: dict[str, Any], path: Any) -> dict[str, Any]:
    known = AudioConfig().stored() | _AUDIO
    strange = sorted(set(audio) - set(known) - _WITHOUT_EFFECT)
    if strange:
        log.warning("%s: audio settings that are unknown here are left out: %s", path, some(strange, 6))
    return {name: audio.get(name, default) for name, default in known.items()}


def _renamed(
    weights: dict[str, torch.Tensor], family: str, head_type: str | None, path: Any
) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = {}
    for name, value in weights.items():
        if name.startswith("loss_fn."):
            continue  # weights of classes in the loss
        part = _BACKBONES.get(family, ()) if name.startswith("backbone.") else _HEADS.get(head_type, ())
        for pattern, ours in part:
            if re.match(pattern, name):
                name = re.sub(pattern, ours, name, count=1)
                break
        if name in found:
            raise ModelError(f'checkpoint {path}: two of its tensors are "{name}"')
        if name in ("head.linear.weight", "head.widen.weight") and value.ndim == 4:
            value = value.flatten(1)  # a convolution of width 1 behind the pool
        found[name] = value
    bias = found.pop("head.conv.bias", None) if head_type == "effnet" else None
    if bias is not None and "head.norm.running_mean" in found:
        found["head.norm.running_mean"] = found["head.norm.running_mean"] - bias  # the same, behind a batch norm
    return found
