"""Download sound tracks of videos with yt-dlp, without its conversion programs.

The original track is downloaded to a folder beside the target and converted here; then the folder is deleted, also
after a failure. An interruption leaves the folder, and yt-dlp resumes there the next time.
"""

import logging
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from britekit.audio.mp3 import BIT_RATE, write_mp3
from britekit.collect.licences import is_wanted
from britekit.collect.pacing import Interrupted
from britekit.collect.recording_folder import NotWanted, Remote
from britekit.collect.recordings_table import Details
from britekit.collect.web import Gone, Limits, Refused, Web
from britekit.errors import InputError

log = logging.getLogger(__name__)

SOURCE = "YouTube"
_IDENTIFIER = re.compile(r"[A-Za-z0-9_-]{11}")
# Errors that yt-dlp marks as expected although the network or the site refused.
_REFUSAL = re.compile(
    r"not a bot|429|Too Many Requests|HTTP Error (?:403|408|5\d\d)|timed? ?out|Unable to (?:connect|download)"
    r"|Connection|resolve|rate.?limit|Network|unreachable",
    re.IGNORECASE,
)
_MISSING = re.compile(r"HTTP Error (?:404|410)")
# Enough for a track of several hours in the best quality.
_MOST_BYTES = 1 << 30


def check_identifier(text: str) -> str:
    """Return a valid video identifier, or raise `InputError`."""
    if not _IDENTIFIER.fullmatch(text):
        raise InputError(f"{text!r} is not the identifier of a video; expected 11 letters, digits, - and _")
    return text


def video(address: str, identifier: str, rate: int, licences: Sequence[str] | None = None) -> Remote:
    """Return the sound track of a video.

    Parameters
    ----------
    address
        Setting `misc.youtube_url`.
    identifier
        11 letters.
    rate
        Sampling rate of the MP3 in Hz.
    licences
        Accepted licences; None for all.
    """
    link = address + check_identifier(identifier)
    details = Details(source=SOURCE, url=link)
    bring = partial(_bring, link=link, rate=rate, listed=details, licences=licences)
    return Remote(f"{identifier}.mp3", link, bring, details)


def clip(
    address: str,
    identifier: str,
    start_s: float,
    seconds: float,
    rate: int,
    source: str,
    licences: Sequence[str] | None = None,
) -> Remote:
    """Return a part of a video's sound track, named ``{identifier}-{whole start}.mp3``."""
    link = address + check_identifier(identifier)
    details = Details(group=identifier, source=source, url=f"{link}&t={int(start_s)}")
    bring = partial(_bring, link=link, rate=rate, listed=details, licences=licences, start_s=start_s, seconds=seconds)
    return Remote(f"{identifier}-{int(start_s)}.mp3", link, bring, details, seconds)


def look_up(web: Web, link: str) -> tuple[Details, float | None]:
    """Return the details of a video and its length in seconds, without downloading audio."""
    info = _ask(web, link, None)
    return _details(info, Details(source=SOURCE, url=link)), _duration(info)


def looked_up(
    web: Web,
    remotes: Iterable[Remote],
    directory: Path,
    licences: Sequence[str] | None,
    known: Mapping[str, Details] | None = None,
) -> Iterator[Remote]:
    """Yield recordings with the details of their videos; skip unavailable videos.

    Recordings that exist in `directory` are not requested; `known` has their details by stem.
    """
    for remote in remotes:
        if (directory / remote.file_name).is_file():
            details = (known or {}).get(Path(remote.file_name).stem, remote.details)
            if known is None or is_wanted(details.licence, licences):
                yield replace(remote, details=details)
            continue
        try:
            details, _ = look_up(web, remote.origin)
        except Gone as error:
            log.info("%s is not available: %s", remote.file_name, error)
            continue
        if is_wanted(details.licence, licences):
            listed = remote.details
            full = replace(details, group=listed.group, source=listed.source, url=listed.url)
            yield replace(remote, details=full)


def _bring(
    web: Web,
    target: Path,
    link: str,
    rate: int,
    listed: Details,
    licences: Sequence[str] | None,
    start_s: float = 0.0,
    seconds: float | None = None,
) -> Details:
    folder = target.with_name(f".{target.name}.partial")
    folder.mkdir(exist_ok=True)
    try:
        info = _ask(web, link, folder, licences)
        tracks = [path for path in sorted(folder.iterdir()) if path.suffix not in (".part", ".ytdl", ".mp3~")]
        if not tracks:
            raise InputError(f"{link} has no sound track")
        made = folder / "made.mp3~"
        write_mp3(tracks[0], made, rate, None, BIT_RATE, start_s, seconds, allow_damage=True)
        made.replace(target)
    except Interrupted:
        raise
    except Exception:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    shutil.rmtree(folder, ignore_errors=True)
    return _details(info, listed)


def _ask(web: Web, link: str, folder: Path | None, licences: Sequence[str] | None = None) -> dict[str, Any]:
    """Query a video with yt-dlp, and download its track if a folder is given."""
    import yt_dlp

    talk = _Talk()

    def choose(info: dict[str, Any], *, incomplete: bool = False) -> str | None:
        if info.get("is_live") or info.get("live_status") in ("is_live", "is_upcoming"):
            return "it is a live broadcast"
        if not incomplete and not is_wanted(_licence(info), licences):
            raise _NotThis(f"its licence ({_licence(info) or 'unknown'}) is not accepted")
        return None

    def watch(state: dict[str, Any]) -> None:
        if web.stop.is_set():
            raise yt_dlp.utils.DownloadCancelled("interrupted")
        if (state.get("downloaded_bytes") or 0) > _MOST_BYTES:
            raise _NotThis(f"its sound track exceeds the limit of {_MOST_BYTES} bytes")

    options = _options(web.limits, folder) | {"logger": talk, "match_filter": choose, "progress_hooks": [watch]}
    try:
        with yt_dlp.YoutubeDL(options) as library:
            info = library.extract_info(link, download=folder is not None)
    except yt_dlp.utils.DownloadCancelled as error:
        raise Interrupted("interrupted") from error
    except _NotThis as error:
        raise NotWanted(f"{link}: {error}") from None
    except (yt_dlp.utils.YoutubeDLError, OSError, ValueError) as error:
        raise _sorted_out(web, link, error) from None
    if not isinstance(info, dict):
        raise Gone(f"{link}: {web.scrub(talk.last) or 'there is no video'}")
    if talk.rejected:
        raise Gone(f"{link}: {web.scrub(talk.rejected)}")
    return info


def _options(limits: Limits, folder: Path | None) -> dict[str, Any]:
    pause = limits.retry_s
    options: dict[str, Any] = {
        "quiet": True,
        "no_warnings": True,
        "noprogress": True,
        "color": "never",
        "noplaylist": True,
        "playlist_items": "1",
        "cachedir": False,
        "fixup": "never",
        "allowed_extractors": ["youtube", "generic"],
        # a pure sound track if there is one, else the smallest film
        "format": "bestaudio/worst[acodec!=none]/worst",
        "socket_timeout": limits.read_s,
        "retries": limits.tries - 1,
        "fragment_retries": limits.tries - 1,
        "extractor_retries": limits.tries - 1,
        "file_access_retries": 1,
        "retry_sleep_functions": {kind: lambda n: pause * 2 ** min(n, 6) for kind in ("http", "fragment", "extractor")},
        "sleep_interval_requests": limits.pause_s,
        "max_filesize": _MOST_BYTES,
        "overwrites": False,
        "continuedl": True,
        "ignoreerrors": False,
    }
    if folder is not None:
        # yt-dlp expands % fields, so per cent signs in the folder name are doubled
        options["outtmpl"] = str(folder).replace("%", "%%") + "/track.%(ext)s"
    return options


class _NotThis(Exception):
    """Raised through yt-dlp for a video that is not wanted."""


class _Talk:
    """Logger for yt-dlp that keeps messages instead of printing them."""

    def __init__(self) -> None:
        self.last = ""
        self.rejected = ""

    def debug(self, text: str) -> None:
        """Keep a reason for skipping a video."""
        if "live broadcast" in text:
            self.rejected = "it is a live broadcast"
        elif "larger than max-filesize" in text:
            self.rejected = "its sound track is too large"

    info = debug

    def warning(self, text: str) -> None:
        """Keep the message."""
        self.last = text

    error = warning


def _sorted_out(web: Web, link: str, error: Exception) -> InputError:
    """Return the error for a deleted video or a network failure."""
    text = web.scrub(re.sub(r"\x1b\[[0-9;]*m", "", str(error))).removeprefix("ERROR: ")
    text = re.split(r"; please report|\. Confirm you are|; see  ?https|\(caused by", text)[0].strip()[:300]
    message = f"{link}: {text}"
    if _MISSING.search(text):
        return Gone(message)
    if _REFUSAL.search(text):
        return Refused(message)
    inner = getattr(error, "exc_info", None) or (None, None, None)
    if getattr(inner[1], "expected", False) or getattr(error, "expected", False):
        return Gone(message)
    return InputError(message)


def _details(info: dict[str, Any], listed: Details) -> Details:
    """Return the listed details completed by those of the video."""
    date = str(info.get("upload_date") or "")
    return replace(
        listed,
        licence=_licence(info),
        author=str(info.get("uploader") or info.get("channel") or ""),
        time=f"{date[:4]}-{date[4:6]}-{date[6:]}" if len(date) == 8 and date.isdigit() else "",
    )


def _licence(info: dict[str, Any]) -> str:
    """Return the licence; the site's standard terms give no permission, so they count as unknown."""
    text = str(info.get("license") or "")
    return "CC-BY" if text.startswith("Creative Commons Attribution licen") else text


def _duration(info: dict[str, Any]) -> float | None:
    seconds = info.get("duration")
    return float(seconds) if isinstance(seconds, (int, float)) else None
