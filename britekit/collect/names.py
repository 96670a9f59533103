"""Check names of recordings and class folders from any source."""

from dataclasses import replace
from pathlib import Path

from britekit.audio.files import is_recording_name
from britekit.collect.offers import Offer, refused
from britekit.errors import InputError


def named_safely(offer: Offer, number: int, in_class: bool) -> Offer:
    """Return an offer that fails when it is fetched if its recording cannot be stored under its name.

    Raises `InputError` if its class cannot be the name of a folder.

    Parameters
    ----------
    number
        Unique among the offers; such a recording is called by it.
    in_class
        It is stored in a folder of its class.
    """
    name = offer.file_name
    if not is_recording_name(name) or name != Path(name).name or "\\" in name or not name.isprintable():
        reason = f"{name!r} cannot be the name of a recording; rename it"
        offer = replace(refused(offer, reason), file_name=f"unusable-{number}.wav")
    if in_class and not _is_folder_name(offer.class_name):
        raise InputError(
            f'class "{offer.class_name}" is not a valid name of a folder; use a name of at most '
            '200 letters without / \\ : * ? " < > |, and without a dot or space at its ends'
        )
    return offer


def _is_folder_name(name: str) -> bool:
    clean = name.isprintable() and not set(name) & set('/\\:*?"<>|')
    return clean and name == name.strip(" .") and 0 < len(name.encode()) <= 200
