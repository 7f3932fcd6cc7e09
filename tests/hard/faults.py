"""Every request of a run fails in every way: it is answered 500, or the connection is cut before, in and after it.

A run gets over it or ends with 4 or 5 and a sentence; nothing is tagged that is not proved, and nothing is left.
"""

from __future__ import annotations

import argparse
import re
from collections import Counter
from typing import TYPE_CHECKING

import click

from forwarder import Fault, forwarded
from strikes import Arena, Struck, Way, own_arena

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_ANOTHER_EACH_TIME = re.compile(r"(slimmer-|slimmer-trial:)[0-9]+-[0-9a-z-]+|sha256:[0-9a-f]{64}")
_FAULTS: dict[str, Callable[[str], Fault]] = {
    "answered 500": lambda pattern: Fault(pattern, status=500),
    "cut before the engine has it": lambda pattern: Fault(pattern, before_engine=0),
    "cut in the middle": lambda pattern: Fault(pattern, before_engine=1 << 20),
    "cut before the answer": lambda pattern: Fault(pattern, from_engine=0),
    "cut in the answer": lambda pattern: Fault(pattern, from_engine=300),
}


def main(arguments: Sequence[str]) -> bool:
    """Make a run for each kind of request and each fault; print what became of it."""
    parser = argparse.ArgumentParser(prog="run.py faults", description=(__doc__ or "").strip())
    parser.add_argument("--only", default="", help="requests in which this pattern is found, as `POST /images/load`")
    parser.add_argument("--part", default="1/1", help="2/3: the second third of all, to divide the time it takes")
    chosen = parser.parse_args(arguments)
    part, parts = map(int, chosen.part.split("/"))
    statuses: Counter[int] = Counter()
    wrong = 0
    with own_arena(milliseconds=10, megabytes=4) as field:
        way = field.ways[1]
        field.spans(way)
        requests = [one for one in _requests(field, way) if re.search(chosen.only, one)]
        cases = [(request, name) for request in requests for name in _FAULTS][part - 1 :: parts]
        for request, name in cases:
            struck = faulted(field, way, _FAULTS[name](_pattern(request)))
            sentences = [*struck.wrong, *(f"left {what}" for what in struck.left), *struck.amiss_when_refused()]
            statuses[struck.status] += 1
            wrong += bool(sentences)
            last = (struck.said.splitlines() or [""])[-1] if struck.status else "it got over it"
            click.echo(f"{request} {name}: exit {struck.status}: {last}")
            for sentence in sentences:
                click.echo(f"    WRONG: {sentence}")
            if sentences:
                click.echo(struck.said)
                field.clean()
    click.echo(
        f"{len(cases)} faults: " + ", ".join(f"exit {status} {count}" for status, count in sorted(statuses.items()))
    )
    click.echo(f"did or left what no run may: {wrong}")
    return not wrong


def faulted(field: Arena, way: Way, fault: Fault) -> Struck:
    """Make a run over a connection with a fault."""
    with forwarded(field.engine.env["DOCKER_HOST"].removeprefix("unix://"), fault) as host:
        return field.look(field.start(way, host), way)


def _requests(field: Arena, way: Way) -> Iterator[str]:
    """Give each kind of request that a run makes: its method and its path, with a * for what is another one each time."""
    fault = Fault("^never$")
    faulted(field, way, fault)
    kinds = (_ANOTHER_EACH_TIME.sub("*", request.partition("?")[0]) for request in fault.seen)
    yield from dict.fromkeys(kinds)


def _pattern(kind: str) -> str:
    return "^" + re.escape(kind).replace(r"\*", "[^/?]*") + r"(\?|$)"
