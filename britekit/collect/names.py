"""Check names of recordings and class folders from any source."""

from pathlib import Path

from britekit.audio.files import is_recording_name
from britekit.collect.offers import Offer
from britekit.errors import InputError


def check_names(offer: Offer, is_test: bool) -> None:
    """Raise for a recording that cannot be stored under its name or in a folder of its class.

    Raises
    ------
    InputError
    """
    name = offer.file_name
    if not is_recording_name(name) or name != Path(name).name or "\\" in name or not name.isprintable():
        raise InputError(f"{offer.origin}: {name!r} is not a valid name of a recording")
    if not is_test and not _is_folder_name(offer.class_name):
        raise InputError(
            f'class "{offer.class_name}" is not a valid name of a folder; use a name of at most '
            '200 letters without / \\ : * ? " < > |, and without a dot or space at its ends'
        )


def _is_folder_name(name: str) -> bool:
    clean = name.isprintable() and not set(name) & set('/\\:*?"<>|')
    return clean and name == name.strip(" .") and 0 < len(name.encode()) <= 200
