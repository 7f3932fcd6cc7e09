"""What slimmer's strip rule makes of the objects below a directory, what GNU strip does, and the CPU time of both."""

from __future__ import annotations

import hashlib
import os
import resource
import shutil
import statistics
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from slimmer.blobs import File
from slimmer.content import Content
from slimmer.elf.object import PT_LOAD, is_elf, parse
from slimmer.errors import ElfError
from slimmer.image import Config
from slimmer.inode import Inode, Kind
from slimmer.pieces import Piece
from slimmer.plan import Replace, Scene
from slimmer.rootfs import Rootfs
from slimmer.rules.strip import rule

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_CONFIG = Config(b'{"architecture": "amd64", "rootfs": {"diff_ids": []}}')


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of an object. `slimmed` is None when slimmer leaves it, for `reason`, which may be that it is stripped."""

    root: str
    path: str
    digest: str
    size: int
    slimmed: int | None
    reason: str
    gnu: int
    newer: int
    safely: bool
    """Whether what the newer GNU strip made of it loads as before and is smaller by what slimmer asks for."""
    unowned: int
    """Bytes at the ends of loaded segments that no section owns; GNU strip unmaps them, with whatever they hold."""


def unowned(content: Content) -> int:
    """Give how many bytes at the ends of loaded segments no section owns: patchelf leaves such where it moved tables."""
    try:
        elf = parse(content)
    except ElfError:
        return 0
    total = 0
    for segment in elf.segments:
        stop = segment.offset + segment.filesz
        if segment.type == PT_LOAD and segment.filesz:
            owned = [section.offset + section.file_size for section in elf.sections if section.is_allocated]
            owned.append(elf.header.phoff + elf.header.phnum * elf.header.phentsize)
            total += stop - max((end for end in owned if segment.offset < end <= stop), default=segment.offset)
    return total


@contextmanager
def rootfs_of(directory: Path) -> Iterator[Rootfs]:
    """Give the files below a directory as an image's root would have them; libraries are open while it is used."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    inodes = {}
    with ExitStack() as stack:
        for path in sorted(files(directory)):
            content = None
            if ".so" in path.rpartition("/")[2]:
                stream = stack.enter_context((directory / path).open("rb"))
                content = Content([Piece(File(stream), 0, os.fstat(stream.fileno()).st_size)])
            inodes[path] = Inode(Kind.FILE, 0o755, content=content)
        yield Rootfs.of(inodes)


def files(directory: Path) -> Iterator[str]:
    """Give the path of every regular file below a directory, symlinks left out."""
    for parent, _, names in os.walk(directory):
        for name in names:
            path = Path(parent, name)
            if not path.is_symlink() and path.is_file():
                yield str(path.relative_to(directory))


def objects(rootfs: Rootfs) -> dict[str, Content]:
    """Give every ELF object that is named as a library."""
    return {
        path: inode.content for path, inode in rootfs.entries() if inode.content is not None and is_elf(inode.content)
    }


def decisions(rootfs: Rootfs) -> tuple[dict[str, Content], dict[str, str]]:
    """Give the slimmed contents that the strip rule proposes, and its reasons to keep others."""
    slimmed: dict[str, Content] = {}
    kept: dict[str, str] = {}
    for decision in rule.propose(Scene(rootfs, _CONFIG)):
        if isinstance(decision, Replace):
            slimmed[decision.path] = decision.content
        else:
            kept[decision.path] = getattr(decision, "reason", "")
    return slimmed, kept


def copied(directory: Path, name: str, scratch: Path) -> Path:
    """Give a copy of a directory whose files are hard links; a file of it must be replaced, never written to."""
    copy = scratch / name
    subprocess.run(["cp", "-al", directory, copy], check=True)
    return copy


def put(content: Content, path: Path) -> None:
    """Replace a file of a copied directory."""
    new = path.with_name(".corpus-new")
    with new.open("wb") as stream:
        for chunk in content.chunks():
            stream.write(chunk)
    shutil.copymode(path, new)
    new.replace(path)


def stripped(command: Sequence[str], path: Path) -> None:
    """Replace a file of a copied directory by what a strip program makes of it; it stays when the program fails."""
    new = path.with_name(".corpus-new")
    done = subprocess.run([*command, "--strip-unneeded", "-o", new, path], check=False, capture_output=True)
    if done.returncode == 0 and new.exists():
        new.replace(path)
    else:
        new.unlink(missing_ok=True)


def digest(path: Path) -> str:
    """Give the digest of a file, by which a content that lies in many places counts once."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def cpu_seconds(paths: Sequence[Path], scratch: Path, rounds: int = 3) -> dict[str, float]:
    """Give the medians of user and system CPU seconds over ROUNDS: of slimmer, of it without writing, of GNU strip.

    The files are read once before, so that all find them in the page cache. Results are deleted outside of what is
    timed.
    """
    for path in paths:
        digest(path)
    listed = b"".join(os.fsencode(path) + b"\0" for path in paths)
    layouts = [sys.executable, str(Path(__file__).with_name("layouts.py"))]
    times: dict[str, list[float]] = {"slimmer": [], "slimmer, nothing written": [], "GNU strip": []}
    for _ in range(rounds):
        results = scratch / "results"
        results.mkdir()
        times["slimmer"].append(_cpu([*layouts, str(results)], listed))
        shutil.rmtree(results)
        times["slimmer, nothing written"].append(_cpu(layouts, listed))
        total = 0.0
        for path in paths:
            total += _cpu(["strip", "--strip-unneeded", "-o", str(scratch / "result"), str(path)])
            (scratch / "result").unlink()
        times["GNU strip"].append(total)
    return {name: statistics.median(seconds) for name, seconds in times.items()}


def _cpu(command: Sequence[str], given: bytes = b"") -> float:
    """Run a command and give the CPU seconds that it used, as the kernel counts them."""
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert process.stdin is not None
    process.stdin.write(given)
    process.stdin.close()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, f"{command} ended with {process.returncode}"
    return usage.ru_utime + usage.ru_stime
