"""Which files belong to which Debian package: dpkg's lists.

`var/lib/dpkg/info/PACKAGE.list`, or `PACKAGE:ARCHITECTURE.list` where several architectures may be installed, has a
path a line as the package has it: with a merged /usr a file listed as /lib/x lies at usr/lib/x. Directories are listed
too.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from slimmer.inode import Kind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from slimmer.rootfs import Rootfs

INFO = "var/lib/dpkg/info"
_SUFFIX = ".list"


class Files:
    """The files of every package of a root, under the names that their lists have: `gcc-12`, `libc6:amd64`."""

    def __init__(self, rootfs: Rootfs) -> None:
        self._rootfs = rootfs
        self._resolve = functools.cache(rootfs.resolve)
        self.listed: dict[str, list[str]] = {
            name.removesuffix(_SUFFIX): list(self._listed(f"{INFO}/{name}"))
            for name in rootfs.children(INFO)
            if name.endswith(_SUFFIX)
        }
        """By package, the paths where its files, links and directories lie that are there."""

    def owners(self, path: str) -> list[str]:
        """Give the packages that list PATH, when it is no directory: directories belong to everybody."""
        inode = self._rootfs.get(path)
        return [] if inode is None or inode.kind is Kind.DIRECTORY else self.by_path.get(path, [])

    @functools.cached_property
    def by_path(self) -> Mapping[str, list[str]]:
        """Every listed path with the packages that list it."""
        found: dict[str, list[str]] = {}
        for package, paths in self.listed.items():
            for path in paths:
                found.setdefault(path, []).append(package)
        return found

    def _listed(self, path: str) -> list[str]:
        inode = self._rootfs.get(path)
        if inode is None or inode.content is None:
            return []
        lines = inode.content.whole(path).decode("utf-8", "surrogateescape").split("\n")
        places = (self._place(line) for line in lines if line.startswith("/") and line != "/.")
        return [place for place in dict.fromkeys(places) if place]

    def _place(self, line: str) -> str | None:
        directory, _, name = line.rstrip("/").rpartition("/")
        parent = self._resolve(directory)
        found = f"{parent}/{name}".lstrip("/") if parent is not None else None
        return found if found is not None and found in self._rootfs else None
