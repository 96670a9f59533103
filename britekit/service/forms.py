"""The fields that each endpoint takes beside the recording, and what their values may be."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal, Self

from pydantic import BaseModel, Field, ValidationError, field_validator, model_validator
from pydantic_core import PydanticCustomError

from britekit.annotations.deployments import zone_named
from britekit.errors import suggest
from britekit.service.answers import JSON, format_names
from britekit.service.picture import MAX_WIDTH
from britekit.service.uploads import Refusal

FILE_FIELD = "audio"
KEY_FIELD = "key"
SOURCE_FIELD = "source"


class PlaceForm(BaseModel):
    """Where and when the recording was made, for a model with occurrence data."""

    latitude: float | None = Field(
        None, ge=-90, le=90, description="Of the recording, degrees (WGS84); its own metadata or name if absent."
    )
    longitude: float | None = Field(None, ge=-180, le=180, description="Degrees (WGS84), with `latitude`.")
    area: str | None = Field(
        None, max_length=80, description="Code of an area of the model's occurrence data, instead of a place."
    )
    date: str | None = Field(
        None, max_length=10, description="Day of the recording, such as 2024-05-12; its own metadata or name if absent."
    )
    week: int | None = Field(None, ge=1, le=48, description="Week, four per month, instead of `date`.")

    @model_validator(mode="after")
    def _has_both(self) -> Self:
        if (self.latitude is None) != (self.longitude is None):
            raise PydanticCustomError("latitude", "latitude and longitude belong together; one is missing")
        return self


class ChannelForm(BaseModel):
    """Which channel of the recording."""

    channel: int | None = Field(
        None, ge=1, le=1024, description="Channel that is used, from 1; by the model's settings if absent."
    )


class RecordingForm(PlaceForm, ChannelForm):
    """The recording itself, or the key of one that was sent before."""

    key: str | None = Field(
        None,
        max_length=80,
        description="Instead of the recording: `key` of an earlier answer. Scores of recent recordings are "
        "stored; status 410 means that the recording must be sent again.",
    )
    name: str | None = Field(None, max_length=255, description="With `key`: name of the recording in the answer.")


class LabeledForm(PlaceForm):
    """Thresholds, and the site and clock time in formats that have columns for them."""

    min_score: float | None = Field(
        None, ge=0, le=1, description="Lowest score of a detection; the model's default if absent."
    )
    thresholds: bool = Field(False, description="Use the calibration's threshold of each class instead of min_score.")
    site: str | None = Field(
        None, max_length=200, description="Where it was recorded; for formats with site and clock time."
    )
    time: datetime | None = Field(
        None,
        description="When the recording began, such as `2026-05-01T06:30:00+02:00`; by its metadata or name if absent.",
    )
    time_zone: str | None = Field(
        None,
        max_length=60,
        description="Time zone of the site, such as `Europe/Berlin`; also of a clock that states none.",
    )

    @field_validator("time_zone")
    @classmethod
    def _is_zone(cls, value: str) -> str:
        try:
            zone_named(value)
        except ValueError:
            raise PydanticCustomError("time_zone", "is not a time zone such as Europe/Berlin or +02:00") from None
        return value


class FormatForm(BaseModel):
    """The format of detections."""

    format: str = Field(JSON, description="Format of the answer.", json_schema_extra={"enum": [*format_names()]})
    classes: str | None = Field(None, description="Names of the classes to return, one per line; all if absent.")
    label_field: Literal["names", "codes", "alt_names", "alt_codes"] | None = Field(
        None, description="Content of a label; the model's default if absent."
    )

    @field_validator("format")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in format_names():
            raise PydanticCustomError(
                "format", f"is not one of {', '.join(format_names())}{suggest(value, format_names())}"
            )
        return value


class DetectionsForm(RecordingForm, LabeledForm, FormatForm):
    """Options for detections."""


class JobForm(LabeledForm, ChannelForm):
    """A job: the recording itself, or where it lies."""

    source: str | None = Field(
        None,
        max_length=1000,
        description="Instead of the recording: a full path, or an address such as `s3://BUCKET/x.wav`, that the "
        "operator of this server allowed.",
    )
    name: str | None = Field(
        None, max_length=255, description="Name of the recording in the result; its own if absent."
    )


class PictureForm(ChannelForm):
    """Options for a spectrogram."""

    max_width: int = Field(MAX_WIDTH, ge=100, le=MAX_WIDTH, description="Maximum width of the picture, in pixels.")


def checked(form: type[BaseModel], given: dict[str, str], file: bool = True) -> Any:
    """Return the fields of a form; empty ones count as absent.

    Raises `Refusal` if a field is unknown or has an unusable value.

    Parameters
    ----------
    file
        Whether the form also takes a recording.
    """
    known = list(form.model_fields)
    for name in given:
        if name not in known:
            raise Refusal(
                400,
                f'the form has an unknown field "{name[:40]}"'
                + (suggest(name, known) or f"; known are {', '.join([FILE_FIELD, *known] if file else known)}"),
            )
    try:
        return form.model_validate({k: v for k, v in given.items() if v not in ("", "null")})
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        name, message = ".".join(str(part) for part in first["loc"]), str(first["msg"])
        raise Refusal(
            400, f'field {name}: "{str(first.get("input"))[:40]}": {message[:1].lower()}{message[1:]}'
        ) from None


def wanted_classes(names: str, known: list[str]) -> set[str]:
    """Return the class names of the field ``classes``, one per line.

    Raises `Refusal` if one is not a class of the model.
    """
    wanted = {name.strip() for name in names.split("\n")}
    for name in wanted.difference(known):
        raise Refusal(400, f'field classes: "{name[:40]}" is not a class of the model{suggest(name, known)}')
    return wanted
