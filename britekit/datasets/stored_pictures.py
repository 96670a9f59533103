"""Pictures of stored spectrograms, by the IDs of their values."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from britekit.config.audio import AudioConfig
from britekit.database.spectrograms import decode, iter_values
from britekit.errors import DatabaseError
from britekit.plots.axis_ticks import row_centers_hz
from britekit.plots.spectrogram import SpectrogramPlot, plot_bare_spectrogram


class Pictures:
    """Draws spectrograms of one group, with axes or bare."""

    def __init__(self, audio: AudioConfig, axes: bool, power: float = 1.0) -> None:
        self._audio = audio
        self._power = power
        self._plot = SpectrogramPlot(row_centers_hz(audio)) if axes else None

    def draw(self, path: Path, image_FT: NDArray[np.float32], offset: float, title: str) -> None:
        """Write one picture; ``offset`` in seconds."""
        if self._plot is None:
            plot_bare_spectrogram(path, image_FT, self._power)
        else:
            self._plot.save(path, image_FT, self._audio.spec_duration, offset, title, self._power)


def iter_images(session: Session, value_ids: Sequence[int], audio: AudioConfig) -> Iterator[NDArray[np.float32]]:
    """Yield stored spectrograms in the order of their IDs given, float32 (H, W) in 0 to 1.

    Raises `DatabaseError` if one is damaged, or of another size than ``audio`` says.
    """
    for values, first in zip(iter_values(session, value_ids), range(0, len(value_ids), 256)):
        for place, value in enumerate(values, first):
            try:
                image = decode(value, audio.spec_height, audio.spec_width)
            except ValueError as error:
                raise DatabaseError(
                    f"{session.info['where']}: the spectrogram with ID {value_ids[place]} does not fit "
                    f"{audio.spec_height} × {audio.spec_width}: {error}"
                ) from None
            yield image.astype(np.float32) / np.float32(255.0)
