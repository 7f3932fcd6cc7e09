"""`slimmer rules`: the rules, and what each would save."""

from __future__ import annotations

import click

from slimmer import rules
from slimmer.cli.exits import EXIT_CODES
from slimmer.listing import rules_table, survey_table
from slimmer.platforms import Platform
from slimmer.survey import survey
from slimmer.terminal import listener


@click.command("rules", short_help="List the rules, with IMAGE what each would save there.", epilog=EXIT_CODES)
@click.argument("image", required=False)
@click.option("--platform", "wanted", metavar="OS/ARCH", help="Which image of several.  [default: the engine's]")
@click.option("-q", "--quiet", is_flag=True, help="Print errors and the table only.")
def command(*, image: str | None, wanted: str | None, quiet: bool) -> None:
    """List the rules: what each removes, and whether it is on by default; with IMAGE, what each would save there.

    Each rule is asked by itself: what two of them would take counts for both. Nothing is written.
    """
    if image is None:
        click.echo(rules_table(rules.discover()), nl=False)
        return
    platform = Platform.parse(wanted) if wanted else None
    found = survey(image, platform, listener("none" if quiet else "auto"))
    click.echo(survey_table(found), nl=False)
