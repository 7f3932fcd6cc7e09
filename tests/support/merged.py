"""The engine's own merged view of an image: the overlay of its layers, mounted as the engine mounts it, and walked.

Not `docker export`, which loses nanoseconds, most extended attributes and what lies at the container's own /etc/hosts.
"""

from __future__ import annotations

import hashlib
import os
import stat
import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from slimmer.inode import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from slimmer.inode import Inode
    from slimmer.rootfs import Rootfs

    from docker_cli import Docker
    from handmade import Spec

_KINDS = {
    stat.S_IFREG: Kind.FILE, stat.S_IFDIR: Kind.DIRECTORY, stat.S_IFLNK: Kind.SYMLINK, stat.S_IFIFO: Kind.FIFO,
    stat.S_IFCHR: Kind.CHARACTER, stat.S_IFBLK: Kind.BLOCK,
}  # fmt: skip
_LAST_TIME = (1 << 63) - 1
"""The last time that Go's nanoseconds can hold, in 2262. The engine sets later ones, and those before 1970, to 1970."""
_UNNAMED = -1
"""The time of a directory that the engine made because nothing named it: when it was extracted."""


@dataclass(frozen=True)
class Facts:
    """All that a program can see of a path."""

    kind: Kind
    mode: int
    owner: tuple[int, int]
    mtime: int
    digest: str
    target: str
    device: tuple[int, int]
    xattrs: tuple[tuple[str, bytes], ...]
    names: tuple[str, ...]
    """Every name of the same file, itself included. Their number is what `st_nlink` says where no layer hides one."""


@contextmanager
def mounted(inspected: Spec, directory: Path) -> Iterator[Path]:
    """Mount the layers of an image read-only, under an empty one as under a container's own, and give where."""
    data = inspected["GraphDriver"]["Data"]
    (directory / "own").mkdir(parents=True)
    (directory / "merged").mkdir()
    layers = [str(directory / "own"), data["UpperDir"], *filter(None, data.get("LowerDir", "").split(":"))]
    subprocess.run(
        ["mount", "-t", "overlay", "overlay", "-o", f"ro,lowerdir={':'.join(layers)}", directory / "merged"],
        check=True, capture_output=True,
    )  # fmt: skip
    try:
        yield directory / "merged"
    finally:
        subprocess.run(["umount", directory / "merged"], check=True)
        (directory / "merged").rmdir()
        (directory / "own").rmdir()


def shown(
    docker: Docker, layers: list[bytes], directory: Path, look: Callable[[Spec, dict[str, Facts]], None] | None = None
) -> dict[str, Facts]:
    """Give what the engine shows of an image of these layers; raise AssertionError, in its words, when it refuses them.

    LOOK is called with what the engine says of the image and with what it shows, while it has it.
    """
    since = time.time_ns() - 1_000_000_000  # file systems' clocks tick coarsely
    docker.image("slimmer-test/flatten:1", layers)
    try:
        inspected = docker.inspect("slimmer-test/flatten:1")
        with mounted(inspected, directory) as root:
            facts = engine_view(root, since)
        if look is not None:
            look(inspected, facts)
        return facts
    finally:
        docker.clean()


def engine_view(root: Path, since: int) -> dict[str, Facts]:
    """Give what is below ROOT; the root itself is the engine's own in every container.

    A directory whose time lies between SINCE, in nanoseconds, and now was made by the engine as it extracted the image.
    """
    now = time.time_ns()
    groups: dict[tuple[int, int], list[str]] = {}
    found: dict[str, tuple[Facts, tuple[int, int]]] = {}
    for path, name, directory in _walk(root):
        place = f"/proc/self/fd/{directory}/".encode() + name
        try:
            status = os.lstat(place)
        except FileNotFoundError:
            continue  # a whiteout that nothing lies under is listed, and is not there
        kind = _KINDS[stat.S_IFMT(status.st_mode)]
        key = (status.st_dev, status.st_ino)
        if kind is not Kind.DIRECTORY:
            groups.setdefault(key, []).append(path)
        made_now = kind is Kind.DIRECTORY and since <= status.st_mtime_ns <= now
        facts = Facts(
            kind=kind,
            mode=stat.S_IMODE(status.st_mode),
            owner=(status.st_uid, status.st_gid),
            mtime=_UNNAMED if made_now else status.st_mtime_ns,
            digest=_digest_of_file(place) if kind is Kind.FILE else "",
            target=os.fsdecode(os.readlink(place)) if kind is Kind.SYMLINK else "",  # noqa: PTH115 - a place of bytes
            device=(os.major(status.st_rdev), os.minor(status.st_rdev)),
            xattrs=tuple(
                sorted(
                    (key, os.getxattr(place, key, follow_symlinks=False))
                    for key in os.listxattr(place, follow_symlinks=False)
                )
            ),
            names=(),
        )
        found[path] = (facts, key)
    return {path: replace(facts, names=tuple(sorted(groups.get(key, [path])))) for path, (facts, key) in found.items()}


def _walk(root: Path) -> Iterator[tuple[str, bytes, int]]:
    """Give each path, its name, and a descriptor of its directory: paths may be longer than the kernel takes."""
    pending: list[tuple[str, int]] = [("", os.open(root, os.O_RDONLY | os.O_DIRECTORY))]
    while pending:
        prefix, descriptor = pending.pop()
        with os.scandir(descriptor) as entries:
            for name, is_directory in sorted((entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries):
                yield prefix + name, os.fsencode(name), descriptor
                if is_directory:
                    pending.append((f"{prefix}{name}/", os.open(name, os.O_RDONLY | os.O_DIRECTORY, dir_fd=descriptor)))
        os.close(descriptor)


def _digest_of_file(place: bytes) -> str:
    with open(place, "rb") as stream:  # noqa: PTH123 - a place of bytes below /proc
        return hashlib.file_digest(stream, "sha256").hexdigest()


def of_the_result(original: dict[str, Facts]) -> dict[str, Facts]:
    """Give what the engine must show of slimmer's layer where it shows ORIGINAL of the source: the same.

    But for the time of directories that nothing named, which is then the epoch: the source's was no part of the image.
    """
    return {path: replace(facts, mtime=0) if facts.mtime == _UNNAMED else facts for path, facts in original.items()}


def expected_view(rootfs: Rootfs, shown: dict[str, Facts]) -> dict[str, Facts]:
    """Give what ROOTFS says should be shown, with the times of directories that nothing names taken from SHOWN.

    What the engine makes of a layer's data when it writes a file is reckoned in here, and only here: see `_on_disk`.
    """
    names: dict[int, list[str]] = {}
    for path, inode in rootfs.entries():
        names.setdefault(id(inode), []).append(path)
    view = {}
    for path, inode in rootfs.entries():
        if not path:
            continue
        facts = _on_disk(inode)
        group = [path] if inode.kind is Kind.DIRECTORY else names[id(inode)]
        unnamed = path in shown and shown[path].mtime == _UNNAMED
        view[path] = replace(facts, names=tuple(sorted(group)), mtime=_UNNAMED if unnamed else facts.mtime)
    return view


def _on_disk(inode: Inode) -> Facts:
    is_symlink = inode.kind is Kind.SYMLINK
    mtime = inode.mtime
    if not is_symlink and not 0 <= mtime <= _LAST_TIME:
        mtime = 0
    digest = ""
    if inode.content is not None:
        summed = hashlib.sha256()
        for chunk in inode.content.chunks():
            summed.update(chunk)
        digest = summed.hexdigest()
    # The kernel keeps attributes of users on files and directories only; this engine's Go drops the empty ones.
    takes_user = inode.kind in {Kind.FILE, Kind.DIRECTORY}
    return Facts(
        kind=inode.kind,
        mode=0o777 if is_symlink else inode.mode,
        owner=(inode.uid, inode.gid),
        mtime=mtime,
        digest=digest,
        target=inode.target,
        device=inode.device,
        xattrs=tuple(
            sorted(
                (key, value)
                for key, value in (inode.xattrs or {}).items()
                if value and (takes_user or not key.startswith("user."))
            )
        ),
        names=(),
    )


def differences(shown: dict[str, Facts], expected: dict[str, Facts]) -> list[str]:
    """Give one line for each path in which the two differ."""
    return [
        f"{path!r}: the engine shows {shown.get(path)}, slimmer {expected.get(path)}"
        for path in sorted(shown.keys() | expected.keys())
        if shown.get(path) != expected.get(path)
    ]
