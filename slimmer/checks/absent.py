"""Build tools that a rule removed are not found in the slimmed image, by whatever other path or name.

Whoever asks for an image without a compiler would rather know now that one is left than from an audit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from slimmer.checks import FAILED, PASSED, SKIPPED, Verdict
from slimmer.commands import program

if TYPE_CHECKING:
    from slimmer.checks import Pair, Subject

TOOLS = ("gcc", "g++", "make", "cc", "c++", "cmake")
_TIME_LIMIT = 60
_LOOK = 'for tool; do command -v "$tool" && echo "slimmer-found: $tool"; done; echo slimmer-looked'


class AbsentCheck:
    """The check."""

    name = "absent"
    summary = "build tools that a rule removed are not found"

    def examine(self, pair: Pair) -> Verdict:
        """Have each image's shell look for the tools that were removed."""
        gone = [tool for tool in TOOLS if _is_there(pair.original, tool) and _was_removed(pair, tool)]
        if not gone:
            return Verdict(SKIPPED, reason="no rule removed a build tool")
        shell = program(pair.slimmed.rootfs, pair.slimmed.config, "sh")
        if shell is None:
            return Verdict(SKIPPED, reason=f"the image has no shell that could look for {', '.join(gone)}")
        done = pair.run(pair.slimmed, [f"/{shell}", "-c", _LOOK, "sh", *gone], _TIME_LIMIT)
        lines = done.stdout.splitlines()
        found = [line.partition(": ")[2] for line in lines if line.startswith("slimmer-found: ")]
        if "slimmer-looked" not in lines:
            reason = f"the shell did not look for {', '.join(gone)}"
            return Verdict(FAILED, "", done.stderr.strip(), reason, blames_no_change=True)
        if found:
            where = next(line for line in lines if line.startswith("/"))
            reason = f"{', '.join(found)} can still be run, as {where}"
            # Putting the tools back would make this check pass, which is not what anybody wants.
            return Verdict(FAILED, "found", f"found {where}", reason, blames_no_change=True)
        return Verdict(PASSED, f"has {' '.join(gone)}", "has none of them", f"not found: {' '.join(gone)}")


def _is_there(subject: Subject, tool: str) -> bool:
    return program(subject.rootfs, subject.config, tool) is not None


def _was_removed(pair: Pair, tool: str) -> bool:
    """Say whether the file that TOOL means in the original is gone."""
    path = program(pair.original.rootfs, pair.original.config, tool)
    return path is not None and path not in pair.slimmed.rootfs


check = AbsentCheck()
