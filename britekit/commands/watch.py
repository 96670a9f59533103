"""Analyze recordings as they arrive in a folder, until stopped.

For folders into which cards are copied or recorders upload: each recording is analyzed once when it is complete, into
the same files as by analyze (labels, scores.csv, analyzed.csv and what --rtype names), which are kept up to date. A
file is complete when it has not changed for some seconds and its sound reaches the length that it states; one that
stays incomplete is named with its reason. A recording that changes later is analyzed again. Killed and started again,
it goes on; ctrl-C and SIGTERM end it with all tables up to date.

    britekit watch uploads -o labels --recursive --rtype csv,detections --min-score 0.7
"""

from typing import Annotated, Any, Optional

from britekit.commands._rtype import FormatNames
from britekit.commands._time_expansion import takes_time_expansion
from britekit.options import (
    ByThresholds,
    CkptPath,
    ConfigPath,
    LabelLength,
    MinScore,
    Raw,
    Threads,
    TimeExpansion,
    WindowOverlap,
    opt,
)


@takes_time_expansion
def watch(
    cfg_path: ConfigPath = None,
    input_path: Annotated[str, opt("-i", "--input", metavar="DIR", help="directory in which recordings arrive")] = "",
    output_path: Annotated[
        Optional[str], opt("-o", "--output", metavar="DIR", help="output directory (default: the same)")
    ] = None,
    rtype: FormatNames = "both",
    min_score: MinScore = None,
    num_threads: Threads = None,
    overlap: WindowOverlap = None,
    segment_len: LabelLength = None,
    ckpt_path: CkptPath = None,
    raw: Raw = False,
    thresholds: ByThresholds = False,
    recursive: Annotated[bool, opt("--recursive", help="also search the directories below")] = False,
    settle: Annotated[
        float,
        opt("--settle", metavar="SECONDS", help="for which a file must not change before it is read (default: 10)"),
    ] = 10.0,
    patience: Annotated[
        float,
        opt(
            "--patience",
            metavar="SECONDS",
            help="after which a file that stays incomplete is taken as it is (default: 600)",
        ),
    ] = 600.0,
    every: Annotated[
        float, opt("--every", metavar="SECONDS", help="between two looks at the directory (default: 5)")
    ] = 5.0,
    once: Annotated[
        bool, opt("--once", help="end when all recordings that are there are complete and analyzed")
    ] = False,
    no_resume: Annotated[
        bool, opt("--no-resume", help="discard what an earlier watch left in the output directory, and start over")
    ] = False,
    place: Annotated[
        Optional[str], opt("place", type=str, nargs="?", metavar="DIR", help="the same, without -i")
    ] = None,
    time_expansion: TimeExpansion = None,
) -> Any:
    """Analyze recordings as they arrive; see `britekit.inference.watching.watch_recordings`.

    Returns
    -------
    WatchSummary
        Recordings and labels, and what failed or is not complete.

    Raises
    ------
    InferenceError
        Some recordings could not be scored; the others are written.
    """
    from britekit.errors import InputError
    from britekit.formats import chosen
    from britekit.inference.ensemble import load_ensemble
    from britekit.inference.model_files import resolve_for_models
    from britekit.inference.watching import watch_recordings

    if input_path and place:
        raise InputError(f'two inputs, "{input_path}" and "{place}"; name one directory')
    folder = input_path or place or ""
    if not folder:
        raise InputError("no input: name the directory in which recordings arrive")
    if raw and thresholds:
        raise InputError("--thresholds are about calibrated scores; leave out --raw")
    for option, value in (("settle", settle), ("patience", patience), ("every", every)):
        if not 0 <= value < 1e9:
            raise InputError(f"--{option} {value:g}: expected seconds, 0 or more")
    chosen(rtype)
    overrides = {
        "infer.min_score": min_score,
        "infer.num_threads": num_threads,
        "infer.overlap": overlap,
        "infer.segment_len": segment_len,
    }
    cfg, members = resolve_for_models(cfg_path, overrides, ckpt_path)
    ensemble = load_ensemble(cfg, members)
    print(f"device = {ensemble.device} ({ensemble.backend})")
    summary = watch_recordings(
        cfg,
        ensemble,
        folder,
        output_path if output_path is not None else folder,
        rtype=rtype,
        recursive=recursive,
        calibration=ensemble.calibration(raw),
        thresholds=thresholds,
        settle_s=settle,
        patience_s=patience,
        every_s=every,
        once=once,
        restart=no_resume,
        say=_print_now,
    )
    print(f"recordings = {summary.done}")
    print(f"analyzed_now = {summary.analyzed}")
    print(f"labels = {summary.labels}")
    for title, found in (("damaged", summary.damaged), ("failed", len(summary.failed))):
        if found:
            print(f"{title} = {found}")
    if summary.waiting:
        print(f"not_complete = {len(summary.waiting)}")
    summary.raise_for_failures()
    return summary


def _print_now(line: str) -> None:
    """Print a line at once, with the time: a log of months must tell when."""
    from datetime import datetime

    print(f"{datetime.now():%Y-%m-%d %H:%M:%S} {line}", flush=True)
