"""The root file system of an image as slimmer holds it: directories of names, each name with its inode.

An image may have a million files. So no path is held: of each file there is its name, in the dictionary of the
directory that it lies in, and a root that was made of another shares the directories in which nothing changed.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, TypeVar

from slimmer.inode import Inode, Kind
from slimmer.layer import Entry

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

    _Wanted = Callable[[str, Inode], object]

UNNAMED = Inode(Kind.DIRECTORY, 0o755)
"""A directory that the newest layer with something in it does not name. The engine makes it, with the time of that
moment, which is no part of the image."""
_MAX_SYMLINKS = 40  # as Linux follows: path_resolution(7)
_Value = TypeVar("_Value")
_NOTHING: Mapping[str, Inode] = {}


class Rootfs:
    """Every path of an image with its inode, in canonical order: parents first, siblings by code point.

    What is above a path is a directory: none leads through a symlink.
    """

    def __init__(
        self, root: Inode | None, directories: Mapping[str, Mapping[str, Inode]], several: Iterable[Inode]
    ) -> None:
        """Hold DIRECTORIES, each under its path with a slash behind it, the root's under nothing.

        Those that hold something, with their names in order. ROOT is the inode of the root itself, where the image
        has one. SEVERAL are inodes that may have more than one path: all that do, and perhaps others.
        """
        self._root = root
        self._directories = directories
        self._several = frozenset(several)
        self._above = {_split(place[:-1])[0] for place in directories}
        """The directories that hold some that hold something."""
        self._count = sum(map(len, directories.values())) + (root is not None)
        # What is found by going through all paths, when it is first asked for.
        self._linked: dict[Inode, list[str]] | None = None
        self._symlinks: list[tuple[str, Inode]] | None = None

    @classmethod
    def of(cls, inodes: Mapping[str, Inode]) -> Rootfs:
        """Give the root that is just these paths, and the directories on the way to them."""
        return cls(None, {}, ()).holding(inodes)

    def __contains__(self, path: str) -> bool:
        start = path.rfind("/") + 1
        return path[start:] in self._directories.get(path[:start], _NOTHING) if path else self._root is not None

    def __len__(self) -> int:
        return self._count

    def entries(self) -> Iterator[tuple[str, Inode]]:
        """Give every path with its inode."""
        root = () if self._root is None else (("", self._root),)
        return chain(root, self._below(""))

    def _below(self, place: str, is_wanted: _Wanted | None = None) -> Iterator[tuple[str, Inode]]:
        """Give every path below a directory, which is named as in `_directories`; only what IS_WANTED, if that says."""
        directories, above, directory = self._directories, self._above, Kind.DIRECTORY
        entered: list[tuple[str, Iterator[tuple[str, Inode]]]] = []
        names = iter(directories.get(place, _NOTHING).items())
        while True:
            for name, inode in names:
                if is_wanted is None or is_wanted(name, inode):
                    yield place + name, inode
                if inode.kind is not directory or (below := directories.get(f"{place}{name}/")) is None:
                    continue
                inner = f"{place}{name}/"
                if inner in above:
                    entered.append((place, names))
                    place, names = inner, iter(below.items())
                    break
                # Most directories hold nothing but files, which need not be asked what they are.
                if is_wanted is None:
                    yield from zip(map(inner.__add__, below), below.values(), strict=True)
                else:
                    yield from [(inner + each, found) for each, found in below.items() if is_wanted(each, found)]
            else:
                if not entered:
                    return
                place, names = entered.pop()

    def files(self) -> Iterator[tuple[str, Inode]]:
        """Give every regular file once, under the first of its names."""
        return ((names[0], inode) for names, inode in self.named_files())

    def named_files(self) -> Iterator[tuple[list[str], Inode]]:
        """Give every regular file once, with all its names in order."""
        linked, file = self._of_several_names(), Kind.FILE
        for path, inode in self.entries():
            if inode.kind is file:
                names = linked.get(inode)
                if names is None:
                    yield [path], inode
                elif names[0] == path:
                    yield names, inode

    def as_layer(self) -> Iterator[Entry]:
        """Give every path as a layer has it: an inode under the first of its names, the others are hard links to it."""
        linked = self._of_several_names()
        for path, inode in self.entries():
            names = linked.get(inode)
            yield Entry(path, inode, None if names is None or names[0] == path else names[0])

    def called(self, name: str) -> list[tuple[str, Inode]]:
        """Give every path whose last part is NAME, in order, with its inode: no other name is looked at."""
        held = self._directories.items()
        found = [(place + name, inode) for place, names in held if (inode := names.get(name)) is not None]
        return sorted(found, key=lambda item: _order(item[0]))

    def where(self, is_wanted: _Wanted) -> Iterator[tuple[str, Inode]]:
        """Give every path below the root, with its inode, of whose last part and inode IS_WANTED says so.

        No other path is put together: of many files few are wanted.
        """
        return self._below("", is_wanted)

    def symlinks(self) -> Iterator[tuple[str, Inode]]:
        """Give every symlink."""
        if self._symlinks is None:
            self._symlinks = list(self.where(lambda _, inode: inode.kind is Kind.SYMLINK))
        return iter(self._symlinks)

    def names(self, path: str) -> list[str]:
        """Give every path of the inode at PATH, in order: hard links make several. None when it is not there."""
        inode = self.get(path)
        if inode is None:
            return []
        return self._of_several_names().get(inode) or [path]

    def _of_several_names(self) -> dict[Inode, list[str]]:
        """Give each inode that has several paths with these: nearly all have one, which whoever asks for it knows."""
        if self._linked is None:
            found: dict[Inode, list[str]] = {}
            for path, inode in self.where(lambda _, inode: inode in self._several) if self._several else ():
                found.setdefault(inode, []).append(path)
            self._linked = {inode: paths for inode, paths in found.items() if len(paths) > 1}
        return self._linked

    def get(self, path: str) -> Inode | None:
        """Give the inode of this very path, following no symlink."""
        if not path:
            return self._root
        start = path.rfind("/") + 1
        names = self._directories.get(path[:start])
        return None if names is None else names.get(path[start:])

    def children(self, directory: str) -> list[str]:
        """Give the names in a directory, in order."""
        return list(self._directories.get(_place(directory), ()))

    def below(self, path: str) -> Iterator[str]:
        """Give PATH and every path below it; nothing when it is not there."""
        if path in self:
            yield path
            yield from (found for found, _ in self._below(_place(path)))

    def resolve(self, path: str) -> str | None:
        """Give the path that PATH leads to, every symlink followed inside this root; None when there is nothing."""
        own = path.lstrip("/")
        inode = self.get(own)
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
            place = f"{_place(done)}{part}"
            inode = self.get(place)
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
        every = sum(inode.size for names in self._directories.values() for inode in names.values())
        return every - sum(inode.size * (len(names) - 1) for inode, names in self._of_several_names().items())

    def without(self, paths: Collection[str]) -> Rootfs:
        """Give this root less PATHS, which must name every path below a removed directory too."""
        gone = _by_directory(dict.fromkeys(paths))
        directories = dict(self._directories)
        for place, names in gone.items():
            if held := {name: inode for name, inode in directories.pop(place, _NOTHING).items() if name not in names}:
                directories[place] = held
        left = Rootfs(None if "" in paths else self._root, directories, self._several)
        # What was found before is not looked for again: to go through all paths takes longer.
        if self._symlinks is not None:
            left._symlinks = [item for item in self._symlinks if item[0] not in paths]
        if self._linked is not None:
            kept = ((inode, [path for path in names if path not in paths]) for inode, names in self._linked.items())
            left._linked = {inode: names for inode, names in kept if len(names) > 1}
        return left

    def replaced(self, new: Mapping[Inode, Inode]) -> Rootfs:
        """Give this root with NEW in place of some inodes; the names of one inode stay names of one inode."""
        directories = dict(self._directories)
        for place, names in self._directories.items():
            if not new.keys().isdisjoint(names.values()):
                directories[place] = {name: new.get(inode, inode) for name, inode in names.items()}
        root = None if self._root is None else new.get(self._root, self._root)
        return Rootfs(root, directories, self._several.union(new.values()))

    def holding(self, inodes: Mapping[str, Inode]) -> Rootfs:
        """Give this root with INODES at their paths, and the directories on the way that were not there."""
        root = inodes.get("", self._root)
        directories = dict(self._directories)
        several = self._several.union(inode for inode in inodes.values() if inode.kind is not Kind.DIRECTORY)
        new = _by_directory({path: inode for path, inode in inodes.items() if path})
        for place in list(new):
            way = place
            while way:
                way, name = _split(way[:-1])
                if name in directories.get(way, _NOTHING) or name in new.get(way, _NOTHING):
                    break
                new.setdefault(way, {})[name] = UNNAMED
        for place, names in new.items():
            directories[place] = dict(sorted({**directories.get(place, _NOTHING), **names}.items()))
        return Rootfs(root, directories, several)


def in_order(paths: Iterable[str]) -> list[str]:
    """Give paths in canonical order: parents first, siblings by code point."""
    return sorted(paths, key=_order)


def _order(path: str) -> str:
    return path.replace("/", "\0")  # which is in no name, and before all that is; parts as such would take much memory


def _place(directory: str) -> str:
    """Give what a directory is called by in `Rootfs._directories`."""
    return f"{directory}/" if directory else ""


def _split(path: str) -> tuple[str, str]:
    """Give what the directory of PATH is called by there, and the name in it."""
    start = path.rfind("/") + 1
    return path[:start], path[start:]


def _by_directory(values: Mapping[str, _Value]) -> dict[str, dict[str, _Value]]:
    """Give what lies under each path by the directory of that path, and the name in it."""
    found: dict[str, dict[str, _Value]] = {}
    for path, value in values.items():
        place, name = _split(path)
        found.setdefault(place, {})[name] = value
    return found
