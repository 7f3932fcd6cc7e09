"""Takes symbol tables and debug information out of libraries, shared and static, as `strip --strip-unneeded` would.

No program reads either at run time: the loader binds by the dynamic symbols, and the linker by the symbols that
relocations and other objects name; both stay. What goes is what a debugger, a profiler or a backtrace with static
functions' names would like to have. With it goes filler that patchelf left in loaded segments and that nothing names.
Every result passes the proof of elf/contract.py or elf/archive.py, or is not used.
"""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

from slimmer.elf.ar import MAGIC, is_archive
from slimmer.elf.archive import StrippedAlreadyError, slim_archive
from slimmer.elf.binutils import find_strip
from slimmer.elf.machine import machine_of
from slimmer.elf.shared import slim_shared_object
from slimmer.errors import ElfError
from slimmer.metadata.licences import proprietary
from slimmer.metadata.owners import foreign_owner
from slimmer.plan import Keep, Replace, Turn
from slimmer.settings import StripWith

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from slimmer.content import Content
    from slimmer.elf.binutils import Strip as Program
    from slimmer.layer import Inode
    from slimmer.plan import Decision, Scene
    from slimmer.rootfs import Rootfs

SHARED_OBJECT = re.compile(r".*\.so(\.[^/]*)?", re.DOTALL)
_ARCHIVE = re.compile(r".*\.a", re.DOTALL)
_WORKERS = 1
_C_LIBRARY = re.compile(
    r"(ld(-linux.*|-musl-.*|64)?|libc|libpthread|libthread_db|libc\.musl-.*)(-\d[\d.]*)?\.so(\.\d+)*"
)


class Strip:
    """The rule."""

    name = "strip"
    summary = "symbol tables and debug sections of libraries (strip --strip-unneeded)"
    on_by_default = True
    turn = Turn.CONTENTS

    def propose(self, scene: Scene) -> Iterator[Decision]:
        """Give a Replace for each library that can spare something and is proved unchanged, else a Keep."""
        rootfs = scene.rootfs
        kinds = ((path, inode, _kind(rootfs, inode)) for path, inode in rootfs.files())
        candidates = [(path, inode, kind) for path, inode, kind in kinds if kind is not None]
        objections = [lambda path: watched(path, rootfs), foreign_owner(rootfs)]
        if not scene.settings.include_proprietary:
            objections.append(proprietary(rootfs))
        program = find_strip()

        def decide(path: str, inode: Inode, kind: re.Pattern[str]) -> Decision | None:
            return _decide(path, inode, kind, scene, program, partial(objection, inode, rootfs, objections))

        total = sum(inode.size for _, inode, _ in candidates)
        with scene.progress.stage("stripping", total) as stage, ThreadPoolExecutor(_WORKERS) as pool:
            try:
                # Archives are written by a program, which has a core of its own while shared objects are laid out here.
                ahead = {each[0]: pool.submit(decide, *each) for each in candidates if each[2] is _ARCHIVE}
                for each in candidates:
                    waiting = ahead.pop(each[0], None)
                    decision = decide(*each) if waiting is None else waiting.result()
                    if decision is not None:
                        yield decision
                    stage.advance(each[1].size)
            finally:
                pool.shutdown(cancel_futures=True)


def _kind(rootfs: Rootfs, inode: Inode) -> re.Pattern[str] | None:
    """Give which kind of library a file is by any of its names, or None."""
    kinds = (SHARED_OBJECT, _ARCHIVE)
    return next((kind for name in rootfs.names(inode) for kind in kinds if kind.fullmatch(name)), None)


def _decide(
    path: str, inode: Inode, kind: re.Pattern[str], scene: Scene, program: Program | None,
    objection: Callable[[], str | None],
) -> Decision | None:  # fmt: skip
    content = inode.content
    if content is None or not content.size:
        return None
    try:
        if kind is _ARCHIVE:
            made = _slim_archive(content, scene.config.architecture, program, objection)
        else:
            chosen = program if scene.settings.strip_with is StripWith.BINUTILS else None
            made = slim_shared_object(content, scene.config.architecture, chosen, objection)
    except ElfError as error:
        return Keep(path, str(error))
    return None if made is None else Replace(path, *made)


def _slim_archive(
    content: Content, architecture: str, program: Program | None, objection: Callable[[], str | None]
) -> tuple[Content, str] | None:
    if content.size <= len(MAGIC) or not is_archive(content):
        return None  # without members, or something that only looks like an archive by its name
    if program is None:
        raise ElfError("a static archive, and there is no strip program on this machine; binutils has one")
    try:
        slimmed = slim_archive(content, machine_of(architecture), program, objection)
    except StrippedAlreadyError:
        return None
    return slimmed, f"{program.version}: debug sections and unneeded symbols removed, every member proved unchanged"


def objection(inode: Inode, rootfs: Rootfs, objections: Sequence[Callable[[str], str | None]]) -> str | None:
    """Give the first reason for which a file, or any name of it, must not change; None when there is none."""
    if any(key in {"security.ima", "security.evm"} for key in inode.xattrs or {}):
        return "the kernel checks its signature (security.ima)"
    names = rootfs.names(inode)
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
