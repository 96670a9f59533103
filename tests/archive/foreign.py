"""Small embedders of sound as ONNX and TFLite files, whose vectors can be computed by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

RATE, SECONDS, WIDTH = 8000, 0.5, 16
SAMPLES = int(RATE * SECONDS)


def filters() -> np.ndarray:
    """Return (n, 2 F) sines and cosines at F frequencies: their energies tell tones apart."""
    time = np.arange(SAMPLES) / RATE
    hz = np.linspace(300, 3600, WIDTH)
    return np.concatenate([np.sin(2 * np.pi * hz * time[:, None]), np.cos(2 * np.pi * hz * time[:, None])], axis=1)


def expected(waves_Bn: np.ndarray) -> np.ndarray:
    """Compute the vectors: log(1 + energy) at each frequency."""
    found = np.asarray(waves_Bn, np.float64) @ filters()
    return np.log1p(found[:, :WIDTH] ** 2 + found[:, WIDTH:] ** 2)


def write_onnx(folder: Path, shape: tuple[int | str, ...] = ("batch", SAMPLES), **more: object) -> Path:
    """Write embedder.onnx with the input ``sound``, the outputs ``vector`` and ``other``, and its description."""
    folder.mkdir(parents=True, exist_ok=True)
    constants = {"filters": filters().astype(np.float32), "one": np.float32(1),
                 "flat": np.array([-1, SAMPLES], np.int64), "split": np.array([WIDTH, WIDTH], np.int64)}  # fmt: skip
    nodes = [
        helper.make_node("Reshape", ["sound", "flat"], ["wave"]),
        helper.make_node("MatMul", ["wave", "filters"], ["parts"]),
        helper.make_node("Mul", ["parts", "parts"], ["squares"]),
        helper.make_node("Split", ["squares", "split"], ["sines", "cosines"], axis=1),
        helper.make_node("Add", ["sines", "cosines"], ["energy"]),
        helper.make_node("Add", ["energy", "one"], ["more"]),
        helper.make_node("Log", ["more"], ["vector"]),
        helper.make_node("Identity", ["sines"], ["other"]),
    ]
    graph = helper.make_graph(
        nodes,
        "embedder",
        [helper.make_tensor_value_info("sound", TensorProto.FLOAT, list(shape))],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, WIDTH]) for name in ("vector", "other")],
        [numpy_helper.from_array(np.asarray(value), key) for key, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, folder / "embedder.onnx")
    return describe(folder, file="embedder.onnx", output="vector", **more)


def describe(folder: Path, **fields: object) -> Path:
    """Write embedder.yaml; None leaves a field out."""
    values = {"rate": RATE, "seconds": SECONDS, "licence": "CC BY-NC-SA 4.0", **fields}
    lines = [f"{key}: {value}" for key, value in values.items() if value is not None]
    path = folder / "embedder.yaml"
    path.write_text("\n".join(lines) + "\n")
    return path
