"""What a layer says of each file, read from its tar.

Reading keeps what the engine would put on disk: nanoseconds, extended attributes, sparse files, names that are not
UTF-8.
"""

from __future__ import annotations

import re
import tarfile
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from slimmer.blobs import ZEROS
from slimmer.content import Content
from slimmer.errors import SourceError
from slimmer.inode import DEVICES, NO_DEVICE, Inode, Kind
from slimmer.pieces import Piece
from slimmer.tar_header import Header
from slimmer.tar_members import members

if TYPE_CHECKING:
    from collections.abc import Iterator

XATTR = "SCHILY.xattr."
"""What the PAX record of an extended attribute begins with."""
NANOSECONDS = 1_000_000_000
_MAY_NOT_BE_EMPTY = ("path", "linkpath", "size", "uid", "gid", "mtime")
_MAJORS, _MINORS = 1 << 12, 1 << 20  # makedev(3)
_PATH_MAX = 4095  # path_resolution(7); no engine can extract more, and every path is kept whole here
_SHORT = _PATH_MAX // 4  # that many characters are no longer path in UTF-8, whatever they are
_TO_NORMALISE = frozenset({"", ".", ".."})
_KINDS = {kind.value: kind for kind in Kind}  # asking the Enum takes ten times as long


class Entry(NamedTuple):
    """One entry of a layer: a path and its inode, or a hard link to `link_to` with what the entry says of the inode."""

    path: str
    inode: Inode
    link_to: str | None = None


def read_layer(content: Content, name: str) -> Iterator[Entry]:
    """Give the entries of an uncompressed layer tar in its own order; their contents stay where they lie.

    Paths are relative to the root, without `.` or a leading `/`; the root itself is the empty path. Raises
    SourceError, with NAME of the layer, for what is no tar, for a path that climbs out of the root and for types that
    no layer may hold.
    """
    if not content.size:
        return  # as for the engine, a layer without entries
    try:
        for member, data in members(content):
            if isinstance(member, Header):
                yield _ordinary(member, data, name)
            else:
                yield _entry(member, content, name)
    except (tarfile.TarError, EOFError, UnicodeError) as error:
        raise SourceError(
            f"layer {name} is not a tar that can be read: {error}; the image is damaged, build or pull it again"
        ) from error


def _ordinary(header: Header, data: Content | None, layer: str) -> Entry:
    """Give what _entry gives, of a header without records: most have none, and each costs."""
    kind, name, link, mode, uid, gid, _, mtime = header
    path = normal_path(name, layer)
    if kind == tarfile.LNKTYPE:
        return Entry(path, _said_by_a_link(mode, uid, gid, mtime), normal_path(link, layer))
    if data is None:
        raise _cut(path, layer)
    is_symlink = kind == tarfile.SYMTYPE
    if is_symlink and not link:
        raise _no_target(path, link, layer)
    mode = _shared(mode & 0o7777)
    mtime = _shared(mtime * NANOSECONDS)
    content = data if kind == tarfile.REGTYPE else None
    return Entry(path, Inode(_KINDS[kind], mode, uid, gid, mtime, content, link if is_symlink else ""))


@lru_cache(maxsize=256)
def _said_by_a_link(mode: int, uid: int, gid: int, mtime: int) -> Inode:
    return Inode(Kind.FILE, mode & 0o7777, uid, gid, mtime * NANOSECONDS)


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
        raise _no_target(path, member.linkname, layer)
    return Entry(path, _inode(member, kind, data, path, layer))


def _no_target(path: str, target: str, layer: str) -> SourceError:
    return SourceError(f"layer {layer} holds {path!r} as a symlink to {target!r}, which is no path")


def _cut(path: str, layer: str) -> SourceError:
    return SourceError(f"layer {layer} ends inside {path!r}; the image is damaged, build or pull it again")


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
        device=_device(member, path, layer) if kind in DEVICES else NO_DEVICE,
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
    usual = name.removesuffix("/")
    if _TO_NORMALISE.isdisjoint(usual.split("/")) and len(name) <= _SHORT and "\0" not in name:
        return usual
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
    if len(path) > _SHORT and (length := len(path.encode("utf-8", "surrogateescape"))) > _PATH_MAX:
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
        raise _cut(path, layer)
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
