"""Makes one file of several with the same bytes: their names become hard links.

Programs that only read cannot tell, those that write in place can: what is written under one name shows under all.
So this is off by default and keeps to where programs and libraries lie (/usr, /opt, Python's site-packages), to files
that only their owner may write, and away from what looks like configuration or data, from volumes and from the working
directory.

What must be the same beside the bytes: mode, owner, group and extended attributes, none of them of the kernel's
security; no setuid. Times may differ, and all names get the first one's, but for Python sources: a `.pyc` knows its
source by the second. And two libraries of one process must stay two: the loader knows a library by its inode, so two
copies with variables of their own would become one. Hence libraries are linked only between Python environments,
where they lie at the same place: no process has two of those loaded. Programs are, since each process runs one.
"""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING

from slimmer.elf.object import ET_EXEC, is_elf, parse
from slimmer.errors import ElfError
from slimmer.inode import Kind
from slimmer.metadata.deferred import Digests
from slimmer.plan import Keep, Link, Turn

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Iterator

    from slimmer.content import Content
    from slimmer.inode import Inode
    from slimmer.plan import Decision, Scene
    from slimmer.rootfs import Rootfs

    _Files = list[tuple[str, Inode]]

MIN_SIZE = 4096
"""Bytes below which a file is left alone: it takes a block of a disk anyway."""

_PROGRAMS = re.compile(r"(usr|opt|lib|lib32|lib64|libx32|bin|sbin)/.*", re.DOTALL)
_PACKAGES = re.compile(r"(?:.*/)?(?:site|dist)-packages/(.*)", re.DOTALL)
_WRITTEN = re.compile(
    r"(usr|opt)/(.*/)?(etc|var|tmp|run|src|log|logs|cache)/.*|"
    r".*\.(conf|cfg|ini|toml|ya?ml|env|properties|db|sqlite3?|log|lock|pid|state|dat)",
    re.DOTALL,
)
_PT_INTERP = 3
_SECOND = 1_000_000_000


class Duplicates:
    """The rule."""

    name = "duplicates"
    summary = "files with the same bytes become hard links of one"
    on_by_default = False
    turn = Turn.LINKS

    def propose(self, scene: Scene) -> Iterator[Decision]:
        """Give a Link for each file to the first of those with the same bytes. Only files of one size are read."""
        rootfs = scene.rootfs
        own = _places_of_its_own(scene)
        fixed = (item for item in rootfs.files() if _is_fixed(rootfs, *item, own))
        alike = _groups((path, inode, _likeness(inode)) for path, inode in fixed)
        candidates = [files for files in alike if len(files) > 1]
        digests = Digests()
        total = sum(inode.size for files in candidates for _, inode in files)
        with scene.progress.stage("comparing", total) as stage:
            for files in candidates:
                hashed = []
                for path, inode in files:
                    if inode.content is not None:
                        hashed.append((path, inode, digests.of(inode.content, "sha256")))
                    stage.advance(inode.size)
                for same in _groups(hashed):
                    yield from _links(rootfs, same, scene)


def _groups(files: Iterable[tuple[str, Inode, Hashable]]) -> list[_Files]:
    groups: dict[Hashable, _Files] = defaultdict(list)
    for path, inode, key in files:
        groups[key].append((path, inode))
    return list(groups.values())


def _places_of_its_own(scene: Scene) -> tuple[str, ...]:
    """Give the directories in which the image's program may write: its working directory and its volumes."""
    execution = scene.config.execution
    named = [str(execution.get("WorkingDir") or ""), *map(str, execution.get("Volumes") or {})]
    return tuple(f"{place}/" for path in named if path.startswith("/") and (place := scene.rootfs.resolve(path)))


def _is_fixed(rootfs: Rootfs, path: str, inode: Inode, own: tuple[str, ...]) -> bool:
    """Say whether a file is large enough and one that nobody writes, by all its names."""
    if inode.kind is not Kind.FILE or inode.size < MIN_SIZE or inode.mode & 0o6022:
        return False
    if any(key.startswith("security.") for key in inode.xattrs or {}):
        return False
    return all(_is_program(name, own) for name in rootfs.names(path))


def _is_program(name: str, own: tuple[str, ...]) -> bool:
    is_installed = _PACKAGES.fullmatch(name) or (_PROGRAMS.fullmatch(name) and not name.startswith(own))
    return bool(is_installed) and not _WRITTEN.fullmatch(name)


def _likeness(inode: Inode) -> Hashable:
    return inode.size, inode.mode, inode.uid, inode.gid, tuple(sorted((inode.xattrs or {}).items()))


def _links(rootfs: Rootfs, same: _Files, scene: Scene) -> Iterator[Decision]:
    """Give the decisions on files with the same bytes: each is linked to the first that it may be linked to."""
    firsts: _Files = []
    for path, inode in same:
        names = rootfs.names(path)
        reasons = [(to, _objection(names, inode, rootfs.names(to), first)) for to, first in firsts]
        to = next((to for to, reason in reasons if reason is None), None)
        if to is not None:
            yield Link(path, to, f"the same bytes as /{to}")
            continue
        if reasons:
            yield Keep(path, reasons[0][1] or "")
        if not any(scene.veto(name) for name in names):
            firsts.append((path, inode))


def _objection(names: list[str], inode: Inode, other_names: list[str], other: Inode) -> str | None:
    """Give why two files with the same bytes must stay two, or None."""
    if (
        any(name.endswith(".py") for name in (*names, *other_names))
        and inode.mtime // _SECOND != other.mtime // _SECOND
    ):
        return "a Python source with another time: its .pyc would be out of date"
    if inode.content is not None and _is_library(inode.content, (*names, *other_names)):
        places = {found[1] if (found := _PACKAGES.fullmatch(name)) else None for name in (*names, *other_names)}
        if len(places) > 1 or None in places:
            return "the loader would take two libraries with variables of their own for one"
    return None


def _is_library(content: Content, names: Iterable[str]) -> bool:
    """Say whether a process may load a file beside others: an ELF object that is no program, by headers and names."""
    if not is_elf(content):
        return False
    try:
        elf = parse(content)
    except ElfError:
        return True
    is_program = elf.header.type == ET_EXEC or any(segment.type == _PT_INTERP for segment in elf.segments)
    return not is_program or any(".so" in name.rpartition("/")[2] for name in names)


rule = Duplicates()
