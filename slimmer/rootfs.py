"""The root file system that an image's layers add up to, without extracting anything.

Layers are applied oldest first, each extracted by itself, so that a hard link is bound to its file within the layer
that makes it. Both matter: a later layer may replace or delete the path that a link was made to, and the link must keep
the old content.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from slimmer.changeset import WHITEOUT, Directory, extract, is_whiteout
from slimmer.layer import Inode, Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

    from slimmer.layer import Entry

_UNNAMED = Inode(Kind.DIRECTORY, 0o755)
"""A directory that the newest layer with something in it does not name. The engine makes it, with the time of that
moment, which is no part of the image."""
_MAX_SYMLINKS = 40  # as Linux follows: path_resolution(7)


class Rootfs:
    """Every path of an image with its inode, in canonical order: parents first, siblings by code point."""

    def __init__(self, inodes: Mapping[str, Inode]) -> None:
        self._inodes = dict(inodes)
        self._children: dict[str, list[str]] | None = None
        self._names: dict[int, list[str]] | None = None

    def __contains__(self, path: str) -> bool:
        return path in self._inodes

    def __len__(self) -> int:
        return len(self._inodes)

    def entries(self) -> Iterator[tuple[str, Inode]]:
        """Give every path with its inode."""
        return iter(self._inodes.items())

    def files(self) -> Iterator[tuple[str, Inode]]:
        """Give every regular file once, under the first of its names."""
        seen: set[int] = set()
        for path, inode in self._inodes.items():
            if inode.kind is Kind.FILE and id(inode) not in seen:
                seen.add(id(inode))
                yield path, inode

    def names(self, inode: Inode) -> list[str]:
        """Give every path of an inode of this root, in order; hard links make several."""
        if self._names is None:
            self._names = {}
            for path, found in self._inodes.items():
                self._names.setdefault(id(found), []).append(path)
        return self._names.get(id(inode), [])

    def get(self, path: str) -> Inode | None:
        """Give the inode of this very path, following no symlink."""
        return self._inodes.get(path)

    def children(self, directory: str) -> list[str]:
        """Give the names in a directory, in order."""
        if self._children is None:
            self._children = {}
            for path in self._inodes:
                if path:
                    parent, _, name = path.rpartition("/")
                    self._children.setdefault(parent, []).append(name)
        return self._children.get(directory, [])

    def below(self, path: str) -> Iterator[str]:
        """Give PATH and every path below it; nothing when it is not there."""
        if path in self._inodes:
            pending = [path]
            while pending:
                current = pending.pop()
                yield current
                prefix = f"{current}/" if current else ""
                pending.extend(prefix + name for name in reversed(self.children(current)))

    def resolve(self, path: str) -> str | None:
        """Give the path that PATH leads to, every symlink followed inside this root; None when there is nothing."""
        pending = path.split("/")[::-1]
        done: list[str] = []
        followed = 0
        while pending:
            part = pending.pop()
            if part in {"", "."}:
                continue
            if part == "..":
                done = done[:-1]
                continue
            inode = self._inodes.get("/".join([*done, part]))
            if inode is None:
                return None
            if inode.kind is not Kind.SYMLINK:
                done.append(part)
                continue
            followed += 1
            if followed > _MAX_SYMLINKS:
                return None
            if inode.target.startswith("/"):
                done = []
            pending.extend(inode.target.split("/")[::-1])
        return "/".join(done)

    def size(self) -> int:
        """Give the bytes of all contents, each inode counted once, as the engine counts a layer."""
        return sum({id(inode): inode.size for inode in self._inodes.values()}.values())

    def without(self, paths: Collection[str]) -> Rootfs:
        """Give this root less PATHS, which must name every path below a removed directory too."""
        return Rootfs({path: inode for path, inode in self._inodes.items() if path not in paths})

    def replaced(self, replace: Callable[[Inode], Inode]) -> Rootfs:
        """Give this root with each inode replaced; the names of one inode stay names of one inode."""
        new: dict[int, Inode] = {}
        for inode in self._inodes.values():
            if id(inode) not in new:
                new[id(inode)] = replace(inode)
        return Rootfs({path: new[id(inode)] for path, inode in self._inodes.items()})


def flatten(layers: Iterable[tuple[str, Iterable[Entry]]]) -> Rootfs:
    """Give the root that LAYERS add up to: pairs of a name for messages and the entries, oldest layer first.

    As a container of the engine shows it. Raises SourceError for a layer that cannot be: see `changeset.extract`.
    """
    root = Directory(None)
    for name, entries in layers:
        newer = extract(name, entries, root)
        if newer.inode is not None:
            root.inode = newer.inode
        _lay_over(root, newer)
    return Rootfs(_walk(root))


def _lay_over(older: Directory, newer: Directory) -> None:
    """Change OLDER into what overlayfs shows of NEWER over it."""
    # That a layer's root is opaque, overlayfs does not look at: both are mounted as the root, whatever it bears.
    pending = [(older, newer)]
    while pending:
        below, above = pending.pop()
        for name, child in above.children.items():
            if is_whiteout(child):
                below.children.pop(name, None)
            elif isinstance(child, Inode):
                below.children[name] = child
            elif not name.startswith(WHITEOUT):  # or it is aufs's own, kept for its hard links only
                under = below.children.get(name)
                if not isinstance(under, Directory):
                    under = below.children[name] = Directory(None)
                # The newest layer's, also where it names none: the one that the engine made hides the older.
                under.inode = child.inode
                if child.is_opaque:
                    under.children = {}
                pending.append((under, child))


def _walk(root: Directory) -> dict[str, Inode]:
    inodes: dict[str, Inode] = {}
    if root.inode is not None:
        inodes[""] = root.inode
    # A stack of its own: paths may be deeper than Python's.
    pending: list[tuple[str, Directory | Inode]] = [
        (name, root.children[name]) for name in sorted(root.children, reverse=True)
    ]
    while pending:
        path, child = pending.pop()
        if isinstance(child, Inode):
            inodes[path] = child
            continue
        inodes[path] = child.inode or _UNNAMED
        pending.extend((f"{path}/{name}", child.children[name]) for name in sorted(child.children, reverse=True))
    return inodes
