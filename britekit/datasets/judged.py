"""Recordings of which people judged single stretches: windows there, and what is known of each."""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from pathlib import Path

from britekit.annotations.judged_stretches import of_known_classes, stretches_of
from britekit.annotations.names import RecordingNames, recording_key
from britekit.annotations.reconciling import Reconciler
from britekit.annotations.verdicts import Judged, combine, current_verdicts, read_verdicts
from britekit.audio.decoding import duration_of
from britekit.audio.files import Failures, is_recording, same_named, without_same_named
from britekit.config.misc import MiscConfig
from britekit.datasets.plans import Plan
from britekit.datasets.recordings_csv import RecordingTable, describe_recording
from britekit.errors import some

log = logging.getLogger(__name__)

VERDICTS_NAME = "verdicts.csv"


def judged_plans(
    folder: Path, reconciler: Reconciler, table: RecordingTable, misc: MiscConfig, failures: Failures
) -> list[Plan]:
    """Return the recordings of a folder that its ``verdicts.csv`` is about; each lacks its windows.

    Warns of verdicts without a recording or of unknown classes, and of recordings without a verdict.
    """
    paths = sorted((path for path in folder.iterdir() if is_recording(path)), key=lambda path: path.name)
    unclear = {recording_key(path) for path in same_named(paths)}
    paths = without_same_named(paths, failures)
    by_stem = {path.stem: path for path in paths}
    names, names_of_unclear = RecordingNames(by_stem), RecordingNames(unclear)
    found: dict[Path, list[Judged]] = defaultdict(list)
    absent: Counter[str] = Counter()
    rows = combine(current_verdicts(read_verdicts(folder / VERDICTS_NAME)))
    for item in of_known_classes(rows, reconciler, folder / VERDICTS_NAME):
        stem = names.find(item.verdict.recording)
        if stem is None and names_of_unclear.find(item.verdict.recording) is not None:
            continue  # its recordings fail, which is reported with both names
        if stem is None:
            absent[item.verdict.recording] += 1
        else:
            found[by_stem[stem]].append(item)
    if absent:
        log.warning(
            "%s: %d verdicts are left out, since their recordings are not beside it: %s",
            folder / VERDICTS_NAME, absent.total(), some(sorted(absent), 5),
        )  # fmt: skip
    without = [path.name for path in paths if path not in found]
    if without:
        log.warning("%s: %d recordings have no verdict and are left out: %s", folder, len(without), some(without, 5))
    plans = []
    for path in sorted(found, key=lambda path: path.name):
        row = describe_recording(path.name, table.find(folder.name, path.name), misc)
        plans.append(Plan(path, row.source, row.facts, [], judged=stretches_of(found[path]), seconds=duration_of(path)))
    return plans
