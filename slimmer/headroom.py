"""Room on a disk that somebody else's program may fill: it is stopped while others can still write there."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from slimmer.errors import CheckError

if TYPE_CHECKING:
    from pathlib import Path

_LEAST = 1 << 30
_UNNOTICED = 256 << 20


class Room:
    """What is free in DIRECTORY now, and must not all be taken. Without a directory nothing is looked at."""

    def __init__(self, directory: Path | None, least: int = _LEAST, unnoticed: int = _UNNOTICED) -> None:
        """Take the bytes that must stay free, and those that may be taken on a disk where less was free before."""
        self._directory = directory
        self._least = least
        self._unnoticed = unnoticed
        self._free = self._now()

    def require(self, who: str) -> None:
        """Raise CheckError, naming WHO writes there, when too little is free, and that not from the beginning."""
        now = self._now()
        if now < self._least and self._free - now > self._unnoticed:
            raise CheckError(
                f"{who} wrote until {now:,} bytes were free in {self._directory}, so it was stopped and nothing is "
                "proved or tagged; see what the image's program writes, or give the engine a larger disk"
            )

    def _now(self) -> int:
        return shutil.disk_usage(self._directory).free if self._directory is not None else self._least
