"""BriteKit: from recordings to a tested, calibrated, packaged sound recognizer.

Each name here is loaded on first use, so that `import britekit` costs nothing. For people at a prompt there
are `get_config()` and `commands.<name>(...)`; the rooms below are described in their own docstrings.
"""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from britekit import commands
    from britekit.config import BaseConfig as BaseConfig
    from britekit.config import get_config as get_config

# Public name -> module that holds it.
_HOMES = {
    "BaseConfig": "britekit.config",
    "get_config": "britekit.config",
    "BriteKitError": "britekit.errors",
    "InputError": "britekit.errors",
    "ConfigError": "britekit.errors",
    "DatabaseError": "britekit.errors",
    "ModelError": "britekit.errors",
    "InferenceError": "britekit.errors",
    "TrainingError": "britekit.errors",
    "Analyzer": "britekit.inference.analyzer",
    "Audio": "britekit.audio.signal",
    "Extractor": "britekit.datasets.extractor",
    "Pickler": "britekit.datasets.pickling",
    "TrainingPickler": "britekit.datasets.pickling",
    "Reextractor": "britekit.datasets.reextraction",
    "TrainingDataProvider": "britekit.datasets.provider",
    "Trainer": "britekit.training.trainer",
    "Predictor": "britekit.inference.predictor",
    "TrainingDatabase": "britekit.database.facade",
    "PerSegmentTester": "britekit.evaluation.testers",
    "PerBlockTester": "britekit.evaluation.testers",
    "PerMinuteTester": "britekit.evaluation.testers",
    "PerRecordingTester": "britekit.evaluation.testers",
    "Tuner": "britekit.tuning.tuner",
}

__all__ = ["__version__", "commands", *_HOMES]


def __getattr__(name: str) -> Any:
    import importlib

    if name == "commands":
        return importlib.import_module("britekit.commands")
    if name in _HOMES:
        value = getattr(importlib.import_module(_HOMES[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'britekit' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
