"""Errors, where public britekit has them."""

from britekit.errors import BriteKitError, DatabaseError, InferenceError, InputError, ModelError, TrainingError

__all__ = ["BriteKitError", "DatabaseError", "InferenceError", "InputError", "ModelError", "TrainingError"]
