"""The root file system that an image's layers add up to, without extracting anything.

Layers are applied oldest first, each extracted by itself, so that a hard link is bound to its file within the layer
that makes it. Both matter: a later layer may replace or delete the path that a link was made to, and the link must keep
the old content.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from slimmer.changeset import WHITEOUT, Directory, extract, is_whiteout
from slimmer.errors import SourceError
from slimmer.layer import Entry, Inode, Kind

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

_UNNAMED = Inode(Kind.DIRECTORY, 0o755)
"""A directory that the newest layer with something in it does not name. The engine makes it, with the time of that
moment, which is no part of the image."""
_MAX_ENTRIES, _MAX_NAMES = 5_000_000, 512 << 20
"""A file takes some hundred bytes here; a CUDA image with its tools has 42,246."""
_PATH_MAX = 4095  # path_resolution(7)
_MAX_SYMLINKS = 40  # as Linux follows: path_resolution(7)


class Rootfs:
    """Every path of an image with its inode, in canonical order: parents first, siblings by code point.

    What is above a path is a directory: none leads through a symlink.
    """

    def __init__(self, inodes: Mapping[str, Inode]) -> None:
        self._inodes = dict(inodes)
        # What is found by going through all paths, when it is first asked for.
        self._below: dict[str, list[str]] | None = None
        self._linked: dict[Inode, list[str]] | None = None
        self._symlinks: list[str] | None = None

    def __contains__(self, path: str) -> bool:
        return path in self._inodes

    def __len__(self) -> int:
        return len(self._inodes)

    def entries(self) -> Iterator[tuple[str, Inode]]:
        """Give every path with its inode."""
        return iter(self._inodes.items())

    def files(self) -> Iterator[tuple[str, Inode]]:
        """Give every regular file once, under the first of its names."""
        linked = self._of_several_names()
        for path, inode in self._inodes.items():
            if inode.kind is Kind.FILE and (inode not in linked or linked[inode][0] == path):
                yield path, inode

    def as_layer(self) -> Iterator[Entry]:
        """Give every path as a layer has it: an inode under the first of its names, the others are hard links to it."""
        linked = self._of_several_names()
        for path, inode in self._inodes.items():
            names = linked.get(inode)
            yield Entry(path, inode, None if names is None or names[0] == path else names[0])

    def symlinks(self) -> Iterator[tuple[str, Inode]]:
        """Give every symlink."""
        if self._symlinks is None:
            self._symlinks = [path for path, inode in self._inodes.items() if inode.kind is Kind.SYMLINK]
        return ((path, self._inodes[path]) for path in self._symlinks)

    def names(self, path: str) -> list[str]:
        """Give every path of the inode at PATH, in order: hard links make several. None when it is not there."""
        inode = self._inodes.get(path)
        if inode is None:
            return []
        return self._of_several_names().get(inode) or [path]

    def _of_several_names(self) -> dict[Inode, list[str]]:
        """Give each inode that has several paths with these: nearly all have one, which whoever asks for it knows.

        A directory has one: those that no layer names share an Inode, and are several all the same.
        """
        if self._linked is None:
            self._linked = {}
            first: dict[Inode, str] = {}
            for path, inode in self._inodes.items():
                if inode.kind is not Kind.DIRECTORY and (known := first.setdefault(inode, path)) is not path:
                    self._linked.setdefault(inode, [known]).append(path)
        return self._linked

    def get(self, path: str) -> Inode | None:
        """Give the inode of this very path, following no symlink."""
        return self._inodes.get(path)

    def children(self, directory: str) -> list[str]:
        """Give the names in a directory, in order."""
        start = len(directory) + 1 if directory else 0
        return [path[start:] for path in self._directories().get(directory, ())]

    def _directories(self) -> dict[str, list[str]]:
        """Give every directory that holds something, with the paths in it."""
        if self._below is None:
            self._below = {}
            for path in self._inodes:
                if path:
                    self._below.setdefault(path.rpartition("/")[0], []).append(path)
        return self._below

    def below(self, path: str) -> Iterator[str]:
        """Give PATH and every path below it; nothing when it is not there."""
        if path in self._inodes:
            directories = self._directories()
            pending = [path]
            while pending:
                current = pending.pop()
                yield current
                pending.extend(reversed(directories.get(current, ())))

    def resolve(self, path: str) -> str | None:
        """Give the path that PATH leads to, every symlink followed inside this root; None when there is nothing."""
        own = path.lstrip("/")
        inode = self._inodes.get(own)
        if inode is not None and inode.kind is not Kind.SYMLINK:
            return own
        pending = path.split("/")[::-1]
        done = ""
        followed = 0
        while pending:
            part = pending.pop()
            if part in {"", "."}:
                continue
            if part == "..":
                done = done.rpartition("/")[0]
                continue
            place = f"{done}/{part}" if done else part
            inode = self._inodes.get(place)
            if inode is None:
                return None
            if inode.kind is not Kind.SYMLINK:
                done = place
                continue
            followed += 1
            if followed > _MAX_SYMLINKS:
                return None
            if inode.target.startswith("/"):
                done = ""
            pending.extend(inode.target.split("/")[::-1])
        return done

    def size(self) -> int:
        """Give the bytes of all contents, each inode counted once, as the engine counts a layer."""
        return sum(inode.size for _, inode, link_to in self.as_layer() if link_to is None)

    def without(self, paths: Collection[str]) -> Rootfs:
        """Give this root less PATHS, which must name every path below a removed directory too."""
        left = Rootfs({path: inode for path, inode in self._inodes.items() if path not in paths})
        if len(paths) > len(self) // 10:
            return left
        # Where little is gone, that is left out of what was found before: to go through all paths takes longer.
        if self._symlinks is not None:
            left._symlinks = [path for path in self._symlinks if path not in paths]
        if self._below is not None:
            left._below = self._below.copy()
            for directory in {path.rpartition("/")[0] for path in paths}:
                held = [path for path in left._below.pop(directory, ()) if path not in paths]
                if held:
                    left._below[directory] = held
        if self._linked is not None:
            left._linked = self._linked.copy()
            for inode in {self._inodes[path] for path in paths if path in self._inodes}:
                kept = [path for path in left._linked.pop(inode, ()) if path not in paths]
                if len(kept) > 1:
                    left._linked[inode] = kept
        return left

    def replaced(self, new: Mapping[Inode, Inode]) -> Rootfs:
        """Give this root with NEW in place of some inodes; the names of one inode stay names of one inode."""
        return Rootfs({path: new.get(inode, inode) for path, inode in self._inodes.items()})


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
