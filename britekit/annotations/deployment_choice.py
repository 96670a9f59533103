"""Which deployment made a recording: by folder, device, serial number in the name, and time."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from britekit.annotations.deployments import Deployment

_NOTHING = re.compile(r"(?!)")


class NearDeployments:
    """The deployments that may have made the recordings of a device in a folder: names decide about some."""

    def __init__(self, folder: Path, device: str, deployments: Sequence[Deployment]) -> None:
        judged = [(one, one.knows_folder(folder, device)) for one in deployments]
        self._all = [(one, known is None) for one, known in judged if known is not False]
        self._known = [one for one, by_name in self._all if not by_name]
        self._folder, self._device = folder, device
        serials = [one.serial_in_names for one, by_name in self._all if by_name]
        # One search tells that a name contains no serial number: a year has a million names.
        words = "|".join(re.escape(serial) for serial in serials if serial)
        self._may_hold = None if None in serials else re.compile(words, re.IGNORECASE) if words else _NOTHING

    def of(self, name: str) -> list[Deployment]:
        """Return those of a recording, in the order of the table."""
        if self._may_hold is not None and self._may_hold.search(name) is None:
            return self._known
        return [one for one, by_name in self._all if not by_name or one.knows_name(self._folder, name, self._device)]


def deployment_at(
    candidates: Sequence[Deployment], clocks: Sequence[tuple[str, datetime]]
) -> tuple[Deployment | None, list[str]]:
    """Return the deployment in whose time a recording lies, else the nearest; and what is doubtful."""
    if len(candidates) < 2:
        return (candidates[0] if candidates else None), []
    rows = " and ".join(one.spell() for one in candidates[:3])
    if not clocks:
        return candidates[0], [f"it has no time, so it may belong to {rows}; the first was taken"]
    outside = [one.seconds_outside(one.corrected(one.localized(clocks[0][1])[0])) for one in candidates]
    inside = [one for one, seconds in zip(candidates, outside, strict=True) if not seconds]
    if not inside:
        return candidates[outside.index(min(outside))], []
    if len({one.site for one in inside}) > 1:
        rows = " and ".join(one.spell() for one in inside[:3])
        return inside[0], [f"it fits {rows}; the first was taken"]
    return inside[0], []
