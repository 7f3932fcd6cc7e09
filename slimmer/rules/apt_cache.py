"""Removes what apt has downloaded: package lists, packages, and its index of the lists.

`apt-get update` fetches the lists anew and `apt-get install` the packages; no program that is not about to install
needs them. The directories, `partial` and the locks stay with their owners and modes: apt downloads as a user of its
own, who could not make them. What would prove otherwise: whatever leads to the packages, a source of apt's included.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from slimmer.dependents import Dependents
from slimmer.inode import Kind
from slimmer.plan import Keep, Remove, Turn

if TYPE_CHECKING:
    from collections.abc import Iterator

    from slimmer.plan import Decision, Scene
    from slimmer.rootfs import Rootfs

_LISTS = "var/lib/apt/lists"
_ARCHIVES = "var/cache/apt/archives"
_INDEX = re.compile(r"(src)?pkgcache\.bin(\.\w{6})?")  # the ending is mkstemp's, of an apt that was interrupted
_LOCK = "lock"


class AptCache:
    """The rule."""

    name = "apt_cache"
    summary = "apt's package lists, downloaded packages and index"
    on_by_default = True
    turn = Turn.FILES

    def propose(self, scene: Scene) -> Iterator[Decision]:
        """Give a Remove for each downloaded file, or a Keep for the packages with who needs them."""
        rootfs = scene.rootfs
        lists, packages, indexes = list(_files(rootfs, _LISTS)), list(_packages(rootfs)), list(_indexes(rootfs))
        reason = None
        if packages:
            reason = _offered(rootfs) or Dependents(rootfs, scene.config, scene.heads).of(_ARCHIVES)
        if reason is not None:
            yield Keep(_ARCHIVES, reason)
        yield from (Remove(path, "`apt-get update` fetches it anew") for path in lists)
        yield from (Remove(path, "apt makes it anew from the package lists") for path in indexes)
        for path in packages if reason is None else ():
            yield Remove(path, "a package that is installed, or that apt would fetch anew")


def _files(rootfs: Rootfs, directory: str) -> Iterator[str]:
    """Give the files of a directory and of the directories in it, but for locks."""
    for path in rootfs.below(directory):
        inode = rootfs.get(path)
        if inode is not None and inode.kind is Kind.FILE and path.rpartition("/")[2] != _LOCK:
            yield path


def _packages(rootfs: Rootfs) -> Iterator[str]:
    return (
        path for path in _files(rootfs, _ARCHIVES) if path.endswith(".deb") or path.startswith(f"{_ARCHIVES}/partial/")
    )


def _indexes(rootfs: Rootfs) -> Iterator[str]:
    return (f"var/cache/apt/{name}" for name in rootfs.children("var/cache/apt") if _INDEX.fullmatch(name))


def _offered(rootfs: Rootfs) -> str | None:
    """Give the source of apt that offers the downloaded packages, or None."""
    for path in ("etc/apt/sources.list", *rootfs.below("etc/apt/sources.list.d")):
        inode = rootfs.get(path)
        content = inode.content if inode is not None else None
        if content is not None and f"/{_ARCHIVES}".encode() in content.whole(path):
            return f"/{path} names it as a source of packages"
    return None


rule = AptCache()
