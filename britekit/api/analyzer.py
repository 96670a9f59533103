"""`Analyzer`: the command ``analyze`` as an object, for people at a prompt."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from britekit.api.compat.settings import as_settings, with_audio
from britekit.audio.files import find_recordings
from britekit.config import BaseConfig
from britekit.inference.analysis import AnalysisSummary, analyze_recordings, score_first_window
from britekit.inference.ensemble import load_ensemble
from britekit.inference.model_files import resolve_for_models


class Analyzer:
    """Scores recordings with all models of ``misc.ckpt_folder``, which are loaded once.

    Parameters
    ----------
    audio_overrides
        Audio settings that replace those of the models.
    cfg
        Settings; None takes those in force, as commands do. Audio settings are those of the models.
    raw
        Leave scores as they are; otherwise they are calibrated as `britekit analyze` does it.

    Raises
    ------
    ModelError
        There are no models, or they do not go together.
    """

    def __init__(
        self, audio_overrides: Mapping[str, Any] | None = None, cfg: BaseConfig | None = None, raw: bool = False
    ) -> None:
        settings, self._paths = resolve_for_models(cfg=as_settings(cfg))
        self.cfg = with_audio(settings, audio_overrides)
        self._raw = raw
        self._ensemble = load_ensemble(self.cfg, self._paths)
        self._calibration = self._ensemble.calibration(raw)

    def run(
        self,
        input_path: str | os.PathLike[str],
        output_path: str | os.PathLike[str] | None = None,
        rtype: str = "both",
        start_seconds: float = 0,
        show: bool = False,
    ) -> AnalysisSummary | None:
        """Score a recording or a directory of recordings, and write labels.

        Parameters
        ----------
        input_path
            The recording or directory.
        output_path
            Directory for the labels; None writes beside the recordings.
        rtype
            Names of formats with commas, as `analyze --rtype` takes them.
        start_seconds
            Skip the beginning of each recording up to there.
        show
            Only print the ten highest classes of the first window of the first recording.

        Returns
        -------
        AnalysisSummary or None
            Its ``failed`` lists the recordings that could not be scored; None with ``show``.
        """
        source = Path(input_path)
        if show:
            first = find_recordings(source)[0]
            _, ranked, _ = score_first_window(self.cfg, self._paths, first, start_seconds, self._raw)
            for info, score in ranked[:10]:
                print(f"{info.label(self.cfg.infer.label_field)} = {score:.6f}")
            return None
        root = source if source.is_dir() else source.parent
        return analyze_recordings(
            self.cfg,
            self._ensemble,
            find_recordings(source),
            root if output_path is None else output_path,
            root=root,
            rtype=rtype,
            start_seconds=start_seconds,
            calibration=self._calibration,
        )
