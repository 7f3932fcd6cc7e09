"""Which run something in an engine belongs to, so that the next run knows what a killed one left there.

A run is a process: its number, and when that began, since numbers are used again. An engine may serve several machines,
and containers with process numbers of their own; only who shares both with a run can tell that it is over.
"""

from __future__ import annotations

import hashlib
import os
import re
import socket
import time
from dataclasses import dataclass
from pathlib import Path

_FORM = re.compile(r"(\d+)-(\d+)-([0-9a-f]{12})-([0-9a-f]+)")
_PROC = Path("/proc")
_START_TIME = 19  # proc(5), stat: field 22, counted from the one after the program's name
_A_DAY = 86_400 * 10**9


@dataclass(frozen=True, slots=True)
class Run:
    """A run of slimmer; its text is part of the names of what it puts into an engine."""

    pid: int
    ticks: int
    """When the process began, in clock ticks since the machine did."""
    origin: str
    """What tells machines and process namespaces apart."""
    began: int
    """Nanoseconds since the epoch."""

    @classmethod
    def this(cls) -> Run:
        """Give the run that this process makes."""
        return cls(os.getpid(), _ticks(os.getpid()) or 0, _origin(), time.time_ns())

    @classmethod
    def parse(cls, text: str) -> Run | None:
        """Give the run whose text TEXT begins with, or None."""
        match = _FORM.match(text)
        return cls(int(match[1]), int(match[2]), match[3], int(match[4], 16)) if match is not None else None

    def is_over(self) -> bool:
        """Say whether its process is gone; of another machine's run, whether it began more than a day ago."""
        if self.origin != _origin() or not self.ticks:
            return time.time_ns() - self.began > _A_DAY
        return _ticks(self.pid) != self.ticks

    def __str__(self) -> str:
        return f"{self.pid}-{self.ticks}-{self.origin}-{self.began:x}"


def _ticks(pid: int) -> int | None:
    try:
        stat = (_PROC / str(pid) / "stat").read_text("utf-8", "replace")
    except OSError:
        return None
    return int(stat.rpartition(")")[2].split()[_START_TIME])


def _origin() -> str:
    try:
        machine = Path("/etc/machine-id").read_text("utf-8").strip()
        namespace = str((_PROC / "self/ns/pid").readlink())
    except OSError:
        machine, namespace = "", ""
    return hashlib.sha256(f"{machine or socket.gethostname()} {namespace}".encode()).hexdigest()[:12]
