"""What a process does with memory that it has freed, where the C library is GNU's.

By itself that gives what one photo or sound took back to the system and asks for it anew for the next, a page at a
time: a third of the time that a clip takes to decode.
"""

import ctypes
import gc
from contextlib import suppress
from functools import cache

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # malloc.h
_KEPT = 64 << 20  # bytes at the end of the heap
_OF_THE_HEAP = 32 << 20  # the most that may be: larger pieces come from the system and go back to it


@cache
def keep_freed() -> None:
    """Keep some memory for what comes next; once for a process and what is forked from it."""
    with suppress(OSError, AttributeError):  # another C library
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_TRIM_THRESHOLD, _KEPT)
        mallopt(_MMAP_THRESHOLD, _OF_THE_HEAP)


def give_back() -> None:
    """Return memory that was freed to the system."""
    gc.collect()
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
