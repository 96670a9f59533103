"""`Predictor`, where public britekit has it."""

from britekit.api.array_labels import ScoredStretch as Label
from britekit.api.predictor import Predictor

__all__ = ["Label", "Predictor"]
