"""Keeping the small matrix products of spectrograms on the thread that asks for them."""

from contextlib import AbstractContextManager
from typing import Any


def single_threaded_products() -> AbstractContextManager[Any]:
    """Return a context in which every matrix product of numpy stays on the thread that asks for it.

    Readers work side by side already. Left alone, OpenBLAS splits each small product of a spectrogram over
    all cores and lets them spin between: half an hour of audio then took 14 s of processor time instead of
    2 s.
    """
    import threadpoolctl  # type: ignore[import-untyped, unused-ignore]

    limits: AbstractContextManager[Any] = threadpoolctl.threadpool_limits(1, user_api="blas")
    return limits
