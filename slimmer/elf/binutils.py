"""The `strip` program of this machine, run as one runs what nobody vouches for: its word is never taken for success.

GNU strip was seen to destroy archives and libraries with exit status 0 (hazards: slim LTO, BOLT, patchelf). Here it
only makes a proposal. It works on a private copy with a neutral name, because an image's names are options to it
(`-x.so`, `@file`), and whoever asked for the result proves it.
"""

from __future__ import annotations

import errno
import math
import os
import resource
import select
import shutil
import signal
import subprocess
import tempfile
import threading
import weakref
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from slimmer import temporary
from slimmer.blobs import File
from slimmer.chunks import CHUNK
from slimmer.content import Content
from slimmer.elf.object import is_elf
from slimmer.errors import DestinationError, ElfError
from slimmer.pieces import Piece

if TYPE_CHECKING:
    from collections.abc import Sequence

_VERSION_TIME_LIMIT = 10.0
_MAX_WORDS = 500
"""How much of what strip says becomes part of a reason."""
_ROOM = 4
"""How many times its archive's bytes strip takes: for that, the members one by one, and the result."""
_OUT_OF_SPACE = {errno.ENOSPC, errno.EDQUOT}


class StripError(ElfError):
    """The strip program failed or said anything at all: the file is kept, with this as its reason."""


class _NoSpaceError(Exception):
    """A place is too small for a program to work in."""


class Spool:
    """One file for all results: a file for each would use up the descriptors that a process may have."""

    def __init__(self, file: BinaryIO | None = None) -> None:
        """Write to FILE, which is empty; without one to a file that has no name and is made when it is needed."""
        self._lock = threading.Lock()
        self._file = file
        self.blob: File | None = File(file) if file is not None else None
        """What all results are pieces of, once there is one."""
        self._end = 0

    def take(self, path: Path) -> Content:
        """Give the content of a file that may go afterwards."""
        with self._lock, path.open("rb") as source:
            if self._file is None or self.blob is None:
                self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - open as long as contents refer to it
                self.blob = File(self._file)
                weakref.finalize(self.blob, self._file.close)
            start = self._end
            position = start
            while data := source.read(CHUNK):
                view = memoryview(data)
                while view:
                    written = os.pwrite(self._file.fileno(), view, position)
                    view, position = view[written:], position + written
            self._end = position
            return Content([Piece(self.blob, start, position - start)])


@dataclass(frozen=True, slots=True)
class Strip:
    """A strip program."""

    path: str
    version: str
    """The first line of what it says to --version."""
    spool: Spool = field(default_factory=Spool, repr=False, compare=False)
    """Where what it writes lies."""

    def run(self, content: Content, flags: Sequence[str], time_limit: float) -> Content:
        """Give what `strip FLAGS` makes of CONTENT; raise StripError unless it exits 0, silent, with a result in time.

        Raises DestinationError when there is no room for it to work in: a file that is kept for that reason would make
        another image of the same source.

        The result lies in a file without a name: nothing of it is left on the disk whatever ends this process.
        """
        for place in temporary.places_for(_ROOM * content.size):
            with suppress(_NoSpaceError):
                return self._run_at(place, content, flags, time_limit)
        raise DestinationError(
            f"no space is left in {tempfile.gettempdir()} for strip to work in; set TMPDIR to another directory"
        )

    def _run_at(self, place: Path, content: Content, flags: Sequence[str], time_limit: float) -> Content:
        try:
            with temporary.working_directory(place) as directory:
                return self._run_in(Path(directory), content, flags, time_limit)
        except OSError as error:
            if error.errno in _OUT_OF_SPACE:
                raise _NoSpaceError from error
            raise StripError(f"strip cannot be run: {error.strerror or error}") from error

    def _run_in(self, directory: Path, content: Content, flags: Sequence[str], time_limit: float) -> Content:
        name = "in.elf" if is_elf(content) else "in.a"
        with (directory / name).open("wb") as stream:
            for chunk in content.chunks():
                stream.write(chunk)
        # Relative names, so that a reason is the same on every machine.
        command = [self.path, *flags, "-o", "out", name]
        status = _status(command, directory, content.size, time_limit)
        words = _words(directory / "err")
        if os.strerror(errno.ENOSPC) in words:
            raise _NoSpaceError
        if status is None:
            raise StripError(f"strip was stopped after {time_limit:g} seconds")
        if status:
            ending = f"was killed by signal {-status}" if status < 0 else f"failed with exit status {status}"
            raise StripError(f"strip {ending}" + (f": {words}" if words else ""))
        if words:
            raise StripError(f"strip complained: {words}")
        result = directory / "out"
        if result.is_symlink() or not result.is_file() or not result.stat().st_size:
            raise StripError("strip gave no result, with exit status 0")
        return self.spool.take(result)


def find_strip() -> Strip | None:
    """Give the `strip` in PATH with its version line; None when there is none, or none that answers."""
    path = shutil.which("strip")
    if path is None:
        return None
    version = _version(path, Path(path).stat().st_mtime_ns)
    return None if version is None else Strip(str(Path(path).absolute()), version)


@cache
def _version(path: str, modified: int) -> str | None:  # noqa: ARG001 - a program that changes is another one
    """Give the first line of what a program says to --version, None when it says nothing."""
    try:
        done = subprocess.run(
            [path, "--version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            env=_environment(),
            timeout=_VERSION_TIME_LIMIT,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    lines = done.stdout.decode("utf-8", "backslashreplace").splitlines()
    return None if done.returncode or not lines else lines[0].strip()


def _status(command: list[str], directory: Path, size: int, time_limit: float) -> int | None:
    """Give the exit status of a program that works in DIRECTORY on a file of SIZE, None when its time was up."""
    with (
        (directory / "err").open("wb") as errors,
        subprocess.Popen(
            # A shell sets the limits: Python between fork and exec is not safe where other threads run, and set from
            # outside they come too late.
            ["/bin/sh", "-c", f'{_limits(size, time_limit)} && exec "$0" "$@"', *command],
            cwd=directory,
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=errors,
            stderr=errors,
            start_new_session=True,
        ) as process,
    ):
        try:
            return _waited(process, time_limit)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


def _waited(process: subprocess.Popen[bytes], time_limit: float) -> int | None:
    """Give the exit status as soon as there is one, None when the time is up.

    Popen.wait with a time limit looks every 50 ms, which is longer than strip takes for most archives.
    """
    with suppress(OSError):  # a kernel before 5.3, or a sandbox, has no pidfd_open(2)
        descriptor = os.pidfd_open(process.pid)
        try:
            ended = select.poll()  # unlike select(2) it takes any descriptor
            ended.register(descriptor, select.POLLIN)
            ended.poll(time_limit * 1000)
        finally:
            os.close(descriptor)
        return process.poll()
    try:
        return process.wait(time_limit)
    except subprocess.TimeoutExpired:
        return None


def _environment() -> dict[str, str]:
    # GNUTARGET tells every program of binutils what format to take a file for.
    return {name: value for name, value in os.environ.items() if name != "GNUTARGET"} | {"LC_ALL": "C"}


def _limits(size: int, time_limit: float) -> str:
    """Give the shell's words for the resource limits for a file of SIZE; strip 2.40 takes 180 MB for one of 499 MB."""
    wanted = (
        ("v", resource.RLIMIT_AS, (1 << 30) + 4 * size, 1024),
        ("f", resource.RLIMIT_FSIZE, (1 << 20) + 2 * size, 512),
        ("t", resource.RLIMIT_CPU, math.ceil(time_limit) + 1, 1),
        ("c", resource.RLIMIT_CORE, 0, 512),
    )
    return " && ".join(f"ulimit -{letter} {_within(limit, kind) // unit}" for letter, kind, limit, unit in wanted)


def _within(limit: int, kind: int) -> int:
    """Give the limit, less where this process has a lower one that it may not raise."""
    hard = resource.getrlimit(kind)[1]
    return limit if hard == resource.RLIM_INFINITY else min(limit, hard)


def _words(path: Path) -> str:
    """Give the first of what a program said, on one line."""
    with path.open("rb") as stream:
        said = stream.read(_MAX_WORDS + 1).decode("utf-8", "backslashreplace")
    words = " ".join("".join(letter if letter.isprintable() else " " for letter in said).split())
    return words if len(words) <= _MAX_WORDS else f"{words[:_MAX_WORDS]}…"
