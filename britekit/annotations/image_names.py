"""Which segment a spectrogram image shows, told by its name.

People sort images of spectrograms by hand; the names that come back say what to keep or delete. Several
commands write such names, and their forms overlap: ``1-123-4.00.jpeg`` is second 4 of ``1-123``, or pair 1 of
recording ``123``. So every reading is offered, and the recording that exists decides.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

from britekit.annotations.names import strip_extension
from britekit.audio.files import shown
from britekit.errors import InputError

IMAGE_EXTENSIONS = (".jpeg", ".jpg", ".png")

# No recording is longer than 1e12 s; a number with more digits is not an offset.
_NUMBER = r"[0-9]{1,12}(?:\.[0-9]{1,12})?"
# A recording's name may hold anything, line breaks too.
_PLAIN = re.compile(rf"(.+)-({_NUMBER})", re.DOTALL)
_UNDERSCORE = re.compile(rf"(.+)_({_NUMBER})", re.DOTALL)
_OCCLUDED = re.compile(rf"(.+)-({_NUMBER})-seg[0-9]+", re.DOTALL)
_SCORED = re.compile(rf"[0-9]+-(.+)-({_NUMBER})-{_NUMBER}", re.DOTALL)
_PAIRED = re.compile(rf"[0-9]+-(.+)-({_NUMBER})", re.DOTALL)


def images_in(folder: str | os.PathLike[str]) -> list[str]:
    """Return the names of the images in a folder, sorted.

    Raises `InputError` if there is no such folder, or no image in it.
    """
    directory = Path(folder)
    if not directory.is_dir():
        raise InputError(f"{shown(directory)} is not a directory; give one that holds spectrogram images")
    try:
        names = sorted(os.listdir(directory))
    except OSError as error:
        raise InputError(f"{shown(directory)} cannot be listed ({error.strerror or error})") from error
    names = [name for name in names if name[0] != "." and name.lower().endswith(IMAGE_EXTENSIONS)]
    if not names:
        raise InputError(f"{shown(directory)} contains no images; extensions looked for: {' '.join(IMAGE_EXTENSIONS)}")
    return names


def parse_image_name(
    name: str | os.PathLike[str], known: Callable[[str], bool] | Collection[str]
) -> tuple[str, float] | None:
    """Return the recording and the offset that an image is named after.

    Parameters
    ----------
    name
        File name of the image, with its extension; folders before it are ignored.
    known
        The stems of existing recordings, or a function that returns whether a name means one.

    Returns
    -------
    tuple of str and float, or None
        Stem as it is known, and seconds. None if the name has no reading (see `image_name_readings`) or no
        reading names a known recording.
    """
    exists = known if callable(known) else known.__contains__
    for stem, offset in image_name_readings(name):
        # File systems and archives change the way accents are composed.
        for form in dict.fromkeys((stem, unicodedata.normalize("NFC", stem), unicodedata.normalize("NFD", stem))):
            if exists(form):
                return form, offset
    return None


def image_name_readings(name: str | os.PathLike[str]) -> list[tuple[str, float]]:
    """Return what an image name may mean, (stem, seconds), the likeliest first.

    Empty if it cannot be read: no image extension, or no number where an offset belongs. The names are those
    of ``plot-db``, ``plot-rec``, ``plot-dir``, ``plot-test``, ``search``, ``analyze-db``, ``dedup-seg`` and
    ``plot-occlude``.
    """
    stem, extension = os.path.splitext(os.path.basename(os.fspath(name)))
    if extension.lower() not in IMAGE_EXTENSIONS:
        return []
    return list(dict.fromkeys(_readings(stem)))


def _readings(text: str) -> Iterator[tuple[str, float]]:
    # search: rank~stem-offset~distance. A recording may have a tilde in its own name.
    inner = text.partition("~")[2].rpartition("~")[0]
    for part in (inner, text) if inner else (text,):
        for pattern in (_PLAIN, _OCCLUDED, _SCORED, _PAIRED, _UNDERSCORE):
            found = pattern.fullmatch(part)
            if found is not None:
                offset = float(found[2])
                yield found[1], offset
                # dedup-seg writes the file name, with its extension.
                yield strip_extension(found[1]), offset
