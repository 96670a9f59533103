"""Commands with the option ``--time-expansion``: all recordings that they open are opened with it."""

import functools
import inspect
from collections.abc import Callable
from typing import ParamSpec, TypeVar

_P = ParamSpec("_P")
_R = TypeVar("_R")


def takes_time_expansion(command: Callable[_P, _R]) -> Callable[_P, _R]:
    """Return a command function that opens recordings with the factor of its parameter ``time_expansion``."""
    signature = inspect.signature(command)

    @functools.wraps(command)
    def run(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        factor = signature.bind(*args, **kwargs).arguments.get("time_expansion")
        if factor is None:
            return command(*args, **kwargs)
        from britekit.audio.time_expansion import assumed

        with assumed(factor):
            return command(*args, **kwargs)

    return run
