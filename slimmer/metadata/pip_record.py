"""RECORD: what pip, uv and every other installer of wheels note of each file of a distribution: path, hash and size.

No installer compares them, audits do (specifications/recording-installed-packages). Only the hash and the size of a
row are replaced: its line end (pip writes CRLF, uv LF), quoting, order and encoding stay as the installer wrote them.
The row of a file that is removed goes whole.
"""

from __future__ import annotations

import functools
from base64 import urlsafe_b64encode
from typing import TYPE_CHECKING

from slimmer.blobs import Bytes
from slimmer.inode import Kind
from slimmer.metadata.deferred import Digests, Edit, edited
from slimmer.metadata.record_rows import locator, row_path, rows_of
from slimmer.plan import Keep, Replace

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from slimmer.content import Content
    from slimmer.inode import Inode
    from slimmer.metadata.record_rows import Row
    from slimmer.rootfs import Rootfs

_SUFFIX = ".dist-info/RECORD"
_SIGNATURES = ("RECORD.jws", "RECORD.p7s")
_BASE64_LENGTH = {b"sha256": 43, b"sha384": 64, b"sha512": 86}
"""How long each digest is in base64 without padding, which is how a RECORD has it."""


def amend(before: Rootfs, changed: Mapping[str, Content], removed: Collection[str] = ()) -> Iterator[Replace | Keep]:
    """Give a Replace for each RECORD that names a changed or removed path, a Keep where a row cannot be made true.

    CHANGED has every name of every file whose content is replaced, with its new content, REMOVED every path that goes.
    No content but those of the RECORDs is read before the new RECORD itself is.
    """
    touched = _Touched(before, changed, removed)
    if not touched.names:
        return
    digests = Digests()
    for names, inode in _records(before):
        first, *_ = names
        records = [name for name in names if name.endswith(_SUFFIX) and name not in removed]
        if not records:
            continue
        result = _amended(before, inode, records, touched, digests)
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
            touched.change(names, new)
            yield Replace(
                first,
                new,
                f"row{'s' if count > 1 else ''} of {count} changed or removed file{'s' if count > 1 else ''}",
            )


class _Touched:
    """What is changed or removed, and by which last names, in which directories, a row may name any of it."""

    def __init__(self, before: Rootfs, changed: Mapping[str, Content], removed: Collection[str]) -> None:
        self._resolve = functools.cache(before.resolve)
        self._locate = locator(before)
        self._removed = removed
        files = [path for path in removed if (inode := before.get(path)) is not None and inode.content is not None]
        self._gone_names = {path.rpartition("/")[2] for path in files}
        self.names = {name.encode("utf-8", "surrogateescape") for name in self._gone_names}
        self._directories = {path.rpartition("/")[0] for path in files}
        self._links: dict[str, list[str]] = {}
        for path, _ in before.symlinks() if changed or files else ():
            if (leads_to := before.resolve(path)) is not None:
                self._links.setdefault(leads_to, []).append(path)
        self.changed: dict[str, Content] = {}
        for path, content in changed.items():
            self.change([path], content)

    def change(self, paths: Iterable[str], content: Content) -> None:
        """Remember that all PATHS have CONTENT now."""
        for path in paths:
            self.changed[path] = content
            for written in (path, *self._links.get(path, ())):
                directory, _, name = written.rpartition("/")
                self._directories.add(directory)
                self.names.add(name.encode("utf-8", "surrogateescape"))

    def has_directory(self, path: str) -> bool:
        """Say whether any of it lies in a directory, or a symlink to it."""
        return self._resolve(path) in self._directories

    def is_gone(self, path: str) -> bool:
        """Say whether a path was one of a removed file."""
        directory, _, name = path.rpartition("/")
        place = self._resolve(directory) if name in self._gone_names else None
        return place is not None and f"{place}/{name}".lstrip("/") in self._removed

    def leads_to(self, path: str) -> str | None:
        """Give the changed file that a path leads to, or None."""
        place = self._locate(path)
        return place if place in self.changed else None


def _records(rootfs: Rootfs) -> list[tuple[list[str], Inode]]:
    """Give every RECORD with all its names, the deepest first: one of a vendored distribution stands in an outer one.

    A file is replaced under all its names at once, so a RECORD that is linked elsewhere stays linked. uv links every
    file of a wheel to its cache but writes a RECORD anew, because it adds rows: the two are separate files.
    """
    every = rootfs.called("RECORD")
    inodes = {inode: path for path, inode in every if path.endswith(_SUFFIX) and inode.kind is Kind.FILE}
    found = [(rootfs.names(path), inode) for inode, path in inodes.items()]
    return sorted(found, key=lambda item: (-max(path.count("/") for path in item[0]), item[0]))


def _signature(rootfs: Rootfs, records: list[str]) -> str | None:
    for record in records:
        for name in _SIGNATURES:
            if f"{record.rpartition('/')[0]}/{name}" in rootfs:
                return name
    return None


def _amended(
    rootfs: Rootfs, inode: Inode, records: list[str], touched: _Touched, digests: Digests
) -> tuple[Content, int, list[str]] | None:
    """Give the new content, how many rows it changes and why others stay; None when no row names a changed path."""
    content = inode.content
    if content is None:
        return None
    edits: list[Edit] = []
    problems: list[str] = []
    count = 0

    def is_meant(directory: str) -> bool:
        return any(touched.has_directory(row_path(record, directory)) for record in records)

    for row in rows_of(content.whole(records[0]), touched.names, is_meant):
        meant = [row_path(record, row.path) for record in records]
        if any(map(touched.is_gone, meant)):
            edits.append(Edit(row.start, row.stop - row.start, Bytes(b""), 0))
            count += 1
            continue
        path = next(filter(None, map(touched.leads_to, meant)), None)
        old = changed_inode.content if path is not None and (changed_inode := rootfs.get(path)) is not None else None
        if path is None or old is None or not (row.hash or row.size):
            continue  # an installer leaves out what it cannot know, as the hash of the RECORD itself
        problem = _problem(row, old)
        if problem is not None:
            problems.append(f"its row for {row.path!r} {problem}")
            continue
        edits += _edits(row, old, touched.changed[path], digests)
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
        digest = digests.amended(written, old, new, algorithm.decode(), _encoded)
        yield Edit(start, digest.size, digest, digest.size)
    if row.size:
        size = b"%d" % new.size
        yield Edit(row.size_start, len(row.size), Bytes(size), len(size))


def _encoded(digest: bytes) -> bytes:
    return urlsafe_b64encode(digest).rstrip(b"=")
