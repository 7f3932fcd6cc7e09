"""RECORD: what pip, uv and every other installer of wheels note of each file of a distribution: path, hash and size.

No installer compares them, audits do (specifications/recording-installed-packages). Only the hash and the size of a
row are replaced: its line end (pip writes CRLF, uv LF), quoting, order and encoding stay as the installer wrote them.
The row of a file that is removed goes whole.
"""

from __future__ import annotations

import functools
import re
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from typing import TYPE_CHECKING

from slimmer.content import Bytes
from slimmer.layer import Kind
from slimmer.metadata.deferred import Deferred, Digests, Edit, edited
from slimmer.plan import Keep, Replace

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    from slimmer.content import Content
    from slimmer.layer import Inode
    from slimmer.rootfs import Rootfs

_SUFFIX = ".dist-info/RECORD"
_SIGNATURES = ("RECORD.jws", "RECORD.p7s")
_BASE64_LENGTH = {b"sha256": 43, b"sha384": 64, b"sha512": 86}
"""How long each digest is in base64 without padding, which is how a RECORD has it."""


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


def _rows_of(data: bytes, names: Collection[bytes]) -> Iterator[Row]:
    """Give the rows of files with these last names, without taking all others apart: those are nearly all there are."""
    if b'"' in data:  # a quoted field may hold what ends a line or a field elsewhere
        yield from (row for row in rows(data) if _last(row.path.encode("utf-8", "surrogateescape")) in names)
        return
    position = 0
    for line in data.splitlines(keepends=True):
        if _last(line.partition(b",")[0]) in names:
            row, _ = _row(data, position)
            if row is not None:
                yield row
        position += len(line)


def _last(path: bytes) -> bytes:
    return path.rpartition(b"/")[2]


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


def row_path(record: str, row: Row) -> str:
    """Give the path that a row of RECORD means: its own when it is absolute, else one beside the `.dist-info`."""
    return row.path if row.path.startswith("/") else f"{record.rpartition('/')[0].rpartition('/')[0]}/{row.path}"


def files_of(rootfs: Rootfs, record: str, locate: Callable[[str], str | None]) -> Iterator[Inode]:
    """Give the files that a RECORD names and that are there."""
    content = _content(rootfs, record)
    for row in rows(content.whole(record)) if content is not None else ():
        path = locate(row_path(record, row))
        inode = rootfs.get(path) if path is not None else None
        if inode is not None and inode.kind is Kind.FILE:
            yield inode


def _content(rootfs: Rootfs, path: str) -> Content | None:
    inode = rootfs.get(path)
    return inode.content if inode is not None else None


def amend(before: Rootfs, changed: Mapping[str, Content], removed: Collection[str] = ()) -> Iterator[Replace | Keep]:
    """Give a Replace for each RECORD that names a changed or removed path, a Keep where a row cannot be made true.

    CHANGED has every name of every file whose content is replaced, with its new content, REMOVED every path that goes.
    No content but those of the RECORDs is read before the new RECORD itself is.
    """
    gone = _Gone(before, removed)
    if not changed and not gone.names:
        return
    known = dict(changed)
    names_of = _last_names(before)
    named = {name.encode("utf-8", "surrogateescape") for name in gone.names}.union(*map(names_of, known))
    locate = locator(before)
    digests = Digests()
    for names, inode in _records(before):
        first, *_ = names
        records = [name for name in names if name.endswith(_SUFFIX) and name not in removed]
        if not records:
            continue
        result = _amended(before, inode, records, known, gone, named, locate, digests)
        if result is None:
            continue
        new, count, problems = result
        signature = _signature(before, records)
        if signature is not None:
            yield Keep(first, f"signed by {signature}: its rows of changed files keep the old hashes")
            continue
        if problems:
            more = f", and {len(problems) - 1} more" if len(problems) > 1 else ""
            yield Keep(first, f"{problems[0]}{more}")
        if count:
            known |= dict.fromkeys(names, new)
            named = named.union(*map(names_of, names))
            yield Replace(
                first,
                new,
                f"row{'s' if count > 1 else ''} of {count} changed or removed file{'s' if count > 1 else ''}",
            )


def _last_names(rootfs: Rootfs) -> Callable[[str], set[bytes]]:
    """Give a function that says by which last names a path may be meant: its own, and those of symlinks to it."""
    links: dict[str, set[bytes]] = {}
    for path, inode in rootfs.entries():
        if inode.kind is Kind.SYMLINK and (leads_to := rootfs.resolve(path)) is not None:
            links.setdefault(leads_to, set()).add(_last(path.encode("utf-8", "surrogateescape")))

    def names(path: str) -> set[bytes]:
        return {_last(path.encode("utf-8", "surrogateescape"))} | links.get(path, set())

    return names


class _Gone:
    """What is removed, so that most rows are known by their last name to be of something else."""

    def __init__(self, before: Rootfs, removed: Collection[str]) -> None:
        self._resolve = functools.cache(before.resolve)
        self._removed = removed
        files = (path for path in removed if (inode := before.get(path)) is not None and inode.content is not None)
        self.names = {path.rpartition("/")[2] for path in files}

    def __contains__(self, path: str) -> bool:
        directory, _, name = path.rpartition("/")
        place = self._resolve(directory) if name in self.names else None
        return place is not None and f"{place}/{name}".lstrip("/") in self._removed


def _records(rootfs: Rootfs) -> list[tuple[list[str], Inode]]:
    """Give every RECORD with all its names, the deepest first: one of a vendored distribution stands in an outer one.

    A file is replaced under all its names at once, so a RECORD that is linked elsewhere stays linked. uv links every
    file of a wheel to its cache but writes a RECORD anew, because it adds rows: the two are separate files.
    """
    inodes = {inode for path, inode in rootfs.entries() if path.endswith(_SUFFIX) and inode.kind is Kind.FILE}
    names: dict[Inode, list[str]] = {}
    for path, inode in rootfs.entries():
        if inode in inodes:
            names.setdefault(inode, []).append(path)
    found = [(paths, inode) for inode, paths in names.items()]
    return sorted(found, key=lambda item: (-max(path.count("/") for path in item[0]), item[0]))


def _signature(rootfs: Rootfs, records: list[str]) -> str | None:
    for record in records:
        for name in _SIGNATURES:
            if f"{record.rpartition('/')[0]}/{name}" in rootfs:
                return name
    return None


def _amended(
    rootfs: Rootfs,
    inode: Inode,
    records: list[str],
    changed: Mapping[str, Content],
    gone: _Gone,
    named: Collection[bytes],
    locate: Callable[[str], str | None],
    digests: Digests,
) -> tuple[Content, int, list[str]] | None:
    """Give the new content, how many rows it changes and why others stay; None when no row names a changed path."""
    content = inode.content
    if content is None:
        return None
    edits: list[Edit] = []
    problems: list[str] = []
    count = 0
    for row in _rows_of(content.whole(records[0]), named):
        if any(row_path(record, row) in gone for record in records):
            edits.append(Edit(row.start, row.stop - row.start, Bytes(b""), 0))
            count += 1
            continue
        places = (locate(row_path(record, row)) for record in records)
        path = next((place for place in places if place in changed), None)
        old = _content(rootfs, path) if path is not None else None
        if path is None or old is None or not (row.hash or row.size):
            continue  # an installer leaves out what it cannot know, as the hash of the RECORD itself
        problem = _problem(row, old)
        if problem is not None:
            problems.append(f"its row for {row.path!r} {problem}")
            continue
        edits += _edits(row, old, changed[path], digests)
        count += 1
    return (edited(content, edits), count, problems) if count or problems else None


def _problem(row: Row, old: Content) -> str | None:
    """Give why a row cannot be made true, or None. One that was false before must not become true by slimming."""
    if row.size and row.size != b"%d" % old.size:
        return f"says {row.size.decode('ascii', 'replace')} bytes and the file had {old.size} before slimming"
    algorithm, _, written = row.hash.partition(b"=")
    if row.hash and algorithm not in _BASE64_LENGTH:
        return f"has a hash of an unknown kind, {algorithm.decode('ascii', 'replace')}"
    if row.hash and len(written) != _BASE64_LENGTH[algorithm]:
        return "has a hash that is not in unpadded base64"
    return None


def _edits(row: Row, old: Content, new: Content, digests: Digests) -> Iterator[Edit]:
    if row.hash:
        algorithm, _, written = row.hash.partition(b"=")
        start = row.hash_start + len(algorithm) + 1

        def encoded(content: Content) -> bytes:
            return urlsafe_b64encode(digests.of(content, algorithm.decode())).rstrip(b"=")

        def digest() -> bytes:
            # A hash that was wrong before says that somebody changed the file. Slimming does not cover that up.
            return encoded(new) if encoded(old) == written else written

        yield Edit(start, len(written), Deferred(len(written), digest), len(written))
    if row.size:
        size = b"%d" % new.size
        yield Edit(row.size_start, len(row.size), Bytes(size), len(size))
