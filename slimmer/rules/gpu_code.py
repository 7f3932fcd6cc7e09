"""Takes the GPU code out of libraries that no GPU of those named would run.

A library for GPUs holds its kernels once for each architecture; a driver loads those for the GPU that is there and
never looks at the rest. What stays is what it would choose for each GPU that was named, and by default the newest PTX,
of which it compiles code for GPUs that are newer. On another GPU the image ends in "no kernel image is available": so
the rule is off unless GPUs are named, and the result says in a label which they were. Every result passes the proof of
elf/gpu_contract.py, or is not used. --gpu-recompress packs the code that stays in fewer bytes, for newer drivers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from slimmer.elf.gpu.choice import Wanted, taken
from slimmer.elf.gpu.fatbin import HIP, read_containers, sections
from slimmer.elf.gpu.recompression import require_lz4
from slimmer.elf.object import is_elf, parse
from slimmer.elf.pruned import prune
from slimmer.errors import ElfError, UsageError
from slimmer.metadata.gpu_targets import targets
from slimmer.metadata.licences import proprietary
from slimmer.metadata.owners import foreign_owner
from slimmer.plan import Keep, Replace, Turn
from slimmer.rules.strip import SHARED_OBJECT, objection, watched
from slimmer.settings import GpuPtx

if TYPE_CHECKING:
    from collections.abc import Iterator

    from slimmer.elf.object import Object
    from slimmer.inode import Inode
    from slimmer.plan import Decision, Scene
    from slimmer.rootfs import Rootfs


@dataclass(frozen=True, slots=True)
class _Library:
    path: str
    inode: Inode
    elf: Object


class GpuCode:
    """The rule."""

    name = "gpu_code"
    summary = "GPU code for other GPUs than those of --gpu-arch"
    on_by_default = False
    turn = Turn.CONTENTS

    def propose(self, scene: Scene) -> Iterator[Decision]:
        """Give a Replace for each library that has code that no named GPU needs, and is proved, else a Keep.

        Without a named GPU nothing can go. Raises UsageError for one that the image has no code for.
        """
        settings = scene.settings
        if not settings.gpu_arch and not settings.gpu_recompress:
            return
        if settings.gpu_recompress:
            require_lz4()
        rootfs = scene.rootfs
        found = list(libraries(rootfs))
        wanted = _wanted(scene)
        if wanted is not None:
            _require_code(found, wanted)
        objections = [lambda path: watched(path, rootfs), foreign_owner(rootfs)]
        if not settings.include_proprietary:
            objections.append(proprietary(rootfs))
        with scene.progress.stage("choosing GPU code", sum(each.inode.size for each in found)) as stage:
            for each in found:
                decision = _decide(each, wanted, scene)
                if isinstance(decision, Replace):
                    reason = objection(each.path, rootfs, objections)
                    decision = decision if reason is None else Keep(each.path, reason)
                if decision is not None:
                    yield decision
                stage.advance(each.inode.size)


def _wanted(scene: Scene) -> Wanted | None:
    settings = scene.settings
    if not settings.gpu_arch:
        return None
    return Wanted(targets(scene.rootfs, settings.gpu_arch), keep_ptx=settings.gpu_ptx is GpuPtx.KEEP)


def libraries(rootfs: Rootfs) -> Iterator[_Library]:
    """Give the shared objects that hold GPU code."""
    for names, inode in rootfs.named_files():
        path, content = names[0], inode.content
        if content is None or not any(SHARED_OBJECT.fullmatch(name) for name in names):
            continue
        if not is_elf(content):
            continue
        try:
            elf = parse(content)
            if elf.section_named(HIP) is not None or sections(elf):
                yield _Library(path, inode, elf)
        except ElfError:
            continue  # strip says what is wrong with it


def _require_code(found: list[_Library], wanted: Wanted) -> None:
    """Raise UsageError for a GPU that no library has anything for: nothing would run on it, on any other neither."""
    missing = set(wanted.gpus)
    for each in found:
        try:
            for section in sections(each.elf):
                for container in read_containers(each.elf, section):
                    missing -= {gpu for gpu in missing if taken(container.entries, gpu)}
                    if not missing:
                        return
        except ElfError:
            continue  # its Keep says so
    if found and missing:
        raise UsageError(f"--gpu-arch sm_{min(missing)}: no library of this image has code for that GPU")


def _decide(library: _Library, wanted: Wanted | None, scene: Scene) -> Decision | None:
    if library.elf.section_named(HIP) is not None:
        return Keep(library.path, f"code for AMD's GPUs ({HIP}), of which slimmer takes nothing out")
    try:
        made = prune(library.elf, wanted, scene.config.architecture, recompress=scene.settings.gpu_recompress)
    except ElfError as error:
        return Keep(library.path, str(error))
    if made is None:
        return None
    if any(key in {"security.ima", "security.evm"} for key in library.inode.xattrs or {}):
        return Keep(library.path, "the kernel checks its signature (security.ima)")
    return Replace(library.path, *made)


rule = GpuCode()
