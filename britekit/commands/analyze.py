"""Score recordings with the models and write labels.

Uses every checkpoint of misc.ckpt_folder (in the pipeline, those of pipeline.seeds) and writes a label file
per recording, scores.csv and manifest.yaml; with a min_score of 0 also scores.npz, the unrounded scores of
every class.

    britekit analyze -i recordings -o labels --min-score 0.7 --overlap 2.5
"""

from dataclasses import dataclass
from typing import Any, Optional

from britekit.options import config_option, option


@dataclass(kw_only=True)
class Options:
    cfg_path: Optional[str] = config_option()
    input_path: str = option(
        "-i", "--input", metavar="PATH", required=True, help="recording or directory of recordings"
    )
    output_path: Optional[str] = option(
        "-o", "--output", type=str, metavar="DIR", help="output directory (default: where the recordings are)"
    )
    rtype: str = option("-r", "--rtype", default="both", help="audacity, csv or both (default: both)")
    min_score: Optional[float] = option(
        "-m",
        "--min_score",
        type=float,
        metavar="FLOAT",
        help="lowest score of a label (default: infer.min_score)",
    )
    num_threads: Optional[int] = option(
        "--threads",
        type=int,
        metavar="INT",
        help="recordings decoded side by side (default: infer.num_threads)",
    )
    overlap: Optional[float] = option(
        "--overlap",
        type=float,
        metavar="SECONDS",
        help="shared by neighbouring windows (default: infer.overlap)",
    )
    segment_len: Optional[float] = option(
        "--seg",
        type=float,
        metavar="SECONDS",
        help="fixed label length, SED heads only (default: infer.segment_len)",
    )
    start_seconds: Optional[str] = option(
        "--start", type=str, metavar="TIME", help="skip that much of each recording: 71, 1:11 or 0:01:11"
    )
    ckpt_path: Optional[str] = option(
        "--ckpt", type=str, metavar="PATH", help="checkpoint or directory of them (default: misc.ckpt_folder)"
    )
    recursive: bool = option("--recursive", default=False, help="also search the directories below the input")


def analyze(
    cfg_path: Optional[str] = None,
    input_path: str = "",
    output_path: Optional[str] = None,
    rtype: str = "both",
    min_score: Optional[float] = None,
    num_threads: Optional[int] = None,
    overlap: Optional[float] = None,
    segment_len: Optional[float] = None,
    start_seconds: Any = None,
    ckpt_path: Optional[str] = None,
    recursive: bool = False,
) -> Any:
    """Score recordings; see `britekit.inference.analysis.analyze_recordings`.

    Parameters
    ----------
    cfg_path
        YAML file of overrides; its audio settings go before those stored in the models.
    input_path
        Recording or directory.
    output_path
        Directory; None writes beside the recordings.
    rtype
        ``audacity``, ``csv`` or ``both``.
    min_score, num_threads, overlap, segment_len
        Override the settings of `infer`.
    start_seconds
        Skipped at the start of each recording: seconds, or text as ``1:11``.
    ckpt_path
        Model or directory of models instead of ``misc.ckpt_folder``.
    recursive
        Also search the directories below the input.

    Returns
    -------
    AnalysisSummary
        Recordings done, labels, seconds of audio and of work.

    Raises
    ------
    InferenceError
        Some recordings could not be scored; the others are written.
    """
    from pathlib import Path

    from britekit.audio.files import check_stems, find_recordings
    from britekit.errors import InputError
    from britekit.inference.analysis import analyze_recordings, failure_of
    from britekit.inference.ensemble import load_ensemble
    from britekit.inference.members import resolve_for_models
    from britekit.inference.output import check_rtype
    from britekit.tracking.run import stage_run

    if not input_path:
        raise InputError("no input: name a recording or a directory of recordings with -i")
    rtype = check_rtype(rtype)
    first_s = _seconds(start_seconds)
    overrides = {
        "infer.min_score": min_score,
        "infer.num_threads": num_threads,
        "infer.overlap": overlap,
        "infer.segment_len": segment_len,
    }
    paths = find_recordings(input_path, recursive)
    check_stems(paths)
    cfg, members = resolve_for_models(cfg_path, overrides, ckpt_path)
    source = Path(input_path)
    root = source if source.is_dir() else source.parent
    with stage_run("analyze", cfg, [*members, input_path]) as run:
        ensemble = load_ensemble(cfg, members)
        print(f"device = {ensemble.device} ({ensemble.backend})")
        for member in ensemble.members:
            print(f"model = {member.path}")
        summary = analyze_recordings(
            cfg,
            ensemble,
            paths,
            output_path if output_path is not None else root,
            root=root,
            rtype=rtype,
            first_s=first_s,
            on_done=_Progress(len(paths)),
        )
        speed = summary.audio_seconds / max(summary.elapsed_s, 1e-9)
        run.summary(
            {
                "recordings": summary.done,
                "failed": len(summary.failed),
                "audio_seconds": summary.audio_seconds,
                "labels": summary.labels,
                "times_real_time": speed,
            }
        )
    print(f"recordings = {summary.done}")
    print(f"labels = {summary.labels}")
    print(f"audio_seconds = {summary.audio_seconds:.1f}")
    print(f"seconds = {summary.elapsed_s:.1f} ({speed:.0f} times real time)")
    failure = failure_of(summary)
    if failure is not None:
        raise failure
    return summary


class _Progress:
    """Prints each recording and counts on stderr."""

    def __init__(self, total: int) -> None:
        from britekit.progress import Meter

        self._meter = Meter(total, "recordings")

    def __call__(self, path: Any, labels: int, summary: Any) -> None:
        from britekit.audio.files import shown

        print(f"{shown(path)}: {labels} labels")
        self._meter.advance()


def _seconds(text: Any) -> float:
    """Read 71, 1:11 or 0:01:11 as seconds."""
    import math

    from britekit.errors import InputError

    if text is None:
        return 0.0
    parts = str(text).split(":")
    try:
        numbers = [float(part) for part in parts]
        if len(numbers) > 3 or not all(
            0 <= n < (60 if place else math.inf) for place, n in enumerate(numbers)
        ):
            raise ValueError
    except ValueError:
        raise InputError(f'--start "{text}" is not a time; expected seconds, M:SS or H:MM:SS') from None
    total = 0.0
    for number in numbers:
        total = total * 60 + number
    return total
