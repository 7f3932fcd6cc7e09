"""The root file system that an image's layers add up to, without extracting anything.

Layers are applied oldest first, each extracted by itself, so that a hard link is bound to its file within the layer
that makes it. Both matter: a later layer may replace or delete the path that a link was made to, and the link must keep
the old content.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from slimmer.changeset import WHITEOUT, Directory, extract, is_whiteout
from slimmer.errors import SourceError
from slimmer.layer import Inode, Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

    from slimmer.layer import Entry

_UNNAMED = Inode(Kind.DIRECTORY, 0o755)
"""A directory that the newest layer with something in it does not name. The engine makes it, with the time of that
moment, which is no part of the image."""
_MAX_ENTRIES, _MAX_NAMES = 5_000_000, 512 << 20
"""A file takes some hundred bytes here; a CUDA image with its tools has 42,246."""
_PATH_MAX = 4095  # path_resolution(7)
_MAX_SYMLINKS = 40  # as Linux follows: path_resolution(7)


class Rootfs:
    """Every path of an image with its inode, in canonical order: parents first, siblings by code point."""

    def __init__(self, inodes: Mapping[str, Inode]) -> None:
        self._inodes = dict(inodes)
        self._children: dict[str, list[str]] | None = None
        self._names: dict[int, str | list[str]] | None = None

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
                known = self._names.setdefault(id(found), path)  # a list for each would take more than all the rest
                if known is not path:
                    self._names[id(found)] = [known, path] if isinstance(known, str) else [*known, path]
        names = self._names.get(id(inode), [])
        return [names] if isinstance(names, str) else names

    def get(self, path: str) -> Inode | None:
        """Give the inode of this very path, following no symlink."""
        return self._inodes.get(path)

    def children(self, directory: str) -> list[str]:
        """Give the names in a directory, in order."""
        if self._children is None:
            self._children = {}
            for path in self._inodes:
                if path:
                    self._children.setdefault(path.rpartition("/")[0], []).append(path)
        start = len(directory) + 1 if directory else 0
        return [path[start:] for path in self._children.get(directory, ())]

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

    As a container of the engine shows it. Raises SourceError for a layer that cannot be: see `changeset.extract`; and
    for more names than slimmer holds.
    """
    root = Directory(None)
    budget = Budget()
    for name, entries in layers:
        newer = extract(name, budget.spent(name, entries), root)
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


class Budget:
    """How much an image may have that is held in memory: entries, and bytes of their names, links and attributes."""

    def __init__(self, entries: int = _MAX_ENTRIES, length: int = _MAX_NAMES) -> None:
        self._limits = entries, length
        self._entries, self._length = entries, length

    def spent(self, layer: str, entries: Iterable[Entry]) -> Iterator[Entry]:
        """Give the entries of a layer; raise SourceError where those of all layers are more than is left."""
        for entry in entries:
            self._entries -= 1
            self._length -= len(entry.path) + len(entry.link_to or entry.inode.target)
            if entry.inode.xattrs:
                self._length -= sum(len(key) + len(value) for key, value in entry.inode.xattrs.items())
            if self._entries < 0 or self._length < 0:
                raise SourceError(
                    f"the image has more than {self._limits[0]:,} entries, or {self._limits[1]:,} bytes of names and "
                    f"attributes, in its layers up to {layer}: more than slimmer holds in memory"
                )
            yield entry


def _walk(root: Directory) -> dict[str, Inode]:
    """Give every path; ROOT is of no use afterwards, so that an image's names are not held twice."""
    inodes: dict[str, Inode] = {}
    if root.inode is not None:
        inodes[""] = root.inode
    # A stack of its own: paths may be deeper than Python's.
    pending: list[tuple[str, Directory | Inode]] = [
        (name, root.children[name]) for name in sorted(root.children, reverse=True)
    ]
    while pending:
        path, child = pending.pop()
        if len(path) > _PATH_MAX:
            # Each entry's own path is short enough; through symlinks they can be piled up without end.
            raise SourceError(
                f"the image holds {path[:40]!r}…, a path of {len(path):,} characters, where Linux takes {_PATH_MAX:,} "
                "bytes; an image like this is not slimmed"
            )
        if isinstance(child, Inode):
            inodes[path] = child
            continue
        inodes[path] = child.inode or _UNNAMED
        pending.extend((f"{path}/{name}", child.children[name]) for name in sorted(child.children, reverse=True))
        child.children.clear()
    return inodes
