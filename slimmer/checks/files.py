"""The engine has stored exactly the files of the plan: every path, kind, mode, owner, attribute, link and byte.

The image is read back from the engine. The digest of its layer's whole tar is that of the configuration, so no byte of
it differs from what was sent; and that what was sent is what was planned is seen from the tar itself, read as any other
image's. Where the engine keeps the layer as files on this machine, these are looked at too, as a container will see
them, less their times, which an engine may round.
"""

from __future__ import annotations

import hashlib
from itertools import zip_longest
from typing import TYPE_CHECKING

from slimmer.checks import FAILED, PASSED, Verdict
from slimmer.checks.changed import changed_files
from slimmer.checks.disk import on_disk
from slimmer.flattening import flatten
from slimmer.inode import Kind
from slimmer.layer import read_layer

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from slimmer.checks import Pair
    from slimmer.content import Content
    from slimmer.image import Layer
    from slimmer.inode import Inode
    from slimmer.rootfs import Rootfs


class FilesCheck:
    """The check."""

    name = "files"
    summary = "the engine stored exactly the planned files"

    def examine(self, pair: Pair) -> Verdict:
        """Read the slimmed image back from the engine and compare it with the plan."""
        stored = pair.stored()
        planned = pair.plan.result
        count = f"{len(planned):,} paths"
        if len(stored.image.layers) != 1:
            reason = f"the engine has {len(stored.image.layers)} layers where one was sent"
            return Verdict(FAILED, count, reason=reason, blames_no_change=True)
        layer = stored.image.layers[0]
        wrong, found = None, len(planned)
        changed = dict.fromkeys(planned.names(path)[0] for path in changed_files(pair.plan))
        contents = _in_step(planned, layer, changed)
        if contents is None:
            back = _flattened(layer)
            wrong, found = next(_differences(planned, back), None), len(back)
            contents = {path: _content(back, path) for path in changed}
        wrong = wrong or _first_other(planned, contents.items())
        if wrong is None and (digest := _digest(layer.content)) != layer.diff_id:
            back = _flattened(layer)
            wrong = _first_other(planned, ((path, _content(back, path)) for path, _ in planned.files()))
            wrong = wrong or f"the layer's digest is {digest}, not {layer.diff_id}"
        where = "in its tar"
        if wrong is None and stored.directory is not None:
            where = "in its tar and on the engine's disk"
            wrong = next(on_disk(stored.directory, planned), None)
        if wrong is not None:
            return Verdict(FAILED, count, f"{found:,} paths", wrong, blames_no_change=True)
        return Verdict(PASSED, count, f"{found:,} paths", f"{count} are as planned, {where}")


def _flattened(layer: Layer) -> Rootfs:
    return flatten([(layer.diff_id, read_layer(layer.content, layer.diff_id))])


def _in_step(planned: Rootfs, layer: Layer, paths: Collection[str]) -> dict[str, Content | None] | None:
    """Give the contents of PATHS in a layer that has the planned entries in the planned order, each saying the same.

    None where it has not: it may still add up to what was planned. An engine gives a layer back as it got it, and a
    million entries that are gone through side by side need not be held a second time.
    """
    contents: dict[str, Content | None] = {}
    for mine, its in zip_longest(planned.as_layer(), read_layer(layer.content, layer.diff_id)):
        if mine is None or its is None or mine.path != its.path or mine.link_to != its.link_to:
            return None
        if mine.link_to is None and _facts(mine.inode) != _facts(its.inode):
            return None
        if mine.link_to is not None and _repeated(mine.inode) != _repeated(its.inode):
            return None
        if mine.path in paths:
            contents[mine.path] = its.inode.content
    return contents


def _differences(planned: Rootfs, back: Rootfs) -> Iterator[str]:
    """Give a sentence for each path that is missing, too much or other than planned."""
    for path, inode in planned.entries():
        found = back.get(path)
        if found is None:
            yield f"/{path} is missing"
        elif _facts(found) != _facts(inode):
            yield f"/{path} is {_facts(found)}, and was planned as {_facts(inode)}"
        elif (names := back.names(path)) != (expected := planned.names(path)):
            yield f"/{path} is one file with {names}, and was planned with {expected}"
    yield from (f"/{path} was not planned" for path, _ in back.entries() if path not in planned)


def _facts(inode: Inode) -> tuple[object, ...]:
    mode = None if inode.kind is Kind.SYMLINK else oct(inode.mode)
    numbers = (mode, inode.uid, inode.gid, inode.mtime, inode.size)
    return (inode.kind.name, *numbers, inode.target, inode.device, dict(inode.xattrs or {}))


def _repeated(inode: Inode) -> tuple[object, ...]:
    """Give what an entry that is a hard link says of its inode too."""
    return inode.mode, inode.uid, inode.gid, inode.mtime, dict(inode.xattrs or {})


def _first_other(planned: Rootfs, stored: Iterable[tuple[str, Content | None]]) -> str | None:
    """Give a sentence for the first path whose STORED content has other bytes than planned."""
    paths = (path for path, content in stored if not _is_equal(_content(planned, path), content))
    return next((f"/{path} has not the bytes that were planned" for path in paths), None)


def _content(rootfs: Rootfs, path: str) -> Content | None:
    inode = rootfs.get(path)
    return inode.content if inode is not None else None


def _is_equal(one: Content | None, other: Content | None) -> bool:
    return len({_digest(content) for content in (one, other) if content is not None}) <= 1


def _digest(content: Content) -> str:
    found = hashlib.sha256()
    for chunk in content.chunks():
        found.update(chunk)
    return f"sha256:{found.hexdigest()}"


check = FilesCheck()
