"""Where the process begins and ends: `slimmer` and `python -m slimmer`."""

from __future__ import annotations

import gc
import sys
from typing import NoReturn

from slimmer import interrupts

INTERRUPTED = 130


def main() -> NoReturn:
    """Run the command line and exit with its status.

    Libraries are imported while interrupts wait: native ones abort the process when one comes while they are
    initialised.
    """
    interrupts.install()
    # An image is a million objects that live to the end and hardly any cycle: looking took a sixth of the time.
    gc.set_threshold(200_000, 50, 1000)
    try:
        with interrupts.held():
            from slimmer import cli  # noqa: PLC0415 - see above
        status = cli.run_command_line()
    except KeyboardInterrupt as interrupt:
        interrupts.ignore()  # all is done; one more would take the status from it, also while Python ends
        notes = getattr(interrupt, "__notes__", ())
        left = f"; {'; '.join(notes)}" if notes else " and nothing is left behind"
        sys.stderr.write(f"slimmer: interrupted; nothing was tagged{left}\n")
        status = INTERRUPTED
    sys.exit(status)


if __name__ == "__main__":
    main()
