"""Run a further process of a run on several devices, started by the first one.

Reads one line from stdin, trains, and exits at once when stdin closes, which means that the first process is dead.
"""

import json
import logging
import os
import sys
import threading
import traceback
from typing import Any


def work(settings: dict[str, Any], seed: int | None) -> None:
    """Train in parallel with the first process; writes and logs nothing."""
    from britekit.config import from_dict
    from britekit.training.trainer import train

    logging.getLogger("britekit").setLevel(logging.ERROR)
    train(from_dict(settings), seed=seed)


def _end_with_the_first() -> None:
    while sys.stdin.buffer.read(1024):
        pass
    os._exit(1)


def main() -> None:
    """Read the line and train accordingly."""
    call = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_the_first, daemon=True).start()
    from britekit.errors import BriteKitError

    try:
        work(**call)
    except BriteKitError as error:
        print(error, file=sys.stderr, flush=True)
        os._exit(1)
    except Exception:
        # Not raised, since a normal exit would wait for the thread that reads stdin.
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)
    os._exit(0)


if __name__ == "__main__":
    main()
