"""Ctrl-C at random moments: exit 130 and nothing left, at once; or the whole result, where it came after the decision."""

from __future__ import annotations

import argparse
import random
import signal
from collections import Counter
from typing import TYPE_CHECKING

import click

from strikes import INTERRUPTED, own_arena

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str]) -> bool:
    """Interrupt runs, each in a way and at a moment chosen by lot; print what was found."""
    parser = argparse.ArgumentParser(prog="run.py interrupts", description=(__doc__ or "").strip())
    parser.add_argument("--interrupts", type=int, default=50, help="how many runs are interrupted")
    parser.add_argument("--seed", type=int, default=1, help="what the lot begins with")
    parser.add_argument("--way", help="interrupt runs of this way only, instead of each in turn")
    chosen = parser.parse_args(arguments)
    lot = random.Random(chosen.seed)  # noqa: S311 - moments, not secrets
    stages: Counter[str] = Counter()
    statuses: Counter[int] = Counter()
    wrong = number = 0
    with own_arena() as field:
        ways = [way for way in field.ways if chosen.way in {None, way.name}]
        while number < chosen.interrupts:
            way = ways[number % len(ways)]
            moment = field.moment(lot, way)
            struck = field.strike(moment, signal.SIGINT)
            if not struck.was_in_time:
                continue
            number += 1
            stages[struck.stage] += 1
            statuses[struck.status] += 1
            sentences = [*struck.wrong, *(f"left {what}" for what in struck.left), *struck.amiss_when_interrupted()]
            wrong += bool(sentences)
            click.echo(f"{number}: {moment}: exit {struck.status}")
            for sentence in sentences:
                click.echo(f"    WRONG: {sentence}\n{struck.said}")
    click.echo(
        f"interrupted {number}, by stage: {', '.join(f'{name} {count}' for name, count in sorted(stages.items()))}"
    )
    click.echo(f"exit status: {', '.join(f'{status}: {count} times' for status, count in sorted(statuses.items()))}")
    click.echo(f"({-signal.SIGINT} is Python's own end before it runs slimmer; a shell calls that {INTERRUPTED}, too)")
    click.echo(f"did or left what no run may: {wrong}")
    return not wrong
