"""Find recordings, and format paths for messages."""

from __future__ import annotations

import logging
import os
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from britekit.errors import InputError

log = logging.getLogger(__name__)

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


@dataclass(kw_only=True)
class Failures:
    """Recordings that a run could not use, with the reasons."""

    failures: list[tuple[Path, str]] = field(default_factory=list)

    def fail(self, path: Path, error: Exception, what: str = "is left out") -> None:
        """Record and log a failure; the run continues with the other recordings."""
        reason = str(error) or type(error).__name__
        self.failures.append((path, reason))
        reason = reason.removeprefix(shown(path)).lstrip(": ").removeprefix("is ")
        log.warning("%s %s: %s", shown(path), what, reason)

    def raise_for(self, total: int, what: str) -> None:
        """Raise `InputError` if any of ``total`` recordings failed; ``what`` names the operation."""
        if self.failures:
            first = shown(self.failures[0][0])
            raise InputError(
                f"{len(self.failures)} of {total} recordings could not be {what}, the first is {first}; "
                "repair or remove them and repeat the command"
            )


def check_name(path: str | os.PathLike[str]) -> None:
    """Raise for a name that databases and text tables cannot hold.

    Raises `InputError` if the name has bytes that are not valid UTF-8.
    """
    try:
        os.fspath(path).encode("utf-8")
    except UnicodeEncodeError:
        raise InputError(f"{shown(path)} has bytes in its name that are not valid UTF-8; rename it") from None


def is_recording_name(path: str | os.PathLike[str]) -> bool:
    """Return whether a name has an audio extension and is not hidden.

    macOS creates ``._x.wav`` beside every ``x.wav`` on a card.
    """
    name = Path(path).name
    return not name.startswith(".") and Path(name).suffix.lower() in AUDIO_EXTENSIONS


def is_recording(path: Path) -> bool:
    """Return whether a path is named like a recording, and is a file or a dangling link."""
    return is_recording_name(path) and (path.is_file() or (path.is_symlink() and not path.exists()))


def find_recordings(path: str | os.PathLike[str], recursive: bool = False, none_is_fine: bool = False) -> list[Path]:
    """Return the recordings at a path.

    Raises `InputError` if the path does not exist, cannot be listed, or contains no recordings.

    Parameters
    ----------
    path
        A file with any extension, or a directory.
    recursive
        Also search subdirectories, and link targets once; hidden directories are skipped.
    none_is_fine
        Whether a directory may hold none.

    Returns
    -------
    list of Path
        Regular files, sorted by path. Directories, pipes and hidden files are skipped, whatever their name. A dangling
        link counts as a missing recording, so that reading it fails.
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
        raise InputError(f"{shown(error.filename or root)} cannot be listed ({error.strerror or error})") from error
    if not found and not none_is_fine:
        deeper = "" if recursive else " directly in it (--recursive also searches subdirectories)"
        raise InputError(f"{shown(root)} contains no recordings{deeper}; extensions looked for: {_extensions()}")
    return found


def composed(name: str) -> str:
    """Return a name in Unicode form NFC, so that names from different file systems can be compared.

    macOS, and archives made there, store "ü" as a u and a combining mark; keyboards and tables use one character.
    """
    return unicodedata.normalize("NFC", name)


def name_key(name: str) -> str:
    """Return a name without what never tells two recordings apart: the form of its accents, spaces at its ends."""
    return composed(name).strip()


def same_named(paths: Iterable[Path], with_extension: bool = False) -> dict[Path, str]:
    """Return the recordings that a name cannot tell from another in their directory, each with the reason.

    Results and annotations bear the name without extension, so those of ``a.wav`` and ``a.mp3`` would be mixed up.
    Such recordings fail, and the others are used.

    Parameters
    ----------
    with_extension
        Compare whole names: only accents and spaces at the ends make two of them the same.
    """
    groups: dict[tuple[Path, str], list[Path]] = {}
    for path in dict.fromkeys(paths):
        groups.setdefault((path.parent, name_key(path.name if with_extension else path.stem)), []).append(path)
    alike = "name, but for accents and spaces" if with_extension else "name without extension"
    return {
        path: f"{shown(next(other.name for other in group if other != path))} beside it has the same {alike}, so "
        "that neither can be told from the other; rename or move one"
        for group in groups.values() if len(group) > 1 for path in group
    }  # fmt: skip


def without_same_named(paths: Iterable[Path], failures: Failures, with_extension: bool = False) -> list[Path]:
    """Return the recordings that a name tells from the others; note the rest as failed."""
    paths = list(paths)
    alike = same_named(paths, with_extension)
    for path, reason in alike.items():
        failures.fail(path, InputError(reason))
    return [path for path in paths if path not in alike]


def _listed(directory: Path) -> list[Path]:
    return [entry for entry in directory.iterdir() if is_recording(entry)]


def _walk(root: Path) -> list[Path]:
    """Return the recordings in and below a folder, each once, by its own path rather than a link's."""
    found: dict[str, Path] = {}
    links: list[Path] = []
    for folder, entries in walk_folders(root):
        real = os.path.realpath(folder)
        for entry in entries:
            path = folder / entry.name
            if is_recording(path):
                if entry.is_symlink():
                    links.append(path)
                else:
                    found[os.path.join(real, entry.name)] = path
            elif entry.is_symlink() and not path.exists() and not entry.name.startswith("."):
                log.warning("%s is a dangling link; skipped", shown(path))
    for path in sorted(links):
        kept = found.setdefault(os.path.realpath(path), path)
        if kept is not path:
            log.warning("%s is a link to %s, which is already included; skipped", shown(path), shown(kept))
    return list(found.values())


def walk_folders(root: Path) -> Iterator[tuple[Path, list[os.DirEntry[str]]]]:
    """Yield a folder and all folders below, each with its files sorted by name.

    Links to folders are followed once; a folder that is also reached without a link keeps its own path. Hidden folders
    are skipped.

    Raises `OSError` if a folder cannot be listed.
    """
    seen: set[tuple[int, int]] = set()
    waiting, linked = [root], list[Path]()
    while waiting or linked:
        # Real folders come before link targets.
        folder = waiting.pop() if waiting else linked.pop(0)
        about = folder.stat()
        if (about.st_dev, about.st_ino) in seen:
            continue
        seen.add((about.st_dev, about.st_ino))
        with os.scandir(folder) as listing:
            entries = sorted(listing, key=lambda entry: entry.name)
        below = [entry for entry in entries if entry.is_dir() and not entry.name.startswith(".")]
        waiting += [folder / entry.name for entry in reversed(below) if not entry.is_symlink()]
        linked += [folder / entry.name for entry in below if entry.is_symlink()]
        yield folder, [entry for entry in entries if not entry.is_dir()]


def _extensions() -> str:
    return " ".join(sorted(extension[1:] for extension in AUDIO_EXTENSIONS))
