"""A probe on an embedder of another project, as one file: a member of an ensemble that takes sound.

A zip archive, not compressed: ``facts.json`` (classes, description of the embedder, its licence), the
embedder's file, and ``weights.f32`` (C, F), ``bias.f32`` (C,) and, for prototypes, ``centre.f32`` (F,).
"""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from britekit.annotations.classes import ClassInfo
from britekit.errors import ConfigError, ModelError
from britekit.files import atomic_path, refuse_expanding, sha256_of
from britekit.inference.exported import ExportFacts
from britekit.inference.foreign import Description, load_foreign, read_description
from britekit.leftovers import temporary_folder

_FORMAT = "britekit-probe-1"
_FACTS, _WEIGHTS, _BIAS, _CENTER = "facts.json", "weights.f32", "bias.f32", "centre.f32"
_DATE = (2000, 1, 1, 0, 0, 0)


def write_probe(
    path: Path,
    description: Path,
    weights_CF: NDArray[np.floating],
    bias_C: NDArray[np.floating],
    center_F: NDArray[np.floating] | None,
    classes: list[ClassInfo],
) -> None:
    """Write a probe; equal contents give equal bytes.

    Parameters
    ----------
    description
        YAML of the embedder, which lies beside its file.
    """
    described = read_description(description)
    file = description.parent / described.file
    embedder = f"embedder{file.suffix}"
    facts = {
        "format": _FORMAT,
        "classes": [[info.name, info.code, info.alt_name, info.alt_code] for info in classes],
        "features": int(weights_CF.shape[1]),
        "embedder": {**dataclasses.asdict(described), "file": embedder},
        "licence": described.licence,
    }
    parts = {_FACTS: json.dumps(facts, ensure_ascii=False, indent=1).encode(), embedder: file.read_bytes()}
    numbers = {_WEIGHTS: weights_CF, _BIAS: bias_C, _CENTER: center_F}
    parts |= {name: np.asarray(x, "<f4").tobytes() for name, x in numbers.items() if x is not None}
    with atomic_path(path) as partial, zipfile.ZipFile(partial, "w", zipfile.ZIP_STORED) as archive:
        for name, content in parts.items():
            archive.writestr(zipfile.ZipInfo(name, _DATE), content)


@functools.lru_cache(maxsize=16)
def _read(path: str, size: int, mtime_ns: int) -> tuple[dict[str, Any], dict[str, NDArray[np.float32]]]:
    """Return the facts and numbers of a probe, read once: several steps ask for them."""
    try:
        with zipfile.ZipFile(path) as archive:
            refuse_expanding(archive, size)
            facts = json.loads(archive.read(_FACTS))
            if facts["format"] != _FORMAT:
                raise ValueError(f'its format is "{facts["format"]}"; this version reads "{_FORMAT}"')
            names = [name for name in (_WEIGHTS, _BIAS, _CENTER) if name in archive.namelist()]
            numbers = {name: np.frombuffer(archive.read(name), "<f4") for name in names}
        classes, features = len(facts["classes"]), facts["features"]
        wanted = {_WEIGHTS: classes * features, _BIAS: classes, _CENTER: features}
        if {_WEIGHTS, _BIAS} - numbers.keys() or any(len(numbers[name]) != wanted[name] for name in numbers):
            raise ValueError("its numbers do not belong to its classes")
        if not all(np.isfinite(values).all() for values in numbers.values()):
            raise ValueError("it holds numbers that are not finite")
        numbers[_WEIGHTS] = numbers[_WEIGHTS].reshape(classes, features)
        Description(**facts["embedder"])
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile, ConfigError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ModelError(f"{path} is not a probe or is damaged: {reason}; restore it from a copy") from None
    return facts, numbers


def _open(path: str | os.PathLike[str]) -> tuple[dict[str, Any], dict[str, NDArray[np.float32]]]:
    try:
        state = os.stat(path)
    except OSError:
        raise ModelError(f"probe {path} does not exist") from None
    return _read(os.fspath(path), state.st_size, state.st_mtime_ns)


def read_probe_facts(path: str | os.PathLike[str]) -> ExportFacts:
    """Read what a probe carries besides its embedder.

    Raises
    ------
    ModelError
        Missing, damaged, or of another version.
    """
    facts, numbers = _open(path)
    described = Description(**facts["embedder"])
    sha256 = sha256_of(path)
    return ExportFacts(
        path=Path(path),
        classes=[ClassInfo(*row) for row in facts["classes"]],
        training_cfg={
            "audio": described.audio().stored(),
            "train": {"head_type": "prototypes" if _CENTER in numbers else "basic"},
        },
        multi_label=True,
        identifier=sha256[:32].upper(),
        training_date=None,
        source_sha256=sha256,
        frames=None,
        licence=facts["licence"],
    )


class ProbeModel:
    """A probe, ready to score waveforms.

    Attributes
    ----------
    facts
        What it carries.
    runtime
        What runs the embedder: ``openvino``, ``onnxruntime`` or ``litert``.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        facts, numbers = _open(path)
        self.facts = read_probe_facts(path)
        described = Description(**facts["embedder"])
        with temporary_folder("probe") as folder, zipfile.ZipFile(path) as archive:
            try:
                archive.extract(described.file, folder)
            except (KeyError, zipfile.BadZipFile) as error:
                raise ModelError(f"{path} is damaged ({error}); restore it from a copy") from None
            self._embedder = load_foreign(folder / described.file, described, Path(path))
        if self._embedder.width != facts["features"]:
            raise ModelError(f"{path} is damaged: its embedder gives {self._embedder.width} numbers")
        self._weights, self._bias, self._center = numbers[_WEIGHTS], numbers[_BIAS], numbers.get(_CENTER)
        self.runtime = self._embedder.runtime.name

    def start(self, waves_Bn: NDArray[np.float32], padded: bool = True) -> tuple[NDArray[np.float32], None]:
        """Return the logits (B, C) of waveforms."""
        vectors, _ = self._embedder.start(waves_Bn)
        if self._center is not None:
            vectors = vectors - self._center
            norms = np.linalg.norm(vectors, axis=1, keepdims=True)
            vectors = np.divide(vectors, norms, out=np.zeros_like(vectors), where=norms > 0)
        # A row at a time: a product of matrices may round differently with other rows beside it.
        return np.stack([self._weights @ row for row in vectors]) + self._bias, None

    def wait(self) -> None:
        """Do nothing: `start` has done the work."""
