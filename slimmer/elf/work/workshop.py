"""Libraries slimmed beside everything else, in a second process: Python runs one thread at a time.

Reading headers, the proof and above all static archives take as long as all the rest of a dry run. What is begun early
is done on another processor while this one links; what is not done when it is asked for, both do.
"""

from __future__ import annotations

import json
import os
import pickle
import socket
import subprocess
import sys
import tempfile
import weakref
from collections import deque
from contextlib import contextmanager, nullcontext, suppress
from threading import Condition, Thread
from typing import TYPE_CHECKING, Any

from slimmer.blobs import File
from slimmer.elf.work.library import Kind, slim
from slimmer.elf.work.passing import messages, packed, send, understood
from slimmer.errors import SlimmerError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from slimmer.elf.work.library import Outcome, Task

_PROGRAM = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from slimmer.elf.work import worker; worker.main(*map(int, sys.argv[2:]))"
)
_AHEAD = 32
"""How many shared objects the other process has before it, so that it need not wait for this one's turn between two."""
_ARCHIVE = 16
"""How many of them an archive is worth: it takes longer, and this process could do it meanwhile."""
_TIME_TO_END = 5.0
_ENDED = SlimmerError(
    "the process that slims libraries beside slimmer's own was ended by something else, for want of memory perhaps; "
    "run slimmer again"
)


class Workshop:
    """Where libraries are slimmed. Each task is done once, however often its outcome is asked for."""

    def __init__(self) -> None:
        self._changed = Condition()
        self._waiting: deque[Task] = deque()
        self._done: dict[Task, Outcome | Exception | None] = {}
        """What became of each task, or what was raised, which is nobody's concern where the task is not wanted."""
        self._begun: set[Task] = set()
        self._only_here: deque[Task] = deque()
        """Those whose content no other process can read."""
        self._error: Exception | None = None
        self._is_open = False

    @classmethod
    @contextmanager
    def opened(cls) -> Iterator[Workshop]:
        """Give a workshop with a second process, where this machine has a second processor, until the context ends.

        What is asked of it afterwards is done in this process.
        """
        workshop = cls()
        with workshop._beside() if _has_room() else nullcontext():
            yield workshop

    def begin(self, tasks: Iterable[Task]) -> None:
        """Begin with tasks; without a second process they wait until their outcomes are asked for.

        The second process begins with shared objects and this one with the largest archive: so they meet as late as
        can be, and LIEF, which takes as long to import as to read a hundred libraries, is imported in one of them.
        """
        with self._changed:
            new = [task for task in tasks if task not in self._begun]
            self._begun.update(new)
            self._waiting.extend(new)
            self._waiting = deque(sorted(self._waiting, key=_effort))
            self._changed.notify_all()

    def outcomes(self, tasks: Sequence[Task], done: Callable[[Task], None]) -> list[Outcome | None]:
        """Give the outcome of each task, in order. DONE hears of every one that is done.

        Begun tasks that are not among them are forgotten. Raises what a task raises that cannot be done.
        """
        wanted = set(tasks)
        with self._changed:
            for tasks_left in (self._waiting, self._only_here):
                self._begun.difference_update(task for task in tasks_left if task not in wanted)
            self._waiting = deque(task for task in self._waiting if task in wanted)
            self._only_here = deque(task for task in self._only_here if task in wanted)
        self.begin(tasks)
        mine = set()
        while (task := self._taken()) is not None:
            self._finish(task, slim(task))
            mine.add(task)
            done(task)
        found = []
        for task in tasks:
            found.append(self._waited_for(task))
            if task not in mine:
                done(task)
        return found

    def _waited_for(self, task: Task) -> Outcome | None:
        with self._changed:
            while task not in self._done:
                if self._error is not None:
                    raise self._error
                self._changed.wait()
            outcome = self._done[task]
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def _taken(self) -> Task | None:
        with self._changed:
            tasks = self._waiting or self._only_here
            return tasks.pop() if tasks else None

    def _finish(self, task: Task, outcome: Outcome | Exception | None) -> None:
        with self._changed:
            self._done[task] = outcome
            self._changed.notify_all()

    @contextmanager
    def _beside(self) -> Iterator[None]:
        """Have a second process work on what waits, until the context ends."""
        mine, its = socket.socketpair()
        with mine, tempfile.TemporaryFile(buffering=0) as file:
            with its:
                process = _started(its.fileno(), file.fileno())
            # What strip writes there outlives this context as long as anything refers to it.
            kept = os.fdopen(os.dup(file.fileno()), "rb", buffering=0)
            spooled = File(kept)
            weakref.finalize(spooled, kept.close)
            self._is_open = True
            thread = Thread(target=self._feed, args=(mine, spooled), daemon=True)
            thread.start()
            try:
                yield
            finally:
                with self._changed:
                    self._is_open = False
                    self._begun = {
                        *self._done,
                        *self._waiting,
                        *self._only_here,
                    }  # what it was at goes back to who asks for it next
                    self._changed.notify_all()
                with suppress(OSError):  # it has ended already
                    mine.shutdown(socket.SHUT_RDWR)
                try:
                    with suppress(subprocess.TimeoutExpired):
                        process.wait(_TIME_TO_END)
                finally:
                    process.kill()
                    process.wait()
                    thread.join()

    def _feed(self, stream: socket.socket, spooled: File) -> None:
        """Keep the second process busy; what goes wrong there is raised where the outcome is asked for."""
        sent: deque[Task] = deque()
        with stream.makefile("rb") as incoming:
            answers = messages(incoming)
            if next(answers, None) is None:
                return  # it cannot run where this one can, as in a program with a Python of its own; nothing was sent
            try:
                while self._send(stream, sent):
                    answer: Any = next(answers, _ENDED)
                    if answer is _ENDED:
                        self._fail(_ENDED)
                        return
                    task = sent.popleft()
                    is_error = isinstance(answer, Exception)
                    self._finish(task, answer if is_error else understood(answer, task, spooled))
            except OSError:
                self._fail(_ENDED)
            except Exception as error:  # noqa: BLE001 - raised again in the thread that waits for it
                self._fail(error)

    def _send(self, stream: socket.socket, sent: deque[Task]) -> bool:
        """Send tasks as long as some wait and fewer are SENT than may be; say whether an answer is to come."""
        while sum(map(_worth, sent)) < _AHEAD and (task := self._next(wait=not sent)) is not None:
            try:
                send(stream, packed(task))
            except (TypeError, pickle.PicklingError):  # it lies where only this process can read
                with self._changed:
                    self._only_here.append(task)
                    self._changed.notify_all()
            else:
                sent.append(task)
        return bool(sent)

    def _next(self, *, wait: bool) -> Task | None:
        with self._changed:
            while wait and self._is_open and not self._waiting:
                self._changed.wait()
            return self._waiting.popleft() if self._is_open and self._waiting else None

    def _fail(self, error: Exception) -> None:
        with self._changed:
            if self._is_open:
                self._error = error
            self._changed.notify_all()


def _has_room() -> bool:
    """Say whether a second process can run beside this one: a frozen program would start itself again."""
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return processors > 1 and bool(sys.executable) and not getattr(sys, "frozen", False)


def _started(connection: int, spool: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-P", "-c", _PROGRAM, json.dumps(sys.path), str(connection), str(spool)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        pass_fds=(connection, spool),
        process_group=0,  # a terminal's Ctrl-C is for this process, which ends that one
    )


def _worth(task: Task) -> int:
    return _ARCHIVE if task.kind is Kind.ARCHIVE else 1


def _effort(task: Task) -> tuple[bool, int]:
    return task.kind is Kind.ARCHIVE, task.content.size
