"""AOEF, the JSON of soundevent and whombat, as annotations: sets, projects and evaluation sets.

A set lists clips that people listened to, with the sound events that they heard. The class is the tag whose key
names a species, else the only key there is. Detections are written by ``export --format aoef``.
"""

from __future__ import annotations

import json
import logging
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PureWindowsPath
from typing import Any

from britekit.annotations.names import RecordingNames
from britekit.annotations.segments import Annotation, parse_stretch, raise_for_rows, without_repeats
from britekit.annotations.text_files import TextFile
from britekit.audio.time_expansion import factor_of
from britekit.errors import InputError, counted, some
from britekit.formats._base import Format

log = logging.getLogger(__name__)

_KINDS = ("annotation_set", "annotation_project", "evaluation_set")
_KIND = re.compile(rf'"collection_type"\s*:\s*"({"|".join(_KINDS)})"')
# Keys of the tags that name a class, the likeliest first.
CLASS_KEYS = (
    "species", "dwc:scientificName", "scientific_name", "Scientific Name", "dwc:vernacularName", "common_name", "class",
    "label", "code", "event", "sound_type",
)  # fmt: skip
_FINISHED, _REJECTED = {"completed", "verified"}, "rejected"
# Clips are cut at whole samples, lengths are rounded.
_SLACK_S = 0.1


def is_aoef(lines: Sequence[str]) -> bool:
    """Return whether a file begins like annotations in AOEF."""
    head = "\n".join(lines).lstrip()
    return head.startswith("{") and '"data"' in head and _KIND.search(head) is not None


def read_aoef(file: TextFile, names: RecordingNames, default_label: str = "") -> list[Annotation]:
    """Read annotations; a recording whose clips hold nothing gives one row without times.

    Times are those in the file: with a time expansion, AOEF counts the time of the animal. In a project in which
    tasks are marked as completed, only those count.

    Raises `InputError` if the file is damaged, names something that it does not hold, holds sound events without a
    length, or tags of several keys none of which names classes.
    """
    try:
        data = json.loads("\n".join(file.lines))["data"]
        reader = _Reader(file, data, names)
        annotations = reader.annotations(default_label)
    except (ValueError, TypeError, AttributeError) as error:
        raise InputError(f"{file.path} is not valid AOEF ({error}); export it again") from None
    except KeyError as error:
        raise InputError(f"{file.path} is not valid AOEF: {error} is missing; export it again") from None
    file.report()
    return annotations


class _Reader:
    """The objects of a file by their identifiers."""

    def __init__(self, file: TextFile, data: Mapping[str, Any], names: RecordingNames) -> None:
        self._file, self._data = file, data
        self._recordings = _by_id(data, "recordings")
        self._clips = _by_id(data, "clips")
        self._events = _by_id(data, "sound_events")
        self._claims = _by_id(data, "sound_event_annotations")
        self._tags = {tag["id"]: (str(tag["key"]), str(tag["value"]).strip()) for tag in data.get("tags") or ()}
        self._rows = {key: row for row, key in enumerate(self._claims, start=1)}
        self._names = {key: self._name(item, names) for key, item in self._recordings.items()}
        self._problems: list[str] = []
        self._unnamed = 0

    def _name(self, recording: Mapping[str, Any], names: RecordingNames) -> str:
        """Return the recording that a path means: by as much of the path as there is, else by its file name."""
        parts = PureWindowsPath(recording["path"]).parts
        for at in range(len(parts)):
            if names.find("/".join(parts[at:])) is not None:
                return names.named("/".join(parts[at:]))
        return names.named(parts[-1] if parts else "")

    def annotations(self, default_label: str) -> list[Annotation]:
        annotated = [(item, self._clips[item["clip"]]) for item in self._finished()]
        self._check_names({clip["recording"] for _, clip in annotated})
        key = self._class_key(item for item, _ in annotated)
        found: list[Annotation] = []
        used: set[str] = set()
        for item, clip in annotated:
            heard = set()
            for claim_id in item.get("sound_events") or ():
                claim = self._claims[claim_id]
                used.add(claim_id)
                for annotation in self._of_event(claim, key, default_label):
                    heard.add(annotation.label)
                    found.append(annotation)
            # What is said of the clip as a whole, where no sound event of the class says when.
            only = [label for label in dict.fromkeys(self._labels(item, key)) if label not in heard]
            found += [self._annotation(clip, label, clip["start_time"], clip["end_time"], 0) for label in only]
        raise_for_rows(self._file.path, self._problems)
        self._report(annotated, used)
        named = {item.recording for item in found}
        silent = {self._names[clip["recording"]] for _, clip in annotated} - named
        found += [Annotation(name, "", 0.0, 0.0, 0, str(self._file.path)) for name in sorted(silent)]
        return without_repeats(self._file.path, found)

    def _finished(self) -> list[Mapping[str, Any]]:
        """Return the annotated clips, without those whose task is not completed where tasks are marked."""
        items = list(self._data.get("clip_annotations") or ())
        states: dict[str, set[str]] = {}
        for task in self._data.get("tasks") or ():
            badges = {badge["state"] for badge in task.get("status_badges") or ()}
            states.setdefault(task["clip"], set()).update(badges)
        if not any(badges & _FINISHED for badges in states.values()):
            return items
        kept = [
            item
            for item in items
            if states.get(item["clip"], set()) & _FINISHED and _REJECTED not in states[item["clip"]]
        ]
        if len(kept) < len(items):
            log.warning(
                "%s: %d of %d clips are not marked as completed and are left out",
                *(self._file.path, len(items) - len(kept), len(items)),
            )
        return kept

    def _check_names(self, recordings: set[str]) -> None:
        paths: dict[str, str] = {}
        for key in sorted(recordings):
            path = str(self._recordings[key]["path"])
            other = paths.setdefault(self._names[key], path)
            if other != path:
                raise InputError(
                    f'{self._file.path}: {other} and {path} both mean the recording "{self._names[key]}"; rename one, '
                    "or put them into folders as they are named there"
                )

    def _class_key(self, items: Iterable[Mapping[str, Any]]) -> str:
        """Return the key of the tags that name classes; empty if there are no tags."""
        used: Counter[str] = Counter()
        for item in items:
            tagged = [item, *(self._claims[key] for key in item.get("sound_events") or ())]
            used.update(self._tags[tag][0] for each in tagged for tag in each.get("tags") or ())
        for key in CLASS_KEYS:
            if key in used:
                break
        else:
            if len(used) > 1:
                raise InputError(
                    f"{self._file.path}: tags have the keys {some(sorted(used), 6)}, none of which names a class; "
                    f"expected one of {', '.join(CLASS_KEYS)}"
                )
            key = next(iter(used), "")
        if len(used) > 1:
            self._file.note(
                f'classes are the tags with the key "{key}"; not read: {some(sorted(set(used) - {key}), 6)}'
            )
        return key

    def _labels(self, item: Mapping[str, Any], key: str) -> list[str]:
        tags = (self._tags[tag] for tag in item.get("tags") or ())
        return [value for each, value in tags if each == key and value]

    def _of_event(self, claim: Mapping[str, Any], key: str, default_label: str) -> Iterator[Annotation]:
        event = self._events[claim["sound_event"]]
        row = self._rows[claim["uuid"]]
        labels = self._labels(claim, key)
        self._unnamed += not labels
        start, end = _extent(event["geometry"])
        for label in dict.fromkeys(labels or [default_label]):
            yield self._annotation(event, label, start, end, row)

    def _annotation(self, item: Mapping[str, Any], label: str, start: float, end: float, row: int) -> Annotation:
        recording = self._recordings[item["recording"]]
        # Its seconds are those of the sound; ours too, if the file or a table says that it is expanded.
        factor = float(recording.get("time_expansion") or 1.0) / self._known_expansion(str(recording["path"]))
        try:
            if start == end:
                raise ValueError(f"the sound event at {start:g} s marks a moment; stretch it over the sound")
            start, end = parse_stretch(str(float(start)), str(float(end)), ("start", "end"))
        except ValueError as error:
            self._problems.append(f"sound event {row}: {error}")
        return Annotation(
            self._names[item["recording"]], label, start * factor, end * factor, row, str(self._file.path)
        )

    def _known_expansion(self, path: str) -> float:
        """Return the factor with which a recording is opened; 1 where it does not lie at its path."""
        for file in (self._file.path.parent / path, Path(path)):
            if file.is_file():
                return factor_of(file)
        return 1.0

    def _report(self, annotated: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]], used: set[str]) -> None:
        if self._unnamed:
            log.warning("%s: %d of %d sound events name no class", self._file.path, self._unnamed, len(used))
        if self._data["collection_type"] != "annotation_project" and len(used) < len(self._claims):
            log.warning(
                "%s: %s of no annotated clip not read",
                *(self._file.path, counted(len(self._claims) - len(used), "sound event")),
            )
        if any(item.get("sequences") for item, _ in annotated):
            self._file.note("sequences are not read; their sound events are")
        partly = []
        for key in dict.fromkeys(clip["recording"] for _, clip in annotated):
            stretches = sorted((c["start_time"], c["end_time"]) for _, c in annotated if c["recording"] == key)
            at = 0.0
            for start, end in stretches:
                at = max(at, end) if start <= at + _SLACK_S else at
            if at < self._recordings[key]["duration"] - _SLACK_S:
                partly.append(self._names[key])
        if partly:
            log.warning(
                "%s: clips cover only part of %s, whose rest counts as listened to: %s",
                *(self._file.path, counted(len(partly), "recording"), some(sorted(partly))),
            )


def _by_id(data: Mapping[str, Any], section: str) -> dict[str, Mapping[str, Any]]:
    return {item["uuid"]: item for item in data.get(section) or ()}


def _extent(geometry: Mapping[str, Any]) -> tuple[float, float]:
    """Return where a geometry begins and ends, in seconds; a point in it is time, then frequency."""
    kind, values = geometry["type"], geometry["coordinates"]
    if kind == "TimeStamp":
        return float(values), float(values)
    if kind == "TimeInterval":
        return float(values[0]), float(values[1])
    if kind == "BoundingBox":
        return float(values[0]), float(values[2])
    times = list(_times(values))
    return min(times), max(times)


def _times(values: Any) -> Iterator[float]:
    if values and not isinstance(values[0], list):
        yield float(values[0])
        return
    for part in values:
        yield from _times(part)


FORMAT = Format(
    name="aoef",
    title="AOEF (whombat, soundevent)",
    media_type="application/json",
    ending="",
    columns={
        "recordings": "their paths, of which as much counts as there is",
        "clip_annotations": "the clips that people listened to, with their sound events",
        "sound_event_annotations": "classes, by the tag species or the like",
        "sound_events": "geometry of any kind, of which begin and end are read",
    },
    sniff=is_aoef,
    read=read_aoef,
    lists_all=True,
)
