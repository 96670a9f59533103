"""Keep freed memory instead of returning it to the system at every step.

glibc maps each large block on allocation and unmaps it when freed, so that every training step pays for zeroing and
mapping hundreds of thousands of pages: effnet.1 on a CPU spent a quarter of the time in the kernel. Keeping blocks
saves a third of the total time.
"""

import ctypes
import os
import platform
from functools import cache

# Constants of glibc's mallopt(3).
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4
_KEEP = 2**31 - 1
_TOP_PAD_BYTES = 64 << 20
_OWN_SETTINGS = ("MALLOC_MMAP_MAX_", "MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES")


@cache
def keep_freed_memory() -> bool:
    """Let the C library keep large freed blocks for the rest of the process; return whether it does.

    Results are identical. A no-op with another allocator, on other systems, and if glibc's own variables are set.
    """
    if platform.libc_ver()[0] != "glibc" or any(name in os.environ for name in _OWN_SETTINGS):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    settings = ((_MMAP_MAX, 0), (_TRIM_THRESHOLD, _KEEP), (_TOP_PAD, _TOP_PAD_BYTES))
    return all(mallopt(number, value) == 1 for number, value in settings)
