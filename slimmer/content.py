"""Bytes that lie somewhere: a file's content as a list of places, never as one block in memory.

A layer's files stay where the source has them. Slimming a library yields a new Content over the same places, less the
dead ranges, so that nothing is copied before the result is written.
"""

from __future__ import annotations

import io
import os
from array import array
from bisect import bisect_right
from itertools import chain, islice
from operator import sub
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, Protocol

from slimmer.blobs import Bytes
from slimmer.chunks import CHUNK
from slimmer.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, MutableSequence, Sequence

    from slimmer.blobs import Blob
    from slimmer.chunks import Chunk

WHOLE = 32 << 20
"""How many bytes a file may have that is read as a whole: a package manager's list, a RECORD. All have a tenth."""


_MOST = (1 << 64) - 1
"""The largest number of eight bytes."""


class Piece(NamedTuple):
    """LENGTH bytes of BLOB from OFFSET."""

    blob: Blob
    offset: int
    length: int

    def after(self, length: int) -> Piece | None:
        """Give what is left behind the first LENGTH bytes, None when nothing is."""
        return Piece(self.blob, self.offset + length, self.length - length) if length < self.length else None


class Hearer(Protocol):
    """Whoever needs the bytes of a content when they are read for somebody else."""

    def hear(self, blob: Blob, offset: int, data: Chunk) -> None:
        """Take the next bytes of the content, which lie in BLOB from OFFSET."""

    def end(self) -> None:
        """Know that these were all."""


class Content:
    """An immutable sequence of bytes, known by where its pieces lie."""

    __slots__ = ("_blobs", "_hearers", "_places", "size")

    def __init__(self, pieces: Iterable[Piece]) -> None:
        self._hearers: tuple[Hearer, ...] = ()
        self._blobs: Any
        """The blob of each piece. Nearly all files of an image are one piece: for them this is that blob, and below its
        place, since what is not held for them is held for none of a million."""
        self._places: Any
        """Where in its blob each piece lies, and where each begins here: two sequences."""
        self.size: int
        """Length in bytes."""
        if isinstance(pieces, tuple) and len(pieces) == 1 and pieces[0].length:
            self._blobs, self._places, self.size = pieces[0]
            return
        blobs: list[Blob] = []
        # A layer's tar has two for each file: eight bytes each, but where a damaged image has numbers that take more.
        offsets: MutableSequence[int] = array("Q")
        starts: MutableSequence[int] = array("Q")
        size = 0
        for blob, offset, length in pieces:
            if length:
                if max(offset, size) > _MOST and isinstance(offsets, array):
                    offsets, starts = list(offsets), list(starts)
                blobs.append(blob)
                offsets.append(offset)
                starts.append(size)
                size += length
        self.size = size
        if len(blobs) == 1:
            self._blobs, self._places = blobs[0], offsets[0]
        else:
            self._blobs, self._places = blobs, (offsets, starts)

    def __reduce__(self) -> tuple[type[Content], tuple[tuple[Piece, ...]]]:
        """Be the same bytes in another process, and no more than that."""
        return Content, (self.pieces,)

    def heard_by(self, hearer: Hearer) -> None:
        """Have HEARER given the bytes when they are written into a layer: else each digest reads it anew."""
        self._hearers = (*self._hearers, hearer)

    def take_hearers(self) -> tuple[Hearer, ...]:
        """Give who is to hear the bytes that are read now. They hear them once."""
        hearers, self._hearers = self._hearers, ()
        return hearers

    @property
    def pieces(self) -> tuple[Piece, ...]:
        """Where the bytes lie."""
        return tuple(self)

    def __iter__(self) -> Iterator[Piece]:
        """Give the pieces, none of them made before its turn."""
        if isinstance(self._places, int):
            return iter((self.piece(0),))
        offsets, starts = self._places
        ends = chain(islice(starts, 1, None), (self.size,))
        return map(Piece, self._blobs, offsets, map(sub, ends, starts))

    @property
    def blobs(self) -> Sequence[Blob]:
        """What the bytes lie in: the blob of each piece."""
        return (self._blobs,) if isinstance(self._places, int) else self._blobs

    def piece(self, index: int) -> Piece:
        """Give one of the pieces."""
        if isinstance(self._places, int):
            return Piece(self._blobs, self._places, self.size)
        offsets, starts = self._places
        end = starts[index + 1] if index + 1 < len(starts) else self.size
        return Piece(self._blobs[index], offsets[index], end - starts[index])

    @classmethod
    def of(cls, data: bytes) -> Content:
        """Give the content that is just these bytes."""
        return cls([Piece(Bytes(data), 0, len(data))])

    def read_at(self, offset: int, length: int) -> bytes:
        """Give the bytes from OFFSET: LENGTH of them, fewer only at the end."""
        length = min(length, self.size - offset)
        if length <= 0:
            return b""
        if isinstance(self._places, int):
            data: bytes = self._blobs.read_at(self._places + offset, length)
            return data
        parts = [piece.blob.read_at(piece.offset, piece.length) for piece in self._parts(offset, offset + length)]
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def whole(self, name: str) -> bytes:
        """Give all the bytes at once; raise SourceError for the file NAME where nobody should hold so many.

        A hole makes a file as large as anybody likes at no cost.
        """
        if self.size > WHOLE:
            raise SourceError(
                f"/{name} has {self.size:,} bytes, and slimmer holds no more than {WHOLE:,} of such a file"
            )
        return self.read_at(0, self.size)

    def read_piece(self, offset: int, length: int) -> bytes:
        """Give the bytes from OFFSET: as many of LENGTH as lie in one piece, none only at the end."""
        length = min(length, self.size - offset)
        if length <= 0:
            return b""
        piece = next(self._parts(offset, offset + length))
        return piece.blob.read_at(piece.offset, piece.length)

    def slice(self, start: int, stop: int) -> Content:
        """Give the content from START up to STOP; both must lie within."""
        if not 0 <= start <= stop <= self.size:
            raise EOFError(f"bytes {start} to {stop} of a content of {self.size}")
        if isinstance(self._places, int):
            return Content((Piece(self._blobs, self._places + start, stop - start),))
        return Content(self._parts(start, stop))

    def overlaid(self, offset: int, data: bytes) -> Content:
        """Give this content with DATA in place of what lies at OFFSET; it must fit."""
        stop = offset + len(data)
        return Content(
            [*self.slice(0, offset).pieces, Piece(Bytes(data), 0, len(data)), *self.slice(stop, self.size).pieces]
        )

    def differs(self, other: Content) -> bool:
        """Say whether the two differ in any byte."""
        return self.size != other.size or next(self.differences(other), None) is not None

    def differences(self, other: Content) -> Iterator[tuple[int, bytes, bytes]]:
        """Give where the two differ, as far as both go: a place, and the bytes of each from there, at most CHUNK.

        Blobs never change, so the same place of the same blob holds the same bytes and is not read for this.
        """
        at = 0
        mine, its = iter(self), iter(other)
        left, right = next(mine, None), next(its, None)
        while left is not None and right is not None:
            length = min(left.length, right.length)
            if left.blob is not right.blob or left.offset != right.offset:
                length = min(length, CHUNK)
                data, others = left.blob.read_at(left.offset, length), right.blob.read_at(right.offset, length)
                if data != others:
                    yield at, data, others
            at += length
            left = left.after(length) or next(mine, None)
            right = right.after(length) or next(its, None)

    def chunks(self, size: int = CHUNK) -> Iterator[bytes]:
        """Give all the bytes, at most SIZE at a time."""
        for offset in range(0, self.size, size):
            yield self.read_at(offset, size)

    def open(self) -> BinaryIO:
        """Give a seekable reader over the bytes, for libraries that want a file.

        Its buffer ends where a piece ends: what lies behind is not touched before it is asked for, so reading a layer's
        headers opens none of its files.
        """
        return io.BufferedReader(_Reader(self), buffer_size=64 << 10)

    def _parts(self, start: int, stop: int) -> Iterator[Piece]:
        starts = (0,) if isinstance(self._places, int) else self._places[1]
        index = max(bisect_right(starts, start) - 1, 0)
        while start < stop:
            piece = self.piece(index)
            skip = start - starts[index]
            length = min(piece.length - skip, stop - start)
            yield piece if length == piece.length else Piece(piece.blob, piece.offset + skip, length)
            start += length
            index += 1


NOTHING = Content(())
"""Of no bytes."""


class _Reader(io.RawIOBase):
    """A file over a content."""

    def __init__(self, content: Content) -> None:
        super().__init__()
        self._content = content
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._content.size}[whence]
        if base + offset < 0:
            raise ValueError(f"seek to {base + offset}")
        self._position = base + offset
        return self._position

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override] # Buffer has no name before Python 3.12
        view = memoryview(buffer).cast("B")
        data = self._content.read_piece(self._position, len(view))
        view[: len(data)] = data
        self._position += len(data)
        return len(data)
