"""The engine has stored exactly the files of the plan: every path, kind, mode, owner, attribute, link and byte.

The image is read back from the engine. The digest of its layer's whole tar is that of the configuration, so no byte of
it differs from what was sent; and that what was sent is what was planned is seen from the tar itself, read as any other
image's. Where the engine keeps the layer as files on this machine, these are looked at too, as a container will see
them, less their times, which an engine may round.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from slimmer.checks import FAILED, PASSED, Verdict
from slimmer.checks.changed import changed_files
from slimmer.checks.disk import on_disk
from slimmer.flattening import flatten
from slimmer.inode import Kind
from slimmer.layer import read_layer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from slimmer.checks import Pair
    from slimmer.content import Content
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
        back = flatten([(layer.diff_id, read_layer(layer.content, layer.diff_id))])
        wrong = next(_differences(planned, back), None) or _changed_content(pair, back)
        if wrong is None and (found := _digest(layer.content)) != layer.diff_id:
            wrong = _first_other(planned, back) or f"the layer's digest is {found}, not {layer.diff_id}"
        where = "in its tar"
        if wrong is None and stored.directory is not None:
            where = "in its tar and on the engine's disk"
            wrong = next(on_disk(stored.directory, planned), None)
        if wrong is not None:
            return Verdict(FAILED, count, f"{len(back):,} paths", wrong, blames_no_change=True)
        return Verdict(PASSED, count, f"{len(back):,} paths", f"{count} are as planned, {where}")


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


def _changed_content(pair: Pair, back: Rootfs) -> str | None:
    paths = [path for path in changed_files(pair.plan) if not _is_equal(pair.plan.result, back, path)]
    return f"/{paths[0]} has not the bytes that were planned" if paths else None


def _first_other(planned: Rootfs, back: Rootfs) -> str | None:
    paths = (path for path, _ in planned.files() if not _is_equal(planned, back, path))
    return next((f"/{path} has not the bytes that were planned" for path in paths), None)


def _is_equal(planned: Rootfs, back: Rootfs, path: str) -> bool:
    inodes = planned.get(path), back.get(path)
    contents = [inode.content for inode in inodes if inode is not None and inode.content is not None]
    return len({_digest(content) for content in contents}) <= 1


def _digest(content: Content) -> str:
    found = hashlib.sha256()
    for chunk in content.chunks():
        found.update(chunk)
    return f"sha256:{found.hexdigest()}"


check = FilesCheck()
