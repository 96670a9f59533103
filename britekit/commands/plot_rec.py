"""Plot the spectrograms of a recording.

One picture per segment, named {recording}-{offset}.jpeg; with --all one of the whole recording, with --sheet
pages of many small ones. Pictures that exist are kept.

    britekit plot-rec -i recordings/dawn.wav -o plots --overlap 2.5
"""

from dataclasses import dataclass
from typing import Optional

from britekit.options import config_option, option


@dataclass(kw_only=True)
class Options:
    """Options of `plot-rec`."""

    cfg_path: Optional[str] = config_option()
    ndims: bool = option("--ndims", default=False, help="leave out the axes")
    input_path: str = option("-i", "--input", required=True, metavar="FILE", help="recording")
    output_path: str = option(
        "-o", "--output", required=True, metavar="DIR", help="directory of the pictures"
    )
    all: bool = option("--all", default=False, help="one picture of the whole recording")
    overlap: float = option(
        "--overlap", default=0.0, metavar="SECONDS", help="shared by neighbouring segments (default: 0)"
    )
    power: float = option(
        "--power",
        default=1.0,
        metavar="EXPONENT",
        help="for the eye: below 1 shows faint sounds (default: 1)",
    )
    sheet: bool = option("--sheet", default=False, help="many segments on a page, {recording}-sheet.jpeg")


def plot_rec(
    cfg_path: Optional[str] = None,
    ndims: bool = False,
    input_path: str = "",
    output_path: str = "",
    all: bool = False,
    overlap: float = 0.0,
    power: float = 1.0,
    sheet: bool = False,
) -> int:
    """Plot the spectrograms of a recording; return how many pictures, or segments on sheets, were made."""
    from pathlib import Path

    from britekit.commands._audio_progress import seconds_meter
    from britekit.commands._pictures import check_whole, checked_output, report
    from britekit.config import resolve
    from britekit.errors import InputError
    from britekit.plots.recordings import PictureStyle, plot_recordings

    cfg = resolve(cfg_path)
    path = Path(input_path)
    if not input_path or path.is_dir():
        raise InputError(f'"{input_path}" is not a recording; for a directory there is plot-dir')
    check_whole(all, sheet, overlap)
    style, directory = PictureStyle(not ndims, power), checked_output(output_path)
    with seconds_meter([path], "plot-rec") as advance:
        drawn = plot_recordings(
            [path],
            directory,
            cfg.audio,
            style,
            overlap=overlap,
            whole=all,
            sheet=f"{path.stem}-sheet" if sheet else None,
            raise_at_once=True,
            on_seconds=advance,
        )
    report(drawn)
    return drawn.made
