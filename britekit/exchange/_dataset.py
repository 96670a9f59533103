"""The common source of all standards: recordings with site and time, their detections, and verdicts."""

from __future__ import annotations

import os
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from britekit.annotations.analyzed import FILE_NAME as ANALYZED
from britekit.annotations.analyzed import analyzed_seconds
from britekit.annotations.classes import ClassInfo, find_class, read_classes
from britekit.annotations.label_table import LabelTable, read_label_table
from britekit.annotations.recording_info import RecordingInfo
from britekit.annotations.verdict_matching import detections_about
from britekit.annotations.verdicts import Judged, Verdict, combine, current_verdicts, read_verdicts
from britekit.audio.decoding import duration_of
from britekit.audio.files import name_key
from britekit.errors import InputError, counted, some
from britekit.evaluation.score_reading import read_manifest
from britekit.results.candidates import later
from britekit.results.recordings import Recordings, unknown_place

# Of identifiers that are made from what they identify, so that an export repeated has the same ones.
_NAMESPACE = uuid.UUID("5b0c2f7e-8a55-4c0e-9a3c-5d6a1c1f3b27")


@dataclass(frozen=True)
class Source:
    """A recording that was analyzed."""

    name: str
    """Below the folder of recordings, without extension."""
    path: Path
    below: str
    """The same with extension, with ``/``."""
    seconds: float
    info: RecordingInfo

    @property
    def site(self) -> str:
        """Name of the place in deployments or given by the user, else the folder."""
        return self.info.site or unknown_place(self.name).site

    @property
    def start(self) -> datetime | None:
        """Time of the first sample, by the clock of the site."""
        start = self.info.start
        if start is None or start.tzinfo is None or self.info.zone is None:
            return start
        return start.astimezone(self.info.zone)

    def time(self, seconds: float) -> datetime:
        """Return the clock time some seconds after the start, which is known."""
        assert self.start is not None
        return later(self.start, seconds)

    def identifier(self, *parts: object) -> str:
        """Return a UUID of something in this recording, the same in every export."""
        text = "|".join(map(str, (self.name, self.info.start, *parts)))
        return str(uuid.uuid5(_NAMESPACE, text))


@dataclass(frozen=True)
class Detection:
    """A class in a stretch of a recording."""

    info: ClassInfo
    start: float
    end: float
    """Seconds within the recording."""
    score: float | None
    """None where only a reviewer heard it."""
    confirmed: Verdict | None = None
    """The verdict that says yes."""

    @property
    def scientific_name(self) -> str:
        """The class's AltName, else its name."""
        return self.info.alt_name or self.info.name

    @property
    def key(self) -> tuple[object, ...]:
        """Identifier within its recording."""
        return self.info.name, f"{self.start:.3f}", f"{self.end:.3f}"


@dataclass
class Dataset:
    """The recordings, and their detections by recording."""

    recordings: list[Source]
    table: LabelTable
    rows: dict[str, np.ndarray]
    """Rows of the table that are exported, by recording, in the order of their starts."""
    classes: list[ClassInfo]
    """One per name in the table."""
    answers: dict[int, Judged] = field(default_factory=dict)
    """Verdicts about rows: yes or no."""
    heard: dict[str, list[Detection]] = field(default_factory=dict)
    """By recording: what a reviewer confirmed and no row holds."""
    manifest: dict[str, Any] = field(default_factory=dict)
    not_exported: list[tuple[str, str]] = field(default_factory=list)
    """Recordings with the reasons why they are missing."""
    notes: list[str] = field(default_factory=list)
    """Sentences about what was left out or assumed."""

    def leave_out(self, why_not: Callable[[Source], str]) -> None:
        """Take out the recordings that a standard cannot hold, with the reasons."""
        kept = []
        for source in self.recordings:
            if reason := why_not(source):
                self.not_exported.append((source.name, reason))
            else:
                kept.append(source)
        self.recordings = kept
        self.not_exported.sort()

    def detections(self, source: Source) -> Iterator[Detection]:
        """Yield the detections of a recording by start; what a verdict rejects is left out."""
        found = list(self.heard.get(source.name, ()))
        for row in self.rows.get(source.name, np.empty(0, np.int64)).tolist():
            judged = self.answers.get(row)
            if judged is not None and judged.answer == "no":
                continue
            info = self.classes[self.table.name_M[row]]
            # A table of single precision holds no more digits than this.
            start, end = (round(float(times[row]), 6) for times in (self.table.start_M, self.table.end_M))
            score = round(float(self.table.score_M[row]), 6)
            confirmed = None if judged is None else judged.verdict
            end = min(end, source.seconds) if start < source.seconds else end
            found.append(Detection(info, start, end, score, confirmed))
        # Tables may say a thing twice; identifiers may not.
        once = {item.key: item for item in sorted(found, key=lambda item: item.score or 0.0)}
        return iter(sorted(once.values(), key=lambda item: (item.start, item.info.name, item.end)))

    def count(self) -> tuple[int, int]:
        """Return how many detections there are, and how many of them a verdict confirms."""
        all_of_them = [item.confirmed is not None for source in self.recordings for item in self.detections(source)]
        return len(all_of_them), sum(all_of_them)

    @property
    def band(self) -> tuple[float, float] | None:
        """Lowest and highest frequency that the models see, in hertz; None if that is not known."""
        audio = self.manifest.get("audio") or {}
        return (audio["min_freq"], audio["max_freq"]) if {"min_freq", "max_freq"} <= audio.keys() else None

    @property
    def model(self) -> str:
        """Source of the scores: the program and the identifiers of the models."""
        parts = [str(v.get("identifier") or v.get("file")) for k, v in self.manifest.items() if k.startswith("model ")]
        version = self.manifest.get("britekit_version")
        return " ".join([f"britekit {version}" if version else "unknown program", *parts])

    @property
    def calibrated(self) -> bool:
        """Whether scores are probabilities."""
        return bool(self.manifest.get("calibrated"))


@dataclass(frozen=True)
class Export:
    """A standard."""

    name: str
    title: str
    why_not: Callable[[Source], str]
    """Returns why a recording cannot be written, or an empty text."""
    write: Callable[[Dataset, Path], None]


def read_dataset(
    recordings: str | os.PathLike[str],
    labels: str | os.PathLike[str],
    deployments: str | Path,
    verdicts: str | os.PathLike[str] | None,
    classes: str | Path,
    min_score: float,
    only: Sequence[str],
) -> Dataset:
    """Read what is exported; the parameters are those of `export_detections`."""
    labels = Path(labels)
    archive = Recordings(recordings, deployments)
    table = read_label_table(labels)
    manifest = read_manifest(labels)
    notes: list[str] = []
    unknown = sorted(set(only) - set(table.names))
    if unknown:
        raise InputError(f'no detection is called "{unknown[0]}"; there are {", ".join(sorted(table.names)) or "none"}')
    lengths = _analyzed(labels, table, archive, notes)
    found, missing = _sources(archive, lengths, notes)
    score = table.score_M.astype(np.float64)
    kept = score >= min_score - 1e-9
    if only:
        kept &= np.isin(table.name_M, [number for number, name in enumerate(table.names) if name in only])
    dataset = Dataset(found, table, _by_recording(table, kept), [], {}, {}, manifest, missing, notes)
    dataset.classes = _classes(table.names, Path(classes), manifest, notes)
    unlisted = sorted(set(dataset.rows) - set(lengths))
    if unlisted:
        count = sum(len(dataset.rows[name]) for name in unlisted)
        notes.append(
            f"{counted(count, 'detection')} left out, in recordings that {ANALYZED} does not list: {some(unlisted)}"
        )
    contradictory = [source.name for source in found if source.info.contradictions]
    if contradictory:
        notes.append(
            f"{counted(len(contradictory), 'recording')} with contradictory times or places, which audio-info lists: "
            f"{some(contradictory)}"
        )
    if verdicts is not None:
        _judge(dataset, combine(current_verdicts(read_verdicts(verdicts))), only)
    if manifest and not manifest.get("calibrated"):
        notes.append("scores are not calibrated, so the certainty given with each detection is not a probability")
    return dataset


def _analyzed(labels: Path, table: LabelTable, archive: Recordings, notes: list[str]) -> dict[str, float]:
    """Return what was analyzed: recording to seconds, sorted by name."""
    if not (labels / ANALYZED).is_file():
        notes.append(f"{labels / ANALYZED} is missing, so recordings without a detection are not exported")
        paths = {name_key(name): archive.find(name) for name in table.recordings}
        return {name: duration_of(path) if path is not None else 0.0 for name, path in sorted(paths.items())}
    return dict(sorted(analyzed_seconds(labels).items()))


def _sources(
    archive: Recordings, lengths: dict[str, float], notes: list[str]
) -> tuple[list[Source], list[tuple[str, str]]]:
    root = archive.root if archive.root.is_dir() else archive.root.parent
    found, missing = [], []
    for name, seconds in lengths.items():
        path = archive.find(name)
        if path is None:
            missing.append((name, f"it is not in {archive.root}"))
        else:
            found.append(Source(name, path, path.relative_to(root).as_posix(), seconds, archive.info(path)))
    return found, missing


def _by_recording(table: LabelTable, kept: np.ndarray) -> dict[str, np.ndarray]:
    order = np.flatnonzero(kept)
    order = order[np.lexsort((table.start_M[order], table.recording_M[order]))]
    bounds = np.searchsorted(table.recording_M[order], np.arange(len(table.recordings) + 1))
    return {
        name_key(name): order[bounds[number] : bounds[number + 1]]
        for number, name in enumerate(table.recordings)
        if bounds[number + 1] > bounds[number]
    }


def _classes(labels: list[str], path: Path, manifest: dict[str, Any], notes: list[str]) -> list[ClassInfo]:
    """Return the class of each label: from the class list, else from the manifest, else called like the label."""
    known = read_classes(path) if path.is_file() else []
    known = known or [ClassInfo(str(x["name"]), str(x["code"] or "")) for x in manifest.get("classes") or ()]
    found, unknown = [], []
    for label in labels:
        try:
            found.append(find_class(label, known))
        except InputError:
            found.append(ClassInfo(label))
            unknown.append(label)
    if unknown:
        notes.append(f"{counted(len(unknown), 'label')} not in {path}, taken as the name of a class: {some(unknown)}")
    unnamed = sorted({info.name for info in found if not info.alt_name})
    if unnamed:
        notes.append(
            f"{counted(len(unnamed), 'class', 'classes')} without AltName in {path}, where Name stands as scientific "
            f"name: {some(unnamed)}"
        )
    return found


def _judge(dataset: Dataset, judged: list[Judged], only: Sequence[str]) -> None:
    """Find the detections that verdicts are about; where verdicts differ, yes counts: the class is there."""
    table = dataset.table
    numbers: dict[str, list[int]] = defaultdict(list)
    for number, (label, info) in enumerate(zip(table.names, dataset.classes, strict=True)):
        for text in {label, info.name}:
            numbers[text].append(number)
    there = {source.name for source in dataset.recordings}
    absent, unsure, others = set(), 0, 0
    rows = np.concatenate([np.empty(0, np.int64), *dataset.rows.values()])
    for item, about in detections_about(judged, table, rows, numbers):
        verdict = item.verdict
        recording = name_key(verdict.recording)
        others += bool(verdict.others) and item.answer != "unsure"
        if recording not in there:
            absent.add(recording)
            continue
        if item.answer == "unsure":
            unsure += 1
            continue
        for row in about:
            if item.answer == "yes" or row not in dataset.answers:
                dataset.answers[row] = item
        if not about and item.answer == "yes" and (not only or verdict.name in only):
            info = dataset.classes[numbers[verdict.name][0]] if verdict.name in numbers else ClassInfo(verdict.name)
            dataset.heard.setdefault(recording, []).append(Detection(info, verdict.start, verdict.end, None, verdict))
    rejected = sum(item.answer == "no" for item in dataset.answers.values())
    heard = sum(map(len, dataset.heard.values()))
    sentences = (
        (rejected, "detection", "left out, since a verdict says no"),
        (heard, "confirmed stretch", "without a detection of these labels, exported as heard by a person"),
        (unsure, "unsure verdict", "whose detections are exported as not verified"),
        (others, "verdict", "with other classes that were heard, which are not exported"),
        (len(absent), "recording", f"with verdicts, but not exported: {some(sorted(absent))}"),
    )
    plurals = {"confirmed stretch": "confirmed stretches"}
    dataset.notes += [f"{counted(n, noun, plurals.get(noun, ''))} {text}" for n, noun, text in sentences if n]
