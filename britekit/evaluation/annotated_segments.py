"""Find the segments of test recordings that hold a class, to look at them."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from britekit.annotations.classes import map_name
from britekit.annotations.held import Unheard, split_at_ends
from britekit.audio.decoding import duration_of
from britekit.errors import InputError, suggest
from britekit.evaluation.exclusions import audio_files, root_of
from britekit.evaluation.grid import build_grid, mark_truth
from britekit.formats import read_any_annotations

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class AnnotatedSegments:
    """Segments of one recording that hold one class."""

    path: Path
    label: str
    starts: list[float]
    """Seconds, ascending."""

    @property
    def folder(self) -> str:
        """Folder name of the class."""
        name = "".join("_" if c in '/\\:*?"<>|' or not c.isprintable() else c for c in self.label).strip(". ")
        return name or "_"


def annotated_segments(
    annotations_path: str | Path, length_s: float, label: str | None = None, map_codes: Mapping[str, str] | None = None
) -> list[AnnotatedSegments]:
    """Find consecutive segments of each recording that hold annotated classes.

    Raises `InputError` if nothing is annotated, the class is not annotated, or no recording was found.

    Parameters
    ----------
    annotations_path
        Annotations per segment; recordings lie beside them.
    label
        Only this class, as named in the annotations.
    map_codes
        Old label to new (`misc.map_codes`), in the annotations and in ``label``.

    Returns
    -------
    list
        By class, then recording. Logs a warning for recordings without audio.
    """
    root = root_of(annotations_path)
    known = audio_files(root, recursive=False)
    claims = [a for a in read_any_annotations(annotations_path, map_codes, known=known) if a.label]
    if not claims:
        raise InputError(f"{annotations_path} contains no annotation of a sound")
    labels = sorted({a.label for a in claims})
    if label is not None:
        label = map_name(label, map_codes)
        if label not in labels:
            raise InputError(f'{annotations_path}: class "{label}" is not annotated{suggest(label, labels)}')
        claims, labels = [a for a in claims if a.label == label], [label]
    audio = audio_files(root, any("/" in a.recording for a in claims))
    found: dict[tuple[str, str], AnnotatedSegments] = {}
    unheard = Unheard()
    seconds: dict[str, float] = {}
    for recording in {name for a in claims for name in (a.recording, a.ends_in) if len(audio.get(name, [])) == 1}:
        seconds[recording] = duration_of(audio[recording][0])
    claims = split_at_ends(claims, seconds.get)
    for recording in sorted({a.recording for a in claims}):
        paths = audio.get(recording, [])
        if len(paths) != 1:
            why = "contains no audio of that name" if not paths else "holds several files of that name"
            log.warning('recording "%s" is annotated but left out: %s %s', recording, root, why)
            continue
        here = [a for a in claims if a.recording == recording]
        grid = build_grid([seconds[recording]], length_s, length_s, "windows")
        unheard.judge(here, seconds[recording], grid.starts_N.tolist(), length_s)
        columns = [labels.index(a.label) for a in here]
        marked = mark_truth(grid, [0] * len(here), columns, [a.start for a in here], [a.end for a in here], len(labels))
        for c in np.flatnonzero(marked.any(axis=0)):
            starts = grid.starts_N[marked[:, c]].tolist()
            found[labels[c], recording] = AnnotatedSegments(paths[0], labels[c], starts)
    for sentence in unheard.sentences():
        log.warning("%s", sentence)
    if not found:
        raise InputError(f"{root} contains no annotated recording, or no segment holds enough of any class")
    return [found[key] for key in sorted(found)]
