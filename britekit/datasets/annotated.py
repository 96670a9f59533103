"""Which classes are heard in a window, where people annotated recordings of a training folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from britekit.annotations.held import is_held, known_seconds, split_at_ends
from britekit.annotations.names import recording_key
from britekit.annotations.reconciling import Reconciler
from britekit.annotations.segments import UNNAMED, Annotation
from britekit.audio.files import same_named
from britekit.config.misc import MiscConfig
from britekit.formats import read_folder, report_absent, warn_of_folders


class FolderAnnotations:
    """The annotations of a folder, by recording.

    Raises `InputError` for a file that cannot be understood or matches no recording, or a class that is not known;
    names file and row.

    Parameters
    ----------
    folder
        With ``annotations.csv``, Raven selection tables, TextGrids or Audacity labels, or none of these.
    paths
        Its recordings; annotations of those that a name cannot tell apart are not used.
    reconciler
        Knows the classes. Stretches labeled ``?`` stay: they hold a sound without a name.
    misc
        ``map_codes``.
    class_name
        The class in whose folder this is, which is what unnamed boxes and labels mean; empty for none.
    """

    def __init__(
        self, folder: Path, paths: Sequence[Path], reconciler: Reconciler, misc: MiscConfig, class_name: str
    ) -> None:
        unclear = {recording_key(path) for path in same_named(paths)}
        if class_name:
            warn_of_folders(folder)
        found = read_folder(folder, misc.map_codes, class_name)
        self._by_recording: dict[str, list[Annotation]] = {}
        self.lists_all = found.lists_all
        """A table says which recordings belong to the set; label files speak for one recording each."""
        stems = {recording_key(path) for path in paths}
        absent: dict[str, str] = {}
        named = reconciler.reconcile([item for item in found.annotations if item.label != UNNAMED])
        unnamed = [item for item in found.annotations if item.label == UNNAMED]
        for item in split_at_ends([*named, *unnamed], known_seconds(paths)):
            if item.recording in unclear:
                continue  # its recordings fail, which is reported with both names
            if item.recording not in stems:
                absent.setdefault(item.recording, item.where)
                continue
            heard = self._by_recording.setdefault(item.recording, [])
            if item.label and item.end > item.start:
                heard.append(item)
        unannotated = "" if self.lists_all else next((p.name for p in paths if self.of(p) is None), "")
        report_absent(absent, folder, unannotated)

    def of(self, path: Path) -> list[Annotation] | None:
        """Return the annotations of a recording, possibly empty; None if it was not annotated."""
        return self._by_recording.get(recording_key(path))


def classes_heard(annotations: Sequence[Annotation], offset: float, duration: float) -> list[str]:
    """Return the classes of which a window of ``duration`` seconds at ``offset`` holds a sound."""
    return list(dict.fromkeys(item.label for item in annotations if is_held(item, offset, duration)))
