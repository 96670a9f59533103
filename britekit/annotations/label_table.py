"""Labels by columns: millions of them in seconds and in some 30 bytes each.

A test at min_score 0 has a label for every class in every window, tens of millions of rows. Plain files are parsed as
arrays of bytes (`label_bytes.py`); the others are left to the reader of `labels.py`, which takes any form and names
what is wrong. M: labels.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from britekit.annotations.across_channels import merged_labels
from britekit.annotations.detection_tables import find_detections, read_batches
from britekit.annotations.label_bytes import (
    NotPlain,
    Numbered,
    ParsedRows,
    plain_csv,
    plain_text,
    read_ahead,
    short_times,
)
from britekit.annotations.labels import (
    Label,
    examined_recordings,
    find_label_table,
    label_texts,
    read_label_csv,
    read_label_text,
)
from britekit.annotations.tracks import Tracks, of_channel
from britekit.audio.files import name_key
from britekit.config.yaml_reader import load_plain

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LabelTable:
    """Labels of any number of recordings, in the order of the files."""

    recordings: list[str]
    """Stems with accents composed, in order of appearance; a label file without labels counts too."""
    names: list[str]
    """Names of labels, in order of appearance."""
    recording_M: NDArray[np.int32]
    name_M: NDArray[np.int32]
    """(M,) indexes into both lists."""
    start_M: NDArray[np.floating]
    end_M: NDArray[np.floating]
    """(M,) seconds; in single precision where that holds all of them exactly."""
    score_M: NDArray[np.float32]
    """(M,) 0 to 1; 0 where a file gives none."""
    channels: list[str] = field(default_factory=list)
    """Of each recording, if that was asked for: the channel that its labels are about, or an empty text. A recording
    whose channels were analyzed one by one then stands there once for each."""
    merged: int = 0
    """Number of labels left out because another channel has a better one of the same call."""

    def __len__(self) -> int:
        return len(self.recording_M)


def read_label_table(directory: str | Path, channels: bool = False) -> LabelTable:
    """Read the labels of a directory, whatever program wrote them.

    Takes what `read_labels` takes, and the tables of ``analyze --rtype detections``; raises what it raises.

    Parameters
    ----------
    channels
        Tell the channels of a recording apart (``audio.channels: each``); otherwise their labels are put together, and
        a call in several channels counts once (`britekit.annotations.across_channels`); how many were merged is logged.
    """
    builder = _Builder()
    directory = Path(directory)
    detections = None if (directory / "scores.csv").is_file() else find_detections(directory)
    of_channels = [] if detections is not None else sorted(directory.glob(of_channel("scores.csv", "[0-9]*")))
    table = None if detections is not None or of_channels else find_label_table(directory)
    if detections is not None:
        builder.add_detections(detections, _name_column(directory))
    elif of_channels:
        for path in of_channels:
            builder.channel = path.name.split(".")[-2].removeprefix("ch")
            builder.add_file(path, None)
        builder.channel = ""
    elif table is not None:
        builder.add_file(table, None)
        if table.name == "scores.csv":  # which has no row of a recording in which nothing was detected
            for recording in examined_recordings(table.parent):
                builder.recordings.setdefault(recording, len(builder.recordings))
    else:
        tracks = Tracks(_stated(directory, "audio", "channels") == "each")
        for path, track in label_texts(directory):
            recording, channel = tracks.split(track)
            called = recording if channel is None else f"{recording}\0{channel}"
            builder.recordings.setdefault(called, len(builder.recordings))
            builder.add_file(path, called)
    found = builder.finish()
    return found if channels else _without_channels(found)


class _Column:
    """A column that grows. Only what was written takes memory, so there is room for twice of it."""

    def __init__(self, kind: type[np.generic]) -> None:
        self._values: NDArray = np.empty(0, kind)
        self.size = 0

    def extend(self, values: NDArray) -> None:
        kind = np.promote_types(self._values.dtype, values.dtype)
        if kind != self._values.dtype:  # times in single precision so far, until some needed more
            self._values = self._values.astype(kind)
        size = self.size + len(values)
        if size > len(self._values):
            larger = np.empty(max(size, 2 * len(self._values)), self._values.dtype)
            larger[: self.size] = self._values[: self.size]
            self._values = larger
        self._values[self.size : size] = values
        self.size = size

    def values(self) -> NDArray:
        return self._values[: self.size]


class _Builder:
    """Collects labels, the numbers already in their final types."""

    def __init__(self) -> None:
        self.recordings, self.names = Numbered(), Numbered()
        # With a channel, recordings are called "RECORDING\0CHANNEL" until the end.
        self.channel = ""
        self._columns = [_Column(kind) for kind in (np.int32, np.int32, np.float32, np.float32, np.float32)]

    def add_file(self, path: Path, recording: str | None) -> None:
        """Add a table (no recording given) or the label file of a recording."""
        size, known = self._columns[0].size, (len(self.recordings), len(self.names))
        try:
            for block in read_ahead(plain_csv(path) if recording is None else plain_text(path)):
                self._add_block(block, recording)
        except (NotPlain, OSError):
            for column in self._columns:
                column.size = size
            for texts, count in zip((self.recordings, self.names), known, strict=True):
                for text in list(texts)[count:]:
                    del texts[text]
            self._add_labels(read_label_csv(path) if recording is None else read_label_text(path, recording))

    def add_detections(self, path: Path, name_column: str) -> None:
        """Add a table of detections."""
        for recordings, recording, names, name, start, end, score, *of in read_batches(
            path, name_column, channels=True
        ):
            if of and of[0].any():
                pairs, recording = np.unique(np.stack([recording, of[0]], axis=1), axis=0, return_inverse=True)
                recording = recording.reshape(-1)
                recordings = [recordings[which] + (f"\0{number}" if number else "") for which, number in pairs.tolist()]
            places = [
                np.array([known[text] for text in texts], np.int32)
                for known, texts in ((self.recordings, recordings), (self.names, names))
            ]
            columns = (
                _taken(places[0], recording),
                _taken(places[1], name),
                short_times(start),
                short_times(end),
                score,
            )
            self._add(*columns)

    def _add_block(self, block: ParsedRows, recording: str | None) -> None:
        if recording is None:
            recordings = self._numbered(block)
        else:
            recordings = np.full(len(block.score), self.recordings[recording], dtype=np.int32)
        self._add(recordings, block.name.numbered(self.names), block.start, block.end, block.score)

    def _numbered(self, block: ParsedRows) -> NDArray[np.int32]:
        if not self.channel:
            return block.recording.numbered(self.recordings)
        own = Numbered()
        index = block.recording.numbered(own)
        return np.array([self.recordings[self._called(name)] for name in own], np.int32)[index]

    def _called(self, recording: str) -> str:
        return f"{recording}\0{self.channel}" if self.channel else recording

    def _add_labels(self, labels: Iterable[Label]) -> None:
        found = list(labels)
        self._add(
            np.array([self.recordings[self._called(x.recording)] for x in found], dtype=np.int32),
            np.array([self.names[x.name] for x in found], dtype=np.int32),
            short_times(np.array([x.start for x in found], dtype=np.float64)),
            short_times(np.array([x.end for x in found], dtype=np.float64)),
            np.array([x.score for x in found], dtype=np.float32),
        )

    def _add(self, *values: NDArray) -> None:
        for column, added in zip(self._columns, values, strict=True):
            column.extend(added)

    def finish(self) -> LabelTable:
        recordings, name, start, end, score = (column.values() for column in self._columns)
        composed_names = Numbered()
        parts = [each.partition("\0") for each in self.recordings]
        place = np.array([composed_names[name_key(each) + mark + at] for each, mark, at in parts], dtype=np.int32)
        if list(composed_names) != list(self.recordings):
            recordings = place[recordings]
        found = [each.partition("\0") for each in composed_names]
        of = [channel for _, _, channel in found]
        return LabelTable([each for each, _, _ in found], list(self.names), recordings, name, start, end, score, of)


def _without_channels(table: LabelTable) -> LabelTable:
    """Return labels of recordings from labels of their channels."""
    if not any(table.channels):
        return replace(table, channels=[])
    names = Numbered()
    recording_M = np.array([names[each] for each in table.recordings], np.int32)[table.recording_M]
    channel_M = np.array([int(each or 0) for each in table.channels], np.int32)[table.recording_M]
    name_M, start_M, end_M, score_M = table.name_M, table.start_M, table.end_M, table.score_M
    merged = merged_labels(recording_M, channel_M, name_M, start_M, end_M, score_M)
    count = int(merged.sum())
    if count:
        what = "%d of %d detections are of calls that another channel of the recording heard better; they count once"
        log.warning(what, count, len(merged))
    kept = np.flatnonzero(~merged)
    return LabelTable(
        list(names), table.names, recording_M[kept], name_M[kept], start_M[kept], end_M[kept], score_M[kept],
        merged=count,
    )  # fmt: skip


def _taken(places: NDArray[np.int32], rows: NDArray[np.integer]) -> NDArray[np.int32]:
    return places[rows] if len(places) else np.zeros(0, np.int32)


def _name_column(directory: Path) -> str:
    """Return what labels beside a table of detections call a class: its code if the manifest says so, else its name."""
    return "code" if _stated(directory, "inference", "label_field") == "codes" else "class"


def _stated(directory: Path, section: str, key: str) -> object:
    """Return a setting in the manifest beside labels; None where none can be read."""
    try:
        return load_plain((directory / "manifest.yaml").read_text(encoding="utf-8"))[section][key]
    except (OSError, ValueError, KeyError, TypeError):
        return None
