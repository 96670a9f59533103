"""What runs below the models: OpenVINO, as this package loads it, and the threads of matrix products."""

from __future__ import annotations

import contextlib
import logging
import sys
from contextlib import AbstractContextManager
from typing import Any

logger = logging.getLogger(__name__)


def load_openvino() -> Any:
    """Import OpenVINO without the package by which it counts its users.

    Importing OpenVINO makes a folder in the home and sends an event. With that package hidden it uses a
    stub of its own, says nothing to anyone, and is loaded sooner.
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino

    return openvino


def single_threaded_products() -> AbstractContextManager[Any]:
    """Return a context in which every matrix product of numpy stays on the thread that asks for it.

    Readers work side by side already. Left alone, OpenBLAS splits each small product of a spectrogram over
    all cores and lets them spin between: half an hour of audio then took 14 s of processor time instead of
    2 s.
    """
    try:
        import threadpoolctl  # type: ignore[import-untyped, import-not-found, unused-ignore]
    except ImportError:
        logger.debug("threadpoolctl is not installed: OPENBLAS_NUM_THREADS=1 makes spectrograms faster")
        return contextlib.nullcontext()
    limits: AbstractContextManager[Any] = threadpoolctl.threadpool_limits(1, user_api="blas")
    return limits
