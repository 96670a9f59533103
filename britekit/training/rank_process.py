"""A further process of a run on several devices, started by the first one.

Reads one line from its input, works, and ends at once when that input closes: then the first one is gone.
"""

import json
import logging
import os
import sys
import threading
import traceback
from typing import Any


def work(settings: dict[str, Any], seed: int | None) -> None:
    """Train beside the first process; writes nothing and says nothing."""
    from britekit.config import from_dict
    from britekit.training.trainer import train

    logging.getLogger("britekit").setLevel(logging.ERROR)
    train(from_dict(settings), seed=seed)


def _end_with_the_first() -> None:
    while sys.stdin.buffer.read(1024):
        pass
    os._exit(1)


def main() -> None:
    """Do what the line says."""
    call = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_the_first, daemon=True).start()
    from britekit.errors import BriteKitError

    try:
        work(**call)
    except BriteKitError as error:
        print(error, file=sys.stderr, flush=True)
        os._exit(1)
    except Exception:
        # Not raised: at an orderly end the interpreter would wait for the thread that reads the input.
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)
    os._exit(0)


if __name__ == "__main__":
    main()
