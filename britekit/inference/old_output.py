"""Files of an earlier run in an output folder that would be read together with those of this one."""

from __future__ import annotations

from pathlib import Path

from britekit import formats
from britekit.inference.manifest import MANIFEST_HEAD

MANIFEST = "manifest.yaml"


class OldOutput:
    """Remains of an earlier run in a folder.

    Parameters
    ----------
    folder
        The output folder.
    kinds
        Names of the formats that are written now.
    """

    def __init__(self, folder: Path, kinds: set[str]) -> None:
        self._folder = folder
        others = [form for form in map(formats.get, formats.written()) if form.name not in kinds]
        self._tables = [form.table for form in others if form.table]
        self.endings = [form.ending for form in others if not form.table]

    def is_ours(self) -> bool:
        """Return whether an earlier analyze wrote this folder; otherwise nothing may be deleted from it."""
        try:
            with open(self._folder / MANIFEST, encoding="utf-8") as file:
                return file.readline() == MANIFEST_HEAD
        except (OSError, UnicodeDecodeError):
            return False

    def tables(self, replaced: dict[str, bool]) -> list[Path]:
        """Return tables of an earlier run that are not replaced, since readers prefer them to label files."""
        if not self.is_ours():
            return []
        names = [*self._tables, *(name for name, is_replaced in replaced.items() if not is_replaced)]
        return [self._folder / name for name in names]
