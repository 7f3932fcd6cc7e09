"""Commands, one per file; exit codes. The result goes to stdout, everything else to stderr.

A command is a module of this package with a constant `command`; it is found by being there.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys

import click

from slimmer import __version__
from slimmer.cli.exits import EXIT_CODES, complain, trace
from slimmer.errors import SlimmerError


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80},
    epilog=EXIT_CODES,
    no_args_is_help=True,
)
@click.version_option(__version__, prog_name="slimmer", message="%(prog)s %(version)s")
def commands() -> None:
    """Slim a built container image, and prove that it still works before anything is tagged."""


for _found in pkgutil.iter_modules(__path__):
    _module = importlib.import_module(f"{__name__}.{_found.name}")
    if hasattr(_module, "command"):
        commands.add_command(_module.command)


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
