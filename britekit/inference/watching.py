"""Recordings that arrive in a folder, each analyzed once when it is complete, into the tables of ``analyze``.

The folder is listed again and again: notices of the file system do not reach across network disks. A file is complete
when size and time have not changed for some seconds and its sound reaches the length that it states; until then it
waits, with its reason. Labels are kept in the journal of ``analyze``, so a watch that was killed goes on, and what it
leaves equals one ``analyze`` over the folder to the last byte. Memory grows by some 300 bytes per recording.
"""

from __future__ import annotations

import logging
import math
import os
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from britekit import formats
from britekit.annotations.deployments import DEFAULT_PATH, read_deployments
from britekit.annotations.recording_info import RecordingInfo, RecordingInfos
from britekit.audio.files import composed, shown
from britekit.audio.metadata import RecordingMetadata
from britekit.config import BaseConfig
from britekit.errors import BriteKitError, InputError, counted
from britekit.inference.analysis import is_timed, make_labeler
from britekit.inference.arrivals import Arriving, Once, listing, unlisted
from britekit.inference.drift_log import configured_drift_log
from britekit.inference.ensemble import Ensemble
from britekit.inference.labeling import Labeler
from britekit.inference.manifest import manifest_content, manifest_text, run_facts, score_facts
from britekit.inference.output import OutputFolder
from britekit.inference.platt import Calibration
from britekit.inference.recording_names import identity_of, recording_name, refuse_each
from britekit.inference.scoring import LocalScorer, Scored, raise_failed, reason_of

log = logging.getLogger(__name__)

# Recordings that are begun before the folder is looked at again.
_BATCH = 64
# Listing a large folder and writing large tables may take this share of the time.
_LISTING_SHARE, _TABLES_SHARE = 0.1, 0.05
RETRY_S = 60.0


@dataclass
class WatchSummary:
    """Result of a watch."""

    done: int = 0
    """Recordings in the tables, with those of earlier watches."""
    analyzed: int = 0
    """Recordings that this one scored."""
    labels: int = 0
    damaged: int = 0
    failed: dict[Path, str] = field(default_factory=dict)
    """Recording to the reason why it has no scores."""
    waiting: dict[Path, str] = field(default_factory=dict)
    """Recording that is not complete yet to the reason, empty if it was not tried."""
    namesakes: dict[Path, str] = field(default_factory=dict)
    """Recording that is left out for its name to the reason."""

    def raise_for_failures(self) -> None:
        """Raise `InferenceError` if recordings failed; the others are written."""
        failed = self.failed | self.namesakes
        raise_failed(failed, self.done + len(failed))


def watch_recordings(
    cfg: BaseConfig,
    ensemble: Ensemble,
    root: str | os.PathLike[str],
    output_dir: str | os.PathLike[str],
    *,
    rtype: str = "both",
    recursive: bool = False,
    start_seconds: float = 0.0,
    calibration: Calibration | None = None,
    thresholds: bool = False,
    settle_s: float = 10.0,
    patience_s: float = 600.0,
    every_s: float = 5.0,
    once: bool = False,
    restart: bool = False,
    stop: threading.Event | None = None,
    say: Callable[[str], None] = log.info,
) -> WatchSummary:
    """Analyze the recordings of a folder as they arrive, until stopped.

    Ctrl-C, SIGTERM (where it raises `KeyboardInterrupt`, as on the command line) and ``stop`` end it with tables up
    to date. An output that cannot be written is reported, and tried again every minute.

    Parameters
    ----------
    root
        Folder of recordings, which may be empty.
    settle_s
        Seconds for which size and time of a file must not change.
    patience_s
        Seconds after which a file that stays incomplete is taken as it is: up to its damage, or as failed.
    every_s
        Seconds between two looks at the folder; longer if the look itself takes long.
    once
        End when all that is there is complete and analyzed; incomplete files are taken as they are.
    restart
        Discard what an earlier watch or interrupted ``analyze`` left in the output folder, and begin again.
    stop
        Ends the watch when it is set.
    say
        Called with a line about each thing that happens.

    Raises
    ------
    InputError
        No such folder, or the output cannot be written at the start.
    InferenceError
        The output folder holds a watch with other models or settings.
    """
    root = Path(root)
    if not root.is_dir():
        raise InputError(f"{shown(root)} is not a directory; name the directory in which recordings arrive")
    refuse_each(ensemble.audio, "watch")
    labeler = make_labeler(cfg, ensemble, calibration, thresholds)
    kinds = [form.name for form in formats.chosen(rtype)]
    stop = stop or threading.Event()
    watch = _Watch(
        cfg, ensemble, root, Path(output_dir), labeler, kinds, recursive, start_seconds, settle_s, patience_s, every_s,
        once, stop, say,
    )  # fmt: skip
    resume = not restart
    while True:
        try:
            watch.session(resume)
            return watch.summary
        except BriteKitError as error:
            if once or not watch.began or stop.is_set():
                raise
            say(f"{error}; trying again in {RETRY_S:g} s")
        resume = True
        stop.wait(RETRY_S)


@dataclass
class _Watch:
    """The state of one watch; all that must survive a kill is in the journal."""

    cfg: BaseConfig
    ensemble: Ensemble
    root: Path
    output: Path
    labeler: Labeler
    kinds: list[str]
    recursive: bool
    start_seconds: float
    settle_s: float
    patience_s: float
    every_s: float
    once: bool
    stop: threading.Event
    say: Callable[[str], None]
    summary: WatchSummary = field(default_factory=WatchSummary)
    began: bool = False

    def __post_init__(self) -> None:
        self._arriving: dict[str, Arriving] = {}
        self._done: dict[str, tuple[int, int]] = {}
        self._problem = ""

    def session(self, resume: bool) -> None:
        """Watch until stopped, or until the output cannot be written."""
        content = manifest_content(self.cfg, self.ensemble, self.labeler, self.start_seconds)
        facts = run_facts(content, self.labeler, self.kinds, "path")
        keep_scores = self.cfg.infer.min_score == 0
        info_of = self._info_of if is_timed(self.kinds) else None
        with OutputFolder(
            self.output, self.kinds, keep_scores, self.labeler, facts, resume, info_of, self.root, stays=True
        ) as output:
            self._output, self._manifest = output, manifest_text(content)
            self._done = output.journal.identities()
            self._read_places()
            if not self.began:
                self.say(f"watching {shown(self.root)}: {counted(len(self._done), 'recording')} done before")
            self.began = True
            self._changed, self._written_at, self._writing_s = True, -math.inf, 0.0
            repeated, finder = Once(), logging.getLogger("britekit.audio.files")
            finder.addFilter(repeated)
            try:
                drift = configured_drift_log(self.cfg, self.labeler)
                with LocalScorer(
                    self.ensemble, self.labeler, self.start_seconds, output.folder, 1 << 30, drift
                ) as scorer:
                    self._loop(scorer)
            except KeyboardInterrupt:
                self.stop.set()
                self.say("stopping: the tables are brought up to date")
            finally:
                finder.removeFilter(repeated)
            self._write_tables()

    def _info_of(self, path: Path, metadata: RecordingMetadata | None) -> RecordingInfo:
        return self._infos.of(path, metadata)

    def _loop(self, scorer: LocalScorer) -> None:
        while True:
            began = time.monotonic()
            ready = self._look()
            looking_s = time.monotonic() - began
            if ready:
                self._analyze(scorer, ready[:_BATCH])
            if self._changed and time.monotonic() - self._written_at > self._writing_s / _TABLES_SHARE:
                self._write_tables()
            if self.stop.is_set() or (self.once and not ready and not self._waits()):
                return
            if len(ready) <= _BATCH and self.stop.wait(max(self.every_s, looking_s / _LISTING_SHARE)):
                return

    def _waits(self) -> bool:
        return any(not item.failed for item in self._arriving.values())

    def _look(self) -> list[str]:
        """Return the names of recordings that seem complete, in alphabetical order."""
        now, ready = time.monotonic(), list[str]()
        seen: dict[str, list[tuple[str, Path | str, tuple[int, int]]]] = defaultdict(list)
        try:
            for found in listing(self.root, self.recursive):
                seen[found[0] if found[0].isascii() else composed(found[0])].append(found)
            for alike in seen.values():
                name, path, identity = alike[0]
                if len(alike) > 1:
                    self._note_namesakes(alike)
                elif self._done.get(name) == identity:
                    self._forget_arriving(name)  # it was changed, and changed back
                elif self._has_settled(name, path, identity, now):
                    ready.append(name)
        except (InputError, OSError) as error:
            problem = error if isinstance(error, InputError) else unlisted(self.root, error)
            if self.once:
                raise problem from None
            if str(problem) != self._problem:
                self._problem = str(problem)
                self.say(f"{problem}; looking again")
            return []
        self._problem = ""
        for name in [name for name in self._arriving if composed(name) not in seen]:
            self._forget_arriving(name)
        return sorted(ready)

    def _has_settled(self, name: str, path: Path | str, identity: tuple[int, int], now: float) -> bool:
        """Note a recording that is not in the tables; return whether it is time to read it."""
        item = self._arriving.get(name)
        if item is None or item.identity != identity:
            if item is None and name in self._done:
                self.say(f"{shown(path)} has changed since it was analyzed, and is analyzed again")
            self._forget_arriving(name)
            self._arriving[name] = Arriving(Path(path), identity, now)
            return False
        return not item.failed and now - item.since >= (self.patience_s if item.reason else self.settle_s)

    def _forget_arriving(self, name: str) -> None:
        item = self._arriving.pop(name, None)
        if item is not None and self.summary.failed.pop(item.path, None) is not None:
            self._changed = True

    def _note_namesakes(self, found: list[tuple[str, Path | str, tuple[int, int]]]) -> None:
        """Report recordings of one name, but for one that was analyzed before the others came."""
        done = next((path for name, path, identity in found if self._done.get(name) == identity), None)
        for name, path, _ in found:
            self._forget_arriving(name)
            if path is not done and (where := Path(path)) not in self.summary.namesakes:
                other = next(Path(other).name for _, other, _ in found if other is not path)
                reason = f"{shown(other)} has the same name without extension, so results would be mixed; rename one"
                self.summary.namesakes[where] = reason
                self.say(f"{shown(where)} is left out: {reason}")

    def _analyze(self, scorer: LocalScorer, names: list[str]) -> None:
        def each() -> Iterator[tuple[str, Path]]:
            for name in names:
                item = self._arriving[name]
                reason = self._output.why_not_written(name)
                if reason:
                    self._give_up(name, item, reason)
                elif identity_of(item.path) == item.identity and not self.stop.is_set():
                    yield name, item.path

        for name, path, scored in scorer.run(each(), lambda: None):
            item = self._arriving[name]
            if identity_of(path) != item.identity:
                continue  # it is still arriving: the next look starts waiting again
            # What has been there for long, by its own time too, will not become longer.
            age_s = time.time() - item.identity[1] / 1e9
            as_it_is = self.once or bool(item.reason) or age_s > self.patience_s
            if isinstance(scored, BaseException):
                reason = reason_of(scored, path)
                if as_it_is:
                    self._give_up(name, item, reason)
                else:
                    self._wait(item, reason)
            elif scored.damaged_at is not None and not as_it_is:
                self._wait(item, f"its sound ends at {scored.damaged_at:.1f} s, before the length that it states")
            else:
                self._add(name, item, scored)
        self._output.journal.commit()

    def _add(self, name: str, item: Arriving, scored: Scored) -> None:
        labels = self._output.add(name, item.path, item.identity, scored)
        self._done[name] = item.identity
        del self._arriving[name]
        self._changed = True
        self.summary.analyzed += 1
        cut = f", taken up to {scored.damaged_at:.1f} s, where it is damaged" if scored.damaged_at is not None else ""
        self.say(f"{shown(item.path)}: {counted(labels, 'label')}{cut}")

    def _wait(self, item: Arriving, reason: str) -> None:
        item.reason = reason
        self.say(
            f"{shown(item.path)} is not complete: {reason}; it is tried again when it changes, and is taken as it is "
            f"{self.patience_s:g} s after its last change"
        )

    def _give_up(self, name: str, item: Arriving, reason: str) -> None:
        item.reason, item.failed = reason, True
        self.summary.failed[item.path] = reason
        if self._done.pop(name, None) is not None:  # what it was before it changed is no longer there
            self._output.journal.forget(name)
        self._changed = True
        self.say(f"{shown(item.path)} is left out: {reason}")

    def _write_tables(self) -> None:
        """Bring the files about all recordings up to date."""
        summary = self.summary
        summary.done, summary.labels, summary.damaged = self._output.journal.totals()
        summary.waiting = {item.path: item.reason for item in self._arriving.values() if not item.failed}
        if not self._changed or not (self._done or summary.failed):
            return
        began = time.monotonic()
        self._read_places()
        failed: dict[str, list[tuple[str, str]]] = {}
        for path, reason in summary.failed.items():
            failed.setdefault(recording_name(path, self.root), []).append((shown(path), reason))
        self._output.finish(None, failed, self._manifest, score_facts(self.ensemble, self.labeler))
        self._changed, self._written_at = False, time.monotonic()
        self._writing_s = self._written_at - began
        waiting = f", {len(summary.waiting)} not complete" if summary.waiting else ""
        self.say(f"tables: {counted(summary.done, 'recording')}, {counted(summary.labels, 'label')}{waiting}")

    def _read_places(self) -> None:
        """Read again what people wrote about deployments and recordings: it may have changed."""
        self._infos = RecordingInfos(self.root, read_deployments(DEFAULT_PATH), self.cfg.misc.time_regex)
