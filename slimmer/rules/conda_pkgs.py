"""Removes conda's package cache: what it downloaded and unpacked to install from.

conda installs by hard-linking files of its cache into an environment, or by copying them: those keep their content
there, and the cache frees only what nobody else has. It is safe to remove because conda fetches what it misses, and
`conda clean --all` does the same. What would prove otherwise is looked for: whatever leads into it (dependents.py),
first of all the symlinks that conda makes instead of hard links when it is told to.

A cache is known by its shape: a directory `pkgs` with conda's `urls.txt` or `cache`, in an image in which conda, mamba
or micromamba has installed something (`conda-meta/history`). Unpacked packages are those with `info/index.json`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from slimmer.dependents import Dependents
from slimmer.inode import Kind
from slimmer.plan import Keep, Remove, Turn

if TYPE_CHECKING:
    from collections.abc import Iterator

    from slimmer.image import Config
    from slimmer.plan import Decision, Scene
    from slimmer.rootfs import Rootfs

_VARIABLE = "CONDA_PKGS_DIRS"
_PACKAGE = re.compile(r"[^/]+\.(conda|tar\.bz2)(\.partial)?")
_INDEXES = (".json", ".solv", ".zst")
_HOW = "conda fetches it anew when it installs; files that are also installed keep their content there"


class CondaPkgs:
    """The rule."""

    name = "conda_pkgs"
    summary = "conda's package cache; files that are also installed stay where they are installed"
    on_by_default = True
    turn = Turn.FILES

    def propose(self, scene: Scene) -> Iterator[Decision]:
        """Give a Remove for everything in a cache that conda put there, or a Keep with who needs it."""
        rootfs = scene.rootfs
        if not any(path.endswith("conda-meta/history") for path, _ in rootfs.called("history")):
            return
        found = [(cache, own) for cache in _caches(rootfs, scene.config) if (own := list(_own(rootfs, cache)))]
        if not found:
            return
        dependents = Dependents(rootfs, scene.config, scene.heads, but_for=(_VARIABLE,))
        for cache, own in found:
            reason = dependents.of(cache)
            if reason is not None:
                yield Keep(cache, reason)
            else:
                yield from (Remove(path, _HOW) for path in own)


def _caches(rootfs: Rootfs, config: Config) -> list[str]:
    named = [path for path in config.env.get(_VARIABLE, "").split(",") if path.startswith("/")]
    found = {path for path in map(rootfs.resolve, named) if path}
    found.update(path for path, _ in rootfs.called("pkgs"))
    return sorted(path for path in found if f"{path}/urls.txt" in rootfs or f"{path}/cache" in rootfs)


def _own(rootfs: Rootfs, cache: str) -> Iterator[str]:
    """Give what conda downloaded and unpacked; `urls.txt`, by which it knows its cache, stays."""
    for name in rootfs.children(cache):
        path = f"{cache}/{name}"
        inode = rootfs.get(path)
        is_download = inode is not None and inode.kind is Kind.FILE and _PACKAGE.fullmatch(name)
        if is_download or f"{path}/info/index.json" in rootfs:
            yield path
        elif name == "cache":
            yield from (f"{path}/{child}" for child in rootfs.children(path) if child.endswith(_INDEXES))


rule = CondaPkgs()
