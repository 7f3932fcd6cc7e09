from __future__ import annotations

import subprocess
import time
from dataclasses import replace
from pathlib import Path

from slimmer.runs import Run

A_DAY = 86_400 * 10**9


def test_a_run_is_read_from_its_own_text() -> None:
    """With whatever follows it, as in the name of an image; any other text is none."""
    run = Run.this()

    assert Run.parse(f"{run}-1-result") == run
    assert Run.parse(f"kept-{run}") is None
    assert Run.parse("latest") is None


def test_a_run_is_over_when_its_process_is_gone() -> None:
    """This one goes on; one of a process that ended is over, and so is one whose number another process has now."""
    run = Run.this()
    with subprocess.Popen(["sleep", "60"]) as process:
        ticks = int(Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[19])
        other = replace(run, pid=process.pid, ticks=ticks)
        while_it_runs = other.is_over()
        process.kill()

    assert not run.is_over()
    assert not while_it_runs
    assert other.is_over()
    assert replace(run, ticks=run.ticks - 1).is_over()


def test_a_run_of_another_machine_is_over_after_a_day() -> None:
    """Its process cannot be looked for here."""
    elsewhere = replace(Run.this(), origin="0" * 12)

    assert not elsewhere.is_over()
    assert replace(elsewhere, began=time.time_ns() - A_DAY - 10**9).is_over()
