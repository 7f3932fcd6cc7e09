"""kill -9 at random moments: the source untouched, no name moved to what is not proved, all gone after the next command."""

from __future__ import annotations

import argparse
import random
import signal
from collections import Counter
from typing import TYPE_CHECKING

import click

from strikes import Struck, own_arena

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str]) -> bool:
    """Kill runs, each in a way and at a moment chosen by lot, and clean up after each; print what was found."""
    parser = argparse.ArgumentParser(prog="run.py kills", description=(__doc__ or "").strip())
    parser.add_argument("--kills", type=int, default=100, help="how many runs are killed")
    parser.add_argument("--seed", type=int, default=1, help="what the lot begins with")
    parser.add_argument("--way", help="kill runs of this way only, instead of each in turn")
    chosen = parser.parse_args(arguments)
    lot = random.Random(chosen.seed)  # noqa: S311 - moments, not secrets
    stages: Counter[str] = Counter()
    left_first, left_after, wrong, named = 0, 0, 0, 0
    killed = 0
    with own_arena() as field:
        ways = [way for way in field.ways if chosen.way in {None, way.name}]
        while killed < chosen.kills:
            way = ways[killed % len(ways)]
            moment = field.moment(lot, way)
            struck = field.strike(moment, signal.SIGKILL)
            if struck.status != -signal.SIGKILL:
                continue  # it had ended before its moment came
            killed += 1
            stages[struck.stage] += 1
            named += struck.is_tagged
            left_first += bool(struck.left)
            said = field.clean() if lot.random() < 0.5 else field.run_again(way)
            left = field.left()
            left_after += bool(left)
            wrong += bool(struck.wrong)
            _tell(f"{killed}: {moment}", struck, left, said if left else "")
        click.echo(
            f"killed {killed}, by stage: {', '.join(f'{stage} {count}' for stage, count in sorted(stages.items()))}"
        )
        click.echo(f"had got the name of its result, all proved: {named}; did what no run may: {wrong}")
        click.echo(
            f"left something in the engine or on disk: {left_first}; after the next run or slimmer clean: {left_after}"
        )
    return not wrong and not left_after


def _tell(what: str, struck: Struck, left: list[str], said: str) -> None:
    click.echo(f"{what}: left {', '.join(struck.left) or 'nothing'}")
    for sentence in struck.wrong:
        click.echo(f"    WRONG: {sentence}")
    if left:
        click.echo(f"    STILL THERE: {', '.join(left)}\n{said}")
