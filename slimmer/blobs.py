"""Where bytes lie that nobody copies: in memory, in an open file, or nowhere, as zeros. What a content is made of.

A blob may be sent to another process of slimmer: it is the same bytes there.
"""

from __future__ import annotations

import os
import pickle
import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Callable


class Blob(Protocol):
    """A run of bytes that can be read at any place, again and again."""

    def read_at(self, offset: int, length: int) -> bytes:
        """Give exactly LENGTH bytes from OFFSET; raise EOFError when there are fewer."""


@runtime_checkable
class ByPath(Protocol):
    """A blob that is read by a path in the directory of its layer, whatever lies there by then."""

    @property
    def path(self) -> str:
        """The path, as the layer's tar names it but for `.`, `..` and a leading slash."""


@dataclass(frozen=True, slots=True)
class Bytes:
    """A blob held in memory: headers and other small things that slimmer wrote itself."""

    data: bytes

    def read_at(self, offset: int, length: int) -> bytes:
        """Give exactly LENGTH bytes from OFFSET."""
        return self.data[offset : offset + length]


class Zeros:
    """A blob of zeros without end: the hole of a sparse file, and padding."""

    def read_at(self, offset: int, length: int) -> bytes:  # noqa: ARG002 - the same everywhere
        """Give LENGTH zeros."""
        return bytes(length)

    def __reduce__(self) -> str:
        """Stay the one that there is, in another process too."""
        return "ZEROS"


ZEROS = Zeros()


class File:
    """A blob that lies in an open file. The file must stay open, and unchanged, as long as anything refers to it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._descriptor = file.fileno()

    def read_at(self, offset: int, length: int) -> bytes:
        """Give exactly LENGTH bytes from OFFSET; raise EOFError when the file ends before."""
        return read_exactly(self._descriptor, offset, length)

    def __reduce__(self) -> tuple[Callable[[str], File], tuple[str]]:
        """Be the same file in another process of this machine and user, as long as this one has it open (proc(5))."""
        path = f"/proc/{os.getpid()}/fd/{self._descriptor}"
        if not Path(path).exists():
            raise pickle.PicklingError("an open file can be passed to another process on Linux only")
        return _opened_elsewhere, (path,)


def _opened_elsewhere(path: str) -> File:
    file = Path(path).open("rb", buffering=0)  # noqa: SIM115 - open as long as the blob is there
    blob = File(file)
    weakref.finalize(blob, file.close)
    return blob


def read_exactly(descriptor: int, offset: int, length: int) -> bytes:
    """Give exactly LENGTH bytes of an open file from OFFSET; raise EOFError when it ends before."""
    data = os.pread(descriptor, length, offset)
    if len(data) == length:
        return data
    parts = [data]
    missing = length - len(data)
    while missing:
        more = os.pread(descriptor, missing, offset + length - missing)
        if not more:
            raise EOFError(f"the file ends {missing} bytes before the end of a content")
        parts.append(more)
        missing -= len(more)
    return b"".join(parts)
