"""The rows of a RECORD, as pip, uv and every other installer of wheels writes them: path, hash and size."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from slimmer.inode import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from slimmer.inode import Inode
    from slimmer.rootfs import Rootfs


def _field(name: str) -> str:
    return rf'(?:"(?P<{name}_quoted>(?:[^"]|"")*+)"|(?P<{name}>[^,"\r\n][^,\r\n]*+|))'


_ROW = re.compile(rf"{_field('path')},{_field('hash')},{_field('size')}(?:,[^\r\n]*+)?(?=[\r\n]|\Z)".encode())
_LINE = re.compile(rb"[^\r\n]*+[\r\n]*+")


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a RECORD, from START to STOP with its line end: the path, hash and size, and where these start."""

    start: int
    stop: int
    path: str
    hash: bytes
    hash_start: int
    size: bytes
    size_start: int


def rows(data: bytes) -> Iterator[Row]:
    """Give the well-formed rows of a RECORD in order, and nothing for any other line."""
    position = 0
    while position < len(data):
        row, position = _row(data, position)
        if row is not None:
            yield row


def _row(data: bytes, position: int) -> tuple[Row | None, int]:
    """Give the row that stands at POSITION, None where that is not one, and where the next one starts."""
    found = _ROW.match(data, position)
    line = _LINE.match(data, found.end() if found is not None else position)
    stop = line.end() if line is not None else len(data)
    if found is None:
        return None, stop
    _, path = _value(found, "path")
    hash_start, digest = _value(found, "hash")
    size_start, size = _value(found, "size")
    name = path.replace(b'""', b'"') if found["path"] is None else path
    # As tar members are decoded: a name that is not UTF-8 is found all the same.
    return Row(position, stop, name.decode("utf-8", "surrogateescape"), digest, hash_start, size, size_start), stop


def rows_of(data: bytes, names: Collection[bytes], is_meant: Callable[[str], bool]) -> Iterator[Row]:
    """Give the rows of files with these last NAMES in the directories that are meant, in order.

    All others, which are nearly all there are, are not taken apart. A directory is given as it is written, with its
    slash or as nothing.
    """
    if b'"' in data:  # a quoted field may hold what ends a line or a field elsewhere
        for row in rows(data):
            cut = row.path.rfind("/") + 1
            if row.path[cut:].encode("utf-8", "surrogateescape") in names and is_meant(row.path[:cut]):
                yield row
        return
    known: dict[bytes, bool] = {}
    position = 0
    for line in data.splitlines(keepends=True):
        path = line.partition(b",")[0]
        cut = path.rfind(b"/") + 1
        if path[cut:] in names:
            meant = known.get(path[:cut])
            if meant is None:
                meant = known[path[:cut]] = is_meant(path[:cut].decode("utf-8", "surrogateescape"))
            found = _row(data, position)[0] if meant else None
            if found is not None:
                yield found
        position += len(line)


def _value(found: re.Match[bytes], name: str) -> tuple[int, bytes]:
    group = name if found[name] is not None else f"{name}_quoted"
    return found.start(group), found[group]


def locator(rootfs: Rootfs) -> Callable[[str], str | None]:
    """Give a function that says which path a path leads to, as `Rootfs.resolve`, each directory resolved once."""
    resolve = functools.cache(rootfs.resolve)

    def locate(path: str) -> str | None:
        directory, _, name = path.rpartition("/")
        place = resolve(directory)
        if place is None or name in {"", ".", ".."}:
            return None
        found = f"{place}/{name}" if place else name
        inode = rootfs.get(found)
        if inode is None:
            return None
        return rootfs.resolve(found) if inode.kind is Kind.SYMLINK else found

    return locate


def row_path(record: str, path: str) -> str:
    """Give what the PATH in a row of RECORD means: itself when it is absolute, else one beside the `.dist-info`."""
    return path if path.startswith("/") else f"{record.rpartition('/')[0].rpartition('/')[0]}/{path}"


def files_of(rootfs: Rootfs, record: str, locate: Callable[[str], str | None]) -> Iterator[Inode]:
    """Give the files that a RECORD names and that are there."""
    found = rootfs.get(record)
    content = found.content if found is not None else None
    for row in rows(content.whole(record)) if content is not None else ():
        path = locate(row_path(record, row.path))
        inode = rootfs.get(path) if path is not None else None
        if inode is not None and inode.kind is Kind.FILE:
            yield inode
