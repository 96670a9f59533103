"""The progress line of training: epoch, loss, rate, spectrograms per second, time left."""

import time

from britekit.progress import Meter, clock


class TrainingMeter(Meter):
    """Progress over all steps of a run.

    Parameters
    ----------
    total
        Steps of the whole run.
    first
        Steps done by the run this one continues.
    epochs
        Epochs of the whole run.
    """

    def __init__(self, total: int, first: int, epochs: int, what: str = "train"):
        super().__init__(total, what)
        self._name = what
        self._first = first
        self._done = first
        self._epochs = epochs
        self._seen = 0
        self._begun = time.monotonic()
        self._epoch = 0
        self._loss = float("nan")
        self._rate = 0.0

    def step(self, epoch: int, loss: float, rate: float, spectrograms: int) -> None:
        """Count one step."""
        self._epoch, self._loss, self._rate = epoch, loss, rate
        self._seen += spectrograms
        self.advance()

    @property
    def per_second(self) -> float:
        """Spectrograms per second since the beginning."""
        return self._seen / max(1e-9, time.monotonic() - self._begun)

    def _text(self, now: float, bar: bool = False) -> str:
        total = self._total or 1
        done = max(1, self._done - self._first)
        left = (now - self._begun) * (total - self._done) / done
        share = min(self._done / total, 1.0)
        drawing = f"[{'#' * int(share * 20):<20}] " if bar else ""
        return (
            f"{self._name}: {drawing}epoch {self._epoch + 1}/{self._epochs}, step {self._done}/{total}, "
            f"loss {self._loss:.4f}, rate {self._rate:.2e}, {self.per_second:.0f} spectrograms/s, "
            f"{clock(left)} left"
        )
