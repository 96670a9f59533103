"""What OpenAPI says beyond what BentoML knows: answers that are no JSON, refusals, the path ``/model``."""

from typing import Any

from _bentoml_sdk import Service  # type: ignore[import-untyped]
from pydantic import BaseModel, Field

import britekit
from britekit.service.answers import MEDIA_TYPES


class Detection(BaseModel):
    """A class heard in a stretch of the recording."""

    class_name: str
    class_code: str
    label: str = Field(description="What label files show: name, code or an alternate.")
    start: float = Field(description="Seconds.")
    end: float = Field(description="Seconds.")
    score: float = Field(description="A probability if the model is calibrated.")


class DetectionsAnswer(BaseModel):
    """All detections of a recording, by start."""

    recording: str
    seconds: float
    damaged_at: float | None = Field(description="Second at which a damaged recording ended, or null.")
    min_score: float
    calibrated: bool
    detections: list[Detection]


class ScoresAnswer(BaseModel):
    """The ensemble's mean score of every class in every window, not calibrated."""

    recording: str
    seconds: float
    damaged_at: float | None
    window_seconds: float
    classes: list[str]
    starts: list[float]
    scores: list[list[float]]


class DocumentedService(Service):
    """A service whose OpenAPI also names the answers and the path that BentoML does not know of."""

    @property
    def openapi_spec(self) -> Any:
        spec = super().openapi_spec
        plain = {
            "type": "object",
            "properties": {"error": {"type": "string", "description": "One sentence."}},
            "required": ["error"],
        }
        refusals = {
            400: "The form is not usable.",
            408: "The upload stopped.",
            413: "The recording is too large or too long.",
            415: "The body is no multipart form.",
            422: "The file cannot be decoded as audio.",
            429: "Busy; Retry-After says when to come back.",
            500: "A failure of the server.",
            503: "The server is stopping; Retry-After says when to send the recording again.",
            504: "Not done within an hour.",
        }
        answers = {
            status: {"description": text, "content": {"application/json": {"schema": plain}}}
            for status, text in refusals.items()
        }
        document = _repaired(spec.asdict())
        document["info"] = {
            "title": "britekit",
            "version": britekit.__version__,
            "description": "Finds the sounds a model knows in recordings. Errors are one sentence of JSON.",
        }
        for path, item in document["paths"].items():
            if path.strip("/") in ("detections", "scores", "spectrogram"):
                responses = item["post"]["responses"]
                for status in [key for key in responses if int(key) >= 400]:
                    del responses[status]
                responses.update({str(status): answer for status, answer in answers.items()})
        for path, kinds in (("/detections", MEDIA_TYPES.values()), ("/spectrogram", ["image/png"])):
            content = document["paths"][path]["post"]["responses"][_success(document, path)]["content"]
            if path == "/spectrogram":
                content.clear()
            for kind in kinds:
                content.setdefault(kind.partition(";")[0], {"schema": {"type": "string", "format": "binary"}})
        document["paths"]["/model"] = {
            "get": {
                "operationId": "model",
                "description": "Classes, settings, calibration, members, limits and version.",
                "responses": {
                    "200": {
                        "description": "Facts",
                        "content": {"application/json": {"schema": {"type": "object"}}},
                    }
                },
            }
        }
        return _Document(document)


class _Document:
    def __init__(self, document: dict[str, Any]) -> None:
        self._document = document

    def asdict(self) -> dict[str, Any]:
        return self._document


def _success(document: dict[str, Any], path: str) -> Any:
    return next(key for key in document["paths"][path]["post"]["responses"] if int(key) == 200)


def _repaired(node: Any) -> Any:
    """Return a part of the document with what BentoML loses or invents put right.

    What may be null loses its null there; a file is no type of OpenAPI.
    """
    if isinstance(node, list):
        return [_repaired(item) for item in node]
    if not isinstance(node, dict):
        return node
    node = {key: _repaired(value) for key, value in node.items()}
    kinds = node.get("anyOf")
    if isinstance(kinds, list) and {"type": "null"} in kinds:
        (kind,) = (item for item in kinds if item != {"type": "null"})
        node = {**{key: value for key, value in node.items() if key != "anyOf"}, **kind, "nullable": True}
    if node.get("type") == "file":
        node.update(type="string", format="binary")
    if "default" in node and node["default"] is None:
        del node["default"]
    lost = node.get("damaged_at")
    if isinstance(lost, dict) and "type" in lost:
        lost["nullable"] = True
    return node
