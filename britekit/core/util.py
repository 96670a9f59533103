"""The helpers of `bk.util`, where public britekit has them."""

from britekit.api.compat.scripts import *  # noqa: F403
from britekit.api.compat.scripts import AUDIO_EXTS as AUDIO_EXTS
