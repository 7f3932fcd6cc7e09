"""A layer as a tree, and the way to a path in it.

What it holds is found as the kernel finds it in the directory that the engine extracts the layer to: every symlink of
the layer leads on, and none leads out.
"""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

from slimmer.blobs import ByPath
from slimmer.inode import Inode, Kind

if TYPE_CHECKING:
    from collections.abc import Collection

    from slimmer.content import Content

WHITEOUT = ".wh."
_AUFS_OWN = ".wh..wh."
_MAX_SYMLINKS = 40  # as Linux follows: path_resolution(7)
_UNNAMED_SETGID = Inode(Kind.DIRECTORY, 0o2755)


class Directory:
    """A directory while layers are added up. Everything else in one is its Inode."""

    __slots__ = ("children", "inode", "is_opaque")

    def __init__(self, inode: Inode | None) -> None:
        self.inode = inode
        """None for a directory that the layer does not name."""
        self.children: dict[str, Directory | Inode] = {}
        self.is_opaque = False
        """Whether it hides what older layers have in it."""


def is_whiteout(child: Directory | Inode) -> bool:
    """Say whether this hides what older layers have there: to overlayfs, every character device 0/0."""
    return isinstance(child, Inode) and child.kind is Kind.CHARACTER and child.device == (0, 0)


class NoWayError(Exception):
    """A path does not lead to a directory."""


def look_up(root: Directory, path: str) -> tuple[Directory, str, Directory | Inode | None]:
    """Give the directory that holds PATH, its name there, and what it is; symlinks are followed but for the last."""
    parent, _, name = path.rpartition("/")
    if not path:
        return root, "", root
    try:
        directory = descend(root, parent, make=False)
    except NoWayError:
        return root, "", None
    return directory, name, directory.children.get(name)


def descend(root: Directory, path: str, *, make: bool) -> Directory:
    """Follow PATH from directory to directory as the kernel does, with every symlink of this tree."""
    pending = path.split("/")[::-1]
    above: list[Directory] = []
    directory = root
    followed = 0
    while pending:
        part = pending.pop()
        if part in {"", "."}:
            continue
        if part == "..":
            directory = above.pop() if above else root
            continue
        child = directory.children.get(part)
        if isinstance(child, Inode) and child.kind is Kind.SYMLINK:
            followed += 1
            if followed > _MAX_SYMLINKS:
                raise NoWayError("which lies below a loop of symlinks")
            if child.target.startswith("/"):
                above, directory = [], root
            pending.extend(child.target.split("/")[::-1])
            continue
        if not isinstance(child, Directory):
            if not make:
                raise NoWayError
            child = _made(directory, part, child)
            # The kernel hands the bit down; but for the root's, which the engine does not set.
            if directory is not root and directory.inode is not None and directory.inode.mode & stat.S_ISGID:
                child.inode = _UNNAMED_SETGID
        above.append(directory)
        directory = child
    return directory


def _made(parent: Directory, name: str, existing: Inode | None) -> Directory:
    if existing is not None and not is_whiteout(existing):
        raise NoWayError(f"which lies below {name!r}, which is no directory")
    if name.startswith(WHITEOUT) and not name.startswith(_AUFS_OWN):
        raise NoWayError(f"which lies below {name!r}, a whiteout")
    made = parent.children[name] = Directory(None)
    made.is_opaque = existing is not None
    return made


def misplaced(root: Directory, others: Collection[Inode]) -> str | None:
    """Give the path of a file that is read by another path, where something else lies; None where there is none.

    An engine keeps the files of a layer by their paths (blobs.ByPath), and through a symlink a path can be taken twice.
    Then the file that was there is gone, but where it has a hard link: there it is, and is not read. OTHERS came from
    older layers and are not looked at.
    """
    pending = [("", root)]
    while pending:
        place, directory = pending.pop()
        for name, child in directory.children.items():
            if isinstance(child, Directory):
                pending.append((f"{place}{name}/", child))
            elif child.content is not None and child not in others and not _lies_where_it_is_read(root, child.content):
                return place + name
    return None


def _lies_where_it_is_read(root: Directory, content: Content) -> bool:
    blob: object = content.front().blob if content.size else None
    if not isinstance(blob, ByPath):
        return True
    found = look_up(root, blob.path)[2]
    return isinstance(found, Inode) and found.content is content
