"""Bytes that lie somewhere: a file's content as a list of places, never as one block in memory.

A layer's files stay where the source has them. Slimming a library yields a new Content over the same places, less the
dead ranges, so that nothing is copied before the result is written.
"""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol

from slimmer.blobs import Bytes
from slimmer.chunks import CHUNK
from slimmer.errors import SourceError
from slimmer.pieces import Piece, Pieces

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from slimmer.blobs import Blob
    from slimmer.chunks import Chunk

WHOLE = 32 << 20
"""How many bytes a file may have that is read as a whole: a package manager's list, a RECORD. All have a tenth."""


class Hearer(Protocol):
    """Whoever needs the bytes of a content when they are read for somebody else."""

    def hear(self, blob: Blob, offset: int, data: Chunk) -> None:
        """Take the next bytes of the content, which lie in BLOB from OFFSET."""

    def end(self) -> None:
        """Know that these were all."""


class Content:
    """An immutable sequence of bytes, known by where its pieces lie."""

    __slots__ = ("_hearers", "_held", "_place", "size")

    def __init__(self, pieces: Iterable[Piece]) -> None:
        """Be these pieces in their order; PIECES that are a Pieces become this content's own."""
        self._hearers: tuple[Hearer, ...] = ()
        self._held: Any
        """Nearly all files of an image are one piece, or one that lies on a shelf: for them this is that blob or shelf,
        since what is not held for them is held for none of a million. Else it is the Pieces."""
        self._place: Any
        """Where in its blob the one piece lies; or the name of the blob on its shelf, and once it is taken down the
        blob; or None."""
        self.size: int
        """Length in bytes."""
        if isinstance(pieces, tuple) and len(pieces) == 1 and pieces[0].length:
            self._held, self._place, self.size = pieces[0]
            return
        self._held, self._place = pieces if isinstance(pieces, Pieces) else Pieces(pieces), None
        self.size = self._held.size
        if len(self._held) == 1:
            self._held, self._place, _ = self._held.held(0)

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
        return iter(self._held if self._place is None else (self.piece(0),))

    def piece(self, index: int) -> Piece:
        """Give one of the pieces.

        Of a content that is one piece its blob is the same from now on: what lies in it is known by that.
        """
        place = self._place
        if place is None:
            piece: Piece = self._held[index]
            return piece
        if isinstance(place, int):
            return Piece(self._held, place, self.size)
        if isinstance(place, str):
            place = self._place = self._held.blob(place, self.size)
        return Piece(place, 0, self.size)

    def front(self) -> Piece:
        """Give the first piece for a look, after which nothing of it is held that was not held before."""
        place = self._place
        return Piece(self._held.blob(place, self.size), 0, self.size) if isinstance(place, str) else self.piece(0)

    def part(self, index: int) -> Content:
        """Give the content that is one of the pieces; its blob is not asked for."""
        part = Content(_NO_PIECES)
        held = (self._held, self._place, self.size) if self._place is not None else self._held.held(index)
        part._held, part._place, part.size = held
        return part

    @classmethod
    def of(cls, data: bytes) -> Content:
        """Give the content that is just these bytes."""
        return cls([Piece(Bytes(data), 0, len(data))])

    def read_at(self, offset: int, length: int) -> bytes:
        """Give the bytes from OFFSET: LENGTH of them, fewer only at the end."""
        length = min(length, self.size - offset)
        if length <= 0:
            return b""
        place = self._place
        if place is None:
            pieces = self._held.within(offset, offset + length)
            parts = [piece.blob.read_at(piece.offset, piece.length) for piece in pieces]
            return parts[0] if len(parts) == 1 else b"".join(parts)
        if isinstance(place, int):
            data: bytes = self._held.read_at(place + offset, length)
        else:
            # Nearly all are small, and read once: a blob that lies on a shelf is not held for that.
            data = self.front().blob.read_at(offset, length)
        return data

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
        if self._place is not None:
            return self.read_at(offset, length)
        piece = next(self._held.within(offset, offset + length))
        data: bytes = piece.blob.read_at(piece.offset, piece.length)
        return data

    def slice(self, start: int, stop: int) -> Content:
        """Give the content from START up to STOP; both must lie within."""
        if not 0 <= start <= stop <= self.size:
            raise EOFError(f"bytes {start} to {stop} of a content of {self.size}")
        if start == stop:
            return NOTHING
        if self._place is None:
            # In a layer's tar a file is a piece: it is held as that is.
            index = self._held.index(start, stop)
            return self.part(index) if index is not None else Content(self._held.within(start, stop))
        blob, offset, _ = self.piece(0)
        return Content((Piece(blob, offset + start, stop - start),))

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


_NO_PIECES = Pieces()
NOTHING = Content(_NO_PIECES)
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
