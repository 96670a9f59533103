"""Download a recording to a complete file that decodes, resuming after interruptions."""

import json
import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import requests

from britekit.audio.decoding import AudioReader
from britekit.collect.web import Transient, Web, WebError
from britekit.errors import InputError
from britekit.files import writing

_NO_AUDIO = ("text/", "application/json", "application/xml", "application/xhtml", "image/")
_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")
# Sites round lengths to seconds, and include the padding of encoders.
_LENGTH_SLACK_S, _LENGTH_SLACK = 2.0, 0.1


def download(web: Web, url: str, target: Path, check: Callable[[Path], object], audio: bool = True) -> None:
    """Download a file; until it is complete and has passed the check, only a hidden partial file exists.

    An interrupted download is continued if the site confirms that the file is unchanged (``If-Range``, RFC 9110,
    section 13.1.5).

    Parameters
    ----------
    check
        Raises `InputError` for an invalid file, which is then deleted.
    audio
        Whether to reject responses of type text at once.

    Raises
    ------
    WebError
        The site did not deliver it.
    InputError
        The file is invalid, or cannot be written.
    """
    partial = Partial.beside(target, url)
    deadline = time.monotonic() + web.limits.whole_s
    with writing(target):
        web.persist(url, lambda: _attempt(web, url, partial, deadline, audio), partial.size)
        try:
            check(partial.path)
        except InputError:
            partial.remove()
            raise
        partial.publish(target)


def check_audio(path: Path, listed_s: float | None = None) -> float:
    """Decode a file to its end and return its length in seconds.

    Raises `InputError` if it is not audio, is damaged, or is clearly shorter than listed.
    """
    try:
        with AudioReader(path, warn=False) as reader:
            for _ in reader.blocks():
                pass
            seconds, damaged_at = reader.seconds_read, reader.damaged_at
    except InputError as error:
        said = str(error).rpartition("(")[2].rstrip(")")
        raise InputError(f"the downloaded file cannot be decoded as audio ({said})") from None
    # tags and other data without sound may follow the listed length
    if damaged_at is not None and not (listed_s and seconds >= listed_s - 0.5):
        raise InputError(f"the audio is damaged at {damaged_at:.1f} s")
    if seconds <= 0:
        raise InputError("the audio contains no samples")
    if listed_s and seconds < listed_s - max(_LENGTH_SLACK_S, _LENGTH_SLACK * listed_s):
        raise InputError(f"the audio lasts {seconds:.1f} s instead of the {listed_s:.0f} s listed")
    return seconds


@dataclass(frozen=True)
class Partial:
    """A partial download, with the data needed to resume it."""

    path: Path
    note: Path
    url: str

    @classmethod
    def beside(cls, target: Path, url: str) -> "Partial":
        """Return the partial file of a target."""
        path = target.with_name(f".{target.name}.partial")
        return cls(path, path.with_name(path.name + ".json"), url)

    def size(self) -> int:
        """Return the number of bytes downloaded so far."""
        return self.path.stat().st_size if self.path.exists() else 0

    def validator(self) -> str:
        """Return the validator of the version of the bytes, or ``""`` if they cannot be resumed."""
        try:
            noted = json.loads(self.note.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return ""
        known = isinstance(noted, dict) and noted.get("url") == self.url and self.size() > 0
        return str(noted.get("validator", "")) if known else ""

    def begin(self, response: requests.Response) -> None:
        """Record the version that is being downloaded."""
        tag = response.headers.get("ETag", "")
        # a weak tag does not guarantee equal bytes
        validator = tag if tag and not tag.startswith("W/") else response.headers.get("Last-Modified", "")
        self.note.write_text(json.dumps({"url": self.url, "validator": validator}), encoding="utf-8")

    def publish(self, target: Path) -> None:
        """Rename the file to its final name."""
        with open(self.path, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(self.path, target)
        self.note.unlink(missing_ok=True)

    def remove(self) -> None:
        """Delete the partial download."""
        self.path.unlink(missing_ok=True)
        self.note.unlink(missing_ok=True)


def _attempt(web: Web, url: str, partial: Partial, deadline: float, audio: bool) -> None:
    validator, have = partial.validator(), partial.size()
    # lengths refer to raw bytes, so the response must not be compressed
    headers = {"Accept-Encoding": "identity"}
    if validator:
        headers |= {"Range": f"bytes={have}-", "If-Range": validator}
    with web.request(url, headers=headers, deadline=deadline, accept=frozenset({416})) as response:
        if response.status_code == 416:
            if response.headers.get("Content-Range", "").strip() == f"bytes */{have}" and have:
                return  # it was complete, but not yet renamed
            partial.remove()
            raise Transient("it has changed since the download began")
        if audio:
            _check_kind(web, response)
        resumed = response.status_code == 206
        if resumed and not (validator and _continues(response, have)):
            partial.remove()
            raise Transient("the site sent a different part of the file")
        with open(partial.path, "ab" if resumed else "wb") as file:
            if not resumed:
                # after deleting the old bytes, or a kill here would leave them with a new validator
                partial.begin(response)
            for chunk in web.read(response, deadline, web.limits.max_bytes - (have if resumed else 0)):
                file.write(chunk)
                file.flush()
    if partial.size() == 0:
        raise WebError(web.scrub(f"{url.partition('?')[0]} returned an empty file"))


def _check_kind(web: Web, response: requests.Response) -> None:
    kind = response.headers.get("Content-Type", "").strip().lower()
    if kind.startswith(_NO_AUDIO):
        place = response.url.partition("?")[0]
        raise WebError(web.scrub(f"{place} returned {kind.partition(';')[0]} instead of audio"))


def _continues(response: requests.Response, have: int) -> bool:
    found = _RANGE.match(response.headers.get("Content-Range", ""))
    return bool(found) and int(found[1]) == have  # type: ignore[index]
