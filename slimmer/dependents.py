"""What in an image leads to the files below a directory, and would miss them.

Looked at are the configuration, symlinks, what Python reads to find modules and interpreters (`.pth`, `.egg-link`,
`pyvenv.cfg`, the `direct_url.json` of an editable installation) and the first lines of scripts. A program that has a
path in its own text is not seen.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from slimmer.commands import commands

if TYPE_CHECKING:
    from collections.abc import Iterator

    from slimmer.content import Content
    from slimmer.image import Config
    from slimmer.inode import Inode
    from slimmer.rootfs import Rootfs

_MAX_TEXT = 64 << 10
_MAX_HEAD = 1024
_NAMING = ("pyvenv.cfg", ".pth", ".egg-link", "direct_url.json")
_EDITABLE = re.compile(rb'"editable"\s*:\s*true')


class Heads:
    """How scripts begin. Rule after rule looks at them: of thousands of executable files each is opened once."""

    def __init__(self) -> None:
        self._known: dict[Content, bytes] = {}

    def of(self, inode: Inode) -> bytes:
        """Give the first bytes of an executable file that names its interpreter there, nothing for any other."""
        content = inode.content
        if content is None or not inode.mode & 0o111:
            return b""
        head = self._known.get(content)
        if head is None:
            head = content.read_at(0, _MAX_HEAD)
            head = self._known[content] = head if head.startswith(b"#!") else b""
        return head


class Dependents:
    """Everything that leads anywhere in a root, found once and asked for each directory."""

    def __init__(
        self, rootfs: Rootfs, config: Config, heads: Heads | None = None, *, but_for: tuple[str, ...] = ()
    ) -> None:
        """Look at ROOTFS and CONFIG, less the environment variables BUT_FOR; HEADS of scripts may be known already."""
        self._rootfs = rootfs
        self._named = list(_named(config, but_for))
        self._symlinks = list(_symlinks(rootfs))
        self._texts = list(_texts(rootfs, heads or Heads()))

    def of(self, directory: str, within: str | None = None) -> str | None:
        """Give what outside leads to DIRECTORY or into it, or None. DIRECTORY is a path of the root, not empty.

        Outside is outside of DIRECTORY itself, or of the one WITHIN which it lies.
        """
        inside = directory if within is None else within
        return self._configured(directory) or self._linked(directory, inside) or self._written(directory, inside)

    def symlinks(self) -> Iterator[tuple[str, str]]:
        """Give each symlink that leads somewhere, with where to."""
        return ((path, resolved) for path, _, resolved in self._symlinks if resolved is not None)

    def interpreters(self) -> Iterator[tuple[str, str]]:
        """Give each script with every word of its first line, the interpreter and its arguments."""
        for path, sentence, text in self._texts:
            if sentence == _RUN_BY:
                yield from ((path, word) for word in text.partition(b"\n")[0][2:].decode("utf-8", "replace").split())

    def _configured(self, directory: str) -> str | None:
        needle = _needle(directory)
        for key, value in self._named:
            parts = (part for part in re.split(r"[:\s]", value) if part.startswith("/"))
            if needle.search(value) or any(_is_below(self._rootfs.resolve(part), directory) for part in parts):
                return f"the image's {key} leads into it"
        return None

    def _linked(self, directory: str, inside: str) -> str | None:
        for path, written, resolved in self._symlinks:
            if not _is_below(path, inside) and any(_is_below(place, directory) for place in (written, resolved)):
                return f"/{path} is a symlink into it"
        return None

    def _written(self, directory: str, inside: str) -> str | None:
        needle = _needle(directory)
        for path, sentence, text in self._texts:
            if not _is_below(path, inside) and needle.search(text.decode("utf-8", "surrogateescape")):
                return f"/{path} {sentence} it"
        return None


_NAMES = "names a path in"
_RUN_BY = "is run by an interpreter in"


def _needle(directory: str) -> re.Pattern[str]:
    """Give a pattern that finds the path of DIRECTORY, and not that of a longer name, in a text."""
    return re.compile(re.escape(f"/{directory}") + r"(?![^/\s\"':;,()&|])")


def _is_below(path: str | None, directory: str) -> bool:
    return path is not None and f"{path}/".startswith(f"{directory}/")


def _named(config: Config, but_for: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    yield from ((f"Env {name}", value) for name, value in config.env.items() if name not in but_for)
    yield "WorkingDir", str(config.execution.get("WorkingDir") or "")
    yield from (("Volumes", str(path)) for path in config.execution.get("Volumes") or {})
    yield from ((key, word) for key, command in commands(config) for word in command)


def _symlinks(rootfs: Rootfs) -> Iterator[tuple[str, str, str | None]]:
    """Give each symlink with where it leads as written, and in the end."""
    for path, inode in rootfs.symlinks():
        base = "" if inode.target.startswith("/") else path.rpartition("/")[0]
        yield path, _normal(f"{base}/{inode.target}"), rootfs.resolve(path)


def _normal(path: str) -> str:
    done: list[str] = []
    for part in path.split("/"):
        if part == "..":
            done = done[:-1]
        elif part not in {"", "."}:
            done.append(part)
    return "/".join(done)


def _texts(rootfs: Rootfs, heads: Heads) -> Iterator[tuple[str, str, bytes]]:
    for path, inode in rootfs.where(_may_be_text):
        if (content := inode.content) is None:
            continue
        name = path.rpartition("/")[2] if path.endswith(_NAMING) else ""
        if name == "pyvenv.cfg" or name.endswith((".pth", ".egg-link")):
            yield path, _NAMES, content.read_at(0, _MAX_TEXT)
        elif name == "direct_url.json" and _EDITABLE.search(text := content.read_at(0, _MAX_TEXT)):
            yield path, _NAMES, text.replace(b"file://", b"")
        elif inode.mode & 0o111 and (head := heads.of(inode)):
            first, _, rest = head.partition(b"\n")
            second = rest.partition(b"\n")[0]
            # Where the first line would be too long for the kernel, the second finds the interpreter.
            yield path, _RUN_BY, b"\n".join([first, *([second] if second.startswith(b"''") else [])])


def _may_be_text(name: str, inode: Inode) -> bool:
    return inode.content is not None and inode.content.size > 0 and (name.endswith(_NAMING) or inode.mode & 0o111 != 0)
