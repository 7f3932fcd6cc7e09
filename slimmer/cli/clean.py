"""`slimmer clean`: remove what a killed run left."""

from __future__ import annotations

import click

from slimmer.cli.exits import EXIT_CODES
from slimmer.session import Session
from slimmer.terminal import listener
from slimmer.trial import remove_left_behind


@click.command("clean", epilog=EXIT_CODES)
def command() -> None:
    """Remove containers and trial images that killed runs left in the engine.

    Those of a run that goes on stay, and those of another machine's run until it began a day ago.
    """
    with Session(listener("auto")) as session:
        removed = remove_left_behind(session.engine)
    for name in removed:
        click.echo(f"removed {name}", err=True)
    if not removed:
        click.echo("nothing was left", err=True)
