"""OpenVINO, as this package loads it."""

from __future__ import annotations

import sys
from typing import Any


def load_openvino() -> Any:
    """Import OpenVINO without the package by which it counts its users.

    Importing OpenVINO makes a folder in the home and sends an event. With that package hidden it uses a
    stub of its own, says nothing to anyone, and is loaded sooner.
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino

    return openvino
