"""A checkpoint becomes an ONNX file that carries its classes and settings.

The file takes any number of windows, holds no path, date or name of this machine, and is checked against
PyTorch before it is published: the same checkpoint gives the same bytes.
"""

from __future__ import annotations

import io
import logging
import os
import warnings
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import nn

from britekit.errors import ModelError
from britekit.files import atomic_path
from britekit.inference.exported import EMBEDDING_NAME, FRAMES_NAME, INPUT_NAME, SEGMENT_NAME, metadata_of
from britekit.inference.runtime import load_openvino
from britekit.models.checkpoint import StoredModel
from britekit.models.recognizer import Recognizer

# Largest difference of a logit that counts as equal.
TOLERANCE = 1e-3
_OPSET = 17


def export_onnx(stored: StoredModel, path: str | os.PathLike[str]) -> float:
    """Write the export of a checkpoint and return the largest difference of its logits from PyTorch's.

    Parameters
    ----------
    stored
        The checkpoint, on the CPU.
    path
        File to write; it is not replaced if the check fails.

    Raises
    ------
    ModelError
        The network cannot be converted, or its scores differ by more than ``TOLERANCE``.
    """
    network = stored.recognizer.to("cpu").eval()
    audio = stored.training_cfg["audio"]
    images = _check_images(int(audio["spec_height"]), int(audio["spec_width"]))
    with torch.inference_mode():
        parts = network.forward_and_embed(torch.from_numpy(images))
    outputs = zip((SEGMENT_NAME, FRAMES_NAME, EMBEDDING_NAME), parts, strict=True)
    found = {name: part.numpy() for name, part in outputs if part is not None}
    names, expected = list(found), list(found.values())
    model = _convert(network, images, names, stored.path)
    # What the exporter knows about source files would make the bytes depend on where the package lies.
    model.doc_string = model.graph.doc_string = ""
    for node in model.graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
    del model.metadata_props[:]
    facts = metadata_of(
        stored.classes,
        stored.training_cfg,
        stored.multi_label,
        stored.identifier,
        stored.training_date,
        stored.sha256,
    )
    for key, value in facts.items():
        entry = model.metadata_props.add()
        entry.key, entry.value = key, value
    content = model.SerializeToString(deterministic=True)
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
    """The network with only those outputs that are there, since ONNX knows no None."""

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
    except Exception as error:  # torch raises many kinds for a network it cannot trace
        raise ModelError(
            f"{source} cannot be converted to ONNX: {' '.join(str(error).split())[:300]}"
        ) from error
    finally:
        exporter_log.setLevel(level)
    return onnx.load_from_string(buffer.getvalue())


def _check_images(height: int, width: int) -> np.ndarray:
    """Return (4, 1, H, W) images like those the network will see: silence, noise, calls over noise."""
    rng = np.random.default_rng(101)
    images = np.zeros((4, 1, height, width), np.float32)
    images[1] = rng.random((1, height, width), dtype=np.float32)
    images[2:] = rng.random((2, 1, height, width), dtype=np.float32) ** 4 * 0.3
    for image in images[2:, 0]:
        for _ in range(6):
            row, column = rng.integers(height), rng.integers(width)
            image[max(0, row - 2) : row + 3, column : column + width // 12] = rng.uniform(0.5, 1.0)
    return images


def _largest_difference(
    content: bytes, names: list[str], images: np.ndarray, expected: list[np.ndarray]
) -> float:
    """Run the export by its runtime, in two batch sizes, against PyTorch's logits."""
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
                largest = max(largest, float(np.abs(found - wanted[first : first + batch]).max()))
    return largest
