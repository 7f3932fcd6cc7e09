"""Colour where it helps: whether a check or a gate passed, and that nothing was verified. Words say the same."""

from __future__ import annotations

import os
import re
import sys

import click

_COLOURS = {"passed": "green", "failed": "red", "skipped": "yellow"}
_OUTCOME = re.compile(r"^( {2}(?:checks {2}|gates {3}| {8})\S[^\n]*? {2})(passed|failed|skipped)(?= )", re.MULTILINE)
_UNVERIFIED = "NOT VERIFIED"


def wanted() -> bool:
    """Say whether stderr is to have colour: NO_COLOR forbids it, FORCE_COLOR asks for it, else a terminal has it."""
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR", "0") not in {"", "0"}:
        return True
    return sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


def painted(summary: str) -> str:
    """Give a summary with its outcomes in colour."""
    text = _OUTCOME.sub(lambda found: found[1] + click.style(found[2], fg=_COLOURS[found[2]]), summary)
    return text.replace(_UNVERIFIED, click.style(_UNVERIFIED, fg="red", bold=True), 1)
