"""Runs that end in the middle: kill -9 leaves what the next command removes, Ctrl-C and SIGTERM leave nothing at all.

Moments by lot, a hundred and more of them, are tests/hard's.
"""

from __future__ import annotations

import contextlib
import signal
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from own_engine import OwnEngine
from strikes import Moment

if TYPE_CHECKING:
    from strikes import Arena

pytestmark = pytest.mark.engine

IN_PLACE, REMOTE, ARCHIVE, LAYOUT, DEBUG_FILES = range(5)
KILLED = [
    (REMOTE, "reading", 0.1), (DEBUG_FILES, "stripping", 0.03), (IN_PLACE, "writing", 0.1), (IN_PLACE, "verifying", 0.6),
    (LAYOUT, "saving", 0.01), (IN_PLACE, "verifying done", 0.0),
]  # fmt: skip
INTERRUPTED = [
    (IN_PLACE, None, 0.2), (REMOTE, "reading", 0.0), (REMOTE, "reading", 0.1), (DEBUG_FILES, "stripping", 0.02),
    (IN_PLACE, "writing", 0.0), (REMOTE, "writing", 0.2), (IN_PLACE, "writing done", 0.0), (IN_PLACE, "verifying", 0.0),
    (REMOTE, "verifying", 0.7), (IN_PLACE, "verifying", 1.3), (ARCHIVE, "saving", 0.0),
    (LAYOUT, "saving", 0.0),
]  # fmt: skip


def moment(field: Arena, way: int, part: str | None, seconds: float) -> Moment:
    """Give a moment of a run."""
    return Moment(field.ways[way], f"slimmer: {part}" if part is not None else None, seconds)


def test_what_a_killed_run_leaves_is_removed(field: Arena) -> None:
    """Six moments: the source and all names are as they were, and the next command removes every thing that was left."""
    left = set()
    for number, place in enumerate(KILLED):
        struck = field.strike(moment(field, *place), signal.SIGKILL)
        assert struck.wrong == [], f"{place}: {struck.said}"
        left |= {what.split()[0] for what in struck.left}

        said = field.run_again(field.ways[IN_PLACE]) if number == 1 else field.clean()

        assert field.left() == [], f"{place}: left {struck.left}: {said}"
        assert all(what.startswith("volume ") for what in struck.left) or "removed " in said
    assert left == {"container", "volume", "trial", "file"}


def test_an_interrupted_run_leaves_nothing(field: Arena) -> None:
    """Twelve moments, by SIGINT and SIGTERM in turn: exit 130, one sentence, no result, nothing in the engine or on disk."""
    for number, place in enumerate(INTERRUPTED):
        struck = field.strike(moment(field, *place), signal.SIGTERM if number % 2 else signal.SIGINT)

        assert struck.was_in_time, place
        assert struck.status == 130, f"{place}: {struck.said}"
        assert struck.amiss_when_interrupted() + struck.wrong + struck.left == [], f"{place}: {struck.said}"


def test_who_does_not_wait_for_the_engine_is_told_what_to_do(field: Arena) -> None:
    """Ctrl-C again and again while the engine hangs: exit 130, and no word that nothing is left."""
    assert isinstance(field.engine, OwnEngine)
    running = field.start(field.ways[IN_PLACE])
    running.wait("slimmer: verifying", 0.3)
    with field.engine.hanging():
        for _ in range(20):
            running.process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                running.process.wait(0.5)
                break

    assert running.ended() == 130, running.said
    last = "slimmer: interrupted; nothing was tagged; `slimmer clean` removes what may be left in the engine"
    assert running.said.splitlines()[-1] == last
    said = field.clean()  # an engine that goes on may do yet what it was asked for
    assert field.left() == [], said


@pytest.mark.parametrize("seconds", [0.01, 0.05, 0.2])
def test_whoever_interrupts_twice_has_all_cleaned_up(field: Arena, seconds: float) -> None:
    """The second Ctrl-C comes while the first thing of several is cleaned up, or when all is and Python ends."""
    running = field.start(field.ways[ARCHIVE])
    running.wait("slimmer: verifying", 0.7)
    running.process.send_signal(signal.SIGINT)
    time.sleep(seconds)
    running.process.send_signal(signal.SIGTERM)
    struck = field.look(running, field.ways[ARCHIVE])

    assert struck.status == 130, struck.said
    assert struck.amiss_when_interrupted() + struck.wrong + struck.left == [], struck.said
