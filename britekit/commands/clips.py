"""Cut detections out of recordings, as WAV or FLAC.

Reads the output of analyze, or labels of other programs, and writes each detection to its own file, in a
folder per class, with clips.csv as index (file, recording, start, end, name, score, time). Samples are copied
unchanged; time, place and device of the recording are kept. Detections of a class that touch form one clip.
Clips that cannot be cut are listed in not_cut.csv, and the exit code is 1.

    britekit clips -i recordings -l results/labels -o clips --by bins --num 50 --pad 1
"""

from typing import Annotated, Any, Optional

from britekit.commands._time_expansion import takes_time_expansion
from britekit.options import AnyLabels, ClassNames, FillDir, LowestScore, TimeExpansion, opt


@takes_time_expansion
def clips(
    input_path: Annotated[
        str,
        opt("-i", "--input", required=True, metavar="PATH", help="recordings: a file, or a folder with its subfolders"),
    ] = "",
    label_dir: AnyLabels = "",
    output_path: FillDir = "",
    by: Annotated[
        str,
        opt(
            "--by",
            choices=["all", "random", "top", "bins", "site-day"],
            help="all, a random sample, the highest scores, evenly over bands of score, or a number per site "
            "and day (default: all)",
        ),
    ] = "all",
    num: Annotated[
        Optional[int],
        opt("--num", metavar="N", help="clips per class; with site-day per class, site and day (default: all)"),
    ] = None,
    name: ClassNames = None,
    min_score: LowestScore = 0.0,
    pad: Annotated[float, opt("--pad", metavar="S", help="seconds before and after (default: 0)")] = 0.0,
    file_format: Annotated[
        str, opt("--format", choices=["wav", "flac"], help="format of the clips (default: wav)")
    ] = "wav",
    seed: Annotated[int, opt("--seed", metavar="N", help="seed of the random sample (default: 0)")] = 0,
    time_expansion: TimeExpansion = None,
    no_voices: Annotated[
        Optional[str],
        opt("--no-voices", metavar="DIR", help="output of voices: leave out clips with voices (default: keep them)"),
    ] = None,
) -> list[Any]:
    """Cut detections out of recordings.

    Returns
    -------
    list of britekit.results.clips.Cut
        One for each detection chosen.

    Raises
    ------
    InputError
        Something cannot be read or written; or, after all others were cut, those that could not be.
    """
    from collections import Counter

    from britekit.errors import InputError
    from britekit.progress import Meter
    from britekit.results.cutting import FAILED, cut_detections

    if not (input_path and label_dir and output_path):
        raise InputError("recordings, labels and output folder are all needed")
    meter: Meter | None = None

    def advance(done: int, total: int) -> None:
        nonlocal meter
        meter = meter or Meter(total, "clips")
        meter.advance()

    try:
        cuts = cut_detections(
            input_path,
            label_dir,
            output_path,
            by="strata" if by == "bins" else by,
            num=num,
            names=[word.strip() for word in (name or "").split(",") if word.strip()],
            min_score=min_score,
            pad_s=pad,
            file_format=file_format,
            seed=seed,
            on_clip=advance,
            voices=no_voices,
        )
    finally:
        if meter is not None:
            meter.close()
    failed = [cut for cut in cuts if cut.file is None]
    counts = Counter(cut.clip.name for cut in cuts if cut.file is not None)
    for each in sorted(counts):
        fewer = num is not None and by != "site-day" and counts[each] < num
        print(f"{each} = {counts[each]}" + (f" (of {num} asked for; there are no more)" if fewer else ""))
    print(f"clips = {len(cuts) - len(failed)}")
    if failed:
        first = failed[0]
        raise InputError(
            f"{len(failed)} of {len(cuts)} clips could not be cut, the first of them {first.clip.recording} "
            f"at {first.clip.start:.2f} s: {first.reason}; all are listed in {output_path}/{FAILED}"
        )
    return cuts
