from __future__ import annotations

from slimmer.chunks import Buffers


def test_a_buffer_is_used_again_when_nobody_looks_at_it() -> None:
    """The same memory comes back once the last view of a part of it is gone, and not before."""
    buffers = Buffers()
    first = buffers.take()
    part = memoryview(first)[10:20][2:4]
    buffers.give_back(first)
    second = buffers.take()

    assert second is not first
    del part
    assert buffers.take() is first


def test_a_buffer_that_was_not_given_back_is_nobody_elses() -> None:
    """Two that are taken at a time are two."""
    buffers = Buffers()

    assert buffers.take() is not buffers.take()
