"""Occurrence data for a recording that was sent, and what the answer says about it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from urllib.parse import quote

from britekit.annotations.deployments import Deployment, zone_named
from britekit.annotations.recording_info import RecordingInfo
from britekit.audio.recording_names import place_from_name
from britekit.errors import InputError
from britekit.inference.labeling import Labeler
from britekit.inference.occurrence_notes import OccurrenceNote
from britekit.occurrence.prior import GIVEN, RecordingPrior, Where
from britekit.service.forms import LabeledForm, PlaceForm
from britekit.service.uploads import Refusal


def prior_of(labeler: Labeler, info: RecordingInfo, fields: PlaceForm) -> RecordingPrior | None:
    """Return what occurrence data say about a recording; None for a model without them.

    Raises `Refusal` if a field is out of range, two contradict, no area contains the place, or the model has no such
    data.

    Parameters
    ----------
    info
        What the recording's metadata and name tell; fields go before it.
    """
    try:
        where = Where.stated(fields.latitude, fields.longitude, fields.date, fields.week, fields.area)
        if labeler.prior is not None:
            return labeler.prior.elsewhere(where).of_info(_with_fields(info, fields))
    except InputError as error:
        raise Refusal(400, str(error)) from error
    unused: dict[str, object] = {"area": fields.area, "date": fields.date, "week": fields.week}
    if not isinstance(fields, LabeledForm):  # where tables have columns for the place
        unused |= {"latitude": fields.latitude}
    if given := [name for name, value in unused.items() if value is not None]:
        raise Refusal(400, f"the model has no occurrence data, so the field {given[0]} is not used; leave it out")
    return None


def _with_fields(info: RecordingInfo, fields: PlaceForm) -> RecordingInfo:
    """Return the same with the time that a field states, or with the place in its name."""
    if isinstance(fields, LabeledForm) and fields.time is not None:
        info = replace(info, start=fields.time, start_source=GIVEN)
    place = None if info.latitude is not None else place_from_name(info.path.name)
    return replace(info, latitude=place[0], longitude=place[1], place_source="name") if place else info


def stated_info(known: RecordingInfo, fields: LabeledForm) -> RecordingInfo:
    """Return when and where a recording was made: by the request, else by what is known of it."""
    zone = zone_named(fields.time_zone) if fields.time_zone else None
    here = Deployment(0, fields.site or "", zone=zone)
    clock = fields.time or known.start
    return replace(
        known,
        site=fields.site or known.site,
        start=here.localized(clock)[0] if clock is not None else None,
        zone=zone,
        latitude=known.latitude if fields.latitude is None else fields.latitude,
        longitude=known.longitude if fields.longitude is None else fields.longitude,
    )


def note_facts(note: OccurrenceNote | None) -> dict[str, Any]:
    """Return what an answer says about occurrence data; empty for a model without them."""
    if note is None:
        return {}
    return {"occurrence": {
        "area": note.area, "week": note.week, "place_source": note.place_source, "week_source": note.week_source,
        "reason": note.reason, "withheld": note.withheld, "lowered": note.lowered, "raised": note.raised,
        "classes": [x.name for x in note.changes if x.shift < 0 and x.labels < x.labels_without],
    }}  # fmt: skip


def note_headers(note: OccurrenceNote | None) -> dict[str, str]:
    """Return the same in short, for formats that have no place for it."""
    if note is None:
        return {}
    week = "" if note.week is None else f"; week={note.week}"
    text = quote(note.area or note.reason, safe=" ,-")
    text = f"area={text}{week}" if note.area else f"not applied: {text}"
    return {"X-Occurrence": f"{text}; withheld={note.withheld}; lowered={note.lowered}; raised={note.raised}"}
