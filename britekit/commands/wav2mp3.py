"""Convert uncompressed recordings of a directory to MP3, in place.

An original is deleted only if a second decoder confirms that the MP3 contains all of it: the same length, the
same sound in each second, and nothing above the MP3's frequency limit, so ultrasonic recordings stay WAV. The
MP3 has 192 kbit/s, or 320 if needed, and 48000 Hz if a recording has sound above the limit of --sr (15 kHz at
32000). Originals that already have an MP3, or that another command is converting, are skipped. Converts flac,
wav, wma, aif, aiff, x-aiff, octet-stream, qt and x-hx-aac-adts; recording time and place are kept.

    britekit wav2mp3 --dir recordings/Ovenbird
"""

from typing import Annotated

from britekit.options import opt


def wav2mp3(
    dir: Annotated[str, opt("--dir", required=True, metavar="DIR", help="directory of recordings")] = "",
    sampling_rate: Annotated[int, opt("--sr", metavar="HZ", help="sampling rate of the MP3s (default: 32000)")] = 32000,
) -> int:
    """Convert uncompressed recordings of a directory to MP3, in place; return how many.

    Raises
    ------
    InputError
        After all others are converted: those that could not be.
    """
    from pathlib import Path

    from britekit.audio.conversion import convert_originals, find_originals
    from britekit.audio.files import shown
    from britekit.commands._audio_progress import decoding_threads, seconds_meter
    from britekit.errors import InputError

    if not dir:
        raise InputError("the directory has no name; give it with --dir")
    originals = find_originals(Path(dir))
    with seconds_meter(originals, "wav2mp3") as advance:
        result = convert_originals(originals, sampling_rate, decoding_threads(), advance)
    for path in result.left_alone:
        print(f"{shown(path.name)}: left alone, its MP3 exists")
    for path in result.busy:
        print(f"{shown(path.name)}: left alone, another command converts it")
    for path, reason in result.failures:
        print(f"{shown(path.name)}: stays, {reason}")
    print(f"converted = {len(result.converted)}")
    print(f"left_alone = {len(result.left_alone) + len(result.busy)}")
    print(f"failed = {len(result.failures)}")
    if result.failures:
        raise InputError(
            f"{len(result.failures)} of {len(originals)} recordings could not be converted and stay, the "
            f"first is {shown(result.failures[0][0])}"
        )
    return len(result.converted)
