"""Every way slimmer can end badly: one root, one exit code per branch.

A message is one sentence that says what went wrong, where, and what to do about it. Only cli.py prints it.
"""


class SlimmerError(Exception):
    """A fault of slimmer's own, and the root of all others."""

    exit_code = 1


class UsageError(SlimmerError):
    """The command line asks for something that does not exist or contradicts itself."""

    exit_code = 2


class CheckError(SlimmerError):
    """The slimmed image did not pass its checks; nothing was tagged."""

    exit_code = 3


class SourceError(SlimmerError):
    """The source image cannot be read."""

    exit_code = 4


class DestinationError(SlimmerError):
    """The result cannot be written."""

    exit_code = 5


class GateError(SlimmerError):
    """The result is larger, or saves less, than the person allows; nothing was tagged."""

    exit_code = 6


class ElfError(SlimmerError):
    """An object's bytes are not a well-formed ELF. Never ends a run: the file is kept, with this as its reason."""
