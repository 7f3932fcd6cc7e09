"""Chunks made ahead by a thread of their own: whoever reads waits for the disk, whoever takes waits for the engine."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from slimmer.chunks import Chunk

_LIMIT = 8 << 20
"""Bytes that lie ready before the thread pauses."""


class _Buffer:
    """What lies between the two threads."""

    def __init__(self, chunks: Iterator[Chunk], limit: int) -> None:
        self._chunks = chunks
        self._limit = limit
        self._together = limit // 4
        """Bytes that are handed over at a time: each time costs both threads a turn."""
        self._ready: deque[tuple[list[Chunk], int]] = deque()
        self._size = 0
        self._error: BaseException | None = None
        self._is_done = self._is_left = False
        self._changed = threading.Condition()

    def fill(self) -> None:
        """Make chunks until there are no more, or nobody takes them any longer."""
        error = None
        together: list[Chunk] = []
        size = 0
        try:
            for chunk in self._chunks:
                together.append(chunk)
                size += len(chunk)
                if size >= self._together:
                    if not self._put(together, size):
                        break
                    together, size = [], 0
        except BaseException as raised:  # noqa: BLE001 - who takes the chunks raises it
            error = raised
        if together:
            self._put(together, size)
        with self._changed:
            self._error, self._is_done = error, True
            self._changed.notify()

    def _put(self, chunks: list[Chunk], size: int) -> bool:
        """Add chunks of SIZE bytes; say whether more are taken."""
        with self._changed:
            while self._size >= self._limit and not self._is_left:
                self._changed.wait()
            if not self._is_left:
                self._ready.append((chunks, size))
                self._size += size
                self._changed.notify()
            return not self._is_left

    def take(self) -> list[Chunk] | None:
        """Give the next chunks, None at the end; raise what making the one after them raised."""
        with self._changed:
            while not self._ready and not self._is_done:
                self._changed.wait()
            if not self._ready:
                if self._error is not None:
                    raise self._error
                return None
            chunks, size = self._ready.popleft()
            self._size -= size
            self._changed.notify()
            return chunks

    def leave(self) -> None:
        """Take no more."""
        with self._changed:
            self._is_left = True
            self._ready.clear()
            self._changed.notify()


def ahead(chunks: Iterator[Chunk], limit: int = _LIMIT) -> Generator[Chunk, None, None]:
    """Give the same chunks, made in a thread that pauses where LIMIT bytes lie ready.

    What making one raises is raised here in its place. Who may stop before the end closes this generator: the thread
    has ended then, and nothing reads any more.
    """
    buffer = _Buffer(chunks, limit)
    thread = threading.Thread(target=buffer.fill, name="slimmer-ahead", daemon=True)
    thread.start()
    try:
        while (ready := buffer.take()) is not None:
            yield from ready
    finally:
        buffer.leave()
        thread.join()
