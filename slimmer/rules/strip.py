"""Takes the symbol table and debug information out of shared objects, as `strip --strip-unneeded` would.

No program reads either at run time: the loader binds by the dynamic symbols, which stay. What goes is what a
debugger, a profiler or a backtrace with static functions' names would like to have. Every result passes the proof of
elf/contract.py or is not used.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from slimmer.content import Content
from slimmer.elf import layout
from slimmer.elf.contract import violations
from slimmer.elf.object import is_elf, parse
from slimmer.elf.refusals import refusal
from slimmer.elf.removable import removable
from slimmer.errors import ElfError
from slimmer.metadata.licences import proprietary
from slimmer.metadata.owners import foreign_owner
from slimmer.plan import Keep, Replace

if TYPE_CHECKING:
    from collections.abc import Iterator

    from slimmer.layer import Inode
    from slimmer.plan import Decision, Scene
    from slimmer.rootfs import Rootfs

_SHARED_OBJECT = re.compile(r".*\.so(\.[^/]*)?", re.DOTALL)
_C_LIBRARY = re.compile(
    r"(ld(-linux.*|-musl-.*|64)?|libc|libpthread|libthread_db|libc\.musl-.*)(-\d[\d.]*)?\.so(\.\d+)*"
)
_MIN_GAIN = 4096
_HOW = "layout: symbol table and debug sections removed, every loaded byte and address proved unchanged"


class Strip:
    """The rule."""

    name = "strip"
    summary = "symbol tables and debug sections of shared objects (strip --strip-unneeded)"
    on_by_default = True
    rewrites = True

    def propose(self, scene: Scene) -> Iterator[Decision]:
        """Give a Replace for each shared object that can spare something and is proved unchanged, else a Keep."""
        rootfs = scene.rootfs
        candidates = [
            (path, inode)
            for path, inode in rootfs.files()
            if any(_SHARED_OBJECT.fullmatch(name) for name in rootfs.names(inode))
        ]
        objections = [lambda path: _watched_as(path, rootfs), foreign_owner(rootfs)]
        if not scene.settings.include_proprietary:
            objections.append(proprietary(rootfs))
        with scene.progress.stage("stripping", sum(inode.size for _, inode in candidates)) as stage:
            for path, inode in candidates:
                content = _stripped(inode, scene.config.architecture)
                if isinstance(content, Content):
                    names = rootfs.names(inode)
                    reasons = (reason for object_to in objections for name in names if (reason := object_to(name)))
                    reason = next(reasons, None)
                    yield Replace(path, content, _HOW) if reason is None else Keep(path, reason)
                elif content is not None:
                    yield Keep(path, content)
                stage.advance(inode.size)


def _stripped(inode: Inode, architecture: str) -> Content | str | None:
    """Give the proved new content, or why the object is kept, or None for what has nothing to take."""
    content = inode.content
    if content is None or not is_elf(content):
        return None  # a linker script, or something that only looks like a library by its name
    try:
        elf = parse(content)
        if not elf.sections:
            return "it has no section headers, so nothing says what could go"
        if not removable(elf):
            return None  # stripped already
        if any(key in {"security.ima", "security.evm"} for key in inode.xattrs or {}):
            return "the kernel checks its signature (security.ima)"
        if (reason := refusal(elf, architecture)) is not None:
            return reason
        slimmed = layout.without_dead_ranges(elf)
    except ElfError as error:
        return f"not a well-formed ELF object: {error}"
    if slimmed is None or content.size - slimmed.size < _MIN_GAIN:
        return f"less than {_MIN_GAIN} bytes to save"
    if broken := violations(content, slimmed):
        return f"the proof failed: {'; '.join(broken)}"
    return slimmed


def _watched_as(path: str, rootfs: Rootfs) -> str | None:
    """Give who would notice a change of the file of this name as such, or None."""
    directory, _, name = path.rpartition("/")
    stem = name.partition(".so")[0]
    siblings = {
        f"{stem}.chk",
        f".{name}.hmac",
        f"{name}.hmac",
        f"fipscheck/{name}.hmac",
        f"{name}.sig",
        f"{name}.sign",
        f"{name}.asc",
    }
    for sibling in sorted(siblings):
        if f"{directory}/{sibling}" in rootfs:
            return f"its own integrity is checked against {sibling}"
    if name == "fips.so":
        return "OpenSSL's FIPS module checks its own integrity"
    if path.startswith("usr/lib/debug/"):
        return "debug information that somebody installed on purpose"
    if _C_LIBRARY.fullmatch(name):
        return "part of the C library: debuggers need its symbols"
    return None


rule = Strip()
