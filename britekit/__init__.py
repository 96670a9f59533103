"""BriteKit: from recordings to a tested, calibrated, packaged sound recognizer.

Each name here is loaded on first use, so that `import britekit` costs nothing. `get_config()` and
`commands.<name>(...)` are for notebooks; the rooms below are described in their own docstrings.
"""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

# For type checkers and editors; a test holds it equal to _HOMES.
if TYPE_CHECKING:
    from britekit import commands as commands
    from britekit.api.analyzer import Analyzer as Analyzer
    from britekit.api.audio import Audio as Audio
    from britekit.api.compat import scripts as util
    from britekit.api.database import TrainingDatabase as TrainingDatabase
    from britekit.api.extractor import Extractor as Extractor
    from britekit.api.models import load_from_checkpoint as load_from_checkpoint
    from britekit.api.models import load_new_model as load_new_model
    from britekit.api.pickler import Pickler as Pickler
    from britekit.api.pickler import TrainingPickler as TrainingPickler
    from britekit.api.predictor import Predictor as Predictor
    from britekit.api.provider import TrainingDataProvider as TrainingDataProvider
    from britekit.api.records import Annotation as Annotation
    from britekit.api.records import ClassInfo as ClassInfo
    from britekit.api.records import Label as Label
    from britekit.api.records import ScoreTable as ScoreTable
    from britekit.api.records import Verdict as Verdict
    from britekit.api.records import read_annotations as read_annotations
    from britekit.api.records import read_classes as read_classes
    from britekit.api.records import read_labels as read_labels
    from britekit.api.records import read_verdicts as read_verdicts
    from britekit.api.reextractor import Reextractor as Reextractor
    from britekit.api.scored import ScoredRecording as ScoredRecording
    from britekit.api.testers import PerBlockTester as PerBlockTester
    from britekit.api.testers import PerMinuteTester as PerMinuteTester
    from britekit.api.testers import PerRecordingTester as PerRecordingTester
    from britekit.api.testers import PerSegmentTester as PerSegmentTester
    from britekit.api.trainer import Trainer as Trainer
    from britekit.config import BaseConfig as BaseConfig
    from britekit.config import get_config as get_config
    from britekit.errors import BriteKitError as BriteKitError
    from britekit.errors import ConfigError as ConfigError
    from britekit.errors import DatabaseError as DatabaseError
    from britekit.errors import InferenceError as InferenceError
    from britekit.errors import InputError as InputError
    from britekit.errors import ModelError as ModelError
    from britekit.errors import TrainingError as TrainingError
    from britekit.occurrence.database import OccurrenceDatabase as OccurrenceDatabase
    from britekit.occurrence.database_v2 import OccurrenceDatabaseV2 as OccurrenceDatabaseV2
    from britekit.occurrence.pickle_provider import OccurrencePickleProvider as OccurrencePickleProvider
    from britekit.occurrence.pickler import OccurrencePickler as OccurrencePickler
    from britekit.occurrence.provider import OccurrenceDataProvider as OccurrenceDataProvider
    from britekit.tuning.tuner import Tuner as Tuner

# Public name -> module that holds it.
_HOMES = {
    name: module
    for module, names in {
        "britekit.config": "BaseConfig get_config",
        "britekit.errors": "BriteKitError ConfigError DatabaseError InferenceError InputError ModelError TrainingError",
        "britekit.api.analyzer": "Analyzer",
        "britekit.api.audio": "Audio",
        "britekit.api.database": "TrainingDatabase",
        "britekit.api.extractor": "Extractor",
        "britekit.api.models": "load_from_checkpoint load_new_model",
        "britekit.api.pickler": "Pickler TrainingPickler",
        "britekit.api.predictor": "Predictor",
        "britekit.api.provider": "TrainingDataProvider",
        "britekit.api.records": "Annotation ClassInfo Label ScoreTable Verdict "
        "read_annotations read_classes read_labels read_verdicts",
        "britekit.api.reextractor": "Reextractor",
        "britekit.api.scored": "ScoredRecording",
        "britekit.api.testers": "PerSegmentTester PerBlockTester PerMinuteTester PerRecordingTester",
        "britekit.api.trainer": "Trainer",
        "britekit.occurrence.database": "OccurrenceDatabase",
        "britekit.occurrence.database_v2": "OccurrenceDatabaseV2",
        "britekit.occurrence.pickle_provider": "OccurrencePickleProvider",
        "britekit.occurrence.pickler": "OccurrencePickler",
        "britekit.occurrence.provider": "OccurrenceDataProvider",
        "britekit.tuning.tuner": "Tuner",
    }.items()
    for name in names.split()
}

__all__ = ["__version__", "commands", "util", *_HOMES]


def __getattr__(name: str) -> Any:
    import importlib

    if name == "commands":
        return importlib.import_module("britekit.commands")
    if name == "util":
        return importlib.import_module("britekit.api.compat.scripts")
    if name in _HOMES:
        value = getattr(importlib.import_module(_HOMES[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'britekit' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
