"""`Pickler`: the training file, for notebooks and scripts."""

from pathlib import Path

from britekit.annotations.classes import read_classes
from britekit.config import BaseConfig, get_config
from britekit.database.session import open_database
from britekit.datasets.pickling import write_training_pickle
from britekit.files import refuse_overwriting


class Pickler:
    """Writes a training pickle.

    Parameters
    ----------
    db_path
        Training database; default ``train.train_db``.
    output_path
        The file to write.
    classes_path
        Class list; default all classes of the database.
    max_per_class
        Most spectrograms per class.
    spec_group
        Spectrogram group.
    cfg
        Settings; None takes those of `get_config()`.
    """

    def __init__(
        self,
        db_path: str | None = None,
        output_path: str = "data/training.pkl",
        classes_path: str | None = None,
        max_per_class: int | None = None,
        spec_group: str = "default",
        keep_mixed: bool = False,
        cfg: BaseConfig | None = None,
    ) -> None:
        cfg = get_config() if cfg is None else cfg
        self._db = db_path or cfg.train.train_db
        self._output = Path(output_path)
        refuse_overwriting(output_path, self._db, classes_path)
        self._classes = None if classes_path is None else read_classes(classes_path)
        self._max = max_per_class
        self._group = spec_group
        self._keep_mixed = keep_mixed
        self._size = (cfg.audio.spec_height, cfg.audio.spec_width)

    def pickle(self, quiet: bool = True) -> dict[str, int]:
        """Write the file and return the number of spectrograms of each class, printing it unless quiet."""
        with open_database(self._db) as session:
            counts, _total = write_training_pickle(
                session, self._output, *self._size, self._classes, self._group, self._max, self._keep_mixed
            )
        if not quiet:
            for name, count in counts.items():
                print(f"{name} = {count}")
        return counts


# The name that older scripts use.
TrainingPickler = Pickler
