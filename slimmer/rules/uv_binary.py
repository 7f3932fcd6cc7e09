"""Removes uv itself: `uv`, `uvx` and `uvw`, which an image needs to be built and seldom to run.

Off by default, because a container may install something when it starts. What would prove that it does is looked for
and keeps it: a command of the image or a script's first line that runs it, a symlink of another name, a distribution
that requires it. Where pip installed uv the whole distribution goes, as `pip uninstall uv` would take it; a file that
another package manager put there stays, because its database would say otherwise.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from slimmer.commands import commands, path_directories, programs
from slimmer.dependents import Dependents
from slimmer.elf.object import is_elf
from slimmer.inode import Kind
from slimmer.metadata.dpkg_files import Files
from slimmer.metadata.owners import foreign_owner
from slimmer.metadata.record_rows import files_of, locator
from slimmer.plan import Keep, Remove, Turn
from slimmer.users import homes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from slimmer.image import Config
    from slimmer.inode import Inode
    from slimmer.plan import Decision, Scene
    from slimmer.rootfs import Rootfs

_NAMES = ("uv", "uvx", "uvw")
_RUNS = re.compile(r"(?<![\w./-])(/\S*/)?uv[xw]?(?![\w./-])")
_RECORD = re.compile(r"(.*/)?(site|dist)-packages/uv-[^/]*\.dist-info/RECORD")
_REQUIRES = re.compile(rb"^Requires-Dist: *uv(?![\w.-])(?![^\n]*extra *==)", re.MULTILINE | re.IGNORECASE)
_MARK = b"UV_CACHE_DIR"
_MAX_TEXT = 256 << 10


class UvBinary:
    """The rule."""

    name = "uv_binary"
    summary = "uv itself (uv, uvx), unless a command or a script of the image runs it"
    on_by_default = False
    turn = Turn.FILES

    def propose(self, scene: Scene) -> Iterator[Decision]:
        """Give a Remove for each uv that nothing in the image runs, else a Keep with who does."""
        rootfs, config = scene.rootfs, scene.config
        records = [path for path, _ in rootfs.called("RECORD") if _RECORD.fullmatch(path)]
        installed = {inode: record for record in records for inode in files_of(rootfs, record, locator(rootfs))}
        found = list(_programs(rootfs, config))
        if not found and not records:
            return
        dependents = Dependents(rootfs, config, scene.heads)
        runner = _runner(rootfs, config, dependents)
        for path, inode in found:
            if inode not in installed:
                reason = runner or _owner(rootfs, path) or _other_name(dependents, path)
                yield Keep(path, reason) if reason is not None else Remove(path, "uv itself")
        requirer = _requirer(rootfs)
        for record in records:
            if (reason := runner or requirer) is not None:
                yield Keep(record, reason)
            else:
                yield from (Remove(path, "the distribution uv") for path in _distribution(rootfs, record))


def _programs(rootfs: Rootfs, config: Config) -> Iterator[tuple[str, Inode]]:
    """Give uv and what lies beside it, and the symlinks of these names that lead there."""
    places = [*path_directories(config), "/usr/local/bin", "/usr/bin", "/bin"]
    places += [
        f"{home}/{directory}" for home in homes(rootfs, config.env) for directory in (".local/bin", ".cargo/bin")
    ]
    for directory in sorted({place for name in places if (place := rootfs.resolve(name)) is not None}):
        target = rootfs.resolve(f"{directory}/uv")
        if target is None or not _is_uv(rootfs, target):
            continue
        for name in _NAMES:
            path = f"{directory}/{name}"
            inode = rootfs.get(path)
            if inode is not None and inode.kind in {Kind.FILE, Kind.SYMLINK}:
                yield path, inode


def _is_uv(rootfs: Rootfs, path: str) -> bool:
    """Say whether a file is an ELF object that knows uv's environment variables: other programs may be called uv."""
    inode = rootfs.get(path)
    if inode is None or inode.content is None or not is_elf(inode.content):
        return False
    tail = b""
    for chunk in inode.content.chunks():
        if _MARK in tail + chunk:
            return True
        tail = chunk[-len(_MARK) :]
    return False


def _runner(rootfs: Rootfs, config: Config, dependents: Dependents) -> str | None:
    """Give which command or script of the image runs uv, or None."""
    for key, command in commands(config):
        if _RUNS.search(" ".join(command)):
            return f"the image's {key} runs it"
    for key, _, path in programs(rootfs, config):
        inode = rootfs.get(path)
        content = inode.content if inode is not None else None
        text = content.read_at(0, _MAX_TEXT) if content is not None else b""
        if text.startswith(b"#!") and _RUNS.search(text.decode("utf-8", "replace")):
            return f"the image's {key} runs /{path}, which runs it"
    script = next((path for path, word in dependents.interpreters() if word.rpartition("/")[2] in _NAMES), None)
    return None if script is None else f"/{script} is run by it"


def _owner(rootfs: Rootfs, path: str) -> str | None:
    package = next(iter(Files(rootfs).owners(path)), None)
    if package is not None:
        return f"belongs to Debian package {package}; take it out with apt-get"
    prefix = path.removesuffix(path.rpartition("/")[2]).removesuffix("bin/")
    if any(name.startswith("uv-") for name in rootfs.children(f"{prefix}conda-meta")):
        return "belongs to conda's package uv; take it out with conda"
    return foreign_owner(rootfs)(path)


def _other_name(dependents: Dependents, path: str) -> str | None:
    for link, target in dependents.symlinks():
        if target == path and link.rpartition("/")[2] not in _NAMES:
            return f"/{link} is a symlink to it"
    return None


def _requirer(rootfs: Rootfs) -> str | None:
    """Give the distribution that requires uv, or None."""
    for path, inode in rootfs.called("METADATA"):
        content = inode.content if path.endswith(".dist-info/METADATA") else None
        if content is not None and _REQUIRES.search(content.read_at(0, _MAX_TEXT)):
            return f"{path.split('/')[-2].removesuffix('.dist-info')} requires it"
    return None


def _distribution(rootfs: Rootfs, record: str) -> Iterator[str]:
    """Give what `pip uninstall uv` takes: what RECORD names, and the package's and the metadata's directories."""
    information = record.rpartition("/")[0]
    own = (information, f"{information.rpartition('/')[0]}/uv".lstrip("/"))
    for directory in own:
        if directory in rootfs:
            yield directory
    inodes = set(files_of(rootfs, record, locator(rootfs)))
    for path, inode in rootfs.where(lambda name, _: name in _NAMES):
        if inode in inodes and not path.startswith(tuple(f"{name}/" for name in own)):
            yield path


rule = UvBinary()
