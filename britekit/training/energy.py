"""Energy of a training run, from counters that processors and graphics cards keep themselves.

Processors: Linux powercap (``intel-rapl``, on AMD's too), in microjoules, readable by root or where the
administrator allows it. NVIDIA cards: NVML's total energy, in millijoules. Where no counter can be read,
nothing is measured; nothing is estimated from nominal power.
"""

from __future__ import annotations

import ctypes
import time
from pathlib import Path

import torch

POWERCAP = Path("/sys/class/powercap")
# Processor counters start again at 0 after some 2^18 J, which a large processor uses within a quarter of an hour.
_READ_EVERY_S = 60.0


def cards_of(device: torch.device, processes: int) -> tuple[str, ...]:
    """Return the UUIDs of the cards that train: one, or the first ones with a process each."""
    if device.type != "cuda":
        return ()
    chosen = range(processes) if processes > 1 else [device.index or 0]
    return tuple(f"GPU-{torch.cuda.get_device_properties(index).uuid}" for index in chosen)


class EnergyMeter:
    """Joules since `start` of the processor packages of this machine and of some graphics cards.

    Parameters
    ----------
    uuids
        Of the NVIDIA cards that train, as NVML writes them (``GPU-...``).
    powercap
        Folder of the processors' counters.
    """

    def __init__(self, uuids: tuple[str, ...] = (), powercap: Path = POWERCAP) -> None:
        self._zones = [zone for zone in sorted(powercap.glob("intel-rapl:*")) if zone.name.count(":") == 1]
        self._cards = _Cards(uuids)
        self.start()

    def start(self) -> None:
        """Begin to count at 0."""
        self._microjoules = 0
        self._zone_values = self._read_zones()
        self._card_values = self._cards.read()
        self._read_at = time.monotonic()

    def tick(self) -> None:
        """Read the processors' counters if that is due; call it at least every few minutes."""
        if self._zone_values is not None and time.monotonic() - self._read_at >= _READ_EVERY_S:
            self._count_zones()

    def stop(self) -> float | None:
        """Return the joules since `start`, None unless every counter that concerns the run can be read."""
        self._count_zones()
        cards = self._cards.read()
        if self._zone_values is None or cards is None or self._card_values is None:
            return None
        return self._microjoules / 1e6 + sum(b - a for a, b in zip(self._card_values, cards, strict=True)) / 1e3

    def _count_zones(self) -> None:
        before, now = self._zone_values, self._read_zones()
        self._zone_values, self._read_at = now, time.monotonic()
        if before is not None and now is not None:
            for (first, _), (second, largest) in zip(before, now, strict=True):
                self._microjoules += second - first if second >= first else second - first + largest

    def _read_zones(self) -> list[tuple[int, int]] | None:
        """Return value and range of each package's counter, None if there are none or one cannot be read."""
        try:
            return [
                (int((zone / "energy_uj").read_text()), int((zone / "max_energy_range_uj").read_text()))
                for zone in self._zones
            ] or None
        except (OSError, ValueError):
            return None


class _Cards:
    """The energy counters of NVIDIA cards."""

    def __init__(self, uuids: tuple[str, ...]) -> None:
        self._library: ctypes.CDLL | None = None
        self._handles: list[ctypes.c_void_p | None] = []
        if not uuids:
            return
        try:
            library = ctypes.CDLL("libnvidia-ml.so.1")
        except OSError:
            self._handles = [None]  # cards there are, but they cannot be read
            return
        library.nvmlInit_v2()
        self._library = library
        for uuid in uuids:
            handle = ctypes.c_void_p()
            code = library.nvmlDeviceGetHandleByUUID(uuid.encode(), ctypes.byref(handle))
            self._handles.append(None if code else handle)

    def read(self) -> list[int] | None:
        """Return the millijoules of each card since its driver was loaded, None if one does not say."""
        values: list[int] = []
        for handle in self._handles:
            value = ctypes.c_ulonglong()
            if self._library is None or handle is None:
                return None
            if self._library.nvmlDeviceGetTotalEnergyConsumption(handle, ctypes.byref(value)):
                return None
            values.append(value.value)
        return values


class Clock:
    """Measures seconds of training, without evaluation and saving between epochs."""

    def __init__(self) -> None:
        self.start()

    def start(self) -> None:
        """Begin a stretch of training."""
        self._begun = time.monotonic()

    def stop(self) -> float:
        """Return the seconds since then."""
        return time.monotonic() - self._begun
