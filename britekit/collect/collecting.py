"""Fetch the recordings of a plan and publish them."""

import itertools
import logging
import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence, Set
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from britekit.annotations.classes import ClassInfo, find_class
from britekit.annotations.segments import Annotation, read_annotations, write_annotations
from britekit.annotations.verdicts import write_verdicts
from britekit.audio.decoding import duration_of
from britekit.collect.atomic_folder import check_conflicts, publish, staging
from britekit.collect.planning import Planned
from britekit.collect.recording_folder import NotWanted
from britekit.collect.recordings_table import FILE_NAME, RecordingRow, read_recordings_table, write_recordings_table
from britekit.collect.sources.verdicts import FOLDER as VERDICTS
from britekit.collect.web import Gone
from britekit.errors import BriteKitError, InputError
from britekit.progress import track

log = logging.getLogger(__name__)

JUDGED = Path(VERDICTS, "verdicts.csv")
"""Path of the verdicts about it, below the directory of training recordings."""


@dataclass(frozen=True)
class Collected:
    """Result of a collection."""

    new: int
    present: int
    unavailable: int = 0
    """Skipped recordings that are no longer on their sites."""
    annotated: int = 0
    """Number of test recordings with annotations, including earlier ones."""


def collect(
    planned: Sequence[Planned],
    classes: Sequence[ClassInfo],
    recordings_dir: Path,
    test_annotations: Path,
    jobs: int | None = None,
    stop: Callable[[], None] | None = None,
    unlabelled_dir: Path | None = None,
) -> Collected:
    """Fetch the planned recordings and publish them; keep existing files.

    Raises `InputError` if an annotation names an unknown class or a different file exists (then nothing is published),
    or single recordings failed (the others are published).

    Parameters
    ----------
    recordings_dir
        Directory for a folder per class and ``recordings.csv``.
    test_annotations
        Table of annotations; test recordings go to its folder.
    jobs
        Number of recordings to fetch in parallel; None for the number of CPUs, at most 4.
    stop
        Called on an interruption, to stop running downloads.
    unlabelled_dir
        Directory for recordings without labels, with ``recordings.csv``, which is always written; None if the list has
        none.
    """
    test_dir = test_annotations.parent
    places = {"train": recordings_dir, "test": test_dir}
    if unlabelled_dir is not None:
        places["unlabelled"] = unlabelled_dir
    _check_apart(places)
    last = {"train": FILE_NAME, "test": test_annotations.name, "unlabelled": FILE_NAME}
    with ExitStack() as stack:
        stages = {split: stack.enter_context(staging(place)) for split, place in places.items()}
        there = {id(item) for item in planned if item.is_there(places[item.split])}
        annotations, failures, gone = _fetch_all(
            planned, stages, places, there, jobs or min(4, os.cpu_count() or 1), stop
        )
        good = [item for item in planned if id(item) not in failures and id(item) not in gone]
        if not failures:
            _check_still_all_classes(good, classes)
        old = {split: read_recordings_table(place / FILE_NAME) for split, place in places.items()}
        rows = {
            split: [_row(item, old[split], id(item) in there) for item in good if item.split == split]
            for split in places
        }
        for split, stage in stages.items():
            write_recordings_table(stage / FILE_NAME, _merged_rows(old[split], rows[split]))
        labeled = [label for item in good for label in annotations.get(id(item), [])]
        labeled = _labeled_by_code(labeled, classes)
        labeled = _merged_annotations(test_annotations, labeled, rows["test"])
        write_annotations(stages["test"] / test_annotations.name, labeled)
        _write_judged(stages["train"], recordings_dir, good)
        replaced = {"train": JUDGED.as_posix(), "test": test_annotations.name, "unlabelled": FILE_NAME}
        for split, stage in stages.items():
            check_conflicts(stage, places[split], {FILE_NAME, replaced[split]})
        counts = [publish(stage, places[split], last[split]) for split, stage in stages.items()]
    if failures:
        reasons = "; ".join(list(failures.values())[:5])
        raise InputError(
            f"{len(failures)} of {len(planned)} recordings could not be collected: {reasons}; the others were "
            "collected; repair or remove what cannot be read, then repeat the command"
        )
    kept = len([item for item in good if id(item) in there])
    annotated = len({item.recording for item in labeled})
    return Collected(sum(new for new, _ in counts), sum(present for _, present in counts) + kept, len(gone), annotated)


def _write_judged(stage: Path, recordings_dir: Path, good: Sequence[Planned]) -> None:
    """Write what was said about judged stretches beside them; a table of an earlier run is replaced."""
    verdicts = [verdict for item in good for verdict in item.offer.verdicts]
    if verdicts or (recordings_dir / JUDGED).exists():
        (stage / JUDGED).parent.mkdir(exist_ok=True)
        write_verdicts(stage / JUDGED, verdicts)


def _fetch_all(
    planned: Sequence[Planned],
    stages: dict[str, Path],
    places: dict[str, Path],
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
            pool.submit(_fetch, item, (places if id(item) in there else stages)[item.split], id(item) in there): item
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
                    reason = str(error).replace(f"{stages[item.split] / item.place} ", "")
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
    left = {item.offer.class_name for item in good if item.split == "train"}
    empty = [info.name for info in classes if info.name not in left]
    if empty:
        raise InputError(
            f'no training recording of class "{empty[0]}" is available any more; add another source for it'
        )


def _check_apart(places: dict[str, Path]) -> None:
    resolved = {split: place.resolve() for split, place in places.items()}
    for first, second in itertools.combinations(places, 2):
        one, other = resolved[first], resolved[second]
        if one == other or one in other.parents or other in one.parents:
            kinds = {"train": "training recordings", "test": "test recordings", "unlabelled": "unlabeled recordings"}
            raise InputError(
                f"{kinds[second]} would go to {places[second]} and {kinds[first]} to {places[first]}, "
                "one inside the other; change pipeline.test_annotations"
            )


def _labeled_by_code(annotations: Iterable[Annotation], classes: Sequence[ClassInfo]) -> list[Annotation]:
    """Return annotations with class codes instead of names, like inference by default."""
    labeled = []
    for item in annotations:
        where = f'annotation of "{item.recording}": '
        label = find_class(item.label, classes, where).label("codes") if item.label else ""
        labeled.append(replace(item, label=label))
    return sorted(labeled, key=lambda item: (item.recording, item.start, item.end, item.label))


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
