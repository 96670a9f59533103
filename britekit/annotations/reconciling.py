"""Which class an annotation means: its name, else its code, else its scientific or other alternate."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from britekit.annotations.classes import ClassInfo
from britekit.annotations.segments import Annotation
from britekit.audio.files import composed
from britekit.errors import InputError, some, suggest

_ORDER = ("name", "code", "alt_name", "alt_code")


class Reconciler:
    """Finds the class that a label means, for many labels.

    A label is first compared with all names, then with all codes, then with alternate names (usually
    scientific ones), then with alternate codes; capitals count, how accents are composed does not.
    """

    def __init__(self, classes: Sequence[ClassInfo]) -> None:
        self._tables: list[dict[str, list[ClassInfo]]] = []
        for field in _ORDER:
            table: dict[str, list[ClassInfo]] = {}
            for info in classes:
                if text := composed(getattr(info, field)):
                    table.setdefault(text, []).append(info)
            self._tables.append(table)

    def find(self, label: str) -> ClassInfo | None:
        """Return the class that a label means, or None; raises `InputError` if two classes share the label."""
        for table in self._tables:
            found = table.get(composed(label), [])
            if len(found) > 1:
                listed = " or ".join(f'"{info.name}"' for info in found)
                raise InputError(f'class "{label}" could be {listed}; use the name')
            if found:
                return found[0]
        return None

    def suggest(self, label: str) -> str:
        """Return ``; did you mean "X"?`` for a label that is none, or an empty text."""
        # A name is a better answer than a code that differs from it only by capitals.
        return next(filter(None, (suggest(label, table) for table in self._tables)), "")

    def reconcile(self, annotations: Iterable[Annotation]) -> list[Annotation]:
        """Return annotations labeled by class names; empty labels stay.

        Raises `InputError` if labels are not classes; each is reported once, with its first file and row, how often it
        occurs, and the class it may mean.
        """
        items = list(annotations)
        names: dict[str, str] = {"": ""}
        unknown: dict[str, list[Annotation]] = {}
        for item in items:
            if item.label in names:
                continue
            try:
                found = self.find(item.label)
            except InputError as error:
                raise InputError(f"{item.where}: {error}") from None
            if found is None:
                unknown.setdefault(item.label, []).append(item)
            else:
                names[item.label] = found.name
        if unknown:
            told = [
                f'{rows[0].where}: class "{label[:100]}" is not known{self._times(rows)}{self.suggest(label)}'
                for label, rows in unknown.items()
            ]
            raise InputError(some(told, 10, "; "))
        return [replace(item, label=names[item.label]) for item in items]

    @staticmethod
    def _times(rows: Sequence[Annotation]) -> str:
        return f" ({len(rows)} rows)" if len(rows) > 1 else ""
