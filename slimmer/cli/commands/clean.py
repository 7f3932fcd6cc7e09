"""`slimmer clean`: remove what a killed run left."""

from __future__ import annotations

from pathlib import Path

import click

from slimmer import temporary
from slimmer.cli.exits import EXIT_CODES
from slimmer.session import Session
from slimmer.terminal import listener
from slimmer.trial import remove_left_behind


@click.command("clean", short_help="Remove what killed runs left in the engine and on disk.", epilog=EXIT_CODES)
@click.argument("directories", metavar="[DIR]...", nargs=-1, type=click.Path(file_okay=False, path_type=Path))
def command(directories: tuple[Path, ...]) -> None:
    """Remove what killed runs left: containers and trial images in the engine, temporary files on disk.

    Files are looked for in TMPDIR, in /dev/shm and, with all that is below it, in each DIR that a result, a report or
    debug files were to go to; the next run that writes there removes them as well. What belongs to a run that goes on
    stays, and another machine's until it began a day ago.
    """
    removed = [str(path) for path in temporary.remove_left_by_programs()]
    removed += [str(path) for path in temporary.remove_left_below(directories)]
    try:
        with Session(listener("auto")) as session:
            removed += remove_left_behind(session.engine)
    finally:
        for name in removed:
            click.echo(f"removed {name}", err=True)
    if not removed:
        click.echo("nothing was left", err=True)
