"""Removes pip's cache: downloads, wheels that pip built, and when it last looked for a newer pip.

pip copies what it installs and links nothing to its cache, so nothing installed is in there. It is safe to remove
because pip makes it anew; what would prove otherwise is looked for: whatever leads into it (dependents.py). Only pip's
own directories go, known by name and by what they hold: pip files everything under hexadecimal digests.
"""

from __future__ import annotations

import configparser
import re
from typing import TYPE_CHECKING

from slimmer.dependents import Dependents
from slimmer.plan import Keep, Remove, Turn
from slimmer.users import caches, homes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from slimmer.image import Config
    from slimmer.plan import Decision, Scene
    from slimmer.rootfs import Rootfs

_OWN = ("http", "http-v2", "selfcheck", "wheels")
_DIGEST = re.compile(r"[0-9a-f]+")


class PipCache:
    """The rule."""

    name = "pip_cache"
    summary = "pip's cache of downloads and of wheels that it built"
    on_by_default = True
    turn = Turn.FILES

    def propose(self, scene: Scene) -> Iterator[Decision]:
        """Give a Remove for each part of a cache that nothing in the image needs, else a Keep with who does."""
        rootfs, config = scene.rootfs, scene.config
        found = {*caches(rootfs, config.env, "pip", "PIP_CACHE_DIR"), *_configured(rootfs, config)}
        parts = [f"{cache}/{name}" for cache in sorted(found) for name in rootfs.children(cache) if name in _OWN]
        parts = [part for part in parts if _is_filed_by_digest(rootfs, part)]
        if not parts:
            return
        dependents = Dependents(rootfs, config, scene.heads, but_for=("PIP_CACHE_DIR",))
        for part in parts:
            reason = dependents.of(part)
            yield Remove(part, "pip makes it anew when it installs") if reason is None else Keep(part, reason)


def _is_filed_by_digest(rootfs: Rootfs, part: str) -> bool:
    names = rootfs.children(part)
    return bool(names) and all(_DIGEST.fullmatch(name) for name in names)


def _configured(rootfs: Rootfs, config: Config) -> Iterator[str]:
    """Give what a `cache-dir` of pip's own configuration names: the system's and a person's."""
    for home in homes(rootfs, config.env):
        for name in ("etc/pip.conf", f"{home}/.config/pip/pip.conf", f"{home}/.pip/pip.conf"):
            path = rootfs.resolve(name)
            inode = rootfs.get(path) if path is not None else None
            if inode is None or inode.content is None:
                continue
            parser = configparser.RawConfigParser()
            try:
                parser.read_string(inode.content.whole(name).decode())
            except (configparser.Error, UnicodeDecodeError):
                continue  # pip does not read it either
            written = parser.get("global", "cache-dir", fallback="")
            place = rootfs.resolve(written) if written.startswith("/") else None
            if place:
                yield place


rule = PipCache()
