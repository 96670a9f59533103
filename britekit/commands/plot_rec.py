"""Plot the spectrograms of a recording.

Draws one picture per segment, named {recording}-{offset}.jpeg; with --all one of the whole recording, with
--sheet pages of many small ones. Existing pictures are kept.

    britekit plot-rec -i recordings/dawn.wav -o plots --overlap 2.5
"""

from typing import Annotated

from britekit.commands._time_expansion import takes_time_expansion
from britekit.options import ConfigPath, NoAxes, PicturesDir, PlotOverlap, Power, TimeExpansion, opt


@takes_time_expansion
def plot_rec(
    cfg_path: ConfigPath = None,
    ndims: NoAxes = False,
    input_path: Annotated[str, opt("-i", "--input", required=True, metavar="FILE", help="recording")] = "",
    output_path: PicturesDir = "",
    all: Annotated[bool, opt("--all", help="one picture of the whole recording")] = False,
    overlap: PlotOverlap = 0.0,
    power: Power = 1.0,
    sheet: Annotated[bool, opt("--sheet", help="many segments on a page, {recording}-sheet.jpeg")] = False,
    time_expansion: TimeExpansion = None,
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
