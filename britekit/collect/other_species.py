"""Handle species in annotations that are not in the class list: map, ignore, or report them all at once."""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from britekit.annotations.classes import ClassInfo, find_class, known_labels
from britekit.annotations.segments import UNNAMED, Annotation
from britekit.audio.files import composed
from britekit.errors import InputError, some, suggest

ALL = "*"

log = logging.getLogger(__name__)


@dataclass
class OtherSpecies:
    """The names in annotations of one list of sources."""

    classes: Sequence[ClassInfo]
    """The class list."""
    map_names: Mapping[str, str] = field(default_factory=dict)
    """Class by name in annotations; ``*`` for every unknown name (`misc.map_names`)."""
    left_out: Sequence[str] = ()
    """Names whose annotations are ignored; ``*`` for all unknown names (`misc.other_species`)."""
    _known: set[str] = field(init=False)
    _dropped: Counter[str] = field(default_factory=Counter)
    _unknown: Counter[str] = field(default_factory=Counter)
    _files: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))

    def __post_init__(self) -> None:
        self._known = {composed(label) for label in known_labels(self.classes)}

    def of_a_class(self, annotations: Sequence[Annotation], keep_stretches: bool = False) -> list[Annotation]:
        """Return the annotations that name a class, with mapped names.

        With ``keep_stretches`` those of species that are left out stay without a name (``?``), so that nothing which is
        heard there counts as absent. If no annotation of a recording is left, an empty one keeps the recording, as one
        without any class.

        Raises `InputError` if a name is ambiguous.
        """
        named = [
            (item, item if keep_stretches and item.label == UNNAMED else self._resolved(item)) for item in annotations
        ]
        if keep_stretches:
            named = [(item, replace(item, label=UNNAMED) if found is None else found) for item, found in named]
        kept = [found for _, found in named if found is not None]
        left = {item.recording for item in kept if item.label != UNNAMED}
        gone = dict.fromkeys(item.recording for item in annotations if item.recording not in left)
        return [*kept, *(Annotation(recording, "", 0.0, 0.0) for recording in gone)]

    def _resolved(self, item: Annotation) -> Annotation | None:
        if not item.label:
            return item
        name = self.map_names.get(item.label, item.label)
        if composed(name) not in self._known:
            if name in self.left_out or (ALL in self.left_out and ALL not in self.map_names):
                self._dropped[name] += 1
                return None
            if ALL not in self.map_names:
                self._unknown[name] += 1
                self._files[name].add(item.file)
                return None
            name = self.map_names[ALL]
        find_class(name, self.classes, f"{item.where}: ")
        return replace(item, label=name)

    def check(self) -> None:
        """Log ignored names, and raise for names that are neither a class, mapped nor ignored.

        Raises `InputError` if there are unknown names; lists each with its number of annotations and files.
        """
        if self._unknown:
            listed = ", ".join(self._described(name, count) for name, count in self._unknown.most_common())
            raise InputError(
                f"annotations name {len(self._unknown)} species that are not in the class list: {listed}. Add "
                'them to data/classes.csv, map them to a class (misc.map_names; "*" stands for all of them), or '
                'leave them out (misc.other_species: their names, or ["*"])'
            )
        if self._dropped:
            listed = ", ".join(f"{name} {count}" for name, count in self._dropped.most_common())
            log.warning(
                "%d annotations of %d other species are left out (misc.other_species): %s",
                self._dropped.total(),
                len(self._dropped),
                listed,
            )

    def _described(self, name: str, count: int) -> str:
        files = sorted(self._files[name])
        return f'"{name}" ({count} in {some(files, 1)}{suggest(name, known_labels(self.classes))})'
