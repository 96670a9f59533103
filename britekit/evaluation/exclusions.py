"""Annotations and scores that a test cannot use, and lengths of recordings."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from britekit.annotations.held import time_sentences
from britekit.audio.decoding import duration_of
from britekit.audio.files import composed, find_recordings
from britekit.errors import InputError, closest, some, suggest
from britekit.evaluation.analyzed_scores import AnalyzedScores

log = logging.getLogger(__name__)


@dataclass
class Exclusions:
    """Annotations and scores that a test cannot use, each listed once."""

    unknown_classes: dict[str, int] = field(default_factory=dict)
    """Annotated classes that the models do not know, with their number of annotations."""
    unknown_at: dict[str, str] = field(default_factory=dict)
    """File and row of the first of them."""
    without_audio: dict[str, str] = field(default_factory=dict)
    """Annotated recordings without (readable) audio and without scores, with the reason."""
    too_short: list[str] = field(default_factory=list)
    """Recordings in which no row fits."""
    beyond_end: list[str] = field(default_factory=list)
    """Rows of the annotation file that begin after the recording's end."""
    past_end: list[str] = field(default_factory=list)
    """Rows that count, but end more than a second after the recording."""
    unmarked: list[str] = field(default_factory=list)
    """Rows that mark no segment: none holds enough of the sound."""
    not_annotated: list[str] = field(default_factory=list)
    """Recordings with scores that no annotation names; sorted."""

    def add_unknown(self, label: str, where: str) -> None:
        """Note an annotation of a class that the models do not know."""
        self.unknown_at.setdefault(label, where)
        self.unknown_classes[label] = self.unknown_classes.get(label, 0) + 1

    def sentences(self, classes: Iterable[str] = ()) -> list[str]:
        """Return what a person should know, a sentence each."""
        said = [f"{text}, and left out" for text in self._unknown(classes)]
        said += [f'recording "{name}" is annotated but left out: {why}' for name, why in self.without_audio.items()]
        said += [f'recording "{name}" is too short to hold a segment, and left out' for name in self.too_short]
        said += time_sentences(self.beyond_end, self.unmarked, self.past_end)
        if self.not_annotated:
            many = len(self.not_annotated) > 1
            said.append(
                f"{len(self.not_annotated)} recording{'s' if many else ''} with scores "
                f"{'are' if many else 'is'} not annotated, so no part of the test "
                f"({some(self.not_annotated, 5)}); a row with an empty class keeps a silent one"
            )
        return said

    def _unknown(self, classes: Iterable[str]) -> list[str]:
        known = list(classes)
        said = []
        for name, count in sorted(self.unknown_classes.items()):
            where = f"{self.unknown_at[name]}: " if name in self.unknown_at else ""
            meant = closest(name, known)
            hint = f' (did you mean "{meant}"?)' if meant else ""
            times = f", in {count} annotations" if count > 1 else ""
            said.append(f'{where}class "{name}" is not known to the models{hint}{times}')
        return said

    def tell(self, source: AnalyzedScores, strict: bool, path: str | Path) -> None:
        """Warn of what was left out; with ``strict``, an unknown class is an error."""
        if strict and self.unknown_classes:
            listed = some(self._unknown(source.labels), 3, "; ")
            raise InputError(f"{listed}; correct {path}, set misc.map_codes, or train the class")
        for sentence in self.sentences(source.labels):
            log.warning("%s", sentence)


def find_lengths(
    first_row: Mapping[str, str], source: AnalyzedScores, folder: Path, exclusions: Exclusions
) -> dict[str, float]:
    """Return the length of each recording from the scores, else from its audio; sorted by name.

    Parameters
    ----------
    first_row
        The recordings, each with file and row of its first annotation.
    source
        Scores, which may contain lengths.
    folder
        Where the audio is.
    exclusions
        Takes note of recordings without audio.

    Raises
    ------
    InputError
        If two audio files could be meant by one name.
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
                f"{folder} holds no audio of that name ({first_row[name]}){suggest(name, [*audio, *source.seconds])}"
            )
        elif len(audio[name]) > 1:
            listed = " and ".join(path.name for path in audio[name])
            raise InputError(f'recording "{name}" could be {listed} in {folder}; rename or move one')
        else:
            try:
                seconds[name] = duration_of(audio[name][0])
            except InputError as error:
                exclusions.without_audio[name] = str(error)
    return seconds


def root_of(annotations_path: str | Path, recordings_dir: str | Path | None = None) -> Path:
    """Return the folder of the annotated recordings; by default the one that holds the annotations."""
    beside = Path(annotations_path)
    return Path(recordings_dir) if recordings_dir else beside if beside.is_dir() else beside.parent


def audio_files(folder: Path, recursive: bool) -> dict[str, list[Path]]:
    """Return the audio files of a folder by their path without extension, relative to it, composed."""
    try:
        paths = find_recordings(folder, recursive=recursive)
    except InputError:
        return {}  # each annotated recording is then listed as one without audio
    files: dict[str, list[Path]] = {}
    for path in paths:
        files.setdefault(composed(path.relative_to(folder).with_suffix("").as_posix()).strip(), []).append(path)
    return files
