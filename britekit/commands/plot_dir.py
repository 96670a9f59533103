"""Plot the spectrograms of all recordings in a directory.

Draws one picture per segment, named {recording}-{offset}.jpeg; with --all one per recording, with --sheet
pages of many small ones. Existing pictures are kept, so an interrupted run can be continued.

    britekit plot-dir -i recordings -o plots --sheet --power 0.5
"""

from typing import Annotated, Optional

from britekit.commands._time_expansion import takes_time_expansion
from britekit.options import ConfigPath, NoAxes, PicturesDir, PlotOverlap, Power, TimeExpansion, opt


@takes_time_expansion
def plot_dir(
    cfg_path: ConfigPath = None,
    ndims: NoAxes = False,
    input_path: Annotated[str, opt("-i", "--input", required=True, metavar="DIR", help="directory of recordings")] = "",
    output_path: PicturesDir = "",
    all: Annotated[bool, opt("--all", help="one picture of each whole recording")] = False,
    overlap: PlotOverlap = 0.0,
    power: Power = 1.0,
    csv_path: Annotated[
        Optional[str],
        opt("--csv", metavar="FILE", help="only the segments that this table lists (columns recording, offset)"),
    ] = None,
    sheet: Annotated[bool, opt("--sheet", help="many segments on a page, {directory}-sheet.jpeg")] = False,
    time_expansion: TimeExpansion = None,
) -> int:
    """Plot each recording of a directory; return how many pictures, or segments on sheets, were made."""
    from contextlib import nullcontext
    from pathlib import Path

    from britekit.audio.files import Failures, find_recordings, shown, without_same_named
    from britekit.commands._audio_progress import are_many, seconds_meter
    from britekit.commands._pictures import check_whole, checked_output, report
    from britekit.config import resolve
    from britekit.datasets.plans import wanted_by_csv
    from britekit.errors import InputError
    from britekit.plots.recordings import PictureStyle, plot_recordings
    from britekit.progress import track

    cfg = resolve(cfg_path)
    root = Path(input_path)
    if not input_path or not root.is_dir():
        raise InputError(f'"{input_path}" is not a directory; for one recording there is plot-rec')
    if all and csv_path:
        raise InputError("--all draws whole recordings and --csv segments of them; give one of the two")
    check_whole(all, sheet, overlap, csv_path)
    paths = find_recordings(root)
    failures, offsets = Failures(), None
    if csv_path:
        wanted = wanted_by_csv(root, csv_path)
        wanted.report(root)
        failures.failures += wanted.unclear.items()
        offsets, paths = wanted.offsets, list(wanted.offsets)
        if not paths:
            raise InputError(f"{csv_path} names no recording of {shown(root)}; there is nothing to plot")
    # Pictures bear the name without extension.
    paths = without_same_named(paths, failures)
    many = are_many(paths)
    style, directory = PictureStyle(not ndims, power), checked_output(output_path)
    with nullcontext() if many else seconds_meter(paths, "plot-dir") as advance:
        drawn = plot_recordings(
            track(paths, what="plot-dir") if many else paths,
            directory,
            cfg.audio,
            style,
            overlap=overlap,
            whole=all,
            sheet=f"{root.resolve().name or 'recordings'}-sheet" if sheet else None,
            offsets=offsets,
            on_seconds=advance,
        )
    drawn.failures += failures.failures
    report(drawn)
    drawn.raise_for_failures(len(paths) + len(failures.failures))
    return drawn.made
