"""Keep keys out of messages and logs, even if a server echoes them."""

import html
import json
import logging
import re
from collections.abc import Iterable
from urllib.parse import quote, quote_plus, unquote, unquote_plus

HIDDEN = "[key]"
_LOGGERS = ("urllib3", "urllib3.connectionpool", "urllib3.util.retry", "requests")


class Scrubber:
    """Replaces secrets in texts, also in URL, HTML or JSON encoding.

    Parameters
    ----------
    secrets
        Secret texts; empty ones are ignored.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._secrets = sorted({item for item in secrets if item}, key=len, reverse=True)
        spellings = sorted({way for item in self._secrets for way in _spellings(item)}, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, spellings)), re.IGNORECASE) if spellings else None

    def scrub(self, text: str) -> str:
        """Return a text without the secrets; replace the whole text if it contains one in another encoding."""
        if self._pattern is None:
            return text
        clean = self._pattern.sub(HIDDEN, text)
        return "[a text that holds the key]" if self.is_in(clean.replace(HIDDEN, "")) else clean

    def is_in(self, text: str) -> bool:
        """Return whether a text contains a secret, also after several rounds of encoding."""
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
    """Removes secrets from debug logs of the HTTP libraries, which contain every requested address."""

    def __init__(self, scrubber: Scrubber) -> None:
        super().__init__()
        self._scrubber = scrubber

    def filter(self, record: logging.LogRecord) -> bool:
        """Pass the record without secrets."""
        record.msg, record.args = self._scrubber.scrub(record.getMessage()), ()
        return True

    def install(self) -> None:
        """Install the filter."""
        for name in _LOGGERS:
            logging.getLogger(name).addFilter(self)

    def remove(self) -> None:
        """Remove the filter."""
        for name in _LOGGERS:
            logging.getLogger(name).removeFilter(self)


def _spellings(secret: str) -> set[str]:
    once = {quote(secret, safe=""), quote(secret), quote_plus(secret)}
    twice = {quote(item, safe="") for item in once}
    in_json = json.dumps(secret)[1:-1]
    return {secret, *once, *twice, html.escape(secret), in_json, in_json.replace("/", "\\/")}
