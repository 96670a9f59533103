"""Find annotations and scores that a test cannot use, and the lengths of recordings."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from britekit.annotations.held import split_at_ends, spots, time_sentences
from britekit.annotations.segments import Annotation
from britekit.audio.decoding import duration_of
from britekit.audio.files import find_recordings, name_key
from britekit.errors import InputError, closest, some, suggest
from britekit.evaluation.analyzed_scores import AnalyzedScores

log = logging.getLogger(__name__)


@dataclass
class Exclusions:
    """Annotations and scores that a test cannot use, each listed once."""

    unknown_classes: dict[str, int] = field(default_factory=dict)
    """Number of annotations of each class that the models do not know."""
    unknown_at: dict[str, str] = field(default_factory=dict)
    """File and row of the first annotation of each."""
    without_audio: dict[str, str] = field(default_factory=dict)
    """Annotated recordings without (readable) audio and without scores, with the reason."""
    too_short: list[str] = field(default_factory=list)
    """Recordings shorter than one row."""
    beyond_end: list[str] = field(default_factory=list)
    """Rows of the annotation file that begin after the recording's end."""
    past_end: list[str] = field(default_factory=list)
    """Rows that count although they end more than a second after the recording."""
    unmarked: list[str] = field(default_factory=list)
    """Rows that mark no segment, because none holds enough of the sound."""
    not_annotated: list[str] = field(default_factory=list)
    """Recordings with scores that no annotation names; sorted."""

    def add_unknown(self, label: str, where: str) -> None:
        """Record an annotation of a class that the models do not know."""
        self.unknown_at.setdefault(label, where)
        self.unknown_classes[label] = self.unknown_classes.get(label, 0) + 1

    def sentences(self, classes: Iterable[str] = ()) -> list[str]:
        """Return a sentence about each exclusion."""
        sentences = [f"{text}, and left out" for text in self._unknown(classes)]
        sentences += [
            f'recording "{name}" is annotated but left out: {why}' for name, why in self.without_audio.items()
        ]
        sentences += [f'recording "{name}" is too short to hold a segment, and left out' for name in self.too_short]
        sentences += time_sentences(self.beyond_end, self.unmarked, self.past_end)
        if self.not_annotated:
            many = len(self.not_annotated) > 1
            sentences.append(
                f"{len(self.not_annotated)} recording{'s' if many else ''} with scores "
                f"{'are' if many else 'is'} not annotated, so no part of the test "
                f"({some(self.not_annotated, 5)}); a row with an empty class keeps a silent one"
            )
        return sentences

    def _unknown(self, classes: Iterable[str]) -> list[str]:
        known = list(classes)
        sentences = []
        for name, count in sorted(self.unknown_classes.items()):
            where = f"{self.unknown_at[name]}: " if name in self.unknown_at else ""
            meant = closest(name, known)
            hint = f' (did you mean "{meant}"?)' if meant else ""
            times = f", in {count} annotations" if count > 1 else ""
            sentences.append(f'{where}class "{name}" is not known to the models{hint}{times}')
        return sentences

    def report(self, source: AnalyzedScores, strict: bool, path: str | Path) -> None:
        """Log a warning for each exclusion; with ``strict``, raise for unknown classes."""
        if strict and self.unknown_classes:
            listed = some(self._unknown(source.labels), 3, "; ")
            raise InputError(f"{listed}; correct {path}, set misc.map_codes, or train the class")
        for sentence in self.sentences(source.labels):
            log.warning("%s", sentence)


def find_lengths(
    first_row: Mapping[str, str], source: AnalyzedScores, folder: Path, exclusions: Exclusions
) -> dict[str, float]:
    """Return the length of each recording from the scores, else from its audio, sorted by name.

    Parameters
    ----------
    first_row
        File and row of the first annotation of each recording.
    source
        Scores, which may contain lengths.
    exclusions
        Receives the recordings without audio, and those of which two could be meant.

    """
    names = sorted(first_row)
    unknown = [name for name in names if name not in source.seconds]
    audio = audio_files(folder, any("/" in name for name in unknown)) if unknown else {}
    seconds: dict[str, float] = {}
    for name in names:
        if name in source.seconds:
            seconds[name] = source.seconds[name]
        elif name not in audio:
            exclusions.without_audio[name] = (
                f"{folder} contains no audio of that name ({first_row[name]}){suggest(name, [*audio, *source.seconds])}"
            )
        elif len(audio[name]) > 1:
            listed = " and ".join(path.name for path in audio[name])
            exclusions.without_audio[name] = f"it could be {listed} in {folder}; rename or move one"
        else:
            try:
                seconds[name] = duration_of(audio[name][0])
            except InputError as error:
                exclusions.without_audio[name] = str(error)
    return seconds


def split_boxes(annotations: list[Annotation], known: Mapping[str, float], folder: Path) -> list[Annotation]:
    """Return annotations with each box that runs over into the next recording as a part in both.

    Parameters
    ----------
    known
        Lengths of recordings in seconds; those of others are looked up in their audio.
    folder
        Where the audio is. A box in a recording of unknown length stays whole, and is warned of.
    """
    names = {a.recording for a in annotations if a.ends_in} - known.keys()
    audio = audio_files(folder, any("/" in name for name in names)) if names else {}
    seconds = dict(known)
    for name in names:
        if len(audio.get(name, [])) == 1:
            with contextlib.suppress(InputError):
                seconds[name] = duration_of(audio[name][0])
    whole = spots([a for a in annotations if a.ends_in and a.recording not in seconds], with_file=True)
    if whole:
        log.warning(
            "%d boxes end in another recording, but the length of the first is not known, so they count for the first "
            "alone (rows %s); put the recordings beside the annotations", len(whole), some(whole, 5),
        )  # fmt: skip
    return split_at_ends(annotations, seconds.get)


def root_of(annotations_path: str | Path, recordings_dir: str | Path | None = None) -> Path:
    """Return the folder of the annotated recordings; by default the folder of the annotations."""
    beside = Path(annotations_path)
    return Path(recordings_dir) if recordings_dir else beside if beside.is_dir() else beside.parent


def audio_files(folder: Path, recursive: bool) -> dict[str, list[Path]]:
    """Return the audio files of a folder by relative path without extension, in Unicode form NFC."""
    try:
        paths = find_recordings(folder, recursive=recursive)
    except InputError:
        return {}  # each annotated recording is then reported as one without audio
    files: dict[str, list[Path]] = {}
    for path in paths:
        files.setdefault(name_key(path.relative_to(folder).with_suffix("").as_posix()), []).append(path)
    return files
