"""Removes static archives (`.a`) where nothing is left that could link them into a program.

Only a linker reads them, so they are dead in an image that has none: neither a compiler that drives one nor a linker,
under any name that is known here, wherever in the image. It comes after build_tools, which may just have taken the
compiler. Off by default, because a container may install a compiler later.

Some are read without a linker and stay: CUDA's device runtime, which numba and CuPy link at run time. So do those that
a package manager's database names which slimmer does not rewrite for this: Debian's, apk's, rpm's, conda's. Where pip
installed one, its row goes out of RECORD.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from slimmer.dependents import Dependents
from slimmer.elf.archives.ar import is_archive
from slimmer.inode import Kind
from slimmer.metadata.dpkg_files import Files
from slimmer.metadata.owners import foreign_owner
from slimmer.plan import Keep, Remove, Turn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from slimmer.plan import Decision, Scene
    from slimmer.rootfs import Rootfs

_LINKS = re.compile(
    r"([\w.-]+-)?"  # the target of a cross compiler
    r"(gcc|g\+\+|cc|c\+\+|gfortran|gdc|gnat|clang|clang\+\+|ld|ld\.bfd|ld\.gold|ld\.lld|ld64\.lld|lld|gold|mold|tcc|icx|icpx|ifx|"
    r"nvc|nvc\+\+|nvcc|nvlink|rustc|go|gccgo|ghc|ocamlopt|zig|ldc2|dmd|fpc|swiftc|emcc|dpcpp|hipcc)"
    r"(-\d[\d.]*)?"
)
_READ_AT_RUN_TIME = re.compile(
    r"lib(cudadevrt|nvshmem_device|cudart_static|nvptxcompiler_static|nvrtc.*_static|nvJitLink_static)\.a"
)


class StaticArchives:
    """The rule."""

    name = "static_archives"
    summary = "static archives (.a), where no compiler or linker is left that could use them"
    on_by_default = False
    turn = Turn.FILES

    def propose(self, scene: Scene) -> Iterator[Decision]:
        """Give a Remove for each static archive that nothing in the image can use, else a Keep with the reason."""
        rootfs = scene.rootfs
        every = list(rootfs.where(lambda name, _: name.endswith(".a")))
        found = [path for path, inode in every if inode.content and is_archive(inode.content)]
        if not found:
            return
        linker = _linker(rootfs)
        if linker is not None:
            yield from (Keep(path, f"/{linker} can link it") for path in found)
            return
        objection = _objection(scene)
        gone: set[str] = set()
        for path in found:
            reason = objection(path)
            if reason is None:
                gone.add(path)
                yield Remove(path, "no compiler or linker is left that could use it")
            else:
                yield Keep(path, reason)
        for path, inode in every:
            if inode.kind is Kind.SYMLINK and rootfs.resolve(path) in gone:
                yield Remove(path, "a symlink to a static archive that goes")


def _linker(rootfs: Rootfs) -> str | None:
    """Give a program that links, by its name, or None. A symlink is one when it leads to something."""
    for path, _ in rootfs.where(lambda name, _: _LINKS.fullmatch(name)):
        inode = rootfs.get(rootfs.resolve(path) or "")
        if inode is not None and inode.kind is Kind.FILE and inode.mode & 0o111:
            return path
    return None


def _objection(scene: Scene) -> Callable[[str], str | None]:
    """Give a function that says why an archive must stay, or None."""
    rootfs = scene.rootfs
    files, foreign, dependents = Files(rootfs), foreign_owner(rootfs), Dependents(rootfs, scene.config, scene.heads)
    histories = [path for path, _ in rootfs.called("history") if path.endswith("conda-meta/history")]
    prefixes = tuple(path.removesuffix("conda-meta/history") for path in histories)
    linked = {target: link for link, target in dependents.symlinks() if not link.endswith(".a")}

    def objection(path: str) -> str | None:
        if _READ_AT_RUN_TIME.fullmatch(path.rpartition("/")[2]):
            return "numba and CuPy link it at run time"
        if owners := files.owners(path):
            return f"belongs to Debian package {owners[0]}; build_tools takes packages"
        if path.startswith(prefixes):
            return "belongs to a conda environment, whose records slimmer does not rewrite"
        if path in linked:
            return f"/{linked[path]} is a symlink to it"
        return foreign(path)

    return objection


rule = StaticArchives()
