"""Compute acoustic indices of segments of sound: ACI, ADI, AEI, BI, NDSI and H.

Frames have 1024 samples (Hann) and overlap by half. Each frame's mean is subtracted. Values equal those of scikit-maad
(`maad.features`) for the same bands; the default bands are those of the papers:

- ACI: Pieretti, Farina & Morri 2011, Ecological Indicators 11: 868-873; over all frequencies. It grows with the length
  of a segment, so only segments of equal length can be compared.
- ADI, AEI: Villanueva-Rivera, Pijanowski, Doucette & Pekin 2011, Landscape Ecology 26: 1233-1246; 0 to 10 kHz in steps
  of 1 kHz, what is within 50 dB of the segment's peak.
- BI: Boelman, Asner, Hart & Martin 2007, Ecological Applications 17: 2137-2144; 2 to 8 kHz.
- NDSI: Kasten, Gage, Fox & Joo 2012, Ecological Informatics 12: 50-67; 1 to 2 kHz against 2 to 11 kHz.
- H = Hf · Ht: Sueur, Pavoine, Hamerlynck & Duvail 2008, PLoS ONE 3: e4065; of the mean power spectrum, and of the
  squared peaks of 512 samples each.

F: bins of frequency, T: frames.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scipy import fft

INDICES = ("ACI", "ADI", "AEI", "BI", "NDSI", "H", "Hf", "Ht")
FRAME, HOP = 1024, 512
_WINDOW = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(FRAME) / FRAME)
# Amplitude of a frame's spectrum such that its squares sum to the mean square of the samples.
_SCALE = math.sqrt(2.0 / (FRAME * float(np.square(_WINDOW).sum())))


@dataclass(frozen=True)
class Bands:
    """Frequency bands of the indices, in Hz."""

    adi: tuple[float, float, float] = (0.0, 10_000.0, 1000.0)
    aei: tuple[float, float, float] = (0.0, 10_000.0, 1000.0)
    """Lowest and highest frequency, and step."""
    within_db: float = 50.0
    """Cells at most this much below the segment's peak count as sound, for ADI and AEI."""
    bi: tuple[float, float] = (2000.0, 8000.0)
    ndsi_low: tuple[float, float] = (1000.0, 1000.0)
    ndsi_high: tuple[float, float] = (2000.0, 10_000.0)
    """First and last band of 1 kHz, named by its lower edge."""

    def tops(self) -> dict[str, float]:
        """Return the highest frequency that each index needs."""
        high = max(self.ndsi_low[1], self.ndsi_high[1]) + 1000.0
        return {"ADI": self.adi[1], "AEI": self.aei[1], "BI": self.bi[1], "NDSI": high}


def unavailable(rate: int, bands: Bands | None = None) -> dict[str, str]:
    """Return the indices whose bands a sampling rate does not reach, with the reason."""
    tops = (bands or Bands()).tops()
    return {
        name: f"needs frequencies up to {top / 1000:g} kHz; {rate} Hz reaches {rate / 2000:g} kHz"
        for name, top in tops.items()
        if top > rate / 2
    }


class Indices:
    """Computes the indices of one segment of one channel from consecutive blocks."""

    def __init__(self, rate: int, bands: Bands | None = None) -> None:
        self._bands = bands or Bands()
        self._missing = unavailable(rate, self._bands)
        self._hz = np.arange(HOP) * (rate / FRAME)
        self._scored = 1 + self._nearest(max(self._bands.adi[1], self._bands.aei[1]))
        self._rest = np.empty(0, np.float32)
        self._last: np.ndarray | None = None
        self._changes, self._sum, self._power = np.zeros(HOP), np.zeros(HOP), np.zeros(HOP)
        self._frames, self._top = 0, 0.0
        self._amplitudes: list[np.ndarray] = []
        self._waiting = np.empty(0, np.float32)
        self._peaks: list[np.ndarray] = []

    def push(self, samples: np.ndarray) -> None:
        """Add float32 (n,)."""
        self._add_peaks(samples)
        held = np.concatenate([self._rest, samples])
        count = max(0, (len(held) - FRAME) // HOP + 1)
        self._rest = held[count * HOP :]
        if not count:
            return
        frames = sliding_window_view(held, FRAME)[::HOP][:count].astype(np.float64)
        frames -= frames.mean(axis=1, keepdims=True)
        found_TF = np.abs(fft.rfft(frames * _WINDOW, axis=1)[:, :HOP]) * _SCALE
        self._frames += count
        self._sum += found_TF.sum(axis=0)
        self._power += np.square(found_TF).sum(axis=0)
        self._changes += np.abs(np.diff(found_TF, axis=0)).sum(axis=0)
        if self._last is not None:
            self._changes += np.abs(found_TF[0] - self._last)
        self._last = found_TF[-1]
        self._top = max(self._top, float(found_TF.max()))
        self._amplitudes.append(found_TF[:, : self._scored].astype(np.float32))

    def finish(self) -> dict[str, float | None]:
        """Return the index of each name; None where it is not defined (silence, or a band above half the rate)."""
        found: dict[str, float | None] = dict.fromkeys(INDICES)
        if not self._frames or not self._top:
            return found
        with np.errstate(invalid="ignore"):
            found["ACI"] = float(np.nansum(self._changes / self._sum)) if self._frames > 1 else None
        shares = {key: self._shares(*band) for key, band in (("ADI", self._bands.adi), ("AEI", self._bands.aei))}
        found["ADI"] = _entropy(shares["ADI"]) if shares["ADI"].any() else None
        found["AEI"] = _gini(shares["AEI"]) if shares["AEI"].any() else None
        found["BI"] = self._bioacoustic()
        found["NDSI"] = self._soundscape()
        found["Hf"] = over_frequency = _entropy(self._power) / math.log(HOP)
        squares = np.square(np.concatenate(self._peaks).astype(np.float64))
        if len(squares) > 1 and squares.any():
            found["Ht"] = over_time = _entropy(squares) / math.log(len(squares))
            found["H"] = over_frequency * over_time
        return found | dict.fromkeys(self._missing)

    def _add_peaks(self, samples: np.ndarray) -> None:
        held = np.concatenate([self._waiting, samples])
        whole = len(held) // HOP * HOP
        self._waiting = held[whole:]
        if whole:
            self._peaks.append(np.abs(held[:whole]).reshape(-1, HOP).max(axis=1))

    def _nearest(self, hz: float) -> int:
        return int(np.abs(self._hz - hz).argmin())

    def _shares(self, low: float, high: float, step: float) -> np.ndarray:
        """Return the share of cells within the decibels below the peak, for each band."""
        least = self._top * 10 ** (-self._bands.within_db / 20)
        found_F = sum((block >= least).sum(axis=0) for block in self._amplitudes) / self._frames
        starts = low + step * np.arange(math.floor((high - low) / step))
        return np.array([found_F[self._nearest(at) : self._nearest(at + step) + 1].mean() for at in starts])

    def _bioacoustic(self) -> float:
        first, last = (self._nearest(hz) for hz in self._bands.bi)
        decibels = 20 * np.log10(
            np.maximum(self._sum[first : last + 1] / self._frames / self._top, np.finfo(float).tiny)
        )
        return float((decibels - decibels.min()).sum() / self._hz[1])

    def _soundscape(self) -> float | None:
        starts = np.arange(0.0, self._hz[-1], 1000.0)
        members = [(self._hz >= at) & (self._hz < at + 1000.0) for at in starts]
        means = np.array([self._power[each].mean() if each.any() else 0.0 for each in members])
        low, high = (
            float(means[(starts >= first) & (starts <= last)].sum())
            for first, last in (self._bands.ndsi_low, self._bands.ndsi_high)
        )
        return (high - low) / (high + low) if high + low else None


def _entropy(values: np.ndarray) -> float:
    """Return the Shannon entropy in nats of values that are not all 0."""
    share = values / values.sum()
    share = share[share > 0]
    return float(-(share * np.log(share)).sum())


def _gini(values: np.ndarray) -> float:
    """Return the Gini coefficient of values that are not all 0."""
    ordered = np.sort(values)
    count = len(ordered)
    return float(2 * (ordered * np.arange(1, count + 1)).sum() / ordered.sum() - (count + 1)) / count
