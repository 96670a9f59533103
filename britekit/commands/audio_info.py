"""Show format, length, time and site of recordings, and whether they can be decoded to their end.

Each file is decoded completely. The exit code is 1 if any cannot be decoded to its end; the problems are
listed below the table. Time and site come from recordings.csv, data/deployments.csv, the files' metadata and
their names; the CSV file, and with deployments also the table, state the source. Contradictions are listed,
and rows of these tables that apply to none of the recordings.

--quality measures each recording while it is decoded: clipping, dropouts, dead or equal channels, wind, rain,
noise by band, level over time and acoustic indices (ACI, ADI, AEI, BI, NDSI, H), into quality.csv (a row per
channel), over_time.csv (a row per minute and channel) and a picture per recording.

    britekit audio-info /media/card --recursive --csv recordings.csv
    britekit audio-info /media/card --recursive --quality results/quality
"""

from contextlib import nullcontext
from functools import partial
from typing import TYPE_CHECKING, Annotated, Optional

from britekit.commands._time_expansion import takes_time_expansion
from britekit.options import ConfigPath, DeploymentsPath, TimeExpansion, opt

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from britekit.annotations.recording_info import RecordingInfo
    from britekit.audio.file_check import Inspection
    from britekit.quality.report import QualityTables

_COLUMNS = (
    "recording", "format", "rate", "channels", "seconds", "time", "latitude", "longitude", "device",
    "battery_v", "temperature_c", "decodes", "problem", "site", "site_source", "recorder", "recorder_source",
    "start",
    "start_source", "place_latitude", "place_longitude", "place_source", "contradictions",
)  # fmt: skip


_PLACED = ("by", "site")


@takes_time_expansion
def audio_info(
    path: Annotated[str, opt("path", metavar="PATH", required=True, help="recording, or directory of recordings")] = "",
    csv_path: Annotated[
        Optional[str], opt("--csv", metavar="FILE", help="also write a table there; - is standard output")
    ] = None,
    recursive: Annotated[bool, opt("--recursive", help="also search subdirectories")] = False,
    deployments_path: DeploymentsPath = "data/deployments.csv",
    quality: Annotated[
        Optional[str],
        opt("--quality", metavar="DIR", help="measure the quality of the sound; tables and pictures go there"),
    ] = None,
    per_s: Annotated[
        float, opt("--per", metavar="S", help="seconds per row of over_time.csv, 1 to 600 (default: 60)")
    ] = 60.0,
    cfg_path: ConfigPath = None,
    time_expansion: TimeExpansion = None,
) -> "list[Inspection]":
    """Print what is known of each recording; return it.

    Raises
    ------
    InputError
        After everything is printed: the recordings that cannot be decoded to their end.
    """
    import logging
    from dataclasses import replace
    from pathlib import Path

    from britekit.annotations.deployments import read_deployments
    from britekit.annotations.recording_info import RecordingInfos
    from britekit.audio.files import find_recordings
    from britekit.config import resolve
    from britekit.errors import InputError, some
    from britekit.files import refuse_overwriting
    from britekit.quality.report import SUMMARY

    root = Path(path)
    paths = find_recordings(root, recursive)
    base = root if root.is_dir() else root.parent
    refuse_overwriting(csv_path, deployments_path, cfg_path, *paths)
    known = RecordingInfos(base, read_deployments(deployments_path), resolve(cfg_path).misc.time_regex)
    found, infos = [], []
    lines: list[str] = []
    with _tables(quality, per_s) as tables:
        for item in _inspect(paths, None if tables is None else per_s):
            info = known.of(item.path, item.metadata)
            if tables is not None and quality is not None and item.measured is not None:
                _add_quality(tables, Path(quality), _name(item.path, base), item, info)
            found.append(replace(item, measured=None))
            infos.append(info)
        if tables is not None and quality is not None:
            lines = [*tables.finish(Path(quality) / SUMMARY), *_undefined(tables)]
    if csv_path:
        _write_csv(csv_path, found, infos, base)
    if csv_path != "-":
        _print_table(found, infos, [*known.contradictions(), *known.unused()], base)
    for text in known.unused() if csv_path == "-" else ():
        logging.getLogger("britekit.audio").warning("%s", text)
    if quality and csv_path != "-":
        print("\n".join([*lines, f"quality = {quality}"]))
    failed = [item for item in found if item.problem]
    if failed:
        names = some([_name(item.path, base) for item in failed], 3)
        raise InputError(f"{len(failed)} of {len(found)} recordings cannot be decoded to their end: {names}")
    return found


def _inspect(paths: "list[Path]", per_s: Optional[float]) -> "Iterator[Inspection]":
    from britekit.audio.file_check import inspect_recordings
    from britekit.commands._audio_progress import are_many, decoding_threads, seconds_meter
    from britekit.progress import track

    meter_of = None
    if per_s is not None:
        from britekit.quality.measuring import QualityMeter

        meter_of = partial(QualityMeter, per_s=per_s)
    threads = decoding_threads()
    if are_many(paths):
        yield from track(inspect_recordings(paths, threads, None, meter_of), len(paths), "audio-info")
        return
    with seconds_meter(paths, "audio-info") as advance:
        yield from inspect_recordings(paths, threads, advance, meter_of)


def _tables(folder: Optional[str], per_s: float) -> "AbstractContextManager[Optional[QualityTables]]":
    if folder is None:
        return nullcontext(None)
    from britekit.quality.measuring import check_per
    from britekit.quality.report import quality_tables

    check_per(per_s)
    return quality_tables(folder)


def _add_quality(tables: "QualityTables", folder: "Path", name: str, item: "Inspection", info: "RecordingInfo") -> None:
    """Add a recording to the tables, and draw it."""
    from britekit.plots.quality import plot_quality
    from britekit.quality.measuring import NOISE_COLUMNS
    from britekit.quality.spectra import OCTAVES_HZ

    tables.add(name, item.measured, info.start)
    channels = item.measured.channels
    plot_quality(
        folder / "pictures" / f"{name}.png",
        name,
        [channel.segments for channel in channels],
        OCTAVES_HZ,
        [[channel.summary[column] for column in NOISE_COLUMNS] for channel in channels],
    )


def _undefined(tables: "QualityTables") -> list[str]:
    """Return a line for each index that some recordings cannot have."""
    from britekit.errors import some

    return [f"{reason}: empty for {some(names, 3)}" for reason, names in tables.missing.items()]


def _print_table(
    found: "list[Inspection]", infos: "list[RecordingInfo]", contradictions: list[str], base: "Path"
) -> None:
    from britekit.audio.files import shown
    from britekit.commands._table import table_lines, terminal_width

    sites = any(info.site for info in infos)
    heading = ["recording", "format", "kHz", "ch", "length", "recorded", *_PLACED[: 2 * sites], "decodes"]
    rows = [
        [
            _name(item.path, base),
            item.format or "?",
            f"{item.rate / 1000:.6g}" if item.rate else "",
            str(item.channels or ""),
            _length(item.seconds) if item.rate else "",
            _time(info),
            *(info.start_source or "", shown(info.site or ""))[: 2 * sites],
            _decodes(item),
        ]
        for item, info in zip(found, infos, strict=True)
    ]
    print("\n".join(table_lines(heading, rows, terminal_width(), right=(2, 3, 4))))
    for item in found:
        if item.problem:
            print(f"{_name(item.path, base)}: {item.problem}")
    contradictions = [
        *(f"{_name(info.path, base)}: {text}" for info in infos for text in info.contradictions),
        *contradictions,
    ]
    for text in contradictions:
        print(text)
    print(f"recordings = {len(found)}")
    print(f"seconds = {sum(item.seconds for item in found):.3f}")
    if sites or contradictions:
        print(f"contradictions = {len(contradictions)}")
    print(f"failed = {sum(item.problem is not None for item in found)}")


def _write_csv(csv_path: str, found: "list[Inspection]", infos: "list[RecordingInfo]", base: "Path") -> None:
    import sys

    from britekit.files import csv_writer, write_csv

    rows: list[Sequence[object]] = [
        _COLUMNS,
        *(_row(item, info, base) for item, info in zip(found, infos, strict=True)),
    ]
    if csv_path == "-":
        csv_writer(sys.stdout).writerows(rows)
        return
    write_csv(csv_path, rows)


def _row(item: "Inspection", info: "RecordingInfo", base: "Path") -> list[object]:
    known = item.metadata
    return [
        _name(item.path, base),
        item.format,
        item.rate,
        item.channels,
        f"{item.seconds:.3f}",
        known.time.isoformat() if known.time else None,
        known.latitude,
        known.longitude,
        known.device,
        known.battery_v,
        known.temperature_c,
        "no" if item.problem else "yes",
        item.problem,
        info.site,
        info.site_source,
        info.recorder,
        info.recorder_source,
        info.start.isoformat() if info.start else None,
        info.start_source,
        info.latitude,
        info.longitude,
        info.place_source,
        "; ".join(info.contradictions) or None,
    ]


def _name(path: "Path", base: "Path") -> str:
    from britekit.audio.files import shown

    return shown(path.relative_to(base))


def _length(seconds: float) -> str:
    from britekit.progress import clock

    if seconds < 0.01:
        return "<0.01 s"
    return f"{seconds:.2f} s" if seconds < 60 else clock(seconds)


def _time(info: "RecordingInfo") -> str:
    when = info.start
    if when is None:
        return ""
    zone = "" if when.tzinfo is None else when.isoformat()[-6:] if when.utcoffset() else "Z"
    return when.strftime("%Y-%m-%d %H:%M") + zone


def _decodes(item: "Inspection") -> str:
    if item.damaged_at is not None:
        return f"to {item.damaged_at:.2f} s"
    return "no" if item.problem else "yes"
