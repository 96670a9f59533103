"""Tiny exported models that score at once and need no torch, for the tests of several rooms."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from britekit.annotations.classes import ClassInfo
from britekit.config import AudioConfig, BaseConfig, to_dict
from britekit.inference.exported import EMBEDDING_NAME, FRAMES_NAME, INPUT_NAME, SEGMENT_NAME, metadata_of

SMALL_AUDIO = AudioConfig(
    spec_duration=3.0, spec_height=32, spec_width=64, sampling_rate=8000, max_freq=3800, win_length=0.064
)


def make_fake_member(
    folder: Path,
    classes: Sequence[ClassInfo],
    audio: AudioConfig = SMALL_AUDIO,
    *,
    name: str = "seed-1",
    seed: int = 0,
    frames: int | None = None,
    sed_fps: int = 4,
    multi_label: bool = True,
    weights_CH: np.ndarray | None = None,
    bias_C: np.ndarray | None = None,
    any_width: bool = False,
) -> Path:
    """Write NAME.onnx and a NAME.ckpt that it claims to be made from, and return the path of the former.

    Logits are a matrix (C, H) times the mean of each row of the spectrogram; frame logits (with `frames`,
    best round(sed_fps * duration)) are the same for each of T stretches of columns. The embedding is the mean
    of each row. The checkpoint holds no
    network: it is there because an export counts only beside its own checkpoint. With ``any_width``, frame logits are
    interpolated between those of columns, as an SED head does it, so that ``infer.window_s`` works.
    """
    classes = list(classes)
    rng = np.random.default_rng(seed)
    height, width, count = audio.spec_height, audio.spec_width, len(classes)
    if weights_CH is None:
        weights_CH = rng.normal(0, 20 / height, (count, height))
    if bias_C is None:
        bias_C = rng.normal(0, 0.5, count)
    cfg = BaseConfig(audio=audio)
    cfg.train.sed_fps = sed_fps
    settings: dict[str, Any] = to_dict(cfg)
    folder.mkdir(parents=True, exist_ok=True)
    content = repr((name, seed, [dataclasses.astuple(info) for info in classes], settings["audio"])).encode()
    (folder / f"{name}.ckpt").write_bytes(b"not a network\n" + content)
    sha256 = hashlib.sha256(b"not a network\n" + content).hexdigest()

    constants = {"weights": np.asarray(weights_CH, np.float32).T, "bias": np.asarray(bias_C, np.float32)}
    nodes = [
        helper.make_node("ReduceMean", [INPUT_NAME], ["rows"], axes=[1, 3], keepdims=0),  # (B, H)
        helper.make_node("MatMul", ["rows", "weights"], ["products"]),
        helper.make_node("Add", ["products", "bias"], [SEGMENT_NAME]),
        helper.make_node("Identity", ["rows"], [EMBEDDING_NAME]),
    ]
    outputs = [
        helper.make_tensor_value_info(SEGMENT_NAME, TensorProto.FLOAT, ["windows", count]),
        helper.make_tensor_value_info(EMBEDDING_NAME, TensorProto.FLOAT, ["windows", height]),
    ]
    if frames is not None and any_width:
        constants |= {"weights_CH": np.asarray(weights_CH, np.float32), "channel": np.array([1], np.int64),
                      "bias_C1": np.asarray(bias_C, np.float32)[:, None],
                      "sizes": np.array([1, count, frames], np.int64)}  # fmt: skip
        nodes += [
            helper.make_node("Squeeze", [INPUT_NAME, "channel"], ["image"]),  # (B, H, W)
            helper.make_node("MatMul", ["weights_CH", "image"], ["column_products"]),  # (B, C, W)
            helper.make_node("Add", ["column_products", "bias_C1"], ["columns"]),
            helper.make_node("Resize", ["columns", "", "", "sizes"], [FRAMES_NAME], mode="linear"),
        ]
    elif frames is not None:
        # Averages stretches of columns by a product with (W, T).
        pooling = np.zeros((width, frames), np.float32)
        for column in range(width):
            pooling[column, column * frames // width] = 1
        pooling /= pooling.sum(axis=0, keepdims=True)
        constants |= {"pooling": pooling, "weights_CH": np.asarray(weights_CH, np.float32),
                      "bias_C1": np.asarray(bias_C, np.float32)[:, None], "channel": np.array([1],
                      np.int64)}  # fmt: skip
        nodes += [
            helper.make_node("Squeeze", [INPUT_NAME, "channel"], ["image"]),  # (B, H, W)
            helper.make_node("MatMul", ["image", "pooling"], ["stretches"]),  # (B, H, T)
            helper.make_node("MatMul", ["weights_CH", "stretches"], ["frame_products"]),  # (B, C, T)
            helper.make_node("Add", ["frame_products", "bias_C1"], [FRAMES_NAME]),
        ]
    if frames is not None:
        outputs.append(helper.make_tensor_value_info(FRAMES_NAME, TensorProto.FLOAT, ["windows", count, frames]))
    graph = helper.make_graph(
        nodes,
        "fake",
        [helper.make_tensor_value_info(INPUT_NAME, TensorProto.FLOAT, ["windows", 1, height, width])],
        outputs,
        [numpy_helper.from_array(value, key) for key, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, metadata_of(classes, settings, multi_label, f"FAKE-{name}-{seed}", None, sha256))
    path = folder / f"{name}.onnx"
    onnx.save(model, path)
    return path
