"""`Predictor`, where public britekit has it."""

from britekit.api.predictor import Predictor
from britekit.api.predictor import ScoredStretch as Label

__all__ = ["Label", "Predictor"]
