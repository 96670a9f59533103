"""`bk.util`: the small helpers of public britekit 1.8.4, under its names, for scripts written for it.

Library code does not use them. They answer as they do there (a missing folder is an empty list, not an error), so
that such scripts run unchanged; what is skipped is logged.
"""

from __future__ import annotations

import dataclasses
import enum
import logging
import math
import os
import re
import sys
import zlib
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from britekit.annotations.labels import recording_of
from britekit.audio.files import AUDIO_EXTENSIONS, is_recording_name
from britekit.config import get_config
from britekit.errors import InputError

if TYPE_CHECKING:
    import pandas

log = logging.getLogger(__name__)

AUDIO_EXTS = sorted(AUDIO_EXTENSIONS)
_LABEL_COLUMNS = ["recording", "name", "start_time", "end_time", "score"]
_SCORED = re.compile(r"(\S+)\t(\S+)\t([\S ]+);(\S+)")
_BIRDNET = re.compile(r"(\S+)\t(\S+)\t[\S ]+\,\s([\S ]+)\t(\S+)")
_PLAIN = re.compile(r"(\S+)\t(\S+)\t([\S ]+)")
_DEEPEST = 100


class SpectrogramError(InputError, RuntimeError):
    """A stored spectrogram that cannot be unpacked."""


@dataclasses.dataclass
class FileLabel:
    """A label read from a file: a name is heard in a recording from one second to another."""

    recording: str
    name: str
    start_time: float
    end_time: float
    score: float


def cfg_to_pure(obj: Any, _depth: int = 0) -> Any:
    """Return settings, or any object, as nested dicts, lists, texts and numbers."""
    if _depth > _DEEPEST or obj is None or isinstance(obj, (str, bool, int, float)):
        return obj
    if isinstance(obj, enum.Enum):
        return cfg_to_pure(obj.value, _depth + 1)
    if isinstance(obj, type) or callable(obj) and hasattr(obj, "__qualname__"):
        return f"{obj.__module__}.{obj.__qualname__}"
    if dataclasses.is_dataclass(obj):
        return {x.name: cfg_to_pure(getattr(obj, x.name), _depth + 1) for x in dataclasses.fields(obj)}
    if isinstance(obj, Mapping):
        return {str(key): cfg_to_pure(value, _depth + 1) for key, value in obj.items()}
    if isinstance(obj, np.ndarray):
        return obj.tolist()
    if isinstance(obj, np.generic):
        return obj.item()
    if isinstance(obj, os.PathLike):
        return str(obj)
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(obj, torch.Tensor):
        return {"tensor": {"shape": list(obj.shape), "dtype": str(obj.dtype)}}
    if torch is not None and isinstance(obj, (torch.dtype, torch.device)):
        return str(obj)
    if isinstance(obj, (Sequence, set, frozenset)) and not isinstance(obj, (bytes, bytearray)):
        return [cfg_to_pure(value, _depth + 1) for value in obj]
    return obj


def cli_help_from_doc(doc: str | None) -> str | None:
    """Return a docstring up to its list of arguments, without indentation; None if there is none."""
    import inspect

    if not doc:
        return None
    lines: list[str] = []
    for line in inspect.cleandoc(doc).splitlines():
        if re.fullmatch(r"(Args|Arguments|Parameters)\s*:?", line.strip()):
            break
        lines.append(line)
    return "\n".join(lines).strip()


def compress_spectrogram(spec: np.ndarray) -> bytes:
    """Return the stored form of a spectrogram (H, W) with values 0 to 1."""
    if type(spec).__module__.partition(".")[0] == "torch":
        spec = spec.numpy(force=True)  # type: ignore[attr-defined]
    if not isinstance(spec, np.ndarray):
        raise TypeError("spec must be a numpy array")
    from britekit.database.spectrograms import encode  # brings SQLAlchemy, half a second

    return encode(spec)


def expand_spectrogram(spec: bytes) -> np.ndarray:
    """Return a stored spectrogram as float32 (1, H, W) with values 0 to 1; H and W are those of `get_config()`.

    Raises
    ------
    SpectrogramError
        It is damaged or has another size.
    """
    if not isinstance(spec, bytes):
        raise TypeError("spec must be bytes")
    audio = get_config().audio
    expected = audio.spec_height * audio.spec_width
    try:
        raw = zlib.decompressobj().decompress(spec, expected + 1)
    except zlib.error as error:
        raise SpectrogramError(f"Failed to decompress spectrogram: {error}") from None
    if len(raw) != expected:
        found = len(raw) if len(raw) <= expected else "more"
        raise SpectrogramError(f"Failed to expand spectrogram: Expected {expected} elements, got {found}")
    image = np.frombuffer(raw, np.uint8).reshape(1, audio.spec_height, audio.spec_width)
    return image.astype(np.float32) / np.float32(255)


def format_elapsed_time(start_time: float, end_time: float) -> str:
    """Return the time from one moment to another, in seconds, as MM:SS or HH:MM:SS."""
    if end_time < start_time:
        raise ValueError("end_time must be greater than or equal to start_time")
    minutes, seconds = divmod(int(end_time - start_time), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02d}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes:02d}:{seconds:02d}"


def get_audio_files(path: str, short_names: bool = False) -> list[str]:
    """Return the recordings directly in a directory, sorted; none if it is not one that can be read."""
    try:
        names = sorted(entry.name for entry in os.scandir(path) if is_recording_name(entry.name) and entry.is_file())
    except OSError as error:
        if path:
            log.warning("%s cannot be listed (%s)", path, error.strerror or error)
        return []
    return names if short_names else [os.path.join(path, name) for name in names]


def get_device() -> str:
    """Return where models run: ``cuda``, ``mps`` or ``cpu``."""
    from britekit.training.devices import choose_device

    return choose_device(get_config().misc.force_cpu).type


def get_file_lines(path: str, encoding: str = "utf-8") -> list[str]:
    """Return the lines of a text file without surrounding blanks, empty lines and ``#`` comments."""
    try:
        text = Path(path).read_text(encoding=encoding) if path else ""
    except (OSError, UnicodeError) as error:
        log.error("Unable to open input file %s: %s", path, error)
        return []
    lines = (line.strip() for line in text.lstrip("\ufeff").splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def get_range(min_val: float, max_val: float, incr: float) -> list[float]:
    """Return the values from one to another, both included, at steps of ``incr``."""
    if max_val < min_val:
        raise ValueError("max_val must be greater than or equal to min_val")
    if incr < 0:
        raise ValueError("increment must be positive")
    if incr == 0:
        return [min_val]
    return [round(float(min_val + k * incr), 10) for k in range(math.floor((max_val - min_val) / incr + 1e-9) + 1)]


def get_seconds_from_time_string(time_str: str | None) -> int:
    """Return ``71``, ``1:11`` or ``0:01:11`` as whole seconds; nothing is 0."""
    text = (time_str or "").strip()
    parts = text.split(":")
    if not text:
        return 0
    if len(parts) > 3:
        raise ValueError(f"Unrecognized time format: '{text}'")
    seconds = 0.0
    for part in parts:
        seconds = seconds * 60 + float(part)
    return int(seconds)


def get_source_name(filename: str) -> str:
    """Return the source that a recording's name tells by ``misc.source_regexes``."""
    from britekit.datasets.recordings_csv import source_from_name  # brings SQLAlchemy, as above

    return source_from_name(os.path.splitext(filename)[0], get_config().misc.source_regexes or [])


def is_audio_file(file_path: str) -> bool:
    """Return whether a path is an existing file named as a recording."""
    return is_recording_name(file_path) and os.path.isfile(file_path)


def select_label_regex(line: str) -> tuple[re.Pattern[str] | None, bool, bool]:
    """Return the pattern that reads a label file with such a line, whether it is BirdNET's, and if it has no score."""
    for pattern, is_birdnet, unscored in ((_SCORED, False, False), (_BIRDNET, True, False), (_PLAIN, False, True)):
        if pattern.match(line):
            return pattern, is_birdnet, unscored
    return None, False, False


def labels_to_list(input_path: str, recording_classes: Mapping[str, Collection[str]] | None = None) -> list[FileLabel]:
    """Return the scored labels in the text files of a directory; lines that are not labels are counted and logged.

    Parameters
    ----------
    recording_classes
        Recording to the names wanted of it; None = all labels.
    """
    found: list[FileLabel] = []
    if not os.path.isdir(input_path):
        return found
    skipped = 0
    for path in sorted(Path(input_path).glob("*.txt")):
        recording = recording_of(path)
        for line in path.read_text(encoding="utf-8-sig", errors="replace").splitlines():
            pattern, _, unscored = select_label_regex(line)
            parts = pattern.match(line) if pattern and not unscored else None
            try:
                start, end, name, score = parts.groups() if parts else ("", "", "", "")
                label = FileLabel(recording, name, float(start), float(end), float(score))
            except ValueError:
                skipped += bool(line.strip())
                continue
            if recording_classes is None or name in recording_classes.get(recording, ()):
                found.append(label)
    if skipped:
        log.warning("%s: %d lines of its text files are not labels with scores and were left out", input_path, skipped)
    return found


def labels_to_dataframe(
    input_path: str, recording_classes: Mapping[str, Collection[str]] | None = None
) -> pandas.DataFrame:
    """Return the labels of `labels_to_list` as a data frame: recording, name, start_time, end_time, score."""
    import pandas

    rows = [dataclasses.astuple(label) for label in labels_to_list(input_path, recording_classes)]
    return pandas.DataFrame(rows, columns=_LABEL_COLUMNS)


def inference_output_to_dataframe(
    input_path: str, recording_classes: Mapping[str, Collection[str]] | None = None
) -> pandas.DataFrame:
    """Return what an analysis wrote into a directory: its CSV file, or else its label files.

    Raises
    ------
    InputError
        There is no such directory, several CSV files of which none ends in ``_labels.csv``, or one that cannot be read.
    """
    import pandas

    if not os.path.isdir(input_path):
        raise InputError(f"Input path does not exist: {input_path}")
    tables = sorted(Path(input_path).glob("*.csv"))
    named = [path for path in tables if path.name == "scores.csv" or path.name.endswith("_labels.csv")]
    if len(tables) > 1 and len(named) != 1:
        raise InputError(
            f"multiple CSV files found in {input_path}, but not one that ends with '_labels.csv'; keep one of them"
        )
    if not tables:
        return labels_to_dataframe(input_path, recording_classes)
    path = (named or tables)[0]
    try:
        frame = pandas.read_csv(path)
    except (ValueError, OSError) as error:
        raise InputError(f"Error reading CSV file {path}: {error}") from error
    if recording_classes is None:
        return frame
    wanted = [
        name in recording_classes.get(recording, ())
        for recording, name in zip(frame["recording"], frame["name"], strict=True)
    ]
    return frame[wanted].reset_index(drop=True)


def set_logging(level: int = logging.INFO, timestamp: bool = False) -> None:
    """Show log messages from a level on, bare or with the time before them."""
    form = "%(asctime)s.%(msecs)03d %(message)s" if timestamp else "%(message)s"
    logging.basicConfig(level=level, format=form, datefmt="%H:%M:%S", force=True)
