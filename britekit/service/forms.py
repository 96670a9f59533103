"""The fields that each endpoint takes beside the recording, and what their values may be."""

from __future__ import annotations

from typing import Literal, TypeVar

from pydantic import BaseModel, Field, ValidationError, field_validator
from pydantic_core import PydanticCustomError

from britekit.errors import suggest
from britekit.service.answers import JSON, format_names
from britekit.service.picture import MAX_WIDTH
from britekit.service.uploads import Refusal

FILE_FIELD = "audio"
KEY_FIELD = "key"
Form = TypeVar("Form", bound="RecordingForm")


class RecordingForm(BaseModel):
    """The recording itself, or the key of one that was sent before."""

    key: str | None = Field(
        None,
        max_length=80,
        description="In place of the recording: `key` of an earlier answer. Scores of recent recordings are "
        "kept; status 410 asks to send the recording again.",
    )
    name: str | None = Field(None, max_length=255, description="With `key`: name of the recording in the answer.")


class DetectionsForm(RecordingForm):
    """How detections are wanted."""

    format: str = Field(JSON, description="Form of the answer.", json_schema_extra={"enum": [*format_names()]})
    min_score: float | None = Field(
        None,
        ge=0,
        le=1,
        description="Lowest score that makes a detection; the model's own setting if absent.",
    )
    classes: str | None = Field(None, description="Names of the classes to return, one per line; all if absent.")
    thresholds: bool = Field(
        False, description="Use the threshold of each class that the calibration holds in place of min_score."
    )
    label_field: Literal["names", "codes", "alt_names", "alt_codes"] | None = Field(
        None, description="What a label shows; the model's own setting if absent."
    )

    @field_validator("format")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in format_names():
            raise PydanticCustomError(
                "format", f"is not one of {', '.join(format_names())}{suggest(value, format_names())}"
            )
        return value


class PictureForm(BaseModel):
    """How a recording is drawn."""

    max_width: int = Field(MAX_WIDTH, ge=100, le=MAX_WIDTH, description="Most columns of the picture.")


def checked(form: type[BaseModel], given: dict[str, str]) -> BaseModel:
    """Return the fields of a form; empty ones count as absent.

    Raises
    ------
    Refusal
        A field is unknown or has an unusable value.
    """
    known = list(form.model_fields)
    for name in given:
        if name not in known:
            raise Refusal(
                400,
                f'the form has an unknown field "{name[:40]}"'
                + (suggest(name, known) or f"; known are {', '.join([FILE_FIELD, *known])}"),
            )
    try:
        return form.model_validate({k: v for k, v in given.items() if v not in ("", "null")})
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        name, message = ".".join(str(part) for part in first["loc"]), str(first["msg"])
        raise Refusal(
            400, f'field {name}: "{str(first.get("input"))[:40]}": {message[:1].lower()}{message[1:]}'
        ) from None
