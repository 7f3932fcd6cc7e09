"""Removes what is in /tmp and /var/tmp; the directories stay, with their mode.

What a build leaves there is usually forgotten: programs must expect to find either empty (FHS 3.18, 5.15). Images
differ from machines in that nobody empties them, so some keep there what they need after all. That is looked for: what
the configuration names, what leads there (dependents.py), what a script or a file in /etc names, and what belongs to a
Debian package. A program that has a path there in its own text is not seen.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from slimmer.commands import programs
from slimmer.dependents import Dependents
from slimmer.inode import Kind
from slimmer.metadata.dpkg_files import Files
from slimmer.plan import Keep, Remove, Turn

if TYPE_CHECKING:
    from collections.abc import Iterator

    from slimmer.plan import Decision, Scene
    from slimmer.rootfs import Rootfs

_DIRECTORIES = ("tmp", "var/tmp")
_SOCKETS = {".X11-unix", ".ICE-unix", ".font-unix", ".XIM-unix", ".Test-unix"}
_MAX_TEXT = 256 << 10


class TmpFiles:
    """The rule."""

    name = "tmp_files"
    summary = "what is in /tmp and /var/tmp"
    on_by_default = True
    turn = Turn.FILES

    def propose(self, scene: Scene) -> Iterator[Decision]:
        """Give a Remove for each file or directory there that nothing in the image needs, else a Keep with who does."""
        rootfs = scene.rootfs
        places = sorted({place for name in _DIRECTORIES if (place := rootfs.resolve(name))})
        found = [(place, path) for place in places for path in _temporary(rootfs, place)]
        if not found:
            return
        dependents, files = Dependents(rootfs, scene.config, scene.heads), Files(rootfs)
        named = _Named(scene, places)
        for place, path in found:
            owner = next((package for below in rootfs.below(path) for package in files.owners(below)), None)
            reason = f"belongs to Debian package {owner}" if owner is not None else None
            reason = reason or dependents.of(path, within=place) or named.of(path)
            yield Remove(path, "a temporary file of the build") if reason is None else Keep(path, reason)


def _temporary(rootfs: Rootfs, directory: str) -> Iterator[str]:
    """Give the files and directories of a directory, but for where X servers keep sockets, and for devices."""
    for name in rootfs.children(directory):
        inode = rootfs.get(f"{directory}/{name}")
        if name not in _SOCKETS and inode is not None and inode.kind in {Kind.FILE, Kind.DIRECTORY, Kind.SYMLINK}:
            yield f"{directory}/{name}"


class _Named:
    """The texts that name a path in a temporary directory: scripts, files in /etc, and what commands run."""

    def __init__(self, scene: Scene, places: list[str]) -> None:
        self._texts: list[tuple[str, bytes]] = []
        run = {path for _, _, path in programs(scene.rootfs, scene.config)}
        needle = re.compile(rb"/tmp/")
        inside = tuple(f"{place}/" for place in places)
        for path, inode in scene.rootfs.entries():
            if inode.content is None or path.startswith(inside):
                continue
            if path.startswith("etc/") or path in run or (inode.mode & 0o111 and scene.heads.of(inode)):
                text = inode.content.read_at(0, _MAX_TEXT)
                if needle.search(text):
                    self._texts.append((path, text))

    def of(self, path: str) -> str | None:
        """Give which text names PATH or what is below it, or None."""
        needle = re.compile(re.escape(f"/{path}".encode("utf-8", "surrogateescape")) + rb"(?![\w.-])")
        found = next((name for name, text in self._texts if needle.search(text)), None)
        return None if found is None else f"/{found} names it"


rule = TmpFiles()
