"""The members of a tar: ordinary headers are read here, the standard library's tarfile is set upon all others."""

from __future__ import annotations

import tarfile
from typing import IO, TYPE_CHECKING, cast

from slimmer.content import NOTHING
from slimmer.cursor import Cursor
from slimmer.tar_header import BLOCK, END_OF_ARCHIVE, MAX_HEADER, Header, Member, decode, names

if TYPE_CHECKING:
    from collections.abc import Iterator

    from slimmer.content import Content

_MAX_HEADERS = 4 << 20
"""Bytes of all that stands before one entry's content: long names, records, the map of a sparse file."""
_MAX_NAMES = 16 << 10
"""Bytes of an extended header that is read here: two names, as long as Linux takes them, and no more."""


class _NoGlobals(dict[str, str]):
    """Global PAX headers, which engines pass over: `git archive` writes one, with nothing but a comment."""

    def __setitem__(self, key: str, value: str) -> None:
        """Forget what a global header says."""


class Headers:
    """A tar as tarfile reads it: headers only, so that none, and not all of one entry, may be as long as the tar."""

    def __init__(self, content: Content) -> None:
        self._stream = content.open()
        self._left = _MAX_HEADERS
        self.seek = self._stream.seek
        self.tell = self._stream.tell

    def next_entry(self) -> None:
        """Begin to count anew."""
        self._left = _MAX_HEADERS

    def read(self, size: int) -> bytes:
        """Give what the tar has here; raise tarfile.ReadError where that is more than an entry's headers may have."""
        self._left -= size
        if not 0 <= size <= MAX_HEADER or self._left < 0:
            raise tarfile.ReadError(f"a header of {size if self._left >= 0 else _MAX_HEADERS - self._left} bytes")
        return self._stream.read(size)


def members(content: Content) -> Iterator[tuple[Header, Content | None] | tuple[tarfile.TarInfo, None]]:
    """Give every member of a tar: a Header with what it stores, which is None where the tar ends before; or a TarInfo.

    Raises tarfile.TarError, EOFError or UnicodeError for what is no tar.
    """
    stream = Headers(content)
    with tarfile.open(
        fileobj=cast("IO[bytes]", stream), mode="r:", errorlevel=2, encoding="utf-8",
        errors="surrogateescape", pax_headers=_NoGlobals(), tarinfo=Member,
    ) as tar:  # fmt: skip
        tar.firstmember = None  # type: ignore[attr-defined] # it read one when it was opened
        cursor = Cursor(content)
        offset = 0
        while True:
            start = offset + BLOCK
            header = decode(cursor.read_at(offset, BLOCK))
            if header is None and (renamed := _renamed(cursor, offset)):
                header, start = renamed
            if header is not None:
                stop = start + header.size
                if stop == start:
                    yield header, NOTHING
                else:
                    yield header, content.slice(start, stop) if stop <= content.size else None
                offset = stop + -stop % BLOCK
                continue
            stream.seek(offset)  # where it expects to be: it would read a byte before, which opens that file
            stream.next_entry()
            tar.offset = offset
            member = tar.next()
            if member is None:
                break
            tar.members = []  # type: ignore[attr-defined] # or it remembers every header
            offset = tar.offset
            yield member, None
        # tarfile takes a header that it cannot read for the end, and a single block of zeros too.
        if any(content.read_at(tar.offset, END_OF_ARCHIVE)):
            raise tarfile.ReadError(f"bad header at byte {tar.offset}")


def _renamed(cursor: Cursor, offset: int) -> tuple[Header, int] | None:
    """Give the ordinary header behind an extended one that has names for it and nothing else, and where it ends."""
    extended = decode(cursor.read_at(offset, BLOCK), tarfile.XHDTYPE)
    if extended is None or extended.size > _MAX_NAMES:
        return None
    offset += BLOCK
    found = names(cursor.read_at(offset, extended.size))
    offset += extended.size + -extended.size % BLOCK
    header = decode(cursor.read_at(offset, BLOCK))
    if found is None or header is None:
        return None
    return header._replace(
        name=found.get("path", header.name), linkname=found.get("linkpath", header.linkname)
    ), offset + BLOCK
