"""Where gigabytes lie for a while: a temporary file without a name, so that not even a killed run leaves it behind."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from slimmer.blobs import File
from slimmer.content import Content
from slimmer.errors import DestinationError, SourceError
from slimmer.pieces import Piece

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from slimmer.errors import SlimmerError


_BLOCK = 512
_OFTEN = 256 << 20
_LEFT_FREE = 512 << 20
"""Bytes that a spool leaves to others, once it is larger than what one would forgive an ordinary image."""


class Spool:
    """A growing file that contents are put into; they can be read as long as it is open."""

    def __init__(self, file: BinaryIO, reference: str) -> None:
        self._file = file
        self._blob = File(file)
        self._reference = reference
        self._end = 0
        self._written = self._looked_at = 0

    @classmethod
    @contextmanager
    def open(cls, reference: str) -> Iterator[Spool]:
        """Give a spool for what is read of REFERENCE, which its errors name."""
        try:
            file = tempfile.TemporaryFile(dir=directory(), buffering=0)  # noqa: SIM115 - closed below
        except OSError as error:
            raise _no_room(reference, error) from error
        with file:
            yield cls(cast("BinaryIO", file), reference)

    def take(self, chunks: Iterable[bytes]) -> Content:
        """Give the content that CHUNKS are; raise SourceError when there is no room for it."""
        start = self._end
        try:
            for chunk in chunks:
                if not chunk[:_BLOCK].strip(b"\0") and chunk == bytes(len(chunk)):
                    self._end += len(chunk)  # a hole: what packs best takes no room here
                else:
                    self._write(chunk)
            if self._end > os.fstat(self._file.fileno()).st_size:
                os.ftruncate(self._file.fileno(), self._end)
        except OSError as error:
            raise _no_room(self._reference, error) from error
        return Content([Piece(self._blob, start, self._end - start)])

    def _write(self, chunk: bytes) -> None:
        view = memoryview(chunk)
        while view:
            written = os.pwrite(self._file.fileno(), view, self._end)
            self._end += written
            self._written += written
            view = view[written:]
        if self._written > self._looked_at + _OFTEN:
            # How much a packed blob comes to is known at its end, which a bomb has none of.
            self._looked_at = self._written
            if shutil.disk_usage(self._file.fileno()).free < _LEFT_FREE:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@contextmanager
def temporary_file(what: str) -> Iterator[BinaryIO]:
    """Give a file without a name for WHAT is to be written; raise DestinationError when there is no room for it."""
    try:
        with tempfile.TemporaryFile(dir=directory(), buffering=1 << 20) as file:
            yield cast("BinaryIO", file)
    except OSError as error:
        raise DestinationError(
            f"{what} cannot be kept in {directory()}: {error.strerror}; set TMPDIR to another directory"
        ) from error


def require_room(size: int, deed: str, kind: type[SlimmerError]) -> None:
    """Raise a KIND of SlimmerError when SIZE bytes more do not fit where spools lie; DEED is what takes them."""
    place = directory()
    free = shutil.disk_usage(place).free
    if free < size:
        raise kind(f"{deed} {size:,} bytes in {place}, where {free:,} are free; set TMPDIR to a larger one")


def directory() -> str:
    """Give where spools lie: TMPDIR, else /var/tmp where /tmp is memory, as on Debian 13."""
    chosen = tempfile.gettempdir()
    if chosen != "/tmp" or os.environ.get("TMPDIR"):  # noqa: S108 - what gettempdir says
        return chosen
    mounts = Path("/proc/self/mounts")
    lines = mounts.read_text("utf-8", "replace").splitlines() if mounts.exists() else []
    return "/var/tmp" if any(line.split()[1:3] == ["/tmp", "tmpfs"] for line in lines) else chosen  # noqa: S108 - both


def _no_room(reference: str, error: OSError) -> SourceError:
    return SourceError(
        f"{reference} cannot be kept in {directory()}: {error.strerror}; set TMPDIR to another directory"
    )
