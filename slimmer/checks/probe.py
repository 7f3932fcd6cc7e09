"""Run a probe with an image's own interpreter in both images and compare what it computed.

A probe prints one line, `slimmer-probe: ` and JSON: `about`, facts that must be equal, and `cases`, per name a digest
of the bytes of the result and its norm, or the error; a probe that is about facts alone has none. Libraries may print
what they like around it.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Any

from slimmer.checks import FAILED, PASSED, SKIPPED, Pair, Subject, Verdict
from slimmer.checks.interpreters import Interpreter, with_package

if TYPE_CHECKING:
    from slimmer.containers import Completed

TIME_LIMIT = 600
"""Seconds that a probe may take in one image; importing a cold CUDA torch takes 60 of them on a slow disk."""

_MARK = "slimmer-probe: "
_TOLERANCE = 1e-4
# The image's own user, home or PYTHONPATH may be what makes a directory visible; the probe runs without them.
_PREAMBLE = "import sys\nif {0!r} not in sys.path: sys.path.append({0!r})\n"


@dataclass(frozen=True, slots=True)
class _Answer:
    """What a probe said in one image: its facts and cases, or why there are none."""

    said: dict[str, Any] | None
    trouble: str = ""
    timed_out: bool = False


@dataclass(frozen=True, slots=True)
class ProbeCheck:
    """A check that runs a probe with every interpreter that has a package, in both images, and compares all results."""

    name: str
    summary: str
    package: str
    script: str
    """Name of the probe's file in slimmer/checks/probes."""

    def examine(self, pair: Pair) -> Verdict:
        """Run the probe in both images; passed only when all that it computes is the same."""
        return _compare(pair, self.package, self.script)


def _compare(pair: Pair, package: str, script: str) -> Verdict:
    interpreters, orphans = with_package(pair.original.rootfs, package)
    if not interpreters:
        where = f", only without an interpreter, in {orphans[0]}" if orphans else ""
        return Verdict(SKIPPED, reason=f"the image has no {package}{where}")
    source = resources.files("slimmer.checks").joinpath("probes", script).read_text("utf-8")
    verdicts = [_compare_one(pair, interpreter, source) for interpreter in interpreters]
    for status in (FAILED, PASSED):
        chosen = [verdict for verdict in verdicts if verdict.status == status]
        if chosen:
            first = chosen[0]
            more = f" (and {len(chosen) - 1} more interpreters)" if len(chosen) > 1 else ""
            computed = sum(verdict.computed for verdict in chosen)
            return Verdict(status, first.original, first.slimmed, first.reason + more, computed)
    return verdicts[0]


def _compare_one(pair: Pair, interpreter: Interpreter, source: str) -> Verdict:
    original = _ask(pair, pair.original, interpreter, source)
    if original.timed_out:
        return Verdict(
            FAILED,
            original.trouble,
            reason=f"the original gave {original.trouble}: there is nothing to compare",
            blames_no_change=True,
        )
    if original.said is None:
        return Verdict(SKIPPED, original.trouble, reason=f"it does not work in the original either: {original.trouble}")
    slimmed = _ask(pair, pair.slimmed, interpreter, source)
    shown = _shown(original.said)
    if slimmed.said is None:
        return Verdict(
            FAILED, shown, slimmed.trouble, f"works in the original, not in the slimmed image: {slimmed.trouble}"
        )
    problems, inexact = _differences(original.said, slimmed.said)
    if problems:
        return Verdict(FAILED, shown, _shown(slimmed.said), "; ".join(problems))
    if not original.said["cases"]:
        return Verdict(PASSED, shown, _shown(slimmed.said), _about(original.said))
    count = len([case for case in original.said["cases"].values() if "error" not in case])
    if not count:
        return Verdict(
            SKIPPED, shown, _shown(slimmed.said), "every operation fails in the original, in the same way as now"
        )
    exactly = (
        f"{count} results equal to the bit"
        if not inexact
        else f"{count} results equal, {inexact} of them within {_TOLERANCE}"
    )
    return Verdict(PASSED, shown, _shown(slimmed.said), f"{exactly}; {_about(original.said)}", count)


def _ask(pair: Pair, subject: Subject, interpreter: Interpreter, source: str) -> _Answer:
    done = pair.run(subject, [interpreter.path, "-c", _PREAMBLE.format(interpreter.packages) + source], TIME_LIMIT)
    if done.status is None:
        return _Answer(None, f"no answer within {TIME_LIMIT} s", timed_out=True)
    for line in done.stdout.splitlines():
        if line.startswith(_MARK):
            said = _decoded(line.removeprefix(_MARK))
            if said is None:
                return _Answer(None, "an answer that is cut short, or none of the probe's")
            return _Answer(said) if done.status == 0 else _Answer(None, f"exit status {done.status} after the answer")
    return _Answer(None, _last_words(done))


def _decoded(text: str) -> dict[str, Any] | None:
    """Give what a line of a probe says, None for what no probe says: whatever runs in the image may print its mark."""
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(said, dict) or not all(isinstance(said.get(key), dict) for key in ("about", "cases")):
        return None
    return said if all(map(_is_case, said["cases"].values())) else None


def _is_case(case: object) -> bool:
    if not isinstance(case, dict):
        return False
    sums = case.get("sums")
    is_close = sums is None or (isinstance(sums, list) and all(isinstance(one, float | int) for one in sums))
    return is_close and isinstance(case.get("error", ""), str)


def _last_words(done: Completed) -> str:
    lines = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()]
    return f"exit status {done.status}" + (f": {lines[-1].strip()}" if lines else "")


def _differences(original: dict[str, Any], slimmed: dict[str, Any]) -> tuple[list[str], int]:
    """Give what differs, and how many results are equal only within the tolerance."""
    problems = [
        f"{key} was {value}, is {slimmed['about'].get(key)}"
        for key, value in original["about"].items()
        if slimmed["about"].get(key) != value
    ]
    inexact = 0
    if original["cases"].keys() != slimmed["cases"].keys():
        problems.append("another list of results")
        return problems, inexact
    for name, was in original["cases"].items():
        now = slimmed["cases"][name]
        if was == now:
            continue
        if _is_close(was, now):
            inexact += 1
        elif "error" not in was:
            problems.append(f"{name}: {now.get('error') or 'another result'}")
    return problems, inexact


def _is_close(was: dict[str, Any], now: dict[str, Any]) -> bool:
    """Say whether a result that threads may round differently is the same within the tolerance."""
    sums = was.get("sums"), now.get("sums")
    if sums[0] is None or sums[1] is None or len(sums[0]) != len(sums[1]):
        return False
    try:
        pairs = zip(sums[0], sums[1], strict=True)
        return all(math.isclose(one, other, rel_tol=_TOLERANCE, abs_tol=_TOLERANCE) for one, other in pairs)
    except OverflowError:  # an integer that is no float
        return False


def _about(said: dict[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in said["about"].items())


def _shown(said: dict[str, Any]) -> str:
    return json.dumps(said, sort_keys=True)
