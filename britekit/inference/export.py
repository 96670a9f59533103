"""Convert a checkpoint to an ONNX file that contains its classes and settings.

The file accepts any number of windows, contains no path, date or host name, and is checked against PyTorch before it is
published. The same checkpoint gives the same bytes.
"""

from __future__ import annotations

import dataclasses
import io
import logging
import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from torch import nn

from britekit.audio.spectrogram import compute_spectrograms
from britekit.config import AudioConfig
from britekit.config.audio import with_channels
from britekit.errors import ModelError
from britekit.files import atomic_path
from britekit.inference.exported import (
    EMBEDDING_NAME,
    FRAMES_NAME,
    INPUT_NAME,
    SEGMENT_NAME,
    load_openvino,
    metadata_of,
)
from britekit.inference.seal import sealed
from britekit.models.checkpoint import StoredModel
from britekit.models.recognizer import Recognizer

# Largest tolerated difference of a logit.
TOLERANCE = 1e-3
_OPSET = 17


def export_onnx(stored: StoredModel, path: str | os.PathLike[str]) -> float:
    """Write the export of a checkpoint; return the largest difference of its logits from PyTorch's.

    Raises `ModelError` if the network cannot be converted, or its scores differ by more than ``TOLERANCE``.

    Parameters
    ----------
    path
        File to write; it is not replaced if the check fails.
    """
    network = stored.recognizer.to("cpu").eval()
    images = _check_images(stored.training_cfg)
    with torch.inference_mode():
        parts = network.forward_and_embed(torch.from_numpy(images))
    outputs = zip((SEGMENT_NAME, FRAMES_NAME, EMBEDDING_NAME), parts, strict=True)
    found = {name: part.numpy() for name, part in outputs if part is not None}
    names, expected = list(found), list(found.values())
    model = _convert(network, images, names, stored.path)
    # Source locations recorded by the exporter would make the bytes depend on the path of the package.
    model.doc_string = model.graph.doc_string = ""
    for node in model.graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
    del model.metadata_props[:]
    facts = metadata_of(
        stored.classes, stored.training_cfg, stored.multi_label, stored.identifier, stored.training_date, stored.sha256
    )
    for key, value in facts.items():
        entry = model.metadata_props.add()
        entry.key, entry.value = key, value
    content = sealed(model.SerializeToString(deterministic=True))
    difference = _largest_difference(content, names, images, expected)
    if not difference <= TOLERANCE:
        raise ModelError(
            f"the export of {stored.path} differs from PyTorch by {difference:.2g} in a logit "
            f"(at most {TOLERANCE:g} is allowed); it was not written"
        )
    with atomic_path(path) as partial:
        partial.write_bytes(content)
    return difference


class _Outputs(nn.Module):
    """The network with its existing outputs only, since ONNX has no None."""

    def __init__(self, network: Recognizer) -> None:
        super().__init__()
        self.network = network

    def forward(self, spectrograms: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return tuple(part for part in self.network.forward_and_embed(spectrograms) if part is not None)


def _convert(network: Recognizer, images: np.ndarray, names: list[str], source: Path) -> onnx.ModelProto:
    buffer = io.BytesIO()
    axes = {name: {0: "windows"} for name in (INPUT_NAME, *names)}
    exporter_log = logging.getLogger("torch.onnx")
    level = exporter_log.level
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            exporter_log.setLevel(logging.ERROR)
            # The newer exporter needs onnxscript and takes ten times as long.
            torch.onnx.export(
                _Outputs(network).eval(),
                (torch.from_numpy(images[:2]),),
                buffer,
                input_names=[INPUT_NAME],
                output_names=names,
                dynamic_axes=axes,
                opset_version=_OPSET,
                dynamo=False,
            )
    except Exception as error:  # torch raises various errors for a network that it cannot trace
        raise ModelError(f"{source} cannot be converted to ONNX: {' '.join(str(error).split())[:300]}") from error
    finally:
        exporter_log.setLevel(level)
    return onnx.load_from_string(buffer.getvalue())


def _check_images(settings: dict[str, Any]) -> np.ndarray:
    """Return (6, 1, H, W) images: silence, noise, and four spectrograms of calls over noise.

    The spectrograms are computed from a synthesized recording with the checkpoint's audio settings, as in inference, so
    that values have a realistic distribution.
    """
    known = {field.name for field in dataclasses.fields(AudioConfig)}
    audio = AudioConfig(**{name: value for name, value in with_channels(settings["audio"]).items() if name in known})
    rng = np.random.default_rng(101)
    duration, rate = audio.spec_duration, audio.sampling_rate
    time = np.arange(int(4 * duration * rate)) / rate
    signal = rng.normal(0, 0.02, len(time))
    for start in np.arange(0.3, 4 * duration, 0.7):
        low, high = np.sort(rng.uniform(audio.min_freq, audio.max_freq, 2))
        length = rng.uniform(0.05, 0.6)
        inside = time - start
        call = np.sin(2 * np.pi * (low + (high - low) * inside / (2 * length)) * inside)
        signal += np.where((inside > 0) & (inside < length), rng.uniform(0.02, 1.0) * call, 0.0)
    starts = [number * duration for number in range(4)]
    made = compute_spectrograms(signal.astype(np.float32), starts, audio)[0]
    images = np.zeros((6, 1, audio.spec_height, audio.spec_width), np.float32)
    images[1] = rng.random(images.shape[1:], dtype=np.float32)
    images[2:, 0] = made ** np.float32(settings.get("infer", {}).get("audio_power", 1.0))
    return images


def _largest_difference(content: bytes, names: list[str], images: np.ndarray, expected: list[np.ndarray]) -> float:
    """Return the largest difference of the export's logits, in two batch sizes, from PyTorch's."""
    openvino = load_openvino()
    model = openvino.Core().read_model(content)
    network = openvino.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    largest = 0.0
    for batch in (1, len(images)):
        for first in range(0, len(images), batch):
            part = network({INPUT_NAME: images[first : first + batch]})
            for name, wanted in zip(names, expected, strict=True):
                found = np.asarray(part[name])
                if found.shape != wanted[first : first + batch].shape:
                    return float("inf")
                # Unlike max, this propagates NaN, which then exceeds the tolerance.
                largest = float(np.maximum(largest, np.abs(found - wanted[first : first + batch]).max()))
    return largest
