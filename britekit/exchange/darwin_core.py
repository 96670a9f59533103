"""Darwin Core: detections as occurrences, and recordings as the events in which they were heard (dwc.tdwg.org).

An event is a recording, also one without a detection, so that ``event.csv`` holds the effort. Columns are terms of
Darwin Core; what it has no term for (score, seconds within the recording) stands in ``dynamicProperties``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from britekit.errors import counted
from britekit.exchange._dataset import Dataset, Detection, Export, Source
from britekit.files import write_csv
from britekit.formats._base import format_time

OCCURRENCE = (
    "occurrenceID", "eventID", "basisOfRecord", "occurrenceStatus", "scientificName", "vernacularName", "eventDate",
    "locality", "decimalLatitude", "decimalLongitude", "geodeticDatum", "samplingProtocol", "samplingEffort",
    "identifiedBy", "dateIdentified", "identificationVerificationStatus", "identificationRemarks", "associatedMedia",
    "dynamicProperties",
)  # fmt: skip
EVENT = (
    "eventID", "eventDate", "locality", "decimalLatitude", "decimalLongitude", "geodeticDatum", "samplingProtocol",
    "sampleSizeValue", "sampleSizeUnit", "samplingEffort", "eventRemarks",
)  # fmt: skip


def _why_not(source: Source) -> str:
    if source.start is None:
        return "its time is not known (data/deployments.csv, recordings.csv or misc.time_regex tell it)"
    return ""


def _write(dataset: Dataset, folder: Path) -> None:
    unzoned = sum(1 for source in dataset.recordings if source.time(0.0).tzinfo is None)
    unplaced = sum(1 for source in dataset.recordings if source.info.latitude is None)
    if unzoned:
        dataset.notes.append(
            f"{counted(unzoned, 'recording')} with a time without a time zone, written as the clock had it"
        )
    if unplaced:
        dataset.notes.append(f"{counted(unplaced, 'recording')} without coordinates, which are left empty")
    write_csv(folder / "occurrence.csv", _table(OCCURRENCE, _occurrences(dataset)))
    write_csv(folder / "event.csv", _table(EVENT, (_event(dataset, source) for source in dataset.recordings)))


def _table(columns: tuple[str, ...], rows: Iterator[dict[str, Any]]) -> Iterator[list[Any]]:
    yield list(columns)
    for row in rows:
        yield [row.get(name, "") for name in columns]


def _interval(source: Source, start: float, end: float) -> str:
    return "/".join(source.time(seconds).isoformat(timespec="milliseconds") for seconds in (start, end))


def _common(dataset: Dataset, source: Source) -> dict[str, Any]:
    placed = source.info.latitude is not None
    least = None if "thresholds" in dataset.manifest else (dataset.manifest.get("inference") or {}).get("min_score")
    protocol = f"passive acoustic monitoring, detection by {dataset.model}"
    return {
        "eventID": source.identifier("event"),
        "locality": source.site,
        "decimalLatitude": source.info.latitude if placed else "",
        "decimalLongitude": source.info.longitude if placed else "",
        "geodeticDatum": "EPSG:4326" if placed else "",
        "samplingProtocol": protocol + (f", lowest score {least:g}" if isinstance(least, (int, float)) else ""),
        "samplingEffort": f"{format_time(source.seconds)} s of sound analyzed",
    }


def _event(dataset: Dataset, source: Source) -> dict[str, Any]:
    return {
        **_common(dataset, source),
        "eventDate": _interval(source, 0.0, source.seconds),
        "sampleSizeValue": format_time(source.seconds),
        "sampleSizeUnit": "second",
        "eventRemarks": source.below,
    }


def _occurrences(dataset: Dataset) -> Iterator[dict[str, Any]]:
    for source in dataset.recordings:
        common = _common(dataset, source)
        for item in dataset.detections(source):
            yield {**common, **_occurrence(dataset, source, item)}


def _occurrence(dataset: Dataset, source: Source, item: Detection) -> dict[str, Any]:
    more: dict[str, Any] = {"startTime": item.start, "endTime": item.end}
    if item.score is not None:
        more |= {"score": item.score, "scoreIsProbability": dataset.calibrated}
        if dataset.band is not None:
            more |= {"freqLow": dataset.band[0], "freqHigh": dataset.band[1]}
    verdict = item.confirmed
    return {
        "occurrenceID": f"urn:uuid:{source.identifier(*item.key)}",
        # A person who listens to a recording does not make it an observation by a person.
        "basisOfRecord": "MachineObservation",
        "occurrenceStatus": "present",
        "scientificName": item.scientific_name,
        "vernacularName": item.info.name if item.info.alt_name else "",
        "eventDate": _interval(source, item.start, item.end),
        "identifiedBy": dataset.model if verdict is None else verdict.reviewer or "reviewer",
        "dateIdentified": "" if verdict is None else verdict.time,
        "identificationVerificationStatus": "unverified" if verdict is None else "verified by a person",
        "identificationRemarks": "" if verdict is None else " ".join(verdict.note.split()),
        "associatedMedia": source.below,
        "dynamicProperties": json.dumps(more, ensure_ascii=False),
    }


EXPORT = Export("darwin-core", "Darwin Core", _why_not, _write)
