"""The part of the OpenAPI description that is about jobs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pydantic import BaseModel, Field

from britekit.service.answers import JSON_TYPE, media_types
from britekit.service.forms import FILE_FIELD, FormatForm, JobForm

_ADDRESS = "http://127.0.0.1:3000"
_REFUSALS = {
    "POST": (400, 401, 403, 408, 413, 415, 421, 422, 429, 500, 503),
    "GET": (400, 401, 404, 421, 429, 500, 503),
    "DELETE": (401, 404, 421, 429, 500, 503),
    "result": (400, 401, 404, 409, 410, 421, 422, 429, 500, 503),
}


class JobAnswer(BaseModel):
    """A job."""

    id: str
    state: str = Field(description="`queued`, `running`, `done`, `failed`, `cancelled` or `expired`.")
    recording: str = Field(description="Name of the recording in the result.")
    source: str | None = Field(description="Path or address that was named; null for an upload.")
    ahead: int | None = Field(description="Number of jobs before a queued one.")
    progress: float = Field(description="From 0 to 1; 0 while the length is not known.")
    seconds_done: float = Field(description="Seconds of the recording analyzed so far.")
    seconds: float | None = Field(description="Length of the recording, as soon as it is known.")
    detections: int | None = Field(description="Number of detections of a finished job.")
    error: str | None = Field(description="Why the job failed.")
    created: str = Field(description="Time of submission, UTC.")
    started: str | None = Field(description="Time at which the analysis last began, UTC.")
    finished: str | None = Field(description="Time at which the job ended, UTC.")
    expires: str | None = Field(description="Time at which the result is deleted, UTC.")
    result: str | None = Field(description="Address of the result of a finished job.")


class JobsAnswer(BaseModel):
    """Jobs of the token, newest first."""

    jobs: list[JobAnswer]
    before: int | None = Field(description="Send it as `before` for the next ones; null at the end.")


def job_paths(
    schema_of: Callable[[type[BaseModel]], dict[str, Any]], refusals: dict[str, Any], job_refusals: dict[str, Any]
) -> dict[str, Any]:
    """Return the endpoints of jobs.

    Parameters
    ----------
    schema_of
        Returns the schema of a model.
    refusals, job_refusals
        Descriptions by status: of the service, and of jobs alone.
    """
    refusals = refusals | job_refusals
    form = schema_of(JobForm)
    sound = {"type": "string", "format": "binary", "description": "The recording; either this or `source`."}
    form["properties"] = {FILE_FIELD: sound, "source": form["properties"].pop("source"), **form["properties"]}
    form["required"] = []
    state = _answer("The job", JSON_TYPE, {"$ref": "#/components/schemas/JobAnswer"})
    identifier = {"name": "id", "in": "path", "required": True, "description": "Of the job.",
                  "schema": {"type": "string"}}  # fmt: skip
    fields = schema_of(FormatForm)["properties"]
    query = [
        {"name": name, "in": "query", "description": value.get("description", ""),
         "schema": {key: item for key, item in value.items() if key != "description"}}
        for name, value in fields.items()
    ]  # fmt: skip
    pages = [
        {"name": "limit", "in": "query", "description": "Most jobs to return, at most 1000.",
         "schema": {"type": "integer", "default": 100}},
        {"name": "before", "in": "query", "description": "Of the answer before, for older jobs.",
         "schema": {"type": "integer"}},
    ]  # fmt: skip
    key = {"name": "Idempotency-Key", "in": "header", "schema": {"type": "string"},
           "description": "Of the client's choice; a repeated request returns the job of the first."}  # fmt: skip
    binary = {kind: {"schema": {"type": "string", "format": "binary"}} for kind in media_types()}
    binary[JSON_TYPE] = {"schema": {"type": "object"}}

    def call(name: str, text: str, curl: str, kind: str, answers: dict[str, Any], **more: Any) -> dict[str, Any]:
        known = {str(status): refusals[str(status)] for status in _REFUSALS[kind]}
        return {"operationId": name, "description": text, **more, "responses": {**answers, **known},
                "x-curl": f"curl {curl}"}  # fmt: skip

    return {
        "/jobs": {
            "post": call(
                "submitJob",
                "Submit a recording that may be days long; it is analyzed later, also after a restart of the server. "
                "For servers that take jobs (`BRITEKIT_JOBS`).",
                f"-F audio=@recording.flac {_ADDRESS}/jobs", "POST",
                {"202": state, "200": {**state, "description": "The job of an earlier request with the same key"}},
                parameters=[key],
                requestBody={"required": True, "content": {"multipart/form-data": {"schema": form}}},
            ),
            "get": call(
                "listJobs", "List jobs.", f"{_ADDRESS}/jobs", "GET",
                {"200": _answer("Jobs", JSON_TYPE, {"$ref": "#/components/schemas/JobsAnswer"})}, parameters=pages,
            ),
        },
        "/jobs/{id}": {
            "get": call("job", "Return the state of a job.", f"{_ADDRESS}/jobs/ID", "GET", {"200": state},
                        parameters=[identifier]),
            "delete": call(
                "deleteJob", "Cancel a job that has not ended; delete one that has, with its result.",
                f"-X DELETE {_ADDRESS}/jobs/ID", "DELETE",
                {"200": {**state, "description": "The job was cancelled"}, "204": {"description": "It was deleted"}},
                parameters=[identifier],
            ),
        },
        "/jobs/{id}/result": {
            "get": call(
                "jobResult", "Return the detections of a finished job, as `/detections` returns them.",
                f"{_ADDRESS}/jobs/ID/result?format=raven", "result",
                {"200": {"description": "The detections", "content": binary}}, parameters=[identifier, *query],
            ),
        },
    }  # fmt: skip


def _answer(description: str, kind: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": {kind: {"schema": schema}}}
