"""When and where classes are heard: activity per hour, presence per day, detection histories (``rpt-activity``).

The recorded time is the time that was analyzed; hours without a recording are not silence. Detections that a verdict
rejects are not used, and confirmed detections are distinguished from unverified ones.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from britekit.annotations.deployments import DEFAULT_PATH
from britekit.annotations.label_table import LabelTable, read_label_table
from britekit.annotations.verdict_matching import detections_about
from britekit.annotations.verdicts import Judged, combine, current_verdicts, read_verdicts
from britekit.audio.files import name_key
from britekit.errors import counted, some
from britekit.files import atomic_path, csv_text, together, write_csv
from britekit.results.class_thresholds import ClassThreshold, thresholds_of, write_thresholds
from britekit.results.clips import safe_name
from britekit.results.effort import DetectionTimes, Effort, RecordingTimes, compute_effort, detection_times
from britekit.results.histories import Occasions, effort_table, history, occasions_of, write_effort, write_history
from britekit.results.listened import Listened, read_listened
from britekit.results.page import Section, picture_of, write_page
from britekit.results.sun import sun_times

ACTIVITY_COLUMNS = ("name", "site", "date", "hour", "detections", "hours", "per_hour")
PRESENCE_COLUMNS = ("name", "site", "date", "detections", "confirmed", "first", "last", "status")
_EPOCH = date(1970, 1, 1)


@dataclass
class ActivityReport:
    """Result of `report_activity`."""

    effort: Effort
    occasions: Occasions
    detections: dict[str, int] = field(default_factory=dict)
    """Class to the number of detections that count."""
    thresholds: dict[str, ClassThreshold] = field(default_factory=dict)
    """Class to its threshold, where a precision is wanted."""
    notes: list[str] = field(default_factory=list)
    """Sentences about what was not used."""


@dataclass(frozen=True)
class _Class:
    """One class: where and when it was detected, and which of its detections are confirmed."""

    name: str
    times: DetectionTimes
    confirmed_D: NDArray[np.bool_]


def report_activity(
    labels: str | os.PathLike[str],
    output: str | os.PathLike[str],
    recordings: str | os.PathLike[str] | None = None,
    deployments: str | Path = DEFAULT_PATH,
    verdicts: str | os.PathLike[str] | None = None,
    occasion: str = "day",
    min_score: float = 0.0,
    precision: float | None = None,
) -> ActivityReport:
    """Write tables, pictures and a page about when and where classes were detected.

    Raises `InputError` if something cannot be read or written, or no recording has a known time.

    Parameters
    ----------
    labels
        Output of analyze, with ``analyzed.csv``.
    recordings
        Their folder, to look at them instead of what ``analyzed.csv`` says of their files; see `read_listened`.
    occasion
        ``day``, ``week`` or a number of days: the columns of the detection histories.
    min_score
        Detections of at least this count.
    precision
        Precision that is wanted of each class: its threshold is that of its verdicts, else of the calibration (see
        `thresholds_of`). Confirmed detections below count too.
    """
    labels, output = Path(labels), Path(output)
    heard = read_listened(labels, deployments, recordings)
    notes = heard.notes
    effort = compute_effort(heard.times)
    occasions = occasions_of(effort, occasion)
    hours_SO = effort_table(effort, occasions)
    table = read_label_table(labels)
    if table.merged:
        notes.append(
            f"{counted(table.merged, 'detection')} are of calls that another channel heard better; they count once"
        )
    judged = [] if verdicts is None else combine(current_verdicts(read_verdicts(verdicts)))
    thresholds = {} if precision is None else thresholds_of(table, labels, judged, precision, min_score, notes)
    report = ActivityReport(effort, occasions, thresholds=thresholds, notes=notes)
    presence: list[tuple[str, ...]] = []
    sections = []
    days = [_EPOCH + timedelta(int(day)) for day in _days(effort)]
    suns = [sun_times(heard.sites.get(site), days) for site in effort.sites]
    with together():
        with _ActivityTable(output / "activity.csv", effort) as activity:
            for each in _classes(table, heard, judged, min_score, thresholds, notes):
                report.detections[each.name] = len(each.times.row_D)
                activity.add(each)
                presence += _presence_rows(each, heard.times)
                code = safe_name(each.name)
                write_history(
                    output / f"history-{code}.csv", effort.sites, occasions, history(hours_SO, each.times, occasions)
                )
                picture = output / f"activity-{code}.png"
                _draw(picture, each, effort, suns)
                sections.append(_section(each, effort, picture, thresholds.get(each.name)))
        write_csv(output / "presence.csv", [PRESENCE_COLUMNS, *presence])
        write_effort(output / "effort.csv", effort.sites, occasions, hours_SO)
        if precision is not None:
            write_thresholds(output / "thresholds.csv", thresholds)
        facts = [
            f"{counted(len(heard.times), 'recording')}, {effort.hours_K.sum():.1f} hours, "
            f"{counted(len(effort.sites), 'site')}",
            *notes,
        ]
        write_page(output / "activity.html", "Activity", facts, sections)
    return report


def _classes(
    table: LabelTable,
    heard: Listened,
    judged: list[Judged],
    min_score: float,
    thresholds: Mapping[str, ClassThreshold],
    notes: list[str],
) -> Iterator[_Class]:
    """Yield each class that has detections in recordings of known time."""
    places = heard.places
    place_of = np.fromiter((places.get(name, -1) for name in table.recordings), np.int64, len(table.recordings))
    here = place_of[table.recording_M] >= 0 if len(table) else np.zeros(0, bool)
    if not here.all():
        notes.append(f"{counted(int((~here).sum()), 'detection')} not used, because the recording was not used")
    order = np.flatnonzero(here)
    order = order[np.argsort(table.name_M[order], kind="stable")]
    bounds = np.searchsorted(table.name_M[order], np.arange(len(table.names) + 1))
    confirmed_M, wrong_M, unmatched = _said(judged, table)
    rejected, unheard = 0, []
    for number in sorted(range(len(table.names)), key=table.names.__getitem__):
        name = table.names[number]
        rows = order[bounds[number] : bounds[number + 1]]
        confirmed, wrong = confirmed_M[rows], wrong_M[rows]
        threshold = thresholds[name].threshold if name in thresholds else min_score
        counts = confirmed | (table.score_M[rows] >= threshold - 1e-9)
        rejected += int((wrong & counts).sum())
        counts &= ~wrong
        rows, confirmed = rows[counts], confirmed[counts]
        if not len(rows):
            unheard.append(name)
            continue
        found = detection_times(
            heard.times,
            place_of[table.recording_M[rows]],
            np.zeros(len(rows), np.int64),
            table.start_M[rows].astype(float),
            table.end_M[rows].astype(float),
        )
        yield _Class(name, found, confirmed[found.row_D])
    if unheard:
        notes.append(f"{len(unheard)} classes have no detection that counts, so they are not shown: {some(unheard, 5)}")
    if unmatched:
        notes.append(
            f"{counted(len(unmatched), 'verdict')} not used, because no detection of the class is there: "
            f"{some(unmatched, 3)}"
        )
    if rejected:
        notes.append(f"{counted(rejected, 'detection')} not used, because a reviewer rejected them")


def _said(judged: list[Judged], table: LabelTable) -> tuple[NDArray[np.bool_], NDArray[np.bool_], list[str]]:
    """Return which detections a verdict confirms, which one rejects and none confirms, and the verdicts on none."""
    confirmed, wrong = np.zeros(len(table), bool), np.zeros(len(table), bool)
    unmatched = []
    for item, rows in detections_about(judged, table):
        if not rows:
            verdict = item.verdict
            unmatched.append(f"{name_key(verdict.recording)} {verdict.detection_start:g} s ({verdict.name})")
        elif item.answer != "unsure":
            (confirmed if item.answer == "yes" else wrong)[rows] = True
    return confirmed, wrong & ~confirmed, unmatched


class _ActivityTable:
    """``activity.csv``: a row for every class and hour in which a site was listened to, also without a detection."""

    def __init__(self, path: Path, effort: Effort) -> None:
        import pyarrow

        self._path, self._effort = path, effort
        order = np.lexsort((effort.hour_K, effort.day_K, effort.site_K))
        site, day, hour = (values[order] for values in (effort.site_K, effort.day_K, effort.hour_K))
        self._key_K, self._hours_K = _cell_key(site, day, hour), effort.hours_K[order]
        days, place = np.unique(day, return_inverse=True)
        self._columns = [
            pyarrow.DictionaryArray.from_arrays(site.astype(np.int32), pyarrow.array(effort.sites, pyarrow.string())),
            pyarrow.DictionaryArray.from_arrays(place.astype(np.int32), [_day(each) for each in days]),
            pyarrow.array(hour),
        ]

    def __enter__(self) -> _ActivityTable:
        self._whole = ExitStack()
        partial = self._whole.enter_context(atomic_path(self._path))
        self._out = self._whole.enter_context(open(partial, "wb"))
        self._out.write(csv_text([ACTIVITY_COLUMNS]).encode())
        return self

    def __exit__(self, *error: Any) -> None:
        self._whole.__exit__(*error)

    def add(self, each: _Class) -> None:
        """Write the rows of a class."""
        import pyarrow
        from pyarrow import csv

        times = each.times
        place = np.searchsorted(self._key_K, _cell_key(times.site_D, times.day_D, times.hour_D))
        counts = np.bincount(place, minlength=len(self._key_K))
        columns = [
            pyarrow.DictionaryArray.from_arrays(np.zeros(len(counts), np.int32), [each.name]),
            *self._columns,
            pyarrow.array(counts),
            pyarrow.array(np.round(self._hours_K, 6)),
            pyarrow.array(np.round(counts / self._hours_K, 3)),
        ]
        table = pyarrow.Table.from_arrays(columns, ACTIVITY_COLUMNS)
        csv.write_csv(table, self._out, csv.WriteOptions(include_header=False, quoting_style="needed"))


def _cell_key(site: NDArray[np.int64], day: NDArray[np.int64], hour: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return one number per site, date and hour, in their order."""
    return (site << 40) + ((day + (1 << 20)) << 8) + hour


def _presence_rows(each: _Class, times: RecordingTimes) -> Iterator[tuple[str, ...]]:
    """Yield a row per site and day on which the class was detected."""
    key = _cell_key(each.times.site_D, each.times.day_D, np.zeros_like(each.times.day_D))
    order = np.argsort(key, kind="stable")
    begin = np.flatnonzero(np.diff(key[order], prepend=-1))
    first, last = (work.reduceat(each.times.time_D[order], begin) for work in (np.minimum, np.maximum))
    confirmed = np.add.reduceat(each.confirmed_D[order].astype(np.int64), begin)
    count = np.diff(begin, append=len(order))
    # The last zone of a site's recordings, for its days.
    zones = {
        int(site): times.zones[int(zone)] for site, zone in np.unique(np.stack([times.site_R, times.zone_R], 1), axis=0)
    }
    for place, row in enumerate(order[begin]):
        site = int(each.times.site_D[row])
        moments = (datetime.fromtimestamp(float(at[place]), UTC).astimezone(zones[site]) for at in (first, last))
        yield (
            each.name, times.sites[site], _day(each.times.day_D[row]), str(count[place]), str(confirmed[place]),
            *(moment.isoformat(timespec="seconds") for moment in moments),
            "confirmed" if confirmed[place] else "unverified",
        )  # fmt: skip


def _day(day: int) -> str:
    return (_EPOCH + timedelta(days=int(day))).isoformat()


def _days(effort: Effort) -> NDArray[np.int64]:
    return np.arange(effort.day_K.min(), effort.day_K.max() + 1)


def _draw(path: Path, each: _Class, effort: Effort, suns: list[Any]) -> None:
    from britekit.plots.activity import plot_activity

    days = _days(effort)
    panels = []
    for site, (name, sun) in enumerate(zip(effort.sites, suns, strict=True)):
        hours = np.zeros((24, len(days)))
        own = effort.site_K == site
        np.add.at(hours, (effort.hour_K[own], effort.day_K[own] - days[0]), effort.hours_K[own])
        counts = np.zeros_like(hours)
        own = each.times.site_D == site
        np.add.at(counts, (each.times.hour_D[own], each.times.day_D[own] - days[0]), 1)
        rate = np.divide(counts, hours, out=np.full_like(hours, np.nan), where=hours > 0)
        panels.append((name or "no site", rate, sun))
    plot_activity(path, each.name, [_day(day) for day in days], panels)


def _section(each: _Class, effort: Effort, picture: Path, threshold: ClassThreshold | None) -> Section:
    confirmed = int(each.confirmed_D.sum())
    sites = sorted(effort.sites[site] or "no site" for site in np.unique(each.times.site_D))
    return Section(
        each.name,
        f"{len(each.times.row_D)} detections, {confirmed} of them confirmed, at {some(sites, 10)}. "
        f"{threshold.sentence() + ' ' if threshold else ''}Gray: not recorded. Lines: sunrise and sunset.",
        picture_of(picture),
    )
