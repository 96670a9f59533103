"""Write copies of recordings in which stretches are silent, and every other sample and the format are unchanged."""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import soundfile  # type: ignore[import-untyped]

from britekit.audio.chunks import chunks_from, form_of
from britekit.audio.decoding import AudioReader
from britekit.audio.files import shown
from britekit.errors import InputError
from britekit.files import atomic_path

_WAV = ("WAV", "WAVEX", "RF64")
_EXACT = {"PCM_S8": "int16", "PCM_U8": "int16", "PCM_16": "int16", "PCM_24": "int32", "PCM_32": "int32"}
_EXACT |= {"FLOAT": "float32", "DOUBLE": "float64"}
_BLOCK = 1 << 20


def write_muted(source: Path, target: Path, stretches: Sequence[tuple[float, float]]) -> None:
    """Write a copy with silence in stretches (start, end in seconds), and compare it with its original.

    Bytes of a WAV outside the stretches are copied as they are, with all metadata; a FLAC is encoded again with the
    same samples, and keeps its usual comments.

    Raises
    ------
    InputError
        The format cannot be changed in places (MP3, Ogg and other lossy ones), or its header is wrong. Nothing is left.
    """
    if target.exists():
        raise InputError(f"{shown(target)} exists; choose another folder")
    with AudioReader(source, warn=False) as reader:
        expansion, frames = reader.time_expansion, reader.exact_frames()
        if frames is None:  # of a FLAC, or of joined files, of which libsndfile reads the first one only
            frames = sum(block.shape[1] for block in reader.blocks())
    try:
        file = soundfile.SoundFile(os.fspath(source))
    except (soundfile.LibsndfileError, RuntimeError, TypeError, OSError):
        file = None
    with nullcontext() if file is None else file:
        plain = file is not None and file.subtype in _EXACT and file.format in (*_WAV, "FLAC")
        if file is None or not plain or frames != file.frames:
            raise InputError(
                f"{shown(source)} cannot be muted without changing other samples; only WAV and FLAC with a "
                "right header can, so convert it first"
            )
        rate = file.samplerate * expansion
        spans = [
            (max(0, math.floor(start * rate)), min(file.frames, math.ceil(end * rate))) for start, end in stretches
        ]
        with atomic_path(target) as partial:
            if file.format == "FLAC":
                _write_flac(file, partial, spans)
            else:
                _write_wav(file, source, partial, spans)
            _check(source, partial, spans)


def _write_wav(file: Any, source: Path, partial: Path, spans: list[tuple[int, int]]) -> None:
    with source.open("rb") as stream:
        form = form_of(stream.read(40))
        data = (
            None
            if form is None
            else next((c for c in chunks_from(stream, form, form.head) if c.name == form.data), None)
        )
        if data is None:
            raise InputError(f"{shown(source)}: the samples were not found in the file")
    width = {"PCM_U8": 1, "PCM_16": 2, "PCM_24": 3, "PCM_32": 4, "FLOAT": 4, "DOUBLE": 8}[file.subtype] * file.channels
    silent = b"\x80" if file.subtype == "PCM_U8" else b"\0"
    shutil.copyfile(source, partial)
    with partial.open("rb+") as stream:
        for first, stop in spans:
            stream.seek(data.at + first * width)
            for at in range(first, stop, _BLOCK):
                stream.write(silent * (width * (min(stop, at + _BLOCK) - at)))


def _write_flac(file: Any, partial: Path, spans: list[tuple[int, int]]) -> None:
    with soundfile.SoundFile(
        os.fspath(partial), "w", file.samplerate, file.channels, subtype=file.subtype, format="FLAC"
    ) as out:
        for name, text in file.copy_metadata().items():
            setattr(out, name, text)
        for at, block in _blocks(file):
            for first, stop in spans:
                block[max(0, first - at) : max(0, stop - at)] = 0
            out.write(block)


def _blocks(file: Any) -> Iterator[tuple[int, np.ndarray]]:
    at = 0
    file.seek(0)
    while len(block := file.read(_BLOCK, dtype=_EXACT[file.subtype], always_2d=True)):
        yield at, block
        at += len(block)


def _check(source: Path, copy: Path, spans: list[tuple[int, int]]) -> None:
    with soundfile.SoundFile(os.fspath(source)) as one, soundfile.SoundFile(os.fspath(copy)) as other:
        if one.frames != other.frames:
            raise InputError(f"{shown(source)}: its copy has another length")
        for (at, old), (_, new) in zip(_blocks(one), _blocks(other), strict=True):
            for first, stop in spans:
                part = slice(max(0, first - at), max(0, stop - at))
                old[part] = 0
            if old.tobytes() != new.tobytes():
                raise InputError(f"{shown(source)}: its copy differs outside the voices")
