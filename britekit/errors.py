"""One root error and its kinds, and the suggestion that ends a message about an unknown name."""

from __future__ import annotations

from collections.abc import Iterable


class BriteKitError(Exception):
    """Root of every error the library raises on purpose; its text is one sentence for a person."""


class InputError(BriteKitError):
    """A file, a value or a combination of options that cannot be used."""


class ConfigError(InputError):
    """Settings that cannot be used.

    Parameters
    ----------
    *problems
        One sentence each; all problems of a file are reported together, a line each.
    """

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems: tuple[str, ...] = problems


class DatabaseError(BriteKitError):
    """A database that is missing, damaged or refuses what was asked."""


class ModelError(BriteKitError):
    """A checkpoint, export or model name that cannot be used."""


class InferenceError(BriteKitError):
    """Scoring could not be done, wholly or for some recordings."""


class TrainingError(BriteKitError):
    """A training run that cannot start or go on."""


def some(items: Iterable[object], limit: int = 3, between: str = ", ") -> str:
    """Return the first items for a message, ``a, b and 3 more`` if there are more than `limit`."""
    texts = [str(item) for item in items]
    more = f"{';' if between[0] == ';' else ''} and {len(texts) - limit} more" if len(texts) > limit else ""
    return between.join(texts[:limit]) + more


def closest(name: str, candidates: Iterable[str]) -> str | None:
    """Return the candidate that ``name`` was probably meant to be, or None."""
    import difflib  # 6 ms, needed only for mistakes

    by_fold = {str(candidate).casefold(): str(candidate) for candidate in candidates}
    found = difflib.get_close_matches(str(name).casefold(), by_fold, n=1, cutoff=0.6)
    return by_fold[found[0]] if found else None


def suggest(name: str, candidates: Iterable[str]) -> str:
    """Return ``; did you mean "X"?`` for the closest candidate, or an empty text if none is close."""
    found = closest(name, candidates)
    return f'; did you mean "{found}"?' if found else ""


def counted(number: int, noun: str, plural: str = "") -> str:
    """Return ``1 label`` or ``2 labels``; `plural` is `noun` with an s unless given."""
    return f"{number} {noun if number == 1 else plural or noun + 's'}"
