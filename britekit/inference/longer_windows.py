"""Change the graph of an export with frames so that it takes longer windows than the network was trained on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from britekit.errors import ModelError


def stretch_windows(model: Any, path: Path, height: int, columns: int, frames: int) -> None:
    """Let an OpenVINO model take one window of ``columns`` and give so many frames.

    Raises `ModelError` if the graph depends on the width of its own windows, or gives no frames.
    """
    from openvino import opset13

    from britekit.inference.exported import FRAMES_NAME, INPUT_NAME

    problem = (
        f"{path} cannot take windows of {columns} columns (infer.window_s): its graph is made for its own; set "
        'infer.window_s to null, or run the checkpoints with infer.backend "torch"'
    )
    result = next((found for found in model.get_results() if FRAMES_NAME in found.output(0).names), None)
    if result is None:
        raise ModelError(f"infer.window_s needs models with an SED head, which {path.name} lacks; set it to null")
    node = _interpolation(result.input_value(0).get_node())
    if node is None:
        raise ModelError(problem)
    classes = node.output(0).get_partial_shape()[1]
    if not classes.is_static or list(node.input_value(1).get_partial_shape()) != [3]:
        raise ModelError(problem)
    sizes = opset13.constant(np.array([1, classes.get_length(), frames], np.int64))
    node.input(1).replace_source_output(sizes.output(0))
    try:
        model.reshape({INPUT_NAME: [1, 1, height, columns]})
    except RuntimeError:
        raise ModelError(problem) from None


def _interpolation(node: Any) -> Any | None:
    """Return the node that stretches frame logits, from the output upwards."""
    for _ in range(8):
        if node.get_type_name() == "Interpolate":
            return node
        if not node.get_input_size():
            return None
        node = node.input_value(0).get_node()
    return None
