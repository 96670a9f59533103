"""Politeness: a pause between requests to one host, longer ones where a host asks for them."""

import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from threading import Event, Lock

from britekit.errors import InputError


class Interrupted(InputError):
    """The work was told to stop while it waited."""


class Pacer:
    """Spaces requests to each host, over all threads.

    Parameters
    ----------
    pause_s
        Seconds between the starts of two requests to one host.
    stop
        Set to end all waiting at once.
    """

    def __init__(self, pause_s: float, stop: Event) -> None:
        self._pause_s = pause_s
        self._stop = stop
        self._lock = Lock()
        self._next: dict[str, float] = {}

    def wait(self, host: str) -> None:
        """Wait for this request's turn; a host that asked for quiet meanwhile gets it."""
        while True:
            with self._lock:
                now = time.monotonic()
                turn = max(self._next.get(host, now), now)
                if turn <= now:
                    self._next[host] = now + self._pause_s
                    return
            self.sleep(turn - now)

    def hold(self, host: str, seconds: float) -> None:
        """Ask nothing of a host for some seconds."""
        with self._lock:
            self._next[host] = max(self._next.get(host, 0.0), time.monotonic() + seconds)

    def sleep(self, seconds: float) -> None:
        """Sleep, or raise `Interrupted` as soon as the work is to stop."""
        if self._stop.wait(max(0.0, seconds)):
            raise Interrupted("interrupted")


def retry_after(text: str | None) -> float | None:
    """Return the seconds that a ``Retry-After`` header means, given as seconds or as a date; else None.

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
