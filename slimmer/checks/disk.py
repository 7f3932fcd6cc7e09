"""The files of a layer as the engine's graph driver put them on disk, compared with the plan."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from slimmer.errors import SourceError
from slimmer.inode import Inode, Kind

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from slimmer.rootfs import Rootfs

_TYPES = {
    Kind.FILE: stat.S_IFREG,
    Kind.DIRECTORY: stat.S_IFDIR,
    Kind.SYMLINK: stat.S_IFLNK,
    Kind.CHARACTER: stat.S_IFCHR,
    Kind.BLOCK: stat.S_IFBLK,
    Kind.FIFO: stat.S_IFIFO,
}
_NOT_THE_IMAGES = ("trusted.overlay.", "security.selinux")
"""Attributes that a graph driver and the machine's own policy add."""


def on_disk(directory: Path, planned: Rootfs) -> Iterator[str]:
    """Give a sentence for each path below DIRECTORY that is missing, too much or other than planned.

    Raises SourceError when it goes while it is looked at, as when somebody removes the image.
    """
    try:
        yield from _differences(directory, planned)
    except OSError as error:
        raise SourceError(
            f"what is on trial cannot be read where the engine keeps it, in {directory}: {error.strerror}; "
            "if the image was removed meanwhile, run slimmer again"
        ) from error


def _differences(directory: Path, planned: Rootfs) -> Iterator[str]:
    links = _Links()
    found = 0
    root = os.fsencode(directory)
    for path in _walk(root):
        name = path.decode("utf-8", "surrogateescape")
        inode = planned.get(name)
        if inode is None:
            if name:  # an engine makes the root, whether an image has one or not
                yield f"/{name} is on the engine's disk and was not planned"
            continue
        found += 1
        status = os.lstat(os.path.join(root, path))  # noqa: PTH118 - pathlib has no bytes
        yield from (f"/{name} has {wrong} on the engine's disk" for wrong in _wrong(status, inode))
        attributes = _attributes(os.path.join(root, path))  # noqa: PTH118 - the same
        if attributes != dict(inode.xattrs or {}):
            yield f"/{name} has the attributes {attributes} on the engine's disk, not {dict(inode.xattrs or {})}"
        is_linked = status.st_nlink > 1 or len(planned.names(name)) > 1
        if inode.kind is not Kind.DIRECTORY and is_linked and not links.agree(inode, status):
            yield f"/{name} is linked otherwise on the engine's disk"
    if found < len(planned):
        yield from (f"/{path} is missing on the engine's disk" for path, _ in planned.entries() if _is_away(root, path))


def _is_away(root: bytes, path: str) -> bool:
    return not os.path.lexists(os.path.join(root, path.encode("utf-8", "surrogateescape")))  # noqa: PTH118 - no bytes


class _Links:
    """Which file on disk is which of the plan: names of one must be names of the other."""

    def __init__(self) -> None:
        self._inodes: dict[int, Inode] = {}
        self._numbers: dict[Inode, int] = {}

    def agree(self, inode: Inode, status: os.stat_result) -> bool:
        first_number = self._numbers.setdefault(inode, status.st_ino)
        first_inode = self._inodes.setdefault(status.st_ino, inode)
        return first_number == status.st_ino and first_inode is inode


def _wrong(status: os.stat_result, inode: Inode) -> Iterator[str]:
    if stat.S_IFMT(status.st_mode) != _TYPES[inode.kind]:
        yield f"the type {stat.S_IFMT(status.st_mode):o}"
    if inode.kind is not Kind.SYMLINK and stat.S_IMODE(status.st_mode) != inode.mode:
        yield f"the mode {stat.S_IMODE(status.st_mode):o} instead of {inode.mode:o}"
    if (status.st_uid, status.st_gid) != (inode.uid, inode.gid):
        yield f"the owner {status.st_uid}:{status.st_gid} instead of {inode.uid}:{inode.gid}"
    if inode.kind in {Kind.FILE, Kind.SYMLINK} and status.st_size != inode.size:
        yield f"{status.st_size} bytes instead of {inode.size}"
    if inode.kind in {Kind.CHARACTER, Kind.BLOCK}:
        device = os.major(status.st_rdev), os.minor(status.st_rdev)
        if device != inode.device:
            yield f"the device {device} instead of {inode.device}"


def _attributes(path: bytes) -> dict[str, bytes]:
    names = [name for name in os.listxattr(path, follow_symlinks=False) if not name.startswith(_NOT_THE_IMAGES)]
    return {name: os.getxattr(path, name, follow_symlinks=False) for name in names}


def _walk(root: bytes) -> Iterator[bytes]:
    """Give every path below ROOT, the empty one for itself; no symlink is followed."""
    pending = [b""]
    while pending:
        path = pending.pop()
        yield path
        with os.scandir(os.path.join(root, path)) as entries:  # noqa: PTH118 - pathlib has no bytes
            for entry in entries:
                below = os.path.join(path, entry.name)  # noqa: PTH118 - the same
                if entry.is_dir(follow_symlinks=False):
                    pending.append(below)
                else:
                    yield below
