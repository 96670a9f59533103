"""Names that recordings and the folders of their classes may bear, wherever they come from."""

from pathlib import Path

from britekit.audio.files import is_recording_name
from britekit.collect.offers import Offer
from britekit.errors import InputError


def check_names(offer: Offer, is_test: bool) -> None:
    """Refuse a recording that cannot be stored under its name, or in a folder of its class.

    Raises
    ------
    InputError
    """
    name = offer.file_name
    if not is_recording_name(name) or name != Path(name).name or "\\" in name or not name.isprintable():
        raise InputError(f"{offer.origin}: {name!r} cannot be the name of a recording")
    if not is_test and not _is_folder_name(offer.class_name):
        raise InputError(
            f'class "{offer.class_name}" cannot be the name of a folder; use a name of at most '
            '200 letters without / \\ : * ? " < > |, and without a dot or space at its ends'
        )


def _is_folder_name(name: str) -> bool:
    clean = name.isprintable() and not set(name) & set('/\\:*?"<>|')
    return clean and name == name.strip(" .") and 0 < len(name.encode()) <= 200
