"""Contents that are read once: what has to come from the disk for that does not go through the kernel's memory.

A layer of many gigabytes that passes through the page cache pushes everything else out of it, and taking so much memory
in costs a virtual machine more than the copying. Files that the kernel has in memory already are read from there, and
stay: somebody may have use for them.
"""

from __future__ import annotations

import os
from contextlib import ExitStack, closing, suppress
from functools import cache
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from slimmer.chunks import CHUNK, Buffers

if TYPE_CHECKING:
    import mmap
    from collections.abc import Iterator, Sequence

    from slimmer.blobs import Blob
    from slimmer.chunks import Chunk
    from slimmer.content import Content, Hearer

SMALL = 64 << 10
"""Bytes of a file with which nobody bothers."""
LARGE = 256 << 10
"""Bytes of a file from which on reading past the kernel's memory is worth a buffer."""
_STEP = 8 * CHUNK
_ALIGNED = 4096
"""What offsets are multiples of in reading with O_DIRECT (open(2)): the largest block that disks commonly have."""


@runtime_checkable
class OnDisk(Protocol):
    """A blob of which the kernel may hold a copy in memory."""

    def look(self) -> None:
        """Find out, before the blob is read for the first time, whether the kernel holds it already."""

    def fetch(self, offset: int, length: int) -> None:
        """Have the kernel take LENGTH bytes from OFFSET in, without waiting; raises what reading raises."""

    def leave(self, offset: int, length: int) -> None:
        """Let the kernel forget LENGTH bytes from OFFSET, which pages begin at, unless it held them before."""

    def direct(self) -> int | None:
        """Give a new descriptor of the file that reads past the kernel's memory.

        None where the kernel held it before, or the file system cannot do that.
        """


def _on_disk(blob: Blob) -> OnDisk | None:
    """Give the blob if it is one that the kernel may hold a copy of."""
    return blob if _is_on_disk(type(blob)) else None  # type: ignore[return-value] # its class says so


@cache
def _is_on_disk(kind: type[Blob]) -> bool:
    # Of each class once: it takes as long as to open a file.
    return issubclass(kind, OnDisk)


def fetch(content: Content, most: int | None = None) -> None:
    """Have the kernel take in what will be read of a content soon: the first MOST bytes, or all that goes through it.

    Does not wait; raises what opening the file raises.
    """
    if not content.size:
        return
    # A small one is read as a whole when its turn comes, and need not be remembered until then.
    blob, offset, length = content.front() if most is not None or content.size < SMALL else content.piece(0)
    disk = _on_disk(blob)
    if disk is None:
        return
    if most is not None:
        disk.fetch(offset, min(length, most))
    elif content.size < LARGE:
        if content.size >= SMALL:
            disk.look()  # while it can still be seen
        disk.fetch(offset, length)


def chunks_once(content: Content, hearers: Sequence[Hearer] = ()) -> Iterator[Chunk]:
    """Give all the bytes, at most CHUNK at a time, and to HEARERS as well; what came from the disk is left behind."""
    if content.size < SMALL and not hearers:  # nearly all files
        yield from content.chunks()
        return
    with ExitStack() as stack:
        readers: dict[int, _Reader] = {}
        for blob, start, length in content:
            reader = readers.get(id(blob))
            if reader is None:
                reader = readers[id(blob)] = stack.enter_context(closing(_Reader(blob, content.size)))
            position, stop = start, start + length
            while position < stop:
                data = reader.read(position, min(stop - position, CHUNK))
                for hearer in hearers:
                    hearer.hear(blob, position, data)
                yield data
                position += len(data)
        for hearer in hearers:
            hearer.end()


class _Reader:
    """Reads a blob from its beginning towards its end, of which SIZE bytes will be asked for."""

    def __init__(self, blob: Blob, size: int) -> None:
        self._blob = blob
        self._disk = _on_disk(blob) if size >= SMALL else None
        self._direct: int | None = None
        self._start = self._stop = 0
        """Where what lies in the buffer begins and ends in the blob."""
        self._left: int | None = None
        """Up to where the kernel was told to forget the blob."""
        self._end = 0
        if self._disk is not None:
            self._disk.look()
            self._direct = self._disk.direct() if size >= LARGE else None
        self._buffer: mmap.mmap | None = None
        """What was read past the kernel's memory last."""

    def read(self, offset: int, length: int) -> Chunk:
        """Give bytes from OFFSET, one at least and LENGTH at most; raise what the blob raises."""
        data: Chunk = self._past_memory(self._direct, offset, length) if self._direct is not None else b""
        data = data or self._blob.read_at(offset, length)  # where there was nothing, it is the blob that says why
        self._passed(offset, len(data))
        return data

    def close(self) -> None:
        self._leave()
        self._let_go()
        if self._direct is not None:
            os.close(self._direct)

    def _past_memory(self, direct: int, offset: int, length: int) -> Chunk:
        if self._buffer is None or not self._start <= offset < self._stop:
            self._let_go()
            self._buffer = _buffers.take()
            self._start = self._stop = offset - offset % _ALIGNED
            with suppress(OSError):
                self._stop += os.preadv(direct, [self._buffer], self._start)
        start = offset - self._start
        read = self._stop - self._start
        view = memoryview(self._buffer)[start : min(start + length, read)]
        return view if read >= CHUNK else bytes(view)  # a buffer is not to wait in a queue for the sake of a few bytes

    def _let_go(self) -> None:
        if self._buffer is not None:
            _buffers.give_back(self._buffer)
            self._buffer = None

    def _passed(self, offset: int, length: int) -> None:
        if self._left is None:
            self._left = offset - offset % _ALIGNED
        self._end = max(self._end, offset + length)
        if self._direct is None and self._end - self._left >= _STEP:
            self._leave()

    def _leave(self) -> None:
        if self._disk is not None and self._left is not None and self._end > self._left:
            self._disk.leave(self._left, self._end - self._left)
            self._left = self._end - self._end % _ALIGNED


_buffers = Buffers()
