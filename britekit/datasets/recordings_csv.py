"""Facts about the recordings of a tree: from ``recordings.csv`` and from file names."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from britekit.annotations.names import recording_key
from britekit.annotations.tables import parse_number
from britekit.audio.files import composed, name_key
from britekit.audio.metadata import read_metadata
from britekit.collect.recordings_table import FILE_NAME, group_from_name, read_recordings_table
from britekit.config.misc import MiscConfig
from britekit.database.recordings import Facts
from britekit.errors import InputError

log = logging.getLogger(__name__)

DEFAULT_SOURCE = "default"


@dataclass(frozen=True)
class Provenance:
    """Where a recording comes from (empty if unknown), and facts about it."""

    source: str
    facts: Facts


class RecordingTable:
    """The rows of ``recordings.csv``, found by class and recording.

    Raises `InputError` if the file cannot be read, a coordinate is not a number, or a recording of a class has two
    rows.

    Parameters
    ----------
    path
        The file; a missing one has no rows.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._rows: dict[tuple[str, str], tuple[int, Provenance]] = {}
        self._by_name: dict[str, list[tuple[int, Provenance]]] = {}
        self._used: set[int] = set()
        for row in read_recordings_table(path):
            key = (composed(row.class_name), name_key(row.recording))
            if key in self._rows:
                first = self._rows[key][0]
                raise InputError(f'{path}, row {row.row}: recording "{key[1]}" is already in row {first}')
            facts = Facts(
                group_name=row.details.group,
                licence=row.details.licence,
                author=row.details.author,
                url=row.details.url,
                time=row.details.time,
                latitude=_coordinate(path, row.row, "latitude", row.details.latitude, 90.0),
                longitude=_coordinate(path, row.row, "longitude", row.details.longitude, 180.0),
            )
            self._rows[key] = (row.row, Provenance(row.details.source, facts))
            self._by_name.setdefault(key[1], []).append(self._rows[key])

    def find(self, class_name: str, filename: str) -> Provenance | None:
        """Return the row of a recording; one without class fits any."""
        for key_class in (composed(class_name), ""):
            found = self._rows.get((key_class, recording_key(Path(filename))))
            if found is not None:
                self._used.add(found[0])
                return found[1]
        return None

    def find_alone(self, filename: str) -> Provenance | None:
        """Return the row of a recording that has exactly one, whatever its class."""
        found = self._by_name.get(recording_key(Path(filename)), [])
        if len(found) != 1:
            return None
        self._used.add(found[0][0])
        return found[0][1]

    def report_unused(self) -> None:
        """Warn about rows that no recording was found for."""
        unused = [(number, key) for key, (number, _row) in self._rows.items() if number not in self._used]
        if unused:
            number, (class_name, recording) = unused[0]
            log.warning(
                '%s: %d rows have no recording beside it, the first is row %d ("%s" of "%s")',
                self.path,
                len(unused),
                number,
                recording,
                class_name,
            )


def describe_beside(
    paths: Iterable[Path], class_name: str, misc: MiscConfig, source: str = ""
) -> dict[Path, Provenance]:
    """Return source and facts of recordings: those of the ``recordings.csv`` beside each, else of its name.

    Raises `InputError` for a table that cannot be used.

    Parameters
    ----------
    paths
        The recordings; each folder's table is read once.
    class_name
        The class they are stored under; a row of another class counts where the recording has no other row.
    source
        Stands over what tables and names say; empty for none.
    """
    tables: dict[Path, RecordingTable] = {}
    described = {}
    for path in paths:
        if path.parent not in tables:
            tables[path.parent] = RecordingTable(path.parent / FILE_NAME)
        row = tables[path.parent].find(class_name, path.name) or tables[path.parent].find_alone(path.name)
        found = describe_recording(path.name, row, misc)
        described[path] = replace(found, source=source or found.source)
    return described


def describe_recording(filename: str, row: Provenance | None, misc: MiscConfig) -> Provenance:
    """Return source and facts of a recording: from its row, else from its name.

    Parameters
    ----------
    filename
        Without folder.
    row
        From ``recordings.csv``, if it has one.
    """
    stem = Path(filename).stem
    known = row or Provenance("", Facts())
    group = known.facts.group_name or group_from_name(stem, misc.group_regex)
    source = known.source or source_from_name(stem, misc.source_regexes)
    return Provenance(source, replace(known.facts, group_name=group))


def with_metadata(facts: Facts, path: Path) -> Facts:
    """Return the facts with time and place from the recording itself, where the table does not state them."""
    if facts.time and facts.latitude is not None and facts.longitude is not None:
        return facts
    found = read_metadata(path)
    if not facts.time and found.time is not None:
        facts = replace(facts, time=found.time.isoformat())
    # Half a place from the table is not mixed with half of one from the recording.
    if facts.latitude is None and facts.longitude is None and found.latitude is not None:
        facts = replace(facts, latitude=found.latitude, longitude=found.longitude)
    return facts


def source_from_name(stem: str, patterns: Sequence[Sequence[str]] | None) -> str:
    """Return the source whose pattern matches the start of a stem; the first wins, none is ``default``."""
    for pattern, source in patterns or ():
        if re.match(pattern, stem):
            return source
    return DEFAULT_SOURCE


def _coordinate(path: Path, number: int, column: str, text: str, limit: float) -> float | None:
    if not text:
        return None
    try:
        value = parse_number(text)
    except ValueError:
        value = limit + 1.0
    if abs(value) > limit:
        raise InputError(
            f'{path}, row {number}: {column} "{text}" is not a number of degrees from -{limit:g} to {limit:g}'
        )
    return value
