"""Stretches of recordings cut out into files of their own.

Samples of WAV, FLAC, AIFF and other uncompressed or lossless recordings are copied bit by bit. Compressed
recordings are decoded and stored with 16 bits. Only the samples of one clip are in memory at a time, unless
clips of a compressed recording overlap.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import soundfile  # type: ignore[import-untyped]

from britekit.annotations.recording_info import RecordingInfo
from britekit.annotations.tracks import track_name
from britekit.audio.metadata import RecordingMetadata, read_metadata
from britekit.audio.stretches import Stretches, open_stretches, write_stretch
from britekit.audio.time_expansion import factor_of
from britekit.errors import InputError, counted
from britekit.files import unwritable, write_csv
from britekit.results.candidates import later

COLUMNS = ("file", "recording", "start", "end", "name", "score", "time", "channel")
FAILED_COLUMNS = ("recording", "start", "end", "name", "score", "reason", "channel")
FORMATS = ("wav", "flac")
_MOST_BYTES = 200
_RESERVED = '<>:"/\\|?*'
# Tables round seconds: a detection may end this much behind the last sample.
_ROUNDING_S = 0.0051


@dataclass(frozen=True)
class Clip:
    """A stretch that is wanted."""

    recording: str
    """As the index names it."""
    start: float
    end: float
    """Seconds, without padding."""
    name: str
    """Class."""
    score: float
    channel: str = ""
    """Number of the channel that is wanted alone; empty: all of them."""


@dataclass(frozen=True)
class Cut:
    """A clip that was written, or why it was not."""

    clip: Clip
    file: Path | None = None
    start: float = 0.0
    end: float = 0.0
    """Seconds of the recording that the file holds."""
    time: datetime | None = None
    """Clock time of its first sample."""
    reason: str = ""


def cut_clips(
    path: Path | None,
    clips: list[Clip],
    folder: Path,
    pad_s: float = 0.0,
    file_format: str = "wav",
    info: RecordingInfo | None = None,
) -> Iterator[Cut]:
    """Cut stretches out of one recording, in the order of their starts.

    Parameters
    ----------
    folder
        Where the files go, each in a folder named as its class.
    pad_s
        Seconds added before and after, as far as the recording reaches.
    file_format
        ``wav`` or ``flac``. FLAC holds at most 24 bits: recordings with more, or with floating-point samples,
        are refused, since their samples would change.
    info
        When and where the recording was made; by default what its file says.

    Yields
    ------
    Cut
        One for each clip. A clip that cannot be cut has a reason and no file; none is left out.
    """
    clips = sorted(clips, key=lambda clip: (clip.start, clip.end, clip.name))
    if path is None:
        yield from (Cut(clip, reason="the recording was not found") for clip in clips)
        return
    metadata = read_metadata(path)
    if info is not None:
        metadata = replace(
            metadata, time=info.start, latitude=info.latitude, longitude=info.longitude,
            device=metadata.device or info.recorder,
        )  # fmt: skip
    start_time = metadata.time
    try:
        factor = factor_of(path)
        metadata = metadata if factor == 1 else replace(metadata, time_expansion=factor)
        source = open_stretches(path, file_format)
    except InputError as error:
        yield from (Cut(clip, reason=str(error)) for clip in clips)
        return
    with source:
        for clip in clips:
            yield _cut(source, clip, folder, pad_s, file_format, start_time, metadata)


def _cut(
    source: Stretches,
    clip: Clip,
    folder: Path,
    pad_s: float,
    file_format: str,
    start_time: datetime | None,
    metadata: RecordingMetadata,
) -> Cut:
    first = max(0, round((clip.start - pad_s) * source.rate))
    stop = round((clip.end + pad_s) * source.rate)
    wanted_stop = round(clip.end * source.rate)
    samples = source.read(first, stop)
    if clip.channel:
        if int(clip.channel) > samples.shape[1]:
            return Cut(clip, reason=f"the recording has {counted(samples.shape[1], 'channel')}, not {clip.channel}")
        samples = samples[:, int(clip.channel) - 1 : int(clip.channel)]
    held = first + len(samples)
    if held < wanted_stop - _ROUNDING_S * source.rate or not len(samples):
        return Cut(clip, reason=f"the recording ends at {source.length_s(held):.3f} s, before the detection does")
    start, end = first / source.rate, held / source.rate
    when = None if start_time is None else later(start_time, start)
    file = _free(folder / safe_name(clip.name) / f"{_stem(clip, start, when)}.{file_format}")
    # The folder is new and its index is written last, so a killed run cannot look like a finished one.
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_stretch(file, samples, source, file_format, _guano(clip, start, when, metadata))
    except (OSError, soundfile.LibsndfileError) as error:
        file.unlink(missing_ok=True)
        raise unwritable(file, error if isinstance(error, OSError) else OSError(str(error))) from error
    return Cut(clip, file, start, end, when)


def _guano(clip: Clip, start: float, when: datetime | None, metadata: RecordingMetadata) -> str:
    """Return a GUANO text (specification 1.0) with time, place and device of a clip."""
    lines = ["GUANO|Version: 1.0"]
    if when is not None:
        lines.append(f"Timestamp: {when.isoformat()}")
    if metadata.latitude is not None:
        lines.append(f"Loc Position: {metadata.latitude} {metadata.longitude}")
    if metadata.time_expansion not in (None, 1.0):
        lines.append("TE: 1")  # a clip has the true rate
    if metadata.device:
        lines.append(f"Make: {_plain(metadata.device)}")
    lines.append(f"Species Auto ID: {_plain(clip.name)}")
    lines.append(f"Note: cut from {_plain(clip.recording)} at {start:.3f} s, score {clip.score:.3f}")
    return "\n".join(lines) + "\n"


def _plain(text: str) -> str:
    return " ".join(text.split())


def safe_name(text: str) -> str:
    """Return a text as the name of a file on any system.

    A name with separators, reserved letters or more than 200 bytes is altered; a digest of the whole
    text then keeps it apart from others that become alike.
    """
    kept = "".join("_" if letter in _RESERVED or not letter.isprintable() else letter for letter in text)
    kept = kept.strip(" .")
    if kept == text and len(kept.encode()) <= _MOST_BYTES:
        return kept
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    return kept.encode()[: _MOST_BYTES - 9].decode("utf-8", "ignore") + "~" + digest


def _stem(clip: Clip, start: float, when: datetime | None) -> str:
    """Return a clip's name: class, score, recording, second, and clock time where it is known."""
    recording = track_name(clip.recording, int(clip.channel)) if clip.channel else clip.recording
    parts = [clip.name, f"{clip.score:.3f}", recording, f"{start:.3f}s"]
    if when is not None:
        parts.append(when.strftime("%Y%m%dT%H%M%S"))
    return safe_name("_".join(parts).replace("/", "-"))


def _free(file: Path) -> Path:
    """Return a path at which no file lies: this one, or one with a number behind its name."""
    number, free = 2, file
    while free.exists():
        free, number = file.with_name(f"{file.stem}-{number}{file.suffix}"), number + 1
    return free


def write_index(path: Path, cuts: list[Cut], folder: Path) -> None:
    """Write ``clips.csv``, a row per clip that was cut."""
    rows = [
        (
            cut.file.relative_to(folder).as_posix(),
            cut.clip.recording,
            f"{cut.start:.3f}",
            f"{cut.end:.3f}",
            cut.clip.name,
            f"{cut.clip.score:.6f}",
            "" if cut.time is None else cut.time.isoformat(),
            cut.clip.channel,
        )
        for cut in cuts
        if cut.file is not None
    ]
    write_csv(path, [COLUMNS, *rows])


def write_failed(path: Path, cuts: list[Cut]) -> None:
    """Write the clips that could not be cut, each with its reason."""
    rows = [
        (
            cut.clip.recording,
            f"{cut.clip.start:.3f}",
            f"{cut.clip.end:.3f}",
            cut.clip.name,
            f"{cut.clip.score:.6f}",
            cut.reason,
            cut.clip.channel,
        )
        for cut in cuts
        if cut.file is None
    ]
    write_csv(path, [FAILED_COLUMNS, *rows])
