"""Collect the credits for a publication: author, licence and link of each recording."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from britekit.audio.files import find_recordings
from britekit.collect.licences import is_wanted, normalize_licence
from britekit.collect.recordings_table import FILE_NAME, read_recordings_table
from britekit.database.schema import Recording, RecordingInfo, Segment, Source
from britekit.errors import InputError
from britekit.files import csv_text, write_text

FORMATS = (".md", ".txt", ".csv")
COLUMNS = ("recording", "source", "author", "licence", "url", "time")
UNKNOWN = "licence unknown: ask the author before publishing"


@dataclass(frozen=True, order=True)
class Credit:
    """Credit of one recording; empty where unknown."""

    recording: str
    source: str = ""
    author: str = ""
    licence: str = ""
    url: str = ""
    time: str = ""


def credits_of_directory(directory: Path) -> list[Credit]:
    """Return the credits of the recordings below a directory, from each ``recordings.csv`` in it.

    A table covers the recordings beside it and in folders below; the nearest one counts. Recordings that are in no
    table are listed without details.
    """
    if directory.is_file():
        raise InputError(f"{directory} is a file; expected a directory of recordings")
    known: dict[tuple[Path, str, str], Credit] = {}
    beside: dict[tuple[Path, str], set[Credit]] = defaultdict(set)
    for table in sorted(directory.rglob(FILE_NAME)):
        for row in read_recordings_table(table):
            details = row.details
            credit = Credit(row.recording, details.source, details.author, details.licence, details.url, details.time)
            known[table.parent, row.class_name, row.recording] = credit
            beside[table.parent, row.recording].add(credit)
    found = set()
    for path in find_recordings(directory, recursive=True):
        above = [path.parent, *path.parent.parents]
        tables = above[: above.index(directory) + 1]
        keys = [(folder, name, path.stem) for folder in tables for name in (path.parent.name, "")]
        # test recordings are in one folder, regardless of the class in their rows
        rest = beside.get((path.parent, path.stem), set())
        last = next(iter(rest)) if len(rest) == 1 else Credit(path.stem)
        found.add(next((known[key] for key in keys if key in known), last))
    return sorted(found)


def credits_of_database(session: Session) -> list[Credit]:
    """Return the credits of the recordings with segments in a training database."""
    used = Recording.id.in_(select(Segment.recording_id))
    names = select(Recording.id, Recording.filename, Source.name).join(Source, Source.id == Recording.source_id)
    facts: dict[int, RecordingInfo] = {}
    if session.info["has_recording_info"]:
        facts = {info.recording_id: info for info in session.scalars(select(RecordingInfo))}
    found = set()
    for number, filename, source in session.execute(names.where(used)):
        info = facts.get(number, RecordingInfo())
        rest = (info.author, info.licence, info.url, info.time)
        found.add(Credit(Path(filename or "").stem, source or "", *(str(value or "") for value in rest)))
    return sorted(found)


def chosen(credits: Iterable[Credit], licences: Sequence[str] | None) -> list[Credit]:
    """Return the credits with these licences; None for all. Unknown licences never match."""
    return [item for item in credits if is_wanted(item.licence, licences)]


def write_credits(path: Path, credits: Sequence[Credit]) -> None:
    """Write the credits as Markdown, plain text or CSV, by the name's extension.

    Raises `InputError` if there is nothing to credit, or the extension is unknown.
    """
    if not credits:
        raise InputError("there is no recording to credit")
    makers = {".md": _markdown, ".txt": _plain_text, ".csv": _table}
    if path.suffix.lower() not in makers:
        raise InputError(f"{path}: credits are written as {', '.join(FORMATS)}; choose one of these extensions")
    write_text(path, makers[path.suffix.lower()](credits))


def unlicensed(credits: Iterable[Credit]) -> int:
    """Return how many recordings have no known licence."""
    return sum(not item.licence for item in credits)


def _groups(credits: Iterable[Credit]) -> list[tuple[str, str, list[Credit]]]:
    """Return source, licence and credits, unknown licences last."""
    groups: dict[tuple[bool, str, str], list[Credit]] = defaultdict(list)
    for item in credits:
        groups[not item.licence, item.source or "other sources", _shown_licence(item.licence)].append(item)
    return [(source, licence, items) for (_, source, licence), items in sorted(groups.items())]


def _shown_licence(licence: str) -> str:
    """Return a licence in its usual spelling, with its address if known."""
    if not licence:
        return UNKNOWN
    short = normalize_licence(licence)
    if short == licence.upper() and not licence.startswith("http"):
        return licence.replace("CC-", "CC ", 1)
    return f"{short.replace('CC-', 'CC ', 1)} ({licence})"


def _markdown(credits: Sequence[Credit]) -> str:
    lines = ["# Credits", "", f"{len(credits)} recordings.", ""]
    for source, licence, items in _groups(credits):
        lines += [f"## {_escaped(source)}: {_escaped(licence)}", ""]
        for item in items:
            # angle brackets, so that characters of an address are not interpreted as markup
            name = f"[{_escaped(item.recording)}](<{item.url}>)" if _is_link(item.url) else _escaped(item.recording)
            lines.append(f"- {name}, {_escaped(item.author or 'author unknown')}{_when(item)}")
        lines.append("")
    return "\n".join(lines)


def _plain_text(credits: Sequence[Credit]) -> str:
    lines = [f"Credits of {len(credits)} recordings", ""]
    for source, licence, items in _groups(credits):
        lines += [f"{source}: {licence}", ""]
        for item in items:
            link = f", {item.url}" if item.url else ""
            lines.append(f"  {item.recording}, {item.author or 'author unknown'}{_when(item)}{link}")
        lines.append("")
    return "\n".join(lines)


def _table(credits: Sequence[Credit]) -> str:
    rows = (
        [item.recording, item.source, item.author, item.licence or "unknown", item.url, item.time] for item in credits
    )
    return csv_text([COLUMNS, *rows])


def _when(item: Credit) -> str:
    return f", {item.time[:10]}" if item.time else ""


def _is_link(text: str) -> bool:
    return text.startswith(("http://", "https://")) and not set(text) & set("<> \n")


def _escaped(text: str) -> str:
    return "".join(f"\\{letter}" if letter in r"\`*_{}[]<>#|" else letter for letter in text)
