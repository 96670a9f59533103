"""Label files of BirdNET-Analyzer, which are read beside our own (see `britekit.annotations.labels`).

A line of ``X.BirdNET.results.txt`` is start TAB end TAB scientific name, common name TAB confidence.
"""

from __future__ import annotations

from britekit.annotations.labels import BIRDNET_ENDING
from britekit.formats._base import Format

FORMAT = Format(
    name="birdnet",
    title="BirdNET labels",
    media_type="text/plain; charset=utf-8",
    ending=BIRDNET_ENDING,
    columns={
        "(start)": "seconds",
        "(end)": "seconds",
        "(name)": "scientific name, common name; the latter is the label",
        "(confidence)": "0 to 1",
    },
)
