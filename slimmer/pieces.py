"""Where the bytes of a content lie, piece by piece.

A layer's tar has two pieces for each file, and an image may have a million files. So a piece is made when it is asked
for, and so is the blob of one that lies on a shelf.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from itertools import chain, islice
from operator import sub
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, MutableSequence

    from slimmer.blobs import Blob


class Piece(NamedTuple):
    """LENGTH bytes of BLOB from OFFSET."""

    blob: Blob
    offset: int
    length: int

    def after(self, length: int) -> Piece | None:
        """Give what is left behind the first LENGTH bytes, None when nothing is."""
        return Piece(self.blob, self.offset + length, self.length - length) if length < self.length else None


class Shelf(Protocol):
    """Where blobs lie by name, of which none is held: each is made when it is asked for."""

    def blob(self, name: str, size: int) -> Blob:
        """Give the blob of SIZE bytes that has this name, each time as another object."""


class Pieces:
    """A sequence of pieces, none of them empty."""

    __slots__ = ("_blobs", "_offsets", "_shelves", "_since", "_starts", "size")

    def __init__(self, pieces: Iterable[Piece] = ()) -> None:
        self._blobs: list[Any] = []
        """The blob of each piece, or the name by which it lies on a shelf."""
        # Four bytes each, but where numbers take more: in a layer of more than 4 GiB, and in an image that is damaged.
        self._offsets: MutableSequence[int] = array("I")
        """Where in its blob each piece lies."""
        self._starts: MutableSequence[int] = array("I")
        """Where each piece begins here."""
        self._shelves: list[Shelf] = []
        """Those that names are of; in a tar the next name is mostly of the same."""
        self._since = array("Q")
        """The piece from which on each shelf is meant."""
        self.size = 0
        """Bytes of all."""
        for blob, offset, length in pieces:
            self.append(blob, offset, length)

    def append(self, blob: Blob, offset: int, length: int) -> None:
        """Have one piece more at the end, if it has any bytes."""
        self._append(blob, offset, length)

    def shelve(self, shelf: Shelf, name: str, size: int) -> None:
        """Have all SIZE bytes of a blob at the end that lies on SHELF by this name, if it has any bytes."""
        if not self._shelves or self._shelves[-1] is not shelf:
            self._shelves.append(shelf)
            self._since.append(len(self._blobs))
        self._append(name, 0, size)

    def _append(self, blob: Blob | str, offset: int, length: int) -> None:
        if not length:
            return
        try:
            self._offsets.append(offset)
        except OverflowError:
            self._offsets = _wider(self._offsets, offset)
        try:
            self._starts.append(self.size)
        except OverflowError:
            self._starts = _wider(self._starts, self.size)
        self._blobs.append(blob)
        self.size += length

    def __len__(self) -> int:
        return len(self._blobs)

    def __getitem__(self, index: int) -> Piece:
        held, place, length = self.held(index)
        return Piece(held.blob(place, length), 0, length) if isinstance(place, str) else Piece(held, place, length)

    def index(self, start: int, stop: int) -> int | None:
        """Say which piece it is that is just the bytes from START up to STOP."""
        index = bisect_right(self._starts, start) - 1
        return index if index >= 0 and self._starts[index] == start and self._end(index) == stop else None

    def _end(self, index: int) -> int:
        return self._starts[index + 1] if index + 1 < len(self._starts) else self.size

    def held(self, index: int) -> tuple[Any, int | str, int]:
        """Give blob, offset and length of a piece, or shelf, name and length: no blob is made for this."""
        blob = self._blobs[index]
        length = self._end(index) - self._starts[index]
        if isinstance(blob, str):
            return self._shelves[bisect_right(self._since, index) - 1], blob, length
        return blob, self._offsets[index], length

    def __iter__(self) -> Iterator[Piece]:
        lengths = map(sub, chain(islice(self._starts, 1, None), (self.size,)), self._starts)
        if not self._shelves:
            return map(Piece, self._blobs, self._offsets, lengths)
        return self._taken_down(lengths)

    def _taken_down(self, lengths: Iterator[int]) -> Iterator[Piece]:
        """Give the pieces, whose LENGTHS are known, where some lie on shelves."""
        shelves = iter(zip(self._shelves, [*self._since[1:], len(self._blobs)], strict=True))
        shelf, last = next(shelves)
        for index, (blob, offset, length) in enumerate(zip(self._blobs, self._offsets, lengths, strict=True)):
            if isinstance(blob, str):
                while index >= last:
                    shelf, last = next(shelves)
                yield Piece(shelf.blob(blob, length), 0, length)
            else:
                yield Piece(blob, offset, length)

    def within(self, start: int, stop: int) -> Iterator[Piece]:
        """Give the pieces from byte START up to STOP, the first and the last less what lies outside."""
        index = bisect_right(self._starts, start) - 1
        while start < stop:
            piece = self[index]
            skip = start - self._starts[index]
            length = min(piece.length - skip, stop - start)
            yield piece if length == piece.length else Piece(piece.blob, piece.offset + skip, length)
            start += length
            index += 1


def _wider(numbers: MutableSequence[int], number: int) -> MutableSequence[int]:
    """Give NUMBERS and one more, for which they were too narrow."""
    try:
        wider: MutableSequence[int] = array("Q", numbers)
        wider.append(number)
    except OverflowError:
        wider = [*numbers, number]
    return wider
