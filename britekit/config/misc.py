"""Section `misc`: places on disk and on the network, name maps and how recordings are distinguished."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from britekit.config.fields import Problem, Section, setting

# Pattern of a recording's stem and the source it tells; the first match wins.
SOURCE_PATTERNS = (
    (r"^[A-Za-z0-9_-]{11}-\d+$", "Audioset"),
    (r"^XC\d+$", "Xeno-Canto"),
    (r"^N\d+$", "iNaturalist"),
    (r"^\d+$", "Macaulay Library"),
    (r".*", "default"),
)

_TIME_GROUPS = ("year", "month", "day", "hour", "minute")


@dataclass
class MiscConfig(Section):
    """Settings that several commands share."""

    SECTION: ClassVar[str] = "misc"
    ALIASES: ClassVar[dict[str, str]] = {"exclude_list": "ignore_file"}

    force_cpu: bool = setting(False, "do not use a GPU")
    ckpt_folder: str = setting("models/ckpt", "all checkpoints here form the ensemble")
    search_ckpt_path: str | None = setting(None, "model for embeddings: checkpoint, export or a folder of these")
    classes_file: str = setting("data/classes.csv", "the classes and their codes")
    ignore_file: str | None = setting("data/ignore.txt", "classes excluded from inference output")
    source_regexes: list[list[str]] | None = setting(
        lambda: [list(pair) for pair in SOURCE_PATTERNS],
        "pairs of a regex for a recording's stem and its source; first match wins",
    )
    map_names: dict[str, str] | None = setting(None, "old class name: new name; in annotations, '*' means all others")
    map_codes: dict[str, str] | None = setting(None, "old class code: new code, in annotations and old checkpoints")
    other_species: list[str] | None = setting(None, "names in annotations to ignore; ['*'] = all that are not classes")
    group_regex: str | None = setting(None, "regex for the part of a recording's stem that names its original")
    time_regex: list[str] | None = setting(None, "regexes for file names, with groups year, month, day, hour, minute")
    xeno_url: str = setting("https://xeno-canto.org/api/3/recordings", "Xeno-canto API, version 3")
    inat_url: str = setting("https://api.inaturalist.org/v1", "iNaturalist API, version 1")
    youtube_url: str = setting("https://www.youtube.com/watch?v=", "prefix of a video's ID")
    audioset_url: str = setting("https://storage.googleapis.com/us_audioset/youtube_corpus/v1/csv", "AudioSet's tables")
    request_pause: float = setting(1.0, "pause between requests to one site; scales retries", "s", low=0, high=60)

    def relations(self) -> Iterator[Problem]:
        """Yield patterns that do not compile and pairs that are none."""
        for place, pair in enumerate(self.source_regexes or [], start=1):
            if len(pair) != 2:
                yield Problem(("misc.source_regexes",), f"entry {place} is not a pair [pattern, source]")
            elif wrong := _compile(pair[0]):
                yield Problem(("misc.source_regexes",), f'entry {place}: pattern "{pair[0]}" {wrong}')
        for name in ("xeno_url", "inat_url", "youtube_url", "audioset_url"):
            address = getattr(self, name)
            if not re.fullmatch(r"https?://[^\s/?#@]+([/?][^\s#]*)?", address):
                yield Problem((f"misc.{name}",), f'"{address}" is not an address that begins with http:// or https://')
        if self.group_regex is not None and (wrong := _compile(self.group_regex)):
            yield Problem(("misc.group_regex",), f'"{self.group_regex}" {wrong}')
        for place, pattern in enumerate(self.time_regex or [], start=1):
            missing = [name for name in _TIME_GROUPS if f"(?P<{name}>" not in pattern]
            wrong = _compile(pattern) or (f"has no group (?P<{missing[0]}>...)" if missing else "")
            if wrong:
                yield Problem(("misc.time_regex",), f'entry {place}: pattern "{pattern}" {wrong}')


def _compile(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        return f"is not a regular expression: {error}"
    return ""
