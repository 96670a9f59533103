"""Plot which frames of stored spectrograms carry the score of a class.

Reads the table of a class that analyze-db --occlude wrote. The frames that carry the score are tinted: those
between the frame that loses it when everything up to it is blanked, and the one that loses it when everything
from it on is blanked. Below the spectrogram stand the scores that were left. Pictures are named
{recording}-{offset}-seg{segment}.jpeg; existing ones are replaced.

    britekit analyze-db --name Ovenbird -o results/occluded --occlude
    britekit plot-occlude -i results/occluded/OVEN.csv -o plots/occluded
"""

from typing import Annotated, Optional

from britekit.options import ConfigPath, DbPath, FramePad, LostShare, PicturesDir, SpecGroup, opt


def plot_occlude(
    input_path: Annotated[
        str, opt("-i", "--input", required=True, metavar="FILE", help="table that analyze-db --occlude wrote")
    ] = "",
    output_path: PicturesDir = "",
    cfg_path: ConfigPath = None,
    db_path: DbPath = None,
    alpha: LostShare = 0.05,
    pad: FramePad = 0,
    spec_group: SpecGroup = "default",
    rec: Annotated[
        Optional[str], opt("--rec", metavar="NAME", help="only segments of this recording (file name)")
    ] = None,
) -> int:
    """Plot the frames that carry a score; return the number of pictures."""
    from pathlib import PurePath

    from britekit.commands._pictures import checked_output
    from britekit.config import resolve
    from britekit.database.session import open_database
    from britekit.datasets.occlusion import check_active_options, read_occlusions
    from britekit.datasets.occlusion_pictures import plot_occlusions
    from britekit.errors import InputError, counted, suggest
    from britekit.progress import track

    cfg, directory = resolve(cfg_path), checked_output(output_path)
    check_active_options(alpha, pad)
    rows = read_occlusions(input_path)
    if not rows:
        raise InputError(f"{input_path} lists no segments; there is nothing to plot")
    if rec is not None:
        names = {row.recording for row in rows}
        wanted = {name for name in names if rec in (name, PurePath(name).stem)}
        if not wanted:
            raise InputError(f'{input_path} has no segment of recording "{rec}"{suggest(rec, names)}')
        rows = [row for row in rows if row.recording in wanted]
    with open_database(db_path or cfg.train.train_db, "read") as session:
        count = plot_occlusions(
            session,
            rows,
            spec_group,
            cfg.audio,
            directory,
            PurePath(input_path).stem,
            alpha=alpha,
            pad=pad,
            show_progress=lambda numbers: track(numbers, what="plot-occlude"),
        )
    print(f"Plotted {counted(count, 'spectrogram')}")
    return count
