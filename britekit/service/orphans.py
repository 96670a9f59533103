"""What happens to the service when ``serve`` is killed and can tidy up no more.

On Linux the kernel sends SIGTERM to the service's first process when its parent dies. Elsewhere, and in any
case for the folder with uploads, the process that holds the model looks for itself who its ancestors are.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable

PARENT_VARIABLE = "BRITEKIT_SERVE_PID"
FOLDER_VARIABLE = "BRITEKIT_SERVE_FOLDER"
_PR_SET_PDEATHSIG = 1
_LOOK_SECONDS = 1.0


def die_with_parent() -> Callable[[], None] | None:
    """Return what a new process must call first to get SIGTERM when its parent dies; None except on Linux."""
    if not sys.platform.startswith("linux"):
        return None
    library = ctypes.CDLL(None, use_errno=True)
    parent = os.getpid()

    def ask() -> None:
        library.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != parent:  # it died before we asked
            os._exit(1)

    return ask


def watch_serve() -> None:
    """End the service when the ``serve`` that has started it is there no more; else do nothing."""
    if not os.environ.get(PARENT_VARIABLE):
        return

    def watch() -> None:
        keeper = os.getppid()
        while not serve_is_gone():
            time.sleep(_LOOK_SECONDS)
        with contextlib.suppress(ProcessLookupError):
            # The process that restarts us if we end; once it has gone, we are asked to end as well.
            os.kill(keeper if os.getppid() == keeper else os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="britekit-orphan", daemon=True).start()


def serve_is_gone() -> bool:
    """Tell whether ``serve`` has started this service and is its ancestor no more."""
    import psutil  # type: ignore[import-untyped]

    parent = os.environ.get(PARENT_VARIABLE, "")
    if not parent:
        return False
    with contextlib.suppress(psutil.NoSuchProcess):
        return int(parent) not in {process.pid for process in psutil.Process().parents()}
    return True


def remove_leftovers() -> None:
    """Remove the folder that a killed ``serve`` could not remove: with the model, uploads and sockets."""
    folder = os.environ.get(FOLDER_VARIABLE)
    if folder and serve_is_gone():
        shutil.rmtree(folder, ignore_errors=True)
