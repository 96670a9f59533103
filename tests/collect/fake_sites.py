"""A server on this machine that behaves like the sites, also where they misbehave.

Faults are given per path as a list: each request takes the next one, and when the list is empty all is well.
"""

import io
import json
import threading
import time
from collections import defaultdict
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import numpy as np
import soundfile

KEY = "s3cr&t/key+1"
PAGE = b"<!DOCTYPE html><html><body>Please log in</body></html>"


def make_audio(seed=0, seconds=1.0, kind="MP3", rate=32000):
    samples = np.random.default_rng(seed).normal(0, 0.1, round(seconds * rate))
    stream = io.BytesIO()
    soundfile.write(stream, samples, rate, format=kind)
    return stream.getvalue()


class FakeSites:
    """Xeno-canto at ``/xc``, iNaturalist at ``/inat``, videos at ``/watch?v=``, tables at ``/tables``."""

    def __init__(self, host="127.0.0.1"):
        self.key = KEY
        self.per_page = 100
        self.recordings = []  # of Xeno-canto, as it answers them
        self.taxa = []
        self.observations = []
        self.files = {}  # path -> (bytes, kind)
        self.faults = defaultdict(list)
        self.asked = []  # (path, query, headers, time)
        self.tags = True
        self.meeting = threading.Barrier(4, timeout=20)
        self.most_at_once = self._at_once = 0
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer((host, 0), self._handler())
        self._server.daemon_threads = True
        self._server.handle_error = lambda *_: None
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        self.address = f"http://{host}:{self._server.server_address[1]}"

    def close(self):
        self._server.shutdown()
        self._server.server_close()

    def add_recording(self, number, seed=None, **facts):
        """Add a recording of Xeno-canto with its audio."""
        path = f"/audio/{number}/download"
        self.files[path] = (make_audio(number if seed is None else seed), "audio/mpeg")
        record = {
            "id": str(number), "gen": "Strix", "sp": "varia", "ssp": "", "en": "Barred Owl",
            "rec": "Ann Author", "cnt": "Canada", "lat": "45.5", "lon": "-75.7",
            "url": f"//xeno-canto.org/{number}",
            "file": self.address + path, "file-name": f"XC{number}-owl.mp3", "q": "B", "length": "0:01",
            "lic": "//creativecommons.org/licenses/by-nc-sa/4.0/", "date": "2020-05-01", "time": "21:30",
            "animal-seen": "no",
        }  # fmt: skip
        self.recordings.append(record | facts)
        return path

    def add_observation(self, number, sounds=1, **facts):
        """Add an observation of iNaturalist; its sounds are numbered from ten times its number."""
        listed = []
        for media in range(10 * number, 10 * number + sounds):
            path = f"/sounds/{media}.mp3"
            self.files[path] = (make_audio(media), "audio/mpeg")
            listed.append({
                "id": media, "file_url": f"{self.address}{path}?{number}", "file_content_type": "audio/mpeg",
                "license_code": "cc-by-nc", "attribution": "(c) Bob", "hidden": False,
            })  # fmt: skip
        record = {
            "id": number, "quality_grade": "research", "taxon_id": 7,
            "user": {"login": "bob", "name": "Bob B."}, "location": "45.5,-75.7",
            "time_observed_at": "2021-06-01T05:00:00-04:00", "sounds": listed,
        }  # fmt: skip
        self.observations.append(record | facts)

    def count(self, path):
        return sum(asked == path for asked, *_ in self.asked)

    def _handler(self):
        sites = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def log_message(self, *arguments):
                pass

            def do_GET(self):
                parts = urlsplit(self.path)
                query = {name: values[0] for name, values in parse_qs(parts.query).items()}
                with sites._lock:
                    sites.asked.append((parts.path, query, dict(self.headers), time.monotonic()))
                    fault = sites.faults[parts.path].pop(0) if sites.faults[parts.path] else None
                if fault == "meet":
                    self.meet()
                if fault and self.misbehave(fault):
                    return
                if parts.path == "/xc":
                    self.answer_json(*sites._xeno(query))
                elif parts.path == "/inat/taxa":
                    wanted = query.get("q", "").casefold()
                    found = [taxon for taxon in sites.taxa if wanted in str(taxon).casefold()]
                    self.answer_json({"total_results": len(found), "results": found})
                elif parts.path == "/inat/observations":
                    self.answer_json(sites._inat(query))
                elif parts.path == "/watch" and f"/watch/{query['v']}" in sites.files:
                    self.answer_file(*sites.files[f"/watch/{query['v']}"], fault)
                elif parts.path in sites.files:
                    self.answer_file(*sites.files[parts.path], fault)
                else:
                    self.answer_json({"error": "not_found", "message": "nothing here"}, 404)

            do_HEAD = do_GET

            def meet(self):
                """Wait until four are here; whoever comes meanwhile is counted too."""
                with sites._lock:
                    sites._at_once += 1
                    sites.most_at_once = max(sites.most_at_once, sites._at_once)
                sites.meeting.wait()
                with sites._lock:
                    sites._at_once -= 1

            def misbehave(self, fault):
                """Answer wrongly, and return whether that was the answer."""
                kind, _, value = fault.partition(":")
                if kind.isdigit():
                    body = {"error": "no", "message": f"not now; you asked {self.path} key={sites.key}"}
                    self.answer_json(body, int(kind), {"Retry-After": value} if value else {})
                elif kind == "html":
                    self.answer(200, PAGE, "text/html; charset=utf-8")
                elif kind == "html-as-audio":
                    self.answer(200, PAGE * 50, "audio/mpeg")
                elif kind == "redirect":
                    self.answer(302, b"", "text/plain", {"Location": value})
                elif kind == "reset":
                    self.close_connection = True
                elif kind == "empty":
                    self.answer(200, b"", "audio/mpeg")
                elif kind == "drip":
                    self.send_response(200)
                    self.send_header("Content-Type", "audio/mpeg")
                    self.send_header("Content-Length", "1000000")
                    self.end_headers()
                    try:
                        for _ in range(2000):
                            self.wfile.write(b"x")
                            time.sleep(0.02)
                    except OSError:
                        self.close_connection = True
                elif kind == "endless":
                    self.send_response(200)
                    self.send_header("Content-Type", "audio/mpeg")
                    self.send_header("Connection", "close")
                    self.end_headers()
                    self.close_connection = True
                    try:
                        while True:
                            self.wfile.write(bytes(1 << 16))
                    except OSError:
                        pass
                else:
                    return False
                return True

            def answer_json(self, content, status=200, headers=None):
                self.answer(status, json.dumps(content).encode(), "application/json", headers or {})

            def answer_file(self, body, kind, fault):
                headers = {}
                if sites.tags:
                    headers["Last-Modified"] = formatdate(0, usegmt=True)
                    headers["ETag"] = f'"{hash(body) & 0xFFFFFFFF:x}"'
                start, status = 0, 200
                asked = self.headers.get("Range", "")
                if asked.startswith("bytes=") and self.headers.get("If-Range") in (None, *headers.values()):
                    start = int(asked[6:].partition("-")[0])
                    if start >= len(body):
                        self.answer(416, b"", "text/plain", {"Content-Range": f"bytes */{len(body)}"})
                        return
                    status = 206
                    headers["Content-Range"] = f"bytes {start}-{len(body) - 1}/{len(body)}"
                self.answer(status, body[start:], kind, headers, fault)

            def answer(self, status, body, kind, headers=None, fault=None):
                length, sent = len(body), body
                if fault == "cut":
                    sent, self.close_connection = body[: len(body) // 2], True
                elif fault == "promise-less":
                    length, sent = len(body) // 2, body[: len(body) // 2]
                elif fault == "promise-more":
                    length, self.close_connection = len(body) + 100, True
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(length))
                for name, value in (headers or {}).items():
                    self.send_header(name, value)
                self.end_headers()
                if self.command == "HEAD":
                    return
                size = 1000 if fault == "crawl" else max(1, len(sent))
                for start in range(0, len(sent), size):
                    self.wfile.write(sent[start : start + size])
                    time.sleep(0.1 if fault == "crawl" else 0)

        return Handler

    def _xeno(self, query):
        if query.get("key") != self.key:
            return {"error": "invalid_key", "message": f"The key {query.get('key')} is not valid"}, 401
        text = query["query"]
        tag, _, name = text.partition(":")
        name = name.strip('"').casefold()
        # the site's search is not exact
        field = (lambda r: r["en"]) if tag == "en" else (lambda r: f"{r['gen']} {r['sp']}")
        found = [record for record in self.recordings if name in field(record).casefold()]
        page, pages = int(query.get("page", 1)), max(1, -(-len(found) // self.per_page))
        shown = found[(page - 1) * self.per_page : page * self.per_page]
        answer = {"numRecordings": str(len(found)), "numSpecies": "1", "page": page, "numPages": pages}
        return answer | {"recordings": shown}, 200

    def _inat(self, query):
        grades = query["quality_grade"].split(",")
        found = [
            item
            for item in sorted(self.observations, key=lambda item: item["id"])
            if item["id"] > int(query["id_above"])
            and item["taxon_id"] == int(query["taxon_id"])
            and item["quality_grade"] in grades
        ]
        return {"total_results": len(found), "results": found[: min(self.per_page, int(query["per_page"]))]}
