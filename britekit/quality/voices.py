"""Find human voices with Silero VAD, an optional package (MIT) that ships its network.

The network hears 16 kHz in frames of 32 ms and carries a state from frame to frame. It runs on ONNX Runtime alone:
importing its package would load torch. Each channel is heard by itself, since a voice may be in one only, and a frame
counts as its most probable channel. Memory does not grow with the length of a recording.

Reference: Silero Team, *Silero VAD: pre-trained enterprise-grade Voice Activity Detector*, 2024,
github.com/snakers4/silero-vad.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from britekit.audio.decoding import AudioReader
from britekit.audio.resampling import Resampler
from britekit.errors import InputError

RATE, FRAME = 16_000, 512
FRAME_S = FRAME / RATE
_CONTEXT, _STATE = 64, 128
_FILE = "silero_vad_16k_sequence.onnx"
_EXTRA = 'pip install "britekit[voices]"'


@dataclass(frozen=True)
class VoiceSettings:
    """How frames become stretches; `benchmarks/voices.py` chose the defaults."""

    threshold: float = 0.7
    """Probability from which a frame is a voice; a stretch goes on while it stays above this less 0.15."""
    min_s: float = 0.6
    """Shorter stretches are left out."""
    join_s: float = 0.5
    """Stretches closer than this become one."""
    pad_s: float = 0.3
    """Seconds added before and after."""

    def __post_init__(self) -> None:
        if not 0 < self.threshold < 1:
            raise InputError(f"--threshold {self.threshold:g}: expected a number between 0 and 1")
        for name, value in (("--min-length", self.min_s), ("--pad", self.pad_s), ("join_s", self.join_s)):
            if not 0 <= value <= 60:
                raise InputError(f"{name} {value:g}: expected seconds from 0 to 60")


@dataclass(frozen=True)
class Voice:
    """A stretch with a voice."""

    start: float
    end: float
    """Seconds."""
    probability: float
    """Mean of the network's output over the voiced frames."""


@dataclass(frozen=True)
class Heard:
    """Result of listening to one recording."""

    seconds: float
    voices: list[Voice]
    damage: str | None = None
    """Why the rest of the recording could not be heard, or None."""


class VoiceStream:
    """Turns blocks of one channel into probabilities, one per 32 ms; the result does not depend on their size."""

    def __init__(self, rate: int) -> None:
        self._session = _session()
        self._resampler = Resampler(rate, RATE)
        self._rest = np.empty(0, np.float32)
        self._context = np.zeros(_CONTEXT, np.float32)
        self._state = [np.zeros((1, 1, _STATE), np.float32), np.zeros((1, 1, _STATE), np.float32)]

    def push(self, samples: np.ndarray) -> np.ndarray:
        """Add float32 (n,); return the probabilities that are ready, float32 (m,)."""
        return self._run(self._resampler.push(samples))

    def finish(self) -> np.ndarray:
        """Return the probabilities of the rest, padded with zeros to a whole frame."""
        rest = np.concatenate([self._run(self._resampler.finish()), self._run(np.zeros(-len(self._rest) % FRAME))])
        return rest.astype(np.float32)

    def _run(self, samples: np.ndarray) -> np.ndarray:
        held = np.concatenate([self._rest, samples.astype(np.float32)])
        count = len(held) // FRAME
        self._rest = held[count * FRAME :]
        if not count:
            return np.empty(0, np.float32)
        frames = held[: count * FRAME].reshape(count, FRAME)
        before = np.concatenate([self._context[None], frames[:-1, -_CONTEXT:]])
        self._context = frames[-1, -_CONTEXT:].copy()
        given = {"input": np.concatenate([before, frames], axis=1), "h": self._state[0], "c": self._state[1]}
        found, *self._state = self._session.run(["speech_probs", "hn", "cn"], given)
        return np.asarray(found, np.float32).reshape(-1)


def find_voices(
    path: str | os.PathLike[str], settings: VoiceSettings, on_seconds: Callable[[float], None] | None = None
) -> Heard:
    """Listen to a recording to its end; raises `InputError` if it cannot be decoded, or Silero VAD is not installed."""
    with AudioReader(path, warn=False) as reader:
        streams = [VoiceStream(reader.rate) for _ in range(reader.channels)]
        parts: list[np.ndarray] = []
        for block in reader.blocks():
            parts.append(np.max([stream.push(each) for stream, each in zip(streams, block)], axis=0))
            if on_seconds is not None:
                on_seconds(block.shape[1] / reader.rate)
        parts.append(np.max([stream.finish() for stream in streams], axis=0))
        return Heard(
            reader.seconds_read, stretches_of(np.concatenate(parts), settings, reader.seconds_read), reader.damage
        )


def stretches_of(probability_T: np.ndarray, settings: VoiceSettings, seconds: float) -> list[Voice]:
    """Return the voiced stretches in probabilities of frames of 32 ms, in order, padded, within ``seconds``."""
    above = probability_T >= settings.threshold
    kept = probability_T >= settings.threshold - 0.15
    edges = np.flatnonzero(np.diff(np.concatenate([[False], kept, [False]]).astype(np.int8)))
    found: list[tuple[int, int]] = []
    for first, stop in edges.reshape(-1, 2).tolist():
        if not above[first:stop].any():
            continue
        first += int(above[first:stop].argmax())
        if found and (first - found[-1][1]) * FRAME_S <= settings.join_s:
            found[-1] = (found[-1][0], stop)
        else:
            found.append((first, stop))
    voices: list[Voice] = []
    for first, stop in found:
        voiced = probability_T[first:stop][above[first:stop]]
        if len(voiced) * FRAME_S < settings.min_s:
            continue
        start, end = max(0.0, first * FRAME_S - settings.pad_s), min(seconds, stop * FRAME_S + settings.pad_s)
        probability = float(voiced.mean())
        if voices and start <= voices[-1].end:  # their padding meets
            last = voices.pop()
            start, probability = last.start, max(last.probability, probability)
        voices.append(Voice(start, end, probability))
    return voices


def check_installed() -> None:
    """Raise `InputError` with the line that installs what is missing."""
    _session()


@lru_cache(maxsize=1)
def _session() -> Any:
    try:
        import onnxruntime  # type: ignore[import-not-found,unused-ignore]
    except ImportError:
        raise InputError(f"finding voices needs ONNX Runtime and Silero VAD; install them with {_EXTRA}") from None
    spec = importlib.util.find_spec("silero_vad")
    if spec is None or spec.origin is None:
        raise InputError(f"finding voices needs Silero VAD, which is not installed; install it with {_EXTRA}")
    path = Path(spec.origin).parent / "data" / _FILE
    if not path.is_file():
        raise InputError(f"the installed Silero VAD lacks {_FILE}; install version 6.2.3 or newer with {_EXTRA}")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
