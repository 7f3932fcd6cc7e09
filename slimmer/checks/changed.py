"""What was changed, as checks look at it: the libraries with new bytes, under each of their names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slimmer.inode import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from slimmer.plan import Plan
    from slimmer.rootfs import Rootfs

_ELF = b"\x7fELF"
_TYPE_OFFSET, _SHARED = 16, 3  # elf(5): e_type, ET_DYN
_LITTLE = b"\x01"


def changed_files(plan: Plan) -> Iterator[str]:
    """Give the first path of every file whose content was replaced, but for package databases that only follow."""
    for change in plan.changes:
        inode = plan.result.get(change.path)
        if change.action == "replace" and change.files and inode is not None and inode.kind is Kind.FILE:
            yield change.path


def changed_libraries(plan: Plan) -> list[str]:
    """Give the path of every shared object among them, in order."""
    return sorted({path for path in changed_files(plan) if _is_shared_object(plan.result, path)})


def _is_shared_object(rootfs: Rootfs, path: str) -> bool:
    inode = rootfs.get(path)
    if inode is None or inode.content is None or inode.content.size < _TYPE_OFFSET + 2:
        return False
    head = inode.content.read_at(0, _TYPE_OFFSET + 2)
    is_little = head[5:6] == _LITTLE
    return head.startswith(_ELF) and int.from_bytes(head[_TYPE_OFFSET:], "little" if is_little else "big") == _SHARED
