"""Which files the kernel holds in memory, asked without touching them.

preadv2(2) with RWF_NOWAIT says that of a page, too, but begins to read it where the kernel does not hold it
(filemap_get_pages, Linux 6.18): 128 KiB of each file that is asked for, and from a quick disk it may be there before
the answer is.
"""

from __future__ import annotations

import ctypes
import mmap
from functools import cache
from typing import Any

_WINDOW = 1 << 20
"""Bytes in the middle of a file that stand for all of it: its ends are what readers of headers touch."""


def is_resident(descriptor: int, size: int) -> bool | None:
    """Say whether the kernel holds most of the middle of an open file of SIZE bytes, one at least.

    None when it does not say. Linux says so to root and to whoever owns the file or may write to it; to others it says
    that all is held (mincore(2)).
    """
    length = min(size, _WINDOW)
    start = (size - length) // 2
    start -= start % mmap.ALLOCATIONGRANULARITY
    try:
        # Writable, for ctypes wants to know where it lies; private, so that nobody can write to the file.
        with mmap.mmap(descriptor, length, mmap.MAP_PRIVATE, offset=start) as mapped:
            pages = (ctypes.c_ubyte * -(-length // mmap.PAGESIZE))()
            place = (ctypes.c_char * length).from_buffer(mapped)
            try:
                failed = _mincore()(ctypes.addressof(place), length, pages)
            finally:
                del place  # what is looked at cannot be closed
    except (OSError, ValueError, AttributeError):  # no such file system, file or system
        return None
    return None if failed else sum(page & 1 for page in pages) * 2 > len(pages)


@cache
def _mincore() -> Any:  # noqa: ANN401 - a function of ctypes has no type of its own
    function = ctypes.CDLL(None).mincore
    function.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.POINTER(ctypes.c_ubyte))
    return function
