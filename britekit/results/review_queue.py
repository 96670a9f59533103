"""A review from what a person types: the queue drawn from labels, or read from a table."""

from __future__ import annotations

import getpass
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import yaml

from britekit.annotations.classes import read_classes
from britekit.annotations.label_table import read_label_table
from britekit.annotations.tables import iter_rows, parse_number
from britekit.annotations.verdicts import combine, current_verdicts, read_verdicts
from britekit.errors import InputError
from britekit.results.candidates import Candidates, read_candidates
from britekit.results.cutting import choose_clips
from britekit.results.judged import match_verdicts
from britekit.results.queues import find_queue
from britekit.results.recordings import Recordings
from britekit.results.review import Item, Review, items_of

CSV_COLUMNS = ("recording", "start", "end", "name", "score")
_CLASSES = Path("data/classes.csv")


def build_review(
    recordings: str | os.PathLike[str],
    labels: str | os.PathLike[str] | None,
    queue: str = "strata",
    num: int | None = 60,
    names: Sequence[str] = (),
    min_score: float = 0.0,
    seed: int = 0,
    verdicts: str | os.PathLike[str] = "data/verdicts.csv",
    reviewer: str | None = None,
    blind: bool = False,
    archive: str | os.PathLike[str] | None = None,
    every: int = 10,
) -> tuple[Review, Recordings]:
    """Return a review and where its recordings are.

    Raises `InputError` if something cannot be read, or there is nothing to hear.

    Parameters
    ----------
    queue
        A way of `britekit.results.queues`, or a CSV file with recording, start, end, name and score.
    reviewer
        Default: the user's name.
    archive
        Folder with embeddings of the recordings, for the queues `different` and `learn`.
    every
        For the queue `learn`: verdicts after which the classifier is fitted again.
    """
    there = Recordings(recordings)
    until_confirmed = False
    model = ""
    reviewer = " ".join((reviewer or _user()).split())
    if not queue.endswith(".csv") and hasattr(find_queue(queue), "LEARNS"):
        return _learning(there, labels, names, min_score, seed, verdicts, reviewer, blind, archive, every), there
    if queue.endswith(".csv"):
        items = read_queue(Path(queue), there)
        label = Path(queue).name
    else:
        way = find_queue(queue)
        if labels is None:
            raise InputError(f"the queue {queue} needs detections; name their folder with -l")
        table = read_label_table(Path(labels), channels=True)
        candidates = read_candidates(table, there.place, names, min_score, getattr(way, "MERGE", True))
        if getattr(way, "NEEDS_ARCHIVE", False):
            candidates = _with_archive(candidates, archive, Path(verdicts))
        items = items_of(candidates, choose_clips(candidates, queue, num, seed))
        until_confirmed = getattr(way, "UNTIL_CONFIRMED", False)
        model = model_of(Path(labels))
        label = queue
    return Review(items, verdicts, reviewer, label, model, _class_names(), blind, until_confirmed), there


def _learning(
    recordings: Recordings,
    labels: str | os.PathLike[str] | None,
    names: Sequence[str],
    min_score: float,
    seed: int,
    verdicts: str | os.PathLike[str],
    reviewer: str,
    blind: bool,
    archive: str | os.PathLike[str] | None,
    every: int,
) -> Review:
    """Return a review of detections, or of all windows of an archive, that a classifier learns most from."""
    from britekit.archive.store import Archive
    from britekit.results.learning import Pool, windows_of_archive
    from britekit.results.learning_review import LearningReview

    if archive is None:
        raise InputError(
            "the queue learn fits a classifier on embeddings, and there are none: make them with `britekit embed -i "
            "RECORDINGS --archive DIR`, and name the folder with --archive"
        )
    stored = Archive(archive)
    if labels is not None:
        table = read_label_table(Path(labels))
        # Single windows, as in `uncertain`: a long detection says nothing about most of its windows.
        candidates = read_candidates(table, recordings.place, names, min_score, merge=False)
        known = candidates.names
    else:
        candidates = windows_of_archive(stored, recordings)
        known = list(names) or _class_names()
        if not known:
            raise InputError(
                f"the queue learn asks about windows of {archive}, and which classes there may be is not known: name "
                f"them with --name or in {_CLASSES}, or name detections with -l"
            )
    pool = Pool(candidates, stored, sorted({*known, *_class_names()}) if labels else known, labels is None, seed)
    model = "" if labels is None else model_of(Path(labels))
    return LearningReview(pool, every, verdicts, reviewer, model, _class_names(), blind)


def _with_archive(candidates: Candidates, archive: str | os.PathLike[str] | None, verdicts: Path) -> Candidates:
    """Return candidates with what was heard of them so far, and where their embeddings are."""
    judged = combine(current_verdicts(read_verdicts(verdicts))) if verdicts.exists() and verdicts.stat().st_size else []
    heard = np.zeros(len(candidates), bool)
    heard[sorted(match_verdicts(judged, candidates).rows)] = True
    return replace(candidates, heard_M=heard, archive=None if archive is None else Path(archive))


def read_queue(path: Path, archive: Recordings) -> list[Item]:
    """Read a table of detections, heard in its order.

    Raises `InputError` if it cannot be read, or a row cannot be understood; names the row.
    """
    items: list[Item] = []
    for row, cells in iter_rows(path, CSV_COLUMNS[:4], ("score", "stratum", "share", "channel")):
        try:
            start, end = parse_number(cells["start"]), parse_number(cells["end"])
            score = parse_number(cells["score"] or "0")
            share = parse_number(cells["share"]) if cells["share"] else None
        except ValueError as error:
            raise InputError(f'{path}, row {row}: "{error}" is not a number') from None
        if not cells["recording"] or not cells["name"] or not 0 <= start < end:
            raise InputError(f"{path}, row {row}: expected a recording, a name and 0 <= start < end")
        place = archive.place(cells["recording"])
        items.append(
            Item(
                len(items), cells["recording"], start, end, cells["name"], score, cells["stratum"], share,
                place.site, "" if place.start is None else place.start.isoformat(timespec="seconds"), cells["channel"],
            )
        )  # fmt: skip
    if not items:
        raise InputError(f"{path} lists no detection, so there is nothing to hear")
    return items


def model_of(labels: Path) -> str:
    """Return what made labels: the identifiers in their manifest, or an empty text."""
    try:
        content = yaml.safe_load((labels / "manifest.yaml").read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return ""  # labels of another program
    models = [content[key] for key in content if str(key).startswith("model ")] if isinstance(content, dict) else []
    return " ".join(str(model.get("identifier") or model.get("file")) for model in models if isinstance(model, dict))


def _class_names() -> list[str]:
    return [info.name for info in read_classes(_CLASSES)] if _CLASSES.exists() else []


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container without an entry for its user
        return "reviewer"
