"""Temporary files that must have a name. It says which run they belong to: a killed run's are found and removed.

All that needs no name has none (tempfile.TemporaryFile) and goes with its process, however that ends.
"""

from __future__ import annotations

import os
import secrets
import shutil
import stat
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from slimmer.runs import Run

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_BEGINNING = ".slimmer-"


def unfinished(directory: Path) -> Path:
    """Give a name in a directory for a file that gets its own when it is whole; what killed runs left there goes."""
    remove_left(directory)
    return directory / f"{_prefix()}{secrets.token_hex(4)}"


def working_directory() -> tempfile.TemporaryDirectory[str]:
    """Give a directory for a program to work in, where temporary files lie; it is gone when its context ends."""
    return tempfile.TemporaryDirectory(prefix=_prefix())


def where_programs_work() -> Path:
    """Give the directory in which working directories are made: TMPDIR, or the system's."""
    return Path(tempfile.gettempdir())


def remove_left(place: Path) -> list[Path]:
    """Remove what runs that are over left in a directory, and give that; other people's things stay.

    What cannot be removed stays for the next who looks: strip may outlive who started it by a moment, and still write.
    """
    return [path for path in _left_in(place) if _removed(path)]


def remove_left_below(places: Iterable[Path]) -> list[Path]:
    """Remove what runs that are over left in directories and in all that are below them, and give that."""
    removed = []
    for place in places:
        for directory, names, _ in os.walk(place):
            gone = remove_left(Path(directory))
            names[:] = [name for name in names if Path(directory, name) not in gone]
            removed += gone
    return removed


def _prefix() -> str:
    return f"{_BEGINNING}{Run.this()}-"


def _left_in(place: Path) -> Iterator[Path]:
    try:
        with os.scandir(place) as entries:
            names = [entry.name for entry in entries if entry.name.startswith(_BEGINNING)]
    except (FileNotFoundError, PermissionError):
        return  # nothing of a run's can be there, or nobody is told
    for name in names:
        run = Run.parse(name.removeprefix(_BEGINNING))
        if run is not None and run.is_over():
            yield place / name


def _removed(path: Path) -> bool:
    try:
        status = path.lstat()
        # In a directory that everybody writes to, a name proves nothing.
        if status.st_uid != os.geteuid():
            return False
        if stat.S_ISDIR(status.st_mode):
            shutil.rmtree(path)
        else:
            path.unlink()
    except OSError:
        return False
    return True
