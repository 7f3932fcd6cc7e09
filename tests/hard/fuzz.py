"""Mutate real objects and archives, and see that slimmer makes of each what is right, or nothing, in time.

    python tests/hard/run.py fuzz [--count 100000] [--first 0] [--seed 1]

Object N of a seed is always the same: `--first N --count 1` repeats one. Each 500 are done in a process of its own,
so that one that dies or never ends is found, and told by its number.
"""

from __future__ import annotations

import argparse
import json
import os
import pickle
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import judged
import mutations

if TYPE_CHECKING:
    from collections.abc import Sequence

_MEMORY = 400 << 20
_PATIENCE = 300
_BATCH = 500


def main(words: Sequence[str] | None = None) -> bool:
    """Try so many mutations and print what is wrong; say whether nothing is."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args(words)
    if arguments.worker is not None:
        _work(arguments.worker, arguments.seed, range(arguments.first, arguments.first + arguments.count))
        return True
    started = time.monotonic()
    wrong: list[str] = []
    figures = Figures()
    with tempfile.TemporaryDirectory(prefix="slimmer-fuzz-") as directory:
        subjects = mutations.subjects(Path(directory))
        print(f"{len(subjects)} subjects: {', '.join(subject.name for subject in subjects)}")
        kept = Path(directory, "subjects")
        kept.write_bytes(pickle.dumps(subjects))
        for first in range(arguments.first, arguments.first + arguments.count, _BATCH):
            count = min(_BATCH, arguments.first + arguments.count - first)
            found = _batch(kept, arguments.seed, first, count, figures)
            wrong += found
            for line in found:
                print(line, flush=True)
    print(f"{arguments.count} mutations in {time.monotonic() - started:.0f} s: {figures}; {len(wrong)} wrong")
    return not wrong


@dataclass(slots=True)
class Figures:
    """What was seen of all batches."""

    changed: int = 0
    slowest: float = 0.0
    memory: int = 0

    def __str__(self) -> str:
        return f"{self.changed} changed, the slowest took {self.slowest:.1f} s, peak {self.memory >> 20} MB"


def _batch(subjects: Path, seed: int, first: int, count: int, figures: Figures) -> list[str]:
    """Give what is wrong with so many mutations."""
    words = [sys.executable, __file__, "--worker", subjects, "--seed", seed, "--first", first, "--count", count]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    try:
        done = subprocess.run(
            list(map(str, words)), capture_output=True, text=True, timeout=_PATIENCE, check=False, env=environment
        )
    except subprocess.TimeoutExpired as error:
        done = subprocess.CompletedProcess(error.cmd, 1, (error.stdout or b"").decode(), "no end")
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    wrong = [f"{line['number']}, {line['subject']}: {'; '.join(line['wrong'])}" for line in lines if line.get("wrong")]
    if done.returncode:
        last = max((line["number"] for line in lines if "number" in line), default=first - 1)
        wrong.append(f"{last + 1}: exit status {done.returncode}: {done.stderr[-800:]}")
    memory = max((line["memory"] for line in lines if "memory" in line), default=0)
    if memory > _MEMORY:
        wrong.append(f"{first} to {first + count}: {memory >> 20} MB of memory")
    figures.memory = max(figures.memory, memory)
    figures.changed += sum(line.get("changed", 0) for line in lines)
    figures.slowest = max([figures.slowest, *(line.get("seconds", 0.0) for line in lines)])
    return wrong


def _work(kept: Path, seed: int, numbers: range) -> None:
    subjects = pickle.loads(kept.read_bytes())  # noqa: S301 - this program wrote it
    for number in numbers:
        subject = subjects[number % len(subjects)]
        found = judged.judged(subject, mutations.mutated(subject.data, f"{seed}:{number}"), number=number)
        print(json.dumps({"number": number, "subject": subject.name, **asdict(found)}), flush=True)
    print(json.dumps({"memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10}))


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
