"""A process that slims libraries for another one: what workshop.py starts.

It ends when the other end of its socket is closed, which is when whoever started it is done or dead, and takes strip
and its files with it.
"""

from __future__ import annotations

import gc
import os
import signal
import socket
import traceback
from contextlib import suppress
from queue import SimpleQueue
from threading import Thread
from typing import Any, BinaryIO

from slimmer.elf.binutils import Spool
from slimmer.elf.work.library import slim
from slimmer.elf.work.passing import READY, messages, send, told, unpacked
from slimmer.errors import SlimmerError


def main(connection: int, spool: int) -> None:
    """Slim what comes over the socket with the descriptor CONNECTION; SPOOL is that of the file for strip's results."""
    gc.set_threshold(200_000, 50, 1000)  # as in __main__.py, and for the same reason
    signal.signal(signal.SIGTERM, _end)
    # Whoever started this decides when it ends: on Ctrl-C, too.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    tasks: SimpleQueue[Any] = SimpleQueue()
    with socket.socket(fileno=connection) as stream, stream.makefile("rb") as incoming:
        Thread(target=_listen, args=(incoming, tasks), daemon=True).start()
        files = Spool(os.fdopen(spool, "r+b", buffering=0))
        send(stream, READY)
        with suppress(SystemExit, KeyboardInterrupt):
            while True:
                send(stream, _done(tasks.get(), files))
        os._exit(0)  # whoever waits for it need not wait until all is taken apart


def _listen(incoming: BinaryIO, tasks: SimpleQueue[Any]) -> None:
    """Take the tasks in as they come, so that who sends them never waits; at the end end this process."""
    try:
        for message in messages(incoming):
            tasks.put(message)
    finally:
        os.kill(os.getpid(), signal.SIGTERM)


def _end(*_: object) -> None:
    raise SystemExit


def _done(message: Any, files: Spool) -> object:  # noqa: ANN401 - whatever came
    """Give what became of a task as a message: an exception where that is how it ended."""
    try:
        task = unpacked(message, files)
        return told(slim(task), task, files)
    except SlimmerError as error:
        return error
    except Exception:  # noqa: BLE001 - a fault of slimmer's, told where somebody sees it
        return RuntimeError(traceback.format_exc())
