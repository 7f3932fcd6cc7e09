"""What a layer says of each file, read from its tar.

Reading keeps what the engine would put on disk: nanoseconds, extended attributes, sparse files, names that are not
UTF-8.
"""

from __future__ import annotations

import re
import tarfile
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import IO, TYPE_CHECKING, cast

from slimmer import tar_header
from slimmer.content import ZEROS, Content, Piece
from slimmer.errors import SourceError
from slimmer.tar_header import BLOCK, END_OF_ARCHIVE, MAX_HEADER, Member

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

XATTR = "SCHILY.xattr."
"""What the PAX record of an extended attribute begins with."""
NANOSECONDS = 1_000_000_000
_MAX_HEADERS = 4 << 20
"""Bytes of all that stands before one entry's content: long names, records, the map of a sparse file."""
_MAY_NOT_BE_EMPTY = ("path", "linkpath", "size", "uid", "gid", "mtime")
_NO_DEVICE = (0, 0)
_MAJORS, _MINORS = 1 << 12, 1 << 20  # makedev(3)
_PATH_MAX = 4095  # path_resolution(7); no engine can extract more, and every path is kept whole here


class Kind(Enum):
    """What an inode is, with the tar type that says so."""

    FILE = tarfile.REGTYPE
    DIRECTORY = tarfile.DIRTYPE
    SYMLINK = tarfile.SYMTYPE
    CHARACTER = tarfile.CHRTYPE
    BLOCK = tarfile.BLKTYPE
    FIFO = tarfile.FIFOTYPE


DEVICES = frozenset({Kind.CHARACTER, Kind.BLOCK})


@dataclass(frozen=True, slots=True, eq=False)
class Inode:
    """A file of whatever kind, without its names: hard links are names of one Inode, so it is compared by identity.

    `mtime` is in nanoseconds since the epoch. User and group names are left behind: the engine goes by number, and a
    name says only what the building machine called it.
    """

    kind: Kind
    mode: int
    uid: int = 0
    gid: int = 0
    mtime: int = 0
    content: Content | None = None
    target: str = ""
    device: tuple[int, int] = _NO_DEVICE
    xattrs: Mapping[str, bytes] | None = None

    @property
    def size(self) -> int:
        """Bytes that the engine counts for it (moby's directory.Size): content, a symlink's target, or nothing."""
        if self.content is not None:
            return self.content.size
        return len(self.target.encode("utf-8", "surrogateescape"))


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a layer: a path and its inode, or a hard link to `link_to` with what the entry says of the inode."""

    path: str
    inode: Inode
    link_to: str | None = None


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


def read_layer(content: Content, name: str) -> Iterator[Entry]:
    """Give the entries of an uncompressed layer tar in its own order; their contents stay where they lie.

    Paths are relative to the root, without `.` or a leading `/`; the root itself is the empty path. Raises
    SourceError, with NAME of the layer, for what is no tar, for a path that climbs out of the root and for types that
    no layer may hold.
    """
    if not content.size:
        return  # as for the engine, a layer without entries
    try:
        stream = Headers(content)
        with tarfile.open(
            fileobj=cast("IO[bytes]", stream), mode="r:", errorlevel=2, encoding="utf-8",
            errors="surrogateescape", pax_headers=_NoGlobals(), tarinfo=Member,
        ) as tar:  # fmt: skip
            for member in _members(tar, stream):
                yield _entry(member, content, name)
            # tarfile takes a header that it cannot read for the end, and a single block of zeros too.
            if any(content.read_at(tar.offset, END_OF_ARCHIVE)):
                raise tarfile.ReadError(f"bad header at byte {tar.offset}")
    except (tarfile.TarError, EOFError, UnicodeError) as error:
        raise SourceError(
            f"layer {name} is not a tar that can be read: {error}; the image is damaged, build or pull it again"
        ) from error


def _members(tar: tarfile.TarFile, stream: Headers) -> Iterator[tarfile.TarInfo]:
    """Give every member: ordinary headers are read here, tarfile is set upon all others."""
    tar.firstmember = None  # type: ignore[attr-defined] # it read one when it was opened
    offset = 0
    while True:
        stream.seek(offset)
        stream.next_entry()
        member = tar_header.decode(stream.read(BLOCK))
        if member is not None:
            member.offset_data = offset + BLOCK
            offset += BLOCK + member.size + -member.size % BLOCK
        else:
            stream.seek(offset)  # where it expects to be: it would read a byte before, which opens that file
            tar.offset = offset
            member = tar.next()
            if member is None:
                return
            tar.members = []  # type: ignore[attr-defined] # or it remembers every header
            offset = tar.offset
        yield member


def _entry(member: tarfile.TarInfo, content: Content, layer: str) -> Entry:
    path = normal_path(member.name, layer)
    if empty := [key for key in _MAY_NOT_BE_EMPTY if member.pax_headers.get(key) == ""]:
        raise SourceError(f"layer {layer} gives {path!r} an empty PAX record {empty[0]}")
    if member.islnk():
        return Entry(path, _inode(member, Kind.FILE, None, path, layer), normal_path(member.linkname, layer))
    if member.isreg():
        kind, data = Kind.FILE, _file_content(member, content, path, layer)
    else:
        data = None
        try:
            kind = Kind(member.type)
        except ValueError:
            raise SourceError(
                f"layer {layer} holds {path!r} of tar type {member.type!r}, which no container image may hold"
            ) from None
    if kind is Kind.SYMLINK and (not member.linkname or "\0" in member.linkname):
        raise SourceError(f"layer {layer} holds {path!r} as a symlink to {member.linkname!r}, which is no path")
    return Entry(path, _inode(member, kind, data, path, layer))


def _inode(member: tarfile.TarInfo, kind: Kind, data: Content | None, path: str, layer: str) -> Inode:
    xattrs = {
        key.removeprefix(XATTR): value.encode("utf-8", "surrogateescape")
        for key, value in member.pax_headers.items()
        if key.startswith(XATTR)
    }
    if any(not key.isprintable() for key in xattrs):
        raise SourceError(f"layer {layer} gives {path!r} an extended attribute whose name is not text")
    return Inode(
        kind=kind,
        mode=_shared(member.mode & 0o7777),
        uid=_owner(member.uid),
        gid=_owner(member.gid),
        mtime=_shared(_nanoseconds(member, path, layer)),
        content=data,
        target=member.linkname if kind is Kind.SYMLINK else "",
        device=_device(member, path, layer) if kind in DEVICES else _NO_DEVICE,
        xattrs=xattrs or None,
    )


@lru_cache(maxsize=256)
def _shared(number: int) -> int:
    """Give the number itself, and for the same one the same object: a million files have few modes and times."""
    return number


def _owner(number: int) -> int:
    """Give the owner that Linux makes of a number: its last 32 bits, and root of the one that means no change."""
    number &= 0xFFFFFFFF
    return 0 if number == 0xFFFFFFFF else number


def _device(member: tarfile.TarInfo, path: str, layer: str) -> tuple[int, int]:
    major, minor = member.devmajor, member.devminor
    if not (0 <= major < _MAJORS and 0 <= minor < _MINORS):
        raise SourceError(f"layer {layer} holds {path!r} as the device {major}:{minor}, which Linux has not")
    return major, minor


def normal_path(name: str, layer: str) -> str:
    """Give NAME as a path below the root: absolute names and `./x` are usual, `..` above the root is refused."""
    parts: list[str] = []
    for part in name.split("/"):
        if part == "..":
            if not parts:
                raise SourceError(
                    f"layer {layer} holds {name!r}, which climbs out of the root; an image like this is not slimmed"
                )
            parts.pop()
        elif part not in {"", "."}:
            parts.append(part)
    path = "/".join(parts)
    if "\0" in name:
        raise SourceError(f"layer {layer} holds {name!r}, which is no path")
    if len(path) > _PATH_MAX // 4 and (length := len(path.encode("utf-8", "surrogateescape"))) > _PATH_MAX:
        raise SourceError(
            f"layer {layer} holds {path[:40]!r}…, a path of {length:,} bytes, where Linux takes {_PATH_MAX:,}"
        )
    return path


def _nanoseconds(member: tarfile.TarInfo, path: str, layer: str) -> int:
    text = member.pax_headers.get("mtime")
    # tarfile makes a float of it, which holds no nanoseconds of this century.
    parts = re.fullmatch(r"(-?)(\d{1,18})(?:\.(\d*))?", str(int(member.mtime)) if text is None else text, re.ASCII)
    if parts is None:
        raise SourceError(f"layer {layer} gives {path!r} the modification time {text!r}, which is no number")
    sign, seconds, fraction = parts.groups()
    value = int(seconds) * NANOSECONDS + int((fraction or "").ljust(9, "0")[:9])
    return -value if sign else value


def _file_content(member: tarfile.TarInfo, content: Content, path: str, layer: str) -> Content:
    start = member.offset_data
    sparse: list[tuple[int, int]] | None = getattr(member, "sparse", None)  # set for GNU and for PAX sparse files
    stored = member.size if sparse is None else sum(length for _, length in sparse)
    if not 0 <= stored <= content.size - start:
        raise SourceError(f"layer {layer} ends inside {path!r}; the image is damaged, build or pull it again")
    if sparse is None:
        return content.slice(start, start + member.size)
    pieces: list[Piece] = []
    position = 0
    for offset, length in sparse:
        if not length:
            continue  # the old GNU format fills its map with empty runs at 0
        pieces.append(Piece(ZEROS, 0, offset - position))
        pieces.extend(content.slice(start, start + length).pieces)
        start += length
        position = offset + length
    pieces.append(Piece(ZEROS, 0, member.size - position))
    if any(piece.length < 0 for piece in pieces):
        raise SourceError(f"layer {layer} holds {path!r} with a sparse map that does not add up")
    return Content(pieces)
