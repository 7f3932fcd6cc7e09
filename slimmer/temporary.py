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
_MEMORY = Path("/dev/shm")  # noqa: S108 - shm_overview(7); names in it are as good as those in /tmp
_MAX_IN_MEMORY = 64 << 20
"""Bytes of memory that a program's files may take for a moment."""


def unfinished(directory: Path) -> Path:
    """Give a name in a directory for a file that gets its own when it is whole; what killed runs left there goes."""
    remove_left(directory)
    return directory / f"{_prefix()}{secrets.token_hex(4)}"


def working_directory(place: Path) -> tempfile.TemporaryDirectory[str]:
    """Give a directory for a program to work in, one in PLACE; it is gone when its context ends."""
    return tempfile.TemporaryDirectory(prefix=_prefix(), dir=place)


def places_for(size: int) -> list[Path]:
    """Give where a program may work that needs SIZE bytes, the best place first: in memory, when they are not many.

    strip makes a file of each member of an archive; where the disk keeps a journal that takes ten times as long as all
    the rest it does.
    """
    memory = [_MEMORY] if size <= _MAX_IN_MEMORY and _has_room(_MEMORY, size) else []
    return [*memory, Path(tempfile.gettempdir())]


def remove_left(place: Path) -> list[Path]:
    """Remove what runs that are over left in a directory, and give that; other people's things stay.

    What cannot be removed stays for the next who looks: strip may outlive who started it by a moment, and still write.
    """
    return [path for path in _left_in(place) if _removed(path)]


def remove_left_by_programs() -> list[Path]:
    """Remove what runs that are over left where programs work, in memory and in TMPDIR, and give that."""
    return [path for place in (_MEMORY, Path(tempfile.gettempdir())) for path in remove_left(place)]


def remove_left_below(places: Iterable[Path]) -> list[Path]:
    """Remove what runs that are over left in directories and in all that are below them, and give that."""
    removed = []
    for place in places:
        for directory, names, _ in os.walk(place):
            gone = remove_left(Path(directory))
            names[:] = [name for name in names if Path(directory, name) not in gone]
            removed += gone
    return removed


def _has_room(place: Path, size: int) -> bool:
    try:
        return os.access(place, os.W_OK | os.X_OK) and shutil.disk_usage(place).free >= size
    except OSError:
        return False


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
