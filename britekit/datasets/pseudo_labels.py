"""Windows of unlabeled recordings with the scores of a teacher: the file that ``pseudo-label`` writes.

An uncompressed npz archive of plain arrays. Of ``teacher-targets`` it has ``format_version``, ``class_codes``,
``probabilities``, ``frame_probabilities`` and the teachers with their SHA-256; in place of ids of segments it holds the
windows themselves.

Legend: M windows, C classes, T frames, H rows, W columns.
"""

from __future__ import annotations

import json
import os
import shutil
import zipfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from britekit.annotations.classes import ClassInfo
from britekit.database.spectrograms import inflate
from britekit.errors import InputError
from britekit.files import atomic_path, refuse_expanding

FORMAT = 2
_TEXTS = ("class_names", "class_codes", "alt_names", "alt_codes", "recordings")
# Kind and dimensions of each array.
_ARRAYS = {
    "format_version": ("i", 0),
    **dict.fromkeys(_TEXTS, ("U", 1)),
    "row_recording": ("i", 1),
    "starts": ("f", 1),
    "confidence": ("f", 1),
    "probabilities": ("f", 2),
    "frame_probabilities": ("f", 3),
    "spec_sizes": ("i", 1),
    "spec_values": ("u", 1),
    "meta": ("U", 0),
}
_OPTIONAL = frozenset({"frame_probabilities"})
_NOT_MADE = "make it with `britekit pseudo-label`"


@dataclass(frozen=True, eq=False)
class PseudoLabels:
    """Windows with soft labels, in memory."""

    classes: list[ClassInfo]
    recordings: list[str]
    row_recording: NDArray[np.int32]
    """(M,) number of the recording of each window."""
    starts: NDArray[np.float64]
    """(M,) starts in seconds."""
    confidence: NDArray[np.float32]
    """(M,) relative chance of being drawn, above 0."""
    probabilities: NDArray[np.float32]
    """(M, C) soft labels."""
    frames: NDArray[np.float16] | None
    """(M, C, T) soft labels per frame; None if the teacher had no frames."""
    meta: dict[str, Any]
    """``audio``: settings of the spectrograms; ``teachers``: names and SHA-256; ``power``; ``source``."""
    images: NDArray[np.uint8] | None = None
    """(M, H, W) spectrograms."""


def write_pseudo_labels(path: str | os.PathLike[str], labels: PseudoLabels, sizes: Sequence[int], values: Path) -> None:
    """Write the file, whole or not at all; equal content gives equal bytes.

    Parameters
    ----------
    labels
        All but the images.
    sizes, values
        Length of each encoded spectrogram, and the file in which they lie in the order of the windows.
    """
    arrays: dict[str, NDArray[Any]] = {
        "format_version": np.asarray(FORMAT, np.int64),
        "class_names": _texts(info.name for info in labels.classes),
        "class_codes": _texts(info.code for info in labels.classes),
        "alt_names": _texts(info.alt_name for info in labels.classes),
        "alt_codes": _texts(info.alt_code for info in labels.classes),
        "recordings": _texts(labels.recordings),
        "row_recording": np.asarray(labels.row_recording, np.int32),
        "starts": np.asarray(labels.starts, np.float64),
        "confidence": np.asarray(labels.confidence, np.float32),
        "probabilities": np.ascontiguousarray(labels.probabilities, np.float32),
        "spec_sizes": np.asarray(sizes, np.int64),
        "meta": np.asarray(json.dumps(labels.meta, sort_keys=True)),
    }
    if labels.frames is not None:
        arrays["frame_probabilities"] = np.ascontiguousarray(labels.frames, np.float16)
    with atomic_path(path) as partial, zipfile.ZipFile(partial, "w", zipfile.ZIP_STORED) as archive:
        for key, array in arrays.items():
            with _entry(archive, key) as stream:
                np.lib.format.write_array(stream, array, version=(1, 0), allow_pickle=False)
        with _entry(archive, "spec_values") as stream, open(values, "rb") as source:
            header = {"descr": "|u1", "fortran_order": False, "shape": (int(sum(sizes)),)}
            np.lib.format.write_array_header_1_0(stream, header)
            shutil.copyfileobj(source, stream, 1 << 20)


def read_pseudo_labels(
    path: str | os.PathLike[str], size: tuple[int, int] | None = None, workers: int = 2
) -> PseudoLabels:
    """Read the file and check it as a whole.

    Raises `InputError` if the file is missing, damaged, of another version, or holds spectrograms of another size or
    numbers that are not probabilities.

    Parameters
    ----------
    size
        Height and width of the spectrograms; None leaves them out.
    """
    arrays: dict[str, NDArray[Any]] = {}
    try:
        with zipfile.ZipFile(path) as archive:
            refuse_expanding(archive, os.path.getsize(path))
            there = set(archive.namelist())
            missing = sorted(key for key in _ARRAYS if f"{key}.npy" not in there and key not in _OPTIONAL)
            if missing:
                raise InputError(f"{path} is not a file of pseudo-labels: it lacks {', '.join(missing)}; {_NOT_MADE}")
            for key in _ARRAYS:
                if f"{key}.npy" in there and (key != "spec_values" or size is not None):
                    with archive.open(f"{key}.npy") as stream:
                        arrays[key] = np.lib.format.read_array(stream, allow_pickle=False)
    except FileNotFoundError:
        raise InputError(f"{path} does not exist; {_NOT_MADE}") from None
    except (OSError, ValueError, EOFError, MemoryError, zipfile.BadZipFile) as error:
        raise InputError(f"{path} is not a readable file of pseudo-labels ({error}); {_NOT_MADE}") from None
    meta = _check(str(path), arrays)
    columns = [arrays[key].tolist() for key in _TEXTS[:4]]
    images = None
    if size is not None:
        images = _inflate_all(str(path), arrays["spec_values"], arrays["spec_sizes"], size, workers)
    return PseudoLabels(
        classes=[ClassInfo(*values) for values in zip(*columns, strict=True)],
        recordings=arrays["recordings"].tolist(),
        row_recording=arrays["row_recording"].astype(np.int32),
        starts=arrays["starts"].astype(np.float64),
        confidence=arrays["confidence"].astype(np.float32),
        probabilities=arrays["probabilities"].astype(np.float32),
        frames=arrays["frame_probabilities"].astype(np.float16) if "frame_probabilities" in arrays else None,
        meta=meta,
        images=images,
    )


def _check(where: str, arrays: dict[str, NDArray[Any]]) -> dict[str, Any]:
    """Check kinds, lengths and values; return the meta data."""
    for key, array in arrays.items():
        kind, dims = _ARRAYS[key]
        if array.dtype.kind != kind or array.ndim != dims:
            raise InputError(f"{where}: {key} is {array.dtype} with {array.ndim} dimensions; {_NOT_MADE}")
    if int(arrays["format_version"]) != FORMAT:
        raise InputError(f"{where} has format version {arrays['format_version']}, expected {FORMAT}; {_NOT_MADE}")
    rows, classes = arrays["probabilities"].shape
    lengths = {key: len(arrays[key]) for key in ("row_recording", "starts", "confidence", "spec_sizes")}
    lengths |= {"frame_probabilities": len(arrays.get("frame_probabilities", arrays["probabilities"]))}
    for key, length in lengths.items():
        if length != rows:
            raise InputError(f"{where}: {key} has {length} entries, probabilities {rows}; {_NOT_MADE}")
    for key in _TEXTS[:4]:
        if len(arrays[key]) != classes:
            raise InputError(f"{where}: {key} has {len(arrays[key])} entries, expected {classes}; {_NOT_MADE}")
    if not rows:
        raise InputError(f"{where} holds no window; {_NOT_MADE}")
    for key in ("probabilities", "frame_probabilities"):
        if key in arrays and not ((arrays[key] >= 0) & (arrays[key] <= 1)).all():
            raise InputError(f"{where}: {key} holds numbers outside 0 to 1 (or NaN); {_NOT_MADE}")
    if not (np.isfinite(arrays["confidence"]) & (arrays["confidence"] > 0)).all():
        raise InputError(f"{where}: confidence holds numbers that are not above 0; {_NOT_MADE}")
    numbers = arrays["row_recording"]
    if numbers.min() < 0 or numbers.max() >= len(arrays["recordings"]):
        raise InputError(f"{where}: row_recording names recordings that are not listed; {_NOT_MADE}")
    try:
        meta = json.loads(str(arrays["meta"]))
    except ValueError:
        meta = None
    if not isinstance(meta, dict) or not isinstance(meta.get("audio"), dict):
        raise InputError(f"{where}: meta is not a map with the settings of the spectrograms; {_NOT_MADE}")
    return meta


def _inflate_all(
    where: str, values: NDArray[np.uint8], sizes: NDArray[np.int64], size: tuple[int, int], workers: int
) -> NDArray[np.uint8]:
    height, width = size
    ends = np.cumsum(sizes)
    if (sizes < 0).any() or ends[-1] != len(values):
        raise InputError(f"{where}: spec_values has {len(values)} bytes, spec_sizes name {ends[-1]}; {_NOT_MADE}")
    images = np.empty((len(sizes), height * width), np.uint8)

    def decode(row: int) -> None:
        try:
            raw = inflate(values[ends[row] - sizes[row] : ends[row]].tobytes(), height * width)
        except ValueError as error:
            raise InputError(
                f"{where}: spectrogram {row} is not {height} × {width} ({error}); set audio.spec_height and "
                f"audio.spec_width as they were, or {_NOT_MADE}"
            ) from None
        images[row] = np.frombuffer(raw, np.uint8)

    with ThreadPoolExecutor(max(1, workers)) as pool:
        for _ in pool.map(decode, range(len(sizes))):
            pass
    return images.reshape(-1, height, width)


def _entry(archive: zipfile.ZipFile, key: str) -> BinaryIO:
    # Fixed time and system, otherwise two equal files would differ in their bytes.
    entry = zipfile.ZipInfo(f"{key}.npy", (1980, 1, 1, 0, 0, 0))
    entry.create_system = 3
    return archive.open(entry, "w", force_zip64=True)  # type: ignore[return-value]


def _texts(values: Any) -> NDArray[Any]:
    texts = list(values)
    return np.array(texts, dtype=f"<U{max([1, *map(len, texts)])}")
