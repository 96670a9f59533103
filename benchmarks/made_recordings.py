"""Recordings for benchmarks: clips of ESC-10 joined to any length, in any format that libsndfile writes."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import soundfile

DATA = Path(os.environ.get("BRITEKIT_DATA", Path(__file__).parents[2] / "shared" / "data"))
# Written block by block: libsndfile crashes when it encodes a long Vorbis buffer in one call.
_BLOCK = 1 << 16


def clips(limit: int | None = None) -> list[Path]:
    """Return the clips, sorted; raises SystemExit where they are not there."""
    found = sorted((DATA / "esc10" / "recordings").glob("*/*.ogg"))
    if not found:
        raise SystemExit(f"{DATA} holds no esc10/recordings; name the data folder by BRITEKIT_DATA")
    return found[:limit]


def joined(path: Path, seconds: float, seed: int) -> Path:
    """Write clips in random order until the recording is so long; keep one that is there."""
    if path.is_file():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    sources = clips()
    order = np.random.default_rng(seed).permutation(len(sources))
    partial = path.with_name(f".{path.name}{path.suffix}")
    left = None
    with soundfile.SoundFile(
        partial, "w", soundfile.info(str(sources[0])).samplerate, 1, format=path.suffix[1:].upper()
    ) as target:
        left = round(seconds * target.samplerate)
        number = 0
        while left > 0:
            samples, rate = soundfile.read(str(sources[order[number % len(order)]]), dtype="float32", always_2d=True)
            if rate != target.samplerate:
                raise SystemExit(f"{sources[order[number % len(order)]]} has another rate than the first clip")
            mono = samples.mean(axis=1)[:left]
            for first in range(0, len(mono), _BLOCK):
                target.write(mono[first : first + _BLOCK])
            left -= len(mono)
            number += 1
    os.replace(partial, path)
    return path
