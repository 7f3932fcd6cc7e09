"""Files of which the kernel holds nothing, or how much it does."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path


def held(path: Path) -> int:
    """Give how many bytes of a file the kernel holds in memory: to read it would change that."""
    command = ["fincore", "--bytes", "--raw", "--noheadings", "--output", "RES", str(path)]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def forget(path: Path) -> None:
    """Have the kernel write a file and forget it."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    if held(path):
        pytest.fail(f"the file system of {path} keeps all its files in memory; set TMPDIR to a directory on a disk")
