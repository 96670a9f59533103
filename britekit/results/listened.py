"""The analyzed sound: the recordings that were analyzed, with site and clock time."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from pathlib import Path

import numpy as np

from britekit.annotations.analyzed import FILE_NAME, Analyzed, read_analyzed
from britekit.annotations.deployments import DEFAULT_PATH, read_deployments
from britekit.annotations.recording_info import Placed, RecordingInfos
from britekit.config import resolve
from britekit.errors import InputError, some
from britekit.results.effort import RecordingTimes
from britekit.results.recordings import Recordings, unknown_place

SitePlace = tuple[float, float, tzinfo | None]


@dataclass
class Listened:
    """The recordings of known time."""

    times: RecordingTimes
    """Of R recordings; sites are sorted by name."""
    places: dict[str, int]
    """Name of a recording to its place among them; -1 where its time is not known."""
    sites: dict[str, SitePlace]
    """Latitude, longitude and time zone of each site of which they are known."""
    notes: list[str] = field(default_factory=list)
    """Sentences about recordings that are left out, or of which something is not known."""


class _Some:
    """Counts names and keeps the first few: a year has a million."""

    def __init__(self) -> None:
        self.count, self.first = 0, list[str]()

    def add(self, name: str) -> None:
        self.count += 1
        self.first += [name] if len(self.first) < 4 else []

    def note(self, text: str) -> list[str]:
        """Return a sentence, ``N recordings TEXT: names``, or nothing."""
        listed = some(self.first, 3) if self.count == len(self.first) else f"{', '.join(self.first[:3])} and more"
        return [f"{self.count} recordings {text}: {listed}"] if self.count else []


def read_listened(
    labels: Path, deployments: str | Path = DEFAULT_PATH, recordings: str | os.PathLike[str] | None = None
) -> Listened:
    """Return when and where the recordings of an output folder were made.

    Raises `InputError` if a table cannot be read, or does not name the files and no folder is given.

    Parameters
    ----------
    labels
        Output of analyze, with ``analyzed.csv``, which says what the recordings' files say; they are not opened.
    deployments
        Table of deployments; a missing one has no rows.
    recordings
        Folder of the recordings: they are looked at instead of what the table says of them. Needed where it was made
        by another program.
    """
    gone, undated, floating, repeated = (_Some() for _ in range(4))
    sites: dict[str, int] = {}
    zones: dict[tzinfo, int] = {}
    found: dict[str, SitePlace] = {}
    places: dict[str, int] = {}
    site_R, zone_R, start_R, seconds_R = list[int](), list[int](), list[float](), list[float]()
    notes: list[str] = []
    for item, info in _with_info(labels, deployments, recordings, notes):
        name = item.recording
        if name in places:
            repeated.add(name)
            continue
        places[name] = -1
        if info is None or info.start is None:
            (gone if info is None else undated).add(name)
            continue
        start = info.start
        zone = start.tzinfo and (info.zone or start.tzinfo)
        if start.tzinfo is None:
            floating.add(name)
            start = start.replace(tzinfo=UTC)
        site = info.site or unknown_place(name).site
        if info.place is not None and site not in found:
            found[site] = (*info.place, zone)
        places[name] = len(start_R)
        site_R.append(sites.setdefault(site, len(sites)))
        zone_R.append(zones.setdefault(zone or UTC, len(zones)))
        start_R.append(start.timestamp())
        seconds_R.append(item.seconds)
    notes += repeated.note(f"are in {labels / FILE_NAME} more than once; the first row of each counts")
    notes += gone.note("were not found and are left out")
    notes += undated.note("have no known time and are left out")
    notes += floating.note(
        f"have a time without a time zone, shown as their clocks had it (a time zone in {DEFAULT_PATH} places them)"
    )
    order = sorted(sites)
    rank = np.array([order.index(site) for site in sites], np.int64)
    times = RecordingTimes(
        order,
        rank[np.array(site_R, np.int64)] if site_R else np.zeros(0, np.int64),
        np.array(start_R),
        np.array(seconds_R),
        list(zones),
        np.array(zone_R, np.int64),
    )
    return Listened(times, places, found, notes)


def _with_info(
    labels: Path, deployments: str | Path, recordings: str | os.PathLike[str] | None, notes: list[str]
) -> Iterator[tuple[Analyzed, Placed | None]]:
    """Yield what was analyzed with what is known about it; None where it is not found."""
    if recordings is not None:
        archive = Recordings(recordings, deployments)
        for item in read_analyzed(labels):
            path = archive.find(item.recording)
            yield item, None if path is None else archive.placed(path)
        notes += archive.unused()
        return
    table, patterns = read_deployments(deployments), resolve(None).misc.time_regex
    infos: RecordingInfos | None = None
    for item in read_analyzed(labels):
        if item.metadata is None:
            raise InputError(
                f"{labels / FILE_NAME} does not say from which file each recording came (an older version or another "
                "program wrote it); name the folder of the recordings with -i"
            )
        if infos is None:
            # A recording is called by its path below the folder that was analyzed.
            infos = RecordingInfos(Path(item.file).parents[item.recording.count("/")], table, patterns)
        yield item, infos.placed(item.file, item.metadata)
    notes += infos.unused() if infos is not None else []
