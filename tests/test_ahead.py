"""Chunks made ahead by a thread: the same ones, only so many, and nothing left running."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest

from slimmer.ahead import ahead

if TYPE_CHECKING:
    from collections.abc import Iterator


def _threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "slimmer-ahead"]


def test_the_chunks_come_in_order_and_the_thread_ends() -> None:
    """Whatever the limit is."""
    chunks = [bytes([number % 251]) * (number % 7) for number in range(1000)]
    for limit in (1, 100, 1 << 20):
        assert list(ahead(iter(chunks), limit)) == chunks
        assert not _threads()


def test_no_more_lie_ready_than_the_limit_and_one_chunk() -> None:
    """A layer is gigabytes: nobody may hold it because the engine is slow."""
    made: list[int] = []

    def chunks() -> Iterator[bytes]:
        for number in range(100):
            made.append(number)
            yield bytes(10)

    given = ahead(chunks(), 30)
    next(given)
    deadline = time.monotonic() + 10
    while len(made) < 5 and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.2)
    assert len(made) == 5  # one taken, three that fill the limit, one that waits for room
    assert len(list(given)) == 99


def test_what_making_a_chunk_raises_is_raised_in_its_place() -> None:
    """After all that came before it."""

    def chunks() -> Iterator[bytes]:
        yield b"first"
        yield b"second"
        raise EOFError("the file ends")

    given = ahead(chunks())
    assert [next(given), next(given)] == [b"first", b"second"]
    with pytest.raises(EOFError, match="the file ends"):
        next(given)
    assert not _threads()


def test_whoever_takes_no_more_ends_the_thread() -> None:
    """An interrupt closes the generator wherever it is; the thread may be waiting for room then."""
    for take in (0, 1, 3):
        given = ahead((bytes(10) for _ in range(10**9)), 20)
        for _ in range(take):
            next(given)
        given.close()
        assert not _threads()
