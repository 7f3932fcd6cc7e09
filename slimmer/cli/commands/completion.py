"""`slimmer completion`: what a shell needs to complete slimmer's words."""

from __future__ import annotations

import click
from click.shell_completion import BashComplete, FishComplete, ShellComplete, ZshComplete

SHELLS: dict[str, type[ShellComplete]] = {"bash": BashComplete, "zsh": ZshComplete, "fish": FishComplete}
VARIABLE = "_SLIMMER_COMPLETE"


@click.command("completion", short_help="Print a script with which SHELL completes commands.")
@click.argument("shell", type=click.Choice(list(SHELLS)))
@click.pass_context
def command(context: click.Context, *, shell: str) -> None:
    """Print a script that makes SHELL complete commands, options and rules.

    \b
    bash   eval "$(slimmer completion bash)"           in ~/.bashrc
    zsh    eval "$(slimmer completion zsh)"            in ~/.zshrc
    fish   slimmer completion fish > ~/.config/fish/completions/slimmer.fish
    """  # noqa: D301 - click's mark for lines that stay lines
    root = context.find_root().command
    # What they need of a shell is in their script; asking the one of this machine for its version would be a guess.
    made = SHELLS[shell](root, {}, "slimmer", VARIABLE)
    click.echo(made.source_template % made.source_vars())
