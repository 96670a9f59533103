"""Camtrap DP 1.0.2: deployments, media and observations as a data package (camtrap-dp.tdwg.org).

The standard was made for cameras. Where it lacks a field for sound, that is a tag of the observation, named as
proposed for acoustics (tdwg/camtrap-dp#450, #466): ``startTime`` and ``endTime`` in seconds within the recording,
since times of events have no fractions, ``frequencyLow`` and ``frequencyHigh``, and ``class``. The length of a
recording stands in ``exifData``. A recording without a detection has one blank observation: effort is kept.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath
from typing import Any

from britekit import __version__
from britekit.errors import InputError
from britekit.exchange._dataset import Dataset, Detection, Export, Source
from britekit.files import atomic_path, csv_writer, write_json
from britekit.formats._base import format_time

VERSION = "1.0.2"
_SCHEMAS = f"https://raw.githubusercontent.com/tdwg/camtrap-dp/{VERSION}"
_TABLES = ("deployments", "media", "observations")
PACKAGE = "datapackage.json"
DEPLOYMENTS = (
    "deploymentID", "locationID", "locationName", "latitude", "longitude", "coordinateUncertainty", "deploymentStart",
    "deploymentEnd", "setupBy", "cameraID", "cameraModel", "cameraDelay", "cameraHeight", "cameraDepth", "cameraTilt",
    "cameraHeading", "detectionDistance", "timestampIssues", "baitUse", "featureType", "habitat", "deploymentGroups",
    "deploymentTags", "deploymentComments",
)  # fmt: skip
MEDIA = (
    "mediaID", "deploymentID", "captureMethod", "timestamp", "filePath", "filePublic", "fileName", "fileMediatype",
    "exifData", "favorite", "mediaComments",
)  # fmt: skip
OBSERVATIONS = (
    "observationID", "deploymentID", "mediaID", "eventID", "eventStart", "eventEnd", "observationLevel",
    "observationType", "cameraSetupType", "scientificName", "count", "lifeStage", "sex", "behavior", "individualID",
    "individualPositionRadius", "individualPositionAngle", "individualSpeed", "bboxX", "bboxY", "bboxWidth",
    "bboxHeight", "classificationMethod", "classifiedBy", "classificationTimestamp", "classificationProbability",
    "observationTags", "observationComments",
)  # fmt: skip
# The standard's own pattern: relative, without a hidden or parent folder.
_PATH = re.compile(r"^(?=^[^./~])(^((?!\.{2}).)*$).*$")
_MEDIA_TYPES = {
    ".wav": "wav", ".wave": "wav", ".w64": "x-w64", ".rf64": "wav", ".aif": "aiff", ".aiff": "aiff", ".aifc": "aiff",
    ".au": "basic", ".caf": "x-caf", ".flac": "flac", ".mp3": "mpeg", ".ogg": "ogg", ".oga": "ogg", ".opus": "ogg",
    ".m4a": "mp4", ".mp4": "mp4", ".aac": "aac", ".wma": "x-ms-wma", ".webm": "webm", ".mka": "x-matroska",
}  # fmt: skip


@dataclass
class _Placement:
    """A recorder at a place, with the times between which it stood there."""

    name: str
    first: Source
    begin: datetime
    end: datetime


def _why_not(source: Source) -> str:
    if source.start is None:
        return "its time is not known (data/deployments.csv, recordings.csv or misc.time_regex tell it)"
    if source.start.tzinfo is None:
        return "its time has no time zone (data/deployments.csv tells it)"
    if source.info.latitude is None:
        return "its coordinates are not known (data/deployments.csv or recordings.csv tell them)"
    if not _PATH.match(source.below):
        return 'its path begins with "." or "~" or holds "..", which the standard refuses'
    return ""


def _write(dataset: Dataset, folder: Path) -> None:
    if not dataset.recordings:
        raise InputError(f"no recording can be written as Camtrap DP; {_all_reasons(dataset)}")
    placements = _placements(dataset)
    taxa: set[str] = set()
    _write_table(folder / "deployments.csv", DEPLOYMENTS, _deployment_rows(placements))
    _write_table(folder / "media.csv", MEDIA, (_medium(source, placements) for source in dataset.recordings))
    _write_table(folder / "observations.csv", OBSERVATIONS, _observations(dataset, placements, taxa))
    write_json(folder / PACKAGE, _package(folder, dataset, placements, taxa))


def _all_reasons(dataset: Dataset) -> str:
    counts = Counter(reason for _, reason in dataset.not_exported)
    return "; ".join(f"of {count} {reason}" for reason, count in counts.most_common()) or "none was analyzed"


def _placements(dataset: Dataset) -> dict[tuple[object, ...], _Placement]:
    """Return the placements that recordings belong to, by `_key`."""
    found: dict[tuple[object, ...], _Placement] = {}
    taken: Counter[str] = Counter()
    for source in dataset.recordings:
        times = [source.time(0.0), source.time(source.seconds)]
        known = found.get(_key(source))
        if known is None:
            name = "_".join(filter(None, (source.site, source.info.recorder))) or "deployment"
            taken[name] += 1
            name = name if taken[name] == 1 else f"{name}_{taken[name]}"
            known = found[_key(source)] = _Placement(name, source, times[0], times[1])
            row = source.info.deployment
            ends = (row.begin, row.end) if row is not None else ()
            times += [at if at.tzinfo else at.replace(tzinfo=times[0].tzinfo) for at in ends if at is not None]
        known.begin = min(known.begin, *times, key=datetime.timestamp)  # not by what clocks show
        known.end = max(known.end, *times, key=datetime.timestamp)
    return found


def _key(source: Source) -> tuple[object, ...]:
    info = source.info
    return source.site, info.recorder, info.latitude, info.longitude, info.deployment and info.deployment.row


def _deployment_rows(placements: dict[tuple[object, ...], _Placement]) -> Iterator[dict[str, Any]]:
    for each in placements.values():
        info = each.first.info
        yield {
            "deploymentID": each.name,
            "locationID": each.first.site,
            "locationName": each.first.site,
            "latitude": info.latitude,
            "longitude": info.longitude,
            "deploymentStart": _moment(each.begin),
            "deploymentEnd": _moment(each.end, up=True),
            "cameraID": info.recorder or "",
            "deploymentComments": " ".join(info.deployment.note.split()) if info.deployment else "",
        }


def _medium(source: Source, placements: dict[tuple[object, ...], _Placement]) -> dict[str, Any]:
    path = PurePosixPath(source.below)
    ending = path.suffix.lower()
    return {
        "mediaID": source.identifier("medium"),
        "deploymentID": placements[_key(source)].name,
        "timestamp": _moment(source.time(0.0)),
        "filePath": source.below,
        "filePublic": "false",
        "fileName": path.name,
        "fileMediatype": f"audio/{_MEDIA_TYPES.get(ending) or 'x-' + (ending[1:] or 'unknown')}",
        "exifData": json.dumps({"Duration": round(source.seconds, 6)}),
    }


def _observations(
    dataset: Dataset, placements: dict[tuple[object, ...], _Placement], taxa: set[str]
) -> Iterator[dict[str, Any]]:
    """Yield the observations of all recordings; adds the names of their taxa."""
    for source in dataset.recordings:
        common = {
            "deploymentID": placements[_key(source)].name,
            "mediaID": source.identifier("medium"),
            "observationLevel": "media",
        }
        blank = True
        for item in dataset.detections(source):
            blank = False
            taxa.add(item.scientific_name)
            yield {**common, **_observation(dataset, source, item)}
        if blank:
            yield {
                **common,
                "observationID": source.identifier("blank"),
                "eventStart": _moment(source.time(0.0)),
                "eventEnd": _moment(source.time(source.seconds), up=True),
                "observationType": "blank",
                "classificationMethod": "machine",
                "classifiedBy": dataset.model,
            }


def _observation(dataset: Dataset, source: Source, item: Detection) -> dict[str, Any]:
    tags = [
        f"class:{item.info.name.replace('|', '/')}",
        f"startTime:{format_time(item.start)}",
        f"endTime:{format_time(item.end)}",
    ]
    if dataset.band is not None and item.score is not None:
        tags += [f"frequencyLow:{dataset.band[0]:g}", f"frequencyHigh:{dataset.band[1]:g}"]
    found = {
        "observationID": source.identifier(*item.key),
        "eventStart": _moment(source.time(item.start)),
        "eventEnd": _moment(source.time(item.end), up=True),
        "observationType": "animal",
        "scientificName": item.scientific_name,
        "classificationMethod": "machine",
        "classifiedBy": dataset.model,
        "classificationProbability": "" if item.score is None else f"{item.score:.6f}",
        "observationTags": " | ".join(tags),
    }
    if item.confirmed is not None:
        # The machine's certainty is no longer that of the classification that counts.
        score = "" if item.score is None else f"score {item.score:.6f} by {dataset.model}"
        found |= {
            "classificationMethod": "human",
            "classifiedBy": item.confirmed.reviewer or "reviewer",
            "classificationTimestamp": _verdict_time(item.confirmed.time),
            "classificationProbability": "",
            "observationComments": "; ".join(filter(None, (score, " ".join(item.confirmed.note.split())))),
        }
    return found


def _verdict_time(text: str) -> str:
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        return ""
    return _moment(when) if when.tzinfo is not None else ""


def _moment(when: datetime, up: bool = False) -> str:
    """Write a time in whole seconds, the end of a stretch rounded up, as the standard has no fractions."""
    if up and when.microsecond:
        when = (when.astimezone(UTC) + timedelta(seconds=1)).astimezone(when.tzinfo)
    return when.isoformat(timespec="seconds")


def _write_table(path: Path, columns: tuple[str, ...], rows: Iterator[dict[str, Any]]) -> None:
    with atomic_path(path) as partial, open(partial, "w", encoding="utf-8", newline="") as stream:
        writer = csv_writer(stream)
        writer.writerow(columns)
        writer.writerows([row.get(name, "") for name in columns] for row in rows)


def _package(
    folder: Path, dataset: Dataset, placements: dict[tuple[object, ...], _Placement], taxa: set[str]
) -> dict[str, Any]:
    """Return the package's description; what a person wrote about the project in an earlier one stays."""
    own = _written(folder / PACKAGE)
    if not own:
        dataset.notes.append(
            f"say in {folder / PACKAGE} who contributes, the title, the sampling design and the licences before "
            "you publish it: an export keeps what is written there"
        )
    resources = [
        {
            "name": name,
            "path": f"{name}.csv",
            "profile": "tabular-data-resource",
            "format": "csv",
            "mediatype": "text/csv",
            "encoding": "utf-8",
            "schema": f"{_SCHEMAS}/{name}-table-schema.json",
        }
        for name in _TABLES
    ]
    points = sorted({(each.first.info.longitude, each.first.info.latitude) for each in placements.values()})
    defaults = {
        "title": "Detections of animal sounds",
        "contributors": [{"title": "britekit", "role": "contributor"}],
        "sources": [{"title": "britekit", "version": str(dataset.manifest.get("britekit_version") or __version__)}],
        "keywords": ["acoustic", "passive acoustic monitoring"],
        "project": {
            "title": "Acoustic monitoring",
            "samplingDesign": "opportunistic",
            "captureMethod": ["timeLapse"],
            "individualAnimals": False,
            "observationLevel": ["media"],
        },
    }
    return {
        **defaults,
        **own,
        "resources": resources,
        "profile": f"{_SCHEMAS}/camtrap-dp-profile.json",
        "created": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "spatial": {"type": "MultiPoint", "coordinates": [list(point) for point in points]},
        "temporal": {
            "start": min((each.begin for each in placements.values()), key=datetime.timestamp).date().isoformat(),
            "end": max((each.end for each in placements.values()), key=datetime.timestamp).date().isoformat(),
        },
        "taxonomic": [{"scientificName": name} for name in sorted(taxa)],
    }


def _written(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is not valid JSON ({error}); correct it, or remove it to begin a new one") from None
    if not isinstance(found, dict):
        raise InputError(f"{path} is not a JSON object; correct it, or remove it to begin a new one")
    return found


EXPORT = Export("camtrap-dp", "Camtrap DP", _why_not, _write)
