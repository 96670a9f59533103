"""`Audio`, where public britekit has it."""

from britekit.api.audio import Audio

__all__ = ["Audio"]
