"""`Trainer`: training, for notebooks and scripts."""

from typing import Any

from britekit.config import BaseConfig, get_config
from britekit.training.find_lr import find_learning_rate
from britekit.training.results import TrainResult
from britekit.training.trainer import train


class Trainer:
    """Trains as configured.

    Parameters
    ----------
    prefix
        Put before the names of checkpoints.
    cfg
        Settings; None takes those of `get_config()`.
    """

    def __init__(self, prefix: str | None = None, cfg: BaseConfig | None = None) -> None:
        self.prefix = prefix or ""
        self.cfg = get_config() if cfg is None else cfg

    def run(self, **more: Any) -> TrainResult:
        """Train; keyword arguments and errors as of `train`."""
        return train(self.cfg, **{"prefix": self.prefix, **more})

    def find_lr(self, num_batches: int = 100) -> float:
        """Return a learning rate to start with, from ``num_batches`` steps; see `find_learning_rate`."""
        return find_learning_rate(self.cfg, num_batches).suggestion
