"""Files that appear whole or not at all, and whether they may appear where somebody wants them."""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, BinaryIO

from slimmer.chunks import CHUNK
from slimmer.errors import DestinationError, UsageError
from slimmer.temporary import unfinished

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@contextmanager
def replacing(directory: Path) -> Iterator[tuple[BinaryIO, Callable[[Path], None]]]:
    """Give a new file in a directory, and what gives it a name in there at once; otherwise nothing of it is left.

    Of a run that is killed the file stays until the next one writes there.
    """
    name = unfinished(directory)
    try:
        with name.open("x+b", buffering=CHUNK) as file:

            def put_as(path: Path) -> None:
                file.flush()
                name.replace(path)

            yield file, put_as
    finally:
        with suppress(FileNotFoundError):
            name.unlink()


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Make a DestinationError of what the system says while PATH is written."""
    try:
        yield
    except OSError as error:
        raise DestinationError(f"{path} cannot be written: {error.strerror or error}; nothing was put there") from error


def check_file(path: Path, own: Path | None) -> None:
    """Raise unless a file may appear as PATH: UsageError where that is OWN, the source, else DestinationError."""
    if own is not None and path.exists() and own.samefile(path):
        raise UsageError(f"{path} is the source image, which slimmer never overwrites; name another file")
    if path.exists() and not path.is_file():
        raise DestinationError(f"{path} is not a file that could be replaced; name another one")
    check_directory(path.absolute().parent)


def check_directory(directory: Path) -> None:
    """Raise DestinationError when no file can be made in a directory."""
    if not directory.is_dir():
        raise DestinationError(f"there is no directory {directory}; make it first")
    if not os.access(directory, os.W_OK | os.X_OK):
        raise DestinationError(f"{directory} cannot be written to by this user")


def require_room(directory: Path, size: int) -> None:
    """Raise DestinationError when SIZE bytes do not fit into a directory's file system."""
    free = shutil.disk_usage(directory).free
    if free < size:
        raise DestinationError(f"the result takes {size:,} bytes in {directory}, where {free:,} are free")
