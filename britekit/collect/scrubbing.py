"""Keeping a key out of everything that a person or a log may see, however a server echoes it."""

import html
import json
import logging
import re
from collections.abc import Iterable
from urllib.parse import quote, quote_plus, unquote, unquote_plus

HIDDEN = "[key]"
_LOGGERS = ("urllib3", "urllib3.connectionpool", "urllib3.util.retry", "requests")


class Scrubber:
    """Replaces secrets in texts, also where they are written as in an address, in HTML or in JSON.

    Parameters
    ----------
    secrets
        Texts that must not be seen; empty ones are left out.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._secrets = sorted({item for item in secrets if item}, key=len, reverse=True)
        spellings = sorted({way for item in self._secrets for way in _spellings(item)}, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, spellings)), re.IGNORECASE) if spellings else None

    def scrub(self, text: str) -> str:
        """Return a text without the secrets; nothing is left of one that hides them in another way."""
        if self._pattern is None:
            return text
        clean = self._pattern.sub(HIDDEN, text)
        return "[a text that holds the key]" if self.is_in(clean.replace(HIDDEN, "")) else clean

    def is_in(self, text: str) -> bool:
        """Tell whether a text holds a secret, also behind several rounds of encoding."""
        if self._pattern is None:
            return False
        for _ in range(4):
            if self._pattern.search(text) or self._pattern.search(unquote_plus(text)):
                return True
            text, before = html.unescape(unquote(text)), text
            if text == before:
                return False
        return bool(self._pattern.search(text))


class LogFilter(logging.Filter):
    """Cleans the debugging lines of the HTTP libraries, which name every address they ask."""

    def __init__(self, scrubber: Scrubber) -> None:
        super().__init__()
        self._scrubber = scrubber

    def filter(self, record: logging.LogRecord) -> bool:
        """Let the record pass, without secrets."""
        record.msg, record.args = self._scrubber.scrub(record.getMessage()), ()
        return True

    def install(self) -> None:
        """Begin to clean."""
        for name in _LOGGERS:
            logging.getLogger(name).addFilter(self)

    def remove(self) -> None:
        """Stop cleaning."""
        for name in _LOGGERS:
            logging.getLogger(name).removeFilter(self)


def _spellings(secret: str) -> set[str]:
    once = {quote(secret, safe=""), quote(secret), quote_plus(secret)}
    twice = {quote(item, safe="") for item in once}
    in_json = json.dumps(secret)[1:-1]
    return {secret, *once, *twice, html.escape(secret), in_json, in_json.replace("/", "\\/")}
