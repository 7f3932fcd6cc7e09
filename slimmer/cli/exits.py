"""What every command ends with: its status, and one sentence where that is not 0."""

from __future__ import annotations

import click

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
    """Print a sentence that says what went wrong."""
    click.echo(f"slimmer: {sentence}", err=True)
