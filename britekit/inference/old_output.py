"""Files of an earlier run in an output folder that would be read together with those of this one."""

from __future__ import annotations

from collections.abc import Iterable
from glob import escape
from pathlib import Path

from britekit import formats
from britekit.annotations.tracks import of_channel, split_track
from britekit.config.yaml_reader import load_plain
from britekit.inference.journal import Done
from britekit.inference.manifest import MANIFEST_HEAD

MANIFEST, SCORE_TABLE = "manifest.yaml", "scores.npz"


class OldOutput:
    """Remains of an earlier run in a folder.

    Parameters
    ----------
    each
        Whether channels are analyzed one by one now.
    """

    def __init__(self, folder: Path, kinds: set[str], each: bool = False) -> None:
        self._folder = folder
        self._each = each
        self._was_each = self.is_ours() and _channels_of(folder / MANIFEST) == "each"
        others = [form for form in map(formats.get, formats.written()) if form.name not in kinds]
        self._tables = [form.table for form in others if form.table]
        self._endings = [form.ending for form in others if not form.table]

    def is_ours(self) -> bool:
        """Return whether an earlier analyze wrote this folder; otherwise nothing may be deleted from it."""
        try:
            with open(self._folder / MANIFEST, encoding="utf-8") as file:
                return file.readline() == MANIFEST_HEAD
        except (OSError, UnicodeDecodeError):
            return False

    def tables(self, replaced: dict[str, bool], written: set[str]) -> list[Path]:
        """Return tables of an earlier run that are not replaced, since readers prefer them to label files.

        Parameters
        ----------
        replaced
            By name of a table, whether it is.
        written
            Names of the tables that are written now.
        """
        if not self.is_ours():
            return []
        if self._each or self._was_each:
            every = [form.table for form in map(formats.get, formats.written()) if form.table] + [SCORE_TABLE]
            found = [path for table in every for path in self._folder.glob(of_channel(table, "[0-9]*"))]
            found += [self._folder / table for table in every]
            found += [self._folder / name for name, is_replaced in replaced.items() if not is_replaced]
            return [path for path in found if path.name not in written]
        names = [*self._tables, *(name for name, is_replaced in replaced.items() if not is_replaced)]
        return [self._folder / name for name in names]

    def label_files(self, fresh: Iterable[str], gone: dict[str, list[str]], left: Iterable[Done]) -> list[Path]:
        """Return label files that do not belong to this run but would be read with its manifest.

        Parameters
        ----------
        fresh
            Recordings that are written now, whose files in other formats are old.
        gone
            Suffixes by name of each failed recording.
        left
            Recordings of the interrupted run only.
        """
        fresh, other_channels = list(fresh), []
        if self.is_ours():
            gone = gone | {name: [*gone.get(name, []), *self._endings] for name in [*fresh, *gone]}
            other_channels = self._of_other_channels(fresh) if self._was_each != self._each else []
        gone = gone | {entry.name: [ending for ending in entry.files.split("\n") if ending] for entry in left}
        return other_channels + [self._folder / f"{name}{ending}" for name in gone for ending in gone[name]]

    def _of_other_channels(self, names: list[str]) -> list[Path]:
        forms = map(formats.get, formats.written())
        endings = [form.ending for form in forms if form.ending and not form.table]
        if not self._was_each:
            return [self._folder / f"{split_track(name)[0]}{ending}" for name in names for ending in endings]
        patterns = [f"{escape(name)}.ch[0-9]*{escape(ending)}" for name in names for ending in endings]
        return [path for pattern in patterns for path in self._folder.glob(pattern)]


def _channels_of(manifest: Path) -> object:
    try:
        audio = load_plain(manifest.read_text(encoding="utf-8"))["audio"]
        return audio.get("channels")
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
