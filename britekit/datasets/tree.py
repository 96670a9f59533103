"""The tree ``<class>/<recording>`` that the stage `extract` reads, checked against the class list.

A recording holds the class of its folder over its whole length unless it is annotated: then its
segments have the classes that are heard in them. Annotated recordings may also lie in other folders, or in
none. Of the recordings of a folder with ``verdicts.csv`` the judged stretches are taken, and what was said of them.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from pathlib import Path

from britekit.annotations.classes import ClassInfo
from britekit.annotations.reconciling import Reconciler
from britekit.audio.files import Failures, composed, is_recording, without_same_named
from britekit.collect.recordings_table import FILE_NAME
from britekit.config.misc import MiscConfig
from britekit.database.recordings import Facts
from britekit.datasets.annotated import FolderAnnotations
from britekit.datasets.judged import VERDICTS_NAME, judged_plans
from britekit.datasets.plans import Plan
from britekit.datasets.recordings_csv import RecordingTable, describe_recording
from britekit.errors import InputError, some, suggest
from britekit.files import sha256_of
from britekit.formats import holds_annotations

log = logging.getLogger(__name__)


def read_tree(root: Path, classes: Sequence[ClassInfo], misc: MiscConfig, failures: Failures) -> list[Plan]:
    """List the recordings of a tree, in the order of the classes and then of their names.

    A file that lies in the folders of two classes is one recording of both. After the classes come the
    annotated recordings of other folders, and of the tree's own folder. Recordings that a name cannot tell apart are
    noted as failed: two of one stem in a folder, and two different ones of one file name and source.

    Raises
    ------
    InputError
        No such folder; a folder that is not a class and contains no annotations; annotations that cannot be used.
    """
    if not root.is_dir():
        raise InputError(f"{root} is not a directory; expected one folder of recordings per class in it")
    reconciler = Reconciler(classes)
    table = RecordingTable(root / FILE_NAME)
    planned: dict[tuple[str, str], Plan] = {}
    there = {composed(entry.name): entry for entry in sorted(root.iterdir())}
    judged = [folder for folder in there.values() if (folder / VERDICTS_NAME).is_file()]
    folders = [(there.get(composed(info.name), root / info.name), info.name) for info in classes]
    folders += [(folder, "") for folder in _other_folders(root, [info.name for info in classes], judged)]
    for folder, class_name in folders:
        paths = _recordings_in(folder)
        annotated = FolderAnnotations(folder, paths, reconciler, misc, class_name) if paths else None
        left_out = []
        for path in without_same_named(paths, failures):
            annotations = annotated.of(path) if annotated is not None else None
            if annotations is None and (not class_name or (annotated is not None and annotated.lists_all)):
                left_out.append(path.name)
                continue
            row = describe_recording(path.name, table.find(class_name, path.name), misc)
            whole = [class_name] if annotations is None else []
            _plan(planned, Plan(path, row.source, row.facts, whole, annotations or []))
        if left_out:
            log.warning(
                "%s: %d recordings %s and are left out (%s)", folder, len(left_out),
                "have no annotation" if class_name or folder != root else "lie outside any class's folder",
                left_out[0],
            )  # fmt: skip
    for folder in judged:
        for plan in judged_plans(folder, reconciler, table, misc, failures):
            _plan(planned, plan)
    table.report_unused()
    return _without_different(planned.values(), failures)


def _plan(planned: dict[tuple[str, str], Plan], new: Plan) -> None:
    """Add a recording, or what this folder says to the recording that another one holds."""
    other = planned.setdefault((new.source, composed(new.filename)), new)
    if other is new:
        return
    other.also.append(new.path)
    other.class_names += new.class_names
    other.annotations += new.annotations
    other.judged += new.judged
    other.seconds = other.seconds or new.seconds
    if other.facts == Facts(group_name=other.facts.group_name):
        other.facts = new.facts


def _other_folders(root: Path, names: list[str], judged: Sequence[Path]) -> list[Path]:
    """Return the folders without a class but with annotations, the tree's own last; not those with verdicts."""
    found = []
    problems = []
    of_classes = set(map(composed, names))
    for entry in sorted(root.iterdir()):
        if entry.name.startswith(".") or not entry.is_dir() or composed(entry.name) in of_classes:
            continue
        if entry in judged:
            continue
        if holds_annotations(entry):
            found.append(entry)
        else:
            problems.append(f"folder {entry} is not a class of the class list{suggest(entry.name, names)}")
    if problems:
        raise InputError(some(problems, 5, "; "))
    return [*found, root]


def _recordings_in(folder: Path) -> list[Path]:
    """Return the recordings directly in a class's folder; none if there is no such folder.

    A link to nothing is one too, since reading it says that it is missing.
    """
    if not folder.is_dir():
        return []
    return sorted(filter(is_recording, folder.iterdir()), key=lambda path: path.name)


def _without_different(plans: Iterable[Plan], failures: Failures) -> list[Plan]:
    """Return the plans without those of several files that differ, which are noted as failed."""
    kept = []
    for plan in plans:
        other = next((path for path in plan.also if _differ(plan.path, path)), None)
        if other is None:
            kept.append(plan)
            continue
        for path in (plan.path, *plan.also):
            reason = (
                f"{other if path == plan.path else plan.path} is another recording of that name; one is known by its "
                "source and file name, so rename one or give them different sources in recordings.csv"
            )
            failures.fail(path, InputError(reason))
    return kept


def _differ(first: Path, second: Path) -> bool:
    if not (first.exists() and second.exists()):
        return False
    return first.stat().st_size != second.stat().st_size or sha256_of(first) != sha256_of(second)
