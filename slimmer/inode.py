"""What a file is, whatever its names."""

from __future__ import annotations

import tarfile
from enum import Enum
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from slimmer.content import Content

NO_DEVICE = (0, 0)


class Kind(Enum):
    """What an inode is, with the tar type that says so."""

    __hash__ = object.__hash__  # there is one of each; Enum's own is a call of a function in Python

    FILE = tarfile.REGTYPE
    DIRECTORY = tarfile.DIRTYPE
    SYMLINK = tarfile.SYMTYPE
    CHARACTER = tarfile.CHRTYPE
    BLOCK = tarfile.BLKTYPE
    FIFO = tarfile.FIFOTYPE


DEVICES = frozenset({Kind.CHARACTER, Kind.BLOCK})


class _Facts(NamedTuple):
    """What most inodes of an image have in common, and is held once for all of them."""

    mode: int
    uid: int
    gid: int
    target: str = ""
    device: tuple[int, int] = NO_DEVICE
    xattrs: Mapping[str, bytes] | None = None


_usual = lru_cache(maxsize=256)(_Facts)


class Inode:
    """A file of whatever kind, without its names: hard links are names of one Inode, so it is compared by identity.

    It never changes. User and group names are left behind: the engine goes by number, and a name says only what the
    building machine called it.
    """

    __slots__ = ("_facts", "content", "kind", "mtime")

    def __init__(
        self, kind: Kind, mode: int, uid: int = 0, gid: int = 0, mtime: int = 0, content: Content | None = None,
        target: str = "", device: tuple[int, int] = NO_DEVICE, xattrs: Mapping[str, bytes] | None = None,
    ) -> None:  # fmt: skip
        """Be a file; MTIME is in nanoseconds since the epoch, TARGET where a symlink leads, as it is written."""
        self.kind: Final = kind
        self.mtime: Final = mtime
        self.content: Final = content
        is_usual = not target and xattrs is None and device == NO_DEVICE
        self._facts: Final = _usual(mode, uid, gid) if is_usual else _Facts(mode, uid, gid, target, device, xattrs)

    @property
    def mode(self) -> int:
        """Permissions, with the bits for set-user-ID, set-group-ID and sticky."""
        return self._facts.mode

    @property
    def uid(self) -> int:
        """The owner."""
        return self._facts.uid

    @property
    def gid(self) -> int:
        """The owning group."""
        return self._facts.gid

    @property
    def target(self) -> str:
        """Where a symlink leads, as it is written; nothing for any other kind."""
        return self._facts.target

    @property
    def device(self) -> tuple[int, int]:
        """Major and minor number of a device, (0, 0) for any other kind."""
        return self._facts.device

    @property
    def xattrs(self) -> Mapping[str, bytes] | None:
        """Extended attributes, None where there are none."""
        return self._facts.xattrs

    @property
    def size(self) -> int:
        """Bytes that the engine counts for it (moby's directory.Size): content, a symlink's target, or nothing."""
        if self.content is not None:
            return self.content.size
        return len(self._facts.target.encode("utf-8", "surrogateescape"))

    def but(self, **changes: Any) -> Inode:  # noqa: ANN401 - what __init__ takes
        """Give an inode like this one in all that CHANGES do not say otherwise, by the names of __init__."""
        own = {"kind": self.kind, "mtime": self.mtime, "content": self.content, **self._facts._asdict()}
        return Inode(**{**own, **changes})
