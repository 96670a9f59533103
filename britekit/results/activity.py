"""When and where classes are heard: activity per hour, presence per day, detection histories (``rpt-activity``).

What was analyzed counts as listened to; hours without a recording are no silence. Detections that a verdict rejects
are left out, and confirmed ones are told from those that nobody heard.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from britekit.annotations.deployments import DEFAULT_PATH
from britekit.annotations.label_table import LabelTable, read_label_table
from britekit.annotations.tables import iter_rows, parse_number
from britekit.annotations.verdicts import Judged, combine, current_verdicts, read_verdicts
from britekit.audio.files import composed
from britekit.errors import InputError, some
from britekit.files import together, write_csv
from britekit.results.clips import safe_name
from britekit.results.effort import (
    DetectionTimes,
    Effort,
    RecordingTimes,
    compute_effort,
    detection_times,
    recording_times,
)
from britekit.results.histories import Occasions, effort_table, history, occasions_of, write_effort, write_history
from britekit.results.page import Section, picture_of, write_page
from britekit.results.recordings import Recordings, unknown_place
from britekit.results.sun import sun_times

ANALYZED = "analyzed.csv"
ACTIVITY_COLUMNS = ("name", "site", "date", "hour", "detections", "hours", "per_hour")
PRESENCE_COLUMNS = ("name", "site", "date", "detections", "confirmed", "first", "last", "status")
_EPOCH = date(1970, 1, 1)
_EQUAL_S = 0.011


@dataclass
class ActivityReport:
    """What `report_activity` found."""

    effort: Effort
    occasions: Occasions
    detections: dict[str, int] = field(default_factory=dict)
    """Class to the number of detections that count."""
    notes: list[str] = field(default_factory=list)
    """Sentences about what was not used."""


@dataclass(frozen=True)
class _Class:
    """One class: where and when it was detected, and which of its detections are confirmed."""

    name: str
    times: DetectionTimes
    confirmed_D: NDArray[np.bool_]


def report_activity(
    recordings: str | os.PathLike[str],
    labels: str | os.PathLike[str],
    output: str | os.PathLike[str],
    deployments: str | Path = DEFAULT_PATH,
    verdicts: str | os.PathLike[str] | None = None,
    occasion: str = "day",
    min_score: float = 0.0,
) -> ActivityReport:
    """Write tables, pictures and a page about when and where classes were detected.

    Parameters
    ----------
    recordings
        Their folder, for sites and times.
    labels
        Output of analyze, with ``analyzed.csv``.
    occasion
        ``day``, ``week`` or a number of days: the columns of the detection histories.

    Raises
    ------
    InputError
        Something cannot be read or written, or no recording has a known time.
    """
    labels, output = Path(labels), Path(output)
    archive = Recordings(recordings, deployments)
    lengths = _analyzed(labels)
    notes: list[str] = []
    times, places = _times(archive, lengths, notes)
    effort = compute_effort(times)
    occasions = occasions_of(effort, occasion)
    hours_SO = effort_table(effort, occasions)
    table = read_label_table(labels)
    judged = [] if verdicts is None else combine(current_verdicts(read_verdicts(verdicts)))
    report = ActivityReport(effort, occasions, notes=notes)
    cells = _effort_by_hour(effort)
    activity: list[tuple[str, ...]] = []
    presence: list[tuple[str, ...]] = []
    with together():
        sections = []
        for each in _classes(table, times, places, judged, min_score, notes):
            report.detections[each.name] = len(each.times.row_D)
            activity += _activity_rows(each, effort, cells)
            presence += _presence_rows(each, times)
            code = safe_name(each.name)
            write_history(
                output / f"history-{code}.csv", effort.sites, occasions, history(hours_SO, each.times, occasions)
            )
            picture = output / f"activity-{code}.png"
            _draw(picture, each, effort, archive)
            sections.append(_section(each, effort, picture))
        write_csv(output / "activity.csv", [ACTIVITY_COLUMNS, *activity])
        write_csv(output / "presence.csv", [PRESENCE_COLUMNS, *presence])
        write_effort(output / "effort.csv", effort.sites, occasions, hours_SO)
        facts = [
            f"{len(times)} recordings, {effort.hours_K.sum():.1f} hours at {len(effort.sites)} sites",
            *notes,
        ]
        write_page(output / "activity.html", "Activity", facts, sections)
    return report


def _analyzed(labels: Path) -> dict[str, float]:
    """Return what was analyzed: recording to seconds."""
    path = labels / ANALYZED
    if not path.is_file():
        raise InputError(
            f"{path} does not exist, so it is not known what was listened to; run analyze again (it writes this "
            "file), or make one with the columns recording and seconds"
        )
    found = {}
    for row, cells in iter_rows(path, ("recording", "seconds")):
        try:
            found[composed(cells["recording"])] = parse_number(cells["seconds"])
        except ValueError:
            raise InputError(f'{path}, row {row}: "{cells["seconds"]}" is not a number of seconds') from None
    return found


def _times(archive: Recordings, lengths: dict[str, float], notes: list[str]) -> tuple[RecordingTimes, dict[str, int]]:
    """Return the times of recordings that have one, and the place of each among them."""
    sites: list[str] = []
    starts: list[datetime] = []
    seconds: list[float] = []
    places: dict[str, int] = {}
    gone, undated, floating = [], [], []
    for name, length in sorted(lengths.items()):
        path = archive.find(name)
        if path is None:
            gone.append(name)
            continue
        info = archive.info(path)
        if info.start is None:
            undated.append(name)
            continue
        start = info.start
        if start.tzinfo is None:
            floating.append(name)
            start = start.replace(tzinfo=UTC)
        elif info.zone is not None:
            start = start.astimezone(info.zone)
        places[name] = len(sites)
        sites.append(info.site or unknown_place(name).site)
        starts.append(start)
        seconds.append(length)
    if gone:
        notes.append(f"{len(gone)} recordings were not found and are left out: {some(gone, 3)}")
    if undated:
        notes.append(f"{len(undated)} recordings have no known time and are left out: {some(undated, 3)}")
    if floating:
        notes.append(
            f"{len(floating)} recordings have a time without a time zone, shown as their clocks had it (a time "
            f"zone in {DEFAULT_PATH} places them): {some(floating, 3)}"
        )
    return recording_times(sites, starts, seconds), places


def _classes(
    table: LabelTable,
    times: RecordingTimes,
    places: dict[str, int],
    judged: list[Judged],
    min_score: float,
    notes: list[str],
) -> Iterator[_Class]:
    """Yield each class that has detections in recordings of known time."""
    place_of = np.array([places.get(composed(name), -1) for name in table.recordings], np.int64)
    here = place_of[table.recording_M] >= 0 if len(table) else np.zeros(0, bool)
    if not here.all():
        notes.append(f"{int((~here).sum())} detections are in recordings that are left out")
    keep = here & (table.score_M >= min_score - 1e-9)
    order = np.flatnonzero(keep)
    order = order[np.argsort(table.name_M[order], kind="stable")]
    bounds = np.searchsorted(table.name_M[order], np.arange(len(table.names) + 1))
    answers = _answers(judged)
    rejected = 0
    for number in sorted(range(len(table.names)), key=table.names.__getitem__):
        rows = order[bounds[number] : bounds[number + 1]]
        confirmed = np.zeros(len(rows), bool)
        wrong = np.zeros(len(rows), bool)
        for place, stretches in answers.get(table.names[number], {}).items():
            where = np.flatnonzero(_named(table, rows, place))
            for index in where:
                answer = _answer(stretches, float(table.start_M[rows[index]]), float(table.end_M[rows[index]]))
                confirmed[index], wrong[index] = answer == "yes", answer == "no"
        rejected += int(wrong.sum())
        rows, confirmed = rows[~wrong], confirmed[~wrong]
        if not len(rows):
            continue
        recording = place_of[table.recording_M[rows]]
        found = detection_times(
            times,
            recording,
            np.zeros(len(rows), np.int64),
            table.start_M[rows].astype(float),
            table.end_M[rows].astype(float),
        )
        yield _Class(table.names[number], found, confirmed[found.row_D])
    if rejected:
        notes.append(f"{rejected} detections are left out, since a verdict says no")


def _named(table: LabelTable, rows: NDArray[np.int64], recording: str) -> NDArray[np.bool_]:
    numbers = [n for n, name in enumerate(table.recordings) if composed(name) == recording]
    return np.isin(table.recording_M[rows], numbers)


def _answers(judged: list[Judged]) -> dict[str, dict[str, list[Judged]]]:
    """Return the verdicts of yes and no, by class and recording."""
    found: dict[str, dict[str, list[Judged]]] = defaultdict(lambda: defaultdict(list))
    for item in judged:
        if item.answer != "unsure":
            found[item.verdict.name][composed(item.verdict.recording)].append(item)
    return found


def _answer(stretches: list[Judged], start: float, end: float) -> str:
    """Return what was said about a detection; a review joins detections that touch, so parts of them count."""
    said = {
        item.answer
        for item in stretches
        if item.verdict.detection_start - _EQUAL_S <= start and end <= item.verdict.detection_end + _EQUAL_S
    }
    return "yes" if "yes" in said else "no" if said else ""


def _effort_by_hour(effort: Effort) -> dict[tuple[int, int, int], float]:
    keys = zip(effort.site_K.tolist(), effort.day_K.tolist(), effort.hour_K.tolist(), strict=True)
    return dict(zip(keys, effort.hours_K.tolist(), strict=True))


def _activity_rows(each: _Class, effort: Effort, cells: dict[tuple[int, int, int], float]) -> Iterator[tuple[str, ...]]:
    """Yield a row for every hour in which a site was listened to, also those without a detection."""
    counts: dict[tuple[int, int, int], int] = defaultdict(int)
    for key in zip(each.times.site_D.tolist(), each.times.day_D.tolist(), each.times.hour_D.tolist(), strict=True):
        counts[key] += 1
    for key, hours in sorted(cells.items()):
        site, day, hour = key
        count = counts.get(key, 0)
        yield (
            each.name, effort.sites[site], _day(day), str(hour), str(count), f"{hours:.6f}",
            f"{count / hours:.3f}",
        )  # fmt: skip


def _presence_rows(each: _Class, times: RecordingTimes) -> Iterator[tuple[str, ...]]:
    """Yield a row per site and day on which the class was detected."""
    groups: dict[tuple[int, int], list[int]] = defaultdict(list)
    for row, key in enumerate(zip(each.times.site_D.tolist(), each.times.day_D.tolist(), strict=True)):
        groups[key].append(row)
    zones = {int(site): times.zones[int(zone)] for site, zone in zip(times.site_R, times.zone_R, strict=True)}
    for (site, day), rows in sorted(groups.items()):
        moments = [
            datetime.fromtimestamp(float(value(each.times.time_D[rows])), UTC).astimezone(zones[site])
            for value in (np.min, np.max)
        ]
        confirmed = int(each.confirmed_D[rows].sum())
        yield (
            each.name, times.sites[site], _day(day), str(len(rows)), str(confirmed),
            *(moment.isoformat(timespec="seconds") for moment in moments),
            "confirmed" if confirmed else "unverified",
        )  # fmt: skip


def _day(day: int) -> str:
    return (_EPOCH + timedelta(days=int(day))).isoformat()


def _draw(path: Path, each: _Class, effort: Effort, archive: Recordings) -> None:
    from britekit.plots.activity import plot_activity

    days = np.arange(effort.day_K.min(), effort.day_K.max() + 1)
    panels = []
    for site, name in enumerate(effort.sites):
        hours = np.zeros((24, len(days)))
        own = effort.site_K == site
        np.add.at(hours, (effort.hour_K[own], effort.day_K[own] - days[0]), effort.hours_K[own])
        counts = np.zeros_like(hours)
        own = each.times.site_D == site
        np.add.at(counts, (each.times.hour_D[own], each.times.day_D[own] - days[0]), 1)
        rate = np.divide(counts, hours, out=np.full_like(hours, np.nan), where=hours > 0)
        panels.append((name or "no site", rate, sun_times(archive, name, [_EPOCH + timedelta(int(d)) for d in days])))
    plot_activity(path, each.name, [_day(day) for day in days], panels)


def _section(each: _Class, effort: Effort, picture: Path) -> Section:
    confirmed = int(each.confirmed_D.sum())
    sites = sorted({effort.sites[site] or "no site" for site in each.times.site_D.tolist()})
    return Section(
        each.name,
        f"{len(each.times.row_D)} detections, {confirmed} of them confirmed, at {some(sites, 10)}. Grey: not "
        "recorded. Lines: sunrise and sunset.",
        picture_of(picture),
    )
