"""One rule for names of recordings: which recording a table or a label file means.

A name in a table is compared with the names of the recordings without extension: as it is written, then
without an audio extension, then both without regard to capitals. How accents are composed and spaces at the
ends never count. So ``XC123.mp3`` is the recording ``XC123.mp3.wav`` where there is one, else ``XC123.wav``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Generic, TypeVar

from britekit.audio.files import AUDIO_EXTENSIONS, is_recording_name, name_key, walk_folders

Item = TypeVar("Item")

# What programs and people put behind a recording's name when they save its labels.
_ADDED = (
    r"(?i:Table[._ ]?\d+|selections?|selection[._ ]table|BirdNET|results|labels?"
    r"|annotations?|annotated|scores)"
)
_REVIEWED = r"(?i:checked|reviewed|corrected|verified|edited|final|copy|v\d+)|[A-Z]{2,3}|\([^()]*\)"
_MARKED = re.compile(r"(.+?)[._ -](?i:Table\.\d+|selections?)(?![A-Za-z]).*", re.DOTALL)
_TAIL = re.compile(rf"(?:[._ -]+(?:{_ADDED}))+$")
_LONG_TAIL = re.compile(rf"(?:[._ -]*(?:(?<=[._ -])(?:{_ADDED}|{_REVIEWED})|\([^()]*\)))+$")


def strip_extension(recording: str) -> str:
    """Remove an audio file's extension; other dots, as in ``2024.05.01``, belong to the name."""
    stem, dot, extension = recording.rpartition(".")
    return stem if dot and stem and f".{extension.lower()}" in AUDIO_EXTENSIONS else recording


def name_forms(written: str) -> tuple[str, ...]:
    """Return how a name in a table may be meant, without extension, the likeliest first."""
    plain = name_key(written)
    return tuple(dict.fromkeys((plain, strip_extension(plain).strip())))


def recording_key(path: Path) -> str:
    """Return what annotations of a recording call it."""
    return name_key(path.stem)


class RecordingNames:
    """Finds the recording that a name means.

    Parameters
    ----------
    names
        Names of recordings without extension; of two that differ only in what does not count, the first is
        found.
    """

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._exact: dict[str, str] = {}
        self._folded: dict[str, list[str]] = {}
        for name in names:
            self.add(name)

    @classmethod
    def beside(cls, path: Path) -> RecordingNames:
        """Return the names of the recordings in a folder, or in the folder of a file; none if it is gone."""
        folder = path if path.is_dir() else path.parent
        entries = sorted(folder.iterdir()) if folder.is_dir() else []
        return cls(entry.stem for entry in entries if is_recording_name(entry))

    @classmethod
    def below(cls, folder: Path) -> RecordingNames:
        """Return the names of the recordings in a folder and in all below it; none if it is gone."""
        return cls(
            os.path.splitext(name)[0]
            for _, entries in (walk_folders(folder) if folder.is_dir() else ())
            for name in (entry.name for entry in entries)
            if is_recording_name(name)
        )

    def add(self, name: str) -> None:
        """Add a recording."""
        key = name_key(name)
        if self._exact.setdefault(key, name) == name:
            folded = self._folded.setdefault(key.casefold(), [])
            folded += [] if name in folded else [name]

    def __len__(self) -> int:
        return len(self._exact)

    def find(self, written: str) -> str | None:
        """Return the recording that a name in a table means, None if it is none or could be several."""
        forms = name_forms(written)
        for form in forms:
            if form in self._exact:
                return self._exact[form]
        for form in forms:
            found = self._folded.get(form.casefold(), [])
            if len(found) == 1:
                return found[0]
        return None

    def named(self, written: str) -> str:
        """Return the recording that a name means, or the name without extension where it means none."""
        found = self.find(written)
        return name_key(found) if found is not None else name_forms(written)[-1]

    def of_label_file(self, path: str | Path) -> str:
        """Return the recording that a file of labels is about.

        That of its name, else without what is added to names: ``X.Table.1.selections_JD.txt``,
        ``X_labels.txt``, ``X.wav.selections.txt`` and ``X_checked_JD.txt`` are about ``X``. Initials and
        words of a review only go where a recording is known that fits.
        """
        stem = Path(path).stem
        marked = _MARKED.fullmatch(stem)
        usual = _TAIL.sub("", stem) or stem
        if marked:
            usual = _TAIL.sub("", marked[1]) or marked[1]
        candidates = [stem, *([marked[1]] if marked else []), usual]
        candidates += [text for text in (_LONG_TAIL.sub("", c) for c in candidates) if text]
        for candidate in candidates:
            found = self.find(candidate)
            if found is not None:
                return name_key(found)
        return name_forms(usual)[-1]


class NamedFiles(Generic[Item]):
    """Finds what belongs to the files that a name means, where several folders or sources may have one of that name.

    A file of exactly this name, with its extension, comes first, since commands write such names into
    ``curation.csv``; then the rule for names of recordings counts.

    Parameters
    ----------
    items
        File names with extension, each with what belongs to it.
    """

    def __init__(self, items: Iterable[tuple[str, Item]] = ()) -> None:
        self._by_file: dict[str, list[Item]] = {}
        self._by_stem: dict[str, list[Item]] = {}
        for filename, item in items:
            key = name_key(filename)
            self._by_file.setdefault(key, []).append(item)
            self._by_stem.setdefault(os.path.splitext(key)[0].strip(), []).append(item)
        self._names = RecordingNames(self._by_stem)

    def find(self, written: str) -> list[Item]:
        """Return what belongs to the files that a name means, in their order; nothing if it means none."""
        key = name_key(written)
        if strip_extension(key) != key and (exact := self._by_file.get(key)):
            return exact
        stem = self._names.find(written)
        return [] if stem is None else self._by_stem[stem]
