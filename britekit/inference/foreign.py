"""An embedder of another project, described by a few lines of YAML.

It names the file, the sampling rate and length of a window, the licence, and where needed input, output and
scaling; `Description` lists the fields, the guide on archives shows one for BirdNET.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from britekit.config import AudioConfig, BaseConfig, resolve
from britekit.config.fields import Problem, Section, declared, setting
from britekit.config.yaml_reader import read_yaml
from britekit.errors import ConfigError, ModelError, suggest
from britekit.files import sha256_of
from britekit.inference.runtimes import NotFitting, Runtime, open_runtime

_NEEDED = ("file", "rate", "seconds", "licence")


@dataclass
class Description(Section):
    """The content of a description."""

    SECTION: ClassVar[str] = "embedder"

    file: str = setting("model.onnx", "the ONNX or TFLite file, beside the description unless it is a whole path")
    rate: int = setting(48_000, "sampling rate of the waveform", "Hz", low=1000, high=1_000_000)
    seconds: float = setting(1.0, "length of a window", "s", above=0, high=600)
    input: str | None = setting(None, "name of the input; null = the only one")
    output: str | None = setting(None, "name of the output; null = the only one")
    scaling: float = setting(1.0, "samples, from -1 to 1, are multiplied by this", above=0)
    peak: float | None = setting(None, "each window is scaled to this largest sample; null = as it is", above=0)
    licence: str = setting("unknown", "licence of the file, written into what is made with it")

    def relations(self) -> Iterator[Problem]:
        """Yield fields that exclude each other."""
        if self.peak is not None and self.scaling != 1.0:
            yield Problem(("embedder.peak",), "give either peak or scaling")

    @property
    def samples(self) -> int:
        """Samples of a window."""
        return round(self.rate * self.seconds)

    def audio(self) -> AudioConfig:
        """Return settings of the windows, and of pictures of them."""
        frames = AudioConfig()
        highest = min(20_000, int(self.rate / 2.1))
        return dataclasses.replace(
            frames,
            sampling_rate=self.rate,
            spec_duration=float(self.seconds),
            max_freq=highest,
            min_freq=min(frames.min_freq, highest // 4),
            win_length=min(frames.win_length, self.seconds / 8),
            spec_width=max(32, min(frames.spec_width, self.samples // 8)),
        )


class ForeignModel:
    """A file that embeds waveforms, with the scaling of its description."""

    def __init__(self, path: Path, described: Description) -> None:
        self.described = described
        self.runtime: Runtime = open_runtime(path, described.samples, described.input, described.output)
        self.width = self.runtime.width

    def start(self, windows: NDArray[np.float32], /) -> tuple[NDArray[np.float32], None]:
        """Return the vectors (B, F) of waveforms (B, n)."""
        waves = windows * np.float32(self.described.scaling)
        if self.described.peak is not None:
            top = np.abs(waves).max(axis=1, keepdims=True)
            waves = waves * np.divide(self.described.peak, top, out=np.ones_like(top), where=top > 0)
        return self.runtime(waves), None

    def wait(self) -> None:
        """Do nothing: `start` has done the work."""


def read_description(path: Path) -> Description:
    """Read a description.

    Raises `ConfigError` if it is not YAML, or a field is unknown, missing or has a wrong value; names the field.
    """
    root, problems = read_yaml(path)
    fields = declared(Description)
    if not isinstance(root.value, dict):
        raise ConfigError(f"{path}: expected the fields {', '.join(fields)}")
    values: dict[str, Any] = {}
    for name, node in root.value.items():
        if name not in fields:
            problems.append(f"{path}:{node.line}: {name}: unknown field{suggest(str(name), fields)}")
            continue
        values[name], wrong = Description().check(name, node.plain())
        problems += [f"{path}:{node.line}: {name}: {wrong}"] if wrong else []
    problems += [f"{path}: {name}: missing" for name in _NEEDED if name not in root.value]
    if problems:
        raise ConfigError(*problems)
    try:
        return Description(**values)
    except ConfigError as error:
        raise ConfigError(*(f"{path}: {text.removeprefix('embedder.')}" for text in error.problems)) from None


def open_foreign(
    path: Path, cfg_path: str | os.PathLike[str] | None = None, overrides: dict[str, Any] | None = None
) -> tuple[BaseConfig, ForeignModel, dict[str, Any], str]:
    """Load the file that a description is about.

    Returns
    -------
    tuple
        Settings in force, the model, what its vectors depend on, and its licence.

    Raises
    ------
    ConfigError, ModelError
        The description cannot be used, does not fit its file (names the field), or nothing can run that.
    """
    described = read_description(path)
    file = path.parent / described.file
    if not file.is_file():
        raise ModelError(f"{path}: file: {file} does not exist")
    model = load_foreign(file, described, path)
    stored = {"audio": dataclasses.asdict(described.audio())}
    cfg = resolve(cfg_path, overrides, stored, f"embedder {path}")
    facts = {name: value for name, value in dataclasses.asdict(described).items() if name not in ("file", "licence")}
    return cfg, model, {"model": sha256_of(file), "embedder": facts}, described.licence


def load_foreign(file: Path, described: Description, source: Path) -> ForeignModel:
    """Load the file of a description; errors name ``source``, the description, and its field."""
    try:
        return ForeignModel(file, described)
    except NotFitting as error:
        raise ModelError(f"{source}: {error}") from None
