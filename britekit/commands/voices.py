"""Find human voices in recordings, and mute them in copies.

Writes voices.csv (recording, start, end, probability), recordings.csv (a row for each recording that was heard),
and queue.csv, which `review --queue` plays. With --mute, copies of WAV and FLAC recordings in which the voices are
silent go to muted/; originals stay as they are. Needs Silero VAD: pip install "britekit[voices]".

    britekit voices -i recordings -o results/voices
    britekit review -i recordings --queue results/voices/queue.csv
"""

from typing import TYPE_CHECKING, Annotated, Optional

from britekit.options import FillDir, opt

if TYPE_CHECKING:
    from britekit.quality.voices import Heard


def voices(
    input_path: Annotated[
        str,
        opt("-i", "--input", required=True, metavar="PATH", help="recordings: a file, or a folder with its subfolders"),
    ] = "",
    output_path: FillDir = "",
    mute: Annotated[bool, opt("--mute", help="also write copies in which the voices are silent")] = False,
    threshold: Annotated[
        float, opt("--threshold", metavar="P", help="probability from which a frame is a voice (default: 0.7)")
    ] = 0.5,
    min_s: Annotated[float, opt("--min-length", metavar="S", help="shortest stretch, seconds (default: 0.6)")] = 0.6,
    pad_s: Annotated[float, opt("--pad", metavar="S", help="seconds before and after (default: 0.3)")] = 0.3,
) -> "dict[str, Optional[Heard]]":
    """Find voices; return what was heard by recording, None where it cannot be decoded.

    Raises
    ------
    InputError
        After all tables are written: recordings that cannot be heard to their end, or not muted.
    """
    from pathlib import Path

    from britekit.audio.files import find_recordings, shown
    from britekit.errors import InputError, some
    from britekit.files import write_csv
    from britekit.progress import track
    from britekit.quality.muting import write_muted
    from britekit.quality.voices import VoiceSettings, check_installed, find_voices

    settings = VoiceSettings(threshold, min_s, pad_s=pad_s)
    check_installed()
    root, folder = Path(input_path), Path(output_path)
    paths = find_recordings(root, recursive=True)
    base = root if root.is_dir() else root.parent
    if mute and root.is_dir() and folder.resolve().is_relative_to(root.resolve()):
        raise InputError(
            f"{folder} lies in the folder of recordings, where muted copies would count as recordings; choose another"
        )
    found: dict[str, Heard | None] = {}
    rows: list[tuple[object, ...]] = [("recording", "start", "end", "probability")]
    queue: list[tuple[object, ...]] = [("recording", "start", "end", "name", "score")]
    heard: list[tuple[object, ...]] = [("recording", "seconds", "voices", "voice_s", "muted", "problem")]
    problems: list[str] = []
    for path in track(paths, len(paths), "voices"):
        name = shown(path.relative_to(base))
        try:
            one = find_voices(path, settings)
        except InputError as error:
            found[name] = None
            problems.append(name)
            heard.append((name, 0, 0, 0, "", str(error)))
            continue
        found[name] = one
        problem, muted = "" if one.damage is None else f"heard to {one.seconds:.3f} s: {one.damage}", ""
        spans = [(voice.start, voice.end) for voice in one.voices]
        if mute and spans:
            try:
                if problem:
                    raise InputError(f"{problem}; it is not muted")
                write_muted(path, folder / "muted" / path.relative_to(base), spans)
                muted = f"muted/{name}"
            except InputError as error:
                problem = str(error)
        if problem:
            problems.append(name)
        heard.append((name, f"{one.seconds:.3f}", len(spans), f"{sum(b - a for a, b in spans):.3f}", muted, problem))
        for voice in one.voices:
            where = (name, f"{voice.start:.3f}", f"{voice.end:.3f}")
            rows.append((*where, f"{voice.probability:.3f}"))
            queue.append((*where, "Human voice", f"{voice.probability:.3f}"))
        if spans:
            print(f"{name}: {len(spans)} stretches with voices" + (f", {muted or 'not muted'}" if mute else ""))
    write_csv(folder / "voices.csv", rows)
    write_csv(folder / "queue.csv", queue)
    write_csv(folder / "recordings.csv", heard)
    print(f"recordings = {len(paths)}")
    print(f"with voices = {sum(bool(one and one.voices) for one in found.values())}")
    print(f"stretches = {len(rows) - 1}")
    if problems:
        raise InputError(
            f"{len(problems)} of {len(paths)} recordings were not heard to their end, or not muted: {some(problems)}; "
            f"{folder / 'recordings.csv'} has the reasons"
        )
    return found
