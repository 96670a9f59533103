"""Average the weights over steps or epochs; what is evaluated, saved and published is the average.

Batch-norm statistics are averaged like weights; counters are the latest.
"""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import nn

log = logging.getLogger(__name__)

# With fewer steps the average would still hold the initial weights (as in TensorFlow's moving average).
_WARMUP_STEPS = 10


class WeightAverage:
    """The running average of a network's weights.

    Parameters
    ----------
    ema_decay
        Above 0: exponential moving average, updated after each step; step n (from 1) keeps the share
        min(decay, (1 + n) / (10 + n)) of the average (Polyak and Juditsky, 1992; Tarvainen and Valpola, NeurIPS 2017).
    swa_from
        With ``ema_decay`` 0: the mean over the ends of all epochs from this zero-based one on (Izmailov et al., UAI
        2018).
    """

    def __init__(self, network: nn.Module, ema_decay: float = 0.0, swa_from: int = 0):
        self._decay, self._swa_from = ema_decay, swa_from
        state = network.state_dict(keep_vars=True)
        # The parameters themselves: `FlatNetwork` exchanges the memory behind them.
        self._own = {name: value for name, value in state.items() if value.is_floating_point()}
        self._mean = {name: value.detach().clone() for name, value in self._own.items()}
        self.count = 0  # steps or epochs in the average

    def after_step(self) -> None:
        """Include the weights after a step of the optimizer."""
        if self._decay > 0:
            self.count += 1
            self._approach(1.0 - min(self._decay, (1 + self.count) / (_WARMUP_STEPS + self.count)))

    def after_epoch(self, epoch: int) -> None:
        """Include the weights after a zero-based epoch."""
        if self._decay == 0 and epoch >= self._swa_from:
            self.count += 1
            self._approach(1.0 / self.count)

    @torch.no_grad()
    def _approach(self, share: float) -> None:
        torch._foreach_lerp_(list(self._mean.values()), self._now(), share)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Give the network the average inside the block, and its own weights back after it."""
        if not self.count:
            yield
            return
        before = dict(zip(self._own, [value.clone() for value in self._now()], strict=True))
        self._put(self._mean)
        try:
            yield
        finally:
            self._put(before)

    def apply(self) -> None:
        """Give the network the average for good; warn if training ended before there was one."""
        if self.count:
            self._put(self._mean)
        else:
            log.warning(
                "train.swa_portion: training stopped before epoch %d, so nothing is averaged", self._swa_from + 1
            )

    @torch.no_grad()
    def _put(self, values: Mapping[str, torch.Tensor]) -> None:
        torch._foreach_copy_(self._now(), [values[name] for name in self._own])

    def _now(self) -> list[torch.Tensor]:
        return [value.detach() for value in self._own.values()]

    def state_dict(self) -> dict[str, object]:
        """Return what a half-finished run needs."""
        return {"mean": self._mean, "count": self.count}

    def load_state_dict(self, state: Mapping[str, object]) -> None:
        """Continue a half-finished run."""
        mean: Mapping[str, torch.Tensor] = state["mean"]  # type: ignore[assignment]
        for name, value in self._mean.items():
            value.copy_(mean[name])
        self.count = int(state["count"])  # type: ignore[call-overload]
