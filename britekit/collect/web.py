"""Send requests to sites: one session with rate limits, timeouts, retries and checked redirects.

Redirects are followed here and not by requests: keys must not go to another host, and https must not become http.
"""

import json
import logging
import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from threading import Event
from types import TracebackType
from typing import Any, TypeVar
from urllib.parse import urljoin, urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter

from britekit import __version__
from britekit.collect.connection_failures import reason_of
from britekit.collect.pacing import Interrupted, Pacer, retry_after
from britekit.collect.scrubbing import LogFilter, Scrubber
from britekit.errors import InputError

log = logging.getLogger(__name__)

USER_AGENT = f"britekit/{__version__} (collects sound recordings for training; python-requests)"
_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})
_MOVED = frozenset({301, 302, 303, 307, 308})
_MOST_HOPS = 5
_CHUNK = 1 << 16
Answer = TypeVar("Answer")


class WebError(InputError):
    """A request failed in a way that a retry will not change."""


class Gone(WebError):
    """The resource does not exist (any more)."""


class Refused(WebError):
    """The site cannot be reached, or refuses requests."""


class Transient(Exception):
    """A failure that may be retried.

    Attributes
    ----------
    wait_s
        Seconds to wait that the site requested, or None.
    """

    def __init__(self, reason: str, wait_s: float | None = None) -> None:
        super().__init__(reason)
        self.wait_s = wait_s


@dataclass(frozen=True)
class Limits:
    """Limits of time, size and retries; times in seconds."""

    pause_s: float = 1.0
    """Between requests to one host."""
    retry_s: float = 2.0
    """Pause before the second try; doubled before each further one."""
    tries: int = 4
    connect_s: float = 15.0
    read_s: float = 60.0
    """Timeout without data."""
    whole_s: float = 1800.0
    """Total time for one page or recording, including retries."""
    longest_wait_s: float = 900.0
    """Longest requested pause to wait for; beyond it, the site counts as refusing."""
    max_bytes: int = 2 << 30
    max_page_bytes: int = 64 << 20

    @classmethod
    def paced(cls, pause_s: float) -> "Limits":
        """Return the limits for a value of `misc.request_pause`."""
        return cls(pause_s=pause_s, retry_s=2 * pause_s)


class Web:
    """The HTTP session; thread-safe, and a context manager.

    Parameters
    ----------
    secrets
        Keys that must not appear in messages or go to other hosts.
    """

    def __init__(self, limits: Limits | None = None, secrets: Iterable[str] = ()) -> None:
        self.limits = limits or Limits()
        self.stop = Event()
        self.pacer = Pacer(self.limits.pause_s, self.stop)
        self._scrubber = Scrubber(secrets)
        self._log_filter = LogFilter(self._scrubber)
        self._session = requests.Session()
        self._session.headers["User-Agent"] = USER_AGENT
        adapter = HTTPAdapter(pool_connections=8, pool_maxsize=8, max_retries=0)
        self._session.mount("http://", adapter)
        self._session.mount("https://", adapter)

    def __enter__(self) -> "Web":
        self._log_filter.install()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop.set()
        self._session.close()
        self._log_filter.remove()

    def scrub(self, text: str) -> str:
        """Return a text on one line without secrets."""
        return self._scrubber.scrub(" ".join(text.split()))

    def get_json(self, url: str, params: Mapping[str, str | int] | None = None) -> Any:
        """Return a page of JSON.

        Raises
        ------
        WebError
            `Refused` after the last try, `Gone`, or another unusable response.
        """
        deadline = time.monotonic() + self.limits.whole_s

        def attempt() -> bytes:
            with self.request(url, params, deadline=deadline) as response:
                return b"".join(self.read(response, deadline, self.limits.max_page_bytes))

        text = self.persist(url, attempt)
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            kind = "HTML" if text.lstrip()[:1] == b"<" else "something else"
            raise WebError(f"{self.scrub(url)} returned {kind} instead of JSON") from None

    def persist(self, url: str, attempt: Callable[[], Answer], progress: Callable[[], int] = int) -> Answer:
        """Return the result of `attempt`, retrying after `Transient` failures with growing pauses.

        Parameters
        ----------
        url
            Address, for messages.
        progress
            Returns the bytes received so far; a try that received some resets the count.
        """
        deadline = time.monotonic() + self.limits.whole_s
        host, failures, before = urlsplit(url).netloc, 0, progress()
        while True:
            self.pacer.wait(host)
            try:
                return attempt()
            except Transient as failure:
                reason, asked = str(failure), failure.wait_s
            failures = 1 if progress() > before else failures + 1
            before = progress()
            pause = self.limits.retry_s * 2 ** (failures - 1) * random.uniform(1.0, 1.25)
            pause = max(pause, asked or 0.0)
            late = time.monotonic() + pause > deadline
            if failures >= self.limits.tries or late or pause > self.limits.longest_wait_s:
                wish = f", and asks to wait {asked:.0f} s" if asked else ""
                times = f" (tried {failures} times)" if failures > 1 else ""
                raise Refused(self.scrub(f"{_place(url)}: {reason}{wish}{times}"))
            log.debug("%s: %s; retrying in %.1f s", self.scrub(_place(url)), self.scrub(reason), pause)
            if asked:
                self.pacer.hold(host, asked)
            self.pacer.sleep(pause)

    def request(
        self,
        url: str,
        params: Mapping[str, str | int] | None = None,
        headers: Mapping[str, str] | None = None,
        deadline: float | None = None,
        accept: frozenset[int] = frozenset(),
    ) -> requests.Response:
        """Return an open response with status 200 to 299 or in `accept`, after redirects.

        Raises
        ------
        Transient, WebError
        """
        if self._scrubber.is_in(url):
            # such as a link to audio that contains the key: it could lead to any host
            raise WebError(f"{self.scrub(_place(url))}: an address that contains the key is not requested")
        here = self._address(url, None)
        query: Mapping[str, str | int] | None = params
        for _ in range(_MOST_HOPS + 1):
            response = self._get(here, query, headers, deadline)
            if response.status_code in _MOVED and "Location" in response.headers:
                target = _joined(response.url, response.headers["Location"])
                response.close()
                here, query = self._address(target, here), None
                continue
            if 200 <= response.status_code < 300 or response.status_code in accept:
                return response
            with response:
                self._raise_for(response, url)
        raise WebError(self.scrub(f"{_place(url)}: redirected more than {_MOST_HOPS} times"))

    def read(self, response: requests.Response, deadline: float, most: int) -> Iterator[bytes]:
        """Yield the body as it arrives, so that a slow one cannot exceed the deadline.

        Raises
        ------
        Transient, WebError
        """
        total = 0
        promised = _length(response)
        if promised is not None and promised > most:
            raise WebError(self.scrub(f"{_place(response.url)}: {promised} bytes exceed the limit of {most}"))
        while True:
            if self.stop.is_set():
                raise Interrupted("interrupted")
            if time.monotonic() > deadline:
                raise Transient(f"it took longer than {self.limits.whole_s:.0f} s")
            try:
                chunk = response.raw.read1(_CHUNK, decode_content=True)
            except (urllib3.exceptions.HTTPError, requests.RequestException, OSError, ValueError) as error:
                raise Transient(self._reason(error)) from None
            if not chunk:
                break
            total += len(chunk)
            if total > most:
                raise WebError(self.scrub(f"{_place(response.url)}: it exceeds the limit of {most} bytes"))
            yield chunk
        if promised is not None and "Content-Encoding" not in response.headers and total < promised:
            raise Transient(f"the connection was cut after {total} of {promised} bytes")

    def _get(
        self,
        url: str,
        params: Mapping[str, str | int] | None,
        headers: Mapping[str, str] | None,
        deadline: float | None,
    ) -> requests.Response:
        left = self.limits.whole_s if deadline is None else deadline - time.monotonic()
        if left <= 0:
            raise Transient(f"it took longer than {self.limits.whole_s:.0f} s")
        timeout = (min(self.limits.connect_s, left), min(self.limits.read_s, left))
        try:
            return self._session.get(
                url, params=params, headers=headers, timeout=timeout, stream=True, allow_redirects=False
            )
        except (requests.exceptions.SSLError, requests.exceptions.InvalidHeader) as error:
            raise WebError(self.scrub(f"{_place(url)}: {self._reason(error)}")) from None
        except (requests.ConnectionError, requests.Timeout, urllib3.exceptions.ProtocolError) as error:
            raise Transient(self._reason(error)) from None
        except (requests.RequestException, urllib3.exceptions.HTTPError, ValueError):
            raise WebError(self.scrub(f"{_place(url)} cannot be requested")) from None

    def _address(self, url: str, came_from: str | None) -> str:
        """Return an address that may be requested."""
        try:
            parts = urlsplit(url)
            known = parts.scheme in ("http", "https") and bool(parts.hostname)
        except ValueError:
            known = False
        if not known:
            raise WebError(self.scrub(f"{url[:200]!r} is not an address that begins with http:// or https://"))
        if came_from is None:
            return url
        before = urlsplit(came_from)
        if before.scheme == "https" and parts.scheme == "http":
            raise WebError(self.scrub(f"{_place(came_from)} redirects to unprotected http, which is not followed"))
        if before.netloc != parts.netloc and self._scrubber.is_in(url):
            raise WebError(f"{self.scrub(_place(came_from))} redirects to another host with the key; not followed")
        return url

    def _reason(self, error: BaseException) -> str:
        return reason_of(error, self.limits.connect_s, self.limits.read_s)

    def _raise_for(self, response: requests.Response, url: str) -> None:
        status = response.status_code
        reason = f"{status} {response.reason or ''}".strip()
        if status in _AGAIN:
            raise Transient(f"answered {reason}", retry_after(response.headers.get("Retry-After")))
        said = self._server_message(response)
        text = self.scrub(f"{_place(url)} answered {reason}{said}")
        if status in (404, 410):
            raise Gone(text)
        raise WebError(text)

    def _server_message(self, response: requests.Response) -> str:
        """Return the message of a JSON error page, shortened."""
        if "json" not in response.headers.get("Content-Type", ""):
            return ""
        try:
            deadline = time.monotonic() + self.limits.read_s
            said = json.loads(b"".join(self.read(response, deadline, _CHUNK)))
        except (Transient, WebError, ValueError, RecursionError):
            return ""
        if not isinstance(said, dict):
            return ""
        said = said.get("message") or said.get("error") or said.get("errors") or ""
        # scrub before cutting, or half a key could remain
        text = self.scrub(said if isinstance(said, str) else json.dumps(said))
        return f": {text[:200]}" if text else ""


def _joined(base: str, link: str) -> str:
    """Resolve a link; an invalid one is returned unchanged, to be rejected later."""
    try:
        return urljoin(base, link)
    except ValueError:
        return link


def _place(url: str) -> str:
    """Return an address without its query, which may contain keys."""
    return url.partition("?")[0]


def _length(response: requests.Response) -> int | None:
    text = response.headers.get("Content-Length", "")
    return int(text) if text.isascii() and text.isdigit() else None
