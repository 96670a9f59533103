"""Which classes, categories, sources, sound types and groups exist once all decisions were applied."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from britekit.annotations.classes import ClassInfo
from britekit.database.schema import DEFAULT_NAME
from britekit.datasets.curation_rows import EVERY_CLASS, Decision
from britekit.errors import suggest


@dataclass
class Catalog:
    """The names of a database, built from the class list and then changed row by row.

    Attributes
    ----------
    categories, soundtypes
        Names, in the order they were added.
    classes
        By name: its category and labels.
    added_sources, removed_sources, removed_groups
        Sources and groups beside those that recordings and the extraction bring.
    removed_classes
        By row: the classes that the row removed.
    without_effect
        Rows about something that did not exist then, or existed already.
    """

    categories: dict[str, None] = field(default_factory=lambda: {DEFAULT_NAME: None})
    classes: dict[str, tuple[str, ClassInfo]] = field(default_factory=dict)
    soundtypes: dict[str, None] = field(default_factory=dict)
    added_sources: dict[str, None] = field(default_factory=dict)
    removed_sources: dict[str, int] = field(default_factory=dict)
    removed_groups: set[str] = field(default_factory=set)
    removed_classes: dict[int, frozenset[str]] = field(default_factory=dict)
    without_effect: set[int] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)

    @classmethod
    def after(cls, classes: Sequence[ClassInfo], decisions: Iterable[Decision]) -> Catalog:
        """Return what the class list and the rows lead to."""
        catalog = cls(classes={info.name: (DEFAULT_NAME, info) for info in classes})
        for decision in decisions:
            catalog._apply(decision)
        return catalog

    def _apply(self, decision: Decision) -> None:
        name = decision.name or decision.class_name
        match decision.action:
            case "keep" | "drop" | "move":
                self._check_classes(decision)
            case "add-class":
                self._add_class(decision)
            case "del-class":
                self._remove_classes(decision, {name} & self.classes.keys())
            case "add-cat":
                self._add(decision, self.categories, name)
            case "del-cat":
                self._remove_classes(
                    decision, {key for key, (category, _info) in self.classes.items() if category == name}
                )
                self._remove(decision, self.categories, name)
            case "add-stype":
                self._add(decision, self.soundtypes, name)
            case "del-stype":
                self._remove(decision, self.soundtypes, name)
            case "add-src":
                self.removed_sources.pop(name, None)
                self._add(decision, self.added_sources, name)
            case "del-src":
                # Whether recordings bring it is known only when they have been read.
                self.added_sources.pop(name, None)
                self.removed_sources[name] = decision.row
            case "del-sgroup":
                # One that the extraction does not make is absent after it anyway, as was decided.
                self.removed_groups.add(name)

    def _check_classes(self, decision: Decision) -> None:
        if decision.class_name != EVERY_CLASS and decision.class_name not in self.classes:
            self.without_effect.add(decision.row)
        if decision.action == "move" and decision.new_class not in self.classes:
            gone = [row for row, names in self.removed_classes.items() if decision.new_class in names]
            reason = (
                f"was removed by row {gone[-1]}"
                if gone
                else f"is not in the class list{suggest(decision.new_class, self.classes)}"
            )
            self.problems.append(f'row {decision.row}: new_class "{decision.new_class}" {reason}')

    def _add_class(self, decision: Decision) -> None:
        name, details = decision.class_name, decision.details
        category = details.get("category", DEFAULT_NAME)
        if name in self.classes:
            self.without_effect.add(decision.row)
            return
        code = details.get("code", "")
        owners = [info.name for _category, info in self.classes.values() if code and info.code == code]
        if owners:
            self.problems.append(f'row {decision.row}: code "{code}" is already used by class "{owners[0]}"')
        if category not in self.categories:
            self.problems.append(
                f'row {decision.row}: category "{category}" does not exist{suggest(category, self.categories)}'
            )
        info = ClassInfo(name, code, details.get("alt_name", ""), details.get("alt_code", ""))
        self.classes[name] = (category, info)

    def _remove_classes(self, decision: Decision, names: set[str]) -> None:
        if not names and decision.action == "del-class":
            self.without_effect.add(decision.row)
        self.removed_classes[decision.row] = frozenset(names)
        for name in names:
            del self.classes[name]

    def _add(self, decision: Decision, names: dict[str, None], name: str) -> None:
        if name in names:
            self.without_effect.add(decision.row)
        names[name] = None

    def _remove(self, decision: Decision, names: dict[str, None], name: str) -> None:
        if name not in names:
            self.without_effect.add(decision.row)
        names.pop(name, None)
