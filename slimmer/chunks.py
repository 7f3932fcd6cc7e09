"""Bytes on their way from a source to where they are written, and the memory that they lie in on it."""

from __future__ import annotations

import mmap
from collections import deque
from typing import TypeAlias, TypeVar

CHUNK = 1 << 20
"""How many bytes are held at a time when content is streamed."""
Chunk: TypeAlias = bytes | memoryview
"""Bytes on their way into a layer. What a view shows stays as it is while anybody holds the view, or a part of it."""
AnyChunk = TypeVar("AnyChunk", bytes, Chunk)


class Buffers:
    """Pieces of memory of CHUNK bytes that begin with a page, as O_DIRECT wants it (open(2)). Threads may share them.

    To copy 8 GB out of one buffer takes a second that reading into several does not.
    """

    def __init__(self) -> None:
        self._given: deque[mmap.mmap] = deque()

    def take(self) -> mmap.mmap:
        """Give a buffer that nobody has a view of, and that is whoever's takes it until it is given back."""
        for _ in range(len(self._given)):
            buffer = self._given.popleft()
            try:
                buffer.resize(CHUNK)  # it has that size: what this tells is whether there is a view
            except BufferError:
                self._given.append(buffer)
            else:
                return buffer
        return mmap.mmap(-1, CHUNK, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)

    def give_back(self, buffer: mmap.mmap) -> None:
        """Let a buffer be taken again once nobody has a view of it any longer."""
        self._given.append(buffer)
