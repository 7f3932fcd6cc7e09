"""Do one thing to many items of an image with its interpreter, each in a process of its own, in few containers."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from slimmer.checks import Pair, Subject
    from slimmer.checks.interpreters import Interpreter

_MARK = "slimmer-probe: "
_BATCH = 400
_START = 60
"""Seconds in which a container and an interpreter begin, on a slow disk."""


@dataclass(frozen=True, slots=True)
class Deed:
    """What is done: Python 3.8 code of one line that does it to `item`, and the seconds that one may take."""

    code: str
    time_limit: int


def done_apart(
    pair: Pair, subject: Subject, deed: Deed, items: Mapping[Interpreter, Sequence[str]]
) -> dict[tuple[Interpreter, str], str]:
    """Give for every item what went wrong; the empty text when nothing did."""
    source = resources.files("slimmer.checks").joinpath("probes", "apart_probe.py").read_text("utf-8")
    found: dict[tuple[Interpreter, str], str] = {}
    for interpreter, its in items.items():
        for batch in _batched(its):
            words = [interpreter.path, "-c", source, interpreter.packages, deed.code, str(deed.time_limit), *batch]
            # Each item has a limit of its own in there; this one is for an interpreter that does not keep them.
            done = pair.run(subject, words, _START + deed.time_limit * len(batch))
            answer = next((line for line in done.stdout.splitlines() if line.startswith(_MARK)), None)
            trouble = "no answer in time" if done.status is None else f"the interpreter ended with {done.status}"
            said = _decoded(answer.removeprefix(_MARK)) if answer is not None else {}
            found |= {(interpreter, item): str(said.get(item, trouble)) for item in batch}
    return found


def _decoded(text: str) -> dict[str, Any]:
    """Give what a line of the probe says of each item; nothing where it is none of the probe's."""
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


def _batched(items: Sequence[str]) -> Iterable[Sequence[str]]:
    return (items[start : start + _BATCH] for start in range(0, len(items), _BATCH))


def grouped(pairs: Iterable[tuple[Interpreter, str]]) -> dict[Interpreter, list[str]]:
    """Give the items of each interpreter, in order and each once."""
    found: dict[Interpreter, dict[str, None]] = defaultdict(dict)
    for interpreter, item in pairs:
        found[interpreter][item] = None
    return {interpreter: list(items) for interpreter, items in found.items()}
