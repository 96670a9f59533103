"""Which epoch is the best on held-out data, and when to stop waiting for a better one."""

import logging
import math
from collections.abc import Mapping
from typing import Any

log = logging.getLogger(__name__)


class Watch:
    """Follows one figure over the epochs.

    Parameters
    ----------
    figure
        Name of the figure in an epoch's row: ``val_loss``, where less is better, or an AUC.
    patience
        Epochs without improvement after which training stops; None never stops it.
    """

    def __init__(self, figure: str, patience: int | None):
        self.figure = figure
        self.patience = patience
        self.best_epoch: int | None = None
        self._best = -math.inf
        self._last = -1
        self._told = False

    def see(self, row: Mapping[str, Any]) -> bool:
        """Take an epoch's figures; whether it is the best so far. An undefined figure is no improvement."""
        self._last = int(row["epoch"])
        value = row.get(self.figure)
        if value is None:
            if self.figure in row and not self._told:
                self._told = True
                log.warning("train.monitor: %s is undefined on the held-out data: by it none is best", self.figure)
            return False
        goodness = -float(value) if self.figure == "val_loss" else float(value)
        if not goodness > self._best:
            return False
        self._best, self.best_epoch = goodness, self._last
        return True

    @property
    def exhausted(self) -> bool:
        """Whether ``patience`` epochs have passed since the best one (since the beginning, if none is)."""
        if self.patience is None or self._last < 0:
            return False
        best = -1 if self.best_epoch is None else self.best_epoch
        return self._last - best >= self.patience
