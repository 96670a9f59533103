"""A tiny exported model whose answers can be foreseen: it hears tones by the rows they fill."""

from pathlib import Path

import numpy as np
import onnx
import soundfile
from onnx import TensorProto, helper, numpy_helper

import yaml
from britekit.annotations.classes import ClassInfo
from britekit.config import BaseConfig, to_dict
from britekit.inference.exported import FRAMES_NAME, INPUT_NAME, SEGMENT_NAME, metadata_of

HEIGHT, WIDTH, SECONDS, FPS = 64, 96, 2.0, 4
CLASSES = [ClassInfo("Low Tone", "LOWT"), ClassInfo("High Tone", "HIGT"), ClassInfo("Noise", "NOIS")]
LOW_HZ, HIGH_HZ = 600.0, 3000.0


def settings() -> BaseConfig:
    """Return the settings the model was "trained" with."""
    cfg = BaseConfig()
    audio = {"spec_height": HEIGHT, "spec_width": WIDTH, "spec_duration": SECONDS, "sampling_rate": 8000,
             "min_freq": 100, "max_freq": 3800, "freq_scale": "linear", "win_length": 0.032}  # fmt: skip
    for name, value in audio.items():
        setattr(cfg.audio, name, value)
    cfg.train.sed_fps = FPS
    return cfg


def write_model(path: Path, frames: bool = False, source_sha256: str = "", sharpness: float = 40.0) -> None:
    """Write an export: a logit is ``sharpness`` times (brightness of a class's rows - that of all - 0.15)."""
    weights = np.zeros((HEIGHT, len(CLASSES)), np.float32)
    for column, hz in enumerate((LOW_HZ, HIGH_HZ)):
        row = round((hz - 100) / 3700 * HEIGHT)
        weights[:, column] = -sharpness / HEIGHT
        weights[row - 1 : row + 2, column] += sharpness / 3
    bias = np.array([-0.15 * sharpness, -0.15 * sharpness, -20.0], np.float32)
    constants = {"weights": weights, "bias": bias}
    nodes = [
        helper.make_node("Squeeze", [INPUT_NAME, "one"], ["image"]),
        helper.make_node("ReduceMean", ["image"], ["rows"], axes=[2], keepdims=0),
        helper.make_node("MatMul", ["rows", "weights"], ["product"]),
        helper.make_node("Add", ["product", "bias"], [SEGMENT_NAME]),
    ]
    initializers = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    initializers.append(numpy_helper.from_array(np.array([1], np.int64), "one"))
    outputs = [helper.make_tensor_value_info(SEGMENT_NAME, TensorProto.FLOAT, ["batch", len(CLASSES)])]
    if frames:
        steps = round(FPS * SECONDS)
        shape = np.array([0, HEIGHT, steps, WIDTH // steps], np.int64)
        initializers.append(numpy_helper.from_array(shape, "shape"))
        nodes += [
            helper.make_node("Reshape", ["image", "shape"], ["cut"]),
            helper.make_node("ReduceMean", ["cut"], ["steps"], axes=[3], keepdims=0),
            helper.make_node("Transpose", ["steps"], ["turned"], perm=[0, 2, 1]),
            helper.make_node("MatMul", ["turned", "weights"], ["frame_product"]),
            helper.make_node("Add", ["frame_product", "bias"], ["frame_rows"]),
            helper.make_node("Transpose", ["frame_rows"], [FRAMES_NAME], perm=[0, 2, 1]),
        ]
        outputs.append(
            helper.make_tensor_value_info(FRAMES_NAME, TensorProto.FLOAT, ["batch", len(CLASSES), steps])
        )
    inputs = [helper.make_tensor_value_info(INPUT_NAME, TensorProto.FLOAT, ["batch", 1, HEIGHT, WIDTH])]
    graph = helper.make_graph(nodes, "tones", inputs, outputs, initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    facts = metadata_of(CLASSES, to_dict(settings()), True, "tones", None, source_sha256)
    helper.set_model_props(model, facts)
    onnx.checker.check_model(model)
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, str(path))


def write_project(folder: Path, frames: bool = False, members: int = 2, **infer: object) -> Path:
    """Write exports to ``folder/models/ckpt`` and a file for ``-c`` that finds them; return that file."""
    for seed in range(1, members + 1):
        write_model(folder / "models" / "ckpt" / f"seed-{seed}.onnx", frames, sharpness=35.0 + 5 * seed)
    path = folder / "settings.yaml"
    content = {"misc": {"ckpt_folder": str(folder / "models" / "ckpt")}, "infer": {"min_score": 0.5, **infer}}
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


def tones(seconds: float = 8.0, rate: int = 16000, seed: int = 0) -> np.ndarray:
    """Return noise with the low tone from 2 s to 4 s and the high tone from 4 s to 6 s, float32 (n,)."""
    time = np.arange(round(seconds * rate)) / rate
    sound = 0.003 * np.random.default_rng(seed).standard_normal(len(time))
    for hz, first in ((LOW_HZ, 2.0), (HIGH_HZ, 4.0)):
        sound += 0.4 * np.sin(2 * np.pi * hz * time) * ((time >= first) & (time < first + 2.0))
    return sound.astype(np.float32)


def write_tones(path: Path, seconds: float = 8.0, rate: int = 16000, seed: int = 0) -> Path:
    """Write ``tones`` as a sound file; the suffix chooses the format."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, tones(seconds, rate, seed), rate)
    return path
