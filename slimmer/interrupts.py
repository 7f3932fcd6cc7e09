"""Ctrl-C and SIGTERM as one exception, and moments in which they must wait.

Some calls to the engine cannot be taken back once they are sent: an image that is being registered appears after its
client has left. In such a moment an interrupt is remembered and raised afterwards, when there is something to clean
up.
"""

from __future__ import annotations

import os
import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


_process: list[int] = []
"""The process that `install` was called in. A program that uses slimmer from Python keeps its signals."""


def install() -> None:
    """Make SIGTERM and SIGHUP interrupt as Ctrl-C does. For the main thread, once."""
    _process.append(os.getpid())
    for number in _SIGNALS:
        if signal.getsignal(number) != signal.SIG_IGN:  # nohup stays nohup
            signal.signal(number, signal.default_int_handler)


def ignore() -> None:
    """Let no interrupt change anything from here on: what the person asked for is done, and only to be told.

    Only in a process that is slimmer's own; another would not hear of Ctrl-C any more when slimmer is done.
    """
    if os.getpid() not in _process:
        return
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)


_holds: list[None] = []
"""Not empty while interrupts are held."""


@contextmanager
def held(on_interrupt: Callable[[], None] | None = None) -> Iterator[None]:
    """Let no interrupt in; raise KeyboardInterrupt at the end when one came. A third one is not held: it ends the wait.

    ON_INTERRUPT is called at the first, to tell the person why nothing happens yet. Within another hold it is that
    one's end that counts: several steps that belong together are all done.
    """
    if threading.current_thread() is not threading.main_thread() or _holds:
        yield
        return
    count = 0

    def remember(number: int, frame: FrameType | None) -> None:
        nonlocal count
        count += 1
        if count == 1 and on_interrupt is not None:
            on_interrupt()
        if count > 2:
            signal.default_int_handler(number, frame)

    before = {
        number: signal.signal(number, remember) for number in _SIGNALS if signal.getsignal(number) != signal.SIG_IGN
    }
    _holds.append(None)
    try:
        yield
    finally:
        _holds.clear()
        for number, handler in before.items():
            signal.signal(number, handler)
        if count:
            # Whatever else went wrong meanwhile: an error that the caller passes over would take the interrupt with it.
            raise KeyboardInterrupt
