"""Section `service`: what the service and `analyze` keep about what they score."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from britekit.config.fields import Section, setting


@dataclass
class ServiceConfig(Section):
    """Settings of running a recognizer."""

    SECTION: ClassVar[str] = "service"

    drift_folder: str | None = setting(None, "folder for statistics of what is scored, without sound; null = none")
    drift_days: int = setting(400, "days that are kept there", low=1)
