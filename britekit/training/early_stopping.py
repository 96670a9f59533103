"""Track the best epoch on held-out data, and stop if no better one follows."""

import logging
import math
from collections.abc import Mapping
from typing import Any

log = logging.getLogger(__name__)


class EarlyStopping:
    """Tracks one metric over the epochs.

    Parameters
    ----------
    figure
        Name of the metric in the row of an epoch: ``val_loss``, where less is better, or an AUC.
    patience
        Number of epochs without improvement before training stops; None never stops.
    """

    def __init__(self, figure: str, patience: int | None):
        self.figure = figure
        self.patience = patience
        self.best_epoch: int | None = None
        self._best = -math.inf
        self._last = -1
        self._told = False

    def see(self, row: Mapping[str, Any]) -> bool:
        """Add the metrics of an epoch; return whether it is the best so far. NaN is not an improvement."""
        self._last = int(row["epoch"])
        value = row.get(self.figure)
        if value is None:
            if self.figure in row and not self._told:
                self._told = True
                log.warning("train.monitor: %s is undefined on the held-out data, so no epoch is best", self.figure)
            return False
        goodness = -float(value) if self.figure == "val_loss" else float(value)
        if not goodness > self._best:
            return False
        self._best, self.best_epoch = goodness, self._last
        return True

    @property
    def exhausted(self) -> bool:
        """Whether ``patience`` epochs have passed since the best one, or since the start if there is none."""
        if self.patience is None or self._last < 0:
            return False
        best = -1 if self.best_epoch is None else self.best_epoch
        return self._last - best >= self.patience
