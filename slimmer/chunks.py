"""Bytes on their way from a source to where they are written, and the memory that they lie in on it."""

from __future__ import annotations

import mmap
from collections import deque
from contextlib import suppress
from typing import TypeAlias, TypeVar

CHUNK = 1 << 20
"""How many bytes are held at a time when content is streamed."""
Chunk: TypeAlias = bytes | memoryview
"""Bytes on their way into a layer. What a view shows stays as it is while anybody holds the view, or a part of it."""
AnyChunk = TypeVar("AnyChunk", bytes, Chunk)
_BUFFER = 2 << 20
"""Bytes: a huge page of most machines, which a disk writes to, and a socket is copied from, as one and not as 512."""


class Buffers:
    """Pieces of memory of 2 MiB that begin with a page, as O_DIRECT wants it (open(2)). Threads may share them.

    To copy 8 GB out of one buffer takes a second that reading into several does not.
    """

    def __init__(self) -> None:
        self._given: deque[mmap.mmap] = deque()

    def take(self) -> mmap.mmap:
        """Give a buffer that nobody has a view of, and that is whoever's takes it until it is given back."""
        for _ in range(len(self._given)):
            buffer = self._given.popleft()
            try:
                buffer.resize(_BUFFER)  # it has that size: what this tells is whether there is a view
            except BufferError:
                self._given.append(buffer)
            else:
                return buffer
        made = mmap.mmap(-1, _BUFFER, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        with suppress(OSError, AttributeError):  # a kernel without huge pages has pages that are as good, and slower
            made.madvise(mmap.MADV_HUGEPAGE)
        return made

    def give_back(self, buffer: mmap.mmap) -> None:
        """Let a buffer be taken again once nobody has a view of it any longer."""
        self._given.append(buffer)
