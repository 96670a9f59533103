"""The OpenAPI description of the service, at ``/docs.json``; the reference page is made from it."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

import britekit
from britekit.service.answers import format_names, media_types
from britekit.service.forms import FILE_FIELD, DetectionsForm, PictureForm, RecordingForm


class Detection(BaseModel):
    """A class heard in a stretch of the recording."""

    class_name: str
    class_code: str
    label: str = Field(description="What label files show: name, code or an alternate.")
    start: float = Field(description="Seconds.")
    end: float = Field(description="Seconds.")
    score: float = Field(description="A probability if the model is calibrated.")
    confirmed: bool = Field(description="Below min_score, and kept since `lower_min_if_confirmed` is on.")


class DetectionsAnswer(BaseModel):
    """All detections of a recording, by start."""

    recording: str = Field(description="Name of the file without its suffix.")
    key: str = Field(description="In a later request, takes the place of the recording.")
    seconds: float = Field(description="Length of the recording.")
    damaged_at: float | None = Field(description="Second at which a damaged recording ended, or null.")
    min_score: float = Field(description="Lowest score that made a detection.")
    calibrated: bool = Field(description="Whether scores are probabilities: the model has a calibration.")
    detections: list[Detection]


class ScoresAnswer(BaseModel):
    """The ensemble's mean score of every class in every window, not calibrated."""

    recording: str = Field(description="Name of the file without its suffix.")
    key: str = Field(description="In a later request, takes the place of the recording.")
    seconds: float = Field(description="Length of the recording.")
    damaged_at: float | None = Field(description="Second at which a damaged recording ended, or null.")
    calibrated: bool = Field(description="False: scores of windows are the models' own.")
    window_seconds: float = Field(description="Length of a window.")
    classes: list[str] = Field(description="Names, in the order of the scores.")
    starts: list[float] = Field(description="Start of each window, seconds.")
    scores: list[list[float]] = Field(description="One list per window.")


_REFUSALS = {
    400: "The form is not usable.",
    408: "The upload stopped.",
    410: "The scores that `key` names are not kept any more; send the recording again.",
    413: "The recording is too large or too long.",
    415: "The body is not a multipart form.",
    421: "The service is reached under a name that `BRITEKIT_HOSTS` does not list.",
    422: "The file cannot be decoded as audio.",
    429: "Busy; Retry-After says when to come back.",
    500: "A failure of the server.",
    503: "The server is stopping; Retry-After says when to send the recording again.",
    504: "Not done within an hour.",
}
_POSTS: dict[str, tuple[type[BaseModel], str, type[BaseModel] | None, list[str], str]] = {
    "detections": (
        DetectionsForm,
        f"Return what is heard in a recording, in one of the formats {', '.join(format_names())}.",
        DetectionsAnswer, media_types(), " -F format=raven",
    ),
    "scores": (
        RecordingForm, "Return the score of every class in every window of a recording.",
        ScoresAnswer, [], "",
    ),
    "spectrogram": (
        PictureForm, "Return a spectrogram of the recording as PNG, on the frequency scale the model sees.",
        None, ["image/png"], " -o recording.png",
    ),
}  # fmt: skip
_GETS = {
    "sample": ("Return the recording that the page offers to try, if any.", "application/octet-stream"),
    "model": ("Return classes, settings, limits, how it was trained and tested.", "application/json"),
    "metrics": ("Return figures for Prometheus: requests, refusals, queue, audio, detections.", "text/plain"),
    "readyz": ("Answer 200 when recordings can be sent.", "text/plain"),
    "livez": ("Answer 200 while the server lives.", "text/plain"),
    "healthz": ("The same as `/livez`.", "text/plain"),
}  # fmt: skip


def describe() -> dict[str, Any]:
    """Return the description as plain values."""
    schemas: dict[str, Any] = {}
    sentence = {"type": "string", "description": "One sentence."}
    failed = {"type": "object", "required": ["error"], "properties": {"error": sentence}}
    refusals = {
        str(status): {"description": text, "content": {"application/json": {"schema": failed}}}
        for status, text in _REFUSALS.items()
    }
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
    absent = {"description": "There is none.", "content": {"application/json": {"schema": failed}}}
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
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "britekit",
            "version": britekit.__version__,
            "description": "Finds the sounds a model knows in recordings. Errors are one sentence of JSON.",
        },
        "paths": paths,
        "components": {"schemas": schemas},
    }


def _schema(model: type[BaseModel], schemas: dict[str, Any]) -> dict[str, Any]:
    """Return a model's JSON schema; what it refers to goes to ``schemas``."""
    schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas.update(schema.pop("$defs", {}))
    for value in schema["properties"].values():
        if value.get("default", "") is None:
            del value["default"]
    return schema
