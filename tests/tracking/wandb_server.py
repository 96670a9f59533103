"""A stand-in for W&B's server, as far as runs and artifacts go: what the client sends is kept for the test to look at.

It answers the GraphQL calls of ``wandb-core``, takes the stream of each run, and gives an artifact of the same name and
digest the same identity, as the real server does.
"""

from __future__ import annotations

import base64
import gzip
import json
import re
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

KEY = "0123456789abcdef" * 2 + "01234567"


@dataclass
class Bucket:
    """A run as the server has it."""

    name: str
    group: str = ""
    job_type: str = ""
    display_name: str = ""
    tags: list[str] = field(default_factory=list)
    history: list[dict[str, Any]] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    made: list[str] = field(default_factory=list)
    used: list[str] = field(default_factory=list)
    exit_codes: list[int] = field(default_factory=list)


class Server:
    """Runs by id, artifacts by name and digest, and the sweep that an agent asks for."""

    def __init__(self) -> None:
        self.runs: dict[str, Bucket] = {}
        self.artifacts: dict[str, dict[str, Any]] = {}
        self.links: list[dict[str, Any]] = []
        self.unknown: list[str] = []
        self.keys: set[str] = set()
        self.sweep: dict[str, Any] = {}
        self.commands: list[dict[str, Any]] = []
        self.lock = threading.Lock()
        self.url = ""

    def edges(self) -> set[tuple[str, str, str]]:
        """Return the graph: (input, run, output) by names of artifacts and runs."""
        name = {key: value["name"] for key, value in self.artifacts.items()}
        return {
            (name[used], run.display_name, name[made])
            for run in self.runs.values() for used in run.used for made in run.made
        }  # fmt: skip

    def answer(self, query: str, values: dict[str, Any]) -> dict[str, Any]:
        """Return the data of a GraphQL call."""
        found = re.search(r"(?:query|mutation)\s+(\w+)", query)
        name = found[1] if found else ""
        act = getattr(self, f"on_{name}", None)
        if act is None:
            self.unknown.append(f"{name}: {query[:300]}")
            return {}
        return act(values.get("input", values))

    def on_ServerFeaturesQuery(self, _: dict[str, Any]) -> dict[str, Any]:
        return {"serverInfo": {"features": []}}

    def on_Viewer(self, _: dict[str, Any]) -> dict[str, Any]:
        return {"viewer": {"id": "u", "entity": "team", "username": "me", "email": "", "flags": "{}", "admin": False,
                           "teams": {"edges": []}}}  # fmt: skip

    def on_OrganizationCoreWeaveOrganizationID(self, _: dict[str, Any]) -> dict[str, Any]:
        return {"entity": {"organization": {"coreWeaveOrganizationId": None}}}

    def on_ArtifactType(self, values: dict[str, Any]) -> dict[str, Any]:
        name = values["name"].partition(":")[0]
        known = [each["type"] for each in self.artifacts.values() if each["name"] == name]
        return {"project": {"artifact": {"artifactType": {"name": known[0]}} if known else None}}

    def on_RunResumeStatus(self, values: dict[str, Any]) -> dict[str, Any]:
        run = self.runs.get(values["name"])
        model = {"id": "p", "name": values["project"], "entity": {"id": "e", "name": "team"}, "bucket": None}
        if run is not None:
            tail = json.dumps([json.dumps(row) for row in run.history[-1:]])
            events = json.dumps([json.dumps(row) for row in run.events[-1:]])
            model["bucket"] = {
                "id": run.name, "name": run.name, "summaryMetrics": json.dumps(run.summary), "displayName": "",
                "logLineCount": 0, "historyLineCount": len(run.history), "eventsLineCount": len(run.events),
                "historyTail": tail, "eventsTail": events, "config": json.dumps(run.config), "tags": run.tags,
                "notes": "", "wandbConfig": '{"t": 1}',
            }  # fmt: skip
        return {"model": model}

    def on_UpsertBucket(self, values: dict[str, Any]) -> dict[str, Any]:
        identity = values.get("name") or values["id"]
        inserted = identity not in self.runs
        run = self.runs.setdefault(identity, Bucket(identity))
        for key, attribute in (("groupName", "group"), ("jobType", "job_type"), ("displayName", "display_name")):
            if values.get(key):
                setattr(run, attribute, values[key])
        run.tags = values.get("tags") or run.tags
        if values.get("config"):
            run.config = json.loads(values["config"])
        project = {"id": "p", "name": values.get("project") or "p", "entity": {"id": "e", "name": "team"}}
        return {
            "upsertBucket": {
                "bucket": {
                    "id": identity, "name": identity, "displayName": run.display_name, "description": "",
                    "config": json.dumps(run.config), "sweepName": values.get("sweep"), "project": project,
                    "historyLineCount": len(run.history),
                },
                "inserted": inserted,
            }
        }  # fmt: skip

    def on_SweepWithRuns(self, _: dict[str, Any]) -> dict[str, Any]:
        return {"project": {"sweep": {"id": "s", "config": json.dumps(self.sweep), "runs": {"edges": []}}}}

    def on_CreateAgent(self, _: dict[str, Any]) -> dict[str, Any]:
        return {"createAgent": {"agent": {"id": "a"}}}

    def on_Heartbeat(self, _: dict[str, Any]) -> dict[str, Any]:
        commands, self.commands = self.commands, []
        return {"agentHeartbeat": {"agent": {"id": "a"}, "commands": json.dumps(commands)}}

    def on_CreateRunFiles(self, values: dict[str, Any]) -> dict[str, Any]:
        files = [{"name": name, "uploadUrl": f"{self.url}/storage/{name}"} for name in values["files"]]
        return {"createRunFiles": {"runID": values["run"], "uploadHeaders": [], "files": files}}

    def on_CreateArtifact(self, values: dict[str, Any]) -> dict[str, Any]:
        name = values["artifactCollectionName"]
        identity = base64.urlsafe_b64encode(f"{name}:{values['digest']}".encode()).decode()
        known = self.artifacts.setdefault(identity, {"name": name, "type": values["artifactTypeName"], "manifest": {}})
        known.setdefault("metadata", json.loads(values.get("metadata") or "{}"))
        known.setdefault("state", "PENDING")
        known.setdefault("first_run", values["runName"])
        if known["state"] == "PENDING":
            known["run"] = values["runName"]
        self.runs[values["runName"]].made.append(identity)
        artifact = {"id": identity, "state": known["state"], "artifactSequence": {"latestArtifact": None}}
        return {"createArtifact": {"artifact": artifact}}

    def on_CreateArtifactManifest(self, values: dict[str, Any]) -> dict[str, Any]:
        file = {"id": "f", "uploadUrl": f"{self.url}/manifest/{values['artifactID']}", "uploadHeaders": []}
        return {"createArtifactManifest": {"artifactManifest": {"id": values["artifactID"], "file": file}}}

    def on_UpdateArtifactManifest(self, values: dict[str, Any]) -> dict[str, Any]:
        identity = values["artifactManifestID"]
        file = {"id": "f", "uploadUrl": f"{self.url}/manifest/{identity}", "uploadHeaders": []}
        return {"updateArtifactManifest": {"artifactManifest": {"id": identity, "file": file}}}

    def on_CreateArtifactFiles(self, values: dict[str, Any]) -> dict[str, Any]:
        nodes = [
            {"storagePath": each["name"], "uploadUrl": f"{self.url}/storage/{each['name']}", "uploadHeaders": [],
             "uploadMultipartUrls": None, "artifact": {"id": each["artifactID"]}}
            for each in values["artifactFiles"]
        ]  # fmt: skip
        return {"createArtifactFiles": {"files": {"edges": [{"node": node} for node in nodes]}}}

    def on_CommitArtifact(self, values: dict[str, Any]) -> dict[str, Any]:
        self.artifacts[values["artifactID"]]["state"] = "COMMITTED"
        return {"commitArtifact": {"artifact": {"id": values["artifactID"], "digest": ""}}}

    def on_UseArtifact(self, values: dict[str, Any]) -> dict[str, Any]:
        run = self.runs[values["runName"]]
        run.used.append(values["artifactID"])
        run.made.remove(values["artifactID"])  # a draft that is used is made known first
        return {"useArtifact": {"artifact": {"id": values["artifactID"]}}}

    def stream(self, run: Bucket, sent: dict[str, Any]) -> None:
        """Take a piece of a run's stream."""
        files = sent.get("files") or {}
        for name, rows in (("wandb-history.jsonl", run.history), ("wandb-events.jsonl", run.events)):
            if name in files:
                start = files[name].get("offset", len(rows))
                rows[start:] = [json.loads(line) for line in files[name]["content"]]
        for line in (files.get("wandb-summary.json") or {}).get("content", []):
            run.summary |= json.loads(line)
        if sent.get("complete"):
            run.exit_codes.append(sent.get("exitcode", 0))


@contextmanager
def wandb_server() -> Iterator[Server]:
    """Serve on a free port of this machine."""
    server = Server()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: Any) -> None: ...

        def do_GET(self) -> None:
            self._reply({})

        def do_PUT(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if self.path.startswith("/manifest/"):
                with server.lock:
                    server.artifacts[self.path.rpartition("/")[2]]["manifest"] = json.loads(body)
            self._reply({})

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if self.path.startswith("/sdk/otel/"):  # the client's own metrics
                self._reply({})
                return
            sent = json.loads(gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body or b"{}")
            if self.headers.get("Authorization", "").startswith("Basic "):
                server.keys.add(base64.b64decode(self.headers["Authorization"][6:]).decode().partition(":")[2])
            with server.lock:
                if self.path == "/graphql":
                    self._reply({"data": server.answer(sent["query"], sent.get("variables") or {})})
                    return
                if self.path.endswith("/file_stream"):
                    server.stream(server.runs[self.path.split("/")[-2]], sent)
                else:
                    server.unknown.append(self.path)
            self._reply({})

        def _reply(self, value: Any) -> None:
            data = json.dumps(value).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    class Http(ThreadingHTTPServer):
        def handle_error(self, *_: Any) -> None:
            if not isinstance(sys.exception(), ConnectionError):  # the client of a killed run
                server.unknown.append(traceback.format_exc())

    http = Http(("127.0.0.1", 0), Handler)
    server.url = f"http://127.0.0.1:{http.server_port}"
    thread = threading.Thread(target=http.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        http.shutdown()
        http.server_close()
        thread.join()
