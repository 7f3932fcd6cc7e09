"""The command line; exit codes. The result goes to stdout, everything else to stderr."""

from __future__ import annotations

import importlib
import pkgutil
import sys

import click

from slimmer import __version__, interrupts
from slimmer.cli import commands as modules
from slimmer.cli.exits import EXIT_CODES, complain, trace
from slimmer.errors import SlimmerError


class _Commands(click.Group):
    """The modules of `commands`, each imported when it is asked for: all of them take as long as most answers."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's
        return sorted(found.name for found in pkgutil.iter_modules(modules.__path__))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.list_commands(ctx):
            return None
        # Native libraries abort the process when an interrupt comes while they are initialised.
        with interrupts.held():
            module = importlib.import_module(f"{modules.__name__}.{cmd_name}")
        command: click.Command = module.command
        return command


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80},
    epilog=EXIT_CODES,
    no_args_is_help=True,
)
@click.version_option(__version__, prog_name="slimmer", message="%(prog)s %(version)s")
def commands() -> None:
    """Slim a built container image, and prove that it still works before anything is tagged."""


def run_command_line() -> int:
    """Run the command that the process was given and give its exit status; one sentence for whatever goes wrong.

    KeyboardInterrupt is the caller's.
    """
    verbose = "-v" in sys.argv or "--verbose" in sys.argv
    try:
        commands.main(standalone_mode=False)
    except click.Abort as error:
        # click's name for it; what was noted is on the one that came.
        raise (error.__cause__ if isinstance(error.__cause__, KeyboardInterrupt) else KeyboardInterrupt) from None
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except SlimmerError as error:
        if verbose:
            trace()
        complain(str(error))
        return error.exit_code
    except Exception as error:  # noqa: BLE001 - the last boundary: whatever it is becomes a sentence
        if verbose:
            trace()
        complain(f"a fault of slimmer's own: {type(error).__name__}: {error}; please report it with --verbose's output")
        return SlimmerError.exit_code
    return 0
