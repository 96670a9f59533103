"""Keeping freed memory instead of giving it back to the system at every step.

The C library of Linux maps each large block anew and returns it when it is freed, so that every step of
training pays for zeroing and mapping hundreds of thousands of pages: a quarter of the time of effnet.1 on a
CPU was spent in the kernel, and a third of all of it goes away when blocks are kept.
"""

import ctypes
import os
import platform
from functools import cache

# Numbers of glibc's mallopt(3).
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4
_KEEP = 2**31 - 1
_TOP_PAD_BYTES = 64 << 20
_OWN_SETTINGS = ("MALLOC_MMAP_MAX_", "MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES")


@cache
def keep_freed_memory() -> bool:
    """Let the C library keep large freed blocks for the rest of the process; whether it does.

    Results are the same to the bit. Does nothing where another allocator is loaded, on other systems, and
    where a person has set glibc's own variables.
    """
    if platform.libc_ver()[0] != "glibc" or any(name in os.environ for name in _OWN_SETTINGS):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    settings = ((_MMAP_MAX, 0), (_TRIM_THRESHOLD, _KEEP), (_TOP_PAD, _TOP_PAD_BYTES))
    return all(mallopt(number, value) == 1 for number, value in settings)
