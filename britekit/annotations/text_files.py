"""Text files that people save from many programs: UTF-8, UTF-16, or Windows-1252 where that is safe."""

import codecs
import logging
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from britekit.errors import InputError
from britekit.files import require_file

_CHUNK = 1 << 20
# Bytes without a character in Windows-1252, or of control; runs of three, or pairs valid in UTF-8: another
# encoding.
_NOT_WESTERN = re.compile(rb"[\x00-\x08\x0b\x0e-\x1f\x7f\x81\x8d\x8f\x90\x9d]|[\x80-\xff]{3}|[\xc2-\xf4][\x80-\xbf]")

log = logging.getLogger(__name__)


@dataclass
class TextFile:
    """The lines of a text file, and what a person should know of how it was read."""

    path: Path
    lines: list[str]
    """Without line ends; row n is ``lines[n - 1]``."""
    notes: dict[str, None] = field(default_factory=dict)
    """Sentences without subject, each once."""

    def note(self, sentence: str) -> None:
        """Remember what to report of this file."""
        self.notes[sentence] = None

    def report(self) -> None:
        """Log what was noted, one line for the file."""
        if self.notes:
            log.info("%s: %s", self.path, "; ".join(self.notes))
            self.notes.clear()


def read_text(path: str | Path) -> TextFile:
    """Read a text file; a byte-order mark and any line ends are accepted.

    Raises `InputError` if the file is missing, cannot be read, or is not text.
    """
    path = Path(path)
    encoding, note = encoding_of(path)
    try:
        text = path.read_bytes().decode(encoding).removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not valid {encoding.upper()} text (byte {error.start})") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from None
    if "\0" in text:
        line = text[: text.index("\0")].count("\n") + 1
        raise InputError(f"{path}, line {line}: not text, since it holds zero bytes; restore the file")
    file = TextFile(path, text.replace("\r\n", "\n").replace("\r", "\n").split("\n"))
    if note:
        file.note(note)
    return file


def encoding_of(path: str | Path, expected: str = "a file of annotations") -> tuple[str, str]:
    """Return the encoding of a text file, and a note where that is not UTF-8; memory stays constant.

    Raises `InputError` if the file is missing, cannot be read, or is not text.

    Parameters
    ----------
    expected
        What a missing file should be, for the message.
    """
    decoder = codecs.getincrementaldecoder("utf-8")()
    at, problem, western = 0, -1, True
    try:
        with open(require_file(path), "rb") as file:
            chunk = head = file.read(4096)
            if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
                return "utf-16", "is UTF-16 text"
            for encoding, zeros in (("utf-16-le", head[1::2]), ("utf-16-be", head[0::2])):
                # Of Latin text, every second byte is zero.
                if len(head) > 3 and zeros.count(0) > 0.8 * len(zeros):
                    return encoding, f"is {encoding.upper()} text without a mark"
            while chunk and (problem < 0 or western):
                if problem < 0:
                    kept = len(decoder.getstate()[0])
                    try:
                        decoder.decode(chunk)
                    except UnicodeDecodeError as error:
                        problem = at - kept + error.start
                western = western and (chunk.isascii() or not _NOT_WESTERN.search(chunk))
                at += len(chunk)
                chunk = file.read(_CHUNK)
            if problem < 0 and decoder.getstate()[0]:
                problem = at
    except FileNotFoundError:
        raise InputError(f"{path} does not exist; expected {expected}") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from None
    if problem < 0:
        return "utf-8-sig", ""
    if western:
        return "cp1252", "is not UTF-8 text; read as Windows-1252"
    raise InputError(
        f"{path} is not UTF-8 text (byte {problem}); save it as UTF-8, in a spreadsheet as "
        '"CSV UTF-8 (comma delimited)"'
    )


def with_points(texts: Iterable[str]) -> tuple[list[str], bool]:
    """Return the numbers of a file with decimal points, and whether they had decimal commas.

    Commas are left where they could separate thousands: beside points, twice in a number, or as ``1,020``
    beside ``950``. Such a text then fails as a number, with its row.
    """
    found = list(texts)
    commas = [text for text in found if "," in text]
    if not commas or any("." in text or text.count(",") > 1 for text in commas) or any("." in t for t in found):
        return found, False
    thousands = re.compile(r"-?[1-9]\d{0,2},\d{3}")
    if all(thousands.fullmatch(text) for text in commas) and any(t and "," not in t for t in found):
        return found, False
    return [text.replace(",", ".") for text in found], True
