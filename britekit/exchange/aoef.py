"""AOEF 1.1.0, the JSON of soundevent and whombat: detections as the predictions of a model run.

Paths are relative to the folder of recordings, as `soundevent.io.load(path, audio_dir=...)` takes them. Each section
is written by going through the detections again, so memory does not grow with their number.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from britekit.audio.decoding import AudioReader
from britekit.errors import BriteKitError
from britekit.exchange._dataset import Dataset, Detection, Export, Source
from britekit.files import atomic_path

FILE = "detections.json"
VERSION = "1.1.0"


def _why_not(source: Source) -> str:
    try:
        _sound(source)
    except BriteKitError as error:
        return f"its sampling rate is not known: {' '.join(str(error).split())}"
    return ""


def _sound(source: Source) -> tuple[int, int, float]:
    with AudioReader(source.path, warn=False) as reader:
        return reader.channels, reader.rate, reader.time_expansion


def _write(dataset: Dataset, folder: Path) -> None:
    tags = {("verdict", "yes"): 0}
    for source in dataset.recordings:
        for item in dataset.detections(source):
            tags.setdefault(("species", item.scientific_name), len(tags))
    sections: list[tuple[str, Iterable[Any]]] = [
        ("tags", ({"id": number, "key": key, "value": value} for (key, value), number in tags.items())),
        ("recordings", map(_recording, dataset.recordings)),
        ("clips", map(_clip, dataset.recordings)),
        ("sound_events", (_sound_event(*each) for each in _each(dataset))),
        ("sound_event_predictions", (_prediction(source, item, tags) for source, item in _each(dataset))),
        ("clip_predictions", (_clip_prediction(dataset, source) for source in dataset.recordings)),
    ]
    made = datetime.now().astimezone().isoformat(timespec="seconds")
    run = {
        "uuid": dataset.recordings[0].identifier("run", dataset.model, made) if dataset.recordings else _NIL,
        "collection_type": "model_run",
        "name": dataset.model,
        "created_on": made,
        "model": {"name": dataset.model, "version": str(dataset.manifest.get("britekit_version") or "unknown")},
    }
    with atomic_path(folder / FILE) as partial, open(partial, "w", encoding="utf-8") as stream:
        stream.write(f'{{"version": "{VERSION}", "created_on": "{made}", "data": {_text(run)[:-1]}')
        for name, items in sections:
            stream.write(f',\n"{name}": [')
            for place, item in enumerate(items):
                stream.write(("," if place else "") + "\n" + _text(item))
            stream.write("]")
        stream.write("}}\n")


_NIL = "00000000-0000-0000-0000-000000000000"


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _each(dataset: Dataset) -> Iterator[tuple[Source, Detection]]:
    for source in dataset.recordings:
        for item in dataset.detections(source):
            yield source, item


def _recording(source: Source) -> dict[str, Any]:
    channels, rate, expansion = _sound(source)
    found: dict[str, Any] = {
        "uuid": source.identifier("recording"),
        "path": source.below,
        "duration": source.seconds,
        "channels": channels,
        "samplerate": rate,
        "time_expansion": None if expansion == 1 else expansion,
        "latitude": source.info.latitude,
        "longitude": source.info.longitude,
    }
    if source.start is not None:  # by the clock of the site: the format has no time zone
        found |= {"date": source.start.date().isoformat(), "time": source.start.time().isoformat()}
    return {key: value for key, value in found.items() if value is not None}


def _clip(source: Source) -> dict[str, Any]:
    return {
        "uuid": source.identifier("clip"),
        "recording": source.identifier("recording"),
        "start_time": 0.0,
        "end_time": source.seconds,
    }


def _sound_event(source: Source, item: Detection) -> dict[str, Any]:
    return {
        "uuid": source.identifier("event", *item.key),
        "recording": source.identifier("recording"),
        "geometry": {"type": "TimeInterval", "coordinates": [item.start, item.end]},
    }


def _prediction(source: Source, item: Detection, tags: dict[tuple[str, str], int]) -> dict[str, Any]:
    score = 1.0 if item.score is None else item.score  # which only a person heard
    found = [[tags["species", item.scientific_name], score]]
    if item.confirmed is not None:
        found.append([tags["verdict", "yes"], 1.0])
    return {
        "uuid": source.identifier(*item.key),
        "sound_event": source.identifier("event", *item.key),
        "score": score,
        "tags": found,
    }


def _clip_prediction(dataset: Dataset, source: Source) -> dict[str, Any]:
    events = [source.identifier(*item.key) for item in dataset.detections(source)]
    return {"uuid": source.identifier("clip prediction"), "clip": source.identifier("clip"), "sound_events": events}


EXPORT = Export("aoef", "AOEF", _why_not, _write)
