"""The one way slimmer writes a layer.

It is canonical: unique names, parents first, a link after its target, PAX records only where a ustar header cannot say
it, no clock and no user names, so that the same files give the same bytes on every machine.
"""

from __future__ import annotations

import tarfile
from typing import TYPE_CHECKING

from slimmer.inode import DEVICES
from slimmer.layer import NANOSECONDS, XATTR
from slimmer.once import chunks_once
from slimmer.readahead import fetched
from slimmer.tar_header import BLOCK, END_OF_ARCHIVE, encode, is_one_block, one_block, padding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from slimmer.chunks import Chunk
    from slimmer.content import Content
    from slimmer.inode import Inode
    from slimmer.layer import Entry

_Fields = tuple[str, tuple[int, int], int, int, int]
"""What a header says besides a path and a mode: link, owner, size, whole seconds, and nanoseconds beyond them."""
_JOINED = 256 << 10
"""Bytes below which parts are joined before they are handed on."""


def header(path: str, inode: Inode, link_to: str | None = None) -> bytes:
    """Give the tar header of an inode under PATH, with the inode's own size, or of a hard link to LINK_TO."""
    link, owner, size, seconds, fraction = fields = _fields(inode, link_to)
    kind = inode.kind.value if link_to is None else tarfile.LNKTYPE
    is_device = link_to is None and inode.kind in DEVICES
    # In a quarter of the time.
    if not is_device and _is_ordinary(path, inode, fields):
        return one_block(kind, path or ".", link, inode.mode, owner, size, seconds)
    records = {}
    if fraction or seconds < 0:
        records["mtime"] = _decimal(inode.mtime).encode()
    # On a hard link too: the engine sets the owner anew for each name, which makes the kernel drop capabilities.
    for key, value in sorted((inode.xattrs or {}).items()):
        records[XATTR + key] = value
    return encode(
        kind=kind,
        name=(path or ".").encode("utf-8", "surrogateescape"),
        link=link.encode("utf-8", "surrogateescape"),
        mode=inode.mode,
        owner=owner,
        size=size,
        mtime=seconds,
        device=inode.device if is_device else None,
        records=records,
    )


def header_size(path: str, inode: Inode, link_to: str | None = None) -> int:
    """Give the length of what `header` gives of the same."""
    # A header is made five times as slowly as it is known to be one block.
    return BLOCK if _is_ordinary(path, inode, _fields(inode, link_to)) else len(header(path, inode, link_to))


def _fields(inode: Inode, link_to: str | None) -> _Fields:
    link = inode.target if link_to is None else link_to
    size = inode.content.size if link_to is None and inode.content is not None else 0
    return link, (inode.uid, inode.gid), size, *divmod(inode.mtime, NANOSECONDS)


def _is_ordinary(path: str, inode: Inode, fields: _Fields) -> bool:
    """Say whether a header is one block, as nearly all are; False also where it is a near thing."""
    link, owner, size, seconds, fraction = fields
    return not (fraction or inode.xattrs) and is_one_block(path, link, owner, size, seconds)


def _decimal(nanoseconds: int) -> str:
    whole, fraction = divmod(abs(nanoseconds), NANOSECONDS)
    text = f"{whole}.{fraction:09d}".rstrip("0").rstrip(".")
    return f"-{text}" if nanoseconds < 0 else text


def layer_size(entries: Iterator[Entry]) -> int:
    """Give the exact length in bytes of what `layer_chunks` writes for the same entries."""
    total = END_OF_ARCHIVE
    for path, inode, link_to in entries:
        total += header_size(path, inode, link_to)
        if link_to is None and inode.content is not None:
            size = inode.content.size
            total += size + -size % BLOCK
    return total


def layer_chunks(entries: Iterator[Entry]) -> Iterator[Chunk]:
    """Give the layer tar of the entries, which come in canonical order, piece by piece; few pieces are small."""
    small: list[Chunk] = []
    size = 0
    for part in _parts(entries):
        if small and size + len(part) > _JOINED:
            yield b"".join(small)
            small, size = [], 0
        if len(part) < _JOINED:
            # Nearly all headers, paddings and files are: to hand on each by itself costs more than to copy it.
            small.append(part)
            size += len(part)
        else:
            yield part
    yield b"".join(small)


def _written(entry: Entry) -> Content | None:
    return entry.inode.content if entry.link_to is None else None


def _parts(entries: Iterator[Entry]) -> Iterator[Chunk]:
    for path, inode, link_to in fetched(entries, _written):
        yield header(path, inode, link_to)
        if link_to is None and inode.content is not None:
            yield from chunks_once(inode.content, inode.content.take_hearers())
            yield padding(inode.content.size)
    yield bytes(END_OF_ARCHIVE)
