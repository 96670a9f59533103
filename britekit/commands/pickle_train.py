"""Write the training file; another name of pickle.

Public britekit calls it so.

    britekit pickle-train --classes data/classes.csv -o data/training.pkl
"""

from typing import Optional

from britekit.commands.pickle import Options as Options


def pickle_train(
    cfg_path: Optional[str] = None,
    classes_path: Optional[str] = None,
    db_path: Optional[str] = None,
    output_path: Optional[str] = None,
    root_dir: str = ".",
    max_per_class: Optional[int] = None,
    spec_group: str = "default",
    keep_mixed: bool = False,
) -> int:
    """Write the training file; return the number of spectrograms in it."""
    import importlib

    pickle = importlib.import_module("britekit.commands.pickle").pickle
    return int(
        pickle(cfg_path, classes_path, db_path, output_path, root_dir, max_per_class, spec_group, keep_mixed)
    )
