"""Takes symbol tables and debug information out of libraries, shared and static, as `strip --strip-unneeded` would.

No program reads either at run time: the loader binds by the dynamic symbols, and the linker by the symbols that
relocations and other objects name; both stay. What goes is what a debugger, a profiler or a backtrace with static
functions' names would like to have. With it goes filler that patchelf left in loaded segments and that nothing names.
Every result passes the proof of elf/contract.py or elf/archives/archive.py, or is not used.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from slimmer.elf.binutils import find_strip
from slimmer.elf.work.library import Kind, Task
from slimmer.metadata.licences import proprietary
from slimmer.metadata.owners import foreign_owner
from slimmer.plan import Keep, Replace, Turn
from slimmer.settings import StripWith

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from slimmer.content import Content
    from slimmer.elf.binutils import Strip as Program
    from slimmer.inode import Inode
    from slimmer.plan import Decision, Scene
    from slimmer.rootfs import Rootfs

SHARED_OBJECT = re.compile(r".*\.so(\.[^/]*)?", re.DOTALL)
_ARCHIVE = re.compile(r".*\.a", re.DOTALL)
_C_LIBRARY = re.compile(
    r"(ld(-linux.*|-musl-.*|64)?|libc|libpthread|libthread_db|libc\.musl-.*)(-\d[\d.]*)?\.so(\.\d+)*"
)


class Strip:
    """The rule."""

    name = "strip"
    summary = "symbol tables and debug sections of libraries (strip --strip-unneeded)"
    on_by_default = True
    turn = Turn.CONTENTS

    def foresee(self, files: Iterable[tuple[str, Content]], scene: Scene) -> None:
        """Begin with what `propose` will ask for, where nobody will object and no rule before it changes anything."""
        kinds = ((content, _kind([path])) for path, content in files if ".so" in path or path.endswith(".a"))
        if found := [(content, kind) for content, kind in kinds if kind is not None]:
            architecture, programs = scene.config.architecture, _programs(scene)
            scene.workshop.begin(Task(content, kind, architecture, programs[kind], None) for content, kind in found)

    def propose(self, scene: Scene) -> Iterator[Decision]:
        """Give a Replace for each library that can spare something and is proved unchanged, else a Keep."""
        found = list(_tasks(scene))
        with scene.progress.stage("stripping", sum(inode.size for _, inode, _ in found)) as stage:
            outcomes = scene.workshop.outcomes(
                [task for _, _, task in found], lambda task: stage.advance(task.content.size)
            )
        for (path, _, _), outcome in zip(found, outcomes, strict=True):
            if outcome is not None:
                made = outcome.content
                yield Keep(path, outcome.words) if made is None else Replace(path, made, outcome.words)


def _tasks(scene: Scene) -> Iterator[tuple[str, Inode, Task]]:
    """Give every library with its path and what is to be done with it."""
    rootfs, architecture = scene.rootfs, scene.config.architecture
    objections = [lambda path: watched(path, rootfs), foreign_owner(rootfs)]
    if not scene.settings.include_proprietary:
        objections.append(proprietary(rootfs))
    programs = _programs(scene)
    for names, inode in rootfs.named_files():
        path, kind, content = names[0], _kind(names), inode.content
        if kind is not None and content is not None:
            reason = objection(path, rootfs, objections)
            yield path, inode, Task(content, kind, architecture, programs[kind], reason)


def _programs(scene: Scene) -> dict[Kind, Program | None]:
    """Give what writes each kind of library."""
    program = find_strip()
    for_objects = program if scene.settings.strip_with is StripWith.BINUTILS else None
    return {Kind.ARCHIVE: program, Kind.SHARED_OBJECT: for_objects}


def _kind(names: Iterable[str]) -> Kind | None:
    """Give which kind of library a file is by any of its names, or None."""
    kinds = ((SHARED_OBJECT, Kind.SHARED_OBJECT), (_ARCHIVE, Kind.ARCHIVE))
    return next((kind for name in names for form, kind in kinds if form.fullmatch(name)), None)


def objection(path: str, rootfs: Rootfs, objections: Sequence[Callable[[str], str | None]]) -> str | None:
    """Give the first reason for which a file, or any name of it, must not change; None when there is none."""
    inode = rootfs.get(path)
    if inode is not None and any(key in {"security.ima", "security.evm"} for key in inode.xattrs or {}):
        return "the kernel checks its signature (security.ima)"
    names = rootfs.names(path)
    return next((reason for object_to in objections for name in names if (reason := object_to(name)) is not None), None)


def watched(path: str, rootfs: Rootfs) -> str | None:
    """Give who would notice a change of the file of this name as such, or None."""
    directory, _, name = path.rpartition("/")
    stem = name.partition(".so")[0]
    siblings = {f"{stem}.chk", f".{name}.hmac", f"{name}.hmac", f"fipscheck/{name}.hmac"}
    siblings |= {f"{name}{suffix}" for suffix in (".sig", ".sign", ".asc")}
    for sibling in sorted(siblings):
        if f"{directory}/{sibling}".lstrip("/") in rootfs:
            return f"its own integrity is checked against {sibling}"
    if name == "fips.so":
        return "OpenSSL's FIPS module checks its own integrity"
    if path.startswith("usr/lib/debug/"):
        return "debug information that somebody installed on purpose"
    if _C_LIBRARY.fullmatch(name):
        return "part of the C library: debuggers need its symbols"
    return None


rule = Strip()
