"""Contents that are read once: what had to come from the disk for that does not stay in the kernel's memory.

A layer of many gigabytes that passes through the page cache pushes everything else out of it, and taking so much memory
in costs a virtual machine more than the copying: of 15 GB 15 seconds of processor time, 2 where each file gives way to
the next. What the kernel had in memory before stays there: somebody may have use for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

from slimmer.content import CHUNK

if TYPE_CHECKING:
    from collections.abc import Iterator

    from slimmer.content import Content

_SMALL = 64 << 10
"""Bytes of a file with which nobody bothers."""
_STEP = 8 * CHUNK


@runtime_checkable
class OnDisk(Protocol):
    """A blob of which the kernel may hold a copy in memory."""

    def look(self) -> None:
        """Find out, before the blob is read for the first time, whether the kernel holds it already."""

    def leave(self, offset: int, length: int) -> None:
        """Let the kernel forget LENGTH bytes from OFFSET, which pages begin at, unless it held them before."""


def chunks_once(content: Content) -> Iterator[bytes]:
    """Give all the bytes as `content.chunks` does, and leave them behind where they are a whole file's.

    Of a file that was changed they stay until its digests are computed, which is right afterwards: `Content.passed`.
    """
    if content.size < _SMALL:
        yield from content.chunks()
        return
    blobs = [piece.blob for piece in content.pieces if isinstance(piece.blob, OnDisk)]
    for blob in blobs:
        blob.look()
    position = left = 0
    for chunk in content.chunks():
        yield chunk
        position += len(chunk)
        if len(content.pieces) == 1 and blobs and (position - left >= _STEP or position == content.size):
            blobs[0].leave(left, position - left)
            left = position
