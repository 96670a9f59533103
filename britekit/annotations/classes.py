"""A class and its four labels, class lists and ignore lists."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from britekit.annotations.tables import iter_rows
from britekit.audio.files import composed
from britekit.errors import InputError, suggest
from britekit.files import require_file

LABEL_FIELDS = ("names", "codes", "alt_names", "alt_codes")


@dataclass(frozen=True)
class ClassInfo:
    """Names and codes of one class."""

    name: str
    code: str = ""
    alt_name: str = ""
    alt_code: str = ""

    def label(self, field: str) -> str:
        """Return the text that stands for this class in labels.

        Parameters
        ----------
        field
            ``names``, ``codes``, ``alt_names`` or ``alt_codes`` (`infer.label_field`). What is empty falls
            back: code to name, alternate name to name, alternate code to code and then to name.
        """
        if field == "names":
            return self.name
        if field == "codes":
            return self.code or self.name
        if field == "alt_names":
            return self.alt_name or self.name
        if field == "alt_codes":
            return self.alt_code or self.code or self.name
        raise InputError(
            f'label field "{field}" is not known; expected one of {", ".join(LABEL_FIELDS)}'
            f"{suggest(field, LABEL_FIELDS)}"
        )


def clean_name(value: str, option: str) -> str:
    """Return a name or code as it was typed without spaces around it, which class lists do not keep either.

    Raises `InputError` if it has a line break or tab, which labels cannot hold; ``option`` says where it was given.
    """
    if _breaks_lines(value):
        raise InputError(f"{option} {value!r} contains a line break or tab, which labels cannot hold")
    return value.strip()


def _breaks_lines(value: str) -> bool:
    # labels travel in files of one line per label, with tabs between the fields
    return any(ord(character) < 32 for character in value)


def read_classes(path: str | Path) -> list[ClassInfo]:
    """Read a class list; the order of its rows is the order of the classes.

    Raises `InputError` if there is no class, a name is empty, or two classes share a name or a code.

    Parameters
    ----------
    path
        CSV with the column `Name` and optionally `Code`, `AltName`, `AltCode`.
    """
    classes: list[ClassInfo] = []
    names: dict[str, int] = {}
    codes: dict[str, int] = {}
    for row, cells in iter_rows(path, ["Name"], ["Code", "AltName", "AltCode"]):
        info = ClassInfo(cells["Name"], cells["Code"], cells["AltName"], cells["AltCode"])
        if not info.name:
            raise InputError(f"{path}, row {row}: the class has no Name")
        for value in (info.name, info.code, info.alt_name, info.alt_code):
            if _breaks_lines(value):
                raise InputError(f"{path}, row {row}: {value!r} contains a line break or tab, which labels cannot hold")
        if info.name in names:
            raise InputError(f'{path}, row {row}: class "{info.name}" is already in row {names[info.name]}')
        label = info.label("codes")
        if label in codes:
            raise InputError(f'{path}, row {row}: code "{label}" is already taken in row {codes[label]}')
        names[info.name] = codes[label] = row
        classes.append(info)
    if not classes:
        raise InputError(f"{path} lists no class; expected one row per class below the header")
    return classes


def read_ignore_list(path: str | Path | None, required: bool) -> set[str]:
    """Read the class names to leave out of inference output, one per line; ``#`` begins a comment line.

    Parameters
    ----------
    path
        Text file, or None for no exclusions.
    required
        False lets the file be missing (the default one may be), True makes that an error.
    """
    if path is None:
        return set()
    try:
        text = require_file(path).read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        if not required:
            return set()
        raise InputError(
            f"ignore file {path} does not exist; expected one class name per line; "
            "correct misc.ignore_file or make the file, which may be empty"
        ) from None
    except UnicodeDecodeError as error:
        raise InputError(f"ignore file {path} is not UTF-8 text (byte {error.start}); save it as UTF-8") from None
    except OSError as error:
        raise InputError(f"ignore file {path} cannot be read: {error.strerror or error}") from None
    lines = (line.strip() for line in text.splitlines())
    return {line for line in lines if line and not line.startswith("#")}


def map_name(value: str, mapping: Mapping[str, str] | None) -> str:
    """Translate an old class name or code by `misc.map_names` or `misc.map_codes`; others stay."""
    return (mapping or {}).get(value, value)


def find_class(value: str, classes: Sequence[ClassInfo], where: str = "") -> ClassInfo:
    """Find the class that a person meant: by name, else code, else alternate name or code.

    Raises `InputError` if no class, or more than one, is called so.

    Parameters
    ----------
    value
        What the person wrote.
    where
        Beginning of the error message, such as ``"sources.csv, row 3: "``.
    """
    for field in ("name", "code", "alt_name", "alt_code"):
        found = [info for info in classes if composed(getattr(info, field)) == composed(value)]
        if len(found) == 1:
            return found[0]
        if found:
            listed = ", ".join(f'"{info.name}"' for info in found)
            raise InputError(f'{where}class "{value}" could be any of {listed}; use the name')
    what_next = suggest(value, known_labels(classes)) or "; add it to the class list (data/classes.csv)"
    raise InputError(f'{where}class "{value}" is not known{what_next}')


def difference_of(theirs: Sequence[str], ours: Sequence[str]) -> str:
    """Return how a list of classes differs from another one, for a message; an empty text if it does not."""
    if list(theirs) == list(ours):
        return ""
    only = sorted(set(theirs) ^ set(ours))
    return f'other classes ("{only[0]}" is in one of them only)' if only else "the same classes in another order"


def known_labels(classes: Iterable[ClassInfo]) -> list[str]:
    """Return every text by which a class can be found."""
    texts = (text for info in classes for text in (info.name, info.code, info.alt_name, info.alt_code))
    return [text for text in texts if text]
