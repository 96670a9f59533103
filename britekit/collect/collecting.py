"""Collect a list of sources: query every source, check all offers, download, publish."""

import logging
import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence, Set
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path

from britekit.annotations.classes import ClassInfo, find_class, read_classes
from britekit.annotations.segments import Annotation, read_annotations, write_annotations
from britekit.annotations.verdicts import current_verdicts, read_verdicts, write_verdicts
from britekit.audio.decoding import duration_of
from britekit.collect.atomic_folder import check_conflicts, publish, staging
from britekit.collect.context import Context
from britekit.collect.download_cache import Downloads
from britekit.collect.licences import is_wanted
from britekit.collect.names import named_safely
from britekit.collect.offers import Offer, SourceRow, refused
from britekit.collect.other_species import OtherSpecies
from britekit.collect.recording_folder import NotWanted
from britekit.collect.recordings_table import FILE_NAME, RecordingRow, read_recordings_table, write_recordings_table
from britekit.collect.sources import load_source
from britekit.collect.sources.verdicts import FOLDER as VERDICTS
from britekit.collect.sources_file import project_of, read_sources
from britekit.collect.test_recordings import TestRecordings
from britekit.collect.web import Gone
from britekit.config.misc import MiscConfig
from britekit.errors import BriteKitError, InputError
from britekit.progress import track

log = logging.getLogger(__name__)

JUDGED = Path(VERDICTS, "verdicts.csv")
"""Path of the verdicts about it, below the directory of training recordings."""


@dataclass(frozen=True)
class Planned:
    """An accepted offer."""

    row: SourceRow
    offer: Offer
    more_classes: tuple[str, ...] = ()
    """Further classes for which other rows offer the same test recording."""

    @property
    def is_test(self) -> bool:
        """Whether it goes to the test recordings."""
        return self.row.split == "test"

    @property
    def place(self) -> Path:
        """Path below the directory of training or test recordings."""
        return Path(self.offer.file_name) if self.is_test else Path(self.offer.class_name, self.offer.file_name)

    def is_there(self, directory: Path) -> bool:
        """Return whether this is a recording from the network that was collected before."""
        return self.offer.late_details is not None and (directory / self.place).is_file()


@dataclass(frozen=True)
class Collected:
    """Result of a collection."""

    new: int
    present: int
    unavailable: int = 0
    """Skipped recordings that are no longer on their sites."""
    annotated: int = 0
    """Number of test recordings with annotations, including earlier ones."""


def plan_collection(
    sources_path: Path,
    classes_path: Path,
    licences: Sequence[str] | None = None,
    misc: MiscConfig | None = None,
    downloads: Downloads | None = None,
    window_s: float = 5.0,
    test_dir: Path = Path("data/test"),
) -> tuple[list[Planned], list[ClassInfo]]:
    """Query every source without downloading audio.

    Parameters
    ----------
    sources_path, classes_path
        ``sources.csv`` and the class list.
    licences
        Accepted licences; None for all. Otherwise recordings with an unknown licence are skipped.
    misc
        `map_codes`, `map_names` and `other_species` apply to annotations from sources.
    downloads
        Session and cache for sources on the network; without it, such sources raise an error.
    window_s
        Length of a spectrogram in seconds: the margin of judged stretches.
    test_dir
        Where test recordings lie that were collected before.

    Returns
    -------
    The recordings in the order of the list, and the classes.

    Raises
    ------
    InputError
        A source fails, names collide, annotations name unknown species, or a class has no training recording.
    """
    classes = read_classes(classes_path)
    misc = misc or MiscConfig()
    species = OtherSpecies(classes, misc.map_names or {}, misc.other_species or ())
    context = Context(classes, project_of(sources_path), species, misc, downloads, window_s)
    rows = read_sources(sources_path, classes)
    offered = {row.row: _ask(row, context, sources_path) for row in rows if row.source != VERDICTS}
    tested = [offer for row in rows if row.split == "test" for offer in offered.get(row.row, [])]
    context = replace(context, test=TestRecordings(tested, test_dir, misc.group_regex))
    offered |= {row.row: _ask(row, context, sources_path) for row in rows if row.source == VERDICTS}
    planned = [Planned(row, offer) for row in rows for offer in offered[row.row]]
    species.check()
    if not any(row.source == VERDICTS for row in rows):
        _mention_verdicts(context.project / "data" / "verdicts.csv", sources_path)
    found = {item.offer.class_name for item in planned if not item.is_test}
    planned = [item for item in planned if is_wanted(item.offer.details.licence, licences)]
    planned = [
        replace(item, offer=named_safely(item.offer, number, item.is_test)) for number, item in enumerate(planned)
    ]
    planned = _without_repeats(planned)
    _check_all_classes(planned, classes, classes_path, found)
    return planned, classes


def _ask(row: SourceRow, context: Context, sources_path: Path) -> list[Offer]:
    try:
        offers: list[Offer] = load_source(row.source).find(row, context)
    except InputError as error:
        raise InputError(f"{sources_path}, row {row.row}: {error}") from error
    return offers


def _mention_verdicts(table: Path, sources_path: Path) -> None:
    """Log how to use verdicts, if there are some that no row uses."""
    count = len(current_verdicts(read_verdicts(table))) if table.exists() else 0
    if count:
        log.info(
            "%s holds %d verdicts that are not trained with; a row *,verdicts,FOLDER,,train in %s brings the judged "
            "stretches of the recordings in FOLDER", table, count, sources_path,
        )  # fmt: skip


def collect(
    planned: Sequence[Planned],
    classes: Sequence[ClassInfo],
    recordings_dir: Path,
    test_annotations: Path,
    jobs: int | None = None,
    stop: Callable[[], None] | None = None,
) -> Collected:
    """Fetch the planned recordings and publish them; keep existing files.

    Parameters
    ----------
    planned, classes
        Result of `plan_collection`.
    recordings_dir
        Directory for a folder per class and ``recordings.csv``.
    test_annotations
        Table of annotations; test recordings go to its folder.
    jobs
        Number of recordings to fetch in parallel; None for the number of CPUs, at most 4.
    stop
        Called on an interruption, to stop running downloads.

    Raises
    ------
    InputError
        An annotation names an unknown class or a different file exists (then nothing is published), or single
        recordings failed (the others are published).
    """
    test_dir = test_annotations.parent
    _check_apart(recordings_dir, test_dir)
    with staging(recordings_dir) as train_stage, staging(test_dir) as test_stage:
        stages = {False: train_stage, True: test_stage}
        places = {False: recordings_dir, True: test_dir}
        there = {id(item) for item in planned if item.is_there(places[item.is_test])}
        annotations, failures, gone = _fetch_all(
            planned, stages, places, there, jobs or min(4, os.cpu_count() or 1), stop
        )
        good = [item for item in planned if id(item) not in failures and id(item) not in gone]
        if not failures:
            _check_still_all_classes(good, classes)
        old = {split: read_recordings_table(places[split] / FILE_NAME) for split in places}
        rows = {
            split: [_row(item, old[split], id(item) in there) for item in good if item.is_test == split]
            for split in (False, True)
        }
        write_recordings_table(train_stage / FILE_NAME, _merged_rows(old[False], rows[False]))
        write_recordings_table(test_stage / FILE_NAME, _merged_rows(old[True], rows[True]))
        labelled = [label for item in good for label in annotations.get(id(item), [])]
        labelled = _labelled_by_code(labelled, classes)
        labelled = _merged_annotations(test_annotations, labelled, rows[True])
        write_annotations(test_stage / test_annotations.name, labelled)
        _write_judged(train_stage, recordings_dir, good)
        check_conflicts(train_stage, recordings_dir, {FILE_NAME, JUDGED.as_posix()})
        check_conflicts(test_stage, test_dir, {FILE_NAME, test_annotations.name})
        counts = [publish(train_stage, recordings_dir, FILE_NAME), publish(test_stage, test_dir, test_annotations.name)]
    if failures:
        reasons = "; ".join(list(failures.values())[:5])
        raise InputError(
            f"{len(failures)} of {len(planned)} recordings could not be collected: {reasons}; the others were "
            "collected; repair or remove what cannot be read, then repeat the command"
        )
    kept = len([item for item in good if id(item) in there])
    annotated = len({item.recording for item in labelled})
    return Collected(sum(new for new, _ in counts), sum(present for _, present in counts) + kept, len(gone), annotated)


def _write_judged(stage: Path, recordings_dir: Path, good: Sequence[Planned]) -> None:
    """Write what was said about judged stretches beside them; a table of an earlier run is replaced."""
    verdicts = [verdict for item in good for verdict in item.offer.verdicts]
    if verdicts or (recordings_dir / JUDGED).exists():
        (stage / JUDGED).parent.mkdir(exist_ok=True)
        write_verdicts(stage / JUDGED, verdicts)


def _fetch_all(
    planned: Sequence[Planned],
    stages: dict[bool, Path],
    places: dict[bool, Path],
    there: Set[int],
    jobs: int,
    stop: Callable[[], None] | None = None,
) -> tuple[dict[int, Sequence[Annotation]], dict[int, str], set[int]]:
    """Fetch missing recordings to the stages.

    Returns
    -------
    Annotations of test recordings, reasons of failures, and recordings no longer available, by identity.
    """
    annotations: dict[int, Sequence[Annotation]] = {}
    failures: dict[int, str] = {}
    gone: set[int] = set()
    with ThreadPoolExecutor(jobs) as pool:
        futures = {
            pool.submit(_fetch, item, (places if id(item) in there else stages)[item.is_test], id(item) in there): item
            for item in planned
        }
        try:
            for future in track(as_completed(futures), len(futures), "collecting"):
                item = futures[future]
                try:
                    annotations[id(item)] = future.result()
                except (Gone, NotWanted) as error:
                    gone.add(id(item))
                    log.warning("%s is left out: %s", item.offer.file_name, error)
                except BriteKitError as error:
                    # Do not name the temporary copy in the stage.
                    reason = str(error).replace(f"{stages[item.is_test] / item.place} ", "")
                    failures[id(item)] = f"{item.offer.origin}: {reason}"
        except BaseException:
            if stop is not None:
                stop()
            pool.shutdown(cancel_futures=True)
            raise
    return annotations, failures, gone


def _fetch(item: Planned, directory: Path, is_there: bool) -> Sequence[Annotation]:
    path = directory / item.place
    if is_there:
        annotations, seconds = None, duration_of(path)
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            annotations = item.offer.fetch(path)
            seconds = duration_of(path)
            if seconds <= 0:
                raise InputError(f"{item.offer.file_name} contains no sound")
        except BriteKitError:
            path.unlink(missing_ok=True)
            raise
    if not item.is_test:
        return []
    if annotations is None:
        names = (item.offer.class_name, *item.more_classes)
        return [Annotation(path.stem, name, 0.0, seconds) for name in names]
    return annotations


def _row(item: Planned, old: Sequence[RecordingRow], is_there: bool) -> RecordingRow:
    """Return the row of a recording; keep the row of an existing one."""
    stem, name = Path(item.offer.file_name).stem, item.offer.class_name
    if is_there:
        for row in old:
            if (row.recording, row.class_name) == (stem, name):
                return row
    late = item.offer.late_details
    return RecordingRow(stem, name, late() if late is not None else item.offer.details)


def _check_still_all_classes(good: Sequence[Planned], classes: Sequence[ClassInfo]) -> None:
    left = {item.offer.class_name for item in good if not item.is_test}
    empty = [info.name for info in classes if info.name not in left]
    if empty:
        raise InputError(
            f'no training recording of class "{empty[0]}" is available any more; add another source for it'
        )


def _without_repeats(planned: Iterable[Planned]) -> list[Planned]:
    """Drop recordings offered twice for one path; different ones of equal stem there fail when they are fetched.

    A test recording offered for several classes is kept once, for all of them.
    """
    kept: dict[Path, Planned] = {}
    clashing: list[Planned] = []
    for item in planned:
        stem = item.place.with_suffix("")
        # file names on macOS and Windows are case-insensitive
        key = stem if item.is_test else Path(item.offer.class_name, stem.name)
        key = Path(str(key).casefold())
        first = kept.setdefault(key, item)
        if first is not item and (first.offer.origin, first.place) != (item.offer.origin, item.place):
            kept[key] = _clash(first, item)
            clashing.append(_clash(item, first))
            continue
        if item.offer.class_name not in (first.offer.class_name, *first.more_classes):
            kept[key] = replace(first, more_classes=(*first.more_classes, item.offer.class_name))
    return [*kept.values(), *clashing]


def _clash(item: Planned, other: Planned) -> Planned:
    reason = (
        f"{other.offer.origin} (row {other.row.row}) has the same name without extension, so that neither can be told "
        "from the other; rename one of them"
    )
    return replace(item, offer=refused(item.offer, reason))


def _check_all_classes(
    planned: Iterable[Planned], classes: Sequence[ClassInfo], classes_path: Path, found: set[str]
) -> None:
    with_recordings = {item.offer.class_name for item in planned if not item.is_test}
    for info in classes:
        if info.name not in with_recordings:
            why = " with an accepted licence" if info.name in found else ""
            raise InputError(
                f'class "{info.name}" of {classes_path} has no training recording{why}; add a source '
                "with split train, or remove the class"
            )


def _check_apart(recordings_dir: Path, test_dir: Path) -> None:
    first, second = recordings_dir.resolve(), test_dir.resolve()
    if first == second or first in second.parents or second in first.parents:
        raise InputError(
            f"test recordings would go to {test_dir} and training recordings to {recordings_dir}, "
            "one inside the other; change pipeline.test_annotations"
        )


def _labelled_by_code(annotations: Iterable[Annotation], classes: Sequence[ClassInfo]) -> list[Annotation]:
    """Return annotations with class codes instead of names, like inference by default."""
    labelled = []
    for item in annotations:
        where = f'annotation of "{item.recording}": '
        label = find_class(item.label, classes, where).label("codes") if item.label else ""
        labelled.append(replace(item, label=label))
    return sorted(labelled, key=lambda item: (item.recording, item.start, item.end, item.label))


def _merged_rows(old: Sequence[RecordingRow], rows: Sequence[RecordingRow]) -> list[RecordingRow]:
    """Return the rows of this run, and existing rows of other recordings."""
    mine = {(row.recording, row.class_name) for row in rows}
    return [*rows, *(row for row in old if (row.recording, row.class_name) not in mine)]


def _merged_annotations(
    path: Path, annotations: Sequence[Annotation], rows: Sequence[RecordingRow]
) -> list[Annotation]:
    """Return the annotations of this run, and existing ones of other recordings."""
    if not path.exists():
        return list(annotations)
    by_recording = defaultdict(list)
    for item in read_annotations(path):
        by_recording[item.recording].append(item)
    others = by_recording.keys() - {row.recording for row in rows}
    return [*annotations, *(item for recording in sorted(others) for item in by_recording[recording])]
