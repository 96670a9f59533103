"""Read AudioSet's tables, which are downloaded on first use and cached, in constant memory.

The segments are two million lines such as ``-0RWZT-miFs, 420.000, 430.000, "/m/03v3yw,/m/0k4j"``; a search scans the
bytes and parses only the lines with its class. https://research.google.com/audioset/download.html
"""

import csv
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from britekit.annotations.tables import iter_rows, parse_number
from britekit.collect.resumable_download import download
from britekit.collect.web import Web
from britekit.collect.youtube import check_identifier
from britekit.errors import InputError, suggest

FOLDER = Path("data", "audioset")
CLASS_LIST, SEGMENTS, INCLUSION = "class_list.csv", "unbalanced_train_segments.csv", "class_inclusion.csv"
_REMOTE = {CLASS_LIST: "class_labels_indices.csv", SEGMENTS: SEGMENTS}
_BATCH = 20_000
_INCLUDES = tuple(f"Include{number}" for number in range(1, 11))


@dataclass(frozen=True)
class Segment:
    """A part of a video."""

    video: str
    start_s: float
    end_s: float


@dataclass(frozen=True)
class Report:
    """Labels of the clips of a class."""

    alone: int
    """Number of clips without another label."""
    others: list[tuple[str, int]]
    """Display name of each other label with its number of clips, most frequent first."""


class ClassList:
    """The classes of AudioSet by display name, ignoring case."""

    def __init__(self, path: Path) -> None:
        self._names: dict[str, str] = {}
        self._ids: dict[str, str] = {}
        for number, cells in iter_rows(path, ("index", "mid", "display_name")):
            if not cells["mid"] or not cells["display_name"]:
                raise InputError(f"{path}, row {number}: mid or display_name is empty")
            self._names[cells["mid"]] = cells["display_name"]
            self._ids[cells["display_name"].casefold()] = cells["mid"]
        if not self._names:
            raise InputError(f"{path} lists no class; delete it so that it is downloaded again")

    def find(self, name: str, where: str = "") -> str:
        """Return the identifier of a class.

        Raises `InputError` if there is no such class; suggests a similar name.
        """
        found = self._ids.get(" ".join(name.split()).casefold())
        if found is None:
            raise InputError(f'{where}AudioSet has no class "{name}"{suggest(name, self._names.values())}')
        return found

    def name_of(self, identifier: str) -> str:
        """Return the display name, or the identifier if the class is not in the list."""
        return self._names.get(identifier, identifier)


def ensure_table(web: Web, address: str, root: Path, name: str) -> Path:
    """Return the path of a table; download it if missing.

    Parameters
    ----------
    address
        Setting `misc.audioset_url`.
    root
        Holds ``data/audioset``.
    name
        `CLASS_LIST` or `SEGMENTS`.
    """
    path = root / FOLDER / name
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        check = _check_class_list if name == CLASS_LIST else _check_segments
        download(web, f"{address.rstrip('/')}/{_REMOTE[name]}", path, check, audio=False)
    return path


def read_inclusion(path: Path, name: str, classes: ClassList) -> set[str]:
    """Return the identifiers allowed beside a class; none if the file is missing."""
    if not path.exists():
        return set()
    allowed: set[str] = set()
    for number, cells in iter_rows(path, ("Name",), _INCLUDES):
        if cells["Name"].casefold() == " ".join(name.split()).casefold():
            beside = [cells[column] for column in _INCLUDES if cells[column]]
            allowed |= {classes.find(other, f"{path}, row {number}: ") for other in beside}
    return allowed


def find_segments(path: Path, identifier: str, allowed: set[str]) -> Iterator[Segment]:
    """Yield the segments whose labels are all the class or allowed ones, in table order."""
    wanted = {identifier.encode(), *(item.encode() for item in allowed)}
    for number, line, labels in _matching(path, identifier):
        if wanted.issuperset(labels):
            yield _segment(path, number, line)


def count_labels(path: Path, identifier: str, classes: ClassList) -> Report:
    """Count the labels of the clips of a class, in one pass and constant memory."""
    alone, others = 0, Counter[bytes]()
    batch: list[bytes] = []
    for _, _, labels in _matching(path, identifier):
        if len(labels) == 1:
            alone += 1
        else:
            batch.extend(labels)
            # counting some thousand labels at once takes a fifth of the time of counting line by line
            if len(batch) > _BATCH:
                others.update(batch)
                batch.clear()
    others.update(batch)
    del others[identifier.encode()]
    ordered = sorted(others.items(), key=lambda item: (-item[1], item[0]))
    return Report(alone, [(classes.name_of(key.decode("utf-8", "replace")), count) for key, count in ordered])


def read_curated(path: Path) -> list[Segment]:
    """Read a list of reviewed clips, columns `YTID` and `start_seconds`.

    Raises `InputError` if a row is invalid; names it.
    """
    segments = []
    for number, cells in iter_rows(path, ("YTID", "start_seconds")):
        try:
            start = parse_number(cells["start_seconds"])
        except ValueError:
            start = -1.0
        if start < 0:
            raise InputError(f'{path}, row {number}: start_seconds "{cells["start_seconds"]}" is not 0 or more')
        try:
            segments.append(Segment(check_identifier(cells["YTID"]), start, start + 10.0))
        except InputError as error:
            raise InputError(f"{path}, row {number}: {error}") from None
    if not segments:
        raise InputError(f"{path} lists no clip")
    return segments


def _matching(path: Path, identifier: str) -> Iterator[tuple[int, bytes, set[bytes]]]:
    """Yield number, line and labels of the lines that name a class."""
    wanted = identifier.encode()
    try:
        with open(path, "rb") as file:
            for number, line in enumerate(file, start=1):
                # this rejects most lines; comments and the header contain no class
                if wanted not in line or line.startswith(b"#"):
                    continue
                fields = line.split(b",", 3)
                if len(fields) < 4:
                    raise InputError(f"{path}, line {number}: expected YTID, start, end and labels")
                labels = set(fields[3].strip(b'" \t\r\n').replace(b" ", b"").split(b","))
                # /m/0k4 is also a prefix of /m/0k4j
                if wanted in labels:
                    yield number, line, labels
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from None


def _segment(path: Path, number: int, line: bytes) -> Segment:
    video, start, end = (field.strip().strip(b'"').decode("utf-8", "replace") for field in line.split(b",", 3)[:3])
    try:
        segment = Segment(check_identifier(video), parse_number(start), parse_number(end))
    except ValueError:
        raise InputError(f"{path}, line {number}: start and end are not numbers of seconds") from None
    except InputError as error:
        raise InputError(f"{path}, line {number}: {error}") from None
    if not 0 <= segment.start_s < segment.end_s:
        raise InputError(f"{path}, line {number}: the end is not after the start")
    return segment


def _check_class_list(path: Path) -> None:
    try:
        ClassList(path)
    except (InputError, csv.Error):
        raise InputError("the downloaded file is not AudioSet's class list") from None


def _check_segments(path: Path) -> None:
    with open(path, "rb") as file:
        for line in file:
            if line.strip() and not line.startswith((b"#", b"YTID")):
                if line.count(b",") >= 3 and b"/" in line:
                    return
                break
    raise InputError("the downloaded file is not AudioSet's table of segments")
