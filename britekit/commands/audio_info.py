"""Show format, length and recording time of recordings, and whether they can be decoded to their end.

Each file is decoded whole. The exit code is 1 if any cannot be decoded to its end; the table shows all of
them, and below it stands what is wrong with each.

    britekit audio-info /media/card --recursive --csv recordings.csv
"""

from typing import TYPE_CHECKING, Annotated, Optional

from britekit.options import opt

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from britekit.audio.inspection import Inspection

_COLUMNS = (
    "recording", "format", "rate", "channels", "seconds", "time", "latitude", "longitude", "device",
    "battery_v", "temperature_c", "decodes", "problem",
)  # fmt: skip


def audio_info(
    path: Annotated[
        str, opt("path", metavar="PATH", required=True, help="recording, or directory of recordings")
    ] = "",
    csv_path: Annotated[
        Optional[str], opt("--csv", metavar="FILE", help="also write a table there; - is standard output")
    ] = None,
    recursive: Annotated[bool, opt("--recursive", help="also look in the directories below")] = False,
) -> "list[Inspection]":
    """Print what is known of each recording; return it.

    Raises
    ------
    InputError
        After everything is printed: the recordings that cannot be decoded to their end.
    """
    from pathlib import Path

    from britekit.audio.files import find_recordings
    from britekit.errors import InputError, some
    from britekit.files import refuse_overwriting

    root = Path(path)
    paths = find_recordings(root, recursive)
    base = root if root.is_dir() else root.parent
    refuse_overwriting(csv_path, *paths)
    found = _inspect(paths)
    if csv_path:
        _write_csv(csv_path, found, base)
    if csv_path != "-":
        _print_table(found, base)
    failed = [item for item in found if item.problem]
    if failed:
        names = some([_name(item.path, base) for item in failed], 3)
        raise InputError(f"{len(failed)} of {len(found)} recordings cannot be decoded to their end: {names}")
    return found


def _inspect(paths: "list[Path]") -> "list[Inspection]":
    from britekit.audio.inspection import inspect_recordings
    from britekit.commands._audio_progress import are_many, decoding_threads, seconds_meter
    from britekit.progress import track

    threads = decoding_threads()
    if are_many(paths):
        return list(track(inspect_recordings(paths, threads), len(paths), "audio-info"))
    with seconds_meter(paths, "audio-info") as advance:
        return list(inspect_recordings(paths, threads, advance))


def _print_table(found: "list[Inspection]", base: "Path") -> None:
    from britekit.commands._table import table_lines, terminal_width

    heading = ["recording", "format", "kHz", "ch", "length", "recorded", "decodes"]
    rows = [
        [
            _name(item.path, base),
            item.format or "?",
            f"{item.rate / 1000:.6g}" if item.rate else "",
            str(item.channels or ""),
            _length(item.seconds) if item.rate else "",
            _time(item),
            _decodes(item),
        ]
        for item in found
    ]
    print("\n".join(table_lines(heading, rows, terminal_width(), right=(2, 3, 4))))
    for item in found:
        if item.problem:
            print(f"{_name(item.path, base)}: {item.problem}")
    print(f"recordings = {len(found)}")
    print(f"seconds = {sum(item.seconds for item in found):.3f}")
    print(f"failed = {sum(item.problem is not None for item in found)}")


def _write_csv(csv_path: str, found: "list[Inspection]", base: "Path") -> None:
    import sys

    from britekit.files import csv_writer, write_csv

    rows: list[Sequence[object]] = [_COLUMNS, *(_row(item, base) for item in found)]
    if csv_path == "-":
        csv_writer(sys.stdout).writerows(rows)
        return
    write_csv(csv_path, rows)


def _row(item: "Inspection", base: "Path") -> list[object]:
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
    ]


def _name(path: "Path", base: "Path") -> str:
    from britekit.audio.files import shown

    return shown(path.relative_to(base))


def _length(seconds: float) -> str:
    from britekit.progress import clock

    if seconds < 0.01:
        return "<0.01 s"
    return f"{seconds:.2f} s" if seconds < 60 else clock(seconds)


def _time(item: "Inspection") -> str:
    when = item.metadata.time
    if when is None:
        return ""
    zone = "" if when.tzinfo is None else when.isoformat()[-6:] if when.utcoffset() else "Z"
    return when.strftime("%Y-%m-%d %H:%M") + zone


def _decodes(item: "Inspection") -> str:
    if item.damaged_at is not None:
        return f"to {item.damaged_at:.2f} s"
    return "no" if item.problem else "yes"
