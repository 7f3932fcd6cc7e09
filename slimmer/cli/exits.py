"""What every command ends with: its status, and one sentence where that is not 0."""

from __future__ import annotations

import traceback

import click

from slimmer.report import printable

_LONGEST = 2000
"""Characters: what an image names may be as long as it likes."""
EXIT_CODES = """
\b
Exit status:
  0   done
  1   a fault of slimmer's own
  2   the command line is wrong
  3   a check failed; nothing was tagged
  4   the source image cannot be read
  5   the result cannot be written
  6   the result is too large, or too little is saved; nothing was tagged
  130 interrupted; nothing is left behind
"""


def complain(sentence: str) -> None:
    """Print a sentence that says what went wrong; what an image put into it is escaped, and cut where it is long."""
    shown = printable(sentence[: _LONGEST + 1])
    click.echo(f"slimmer: {shown if len(shown) <= _LONGEST else shown[:_LONGEST] + '…'}", err=True)


def trace() -> None:
    """Print where the error that is being handled comes from, escaped as well."""
    click.echo("\n".join(map(printable, traceback.format_exc().splitlines())), err=True)
