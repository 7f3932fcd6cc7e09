"""Whose home a directory is: where programs look for the caches and the configuration of a person."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from slimmer.rootfs import Rootfs

_ACCOUNTS = "etc/passwd"
_HOME_FIELD = 5  # passwd(5): name, password, uid, gid, comment, home, shell


def homes(rootfs: Rootfs, env: Mapping[str, str]) -> list[str]:
    """Give every home directory that is there: root's, what HOME says and those of /etc/passwd; `/` is the empty path.

    The engine sets HOME to `/` for a user that /etc/passwd does not have.
    """
    found = [rootfs.resolve(home) for home in ("root", "/", env.get("HOME", "/"), *_named(rootfs))]
    return sorted({home for home in found if home is not None})


def caches(rootfs: Rootfs, env: Mapping[str, str], name: str, variable: str) -> list[str]:
    """Give the directories in which a program NAME keeps its cache that are there.

    They are what the environment variable VARIABLE says, else `NAME` below XDG_CACHE_HOME, else `.cache/NAME` below a
    home. All are given: who built the image may have had another environment than who runs it.
    """
    named = [env.get(variable, ""), *([f"{xdg}/{name}"] if (xdg := env.get("XDG_CACHE_HOME", "")) else [])]
    found = [rootfs.resolve(path) for path in named if path.startswith("/")]
    found += [rootfs.resolve(f"{home}/.cache/{name}") for home in homes(rootfs, env)]
    return sorted({path for path in found if path})


def _named(rootfs: Rootfs) -> list[str]:
    place = rootfs.resolve(_ACCOUNTS)
    inode = rootfs.get(place) if place is not None else None
    if inode is None or inode.content is None:
        return []
    lines = inode.content.whole(_ACCOUNTS).decode("utf-8", "surrogateescape").split("\n")
    fields = (line.split(":") for line in lines)
    return [entry[_HOME_FIELD] for entry in fields if len(entry) > _HOME_FIELD and entry[_HOME_FIELD].startswith("/")]
