"""What ``analyze`` leaves: label files, tables, the list of failures and the manifest (formats page, 5).

Each recording's files are written when it is complete, and its labels go to the journal, from which the
tables of all formats are written at the end: memory does not grow with the number of recordings. What an
earlier run left is replaced at the end only, so that a run that fails leaves it whole.
"""

from __future__ import annotations

import contextlib
import errno
import os
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

import numpy as np

from britekit import formats
from britekit.annotations.classes import ClassInfo
from britekit.annotations.scores import ScoreTable
from britekit.files import UNWRITABLE, atomic_path, make_durable, together, unwritable, write_csv, write_text
from britekit.formats import Facts, Recording, Sink
from britekit.inference.journal import Done, Journal, Slice, Written
from britekit.inference.manifest import MANIFEST_HEAD
from britekit.inference.rendering import LABELS, SCORES, RenderedFacts, wanted_sinks

SCORE_TABLE, MANIFEST, FAILURES, DAMAGES = "scores.npz", "manifest.yaml", "failed.csv", "damaged.csv"


class OutputFolder:
    """The output directory of one run; a context manager that keeps the journal if the run is interrupted.

    Parameters
    ----------
    folder
        Made if it is missing.
    kinds
        Names of formats.
    keep_scores
        Also write scores.npz.
    facts, resume
        As `Journal` takes them.

    Raises
    ------
    InputError
        The directory cannot be written, or another run writes into it.
    InferenceError
        As `Journal`.
    """

    def __init__(
        self,
        folder: Path,
        kinds: Iterable[str],
        keep_scores: bool,
        facts: dict[str, Any],
        resume: bool | None = None,
    ) -> None:
        self.folder = folder
        self._kinds = sorted(kinds)
        self._sinks = wanted_sinks(self._kinds, keep_scores)
        known = [formats.get(name) for name in formats.written()]
        chosen = [form for form in known if form.name in self._kinds]
        # Format to ending or name of its files: what this run writes, and what an earlier one may have left.
        self._endings = {form.name: form.ending for form in chosen if not form.table}
        self._tables = {form.name: form.table for form in chosen if form.table}
        self._other_endings = [
            form.ending for form in known if not form.table and form.name not in self._endings
        ]
        self._other_tables = [form.table for form in known if form.table and form.name not in self._tables]
        self._keep_scores = keep_scores
        self._complete = False
        # Made before the first recording is scored: an hour's work must not end at a read-only disk.
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise unwritable(folder, error) from error
        self.journal = Journal(folder, facts, resume)
        # What a run left that was killed while it put the tables together; nobody else writes here now.
        for target in (*self._tables.values(), SCORE_TABLE, FAILURES, DAMAGES, MANIFEST):
            stem, suffix = os.path.splitext(target)
            for left in folder.glob(f".{stem}.*.partial{suffix}"):
                left.unlink(missing_ok=True)

    def __enter__(self) -> OutputFolder:
        return self

    def __exit__(self, *_: object) -> None:
        self.journal.close(remove=self._complete)

    def found_done(self, name: str, path: Path) -> Done | None:
        """Return what the interrupted run wrote of a recording, if that is still the same file."""
        entry = self.journal.entry(name)
        return entry if entry is not None and (entry.size, entry.mtime_ns) == identity_of(path) else None

    def why_not_written(self, name: str) -> str:
        """Return why no label file can have a recording's name, before hours are spent on it; else ""."""
        if not name.rpartition("/")[2].strip():
            return "its name is white space alone, which no table can hold; rename it"
        for ending in self._endings.values():
            try:
                os.lstat(self.folder / f"{name}{ending}")
            except OSError as error:
                if error.errno in (errno.ENAMETOOLONG, errno.EINVAL):
                    return (
                        f"its name with {ending} behind it is longer than the file system of {self.folder} "
                        "allows; rename it, or write only the table (--rtype csv)"
                    )
        return ""

    def add(
        self, name: str, identity: tuple[int, int], write: Callable[[Mapping[str, Sink]], RenderedFacts]
    ) -> RenderedFacts:
        """Write one finished recording.

        Parameters
        ----------
        name
            What it is called in the output.
        identity
            From `identity_of`, before it was read.
        write
            Puts its parts into the sinks.

        Raises
        ------
        InputError
            The output cannot be written.
        """
        journal = self.journal
        try:
            with contextlib.ExitStack() as stack:
                sinks = {
                    key: _Counting(
                        {LABELS: journal.labels, SCORES: journal.scores}.get(key)
                        or stack.enter_context(open(journal.new_file(), "wb"))
                    )
                    for key in self._sinks
                }
                facts = write(sinks)
            journal.append(
                Done(
                    name=name,
                    size=identity[0],
                    mtime_ns=identity[1],
                    seconds=facts.seconds,
                    labels=facts.labels,
                    rows=facts.rows,
                    damaged_at=facts.damaged_at,
                    labels_at=sinks[LABELS].slice() if LABELS in sinks else None,
                    scores=sinks[SCORES].slice() if SCORES in sinks else None,
                    files={
                        ending: self._publish(name, ending, sinks[kind])
                        for kind, ending in self._endings.items()
                    },
                )
            )
        except OSError as error:
            if error.errno not in UNWRITABLE:
                raise
            raise unwritable(self.folder, error) from error
        return facts

    def _publish(self, name: str, ending: str, file: _Counting) -> Written:
        """Give a file its name, unless an earlier run's file has it: that is replaced at the end."""
        written = Path(file.name)
        target = self.folder / f"{name}{ending}"
        before = self.journal.entry(name)
        ours = before is not None and ending in before.files and before.files[ending].held is None
        if ours or not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            # Flushed to the disk at the end: one by one that would take longer than scoring a short clip.
            os.replace(written, target)
            return Written(None, file.length, file.crc)
        return Written(written.name, file.length, file.crc)

    def finish(
        self,
        paths: Mapping[str, Path],
        failed: Mapping[str, tuple[str, str]],
        manifest: str,
        classes: list[ClassInfo],
        duration: float,
        meta: dict[str, str],
        facts: Facts,
    ) -> None:
        """Write the files about all recordings; with failures the journal stays, so that a run can mend them.

        Parameters
        ----------
        paths
            Recordings that are complete, by name.
        failed
            Recordings that are not: name to file and reason.
        manifest
            Text of the manifest.
        classes, duration, meta
            For scores.npz.
        facts
            For tables.
        """
        ordered = sorted(paths)
        damaged = [
            (x.name, f"{x.damaged_at:.3f}") for x in self._entries(ordered) if x.damaged_at is not None
        ]
        old = [*self._old_tables(bool(failed), bool(damaged)), *self._obsolete(set(ordered), failed)]
        try:
            make_durable(self._label_files(ordered))
            with together():
                for kind in self._tables:
                    self._write_table(kind, ordered, paths, facts)
                if self._keep_scores:
                    self._write_scores(ordered, classes, duration, meta)
                if failed:
                    rows = [(name, *failed[name]) for name in sorted(failed)]
                    write_csv(self.folder / FAILURES, [("recording", "file", "reason"), *rows])
                if damaged:
                    write_csv(self.folder / DAMAGES, [("recording", "damaged_at"), *damaged])
                write_text(self.folder / MANIFEST, manifest)
                for path in old:
                    if os.path.lexists(path):  # false for a name too long to exist
                        path.unlink()
                self._replace_held(ordered)
                # Before the manifest calls them finished, and the journal goes.
                make_durable(self._label_folders(ordered), directories=True)
        except OSError as error:
            if error.errno not in UNWRITABLE:
                raise
            raise unwritable(self.folder, error) from error
        self._complete = not failed

    def _entries(self, names: Iterable[str]) -> Iterator[Done]:
        for name in names:
            entry = self.journal.entry(name)
            assert entry is not None
            yield entry

    def _label_files(self, names: list[str]) -> Iterator[Path]:
        """Yield where each label file of this run is now."""
        for entry in self._entries(names):
            for ending, file in entry.files.items():
                named = self.folder / f"{entry.name}{ending}"
                yield named if file.held is None else self.journal.path / "files" / file.held

    def _label_folders(self, names: list[str]) -> set[Path]:
        """Return every folder that holds a label file, or one that does."""
        below = {parent for name in names for parent in PurePosixPath(name).parents}
        return {self.folder / folder for folder in below}

    def _replace_held(self, names: list[str]) -> None:
        for entry in self._entries(names):
            for ending, file in entry.files.items():
                if file.held is not None:
                    # Gone where a run was killed in the midst of this.
                    with contextlib.suppress(FileNotFoundError):
                        os.replace(
                            self.journal.path / "files" / file.held, self.folder / f"{entry.name}{ending}"
                        )

    def _is_ours(self) -> bool:
        """Tell whether an earlier analyze wrote this folder: nothing else may be removed from it."""
        try:
            with open(self.folder / MANIFEST, encoding="utf-8") as file:
                return file.readline() == MANIFEST_HEAD
        except (OSError, UnicodeDecodeError):
            return False

    def _old_tables(self, failed: bool, damaged: bool) -> list[Path]:
        """Return tables of an earlier run that are not replaced: readers prefer them to label files."""
        if not self._is_ours():
            return []
        tables = [(name, False) for name in self._other_tables]
        tables += [(SCORE_TABLE, self._keep_scores), (FAILURES, failed), (DAMAGES, damaged)]
        return [self.folder / name for name, replaced in tables if not replaced]

    def _obsolete(self, names: set[str], failed: Iterable[str]) -> list[Path]:
        """Return label files of recordings that failed or that only the interrupted run had, and an earlier
        run's of a sort that is not written now: they would be read under this run's manifest.
        """
        ours = list(self._endings.values())
        gone = {name: ours for name in failed if not self.why_not_written(name)}
        if self._is_ours():
            gone |= {name: [*gone.get(name, []), *self._other_endings] for name in [*names, *gone]}
        for entry in self._entries(self.journal.done.keys() - names):
            if entry.name not in gone:
                gone[entry.name] = [ending for ending, file in entry.files.items() if file.held is None]
        return [self.folder / f"{name}{ending}" for name, endings in gone.items() for ending in endings]

    def _write_table(self, kind: str, names: list[str], paths: Mapping[str, Path], facts: Facts) -> None:
        make = formats.get(kind).writer
        assert make is not None
        with (
            atomic_path(self.folder / self._tables[kind]) as partial,
            open(partial, "wb") as table,
            open(self.journal.path / "labels.part", "rb") as labels,
        ):
            writer = make(table, facts)
            for entry in self._entries(names):
                assert entry.labels_at is not None
                recording = Recording(
                    entry.name, as_text(os.path.abspath(paths[entry.name])), entry.seconds, entry.damaged_at
                )
                labels.seek(entry.labels_at.offset)
                for rows in formats.read_rows(labels, entry.labels_at.offset + entry.labels_at.length):
                    writer.add(recording, rows)
                writer.end(recording)
            writer.close()

    def _write_scores(
        self, names: list[str], classes: list[ClassInfo], duration: float, meta: dict[str, str]
    ) -> None:
        counts = [entry.rows for entry in self._entries(names)]
        total, width = sum(counts), len(classes)
        starts, scores = np.empty(total, np.float64), np.empty((total, width), np.float32)
        row = 0
        with open(self.journal.path / "scores.part", "rb") as parts:
            for entry in self._entries(names):
                assert entry.scores is not None
                parts.seek(entry.scores.offset)
                past = row + entry.rows
                parts.readinto(starts[row:past].data)
                parts.readinto(scores[row:past].data)
                row = past
        ScoreTable(
            recordings=names,
            seconds=np.array([entry.seconds for entry in self._entries(names)], np.float64),
            row_recording=np.repeat(np.arange(len(names), dtype=np.int32), counts),
            starts=starts,
            duration=duration,
            classes=classes,
            scores=scores,
            meta=meta,
        ).save(self.folder / SCORE_TABLE)


class _Counting:
    """A file that knows where its writer began, how much was written, and the CRC-32 of that."""

    def __init__(self, file: BinaryIO) -> None:
        self.name = str(file.name)
        self.length = self.crc = 0
        self._file = file
        self._offset = file.tell()

    def write(self, data: bytes, /) -> None:
        self._file.write(data)
        self.length += len(data)
        self.crc = zlib.crc32(data, self.crc)

    def slice(self) -> Slice:
        return Slice(self._offset, self.length, self.crc)


def recording_name(path: Path, root: Path) -> str:
    """Return what a recording is called in the output: its path below ``root`` without extension.

    Bytes that are not UTF-8 are written as ``\\x..``.
    """
    below = path.relative_to(root) if path.is_relative_to(root) and path != root else Path(path.name)
    name = below.with_suffix("").as_posix() if below.suffix else below.as_posix()
    return as_text(name)


def as_text(path: str | os.PathLike[str]) -> str:
    """Return a path as text, with bytes that are not UTF-8 as ``\\x..``."""
    return os.fspath(path).encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def identity_of(path: Path) -> tuple[int, int]:
    """Return what tells a file from another of its name: size and time of change; (-1, -1) if it is gone."""
    try:
        facts = path.stat()
    except OSError:
        return -1, -1
    return facts.st_size, facts.st_mtime_ns
