"""The root file system that an image's layers add up to, without extracting anything.

Layers are applied oldest first, and a hard link is bound to its file within the layer that makes it, at that moment.
Both matter: a later layer may replace or delete the path that a link was made to, and the link must keep the old
content.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from slimmer.errors import SourceError
from slimmer.layer import Entry, Inode, Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

WHITEOUT = ".wh."
OPAQUE = ".wh..wh..opq"
_AUFS_OWN = ".wh..wh."
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


class _Node:
    """A path while layers are being applied."""

    __slots__ = ("children", "inode")

    def __init__(self, inode: Inode | None) -> None:
        self.inode = inode
        self.children: dict[str, _Node] = {}

    @property
    def is_directory(self) -> bool:
        return self.inode is None or self.inode.kind is Kind.DIRECTORY


def flatten(layers: Iterable[tuple[str, Iterable[Entry]]]) -> Rootfs:
    """Give the root that LAYERS add up to: pairs of a name for messages and the entries, oldest layer first.

    As the engine's union of the layers shows it (OCI image specification, layer.md). Raises SourceError for a hard link
    whose target neither its own layer nor an older one has.
    """
    root = _Node(None)
    for name, entries in layers:
        _apply(root, name, list(entries))
    return Rootfs(_walk(root))


def _apply(root: _Node, layer: str, entries: list[Entry]) -> None:
    # A whiteout hides what older layers hold and nothing of its own layer, wherever in the tar it stands.
    for entry in entries:
        parent, _, name = entry.path.rpartition("/")
        if name == OPAQUE:
            _clear(root, parent)
        elif name.startswith(WHITEOUT) and not name.startswith(_AUFS_OWN):
            _remove(root, parent, name.removeprefix(WHITEOUT))
    own: dict[str, Inode] = {}
    late: list[Entry] = []
    for entry in entries:
        if any(part.startswith(WHITEOUT) for part in entry.path.split("/")):
            continue
        if entry.inode is not None:
            inode = entry.inode
        elif (target := own.get(_through(own, entry.link_to))) is not None:
            inode = target
        else:
            late.append(entry)
            continue
        path = _through(own, entry.path)
        own[path] = inode
        _place(root, path, inode)
    for entry in late:
        link_to = _through(own, entry.link_to)
        inode_or_none = own.get(link_to) or _inode_at(root, link_to)
        if inode_or_none is None or inode_or_none.kind is Kind.DIRECTORY:
            raise SourceError(
                f"layer {layer} holds {entry.path!r} as a hard link to {entry.link_to!r}, "
                "which is no file of the image; the image is damaged, build or pull it again"
            )
        path = _through(own, entry.path)
        own[path] = inode_or_none
        _place(root, path, inode_or_none)


def _through(own: Mapping[str, Inode], path: str) -> str:
    """Give PATH with every symlink among its parents followed that its own layer made, as extracting it does.

    An older layer's symlink is another matter: the engine extracts each layer by itself, so there a directory takes its
    place.
    """
    for _ in range(_MAX_SYMLINKS):
        parts = path.split("/")
        for count in range(1, len(parts)):
            inode = own.get("/".join(parts[:count]))
            if inode is not None and inode.kind is Kind.SYMLINK:
                base = [] if inode.target.startswith("/") else parts[: count - 1]
                path = _joined([*base, *inode.target.split("/"), *parts[count:]])
                break
        else:
            return path
    return path


def _joined(parts: Iterable[str]) -> str:
    done: list[str] = []
    for part in parts:
        if part == "..":
            done = done[:-1]
        elif part not in {"", "."}:
            done.append(part)
    return "/".join(done)


def _find(root: _Node, path: str) -> _Node | None:
    node = root
    for part in filter(None, path.split("/")):
        child = node.children.get(part)
        if child is None:
            return None
        node = child
    return node


def _inode_at(root: _Node, path: str) -> Inode | None:
    node = _find(root, path)
    return node.inode if node is not None else None


def _clear(root: _Node, path: str) -> None:
    node = _find(root, path)
    if node is not None:
        node.children = {}


def _remove(root: _Node, parent: str, name: str) -> None:
    node = _find(root, parent)
    if node is not None:
        node.children.pop(name, None)


def _place(root: _Node, path: str, inode: Inode) -> None:
    if not path:
        root.inode = inode
        return
    node = root
    *parents, name = path.split("/")
    for part in parents:
        child = node.children.get(part)
        if child is None or not child.is_directory:
            # A parent that no layer names: the engine makes it (moby's archive.go), and it hides what stood there.
            child = node.children[part] = _Node(None)
        node = child
    existing = node.children.get(name)
    if existing is not None and existing.is_directory and inode.kind is Kind.DIRECTORY:
        existing.inode = inode
    else:
        node.children[name] = _Node(inode)


def _walk(root: _Node) -> dict[str, Inode]:
    inodes: dict[str, Inode] = {}
    # A stack of its own: paths may be deeper than Python's.
    pending: list[tuple[str, _Node]] = [("", root)]
    while pending:
        path, node = pending.pop()
        if path or node.inode is not None:
            inodes[path] = node.inode or Inode(Kind.DIRECTORY, 0o755)
        prefix = f"{path}/" if path else ""
        pending.extend((prefix + name, node.children[name]) for name in sorted(node.children, reverse=True))
    return inodes
