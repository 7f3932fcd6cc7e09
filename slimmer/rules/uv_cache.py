"""Removes uv's cache.

uv installs by linking files of its cache into site-packages, so the cache is usually the first name of files that
live on under another: those keep their content there, and the cache frees only what nobody else has. It is safe to
remove because uv makes it anew; what would prove otherwise is looked for: whatever leads into it (dependents.py), and
a command of the image that runs through uv, which keeps environments there.

A cache is found where uv would look for it, by UV_CACHE_DIR, `cache-dir` of uv.toml and pyproject.toml, XDG_CACHE_HOME
and every home; there a bucket is enough to know it by. Anywhere else uv's tag is asked for too: many tools write the
same tag, and a directory may be named like a bucket.
"""

from __future__ import annotations

import re
import tomllib
from typing import TYPE_CHECKING

from slimmer.commands import commands, program
from slimmer.dependents import Dependents
from slimmer.plan import Keep, Remove, Turn
from slimmer.users import caches, homes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from slimmer.image import Config
    from slimmer.plan import Decision, Scene
    from slimmer.rootfs import Rootfs

_TAG = "CACHEDIR.TAG"
_SIGNATURE = b"Signature: 8a477f597d28d172789f06886806bc55"
_BUCKET = re.compile(
    r"(archive|wheels|built-wheels|sdists|simple|interpreter|builds|git|flat-index|environments|python|binaries)-v\d+"
)
_OWN = {_TAG, ".gitignore", ".lock"}
_DATA = ("UV_PYTHON_INSTALL_DIR", "UV_TOOL_DIR", "UV_CREDENTIALS_DIR")
_RUNS_UV = re.compile(rb"\buvx\b|(?<![\w-])uv\s+(?:--\S++\s++)*+(run|tool\s+run)\b")
"""`uv` amid an option begins nothing: else a text of nothing but `--uv` would be gone through once for each of them."""
_MAX_TEXT = 64 << 10


class UvCache:
    """The rule."""

    name = "uv_cache"
    summary = "uv's cache; files that are also installed stay where they are installed"
    on_by_default = True
    turn = Turn.FILES

    def propose(self, scene: Scene) -> Iterator[Decision]:
        """Give a Remove for each cache that nothing in the image needs, else a Keep with who does."""
        rootfs = scene.rootfs
        found = _caches(rootfs, scene.config)
        if not found:
            return
        runs_uv = _runs_uv(rootfs, scene.config)
        dependents = Dependents(rootfs, scene.config, scene.heads, but_for=("UV_CACHE_DIR",))
        for cache in found:
            reason = runs_uv or _holds_environments(rootfs, cache) or dependents.of(cache)
            if reason is not None:
                yield Keep(cache, reason)
                continue
            own = [name for name in rootfs.children(cache) if name in _OWN or _BUCKET.fullmatch(name)]
            how = "uv makes it anew when it installs; files that are also installed keep their content there"
            if len(own) == len(rootfs.children(cache)):
                yield Remove(cache, how)
            else:
                yield from (Remove(f"{cache}/{name}", how) for name in own)


def _caches(rootfs: Rootfs, config: Config) -> list[str]:
    """Give the directories that are uv's caches, by where they are or by their shape."""
    named = [*caches(rootfs, config.env, "uv", "UV_CACHE_DIR"), *_configured(rootfs, config)]
    tagged = (path.rpartition("/")[0] for path, _ in rootfs.called(_TAG) if "/" in path)
    found = {*named, *(directory for directory in tagged if _is_tagged(rootfs, directory))}
    data = {rootfs.resolve(config.env[name]) for name in _DATA if config.env.get(name, "").startswith("/")}

    def is_data(path: str) -> bool:
        return ".local/share/uv" in path or any(place and f"{path}/".startswith(f"{place}/") for place in data)

    return sorted(
        path for path in found if path and not is_data(path) and any(map(_BUCKET.fullmatch, rootfs.children(path)))
    )


def _is_tagged(rootfs: Rootfs, directory: str) -> bool:
    inode = rootfs.get(f"{directory}/{_TAG}")
    return inode is not None and inode.content is not None and inode.content.read_at(0, len(_SIGNATURE)) == _SIGNATURE


def _configured(rootfs: Rootfs, config: Config) -> Iterator[str]:
    """Give what a `cache-dir` of uv's own configuration names: the system's, a person's, the project's."""
    directories = [f"{home}/.config/uv" for home in homes(rootfs, config.env)]
    if xdg := config.env.get("XDG_CONFIG_HOME"):
        directories.append(f"{xdg}/uv")
    project = str(config.execution.get("WorkingDir") or "/")
    for directory in ("etc/uv", *directories, project):
        for name in ("uv.toml", "pyproject.toml"):
            written = _cache_dir(rootfs, f"{directory}/{name}")
            place = (
                rootfs.resolve(written if written.startswith("/") else f"{directory}/{written}") if written else None
            )
            if place:
                yield place


def _cache_dir(rootfs: Rootfs, path: str) -> str:
    place = rootfs.resolve(path)
    inode = rootfs.get(place) if place is not None else None
    if inode is None or inode.content is None:
        return ""
    try:
        table = tomllib.loads(inode.content.whole(path).decode())
        for key in ("tool", "uv") if path.endswith("pyproject.toml") else ():
            table = table.get(key, {})
        return str(table.get("cache-dir", ""))
    except (ValueError, AttributeError, RecursionError):
        return ""  # uv does not read it either


def _runs_uv(rootfs: Rootfs, config: Config) -> str | None:
    """Give the command of the image that runs through uv, which keeps environments in its cache, or None."""
    for key, command in commands(config):
        if _RUNS_UV.search(" ".join(command).encode("utf-8", "replace")):
            return f"the image's {key} runs through uv"
        for word in command:
            path = program(rootfs, config, word)
            inode = rootfs.get(path) if path is not None else None
            if inode is None or inode.content is None or inode.content.size > _MAX_TEXT:
                continue
            if _RUNS_UV.search(inode.content.read_at(0, _MAX_TEXT)):
                return f"the image's {key} runs /{path}, which runs uv"
    return None


def _holds_environments(rootfs: Rootfs, cache: str) -> str | None:
    """Give the bucket in which scripts and tools that uv ran have their environments, or None."""
    buckets = (name for name in rootfs.children(cache) if name.startswith("environments-v"))
    kept = next((name for name in buckets if rootfs.children(f"{cache}/{name}")), None)
    return None if kept is None else f"{kept} holds environments that `uv run` made and may run again"


rule = UvCache()
