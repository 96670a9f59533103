"""`Analyzer`: the command ``analyze`` as an object, for people at a prompt."""

from __future__ import annotations

import os
from pathlib import Path

from britekit.audio.files import find_recordings
from britekit.config import BaseConfig
from britekit.inference.analysis import AnalysisSummary, analyze_recordings
from britekit.inference.ensemble import load_ensemble
from britekit.inference.model_files import resolve_for_models


class Analyzer:
    """Scores recordings with all models of ``misc.ckpt_folder``, which are loaded once.

    Parameters
    ----------
    cfg
        Settings; None takes those in force, as commands do. Audio settings are those of the models.
    raw
        Leave scores as they are; otherwise they are calibrated as `britekit analyze` does it.

    Raises
    ------
    ModelError
        There are no models, or they do not go together.
    """

    def __init__(self, cfg: BaseConfig | None = None, raw: bool = False) -> None:
        self.cfg, paths = resolve_for_models(cfg=cfg)
        self._ensemble = load_ensemble(self.cfg, paths)
        self._calibration = self._ensemble.calibration(raw)

    def run(
        self,
        input_path: str | os.PathLike[str],
        output_path: str | os.PathLike[str] | None = None,
        rtype: str = "both",
    ) -> AnalysisSummary:
        """Score a recording or a directory of recordings, and write labels.

        Parameters
        ----------
        input_path
            The recording or directory.
        output_path
            Directory for the labels; None writes beside the recordings.
        rtype
            Names of formats with commas, as `analyze --rtype` takes them.

        Returns
        -------
        AnalysisSummary
            Its ``failed`` lists the recordings that could not be scored.
        """
        source = Path(input_path)
        root = source if source.is_dir() else source.parent
        return analyze_recordings(
            self.cfg,
            self._ensemble,
            find_recordings(source),
            root if output_path is None else output_path,
            root=root,
            rtype=rtype,
            calibration=self._calibration,
        )
