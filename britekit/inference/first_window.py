"""The first spectrogram of a recording alone, for a quick look at what the models say."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from britekit.annotations.classes import ClassInfo
from britekit.audio.files import shown
from britekit.audio.windows import Windows
from britekit.config import BaseConfig
from britekit.errors import InputError
from britekit.inference.ensemble import load_ensemble
from britekit.inference.labelling import Labeller


def score_first_window(
    cfg: BaseConfig, members: Sequence[Path], path: Path, start_seconds: float = 0.0, raw: bool = False
) -> tuple[float, list[tuple[ClassInfo, float]], str]:
    """Return start, classes and scores of a recording's first window, and whether they are calibrated.

    The highest score comes first.

    Ignored classes are left out, as in labels; ``raw`` scores are not calibrated.

    Raises
    ------
    InputError
        The recording cannot be read, or is too short from there on.
    """
    ensemble = load_ensemble(cfg, members)
    labeller = Labeller(cfg, ensemble, ensemble.calibration(raw))
    batch = next(Windows(path, ensemble.audio, ensemble.grid(start_seconds)).batches(1), None)
    if batch is None:
        raise InputError(f"{shown(path)} is too short for a spectrogram from {start_seconds:g} s on")
    scores = labeller.scores(ensemble.score(batch.spectrograms)[0])[0]
    ranked = sorted(zip(labeller.classes, scores.tolist(), strict=True), key=lambda pair: -pair[1])
    return batch.starts[0], ranked, labeller.calibration.describe()
