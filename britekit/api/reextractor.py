"""`Reextractor`: the spectrograms of stored segments again, for notebooks and scripts."""

import os

from britekit.annotations.classes import read_classes
from britekit.config import BaseConfig, get_config, resolve
from britekit.database.session import open_database
from britekit.database.tracked import refuse_lost_spectrograms
from britekit.datasets.hand_edits import edit_by_hand
from britekit.datasets.reextraction import Reextraction, reextract_segments
from britekit.errors import InputError


class Reextractor:
    """Computes the spectrograms of stored segments again.

    Parameters
    ----------
    db_path
        Training database; default ``train.train_db``.
    class_name, classes_path
        One class, or a class list; neither means all.
    check
        Only verify that every recording can be read.
    spec_group
        Spectrogram group.
    offset
        Seconds added to where each segment begins.
    cfg
        Settings; None takes those of `get_config()`.
    """

    def __init__(
        self,
        db_path: str | os.PathLike[str] | None = None,
        class_name: str | None = None,
        classes_path: str | None = None,
        check: bool = False,
        spec_group: str = "default",
        offset: float = 0.0,
        cfg: BaseConfig | None = None,
    ) -> None:
        cfg = get_config() if cfg is None else cfg
        if class_name is not None and classes_path is not None:
            raise InputError("--name and --classes exclude each other; give one of them, or neither for all")
        self._cfg = cfg
        self._db = db_path or cfg.train.train_db
        self._names = None
        if class_name is not None:
            self._names = [class_name]
        elif classes_path is not None:
            self._names = [info.name for info in read_classes(classes_path)]
        self._check = check
        self._group = spec_group
        self._offset = offset

    def run(self, quiet: bool = True) -> Reextraction:
        """Compute and store; unless ``quiet``, print the numbers, one ``name = value`` a line."""
        options = (self._cfg, self._names, self._group, self._offset, self._check)
        if self._check:
            with open_database(self._db) as session:
                result = reextract_segments(session, *options)
        else:
            with edit_by_hand(self._db) as edits:
                if edits.is_recorded:
                    as_built = self._cfg.audio == resolve().audio and not self._offset
                    refuse_lost_spectrograms(edits.session, self._group, as_built)
                result = reextract_segments(edits.session, *options)
        if not quiet:
            print(f"recordings = {result.recordings}")
            print(f"spectrograms = {result.spectrograms}")
            print(f"seconds = {result.seconds:.1f}")
        return result
