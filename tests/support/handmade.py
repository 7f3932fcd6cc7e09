"""Layers written by hand, and what slimmer reads from them."""

from __future__ import annotations

import io
import tarfile
from typing import TYPE_CHECKING, Any

from slimmer.content import Content
from slimmer.flattening import flatten
from slimmer.layer import read_layer

if TYPE_CHECKING:
    from pathlib import Path

    from slimmer.rootfs import Rootfs

Spec = dict[str, Any]


def make_tar(*entries: Spec) -> bytes:
    """Give a layer tar of ENTRIES: `path`, and whatever of type, data, link, mode, pax, mtime and device they have."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for entry in entries:
            info = tarfile.TarInfo(entry["path"])
            data = entry.get("data", b"")
            info.type = entry.get("type", tarfile.REGTYPE)
            info.size = len(data) if info.type == tarfile.REGTYPE else 0
            info.linkname = entry.get("link", "")
            info.mode = entry.get("mode", 0o755 if info.type == tarfile.DIRTYPE else 0o644)
            info.uid, info.gid = entry.get("owner", (0, 0))
            info.mtime = entry.get("mtime", 1_600_000_000)
            info.pax_headers = entry.get("pax", {})
            info.devmajor, info.devminor = entry.get("device", (0, 0))
            tar.addfile(info, io.BytesIO(data))
    return stream.getvalue()


def file(path: str, data: bytes = b"", **more: Any) -> Spec:
    """Give a regular file."""
    return {"path": path, "data": data, **more}


def directory(path: str, **more: Any) -> Spec:
    """Give a directory."""
    return {"path": path, "type": tarfile.DIRTYPE, **more}


def symlink(path: str, target: str) -> Spec:
    """Give a symbolic link."""
    return {"path": path, "type": tarfile.SYMTYPE, "link": target, "mode": 0o777}


def hard_link(path: str, target: str) -> Spec:
    """Give a hard link."""
    return {"path": path, "type": tarfile.LNKTYPE, "link": target}


def flattened(*layers: list[Spec]) -> Rootfs:
    """Give the root that layers of ENTRIES add up to."""
    return flatten(
        (f"layer {number}", read_layer(Content.of(make_tar(*entries)), f"layer {number}"))
        for number, entries in enumerate(layers)
    )


def data_of(rootfs: Rootfs, path: str) -> bytes:
    """Give the content of a file."""
    inode = rootfs.get(path)
    assert inode is not None, f"{path} is not there"
    assert inode.content is not None, f"{path} is no file"
    return inode.content.read_at(0, inode.content.size)


def save(content: Content, path: Path) -> Path:
    """Write a content to a file."""
    with path.open("wb") as stream:
        for chunk in content.chunks():
            stream.write(chunk)
    return path
