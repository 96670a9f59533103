"""Pause between requests to a host, and longer if the host asks for it."""

import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from threading import Event, Lock

from britekit.errors import InputError


class Interrupted(InputError):
    """The work was cancelled while waiting."""


class Pacer:
    """Rate-limits requests to each host, over all threads.

    Parameters
    ----------
    pause_s
        Seconds between the starts of two requests to one host.
    stop
        Event that ends all waiting.
    """

    def __init__(self, pause_s: float, stop: Event) -> None:
        self._pause_s = pause_s
        self._stop = stop
        self._lock = Lock()
        self._next: dict[str, float] = {}

    def wait(self, host: str) -> None:
        """Wait for the turn of this request, including pauses that the host requested in the meantime."""
        while True:
            with self._lock:
                now = time.monotonic()
                turn = max(self._next.get(host, now), now)
                if turn <= now:
                    self._next[host] = now + self._pause_s
                    return
            self.sleep(turn - now)

    def hold(self, host: str, seconds: float) -> None:
        """Block requests to a host for some seconds."""
        with self._lock:
            self._next[host] = max(self._next.get(host, 0.0), time.monotonic() + seconds)

    def sleep(self, seconds: float) -> None:
        """Sleep; raise `Interrupted` as soon as the work is cancelled."""
        if self._stop.wait(max(0.0, seconds)):
            raise Interrupted("interrupted")


def retry_after(text: str | None) -> float | None:
    """Return the seconds of a ``Retry-After`` header, given as seconds or as a date, or None.

    RFC 9110, section 10.2.3.
    """
    text = (text or "").strip()
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())
