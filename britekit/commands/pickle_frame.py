"""Write frame labels: in which frames of its segments a class is heard, for train --frame-labels.

They come from the tables that analyze-db --occlude writes (-i), or from annotations of recordings that the training
database holds (-a). With tables, the frames that carry the score of the class count: those between the frame that
loses it when everything up to it is blanked, and the one that loses it when everything from it on is blanked. The
number of frames is audio.spec_duration × train.sed_fps. Prints how many segments are labeled over their whole length.

    britekit analyze-db -o results/occluded --occlude
    britekit pickle-frame -i results/occluded -o data/frames.pkl
    britekit pickle-frame -a data/recordings/annotations.csv -o data/frames.pkl
    britekit train --frame-labels data/frames.pkl
"""

from typing import Annotated, Optional

from britekit.options import ConfigPath, DbPath, FramePad, LostShare, opt


def pickle_frame(
    input_dir: Annotated[
        Optional[str], opt("-i", "--input", metavar="DIR", help="directory of tables that analyze-db --occlude wrote")
    ] = None,
    output_path: Annotated[str, opt("-o", "--output", required=True, metavar="FILE", help="file to write")] = "",
    cfg_path: ConfigPath = None,
    alpha: LostShare = 0.05,
    csv_dir: Annotated[
        Optional[str],
        opt("--csv", metavar="DIR", help="also write a table of frame labels per class to this directory"),
    ] = None,
    names_path: Annotated[
        Optional[str], opt("--names", metavar="FILE", help="text file of table names, one per line (default: all)")
    ] = None,
    pad: FramePad = 0,
    annotations_path: Annotated[
        Optional[str], opt("-a", "--annotations", metavar="FILE", help="annotations per segment, in place of -i")
    ] = None,
    db_path: DbPath = None,
) -> int:
    """Write frame labels; return the number of segments that have some."""
    from pathlib import Path

    from britekit.annotations.text_files import read_text
    from britekit.config import resolve
    from britekit.database.session import open_database
    from britekit.datasets.frame_labels import write_frame_labels
    from britekit.datasets.framing import frames_by_annotations, frames_by_occlusion
    from britekit.datasets.occlusion import check_active_options
    from britekit.errors import InputError
    from britekit.files import refuse_overwriting

    cfg = resolve(cfg_path)
    if not output_path or (input_dir is None) == (annotations_path is None):
        raise InputError("name the file to write with -o, and either tables with -i or annotations with -a")
    check_active_options(alpha, pad)
    database = db_path or cfg.train.train_db
    refuse_overwriting(output_path, cfg_path, annotations_path, names_path, database)
    frames = max(1, round(cfg.audio.spec_duration * cfg.train.sed_fps))
    if input_dir is not None:
        if not Path(input_dir).is_dir():
            raise InputError(f'-i "{input_dir}" is not a directory')
        names = None
        if names_path is not None:
            names = [line.strip() for line in read_text(names_path).lines if line.strip()]
        found = frames_by_occlusion(Path(input_dir), names, frames, alpha, pad)
    else:
        if names_path is not None:
            raise InputError("--names selects tables of -i; it cannot be combined with -a")
        with open_database(database, "read") as session:
            found = frames_by_annotations(
                session, Path(str(annotations_path)), frames, cfg.audio.spec_duration, cfg.misc.map_codes or {}
            )
    write_frame_labels(output_path, found.labels)
    if csv_dir is not None:
        found.write_tables(Path(csv_dir))
    for code, (segments, whole) in found.counts().items():
        print(f"{code} = {segments} segments, {whole} ({whole / segments:.0%}) over their whole length")
    print(f"segments = {len(found.labels)}")
    print(f"frames = {frames}")
    print(f"written = {output_path}")
    return len(found.labels)
