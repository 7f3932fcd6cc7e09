"""What a report is written as, one form per file; the suffix of a file's name says which.

A form is a module of this package with a constant `form`; it is found by being there.
"""

from __future__ import annotations

import importlib
import pkgutil
import tempfile
from typing import TYPE_CHECKING, Protocol

from slimmer.errors import DestinationError, UsageError
from slimmer.formats.replacing import replacing

if TYPE_CHECKING:
    from pathlib import Path

    from slimmer.report import Report


class Form(Protocol):
    """A way to write a report down."""

    suffix: str
    """What the name of such a file ends in, with its dot."""

    def render(self, report: Report) -> str:
        """Give the text of the file."""


def discover() -> dict[str, Form]:
    """Give every form by its suffix."""
    modules = (importlib.import_module(f"{__name__}.{found.name}") for found in pkgutil.iter_modules(__path__))
    forms: list[Form] = [module.form for module in modules if hasattr(module, "form")]
    return {form.suffix: form for form in sorted(forms, key=lambda form: form.suffix)}


def check(path: Path) -> None:
    """Raise, before the work begins, UsageError or DestinationError for a report that could not be written after it."""
    suffixes = list(discover())
    if path.suffix not in suffixes:
        raise UsageError(f"--report {path}: the name ends in one of {', '.join(suffixes)}, which says what is written")
    directory = path.absolute().parent
    if not directory.is_dir():
        raise UsageError(f"--report {path}: there is no directory {directory}")
    if path.is_dir():
        raise UsageError(f"--report {path} is a directory; name a file")
    try:
        with tempfile.TemporaryFile(dir=directory):
            pass
    except OSError as error:
        raise DestinationError(f"the report cannot be written to {path}: {error.strerror}") from error


def write(report: Report, path: Path) -> None:
    """Write the report to PATH at once: a reader finds the old file or the whole new one. Raises DestinationError."""
    put(discover()[path.suffix].render(report), path)


def put(text: str, path: Path) -> None:
    """Write a text to PATH at once, as `write` does."""
    try:
        with replacing(path.absolute().parent) as (file, put_as):
            file.write(text.encode())
            put_as(path)
    except OSError as error:
        raise DestinationError(f"the report cannot be written to {path}: {error.strerror}") from error
