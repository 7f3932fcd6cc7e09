"""A plan with some changes put back, without asking any rule again: for an image that a check is tried with.

What the rules would make of it may differ in what depends on what (linkage takes a library back with those that it
needs). The image that is kept is made by a plan of its own (`propose`).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from slimmer.metadata import amendments
from slimmer.plan import Replace
from slimmer.rootfs import Rootfs

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from slimmer.content import Content
    from slimmer.inode import Inode
    from slimmer.plan import Change, Plan


def put_back(plan: Plan, paths: Collection[str]) -> Plan:
    """Give a plan in which PATHS, and all below them, are as in the source, and what packages note of them is true.

    A file comes back with all its names, but for those that another removal took. `changes` has no more those of files
    that are back; what the others save is not counted again.
    """
    back = _named(plan, {path for top in paths for path in plan.source.below(top)})
    ways = {way for path in back for way in _above(path) if way not in plan.result}
    inodes = {path: original for path in back | ways if (original := plan.source.get(path)) is not None}
    result = plan.result.holding(inodes)
    changes = tuple(change for change in plan.changes if change.path not in back)
    return replace(plan, result=_amended(plan, result, back), changes=changes)


def _named(plan: Plan, paths: set[str]) -> set[str]:
    """Give PATHS with the other names of their files, as far as these are there."""
    found = set(paths)
    for path in paths:
        found.update(name for name in plan.source.names(path) if name in plan.result)
    return found


def _amended(plan: Plan, result: Rootfs, back: set[str]) -> Rootfs:
    """Give RESULT with the package databases right that note something of a file that is BACK."""
    source = plan.source
    amended = {name for change in plan.changes if _only_follows(change) for name in source.names(change.path)}
    changed, removed = _differences(source, plan.result, amended)
    here = {path: content for path, content in changed.items() if path in back}
    touched = {each.path for each in amendments(source, here, removed & back) if isinstance(each, Replace)}
    if not touched:
        return result
    changed, removed = _differences(source, result, amended | touched)
    contents = {each.path: each.content for each in amendments(source, changed, removed) if isinstance(each, Replace)}
    inodes: dict[str, Inode] = {}
    for path in touched:
        original = source.get(path)
        if original is not None and path in result:
            new = original.but(content=contents[path]) if path in contents else original
            inodes.update((name, new) for name in source.names(path) if name in result)
    return result.holding(inodes)


def _only_follows(change: Change) -> bool:
    return change.action == "replace" and not change.files


def _differences(source: Rootfs, result: Rootfs, amended: Collection[str]) -> tuple[dict[str, Content], set[str]]:
    """Give what was replaced, with the new content, but for databases that were AMENDED; and what was removed."""
    changed: dict[str, Content] = {}
    removed = set()
    for path, original in source.entries():
        inode = result.get(path)
        if inode is None:
            removed.add(path)
        elif inode.content is not None and inode.content is not original.content and path not in amended:
            changed[path] = inode.content
    return changed, removed


def laid_over(below: Rootfs, above: Rootfs) -> Rootfs:
    """Give the files of a layer that makes ABOVE of BELOW, which must have no path that ABOVE has not.

    The directories on the way are in it: one that a layer does not name, an engine makes anew.
    """
    new = [path for path, inode in above.entries() if below.get(path) is not inode]
    names = {name for path in new for name in above.names(path)}
    ways = {way for path in names for way in _above(path)} | {""}
    return Rootfs.of({path: inode for path, inode in above.entries() if path in names or path in ways})


def _above(path: str) -> Iterator[str]:
    """Give every directory that leads to PATH, but for the root."""
    return (path[:cut] for cut in range(len(path)) if path[cut] == "/")
