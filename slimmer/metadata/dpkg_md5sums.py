"""Debian's md5sums: the sum of each file of a package, which `dpkg --verify` and debsums compare.

A line has a sum, two spaces and a path without its leading slash, as the package has it: with a merged /usr a file
listed as lib/x lies at usr/lib/x. Distroless images have the same files in var/lib/dpkg/status.d.
"""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING

from slimmer.metadata.deferred import Digests, Edit, edited
from slimmer.plan import Keep, Replace

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    from slimmer.content import Content
    from slimmer.rootfs import Rootfs

_DIRECTORIES = ("var/lib/dpkg/info", "var/lib/dpkg/status.d")
_LINE = re.compile(rb"^([0-9a-f]{32})  ([^\n]+)$", re.MULTILINE)


def amend(before: Rootfs, changed: Mapping[str, Content], removed: Collection[str] = ()) -> Iterator[Replace | Keep]:
    """Give a Replace for each md5sums file that names a changed path; a sum that was wrong before stays wrong.

    CHANGED has every name of every file whose content is replaced, with its new content. No content but those of the
    md5sums files is read before the new one is. Of a package's files none is REMOVED but with the whole package: rules
    see to that, because dpkg has no word for a file that a package no longer has.
    """
    if not changed:
        return
    # A package's list may be long: only lines with the last name of a changed path are followed.
    last_names = {path.rpartition("/")[2].encode("utf-8", "surrogateescape") for path in changed}
    resolve = functools.cache(before.resolve)
    digests = Digests()
    for path, content in _md5sums(before):
        if path in removed:
            continue
        edits = list(_edits(before, content.whole(path), changed, last_names, resolve, digests))
        if edits:
            how = f"MD5 of {len(edits)} changed file{'s' if len(edits) > 1 else ''}"
            yield Replace(path, edited(content, edits), how)


def _md5sums(rootfs: Rootfs) -> Iterator[tuple[str, Content]]:
    for directory in _DIRECTORIES:
        for name in rootfs.children(directory):
            inode = rootfs.get(f"{directory}/{name}")
            if name.endswith(".md5sums") and inode is not None and inode.content is not None:
                yield f"{directory}/{name}", inode.content


def _edits(
    rootfs: Rootfs,
    data: bytes,
    changed: Mapping[str, Content],
    last_names: set[bytes],
    resolve: Callable[[str], str | None],
    digests: Digests,
) -> Iterator[Edit]:
    for line in _LINE.finditer(data):
        directory, _, name = line[2].rpartition(b"/")
        if name not in last_names:
            continue
        place = resolve(directory.decode("utf-8", "surrogateescape"))
        if place is None:
            continue
        path = f"{place}/{name.decode('utf-8', 'surrogateescape')}".lstrip("/")
        inode = rootfs.get(path)
        if path in changed and inode is not None and inode.content is not None:
            # It may be wrong also where the file lies at the place of one that was diverted (dpkg-divert).
            md5 = digests.amended(line[1], inode.content, changed[path], "md5", _encoded)
            yield Edit(line.start(1), md5.size, md5, md5.size)


def _encoded(digest: bytes) -> bytes:
    return digest.hex().encode()
