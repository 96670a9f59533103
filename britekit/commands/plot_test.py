"""Plot the annotated segments of test recordings.

Draws one picture per segment that contains enough of an annotated class to count in tests, named
{recording}-{start}.jpeg, in a folder per class. Existing pictures are kept. misc.map_codes renames classes.
Recordings are searched for beside the annotations.

    britekit plot-test -a data/test/annotations.csv -o plots/test --name Ovenbird
"""

from typing import Annotated, Optional

from britekit.options import Annotations, ConfigPath, NoAxes, PicturesDir, Power, opt


def plot_test(
    cfg_path: ConfigPath = None,
    ndims: NoAxes = False,
    annotations_path: Annotations = "",
    output_path: PicturesDir = "",
    class_name: Annotated[
        Optional[str],
        opt(
            "--name",
            metavar="NAME",
            help="only this class, as annotated; its pictures go directly into the output directory",
        ),
    ] = None,
    power: Power = 1.0,
) -> int:
    """Plot annotated segments; return how many pictures were made."""
    from dataclasses import replace

    from britekit.audio.windows import Windows
    from britekit.commands._pictures import checked_output, report
    from britekit.config import resolve
    from britekit.errors import InputError
    from britekit.evaluation.annotated_segments import annotated_segments
    from britekit.plots.recordings import Drawn, PictureStyle, SegmentPictures, plot_segments
    from britekit.progress import track

    if not annotations_path:
        raise InputError("annotations are needed; name them with -a")
    cfg = resolve(cfg_path)
    directory = checked_output(output_path)
    length_s = cfg.infer.segment_len or cfg.audio.spec_duration
    audio = replace(cfg.audio, spec_duration=length_s)
    style, drawn = PictureStyle(not ndims, power), Drawn()
    found = annotated_segments(annotations_path, length_s, class_name, cfg.misc.map_codes)
    for segments in track(found, what="plot-test"):
        folder = directory if class_name is not None else directory / segments.folder
        pictures = SegmentPictures(folder, audio, style, drawn)
        try:
            plot_segments(pictures, Windows(segments.path, audio, segments.starts, read_on=False), 2)
        except InputError as error:
            drawn.fail(segments.path, error)
    report(drawn)
    drawn.raise_for_failures(len(found))
    return drawn.made
