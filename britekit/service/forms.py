"""The forms that the endpoints take, and the gate that asks clients to come back when too many are inside.

Nothing is raised through BentoML, which would log a traceback for every bad form: a refusal takes the place
of the recording and is answered by the endpoint.
"""

import functools
from pathlib import Path
from typing import Any, Literal

from _bentoml_sdk.io_models import IODescriptor  # type: ignore[import-untyped]
from pydantic import Field, ValidationError
from starlette.requests import Request

from britekit.errors import suggest
from britekit.service.limits import read_limits
from britekit.service.picture import MAX_WIDTH
from britekit.service.uploads import Refusal, Upload, receive_upload

FILE_FIELD = "audio"
RETRY_AFTER_SECONDS = 2
LIMITS = read_limits()


class Gate:
    """Counts the requests that hold a recording, so that more than the limit are asked to come back."""

    def __init__(self) -> None:
        self.inside = 0


GATE = Gate()


class RecordingInput(IODescriptor):
    """A form with a recording."""

    audio: Path = Field(description="The recording, in any format that libsndfile or FFmpeg reads.")

    @classmethod
    async def from_http_request(cls, request: Request, serde: Any) -> Any:
        """Receive the form; a refusal takes the place of the recording and is answered by the endpoint."""
        if GATE.inside >= LIMITS.max_requests:
            busy = Refusal(
                429, "the server is busy; try again soon", {"Retry-After": str(RETRY_AFTER_SECONDS)}
            )
            return cls.model_construct(audio=busy)
        GATE.inside += 1
        upload = None
        try:
            upload = await receive_upload(request, FILE_FIELD, LIMITS.max_bytes)
            values = _checked(cls, upload)
            upload.gone = functools.partial(_gone, request)
            return cls.model_construct(**values, audio=upload)
        except BaseException as error:
            GATE.inside -= 1
            if upload is not None:
                upload.close()
            if isinstance(error, Refusal):
                return cls.model_construct(audio=error)
            raise


class DetectionsInput(RecordingInput):
    """A form with a recording and how its detections are wanted."""

    format: Literal["json", "audacity", "raven", "csv"] = Field("json", description="Form of the answer.")
    min_score: float | None = Field(
        None,
        ge=0,
        le=1,
        description="Lowest score that makes a detection; the model's own setting if absent.",
    )
    label_field: Literal["names", "codes", "alt_names", "alt_codes"] | None = Field(
        None, description="What a label shows; the model's own setting if absent."
    )


class PictureInput(RecordingInput):
    """A form with a recording to draw."""

    max_width: int = Field(MAX_WIDTH, ge=100, le=MAX_WIDTH, description="Most columns of the picture.")


def _checked(form: Any, upload: Upload) -> dict[str, Any]:
    """Check the text fields of a form; empty ones count as absent."""
    known = [name for name in form.model_fields if name != FILE_FIELD]
    for name in upload.fields:
        if name not in known:
            hint = suggest(name, known) or (
                "; known are " + ", ".join(known) if known else "; there are none"
            )
            raise Refusal(400, f'the form has an unknown field "{name[:40]}"{hint}')
    given = {name: value for name, value in upload.fields.items() if value not in ("", "null")}
    try:
        checked = form.model_validate({**given, FILE_FIELD: upload.path})
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        name = ".".join(str(part) for part in first["loc"])
        message = str(first["msg"])
        raise Refusal(
            400, f'field {name}: "{str(first.get("input"))[:40]}": {message[:1].lower()}{message[1:]}'
        ) from None
    return {name: getattr(checked, name) for name in known}


async def _gone(request: Request) -> None:
    """Return when the client has closed the connection; its body must have been read."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
