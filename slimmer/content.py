"""Bytes that lie somewhere: a file's content as a list of places, never as one block in memory.

A layer's files stay where the source has them. Slimming a library yields a new Content over the same places, less the
dead ranges, so that nothing is copied before the result is written.
"""

from __future__ import annotations

import io
import os
from bisect import bisect_right
from itertools import accumulate
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, Protocol

from slimmer.blobs import Bytes
from slimmer.chunks import CHUNK
from slimmer.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from slimmer.blobs import Blob
    from slimmer.chunks import Chunk

_WINDOW = 16 << 10
"""How many bytes are read ahead of a header: those of thirty more."""
WHOLE = 32 << 20
"""How many bytes a file may have that is read as a whole: a package manager's list, a RECORD. All have a tenth."""


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

    __slots__ = ("_hearers", "_places", "_starts", "size")

    def __init__(self, pieces: Iterable[Piece]) -> None:
        self._hearers: tuple[Hearer, ...] = ()
        found = tuple(pieces)
        # Nearly all files of an image are one piece: what is not held for them is held for none of a million.
        if len(found) != 1 or not found[0].length:
            found = tuple(piece for piece in found if piece.length)
        self._places: Any
        """The pieces, or the blob in which the only one lies; and where they start, or where that one lies in it."""
        self._starts: tuple[int, ...] | int
        self.size: int
        """Length in bytes."""
        if len(found) == 1:
            self._places, self._starts, self.size = found[0]
            return
        self._places = found
        *starts, self.size = accumulate((piece.length for piece in found), initial=0)
        self._starts = tuple(starts)

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
        if isinstance(self._starts, int):
            return (Piece(self._places, self._starts, self.size),)
        return tuple(self._places)

    @classmethod
    def of(cls, data: bytes) -> Content:
        """Give the content that is just these bytes."""
        return cls([Piece(Bytes(data), 0, len(data))])

    def read_at(self, offset: int, length: int) -> bytes:
        """Give the bytes from OFFSET: LENGTH of them, fewer only at the end."""
        length = min(length, self.size - offset)
        if length <= 0:
            return b""
        if isinstance(self._starts, int):
            data: bytes = self._places.read_at(self._starts + offset, length)
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
        if isinstance(self._starts, int):
            return Content((Piece(self._places, self._starts + start, stop - start),))
        return Content(self._parts(start, stop))

    def overlaid(self, offset: int, data: bytes) -> Content:
        """Give this content with DATA in place of what lies at OFFSET; it must fit."""
        stop = offset + len(data)
        return Content(
            [*self.slice(0, offset).pieces, Piece(Bytes(data), 0, len(data)), *self.slice(stop, self.size).pieces]
        )

    def differs(self, other: Content) -> bool:
        """Say whether the two differ in any byte.

        Blobs never change, so the same place of the same blob holds the same bytes and is not read for this.
        """
        if self.size != other.size:
            return True
        mine, its = iter(self.pieces), iter(other.pieces)
        left, right = next(mine, None), next(its, None)
        while left is not None and right is not None:
            length = min(left.length, right.length)
            if left.blob is not right.blob or left.offset != right.offset:
                length = min(length, CHUNK)
                if left.blob.read_at(left.offset, length) != right.blob.read_at(right.offset, length):
                    return True
            left = left.after(length) or next(mine, None)
            right = right.after(length) or next(its, None)
        return False

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
        pieces = self.pieces
        starts = (0,) if isinstance(self._starts, int) else self._starts
        index = max(bisect_right(starts, start) - 1, 0)
        while start < stop:
            piece = pieces[index]
            skip = start - starts[index]
            length = min(piece.length - skip, stop - start)
            yield piece if length == piece.length else Piece(piece.blob, piece.offset + skip, length)
            start += length
            index += 1


NOTHING = Content(())
"""Of no bytes."""


class Cursor:
    """A reader of a content whose places are asked for in their order: each is looked for where the last was found."""

    def __init__(self, content: Content) -> None:
        self._content = content
        self._pieces = content.pieces
        self._index = -1
        self._stop = 0
        """Where the piece of that index ends."""
        self._window = b""
        self._start = 0

    def read_at(self, offset: int, length: int) -> bytes:
        """Give what Content.read_at gives; some of what follows is read too, but nothing of the next piece."""
        data = self._window[offset - self._start : offset - self._start + length] if offset >= self._start else b""
        if len(data) != length:
            self._move(offset)
            data = self._window[:length]
        return data if len(data) == length else self._content.read_at(offset, length)

    def slice(self, start: int, stop: int) -> Content:
        """Give what Content.slice gives, at once where that is the piece behind the one that was read last."""
        index = self._index + 1
        if start == self._stop and index < len(self._pieces) and self._pieces[index].length == stop - start:
            return Content((self._pieces[index],))
        return self._content.slice(start, stop)

    def _move(self, offset: int) -> None:
        """Have a window that begins at OFFSET; one that is empty where no piece from here on has it."""
        index, stop, count = self._index, self._stop, len(self._pieces)
        while stop <= offset and index + 1 < count:
            index += 1
            stop += self._pieces[index].length
        self._index, self._stop, self._start, self._window = index, stop, offset, b""
        left = stop - offset
        if left > 0:
            blob, start, length = self._pieces[index]
            if left <= length:
                self._window = blob.read_at(start + length - left, min(left, _WINDOW))


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
