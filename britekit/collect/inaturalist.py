"""Find sounds of observations through the API of iNaturalist, version 1.

Names are first resolved to a taxon, since observations match parts of names. Observations are then listed by ascending
ID, which is stable while others are added. https://api.inaturalist.org/v1/docs/
"""

import logging
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urljoin, urlsplit

from britekit.audio.files import AUDIO_EXTENSIONS
from britekit.collect.licences import is_wanted, normalize_licence
from britekit.collect.recording_folder import Remote
from britekit.collect.recordings_table import Details
from britekit.collect.resumable_download import check_audio, download
from britekit.collect.web import Web, WebError
from britekit.errors import InputError, suggest

log = logging.getLogger(__name__)

SOURCE = "iNaturalist"
OBSERVATION = "https://www.inaturalist.org/observations/{}"
RESERVED = "all rights reserved"
TABLE, COLUMNS = "inat.csv", ("Media ID", "URL")
_PER_PAGE = 200
_EXTENSIONS = {
    "audio/mpeg": ".mp3",
    "audio/mp3": ".mp3",
    "audio/mp4": ".m4a",
    "audio/x-m4a": ".m4a",
    "audio/aac": ".aac",
    "audio/wav": ".wav",
    "audio/x-wav": ".wav",
    "audio/vnd.wave": ".wav",
    "audio/ogg": ".ogg",
    "audio/flac": ".flac",
    "audio/x-flac": ".flac",
    "audio/amr": ".amr",
    "audio/3gpp": ".m4a",
}


def find_sounds(
    web: Web,
    address: str,
    name: str,
    prefix: bool = True,
    unverified_too: bool = False,
    licences: Sequence[str] | None = None,
) -> Iterable[Remote]:
    """Yield the sounds of a taxon, requesting pages on demand.

    Parameters
    ----------
    address
        Setting `misc.inat_url`.
    name
        Scientific or common name, ignoring case.
    prefix
        Whether to prefix file names with ``N``.
    unverified_too
        Include observations that need identification.
    licences
        Accepted licences; None for all, including all rights reserved.

    Raises
    ------
    InputError
        No taxon has that name.
    WebError
        The site did not answer.
    """
    taxon = _find_taxon(web, address, name)
    seen: set[int] = set()
    for observation in _observations(web, address, taxon, unverified_too):
        for sound in observation.get("sounds") or ():
            if not isinstance(sound, dict) or not isinstance(sound.get("id"), int) or sound.get("hidden"):
                continue
            remote = _remote(observation, sound, address, prefix)
            if sound["id"] not in seen and remote and is_wanted(remote.details.licence, licences):
                seen.add(sound["id"])
                yield remote


def media_row(remote: Remote) -> dict[str, str]:
    """Return the row of ``inat.csv`` about a sound."""
    return {"Media ID": Path(remote.file_name).stem.removeprefix("N"), "URL": remote.details.url}


def _find_taxon(web: Web, address: str, name: str) -> int:
    wanted = _plain(name)
    if not wanted or not name.isprintable():
        raise InputError(f"{name!r} is not the name of a taxon")
    answer = web.get_json(f"{address.rstrip('/')}/taxa", {"q": " ".join(name.split()), "per_page": 100})
    taxa = [item for item in _results(answer) if isinstance(item.get("id"), int)]
    kinds = ("name", "preferred_common_name", "english_common_name", "matched_term")
    for kind in kinds:
        exact = [item for item in taxa if _plain(str(item.get(kind) or "")) == wanted]
        if exact:
            exact.sort(key=lambda item: (-int(item.get("observations_count") or 0), item["id"]))
            if len(exact) > 1:
                log.info('"%s" matches %d taxa; using %s', name, len(exact), exact[0].get("name"))
            return int(exact[0]["id"])
    known = [str(item.get(kind)) for item in taxa for kind in kinds[:2] if item.get(kind)]
    raise InputError(f'iNaturalist knows no taxon by exactly the name "{name}"{suggest(name, known)}')


def _observations(web: Web, address: str, taxon: int, unverified_too: bool) -> Iterable[dict[str, Any]]:
    above = 0
    while True:
        params: dict[str, str | int] = {
            "taxon_id": taxon,
            "sounds": "true",
            "quality_grade": "research,needs_id" if unverified_too else "research",
            "order_by": "id",
            "order": "asc",
            "id_above": above,
            "per_page": _PER_PAGE,
        }
        page = [
            item
            for item in _results(web.get_json(f"{address.rstrip('/')}/observations", params))
            if isinstance(item.get("id"), int)
        ]
        yield from page
        highest = max((item["id"] for item in page), default=above)
        if highest <= above:
            return
        above = highest


def _results(answer: Any) -> list[dict[str, Any]]:
    results = answer.get("results") if isinstance(answer, dict) else None
    if not isinstance(results, list):
        raise WebError("iNaturalist's answer contains no results")
    return [item for item in results if isinstance(item, dict)]


def _remote(observation: dict[str, Any], sound: dict[str, Any], address: str, prefix: bool) -> Remote | None:
    link = str(sound.get("file_url") or "").strip()
    if not link:
        return None
    link = urljoin(address, link)
    user = observation.get("user")
    user = user if isinstance(user, dict) else {}
    latitude, longitude = _coordinates(observation.get("location"))
    code = str(sound.get("license_code") or "")
    details = Details(
        group=f"iNat{observation['id']}" if len(observation.get("sounds") or ()) > 1 else "",
        source=SOURCE,
        licence=normalize_licence(code) if code else RESERVED,
        author=str(user.get("name") or user.get("login") or ""),
        url=OBSERVATION.format(observation["id"]),
        time=str(observation.get("time_observed_at") or observation.get("observed_on") or ""),
        latitude=latitude,
        longitude=longitude,
    )
    extension = _extension(link, str(sound.get("file_content_type") or ""))
    stem = f"N{sound['id']}" if prefix else str(sound["id"])
    return Remote(stem + extension, link, partial(_bring, link=link, details=details), details, None, (f"{stem}.mp3",))


def _bring(web: Web, target: Path, link: str, details: Details) -> Details:
    download(web, link, target, check_audio)
    return details


def _extension(link: str, kind: str) -> str:
    suffix = PurePosixPath(urlsplit(link).path).suffix.lower()
    if suffix in AUDIO_EXTENSIONS:
        return suffix
    known = _EXTENSIONS.get(kind.partition(";")[0].strip().lower(), ".m4a")
    return known if known in AUDIO_EXTENSIONS else ".m4a"


def _coordinates(location: object) -> tuple[str, str]:
    """Parse ``latitude,longitude``; empty strings if invalid."""
    parts = str(location or "").split(",")
    try:
        latitude, longitude = map(float, parts)
    except ValueError:
        return "", ""
    inside = abs(latitude) <= 90 and abs(longitude) <= 180
    return (parts[0].strip(), parts[1].strip()) if inside else ("", "")


def _plain(name: str) -> str:
    return " ".join(name.casefold().split())
