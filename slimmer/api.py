"""slimmer from Python: the command line's words as functions. They print nothing and raise a SlimmerError.

`exit_code` of the error is what the command line would have ended with. Of a CheckFailedError and a GateFailedError
`report` says what was found until then.
"""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from slimmer import inspection, reports
from slimmer.errors import UsageError
from slimmer.formats.compression import Compression
from slimmer.gates import Gates
from slimmer.inspection import Inspection
from slimmer.platforms import Platform
from slimmer.progress import Progress, Silence
from slimmer.report import Report
from slimmer.settings import Settings, StripWith
from slimmer.slim import CheckFailedError, GateFailedError, Options, slim
from slimmer.source_date import source_date

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["CheckFailedError", "GateFailedError", "Inspection", "Progress", "Report", "inspect", "run", "write_report"]


def run(
    reference: str, *, tag: str | None = None, output: str = "docker-daemon:", compression: str | None = None,
    platform: str | None = None, dry_run: bool = False, only: Iterable[str] = (), also: Iterable[str] = (),
    skip: Iterable[str] = (), exclude: Iterable[str] = (), strip_with: str = "layout",
    include_proprietary: bool = False, debug_dir: str | os.PathLike[str] | None = None, verify: bool = True,
    compressed: bool = False, max_size: str | int | None = None, min_saving: str | int | None = None,
    checks: Iterable[Mapping[str, Any]] = (), progress: Progress | None = None,
) -> Report:  # fmt: skip
    """Slim an image, verify the result and put it where OUTPUT says: `slimmer run` with the options of these names.

    `max_size="6.2GB"` and `min_saving="5%"` are the gates, a number being bytes. PROGRESS hears how far the work is;
    without one nobody does. SOURCE_DATE_EPOCH and DOCKER_HOST hold as they do for the command line.

    Raises UsageError, CheckFailedError, GateFailedError, SourceError or DestinationError, each a SlimmerError.
    Whichever it is, nothing was tagged or written.
    """
    settings = Settings(_choice(StripWith, strip_with, "strip_with"), include_proprietary)
    options = Options(
        reference, tag, output, _choice(Compression, compression, "compression") if compression else None,
        Platform.parse(platform) if platform else None,
        _several(only), _several(also), _several(skip), _several(exclude),
        dry_run=dry_run, verify=verify, settings=settings,
        debug_dir=Path(debug_dir) if debug_dir is not None else None, created=source_date(os.environ),
        gates=Gates(_text(max_size), _text(min_saving)), compressed=compressed, checks=tuple(checks),
    )  # fmt: skip
    return slim(options, progress if progress is not None else Silence())


_Choice = TypeVar("_Choice", bound=StrEnum)


def _choice(kind: type[_Choice], value: str, name: str) -> _Choice:
    try:
        return kind(value)
    except ValueError:
        raise UsageError(f"{name}={value!r} is none of {', '.join(kind)}") from None


def _several(words: str | Iterable[str]) -> tuple[str, ...]:
    return (words,) if isinstance(words, str) else tuple(words)


def _text(amount: str | int | None) -> str | None:
    return str(amount) if isinstance(amount, int) else amount


def inspect(reference: str, *, platform: str | None = None, progress: Progress | None = None) -> Inspection:
    """Say where the bytes of an image are: `slimmer inspect`. Raises UsageError or SourceError."""
    wanted = Platform.parse(platform) if platform else None
    return inspection.inspect(reference, wanted, progress if progress is not None else Silence())


def write_report(report: Report, path: str | os.PathLike[str]) -> None:
    """Write a report to a file, in the form that its suffix names: .json, .md or .html.

    Raises UsageError for another suffix, DestinationError when the file cannot be written.
    """
    reports.check(Path(path))
    reports.write(report, Path(path))
