"""Which files are recordings, and how a path is shown to a person."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterable
from pathlib import Path

from britekit.errors import InputError

AUDIO_EXTENSIONS = frozenset(
    {".wav", ".wave", ".w64", ".rf64", ".aif", ".aiff", ".aifc", ".au", ".caf", ".flac", ".mp3"}
    | {".ogg", ".oga", ".opus", ".m4a", ".mp4", ".aac", ".wma", ".webm", ".mka"}
)


def shown(path: str | os.PathLike[str]) -> str:
    r"""Return a path as one printable line: line breaks and undecodable bytes become ``\x..``."""
    text = os.fspath(path)
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode("ascii") for c in text
    )


def check_name(path: str | os.PathLike[str]) -> None:
    """Refuse a name that no database and no table of text can hold.

    Raises
    ------
    InputError
        It has bytes that are no text in UTF-8.
    """
    try:
        os.fspath(path).encode("utf-8")
    except UnicodeEncodeError:
        raise InputError(f"{shown(path)} has bytes in its name that are no text; rename it") from None


def is_recording_name(path: str | os.PathLike[str]) -> bool:
    """Tell whether a name has an audio extension and is not hidden.

    macOS leaves ``._x.wav`` beside every ``x.wav`` on a card.
    """
    name = Path(path).name
    return not name.startswith(".") and Path(name).suffix.lower() in AUDIO_EXTENSIONS


def is_recording(path: Path) -> bool:
    """Tell whether a path is named as a recording, and is a file or a link to nothing."""
    return is_recording_name(path) and (path.is_file() or (path.is_symlink() and not path.exists()))


def find_recordings(path: str | os.PathLike[str], recursive: bool = False) -> list[Path]:
    """Return the recordings that a path means.

    Parameters
    ----------
    path
        A file, which is taken whatever its extension, or a directory.
    recursive
        Also look in the directories below; hidden ones are left out.

    Returns
    -------
    list of Path
        Regular files, sorted by path. Directories, pipes and hidden files are left out, whatever their name.
        A link to nothing is a recording that is missing: reading it says so.

    Raises
    ------
    InputError
        The path does not exist, cannot be listed, or holds no recording.
    """
    root = Path(path)
    try:
        if root.is_file():
            return [root]
        if not root.is_dir():
            kind = "is neither a file nor a directory" if root.exists() else "does not exist"
            raise InputError(f"{shown(root)} {kind}; give a recording or a directory of recordings")
        found = sorted(_walk(root) if recursive else _listed(root))
    except OSError as error:
        raise InputError(
            f"{shown(error.filename or root)} cannot be listed ({error.strerror or error})"
        ) from error
    if not found:
        deeper = "" if recursive else " directly in it (--recursive looks further down)"
        raise InputError(f"{shown(root)} holds no recordings{deeper}; extensions looked for: {_extensions()}")
    return found


def composed(name: str) -> str:
    """Return a name with its accents composed, so that names from different file systems can be compared.

    macOS, and archives made there, write "ü" as a u and a mark; keyboards and tables write one character.
    """
    return unicodedata.normalize("NFC", name)


def check_stems(paths: Iterable[str | os.PathLike[str]]) -> None:
    """Refuse two recordings of equal stem in one directory, since their results would have the same name.

    Raises
    ------
    InputError
        Names the two files.
    """
    seen: dict[tuple[Path, str], Path] = {}
    for path in map(Path, paths):
        other = seen.setdefault((path.parent, composed(path.stem)), path)
        if other != path:
            raise InputError(
                f"{shown(other)} and {shown(path.name)} have the same name without extension, so their "
                f"results would overwrite each other; rename or move one"
            )


def _listed(directory: Path) -> list[Path]:
    return [entry for entry in directory.iterdir() if is_recording(entry)]


def _walk(root: Path) -> list[Path]:
    found: list[Path] = []

    def fail(error: OSError) -> None:
        raise error

    for folder, below, names in os.walk(root, onerror=fail):
        below[:] = [name for name in below if not name.startswith(".")]
        found += [path for path in (Path(folder, name) for name in names) if is_recording(path)]
    return found


def _extensions() -> str:
    return " ".join(sorted(extension[1:] for extension in AUDIO_EXTENSIONS))
