"""Show the progress of training: epoch, loss, rate, spectrograms per second, time left."""

import logging
import time

from britekit.progress import Meter, clock

log = logging.getLogger(__name__)

# Speed is known after this many seconds of steps, without the first one, which starts threads and kernels.
_KNOWN_AFTER_S = 1.0


class TrainingMeter(Meter):
    """Progress over all steps of a run.

    Parameters
    ----------
    first
        Number of epochs done by the continued run.
    """

    def __init__(self, epochs: int, steps: int, first: int = 0, what: str = "train"):
        super().__init__(epochs * steps, what)
        self._name = what
        self._first = self._done = first * steps
        self._epochs = epochs
        self._steps = steps
        self._first_step_at = 0.0
        self._announced = False
        self._seen = 0
        self._begun = time.monotonic()
        self._epoch = 0
        self._loss = float("nan")
        self._rate = 0.0

    def step(self, epoch: int, loss: float, rate: float, spectrograms: int) -> None:
        """Count one step."""
        self._epoch, self._loss, self._rate = epoch, loss, rate
        self._seen += spectrograms
        now = time.monotonic()
        if self._done == self._first:
            self._first_step_at = now
        elif now - self._first_step_at >= _KNOWN_AFTER_S:
            each = (now - self._first_step_at) / (self._done - self._first)
            self._announce(each * ((self._total or 0) - self._done))
        self.advance()

    def finish(self) -> None:
        """Print the end, and the duration if the run ended before its speed was known."""
        self._announce(time.monotonic() - self._begun)
        super().finish()

    def _announce(self, seconds: float) -> None:
        if self._announced:
            return
        self._announced = True
        epochs, total = self._epochs - self._first // self._steps, (self._total or 0) - self._first
        log.info(
            "%s: %d epoch%s of %d steps (%s in all), about %s",
            self._name, epochs, "s" * (epochs != 1), self._steps, f"{total:,}", _minutes(seconds),
        )  # fmt: skip

    @property
    def per_second(self) -> float:
        """Return the spectrograms per second since the start."""
        return self._seen / max(1e-9, time.monotonic() - self._begun)

    def _text(self, now: float, bar: bool = False) -> str:
        total = self._total or 1
        done = max(1, self._done - self._first)
        left = (now - self._begun) * (total - self._done) / done
        share = min(self._done / total, 1.0)
        drawing = f"[{'#' * int(share * 20):<20}] " if bar else ""
        return (
            f"{self._name}: {drawing}epoch {self._epoch + 1}/{self._epochs}, step {self._done}/{total}, loss "
            f"{self._loss:.4f}, rate {self._rate:.2e}, {self.per_second:.0f} spectrograms/s, {clock(left)} left"
        )


def _minutes(seconds: float) -> str:
    """Return a duration in words."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes / 60:.1f} h"
