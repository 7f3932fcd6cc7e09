"""Run a command and measure it: time, processor time, memory, temporary disk; its own, and the engine's where seen."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_PERIOD = 0.2
_PATIENCE = 60
_PROC = Path("/proc")
_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - where slimmer's strip works on small archives
_ENGINE_PID = Path("/var/run/docker.pid")


@dataclass(frozen=True, slots=True)
class Measured:
    """What a command took. Sizes in bytes, `None` where this user may not look."""

    seconds: float
    cpu: float
    """User and system seconds of the command's processes, not of the engine."""
    engine_cpu: float | None
    memory: int
    """The largest of what one process had resident at its peak and of what all had at once, shared pages once."""
    temporary: int
    """The most that lay in its TMPDIR and in files that it had open and that have no name any more."""
    engine_temporary: int | None
    """The most that lay in the engine's own directory for temporary files."""


class CommandError(Exception):
    """A command that did not end well: nothing that it took is a figure."""


class _Sampler:
    """Looks at the processes of one session again and again, until it is stopped."""

    def __init__(self, session: int, temporary: Path, engine_temporary: Path | None) -> None:
        self._session = _Session(session)
        self._directories = (temporary, engine_temporary)
        self.memory = 0
        self.temporary = 0
        self.engine_temporary: int | None = None
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        own, engine = self._directories
        while not self._stopped.wait(_PERIOD):
            processes = self._session.processes()
            self.memory = max(self.memory, sum(map(_resident, processes)))
            in_memory = sum(map(_below, _SHARED_MEMORY.glob(".slimmer-*")))
            self.temporary = max(self.temporary, _below(own) + _nameless(processes) + in_memory)
            if engine is not None and os.access(engine, os.R_OK | os.X_OK):
                self.engine_temporary = max(self.engine_temporary or 0, _below(engine))


def measure(command: Sequence[str], temporary: Path, log: Path, engine_temporary: Path | None) -> Measured:
    """Run COMMAND with TEMPORARY as its TMPDIR and give what it took; what it prints goes to LOG.

    Raises CommandError, with its last words, when it fails. An interrupt is passed on to it, and it is waited for: it
    may have something to clean up.
    """
    environment = {**os.environ, "TMPDIR": str(temporary)}
    engine_before = _engine_seconds()
    start = time.monotonic()
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment, start_new_session=True
        )
    sampler = _Sampler(process.pid, temporary, engine_temporary)
    try:
        _, status, usage = os.wait4(process.pid, 0)
    except BaseException:
        _end(process)
        raise
    finally:
        seconds = time.monotonic() - start
        sampler.stop()
    process.returncode = os.waitstatus_to_exitcode(status)
    engine_after = _engine_seconds()
    if process.returncode:
        words = log.read_text("utf-8", "replace").strip().splitlines()[-3:]
        raise CommandError(f"{' '.join(command)} ended with {process.returncode}: {' / '.join(words)}")
    return Measured(
        seconds=seconds,
        cpu=usage.ru_utime + usage.ru_stime,
        engine_cpu=None if engine_before is None or engine_after is None else engine_after - engine_before,
        memory=max(usage.ru_maxrss << 10, sampler.memory),
        temporary=sampler.temporary,
        engine_temporary=sampler.engine_temporary,
    )


def _end(process: subprocess.Popen[bytes]) -> None:
    for number in (signal.SIGINT, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
            process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            continue
        except ProcessLookupError:
            process.wait()
        return


class _Session:
    """The processes of a session, looked up again and again at little cost: those of others are looked at once."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._foreign: set[str] = set()

    def processes(self) -> list[Path]:
        """Give the directories of those there are now."""
        present = {name for name in os.listdir(_PROC) if name.isdigit()}  # noqa: PTH208 - five times a second
        self._foreign &= present
        found = []
        for name in present - self._foreign:
            try:
                # The name, which may hold anything, ends with the last parenthesis (proc(5)).
                fields = (_PROC / name / "stat").read_text("utf-8", "replace").rpartition(")")[2].split()
            except OSError:
                continue  # it has ended since
            if int(fields[3]) == self._number:
                found.append(_PROC / name)
            else:
                self._foreign.add(name)
        return found


def _resident(process: Path) -> int:
    """Give a process's share of what is resident."""
    try:
        lines = (process / "smaps_rollup").read_text("utf-8", "replace").splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) << 10 for line in lines if line.startswith("Pss:"))


def _nameless(processes: Sequence[Path]) -> int:
    """Give what open files without a name take on disk, each once; memory with a descriptor is none."""
    found: dict[tuple[int, int], int] = {}
    for process in processes:
        try:
            descriptors = list((process / "fd").iterdir())
        except OSError:
            continue
        for descriptor in descriptors:
            try:
                status = descriptor.stat()
                if stat.S_ISREG(status.st_mode) and not status.st_nlink and "/memfd:" not in str(descriptor.readlink()):
                    found[status.st_dev, status.st_ino] = status.st_blocks * 512
            except OSError:
                continue
    return sum(found.values())


def _below(directory: Path) -> int:
    total = 0
    for path, _, names in os.walk(directory):
        for name in names:
            try:
                total += os.lstat(f"{path}/{name}").st_blocks * 512
            except OSError:
                continue
    return total


def _engine_seconds() -> float | None:
    """Give the processor time of the engine and of the helpers it has waited for, or None where that is not seen."""
    try:
        stat_file = _PROC / _ENGINE_PID.read_text().strip() / "stat"
        fields = stat_file.read_text("utf-8", "replace").rpartition(")")[2].split()
    except OSError:
        return None
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
