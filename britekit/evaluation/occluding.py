"""Blank the beginning and the end of spectrograms, and score what is left.

Legend: B spectrograms, C classes, H rows, W columns, n frames.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from britekit.inference.ensemble import Ensemble


def frame_count(ensemble: Ensemble) -> int:
    """Return n, the number of frames of a window at ``train.sed_fps``; at least 2, so that something is left."""
    return max(2, round(ensemble.duration * ensemble.cfg.train.sed_fps))


def occlusion_scores(ensemble: Ensemble, images_BHW: NDArray[np.float32], frames: int) -> NDArray[np.float32]:
    """Return the scores without the first k frames, and without the last k, for k = 1 … n - 1.

    Parameters
    ----------
    ensemble
        Loaded models; its scores are not calibrated.
    images_BHW
        Spectrograms with values 0 to 1; blanked frames are 0.
    frames
        n; frame k begins at column round(k W / n).

    Returns
    -------
    (2, n - 1, B, C) scores: from the left, from the right.
    """
    width = images_BHW.shape[2]
    scores = np.empty((2, frames - 1, len(images_BHW), ensemble.width), np.float32)
    left, right = images_BHW.copy(), images_BHW.copy()
    for k in range(1, frames):
        left[:, :, : round(k * width / frames)] = 0
        right[:, :, round((frames - k) * width / frames) :] = 0
        for side, blanked in enumerate((left, right)):
            scores[side, k - 1] = ensemble.score(blanked)[0]
    return scores
