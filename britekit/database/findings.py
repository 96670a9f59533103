"""Find what needs attention in a database before anything is trained from it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from britekit.database.samples import NEAR, NearPairs
from britekit.database.spectrograms import differing_settings
from britekit.database.summary import ClassSummary, DatabaseSummary, GroupSummary
from britekit.errors import counted

# A class with fewer recordings (or groups of them) is learned with its background; the guide says so too.
FEW_RECORDINGS = 30
DOMINANT_SOURCE = 0.8
DOMINANT_RECORDING = 0.5


@dataclass(frozen=True)
class Finding:
    """One warning: its kind, the class or group it is about (or none), and a sentence."""

    kind: str
    about: str
    sentence: str


def find_problems(
    summary: DatabaseSummary, sizes: dict[str, set[int]], near: NearPairs, audio: dict[str, Any]
) -> list[Finding]:
    """Return what needs attention, class by class, then by group.

    Parameters
    ----------
    sizes
        By group: sizes of stored spectrograms, from `stored_sizes`.
    """
    several_sources = len({recording.source for recording in summary.recordings.values()}) > 1
    found: list[Finding] = []
    for row in summary.classes:
        found += _of_class(row, summary, several_sources)
    for group in summary.groups:
        found += _of_group(group, summary, sizes.get(group.name, set()), audio)
    found += _between_groups(summary)
    for pair in near.pairs:
        first, second = (summary.recordings[key].filename for key in pair.recordings)
        found.append(
            Finding(
                "near duplicates",
                pair.classes[0],
                f"{counted(pair.count, 'pair')} of segments look alike in {pair.classes[0]} and {pair.classes[1]}; "
                f"the closest are {first} at {pair.offsets[0]:g} s and {second} at {pair.offsets[1]:g} s "
                f"(similarity {pair.similarity:.3f}; pairs from {NEAR:g} on are reported)",
            )
        )
    if summary.unclassed:
        found.append(Finding("segments without class", "", f"{counted(summary.unclassed, 'segment')} without a class"))
    unknown = sum(not recording.licence for recording in summary.recordings.values())
    if unknown:
        found.append(
            Finding(
                "no known licence",
                "",
                f"{unknown} of {counted(len(summary.recordings), 'recording')} without a known licence, which "
                "you need before you publish them (column licence of recordings.csv)",
            )
        )
    empty = len(summary.recordings) - len(summary.segments_of)
    if empty > 0:
        found.append(Finding("recordings without segments", "", f"{counted(empty, 'recording')} without a segment"))
    return found


def _of_class(row: ClassSummary, summary: DatabaseSummary, several_sources: bool) -> Iterator[Finding]:
    if not row.code:
        yield Finding("no code", row.name, f"{row.name} has no code, which training files need")
    if not row.segments_of:
        yield Finding("no segments", row.name, f"{row.name} has no segment")
        return
    recordings = [summary.recordings[key] for key in row.segments_of]
    groups = {recording.group or key for key, recording in zip(row.segments_of, recordings)}
    if len(groups) < FEW_RECORDINGS:
        of_groups = f", cut from {len(groups)} originals" if len(groups) < len(recordings) else ""
        yield Finding(
            "few recordings",
            row.name,
            f"{row.name} has {counted(len(recordings), 'recording')}{of_groups}; begin with {FEW_RECORDINGS} or more",
        )
    total = row.segments
    if several_sources and len(recordings) > 1:
        by_source: Counter[str] = Counter()
        for recording, count in zip(recordings, row.segments_of.values()):
            by_source[recording.source] += count
        source, count = by_source.most_common(1)[0]
        if count > DOMINANT_SOURCE * total:
            yield Finding(
                "one dominant source",
                row.name,
                f"{count / total:.0%} of the segments of {row.name} come from {source or 'no source'}",
            )
    key, count = max(row.segments_of.items(), key=lambda item: item[1])
    if len(recordings) > 1 and count > DOMINANT_RECORDING * total:
        yield Finding(
            "one dominant recording",
            row.name,
            f"{count / total:.0%} of the segments of {row.name} come from {summary.recordings[key].filename}",
        )


def _of_group(
    group: GroupSummary, summary: DatabaseSummary, sizes: set[int], audio: dict[str, Any]
) -> Iterator[Finding]:
    if not group.spectrograms:
        return
    if len(sizes) > 1:
        listed = ", ".join("damaged" if size < 0 else f"{size} bytes" for size in sorted(sizes))
        yield Finding(
            "mixed settings", group.name, f"group {group.name} holds spectrograms of several sizes ({listed})"
        )
    if not group.settings:
        yield Finding("unknown settings", group.name, f"the audio settings of group {group.name} are not recorded")
    different = differing_settings(group.settings, audio)
    if different:
        yield Finding(
            "other settings",
            group.name,
            f"group {group.name} was made with other audio settings than those in force: {'; '.join(different)}",
        )
    if group.spectrograms < summary.segments:
        yield Finding(
            "incomplete group",
            group.name,
            f"group {group.name} has spectrograms of {group.spectrograms} of {summary.segments} segments",
        )


def _between_groups(summary: DatabaseSummary) -> Iterator[Finding]:
    made = [group for group in summary.groups if group.settings and group.spectrograms]
    for group in made[1:]:
        differing = [
            name
            for name in sorted(made[0].settings.keys() & group.settings.keys())
            if made[0].settings[name] != group.settings[name]
        ]
        if differing:
            yield Finding(
                "mixed settings", group.name, f"groups {made[0].name} and {group.name} differ in {', '.join(differing)}"
            )
