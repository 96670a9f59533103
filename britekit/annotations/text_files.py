"""Text files that people save from many programs, read as UTF-8 or refused in one sentence."""

from pathlib import Path

from britekit.errors import InputError
from britekit.files import require_file

_WIDE = (b"\xff\xfe", b"\xfe\xff")


def read_text(path: str | Path) -> str:
    """Return a text file's content; a byte-order mark and any line ends are accepted.

    Raises
    ------
    InputError
        The file is missing, cannot be read, or is not UTF-8.
    """
    try:
        data = require_file(path).read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path} does not exist; expected a file of annotations") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from None
    if data.startswith(_WIDE):
        raise InputError(f"{path} is UTF-16 text; save it as UTF-8")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text (byte {error.start}); save it as UTF-8") from None
    if "\0" in text:
        raise InputError(f"{path} is not text: it holds zero bytes; give a file of annotations")
    return text.replace("\r\n", "\n").replace("\r", "\n")
