"""The files of an image as a tree of sizes, small enough for a page: what is small is one node per directory."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from slimmer.inspection import usual_name
from slimmer.report import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from slimmer.rootfs import Rootfs

_MAX_NODES = 6000
_MAX_CHILDREN = 40


@dataclass(slots=True)
class Node:
    """A directory or a file: bytes of content before and after, each inode counted under one of its names."""

    before: int = 0
    after: int = 0
    files: int = 0
    children: dict[str, Node] = field(default_factory=dict)


def tree(source: Rootfs, result: Rootfs | None = None) -> Node:
    """Give the tree of SOURCE; without a RESULT everything stays as it is.

    A file with several names is counted where it stays, so that a cache that holds what is also installed is not shown
    as what goes.
    """
    root = Node()
    after = result or source
    for first, inode in source.files():
        path = usual_name([name for name in source.names(first) if name in after] or [first])
        for node in _way(root, path):
            node.before += inode.size
            node.files += 1
    for path, inode in after.files():
        for node in _way(root, usual_name(after.names(path))):
            node.after += inode.size
    return root


def _way(root: Node, path: str) -> Iterator[Node]:
    yield root
    node = root
    for part in path.split("/"):
        node = node.children.setdefault(part, Node())
        yield node


def drawn(root: Node) -> list[Any]:
    """Give the tree as the page takes it: `[name, before, after, files, children]`, sizes in bytes.

    The largest directories are opened first, each with its largest children, until there are nodes enough. The rest of
    a directory is one node whose name says how many it stands for, so sizes add up at every level.
    """
    top = _entry("/", root)
    pending = [(-root.before, 0, root, top)]
    count = 1
    while pending and count < _MAX_NODES:
        _, _, node, entry = heapq.heappop(pending)
        children = sorted(node.children.items(), key=lambda item: (-max(item[1].before, item[1].after), item[0]))
        shown = [(name, child) for name, child in children[:_MAX_CHILDREN] if child.before or child.after]
        for name, child in shown:
            name, child = _collapsed(name, child)  # noqa: PLW2901 - the same node, further down
            part = _entry(printable(name), child)
            entry[4].append(part)
            count += 1
            if child.children:
                heapq.heappush(pending, (-child.before, count, child, part))
        rest = [child for _, child in children[len(shown) :]]
        before, after = sum(child.before for child in rest), sum(child.after for child in rest)
        if before or after:
            entry[4].append([f"{len(rest):,} smaller", before, after, sum(child.files for child in rest), []])
            count += 1
    return top


def _entry(name: str, node: Node) -> list[Any]:
    return [name, node.before, node.after, node.files, []]


def _collapsed(name: str, node: Node) -> tuple[str, Node]:
    """Give what a directory leads to that holds nothing but another directory."""
    while len(node.children) == 1:
        ((only, child),) = node.children.items()
        if not child.children:
            break
        name, node = f"{name}/{only}", child
    return name, node
