"""Who may use the service: bearer tokens with names, and how many requests each may make.

Tokens come from a file or the environment, one entry per line or separated by commas::

    field-team:Zk3v9T0wqXr5LbNc
    lab:sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08 expires=2027-03-31 rate=60

``sha256:`` stands before the hash of a token, so that the file holds no secret; ``rate`` is in requests per minute. A
name may occur twice, so that a token can be replaced while the old one is in use. A changed file is read again.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import logging
import math
import os
import re
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

from starlette.responses import JSONResponse
from starlette.types import Scope

from britekit.errors import ConfigError
from britekit.service.limits import Numbers

logger = logging.getLogger(__name__)

TOKENS_VARIABLE, FILE_VARIABLE = "BRITEKIT_TOKENS", "BRITEKIT_TOKENS_FILE"
NO_TOKEN_VARIABLE, RATE_VARIABLE = "BRITEKIT_NO_TOKEN", "BRITEKIT_RATE"
# The page itself, which asks for the token, and what orchestrators ask.
OPEN = frozenset(("/", "/docs", "/docs.json", "/livez", "/readyz", "/healthz"))
TOKEN_KEY = "britekit.token"  # in the scope of a request: the name of its token
_SHORTEST = 16
_BURST_S = 10.0  # a client may make the requests of so many seconds at once
_LOOK_S = 1.0  # between looks at the file
_ENTRY = re.compile(r"([\w.-]+):(sha256:[0-9a-fA-F]{64}|[A-Za-z0-9._~+/=-]+)((?:\s+\w+=\S+)*)")


@dataclass(frozen=True)
class Token:
    """A token; ``digest`` is its SHA-256, ``rate`` is in requests per minute."""

    name: str
    digest: bytes
    expires: date | None = None
    """Last day on which it is valid, UTC."""
    rate: float | None = None


class Access:
    """Decides about requests by their token.

    Parameters
    ----------
    tokens
        Without any, everybody may do everything.
    file
        Where they were read from, to be read again when it changes.
    local_only
        Refuse connections from other machines, for a server whose address is not chosen here.
    rate
        Requests per minute of a token that has none of its own; None for no limit.
    """

    def __init__(
        self, tokens: list[Token], file: Path | None = None, rate: float | None = None, local_only: bool = False
    ) -> None:
        self._tokens, self._file, self._rate, self.local_only = tokens, file, rate, local_only
        self._identity = None if file is None else _identity(file)
        self._looked = time.monotonic()
        # A clock that is set back must not make an expired token valid again.
        self._began, self._began_monotonic = time.time(), time.monotonic()
        self._buckets: dict[bytes, tuple[float, float]] = {}
        self._lock = threading.Lock()

    @property
    def needs_token(self) -> bool:
        """Whether requests need a token."""
        return bool(self._tokens) or self._file is not None

    def refusal(self, scope: Scope) -> JSONResponse | None:
        """Return the answer to a request that may not be made, or None; note the token's name in the scope."""
        scope[TOKEN_KEY] = ""
        if scope["path"] in OPEN or scope["path"].startswith("/static/"):
            return None
        if not self.needs_token:
            if self.local_only and not is_loopback((scope.get("server") or ("",))[0]):
                return JSONResponse({"error": _needed("this service")}, 403, {"Connection": "close"})
            return None
        self._look()
        given = next((value for key, value in scope["headers"] if key == b"authorization"), None)
        if given is None:
            return _unauthorized("send a token: Authorization: Bearer TOKEN", "")
        scheme, _, secret = given.partition(b" ")
        found = self._find(hashlib.sha256(secret.strip()).digest())
        if scheme.lower() != b"bearer" or found is None:
            return _unauthorized("the token is not valid", ', error="invalid_token"')
        if found.expires is not None and self._today() > found.expires:
            return _unauthorized(f"the token {found.name} expired on {found.expires}", ', error="invalid_token"')
        scope[TOKEN_KEY] = found.name
        return self._paced(found)

    def _find(self, digest: bytes) -> Token | None:
        """Return the token with that hash; the time tells nothing about tokens."""
        found = None
        for token in self._tokens:
            if hmac.compare_digest(token.digest, digest):
                found = token
        return found

    def _paced(self, token: Token) -> JSONResponse | None:
        rate = token.rate or self._rate
        if rate is None:
            return None
        per_second, most = rate / 60, max(1.0, rate / 60 * _BURST_S)
        with self._lock:
            now = time.monotonic()
            level, when = self._buckets.get(token.digest, (most, now))
            level = min(most, level + (now - when) * per_second)
            if level >= 1:
                self._buckets[token.digest] = (level - 1, now)
                return None
            self._buckets[token.digest] = (level, now)
        retry = {"Retry-After": str(math.ceil((1 - level) / per_second)), "Connection": "close"}
        return JSONResponse({"error": f"the token {token.name} may make {rate:g} requests per minute"}, 429, retry)

    def _today(self) -> date:
        now = max(time.time(), self._began + time.monotonic() - self._began_monotonic)
        return datetime.fromtimestamp(now, UTC).date()

    def _look(self) -> None:
        """Read the file again if it has changed; if it cannot be used, the tokens that were read stay valid."""
        if self._file is None or time.monotonic() - self._looked < _LOOK_S:
            return
        self._looked = time.monotonic()
        identity = _identity(self._file)
        if identity == self._identity:
            return
        self._identity = identity
        try:
            self._tokens = _read(self._file)
        except ConfigError as error:
            logger.error("%s; the tokens that were read before stay valid", error)
        else:
            logger.info("%s has changed; %d tokens are valid now", self._file, len(self._tokens))


def read_access(environment: Mapping[str, str] | None = None, local_only: bool = False) -> Access:
    """Read tokens and rate from the environment.

    Raises `ConfigError` if an entry is invalid, the file cannot be read or is empty, or there are tokens and
    ``BRITEKIT_NO_TOKEN``.
    """
    environment = os.environ if environment is None else environment
    text, name = environment.get(TOKENS_VARIABLE, "").strip(), environment.get(FILE_VARIABLE, "").strip()
    free = allows_everybody(environment)
    if text and name:
        raise ConfigError(f"both {TOKENS_VARIABLE} and {FILE_VARIABLE} are set; set one of them")
    if free and (text or name):
        raise ConfigError(f"{NO_TOKEN_VARIABLE} allows everybody, but {TOKENS_VARIABLE if text else FILE_VARIABLE} is "
                          "set too; unset one of them")  # fmt: skip
    numbers = Numbers(environment)
    rate = numbers.positive(RATE_VARIABLE, 0) if environment.get(RATE_VARIABLE, "").strip() else None
    numbers.check()
    file = Path(name).absolute() if name else None
    tokens = _read(file) if file else _parsed(text, f"environment variable {TOKENS_VARIABLE}")
    if rate is not None and not tokens:
        raise ConfigError(f"{RATE_VARIABLE} limits requests per token, but there are no tokens; set {TOKENS_VARIABLE}")
    return Access(tokens, file, rate, local_only and not free)


def allows_everybody(environment: Mapping[str, str]) -> bool:
    """Return whether the operator chose to do without tokens."""
    return environment.get(NO_TOKEN_VARIABLE, "").strip().lower() not in ("", "0", "false", "no")


def check_binding(host: str, environment: Mapping[str, str]) -> None:
    """Raise `ConfigError` for an address that other machines reach, without a token or the wish for none."""
    named = environment.get(TOKENS_VARIABLE, "").strip() or environment.get(FILE_VARIABLE, "").strip()
    if not (is_loopback(host) or named or allows_everybody(environment)):
        raise ConfigError(_needed(host))


def is_loopback(host: str) -> bool:
    """Return whether only this machine reaches an address."""
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return host == "localhost"


def _needed(host: str) -> str:
    return (
        f"others than this machine may reach {host}, so it needs a token: set {TOKENS_VARIABLE} or {FILE_VARIABLE}; "
        f"--no-token or {NO_TOKEN_VARIABLE}=1 lets everybody in"
    )


def _read(file: Path) -> list[Token]:
    try:
        tokens = _parsed(file.read_text(encoding="utf-8"), str(file))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"the file of tokens {file} cannot be read: {error}") from None
    if not tokens:
        raise ConfigError(f"the file of tokens {file} is empty; expected lines such as NAME:TOKEN")
    return tokens


def _parsed(text: str, where: str) -> list[Token]:
    """Return the tokens of a text; messages show no token."""
    tokens: list[Token] = []
    entries = [line.strip() for line in re.split(r"[,\n]", text)]
    for number, entry in enumerate((x for x in entries if x and not x.startswith("#")), start=1):
        found = _ENTRY.fullmatch(entry)
        if found is None:
            raise ConfigError(f"{where}: entry {number} is not of the form NAME:TOKEN [expires=YYYY-MM-DD] [rate=N]")
        name, secret, more = found.groups()
        if not secret.startswith("sha256:") and len(secret) < _SHORTEST:
            raise ConfigError(
                f"{where}: the token of {name} is shorter than {_SHORTEST} characters; choose a longer one"
            )
        hashed = secret.startswith("sha256:")
        digest = bytes.fromhex(secret[7:]) if hashed else hashlib.sha256(secret.encode()).digest()
        expires, rate = None, None
        for word in more.split():
            key, _, value = word.partition("=")
            try:
                if key == "expires":
                    expires = date.fromisoformat(value)
                elif key == "rate" and 0 < float(value) < math.inf:
                    rate = float(value)
                else:
                    raise ValueError
            except ValueError:
                raise ConfigError(
                    f'{where}: "{word[:40]}" of the token {name} is neither expires=YYYY-MM-DD nor rate=N, with N '
                    "requests per minute"
                ) from None
        tokens.append(Token(name, digest, expires, rate))
    return tokens


def _identity(file: Path) -> tuple[int, int, int] | None:
    try:
        facts = file.stat()
    except OSError:
        return None
    return facts.st_ino, facts.st_mtime_ns, facts.st_size


def _unauthorized(sentence: str, more: str) -> JSONResponse:
    headers = {"WWW-Authenticate": f'Bearer realm="britekit"{more}', "Connection": "close"}
    return JSONResponse({"error": sentence}, 401, headers)
