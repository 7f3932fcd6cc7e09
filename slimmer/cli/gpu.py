"""`slimmer gpu`: the GPU code of an image, and what each choice of GPUs would save."""

from __future__ import annotations

import click

from slimmer import transports
from slimmer.cli.exits import EXIT_CODES
from slimmer.gputable import gpu_code, table
from slimmer.platforms import Platform
from slimmer.reading import opened
from slimmer.session import Session
from slimmer.terminal import listener


@click.command("gpu", epilog=EXIT_CODES)
@click.argument("image")
@click.option("--platform", "wanted", metavar="OS/ARCH", help="Which image of several.  [default: the engine's]")
@click.option("-q", "--quiet", is_flag=True, help="Print errors and the table only.")
def command(*, image: str, wanted: str | None, quiet: bool) -> None:
    """Show which library of IMAGE holds code for which GPUs, and what each --gpu-arch would save.

    Needs no GPU, driver or CUDA. Nothing is written.
    """
    platform = Platform.parse(wanted) if wanted else None
    with Session(listener("none" if quiet else "auto"), platform) as session:
        found = gpu_code(opened(transports.source(image, session), session).rootfs)
    click.echo(table(found), nl=False)
