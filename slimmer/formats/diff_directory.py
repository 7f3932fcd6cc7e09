"""A layer's files where the engine's graph driver keeps them, opened when they are read.

The names come from the image, and so does all that lies in the directory: a name is walked one part at a time, no part
through a symbolic link that the kernel would follow. A symbolic link among the parents is followed here, within the
directory, as the engine did in a chroot when it unpacked the layer: an image with `lib -> usr/lib` may have a
`lib/x.so` in the same layer.
"""

from __future__ import annotations

import errno
import os
import posixpath
import stat
import sys
from collections import OrderedDict
from functools import cache
from threading import Lock
from typing import TYPE_CHECKING, NamedTuple

from slimmer.blobs import read_exactly
from slimmer.errors import SourceError
from slimmer.residency import is_resident

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # a FIFO in a file's place would wait for a writer
_DIRECTORY = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_PAST_MEMORY = os.O_RDONLY | os.O_CLOEXEC | getattr(os, "O_DIRECT", 0)
_MAX_SYMLINKS = 40  # as Linux follows: path_resolution(7)
OPEN_FILES = 64
"""Files, and directories, that are open at a time in a process."""
_DEEP = 64
"""Directories in a path from which on they are not opened one from the other, each in a call within a call."""
_METACOPY = "trusted.overlay.metacopy"


class Descriptor:
    """A file descriptor that is closed when nothing refers to it: a thread never loses one that it reads from."""

    __slots__ = ("number",)

    def __init__(self, number: int) -> None:
        self.number = number

    def __del__(self, close: Callable[[int], None] = os.close) -> None:
        close(self.number)


class OpenFiles:
    """The descriptors that were used last, so many and no more; threads may share it."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._open: OrderedDict[object, Descriptor] = OrderedDict()
        self._lock = Lock()

    def get(self, key: object, opened: Callable[[], Descriptor]) -> Descriptor:
        """Give the descriptor under KEY, opened anew when it is not among the last."""
        with self._lock:
            if (found := self._open.get(key)) is not None:
                self._open.move_to_end(key)
                return found
        descriptor = opened()
        with self._lock:
            self._open[key] = descriptor
            if len(self._open) > self._limit:
                self._open.popitem(last=False)
        return descriptor


class DiffDirectory:
    """The directory that holds what one layer adds: LAYER is its name in messages."""

    def __init__(self, path: Path, layer: str, files: OpenFiles, directories: OpenFiles) -> None:
        self._path = path
        self._layer = layer
        self._files = files
        self._directories = directories
        self._recent = Parent(self, b"")

    def shelved(self, name: bytes) -> tuple[Parent, str]:
        """Give the directory that a file of the layer lies in, and by which name: NAME is what the layer's tar says.

        A `..` takes the part before it away, a symlink too, as when the engine unpacked the layer. As long as the
        directory is the same, as in a tar, it is the same object. The name is one that is held once, as the tree of the
        layer has it too.
        """
        if b".." in name:
            name = posixpath.normpath(b"/" + name)
        parent, _, base = name.lstrip(b"/").rpartition(b"/")
        if parent != self._recent.path:
            self._recent = Parent(self, parent)
        return self._recent, sys.intern(base.decode("utf-8", "surrogateescape"))

    def __reduce__(self) -> tuple[Callable[[Path, str], DiffDirectory], tuple[Path, str]]:
        """Be the same directory in another process, which has open files of its own."""
        return _elsewhere, (self._path, self._layer)

    def open(self, file: StoredFile) -> Descriptor:
        """Give an open descriptor of FILE; raise SourceError when it is not there or is not what the layer says."""
        return self._files.get(file.key, lambda: self._checked(file))

    def fail(self, file: StoredFile, what: str) -> SourceError:
        """Give the error that says WHAT is wrong with a file."""
        name = file.name.decode("utf-8", "replace")
        return SourceError(
            f"{name!r} of layer {self._layer} cannot be read where the engine keeps it, in {self._path}: {what}; "
            "if the image was removed meanwhile or its files were changed, build or pull it again"
        )

    def _checked(self, file: StoredFile) -> Descriptor:
        try:
            directory = self._entered(file.parent)
            descriptor = Descriptor(os.open(file.base, _FILE, dir_fd=directory.number))
            status = os.fstat(descriptor.number)
            is_hollow = _has_attribute(descriptor.number, _METACOPY)
        except OSError as error:
            raise self.fail(file, error.strerror or str(error)) from error
        except ValueError as error:  # a name with a NUL in it
            raise self.fail(file, str(error)) from error
        if not stat.S_ISREG(status.st_mode):
            raise self.fail(file, "it is no regular file")
        if status.st_size != file.size:
            raise self.fail(file, f"it has {status.st_size} bytes where the layer has {file.size}")
        if is_hollow:
            raise self.fail(file, "it holds no data of its own (an overlay metacopy)")
        return descriptor

    def _entered(self, path: bytes) -> Descriptor:
        """Give an open descriptor of a directory below this one, from the one above it where that is open."""
        return self._directories.get((self, path), lambda: self._opened(path))

    def _opened(self, path: bytes) -> Descriptor:
        above, _, base = path.rpartition(b"/")
        if not _is_plain(base) or path.count(b"/") > _DEEP:
            return self._walk(path)
        directory = self._entered(above)  # held, so that no other thread's turn closes it
        try:
            return Descriptor(os.open(base, _DIRECTORY, dir_fd=directory.number))
        except NotADirectoryError:
            return self._walk(path)  # a symbolic link, which may lead back up

    def _walk(self, path: bytes) -> Descriptor:
        """Open a directory below this one, from here on; `..` and absolute links end at this one, as in a chroot."""
        trail = [Descriptor(os.open(self._path, _DIRECTORY))]
        pending = path.split(b"/")[::-1]
        followed = 0
        while pending:
            part = pending.pop()
            if part in {b"", b"."}:
                continue
            if part == b"..":
                trail = trail[: max(len(trail) - 1, 1)]
                continue
            try:
                trail.append(Descriptor(os.open(part, _DIRECTORY, dir_fd=trail[-1].number)))
            except NotADirectoryError as error:
                followed += 1
                if followed > _MAX_SYMLINKS:
                    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP)) from error
                target = _link_target(part, trail[-1])
                if target is None:
                    raise
                if target.startswith(b"/"):
                    trail = trail[:1]
                pending.extend(target.split(b"/")[::-1])
        return trail[-1]


class Parent(NamedTuple):
    """A directory of a layer, held once for all files in it: as the layer's tar names it, but for a leading slash."""

    directory: DiffDirectory
    path: bytes

    def blob(self, name: str, size: int) -> StoredFile:
        """Give the file of this name and SIZE bytes."""
        return StoredFile(self, name, size)


class StoredFile:
    """A blob that is one file of a layer, opened when it is read. Its size is what the layer's tar says."""

    __slots__ = ("_base", "_parent", "_was_held", "size")

    def __init__(self, parent: Parent, base: str, size: int) -> None:
        self._parent = parent
        self._base = base
        self.size = size
        self._was_held: bool | None = None

    @property
    def key(self) -> tuple[Parent, str, int]:
        """The same for the same file, also where that is made anew; of its size, for what is open has that."""
        return self._parent, self._base, self.size

    @property
    def path(self) -> str:
        """What blobs.ByPath promises."""
        return self.name.decode("utf-8", "surrogateescape")

    @property
    def parent(self) -> bytes:
        """The directory that the file lies in, as the layer's tar names it."""
        return self._parent.path

    @property
    def base(self) -> bytes:
        """The file's name there."""
        return self._base.encode("utf-8", "surrogateescape")

    @property
    def name(self) -> bytes:
        """The file's name in the layer's tar, but for a leading slash."""
        return b"/".join((self.parent, self.base)) if self.parent else self.base

    def look(self) -> None:
        """Find out, before the file is read for the first time, whether the kernel holds it already (see once.py).

        Its headers are read by then, so its middle is asked for; where the kernel does not say, it counts as held.
        """
        if self._was_held is None:
            self._was_held = is_resident(self._parent.directory.open(self).number, self.size) is not False

    def fetch(self, offset: int, length: int) -> None:
        """Have the kernel take LENGTH bytes from OFFSET in, without waiting; raise SourceError as reading does."""
        os.posix_fadvise(self._parent.directory.open(self).number, offset, length, os.POSIX_FADV_WILLNEED)

    def leave(self, offset: int, length: int) -> None:
        """Let the kernel forget LENGTH bytes from OFFSET, unless it held them before the first look."""
        if self._was_held is False:
            os.posix_fadvise(self._parent.directory.open(self).number, offset, length, os.POSIX_FADV_DONTNEED)

    def direct(self) -> int | None:
        """Give a new descriptor that reads past the kernel's memory, None where the kernel held the file before."""
        if self._was_held is not False:
            return None
        try:
            # The name may be another file's by now, the open descriptor is not: proc(5).
            return os.open(f"/proc/self/fd/{self._parent.directory.open(self).number}", _PAST_MEMORY)
        except OSError:
            return None

    def read_at(self, offset: int, length: int) -> bytes:
        """Give exactly LENGTH bytes from OFFSET; raise SourceError when the file is gone or is not what it was."""
        descriptor = self._parent.directory.open(self)
        try:
            return read_exactly(descriptor.number, offset, length)
        except (OSError, EOFError) as error:
            raise self._parent.directory.fail(self, str(error)) from error

    def probe(self) -> None:
        """Raise SourceError when the file cannot be opened or is not what the layer says."""
        self._parent.directory.open(self)


@cache
def _elsewhere(path: Path, layer: str) -> DiffDirectory:
    """Give the one directory of this path that a process has: files of many are open, and all count together."""
    return DiffDirectory(path, layer, *_open_elsewhere())


@cache
def _open_elsewhere() -> tuple[OpenFiles, OpenFiles]:
    return OpenFiles(OPEN_FILES), OpenFiles(OPEN_FILES)


def _is_plain(part: bytes) -> bool:
    """Say whether a part of a path is a name in the directory before it."""
    return part not in {b"", b".", b".."}


def _link_target(name: bytes, directory: Descriptor) -> bytes | None:
    try:
        return os.readlink(name, dir_fd=directory.number)
    except OSError as error:
        if error.errno == errno.EINVAL:
            return None
        raise


def _has_attribute(descriptor: int, name: str) -> bool:
    try:
        os.getxattr(descriptor, name)
    except OSError as error:
        if error.errno in {errno.ENODATA, errno.ENOTSUP}:
            return False
        raise
    return True
