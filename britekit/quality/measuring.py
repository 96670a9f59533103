"""Measure the quality of a recording while it is decoded, in constant memory: a row per minute and one per channel."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from britekit.audio.decoding import AudioReader
from britekit.audio.levels import QUIETEST
from britekit.errors import InputError
from britekit.quality.faults import Alike, ChannelFaults
from britekit.quality.indices import INDICES, Bands, Indices, unavailable
from britekit.quality.spectra import OCTAVES_HZ, Spectra, Spectral, decibels

DEFAULT_PER_S = 60.0
# ADI and AEI need a segment's amplitudes up to 10 kHz: 50 MB for ten minutes at 44.1 kHz.
_PER_S = (1.0, 600.0)
# What is as quiet as this, beside offset and mains hum, is not sound: 16-bit samples round at -101 dB.
_DEAD_DB = -80.0
_CLIPPED_SHARE = 1e-4
_FULL = {"PCM_S8": 1 - 1.5 / 2**7, "PCM_U8": 1 - 1.5 / 2**7, "ULAW": 32_123 / 32_768, "ALAW": 32_255 / 32_768}
_FULL_SCALE = 1 - 1.5 / 2**15

Values = dict[str, float | None]
NOISE_COLUMNS = tuple(f"noise_{low:g}_db" for low in OCTAVES_HZ)
SEGMENT_COLUMNS = (
    "start", "seconds", "level_db", "peak_db", "noise_db", "clipped", "dropout_s", "low_share", "low_db", "gusts_db",
    "windy", "rain_low_db", "rain_high_db", "rain_low_smooth", "rain_high_smooth", "rain_low_steady_db",
    "rain_high_steady_db", "rainy", *INDICES, *NOISE_COLUMNS,
)  # fmt: skip
"""Measures of a segment of one channel."""
CHANNEL_COLUMNS = (
    "seconds", "level_db", "peak_db", "offset", "clipped", "clipped_runs", "longest_clip_ms", "dropouts", "dropout_s",
    "longest_dropout_s", "first_dropout_s", "windy", "rainy", "noise_db", *NOISE_COLUMNS, *INDICES,
)  # fmt: skip
"""Measures of a channel of a recording."""


@dataclass
class ChannelQuality:
    """One channel of a recording."""

    summary: Values = field(default_factory=dict)
    """By `CHANNEL_COLUMNS`."""
    segments: list[Values] = field(default_factory=list)
    """By `SEGMENT_COLUMNS`."""
    problems: list[str] = field(default_factory=list)


@dataclass
class Quality:
    """Result for one recording."""

    channels: list[ChannelQuality]
    missing: dict[str, str]
    """Indices that the sampling rate does not allow, with the reason."""


class QualityMeter:
    """Measures consecutive blocks of a recording.

    Parameters
    ----------
    reader
        The recording, for its rate, channels and coding.
    per_s
        Seconds per segment, 1 to 600. The last segment may be shorter.
    """

    def __init__(self, reader: AudioReader, per_s: float = DEFAULT_PER_S, bands: Bands | None = None) -> None:
        check_per(per_s)
        self._rate, self._bands = reader.rate, bands
        self._size = max(1, round(per_s * self._rate))
        full = _FULL.get(reader.subtype or "", _FULL_SCALE)
        self._channels = [_Channel(self._rate, full, bands) for _ in range(reader.channels)]
        self._alike = Alike(reader.channels)
        self._left = self._size

    def push(self, block_Cn: np.ndarray) -> None:
        """Add float32 (C, n)."""
        self._alike.push(block_Cn)
        while block_Cn.shape[1]:
            part, block_Cn = block_Cn[:, : self._left], block_Cn[:, self._left :]
            for channel, samples in zip(self._channels, part, strict=True):
                channel.push(np.ascontiguousarray(samples))
            self._left -= part.shape[1]
            if not self._left:
                self._end_segment()

    def finish(self) -> Quality:
        """Return what was measured."""
        if self._left < self._size:
            self._end_segment()
        found = Quality(
            [channel.finish(self._size) for channel in self._channels], unavailable(self._rate, self._bands)
        )
        for a, b, how in self._alike.pairs():
            for one, other in ((a, b), (b, a)):
                if found.channels[one].problems != ["dead"]:
                    link = "against" if how == "inverted" else "to"
                    found.channels[one].problems.append(f"{how} {link} channel {other + 1}")
        return found

    def _end_segment(self) -> None:
        for channel in self._channels:
            channel.end_segment()
        self._left = self._size


def check_per(per_s: float) -> None:
    """Raise `InputError` unless segments of this length can be measured."""
    if not _PER_S[0] <= per_s <= _PER_S[1]:
        raise InputError(f"--per {per_s:g}: expected seconds from {_PER_S[0]:g} to {_PER_S[1]:g}")


class _Channel:
    def __init__(self, rate: int, full: float, bands: Bands | None) -> None:
        self._rate, self._full, self._bands = rate, full, bands
        self._faults = ChannelFaults(rate, full)
        self._segments: list[Values] = []
        self._spectral: list[Spectral | None] = []
        self._sum = self._squares = 0.0
        self._begin()

    def _begin(self) -> None:
        self._indices, self._spectra = Indices(self._rate, self._bands), Spectra(self._rate)
        self._count = self._clipped = 0
        self._part_sum = self._part_squares = self._peak = 0.0

    def push(self, samples: np.ndarray) -> None:
        self._faults.push(samples)
        self._indices.push(samples)
        self._spectra.push(samples)
        exact = samples.astype(np.float64)
        self._count += len(samples)
        self._part_sum += float(exact.sum())
        self._part_squares += float(np.dot(exact, exact))
        magnitude = np.abs(samples)
        self._peak = max(self._peak, float(magnitude.max()))
        self._clipped += int(np.count_nonzero(magnitude >= self._full))

    def end_segment(self) -> None:
        values: Values = dict.fromkeys(SEGMENT_COLUMNS)
        values["start"] = (self._faults.seen - self._count) / self._rate
        values["seconds"] = self._count / self._rate
        values["level_db"] = _level(self._part_sum, self._part_squares, self._count)
        values["peak_db"] = decibels(self._peak**2)
        values["clipped"] = self._clipped / self._count
        values |= self._indices.finish()
        spectral = self._spectra.finish()
        if spectral is not None:
            values |= zip(NOISE_COLUMNS, spectral.octaves_db, strict=True)
            values |= {
                "noise_db": spectral.noise_db, "low_share": spectral.low_share, "low_db": spectral.low_db,
                "gusts_db": spectral.gusts_db, "windy": spectral.windy, "rainy": spectral.rainy,
            }  # fmt: skip
            pairs = (spectral.rain_db, spectral.rain_smooth, spectral.rain_steady)
            for name, pair in zip(("db", "smooth", "steady_db"), pairs, strict=True):
                values[f"rain_low_{name}"], values[f"rain_high_{name}"] = pair or (None, None)
        self._spectral.append(spectral)
        self._segments.append(values)
        self._sum += self._part_sum
        self._squares += self._part_squares
        self._begin()

    def finish(self, size: int) -> ChannelQuality:
        """Return the measures; segments of ``size`` samples are whole."""
        faults = self._faults
        faults.finish()
        starts = np.array([start for start, _ in faults.dropouts.places])
        lengths = np.array([length for _, length in faults.dropouts.places])
        for number, values in enumerate(self._segments):
            values["dropout_s"] = float(lengths[starts // size == number].sum() / self._rate) if len(starts) else 0.0
        # Indices depend on the length of a segment, so a shorter last one does not count.
        whole = self._segments[: faults.seen // size] or self._segments
        summary: Values = {name: _mean(whole, name) for name in (*INDICES, "windy", "rainy")}
        summary |= {name: _quiet(whole, name) for name in ("noise_db", *NOISE_COLUMNS)}
        summary |= {
            "seconds": faults.seen / self._rate,
            "level_db": _level(self._sum, self._squares, faults.seen),
            "peak_db": decibels(faults.peak**2),
            "offset": self._sum / faults.seen if faults.seen else None,
            "clipped": faults.at_full / max(1, faults.seen),
            "clipped_runs": faults.clipped.count,
            "longest_clip_ms": 1000 * faults.clipped.longest / self._rate,
            "dropouts": faults.dropouts.count,
            "dropout_s": faults.dropouts.samples / self._rate,
            "longest_dropout_s": faults.dropouts.longest / self._rate,
            "first_dropout_s": float(starts[0] / self._rate) if len(starts) else None,
        }
        return ChannelQuality(summary, self._segments, self._problems(summary))

    def _problems(self, summary: Values) -> list[str]:
        faults = self._faults
        heard = [each.beside_hum_db for each in self._spectral if each is not None]
        if faults.seen > 1 and (faults.frozen or (heard and max(heard) <= _DEAD_DB)):
            return ["dead"]
        found = []
        if faults.at_full >= _CLIPPED_SHARE * faults.seen and faults.clipped.count:
            found.append(f"clipped: {100 * faults.at_full / faults.seen:.2g} % of samples")
        if faults.dropouts.count:
            placed = len(faults.dropouts.places)
            later = "" if placed == faults.dropouts.count else f"; over time, only the first {placed} are shown"
            found.append(
                f"dropouts: {faults.dropouts.count}, {faults.dropouts.samples / self._rate:.3g} s in all{later}"
            )
        weather = {name: share for name in ("windy", "rainy") if (share := summary[name]) is not None and share >= 0.5}
        return [*found, *(f"{name}: {100 * share:.0f} % of the time" for name, share in weather.items())]


def _level(total: float, squares: float, count: int) -> float | None:
    """Return the level without the offset, or None without samples."""
    return decibels(max(0.0, squares / count - (total / count) ** 2)) if count else None


def _known(segments: list[Values], name: str) -> list[float]:
    return [float(value) for each in segments if (value := each[name]) is not None]


def _mean(segments: list[Values], name: str) -> float | None:
    known = _known(segments, name)
    return math.fsum(known) / len(known) if known else None


def _quiet(segments: list[Values], name: str) -> float | None:
    known = _known(segments, name)
    return float(np.quantile(known, QUIETEST)) if known else None
