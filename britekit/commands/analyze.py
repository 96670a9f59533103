"""Score recordings with the models and write labels.

Uses all checkpoints in misc.ckpt_folder (in the pipeline, those of pipeline.seeds) and writes a label file
per recording, scores.csv and manifest.yaml; with --min-score 0 also scores.npz, the unrounded scores of all
classes. Recordings that cannot be analyzed are listed in failed.csv, those analyzed up to a damage in
damaged.csv. To continue an interrupted run, run the same command again. Scores are calibrated if the project
has a calibration of these models; the last line reports whether they are.

    britekit analyze -i recordings -o labels --min-score 0.7 --overlap 2.5
"""

from typing import Annotated, Any, Optional

from britekit.commands._rtype import FormatNames
from britekit.commands._time_expansion import takes_time_expansion
from britekit.options import (
    Address,
    ByThresholds,
    CkptPath,
    ConfigPath,
    Engine,
    LabelLength,
    MinScore,
    Raw,
    Threads,
    TimeExpansion,
    WindowOverlap,
    is_on_ray,
    opt,
)


@takes_time_expansion
def analyze(
    cfg_path: ConfigPath = None,
    input_path: Annotated[str, opt("-i", "--input", metavar="PATH", help="recording or directory of recordings")] = "",
    output_path: Annotated[
        Optional[str], opt("-o", "--output", metavar="DIR", help="output directory (default: where the recordings are)")
    ] = None,
    rtype: FormatNames = "both",
    start_seconds: Annotated[
        Any,
        opt(
            "--start",
            type=str,
            metavar="TIME",
            help="skip the beginning of each recording up to this time: 71, 1:11 or 0:01:11",
        ),
    ] = None,
    min_score: MinScore = None,
    num_threads: Threads = None,
    overlap: WindowOverlap = None,
    segment_len: LabelLength = None,
    show: Annotated[
        bool, opt("--show", help="print the ten classes with the highest scores in the first spectrogram, and stop")
    ] = False,
    ckpt_path: CkptPath = None,
    raw: Raw = False,
    thresholds: ByThresholds = False,
    occurrence: Annotated[
        Optional[str],
        opt(
            "--occurrence",
            metavar="FILE",
            help="occurrence data (pickle, database or CSV) used as a prior of the classes (default: infer.occurrence)",
        ),
    ] = None,
    latitude: Annotated[
        Optional[float],
        opt("--lat", metavar="DEGREES", help="latitude of all recordings (default: what each recording states)"),
    ] = None,
    longitude: Annotated[Optional[float], opt("--lon", metavar="DEGREES", help="longitude of all recordings")] = None,
    area: Annotated[
        Optional[str], opt("--area", metavar="CODE", help="area of the occurrence data, in place of --lat and --lon")
    ] = None,
    date: Annotated[
        Optional[str],
        opt("--date", metavar="DAY", help="day of all recordings, 2024-05-12 or 05-12 (default: each recording's)"),
    ] = None,
    week: Annotated[
        Optional[int], opt("--week", metavar="INT", help="1 to 48, four per month, in place of --date")
    ] = None,
    recursive: Annotated[bool, opt("--recursive", help="also search subdirectories")] = False,
    resume: Annotated[
        bool,
        opt(
            "--resume", help="continue an interrupted run; fail if models or settings differ (default: then start over)"
        ),
    ] = False,
    no_resume: Annotated[bool, opt("--no-resume", help="discard an interrupted run and start over")] = False,
    engine: Engine = "local",
    address: Address = None,
    place: Annotated[Optional[str], opt("place", type=str, nargs="?", metavar="PATH", help="same as -i")] = None,
    time_expansion: TimeExpansion = None,
) -> Any:
    """Score recordings; see `britekit.inference.analysis.analyze_recordings`.

    Returns
    -------
    AnalysisSummary
        Recordings done, labels, seconds of audio and of work; None with ``show``, and in a pipeline whose test
        contains no recordings.

    Raises
    ------
    InferenceError
        Some recordings could not be scored; the others are written.
    """
    from pathlib import Path

    from britekit.audio.files import find_recordings
    from britekit.errors import InputError
    from britekit.formats import chosen
    from britekit.inference.analysis import analyze_recordings
    from britekit.inference.ensemble import load_ensemble
    from britekit.inference.model_files import resolve_for_models
    from britekit.occurrence.prior import Where
    from britekit.tracking.facts import is_dvc_stage
    from britekit.tracking.lineage import LABELS, MEMBER, RECORDINGS
    from britekit.tracking.run import stage_run

    if input_path and place:
        raise InputError(f'two inputs, "{input_path}" and "{place}"; name one directory that holds both')
    input_path = input_path or place or ""
    if not input_path:
        raise InputError("no input: name a recording or a directory of recordings")
    on_ray = is_on_ray(engine, address)
    if time_expansion is not None and on_ray:
        raise InputError(
            "--time-expansion does not reach a Ray cluster; use the column time_expansion of recordings.csv"
        )
    if resume and no_resume:
        raise InputError("--resume and --no-resume exclude each other")
    if raw and thresholds:
        raise InputError("--thresholds are about calibrated scores; leave out --raw")
    chosen(rtype)
    start_seconds = _seconds(start_seconds)
    where = Where.stated(latitude, longitude, date, week, area)
    overrides = {
        "infer.occurrence": occurrence,
        "infer.min_score": min_score,
        "infer.num_threads": num_threads,
        "infer.overlap": overlap,
        "infer.segment_len": segment_len,
    }
    if output_path is not None and is_dvc_stage():
        from britekit.evaluation.untested import is_unscored, leave_unscored

        if is_unscored(input_path):
            leave_unscored(Path(output_path))
            return None
    paths = find_recordings(input_path, recursive)
    cfg, members = resolve_for_models(cfg_path, overrides, ckpt_path)
    if raw and cfg.infer.screen is not None and not cfg.infer.test_screened:
        print("screen = not used: raw scores are for tests; infer.test_screened screens them too")
        cfg.infer.screen = None
    source = Path(input_path)
    root = source if source.is_dir() else source.parent
    if show:
        _show(cfg, members, paths[0], start_seconds, raw, where)
        return None
    output = output_path if output_path is not None else root
    inputs = dict.fromkeys(map(str, members), MEMBER) | {input_path: RECORDINGS}
    with stage_run("analyze", cfg, inputs, continues=not no_resume) as run:
        ensemble = load_ensemble(cfg, members)
        print(f"device = {ensemble.device} ({ensemble.backend})")
        for member in ensemble.members:
            print(f"model = {member.path}")
        make_scorer: Any = None
        if on_ray:
            from britekit.inference.cluster import ray_scorers

            make_scorer = ray_scorers(cfg, members, start_seconds, address)
        summary = analyze_recordings(
            cfg,
            ensemble,
            paths,
            output,
            root=root,
            rtype=rtype,
            start_seconds=start_seconds,
            calibration=ensemble.calibration(raw),
            thresholds=thresholds,
            resume=True if resume else False if no_resume else None,
            make_scorer=make_scorer,
            on_done=_print_recording,
            where=where,
        )
        speed = summary.audio_seconds / max(summary.elapsed_s, 1e-9)
        run.summary(
            {
                "recordings": summary.done,
                "failed": len(summary.failed),
                "damaged": summary.damaged,
                "audio_seconds": summary.audio_seconds,
                "labels": summary.labels,
                "times_real_time": speed,
            }
        )
        if output_path is not None:  # otherwise labels lie among the recordings
            run.output(output, LABELS)
    print(f"recordings = {summary.done}")
    if summary.continued:
        print(f"recordings_of_the_interrupted_run = {summary.continued}")
    if summary.failed:
        print(f"failed = {len(summary.failed)}")
    if summary.damaged:
        print(f"damaged = {summary.damaged}")
    print(f"labels = {summary.labels}")
    print(f"audio_seconds = {summary.audio_seconds:.1f}")
    print(f"seconds = {summary.elapsed_s:.1f} ({speed:.0f} times real time)")
    print(f"scores = {summary.calibrated}")
    if summary.screened is not None:
        print(f"screened = {summary.screened}")
    if summary.occurrence is not None:
        _print_occurrence(summary.occurrence)
    summary.raise_for_failures()
    return summary


def _print_recording(path: Any, labels: int) -> None:
    from britekit.audio.files import shown
    from britekit.errors import counted

    print(f"{shown(path)}: {counted(labels, 'label')}")


def _print_occurrence(totals: Any) -> None:
    """Print what occurrence data changed; the tables in the output list it."""
    from britekit.errors import some

    named = f" ({some(sorted(totals.classes), 5)})" if totals.classes else ""
    print(f"withheld = {totals.withheld}{named}")
    print(f"lowered = {totals.lowered}")
    print(f"raised = {totals.raised}")
    if totals.not_applied:
        reasons = some((f"{reason}: {number}" for reason, number in totals.not_applied.most_common()), 3, "; ")
        print(f"recordings_without_occurrence = {sum(totals.not_applied.values())} ({reasons})")


def _show(cfg: Any, members: Any, path: Any, start_seconds: float, raw: bool, where: Any) -> None:
    """Print the ten highest classes of the first spectrogram."""
    from britekit.inference.analysis import score_first_window

    start, ranked, calibrated = score_first_window(cfg, members, path, start_seconds, raw, where)
    print(f"start_seconds = {start:g}")
    for info, score in ranked[:10]:
        print(f"{info.label(cfg.infer.label_field)} = {score:.6f}")
    print(f"scores = {calibrated}")


def _seconds(text: Any) -> float:
    """Read 71, 1:11 or 0:01:11 as seconds."""
    import math

    from britekit.errors import InputError

    if text is None:
        return 0.0
    parts = str(text).split(":")
    try:
        numbers = [float(part) for part in parts]
        if len(numbers) > 3 or not all(0 <= n < (60 if place else math.inf) for place, n in enumerate(numbers)):
            raise ValueError
    except ValueError:
        raise InputError(f'--start "{text}" is not a time; expected seconds, M:SS or H:MM:SS') from None
    total = 0.0
    for number in numbers:
        total = total * 60 + number
    return total
