"""Write the output of ``analyze``: label files, tables, the list of failures and the manifest (formats page, 5).

Label files are written as soon as a recording is complete. Labels also go to the journal, from which all tables are
written at the end, so memory does not grow with the number of recordings. Output of an earlier run is replaced only at
the end, so that a failing run leaves it intact.
"""

from __future__ import annotations

import contextlib
import errno
import filecmp
import io
import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from britekit import formats
from britekit.annotations.analyzed import COLUMNS, FILE_NAME, analyzed_row
from britekit.annotations.recording_info import RecordingInfo
from britekit.annotations.scores import F32_TABLE, ScoreTable
from britekit.annotations.tracks import Tracks
from britekit.audio.metadata import RecordingMetadata, read_metadata
from britekit.files import atomic_path, make_durable, together, write_csv, write_text, writing
from britekit.formats import Recording, Rows, Sink, Writer
from britekit.formats._base import format_time
from britekit.inference.finished import LABELS, NOTE, SCORES, SOURCE, entries_of, read_source, score_table, source_text
from britekit.inference.journal import Done, Journal, Pieces
from britekit.inference.labeling import Labeler
from britekit.inference.occurrence_notes import OCCURRENCE, WITHHELD, OccurrenceNote, occurrence_rows, withheld_rows
from britekit.inference.old_output import MANIFEST, SCORE_TABLE, OldOutput
from britekit.inference.recording_names import as_text, identity_of

if TYPE_CHECKING:
    from britekit.inference.scoring import Scored

InfoOf = Callable[[Path, RecordingMetadata | None], RecordingInfo]
FAILURES, DAMAGES = "failed.csv", "damaged.csv"


class OutputFolder:
    """The output directory of a run; a context manager that keeps the journal if interrupted.

    Parameters
    ----------
    folder
        Created if missing.
    keep_scores
        Also write scores.npz.
    facts, resume
        See `Journal`.
    info_of
        When and where a recording was made, by its path and metadata, for formats that show it.
    root
        Directory that recordings are named relative to.
    stays
        The run has no end: the journal stays, and `finish` may be called again and again.
    each
        Channels of recordings are analyzed one by one; names are those of tracks, see `britekit.annotations.tracks`.

    Raises
    ------
    InputError
        The directory cannot be written, or another run writes to it.
    InferenceError
        See `Journal`.
    """

    def __init__(
        self,
        folder: Path,
        kinds: Iterable[str],
        keep_scores: bool,
        labeler: Labeler,
        facts: dict[str, Any],
        resume: bool | None = None,
        info_of: InfoOf | None = None,
        root: Path | None = None,
        stays: bool = False,
        each: bool = False,
    ) -> None:
        self.folder, self._labeler, self._info_of = folder, labeler, info_of
        self._root, self._stays = root, stays
        # Recordings added since the last `finish`; None before the first.
        self._fresh: set[str] | None = None
        kinds = set(kinds)
        known = [formats.get(name) for name in formats.written()]
        chosen = [form for form in known if form.name in kinds]
        # Suffix or name of files by format: those of this run, and those of an earlier one.
        self._endings = {form.name: form.ending for form in chosen if not form.table}
        self._tables = {form.name: form.table for form in chosen if form.table}
        self._tracks = Tracks(each)
        self._old = OldOutput(folder, kinds, each)
        self._keep_scores = keep_scores
        self._complete = False
        # Created before the first recording is scored, so that a read-only disk is noticed at once.
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
        self.journal = Journal(folder, facts, resume)
        # Leftovers of a killed run; the journal's lock excludes other writers.
        for left in folder.glob(".analyze.*.partial"):
            left.unlink(missing_ok=True)

    def __enter__(self) -> OutputFolder:
        return self

    def __exit__(self, *_: object) -> None:
        self.journal.close(remove=self._complete)

    def found_done(self, name: str, path: Path) -> Done | None:
        """Return the entry of the interrupted run for a recording, if its file is unchanged."""
        entry = self.journal.entry(name)
        return entry if entry is not None and (entry.size, entry.mtime_ns) == identity_of(path) else None

    def why_not_written(self, name: str) -> str:
        """Return why no label file can have a recording's name, checked before scoring; else ""."""
        if not name.rpartition("/")[2].strip():
            return "its name consists of white space, which tables cannot hold; rename it"
        for ending in self._endings.values():
            try:
                os.lstat(self.folder / f"{name}{ending}")
            except OSError as error:
                if error.errno in (errno.ENAMETOOLONG, errno.EINVAL):
                    return (
                        f"its name with the suffix {ending} is longer than the file system of {self.folder} "
                        "allows; rename it, or write only the table (--rtype csv)"
                    )
        return ""

    def add(self, name: str, path: Path, identity: tuple[int, int], scored: Scored) -> int:
        """Write one finished recording; return its number of labels.

        Raises `InputError` if the output cannot be written.

        Parameters
        ----------
        name, path
            Its name in the output, and its file.
        identity
            The `identity_of` the file before it was read.
        """
        before = self.journal.entry(name)
        ours = [] if before is None else before.files.split("\n")
        # An existing file of an earlier run is replaced at the end.
        free = {
            kind: ending
            for kind, ending in self._endings.items()
            if ending in ours or not os.path.lexists(self.folder / f"{name}{ending}")
        }
        metadata = read_metadata(path)
        recording = self._recording(name, path, metadata, scored.seconds, scored.damaged_at)
        count = size = 0
        with writing(self.folder, reads=True), self.journal.adding(name) as add:
            add(SOURCE, source_text(path, metadata, self._root))
            with contextlib.ExitStack() as stack:
                writers = [self._writer(kind, stack.enter_context(open(self._partial(kind), "wb"))) for kind in free]
                labels = Pieces(LABELS, add)
                for rows in scored.rows():
                    count += len(rows)
                    labels.write(rows.to_bytes())
                    for writer in writers:
                        writer.add(recording, rows)
                labels.flush()
                for writer in writers:
                    writer.end(recording)
                    writer.close()
            if self._keep_scores:
                for data in scored.raw():
                    size += len(data)
                    add(SCORES, data)
            note = scored.occurrence()
            if note is not None:
                add(NOTE, note.to_bytes())
            for kind, ending in free.items():
                self._give_name(kind, name, ending)
            rows_written = size // (8 + 4 * len(self._labeler.classes))
            files = "\n".join(free.values())
            entry = Done(name, *identity, scored.seconds, count, rows_written, scored.damaged_at, files)
            self.journal.finish(entry)
        if self._fresh is not None:
            self._fresh.add(name)
        return count

    def _recording(
        self, name: str, path: Path, metadata: RecordingMetadata | None, seconds: float, damaged_at: float | None
    ) -> Recording:
        info = None if self._info_of is None else self._info_of(path, metadata)
        recording, channel = self._tracks.split(name)
        return Recording(recording, as_text(os.path.abspath(path)), seconds, damaged_at, info, channel)

    def _partial(self, kind: str) -> Path:
        return self.folder / f".analyze.{kind}.partial"

    def _give_name(self, kind: str, name: str, ending: str) -> None:
        target = self.folder / f"{name}{ending}"
        target.parent.mkdir(parents=True, exist_ok=True)
        # fsync happens at the end: per file it would take longer than scoring a short clip.
        os.replace(self._partial(kind), target)

    def finish(
        self,
        paths: Mapping[str, Path] | None,
        failed: Mapping[str, Sequence[tuple[str, str]]],
        manifest: str,
        meta: dict[str, str],
        in_f32: ScoreTable | None = None,
    ) -> None:
        """Write the files about all recordings; keep the journal if there are failures, so that a run can retry them.

        Parameters
        ----------
        paths
            Recordings that are complete, by name; None: all that the journal holds.
        failed
            Files and reasons by name of each failed recording; two files where a name cannot tell them apart.
        in_f32
            The same scores in full precision, where ``infer.precision`` is lower.
        """
        names = self.journal.names() if paths is None else sorted(paths)
        fresh = names if self._fresh is None else sorted(self._fresh)
        damaged = dict.fromkeys(
            (self._tracks.split(x.name)[0], f"{x.damaged_at:.3f}")
            for x in entries_of(self.journal, names)
            if x.damaged_at is not None
        )
        has_prior = self._labeler.prior is not None
        replaced = {
            SCORE_TABLE: self._keep_scores and not self._tracks.each, F32_TABLE: in_f32 is not None,
            FAILURES: bool(failed), DAMAGES: bool(damaged), OCCURRENCE: has_prior, WITHHELD: has_prior,
        }  # fmt: skip
        tables = {
            file: (kind, part)
            for kind, table in self._tables.items()
            for file, part in self._tracks.tables(table, names, "channel" in formats.get(kind).columns)
        }
        score_tables = dict(self._tracks.tables(SCORE_TABLE, names)) if self._keep_scores else {}
        gone = {name: list(self._endings.values()) for name in failed if not self.why_not_written(name)}
        left = set() if self._stays else set(self.journal.names()) - {*names, *gone}
        old = self._old.tables(replaced, {*tables, *score_tables})
        old += self._old.label_files(fresh, gone, entries_of(self.journal, left))
        with writing(self.folder, reads=True), together():
            for file_name, (kind, part) in tables.items():
                with atomic_path(self.folder / file_name) as partial, open(partial, "wb") as file:
                    self._write(kind, file, part, paths)
            for file_name, part in score_tables.items():
                table = score_table(self.journal, part, self._labeler.classes, self._labeler.unit_s, meta)
                table.recordings = [self._tracks.split(name)[0] for name in part]
                table.save(self.folder / file_name)
            if in_f32 is not None:
                in_f32.save(self.folder / F32_TABLE)
            if failed:
                rows = dict.fromkeys(
                    (self._tracks.split(name)[0], *each) for name in sorted(failed) for each in failed[name]
                )
                write_csv(self.folder / FAILURES, [("recording", "file", "reason"), *rows])
            if damaged:
                write_csv(self.folder / DAMAGES, [("recording", "damaged_at"), *damaged])
            # Every recording, including those without a detection.
            first = list({self._tracks.split(name)[0]: name for name in reversed(names)}.values())[::-1]
            write_csv(self.folder / FILE_NAME, itertools.chain([COLUMNS], self._analyzed(first, paths)))
            if has_prior:
                write_csv(self.folder / OCCURRENCE, occurrence_rows(self.notes(names)))
                write_csv(self.folder / WITHHELD, withheld_rows(self.notes(names)))
            write_text(self.folder / MANIFEST, manifest)
            for path in old:
                if os.path.lexists(path):  # False if the name is too long to exist
                    path.unlink()
            for entry in entries_of(self.journal, fresh):
                self._write_label_files(entry, paths)
            # Before the manifest is written and the journal is deleted.
            files = (self.folder / f"{name}{ending}" for name in fresh for ending in self._endings.values())
            make_durable(files)
            below = {parent for name in fresh for parent in PurePosixPath(name).parents}
            make_durable({self.folder / folder for folder in below}, directories=True)
        self._complete = not (failed or self._stays)
        self._fresh = set() if self._stays else None

    def notes(self, names: Iterable[str]) -> Iterator[tuple[str, OccurrenceNote]]:
        """Yield what occurrence data did to each recording."""
        for name in names:
            data = b"".join(self.journal.pieces(name, NOTE))
            if data:
                yield name, OccurrenceNote.from_bytes(data)

    def _analyzed(self, names: Iterable[str], paths: Mapping[str, Path] | None) -> Iterator[tuple[object, ...]]:
        for entry in entries_of(self.journal, names):
            stored, metadata = read_source(self.journal, entry.name, self._root)
            path = (stored or Path(entry.name)) if paths is None else paths[entry.name]
            known = metadata or read_metadata(path)  # a journal of an older version did not note it
            yield analyzed_row(self._tracks.split(entry.name)[0], format_time(entry.seconds), as_text(path), known)

    def _write_label_files(self, entry: Done, paths: Mapping[str, Path] | None) -> None:
        """Write the label files that are missing, or that may have changed since an interrupted run."""
        for kind, ending in self._endings.items():
            if ending in entry.files.split("\n") and entry.name not in self.journal.resumed:
                continue
            with open(self._partial(kind), "wb") as file:
                self._write(kind, file, [entry.name], paths)
            target = self.folder / f"{entry.name}{ending}"
            if target.is_file() and filecmp.cmp(self._partial(kind), target, shallow=False):
                self._partial(kind).unlink()
            else:
                self._give_name(kind, entry.name, ending)

    def _writer(self, kind: str, out: Sink) -> Writer:
        make = formats.get(kind).writer
        assert make is not None
        return make(out, self._labeler.facts)

    def _write(self, kind: str, out: Sink, names: list[str], paths: Mapping[str, Path] | None) -> None:
        """Write the labels of recordings in a format, read from the journal."""
        writer = self._writer(kind, out)
        for entry in entries_of(self.journal, names):
            stored, metadata = read_source(self.journal, entry.name, self._root)
            path = (stored or Path(entry.name)) if paths is None else paths[entry.name]
            recording = self._recording(entry.name, path, metadata, entry.seconds, entry.damaged_at)
            for rows in self._rows(entry.name):
                writer.add(recording, rows)
            writer.end(recording)
        writer.close()

    def _rows(self, name: str) -> Iterator[Rows]:
        for piece in self.journal.pieces(name, LABELS):
            yield from formats.read_rows(io.BytesIO(piece), len(piece))
