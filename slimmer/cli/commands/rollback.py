"""`slimmer rollback`: give a name back to the image that the result was made from."""

from __future__ import annotations

import click

from slimmer.cli.exits import EXIT_CODES
from slimmer.rollback import rollback
from slimmer.terminal import listener


@click.command("rollback", short_help="Put REF back to the image that it was made from.", epilog=EXIT_CODES)
@click.argument("ref")
def command(*, ref: str) -> None:
    """Put REF, a name of a slimmed image, back to the image that was slimmed.

    The ID and the name go to stdout. When the engine has that image no more, slimmer says what to pull.
    """
    click.echo(f"{rollback(ref, listener('auto'))} {ref}")
