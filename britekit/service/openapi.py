"""The OpenAPI description of the service, at ``/docs.json``; the reference page is made from it."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

import britekit
from britekit.service.answers import format_names, media_types
from britekit.service.forms import FILE_FIELD, DetectionsForm, PictureForm, RecordingForm
from britekit.service.jobs.description import JobAnswer, JobsAnswer, job_paths


class Detection(BaseModel):
    """A detection of one class."""

    class_name: str
    class_code: str
    label: str = Field(description="Text shown in label files: name, code or an alternative of the class.")
    start: float = Field(description="Seconds from the start of the recording.")
    end: float = Field(description="Seconds from the start of the recording.")
    score: float = Field(description="A probability if `calibrated` is true.")
    confirmed: bool = Field(
        description="True for a detection below min_score that was kept because `lower_min_if_confirmed` is on."
    )


class OccurrenceAnswer(BaseModel):
    """The effect of the model's occurrence data on the detections of a recording."""

    area: str = Field(description="Codes of the areas; empty if nothing was applied.")
    week: int | None = Field(description="1 to 48, four per month; null: highest value of the year.")
    place_source: str = Field(description="`given`, `metadata` or `name`.")
    week_source: str = Field(description="`given`, `name`, or the kind of metadata.")
    reason: str = Field(description="Why nothing was applied; otherwise empty.")
    withheld: int = Field(description="Number of detections that are missing because of the data.")
    lowered: int = Field(description="Number of detections with a lower score.")
    raised: int = Field(description="Number of detections with a higher score.")
    classes: list[str] = Field(description="Names of the classes of which detections were withheld.")


_CHANNEL = Field(None, description="Channel that was used, if one was asked for.")
_EXPANSION = Field(
    None, description="How many times slower the sound is stored (GUANO `TE`), if it is; all times are true ones."
)
_OCCURRENCE = Field(None, description="Only for a model with occurrence data.")


class DetectionsAnswer(BaseModel):
    """All detections of a recording, by start."""

    recording: str = Field(description="Name of the file without extension.")
    key: str = Field(description="Send it instead of the recording in later requests.")
    seconds: float = Field(description="Length of the recording, in seconds.")
    damaged_at: float | None = Field(description="Time at which a damaged recording breaks off, in seconds, or null.")
    channel: int | None = _CHANNEL
    time_expansion: float | None = _EXPANSION
    min_score: float = Field(description="Threshold that was used.")
    calibrated: bool = Field(description="Whether scores are calibrated probabilities.")
    occurrence: OccurrenceAnswer | None = _OCCURRENCE
    detections: list[Detection]


class ScoresAnswer(BaseModel):
    """The ensemble's mean score of every class in every window, not calibrated."""

    recording: str = Field(description="Name of the file without extension.")
    key: str = Field(description="Send it instead of the recording in later requests.")
    seconds: float = Field(description="Length of the recording, in seconds.")
    damaged_at: float | None = Field(description="Time at which a damaged recording breaks off, in seconds, or null.")
    channel: int | None = _CHANNEL
    time_expansion: float | None = _EXPANSION
    calibrated: bool = Field(description="Always false: window scores are not calibrated.")
    window_seconds: float = Field(description="Length of a window, in seconds.")
    classes: list[str] = Field(description="Class names, in the order of the scores.")
    starts: list[float] = Field(description="Start of each window, in seconds.")
    occurrence: OccurrenceAnswer | None = _OCCURRENCE
    scores: list[list[float]] = Field(description="One list per window.")


_REFUSALS = {
    400: "The form has an unknown or invalid field.",
    401: "The token is missing, wrong or expired; only where the service has tokens.",
    408: "The upload stalled.",
    410: "The scores for this `key` are no longer stored; send the recording again.",
    413: "The recording is too large or too long.",
    415: "The request body is not a multipart form.",
    421: "The `Host` header is not in `BRITEKIT_HOSTS`.",
    422: "The file cannot be decoded as audio.",
    429: "The server is busy, or the token has made too many requests; retry after the time in `Retry-After`.",
    500: "Internal server error.",
    503: "The server is stopping; retry after the time in `Retry-After`.",
    504: "The analysis took more than an hour.",
}
_POSTS: dict[str, tuple[type[BaseModel], str, type[BaseModel] | None, list[str], str]] = {
    "detections": (
        DetectionsForm,
        f"Detect species in a recording. Formats: {', '.join(format_names())}.",
        DetectionsAnswer, media_types(), " -F format=raven",
    ),
    "scores": (
        RecordingForm, "Return the score of every class in every window of a recording.",
        ScoresAnswer, [], "",
    ),
    "spectrogram": (
        PictureForm, "Return a spectrogram of the recording as PNG, with the model's frequency scale.",
        None, ["image/png"], " -o recording.png",
    ),
}  # fmt: skip
_GETS = {
    "sample": ("Return the sample recording of the page.", "application/octet-stream"),
    "model": ("Return classes, settings, limits, and information about training and test.", "application/json"),
    "metrics": ("Return Prometheus metrics: requests, refusals, queue, audio, detections.", "text/plain"),
    "readyz": ("Return 200 if the service accepts recordings.", "text/plain"),
    "livez": ("Return 200 while the server is running.", "text/plain"),
    "healthz": ("Same as `/livez`.", "text/plain"),
}  # fmt: skip


_JOB_REFUSALS = {
    403: "The operator of this server did not allow this path or address.",
    404: "There is no such job, or it belongs to another token.",
    409: "The job has not ended yet; retry after the time in `Retry-After`.",
    410: "The job was cancelled, or its result has expired.",
    422: "The recording cannot be analyzed; the job's own sentence says why.",
    503: "The server cannot store jobs now; retry after the time in `Retry-After`.",
}


def describe(jobs: bool = True) -> dict[str, Any]:
    """Return the description as plain values.

    Parameters
    ----------
    jobs
        Whether the server takes jobs.
    """
    schemas: dict[str, Any] = {}
    sentence = {"type": "string", "description": "One sentence."}
    failed = {"type": "object", "required": ["error"], "properties": {"error": sentence}}
    refusals, job_refusals = (
        {
            str(status): {"description": text, "content": {"application/json": {"schema": failed}}}
            for status, text in texts.items()
        }
        for texts in (_REFUSALS, _JOB_REFUSALS)
    )
    paths: dict[str, Any] = {}
    for name, (form, text, answer, kinds, options) in _POSTS.items():
        fields = _schema(form, schemas)
        fields["properties"] = {
            FILE_FIELD: {
                "type": "string", "format": "binary",
                "description": "The recording, in any format that libsndfile or FFmpeg reads.",
            },
            **fields["properties"],
        }  # fmt: skip
        fields["required"] = [] if "key" in fields["properties"] else [FILE_FIELD]
        content = {kind.partition(";")[0]: {"schema": {"type": "string", "format": "binary"}} for kind in kinds}
        if answer is not None:
            schemas[answer.__name__] = _schema(answer, schemas)
            content["application/json"] = {"schema": {"$ref": f"#/components/schemas/{answer.__name__}"}}
        paths[f"/{name}"] = {
            "post": {
                "operationId": name,
                "description": text,
                "requestBody": {"required": True, "content": {"multipart/form-data": {"schema": fields}}},
                "responses": {"200": {"description": "The answer", "content": content}, **refusals},
                "x-curl": " ".join(f"curl -F audio=@recording.wav {options} http://127.0.0.1:3000/{name}".split()),
            }
        }
    absent = {"description": "There is no sample recording.", "content": {"application/json": {"schema": failed}}}
    for name, (text, kind) in _GETS.items():
        schema = {"type": "object" if "json" in kind else "string"}
        paths[f"/{name}"] = {
            "get": {
                "operationId": name,
                "description": text,
                "responses": {
                    "200": {"description": "The answer", "content": {kind: {"schema": schema}}},
                    **({"404": absent} if name == "sample" else {}),
                },
                "x-curl": f"curl http://127.0.0.1:3000/{name}",
            }
        }
    if jobs:
        paths |= job_paths(lambda model: _schema(model, schemas), refusals, job_refusals)
        for model in (JobsAnswer, JobAnswer):
            schemas[model.__name__] = _schema(model, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "britekit",
            "version": britekit.__version__,
            "description": "Detects species in recordings. Errors are JSON with one sentence.",
        },
        "paths": paths,
        "components": {"schemas": schemas, "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}},
        "security": [{"token": []}, {}],  # {}: a service without tokens
    }


def _schema(model: type[BaseModel], schemas: dict[str, Any]) -> dict[str, Any]:
    """Return a model's JSON schema; what it refers to goes to ``schemas``."""
    schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas.update(schema.pop("$defs", {}))
    for value in schema["properties"].values():
        if value.get("default", "") is None:
            del value["default"]
    return schema
