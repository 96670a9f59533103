"""Shared code of the commands that draw spectrograms."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from britekit.plots.recordings import Drawn


def checked_output(output_path: str) -> Path:
    """Return the directory of the pictures; raises `InputError` if it is not given or is a file."""
    from britekit.errors import InputError

    path = Path(output_path)
    if not output_path or (path.exists() and not path.is_dir()):
        raise InputError(f'output "{output_path}" is not a directory; give one for the pictures with -o')
    return path


def report(drawn: "Drawn") -> None:
    """Print how many pictures were made, and how many were there already."""
    from britekit.audio.files import shown
    from britekit.errors import counted

    print(f"Plotted {counted(drawn.made, 'spectrogram')}")
    if drawn.kept:
        print(f"kept = {drawn.kept}")
    for page in drawn.pages:
        print(f"sheet = {shown(page)}")


def check_whole(whole: bool, sheet: bool, overlap: float, csv_path: str | None = None) -> None:
    """Refuse pages of whole recordings, and warn of an overlap where no windows follow each other."""
    import logging

    from britekit.errors import InputError

    if whole and sheet:
        raise InputError("--all draws whole recordings and --sheet segments of them; give one of the two")
    if overlap and (whole or csv_path):
        flag = "--all" if whole else "--csv"
        logging.getLogger(__name__).warning("--overlap changes nothing with %s", flag)
