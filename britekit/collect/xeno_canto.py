"""Find recordings through the API of Xeno-canto, version 3.

The API answers ``query`` and ``key`` with pages of ``recordings``; its search for names is not exact, so names are
compared here. https://xeno-canto.org/explore/api
"""

import logging
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

from britekit.collect.licences import is_wanted, normalize_licence
from britekit.collect.recording_folder import Remote
from britekit.collect.recordings_table import Details
from britekit.collect.resumable_download import check_audio, download
from britekit.collect.web import Gone, Web, WebError
from britekit.errors import InputError, suggest

log = logging.getLogger(__name__)

SOURCE = "Xeno-Canto"
KEY_VARIABLE = "XCKEY"
_PER_PAGE = 500
_MOST_PAGES = 2000
_QUALITIES = ("A", "", "B", "C", "D", "E")


def find_recordings(
    web: Web,
    address: str,
    key: str,
    name: str,
    scientific: bool = False,
    no_derivatives_too: bool = False,
    seen_only: bool = False,
    licences: Sequence[str] | None = None,
) -> list[Remote]:
    """Return all recordings of a species, best quality first (A, none, B to E).

    Parameters
    ----------
    web
        A session that knows the key as a secret.
    address
        Setting `misc.xeno_url`.
    key
        The user's key.
    name
        English name, or scientific name of two or three words, ignoring case.
    scientific
        Whether the name is scientific.
    no_derivatives_too
        Include licences that forbid derivatives, and unknown licences.
    seen_only
        Only recordings of an animal that was seen.
    licences
        Accepted licences; None for all.

    Raises
    ------
    InputError
        No recordings have that name, or none match the criteria.
    WebError
        The site did not answer.
    """
    query = _query(name, scientific)
    found: dict[str, Remote] = {}
    qualities: dict[str, int] = {}
    others: set[str] = set()
    named = 0
    for item in _pages(web, address, query, key):
        names = _names_of(item, scientific)
        if _plain(name) not in map(_plain, names):
            others.update(names)
            continue
        number = str(item.get("id", "")).removeprefix("XC")
        if not (number.isascii() and number.isdigit()) or number in found:
            continue
        named += 1
        details = _details(item, number, address)
        unfree = "ND" in normalize_licence(details.licence).split("-") or not details.licence
        seen = str(item.get("animal-seen") or item.get("bird-seen") or "").casefold() == "yes"
        if (unfree and not no_derivatives_too) or (seen_only and not seen):
            continue
        if not is_wanted(details.licence, licences):
            continue
        found[number] = _remote(item, number, details, address)
        quality = str(item.get("q") or "").strip().upper()
        qualities[number] = _QUALITIES.index(quality) if quality in _QUALITIES else 1
    if not named:
        kind = "scientific name" if scientific else "English name"
        raise InputError(f'Xeno-canto has no recording of the {kind} "{name}"{suggest(name, others)}')
    if not found:
        raise InputError(f'Xeno-canto has {named} recordings of "{name}", none match (licence, animal seen)')
    return [found[number] for number in sorted(found, key=lambda number: qualities[number])]


def _query(name: str, scientific: bool) -> str:
    words = name.split()
    clean = " ".join(words)
    if not clean or '"' in clean or not name.isprintable():
        raise InputError(f"{name!r} is not the name of a species")
    if not scientific:
        return f'en:"{clean}"'
    if len(words) not in (2, 3):
        raise InputError(f'"{clean}" is not a scientific name; expected genus and species, such as Larus fuscus')
    return f'sp:"{words[0]} {words[1]}"'


def _pages(web: Web, address: str, query: str, key: str) -> Iterable[dict[str, Any]]:
    """Yield the records of all pages."""
    page, pages = 1, 1
    while page <= min(pages, _MOST_PAGES):
        answer = web.get_json(address, {"query": query, "key": key, "per_page": _PER_PAGE, "page": page})
        records = answer.get("recordings") if isinstance(answer, dict) else None
        if not isinstance(records, list):
            said = answer.get("message") or answer.get("error") if isinstance(answer, dict) else None
            reason = f": {web.scrub(str(said))[:200]}" if said else ""
            raise WebError(f"Xeno-canto's answer contains no recordings{reason}")
        yield from (record for record in records if isinstance(record, dict))
        try:
            pages = int(answer.get("numPages", 1))
        except (TypeError, ValueError):
            raise WebError("Xeno-canto's answer does not say how many pages there are") from None
        if not records:
            break
        page += 1


def _names_of(item: dict[str, Any], scientific: bool) -> list[str]:
    if not scientific:
        return [str(item.get("en") or "")]
    species = f"{item.get('gen') or ''} {item.get('sp') or ''}"
    return [species, f"{species} {item.get('ssp') or ''}"]


def _plain(name: str) -> str:
    return " ".join(name.casefold().split())


def _details(item: dict[str, Any], number: str, address: str) -> Details:
    when = [str(item.get("date") or ""), str(item.get("time") or "")]
    east = item.get("lon") if item.get("lon") not in (None, "") else item.get("lng")
    return Details(
        source=SOURCE,
        licence=_absolute(str(item.get("lic") or ""), "https://xeno-canto.org/"),
        author=str(item.get("rec") or ""),
        url=_absolute(str(item.get("url") or f"/{number}"), address),
        time=" ".join(part for part in when if part),
        latitude=_degrees(item.get("lat"), 90.0),
        longitude=_degrees(east, 180.0),
    )


def _remote(item: dict[str, Any], number: str, details: Details, address: str) -> Remote:
    seconds = _seconds(str(item.get("length") or ""))
    link = str(item.get("file") or "").strip()
    link = urljoin(address, link) if link else ""
    bring = partial(_bring, link=link, details=details, seconds=seconds)
    return Remote(f"XC{number}.mp3", details.url, bring, details, seconds)


def _bring(web: Web, target: Path, link: str, details: Details, seconds: float | None) -> Details:
    if not link:
        # the site withholds the audio of species at risk of trapping
        raise Gone(f"{details.url} has no audio to download")
    download(web, link, target, partial(check_audio, listed_s=seconds))
    return details


def _absolute(link: str, base: str) -> str:
    """Return a link with its scheme, which the site omits."""
    if not link or link.startswith(("http://", "https://")):
        return link
    return urljoin(base, link) if link.startswith("/") else link


def _degrees(value: object, limit: float) -> str:
    """Return a coordinate as text, empty if invalid."""
    try:
        degrees = float(str(value))
    except ValueError:
        return ""
    return str(value).strip() if abs(degrees) <= limit else ""


def _seconds(text: str) -> float | None:
    """Parse a length such as ``1:05`` or ``1:02:03``."""
    parts = text.split(":")
    if not text or not all(part.isascii() and part.isdigit() for part in parts) or len(parts) > 3:
        return None
    total = 0
    for part in parts:
        total = total * 60 + int(part)
    return float(total) or None
