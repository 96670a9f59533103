"""Measure level, noise by band, wind and rain from spectra of about 0.1 to 0.2 s.

- Noise: the tenth percentile over frames of the power in bands of an octave. The quietest minutes of a recording show
  what microphone and recorder add themselves.
- Wind: turbulence at a microphone lies below about 200 Hz and swells in gusts (Jackson, Kendrick, Cox, Fazenda & Li
  2014, J. Acoust. Soc. Am. 136: 1176-1186; Nelke, Chatlani, Beaugeant & Vary 2014, ICASSP). A segment is windy if that
  is most of its energy, loud and unsteady; hum and engines are steady.
- Rain: drops fill 0.6 to 1.2 and 4.4 to 5.6 kHz evenly: power above a threshold, and smooth over frequency (mean by
  standard deviation), in both (Bedoya, Isaza, Daza & López 2017, Ecological Indicators 75: 95-100; Metcalf, Lees,
  Barlow, Marsden & Devenish 2020, "hardRain", Ecological Indicators 109: 105793). We also ask for a steady level, which
  spares crackling and barks.

Decibels are relative to full scale; a square wave of 1.0 has 0 dB. F: bins of frequency, T: frames.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import fft

from britekit.audio.levels import QUIETEST, SILENCE_DB

OCTAVES_HZ = tuple(31.25 * 2.0**number for number in range(12))
"""Lower edges of the bands of noise; the last one ends at 128 kHz."""
_FRAME_S = 0.1
_LOW_HZ, _WIND_HZ = 10.0, 200.0
_WINDY_SHARE, _WINDY_DB, _GUSTY_DB = 0.8, -50.0, 2.5
RAIN_BANDS_HZ = ((600.0, 1200.0), (4400.0, 5600.0))
_RAIN_STEP_HZ = 50.0
# benchmarks/quality.py chose these on one half of ESC-10; they depend on the recorder's gain.
_RAIN_DB_PER_HZ, _RAIN_SMOOTH, _RAIN_STEADY_DB = -95.0, 1.5, 3.0
_MAINS_HZ, _MAINS_END_HZ, _MAINS_WIDTH_BINS = (50.0, 60.0), 2000.0, 4.0
_Pair = tuple[float, float]


@dataclass(frozen=True)
class Spectral:
    """Measures of a segment of one channel; None where the sampling rate does not reach."""

    noise_db: float
    octaves_db: list[float | None]
    """Noise in each of `OCTAVES_HZ`."""
    low_share: float | None
    low_db: float | None
    gusts_db: float | None
    """Share of energy in 10 to 200 Hz, its level, and the standard deviation of that over frames."""
    windy: bool | None
    rain_db: _Pair | None
    rain_smooth: _Pair | None
    rain_steady: _Pair | None
    """Power per Hz, smoothness, and standard deviation of the level over frames, in each of `RAIN_BANDS_HZ`."""
    rainy: bool | None
    beside_hum_db: float
    """Level without mains hum: of 50 or of 60 Hz, whichever is more of it."""


class Spectra:
    """Measures one segment of one channel from consecutive blocks."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._size = 1 << max(4, math.ceil(math.log2(_FRAME_S * rate)))
        # Blackman-Harris (F. J. Harris, Proc. IEEE 66, 1978): hum must not leak beyond four bins.
        phase = 2 * np.pi * np.arange(self._size) / self._size
        window = 0.35875 - 0.48829 * np.cos(phase) + 0.14128 * np.cos(2 * phase) - 0.01168 * np.cos(3 * phase)
        self._window = window.astype(np.float32)
        self._scale = 2.0 / (self._size * float(np.square(window).sum()))
        self._hz = np.arange(self._size // 2 + 1) * (rate / self._size)
        self._rest = np.empty(0, np.float32)
        self._sum = np.zeros(len(self._hz))
        self._bands: list[np.ndarray] = []
        edges = [_LOW_HZ, _WIND_HZ, *np.ravel(RAIN_BANDS_HZ), *OCTAVES_HZ, 2 * OCTAVES_HZ[-1]]
        self._at = np.searchsorted(self._hz, edges)
        self._first = max(1, int(self._at[0]))

    def push(self, samples: np.ndarray) -> None:
        """Add float32 (n,)."""
        held = np.concatenate([self._rest, samples])
        count = len(held) // self._size
        self._rest = held[count * self._size :]
        if not count:
            return
        frames = held[: count * self._size].reshape(count, self._size)
        frames = frames - frames.mean(axis=1, keepdims=True)  # an offset is not sound
        power_TF = np.square(np.abs(fft.rfft(frames * self._window, axis=1))).astype(np.float64) * self._scale
        self._sum += power_TF.sum(axis=0)
        total = np.concatenate([np.zeros((count, 1)), np.cumsum(power_TF, axis=1)], axis=1)
        low, high, *rain = np.minimum(self._at, len(self._hz)).tolist()
        octaves = rain[4:]
        columns = [total[:, -1], total[:, high] - total[:, max(1, low)], total[:, -1] - total[:, max(1, low)]]
        columns += [total[:, b] - total[:, a] for a, b in (rain[:2], rain[2:4])]
        columns += [total[:, b] - total[:, a] for a, b in zip(octaves, octaves[1:], strict=False)]
        self._bands.append(np.stack(columns, axis=1))

    def finish(self) -> Spectral | None:
        """Return the measures; None for a segment shorter than a frame."""
        if not self._bands:
            return None
        bands_TB = np.concatenate(self._bands)
        quiet = [decibels(float(each)) for each in np.quantile(bands_TB, QUIETEST, axis=0)]
        nyquist = self._rate / 2
        octaves = [quiet[5 + k] if 2 * low <= nyquist else None for k, low in enumerate(OCTAVES_HZ)]
        mean_F = self._sum / len(bands_TB)
        wind = self._wind(bands_TB) if nyquist >= 5 * _WIND_HZ else (None, None, None, None)
        rain = self._rain(mean_F, bands_TB[:, 3:5]) if nyquist >= RAIN_BANDS_HZ[-1][1] else (None, None, None, None)
        return Spectral(quiet[0], octaves, *wind, *rain, self._beside_hum(mean_F))  # type: ignore[call-arg]

    def _wind(self, bands_TB: np.ndarray) -> tuple[float | None, float, float, bool]:
        low_T, all_T = bands_TB[:, 1], bands_TB[:, 2]
        level = decibels(float(low_T.mean()))
        if not all_T.any():
            return None, level, 0.0, False
        share = float(low_T.sum() / all_T.sum())
        gusts = float(_spread_db(low_T))
        return share, level, gusts, share >= _WINDY_SHARE and level >= _WINDY_DB and gusts >= _GUSTY_DB

    def _rain(self, mean_F: np.ndarray, bands_T2: np.ndarray) -> tuple[_Pair, _Pair, _Pair, bool]:
        levels, smooth = [], []
        per_hz = mean_F / (self._rate / self._size)
        for low, high in RAIN_BANDS_HZ:
            edges = np.searchsorted(self._hz, np.arange(low, high + 1, _RAIN_STEP_HZ))
            steps = np.array([per_hz[a:b].mean() for a, b in zip(edges, edges[1:], strict=False)])
            levels.append(decibels(float(steps.mean())))
            spread = float(steps.std(ddof=1))
            smooth.append(float(steps.mean()) / spread if spread else 0.0)
        steady = _spread_db(bands_T2).tolist()
        loud, even = min(levels) >= _RAIN_DB_PER_HZ, min(smooth) >= _RAIN_SMOOTH
        rainy = loud and even and max(steady) <= _RAIN_STEADY_DB
        return (levels[0], levels[1]), (smooth[0], smooth[1]), (steady[0], steady[1]), rainy

    def _beside_hum(self, mean_F: np.ndarray) -> float:
        width = _MAINS_WIDTH_BINS * self._rate / self._size
        distances = (np.abs((self._hz + mains / 2) % mains - mains / 2) for mains in _MAINS_HZ)
        above = self._hz > _MAINS_END_HZ
        return decibels(min(float(mean_F[(far > width) | above].sum()) for far in distances))


def _spread_db(power_T: np.ndarray) -> np.ndarray:
    """Return the standard deviation over frames of levels in decibels."""
    return np.std(10 * np.log10(np.maximum(power_T, 10 ** (SILENCE_DB / 10))), axis=0)


def decibels(power: float) -> float:
    """Return the level of a mean square; -120 for silence."""
    return max(SILENCE_DB, 10.0 * math.log10(power)) if power > 0 else SILENCE_DB
