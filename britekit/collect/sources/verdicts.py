"""Stretches of an archive that people judged, with what they said.

The query is the archive's folder, as ``review -i`` had it, and the class is ``*`` or the one whose verdicts are
wanted. Each stretch with a verdict in ``data/verdicts.csv`` comes with a spectrogram's length of sound on both
sides, samples unchanged; stretches that then touch are one file. Recordings of the test, or of the groups of
test recordings, are refused.
"""

import logging
import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from britekit.annotations.judged_stretches import of_known_classes, stretches_of
from britekit.annotations.names import RecordingNames, recording_key
from britekit.annotations.reconciling import Reconciler
from britekit.annotations.tracks import track_name
from britekit.annotations.verdicts import Judged, combine, current_verdicts, read_verdicts
from britekit.audio.decoding import duration_of
from britekit.audio.files import composed, find_recordings
from britekit.audio.stretches import open_stretches, write_stretch
from britekit.collect.context import Context
from britekit.collect.offers import ANY_CLASS, Offer, SourceRow
from britekit.collect.recordings_table import FILE_NAME, Details, read_recordings_table
from britekit.errors import BriteKitError, InputError, counted, some

log = logging.getLogger(__name__)

FOLDER = "verdicts"
"""Folder of the tree of training recordings, and of its ``verdicts.csv``."""
_ROUNDED_S = 0.02  # detections may end so much behind the recording


def find(row: SourceRow, context: Context) -> list[Offer]:
    """Offer the judged stretches of the recordings below a folder, by recording and second."""
    if row.split != "train":
        raise InputError("verdicts are about single detections, so they cannot test a recognizer; use split train")
    if any(info.name.casefold() == FOLDER for info in context.classes):
        raise InputError(f'the class "{FOLDER}" has the name of the folder for judged stretches; rename it')
    table = context.project / "data" / "verdicts.csv"
    judged = combine(current_verdicts(read_verdicts(table))) if table.exists() else []
    judged = of_known_classes(judged, Reconciler(context.classes), table)
    if row.class_name != ANY_CLASS:
        judged = [item for item in judged if item.verdict.name == row.class_name]
    if not judged:
        log.info("%s contains no verdicts", table)
        return []
    archive = _Archive(row.query, context)
    by_path: dict[Path, list[Judged]] = defaultdict(list)
    left_out: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for item in judged:
        recording, path = item.verdict.recording, archive.find(item.verdict.recording)
        if path is None:
            left_out[f"was not found below {archive.root}"][recording] += 1
        else:
            by_path[path].append(item)
    offers: list[Offer] = []
    for path in sorted(by_path):
        offers += archive.offers(path, by_path[path], left_out)
    for reason, recordings in left_out.items():
        listed = some([f"{name} ({count})" for name, count in sorted(recordings.items())], 5)
        log.warning(
            "%s: %d verdicts are left out, since their recording %s: %s", table, recordings.total(), reason, listed
        )
    return offers[: row.limit]


class _Archive:
    """The recordings below a folder."""

    def __init__(self, query: str, context: Context) -> None:
        if not query:
            raise InputError("the query is empty; expected the folder of recordings that were reviewed")
        self.root = context.project / Path(query).expanduser()
        if not self.root.is_dir():
            raise InputError(f"folder {self.root} does not exist; expected the recordings that were reviewed")
        inside = self.root.resolve()
        for name in ("recordings", "test"):
            own = (context.project / "data" / name).resolve()
            if own == inside or own in inside.parents or inside in own.parents:
                raise InputError(
                    f"{self.root} holds the project's own data/{name}; give the folder of another archive, and "
                    "correct training recordings in data/curation.csv"
                )
        self._context = context
        self._paths = {
            composed(path.relative_to(self.root).with_suffix("").as_posix()): path
            for path in reversed(find_recordings(self.root, recursive=True))
        }
        self._names = RecordingNames(self._paths)
        self._details: dict[Path, dict[str, Details]] = {}

    def find(self, recording: str) -> Path | None:
        name = self._names.find(recording)
        return None if name is None else self._paths[name]

    def offers(self, path: Path, judged: Sequence[Judged], left_out: defaultdict[str, Counter[str]]) -> list[Offer]:
        """Return the clips of one recording; what cannot be used is counted by reason and recording."""
        below = path.relative_to(self.root)
        test, margin_s = self._context.test, self._context.window_s
        details = self._details_of(path)
        try:
            why = "" if test is None else test.why(path, test.group_of(path, details.group))
            seconds = 0.0 if why else duration_of(path)
        except (BriteKitError, OSError) as error:
            why = f"cannot be read ({error})"
        if why:
            left_out[why][below.as_posix()] += len(judged)
            return []
        there = [item for item in judged if max(item.verdict.end, item.verdict.detection_end) <= seconds + _ROUNDED_S]
        if len(there) < len(judged):
            late = "ends before the stretch, so it has changed since"
            left_out[late][below.as_posix()] += len(judged) - len(there)
        group = test.group_of(path, details.group) if test is not None else details.group
        # Clips have the true rate of a time-expanded recording.
        details = replace(details, group=group, time_expansion="")
        told = [(item, found) for item in there if (found := stretches_of([item]))]
        clips: list[tuple[int, int, list[Judged]]] = []
        # What was judged by one channel (audio.channels: each) is cut from that one alone.
        order = sorted(told, key=lambda pair: (pair[0].verdict.channel, pair[1][0].start, pair[0].verdict.id))
        for item, found in order:
            first = max(0, math.floor(min(each.start for each in found) - margin_s))
            until = math.ceil(max(each.end for each in found) + margin_s)
            channel = item.verdict.channel
            if clips and first <= clips[-1][1] and clips[-1][2][0].verdict.channel == channel:
                before = clips[-1]
                clips[-1] = before[0], max(before[1], until), [*before[2], item]
            else:
                clips.append((first, until, [item]))
        name = below.with_suffix("").as_posix().replace("/", "_")
        suffix = _suffix(path) if clips else ""
        offers = []
        for first, until, items in clips:
            channel = items[0].verdict.channel
            clip = f"{track_name(name, int(channel)) if channel else name}_{first}s"
            offers.append(
                Offer(
                    f"{clip}{suffix}", FOLDER, f"{path}, {first} to {until} s",
                    partial(_cut, path, first, until, channel), min(until, seconds) - first, details,
                    verdicts=_shifted(items, clip, first),
                )
            )  # fmt: skip
        return offers

    def _details_of(self, path: Path) -> Details:
        if path.parent not in self._details:
            rows = read_recordings_table(path.parent / FILE_NAME)
            self._details[path.parent] = {composed(row.recording): row.details for row in rows}
        return self._details[path.parent].get(recording_key(path), Details())


def _shifted(judged: Sequence[Judged], clip: str, first: int) -> tuple:
    """Return verdicts as rows about a clip, one per item; who said it when is left to the original table."""
    rows = []
    for number, item in enumerate(judged, 1):
        verdict = item.verdict
        times = {
            key: round(getattr(verdict, key) - first, 6) for key in ("start", "end", "detection_start", "detection_end")
        }
        rows.append(
            replace(
                verdict, id=f"{clip}-{number}", replaces="", recording=clip, channel="", verdict=item.answer,
                score=None, model="", queue="", stratum="", share=None, reviewer="", time="", note="", **times,
            )
        )  # fmt: skip
    return tuple(rows)


def _suffix(path: Path) -> str:
    try:
        open_stretches(path, "flac").close()
    except InputError:
        return ".wav"
    return ".flac"


def _cut(path: Path, first: int, until: int, channel: str, target: Path) -> None:
    file_format = target.suffix.lstrip(".")
    with open_stretches(path, file_format) as source:
        samples = source.read(first * source.rate, until * source.rate)
        if channel:
            samples = samples[:, int(channel) - 1 : int(channel)]
            if not samples.shape[1]:
                held = counted(source.channels, "channel")
                raise InputError(f"{path} has {held}, but verdicts are about channel {channel}")
        try:
            write_stretch(target, samples, source, file_format)
        except RuntimeError as error:
            raise InputError(f"a stretch of {path} cannot be written: {error}") from None
