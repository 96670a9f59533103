"""Keep the small matrix products of spectrograms on the calling thread."""

from contextlib import AbstractContextManager
from typing import Any


def single_threaded_products() -> AbstractContextManager[Any]:
    """Return a context in which every matrix product of numpy stays on the calling thread.

    Readers already run in parallel. By default, OpenBLAS splits each small product over all cores, whose threads spin
    in between: half an hour of audio then took 14 s of CPU time instead of 2 s.
    """
    import threadpoolctl  # type: ignore[import-untyped, unused-ignore]

    limits: AbstractContextManager[Any] = threadpoolctl.threadpool_limits(1, user_api="blas")
    return limits
