"""`get_config`, where public britekit has it."""

from britekit.config import get_config

__all__ = ["get_config"]
