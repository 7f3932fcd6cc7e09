"""`slimmer inspect`: where the bytes of an image are."""

from __future__ import annotations

import json
from pathlib import Path

import click

from slimmer import reports as forms
from slimmer.cli.exits import EXIT_CODES
from slimmer.errors import UsageError
from slimmer.inspection import inspect
from slimmer.inventory import inventory
from slimmer.platforms import Platform
from slimmer.reports import inspection_page
from slimmer.terminal import listener


@click.command("inspect", epilog=EXIT_CODES)
@click.argument("image")
@click.option("--platform", metavar="OS/ARCH", help="Which image of several.  [default: the engine's]")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
@click.option(
    "--report", "reports", metavar="FILE", multiple=True, type=click.Path(dir_okay=False, path_type=Path),
    help="Write a page (.html) or the facts (.json) to FILE (repeatable).",
)  # fmt: skip
@click.option("-q", "--quiet", is_flag=True, help="Print errors and the result only.")
def command(*, image: str, platform: str | None, as_json: bool, reports: tuple[Path, ...], quiet: bool) -> None:
    """Say where the bytes of IMAGE are: by Python distribution, Debian package, rule and file. Nothing is written.

    Each file counts once, for the first that names it. IMAGE is what `slimmer run` takes.
    """
    for path in reports:
        if path.suffix not in {".html", ".json"}:
            raise UsageError(f"--report {path}: an inspection is written as .html or .json")
        forms.check(path)
    found = inspect(image, Platform.parse(platform) if platform else None, listener("none" if quiet else "auto"))
    text = json.dumps(found.as_json(), ensure_ascii=False, indent=1) + "\n"
    for path in reports:
        forms.put(text if path.suffix == ".json" else inspection_page.render(found), path)
    click.echo(text if as_json else inventory(found), nl=False)
