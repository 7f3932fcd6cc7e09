"""Removes uv's cache.

uv installs by linking files of its cache into site-packages, so the cache is usually the first name of files that
live on under another: those keep their content there, and the cache frees only what nobody else has. It is safe to
remove because uv makes it anew; what would prove otherwise is looked for: a symlink, a `.pth`, a `pyvenv.cfg` or a
script's first line that leads into it, and a command of the image that runs through uv.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from slimmer.layer import Kind
from slimmer.plan import Keep, Remove, Turn

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
_RUNS_UV = re.compile(rb"\buvx\b|\buv\s+(--\S+\s+)*(run|tool\s+run)\b")
_MAX_SCRIPT = 64 << 10
_MAX_HEAD = 1024


class UvCache:
    """The rule."""

    name = "uv_cache"
    summary = "uv's cache; files that are also installed stay where they are installed"
    on_by_default = True
    turn = Turn.FILES

    def propose(self, scene: Scene) -> Iterator[Decision]:
        """Give a Remove for each cache that nothing in the image needs, else a Keep with who does."""
        rootfs = scene.rootfs
        caches = list(_caches(rootfs))
        if not caches:
            return
        runs_uv = _runs_uv(rootfs, scene.config)
        for cache in caches:
            reason = runs_uv or _holds_environments(rootfs, cache) or _named_by(rootfs, scene.config, cache)
            reason = reason or _needed_by(rootfs, cache)
            if reason is not None:
                yield Keep(cache, reason)
                continue
            own = [name for name in rootfs.children(cache) if name in _OWN or _BUCKET.fullmatch(name)]
            how = "uv makes it anew when it installs; files that are also installed keep their content there"
            if len(own) == len(rootfs.children(cache)):
                yield Remove(cache, how)
            else:
                yield from (Remove(f"{cache}/{name}", how) for name in own)


def _caches(rootfs: Rootfs) -> Iterator[str]:
    """Give the directories that are uv's by their shape: many tools write the tag, so a bucket is asked for too."""
    for path, inode in rootfs.entries():
        directory, _, name = path.rpartition("/")
        if name != _TAG or inode.content is None or not directory or ".local/share/uv" in directory:
            continue
        is_tagged = inode.content.read_at(0, len(_SIGNATURE)) == _SIGNATURE
        if is_tagged and any(_BUCKET.fullmatch(child) for child in rootfs.children(directory)):
            yield directory


def _runs_uv(rootfs: Rootfs, config: Config) -> str | None:
    """Give the command of the image that runs through uv, which keeps environments in its cache, or None."""
    for key, command in _commands(config):
        if _RUNS_UV.search(" ".join(command).encode()):
            return f"the image's {key} runs through uv: {json.dumps(command)}"
        for word in command:
            path = _program(rootfs, config, word)
            inode = rootfs.get(path) if path is not None else None
            if inode is None or inode.content is None or inode.content.size > _MAX_SCRIPT:
                continue
            if _RUNS_UV.search(inode.content.read_at(0, _MAX_SCRIPT)):
                return f"the image's {key} runs /{path}, which runs uv"
    return None


def _commands(config: Config) -> Iterator[tuple[str, list[str]]]:
    for key in ("Entrypoint", "Cmd", "Healthcheck"):
        value = config.execution.get(key)
        words = value.get("Test") if isinstance(value, dict) else value
        if words:
            yield key, [words] if isinstance(words, str) else [str(word) for word in words]


def _program(rootfs: Rootfs, config: Config, word: str) -> str | None:
    """Give the file that a word of a command may mean: itself, below the working directory, or in PATH."""
    directories = [""] if word.startswith("/") else [str(config.execution.get("WorkingDir") or "/")]
    if "/" not in word:
        directories += config.env.get("PATH", "").split(":")
    found = (rootfs.resolve(f"{directory}/{word}") for directory in directories)
    return next((path for path in found if path), None)


def _named_by(rootfs: Rootfs, config: Config, cache: str) -> str | None:
    """Give which part of the configuration leads into CACHE, or None."""
    words = [(f"Env {name}", value) for name, value in config.env.items() if name != "UV_CACHE_DIR"]
    words += [("WorkingDir", str(config.execution.get("WorkingDir") or ""))]
    words += [(key, word) for key, command in _commands(config) for word in command]
    for key, value in words:
        for part in re.split(r"[:\s]", value):
            place = rootfs.resolve(part) if part.startswith("/") else None
            if f"{place}/".startswith(f"{cache}/") or f"{part}/".startswith(f"/{cache}/") or f"/{cache}/" in part:
                return f"the image's {key} leads into it"
    return None


def _holds_environments(rootfs: Rootfs, cache: str) -> str | None:
    """Give the bucket in which scripts and tools that uv ran have their environments, or None."""
    buckets = (name for name in rootfs.children(cache) if name.startswith("environments-v"))
    kept = next((name for name in buckets if rootfs.children(f"{cache}/{name}")), None)
    return None if kept is None else f"{kept} holds environments that `uv run` made and may run again"


def _needed_by(rootfs: Rootfs, cache: str) -> str | None:
    """Give what outside CACHE leads into it, or None."""
    needle = f"/{cache}/".encode()
    for path, inode in rootfs.entries():
        if path == cache or path.startswith(f"{cache}/"):
            continue
        if inode.kind is Kind.SYMLINK:
            if _leads_into(rootfs, path, inode.target, cache):
                return f"/{path} is a symlink into it"
        elif inode.content is not None and inode.content.size:
            name = path.rpartition("/")[2]
            if name == "pyvenv.cfg" or name.endswith((".pth", ".egg-link")):
                if needle in inode.content.read_at(0, _MAX_SCRIPT):
                    return f"/{path} names a path in it"
            elif inode.mode & 0o111:
                head = inode.content.read_at(0, _MAX_HEAD)
                # The second line may be what finds the interpreter where the first is too long for the kernel.
                if head.startswith(b"#!") and needle in b"\n".join(head.split(b"\n")[:2]):
                    return f"/{path} is run by an interpreter in it"
    return None


def _leads_into(rootfs: Rootfs, path: str, target: str, cache: str) -> bool:
    base = "" if target.startswith("/") else path.rpartition("/")[0]
    written = f"{base}/{target}".strip("/")
    resolved = rootfs.resolve(path)
    return any(place is not None and f"{place}/".startswith(f"{cache}/") for place in (written, resolved))


rule = UvCache()
