"""slimmer from Python: the command line's words as functions. They print nothing and raise a SlimmerError.

`exit_code` of the error is what the command line would have ended with. Of a CheckFailedError and a GateFailedError
`report` says what was found until then.
"""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from slimmer import gpu_inspection, inspection, reports
from slimmer.checks.command import command_specs
from slimmer.errors import UsageError
from slimmer.formats.compression import Compression
from slimmer.gates import Gates
from slimmer.gpu_inspection import GpuInspection
from slimmer.inspection import Inspection
from slimmer.metadata.gpu_targets import gpus_asked_for
from slimmer.platforms import Platform
from slimmer.progress import Progress, Silence
from slimmer.report import Report
from slimmer.settings import GpuPtx, Settings, StripWith
from slimmer.slim import GPU_CODE, CheckFailedError, GateFailedError, Options, slim
from slimmer.source_date import source_date
from slimmer.trial import Wanted

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = [
    "CheckFailedError", "GateFailedError", "GpuInspection", "Inspection", "Progress", "Report", "inspect",
    "inspect_gpu", "run", "write_report",
]  # fmt: skip


def run(
    reference: str, *, tag: str | None = None, output: str = "docker-daemon:", compression: str | None = None,
    platform: str | None = None, dry_run: bool = False, only: Iterable[str] = (), also: Iterable[str] = (),
    skip: Iterable[str] = (), exclude: Iterable[str] = (), strip_with: str = "layout",
    include_proprietary: bool = False, debug_dir: str | os.PathLike[str] | None = None, verify: bool = True,
    compressed: bool = False, max_size: str | int | None = None, min_saving: str | int | None = None,
    gpu_arch: Iterable[str] = (), gpu_ptx: str = "keep", gpu_recompress: str | None = None,
    checks: Iterable[Mapping[str, Any]] = (), http_path: str | None = None, keep_trial: bool = False,
    progress: Progress | None = None,
) -> Report:  # fmt: skip
    """Slim an image, verify the result and put it where OUTPUT says: `slimmer run` with the options of these names.

    `checks` are tables as a configuration file's `[[check]]` has them. `max_size="6.2GB"` and `min_saving="5%"` are
    the gates, a number being bytes. PROGRESS hears how far the work is;
    without one nobody does. SOURCE_DATE_EPOCH and DOCKER_HOST hold as they do for the command line.

    Raises UsageError, CheckFailedError, GateFailedError, SourceError or DestinationError, each a SlimmerError.
    Whichever it is, nothing was tagged or written.
    """
    wanted, heard = _where(platform, progress)
    gpus = gpus_asked_for(_several(gpu_arch), os.environ)
    settings = Settings(
        _choice(StripWith, strip_with, "strip_with"), include_proprietary=include_proprietary, gpu_arch=gpus,
        gpu_ptx=_choice(GpuPtx, gpu_ptx, "gpu_ptx"), gpu_recompress=gpu_recompress is not None,
    )  # fmt: skip
    also = (*_several(also), *([GPU_CODE] if settings.changes_gpu_code else []))
    options = Options(
        reference, tag, output, _choice(Compression, compression, "compression") if compression else None,
        wanted, _several(only), also, _several(skip), _several(exclude),
        dry_run=dry_run, verify=verify, settings=settings,
        debug_dir=Path(debug_dir) if debug_dir is not None else None, created=source_date(os.environ),
        gates=Gates(_text(max_size), _text(min_saving)), compressed=compressed,
        wanted=Wanted(command_specs(checks), http_path), keep_trial=keep_trial,
    )  # fmt: skip
    return slim(options, heard)


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
    return inspection.inspect(reference, *_where(platform, progress))


def inspect_gpu(reference: str, *, platform: str | None = None, progress: Progress | None = None) -> GpuInspection:
    """Say which library holds code for which GPUs: `slimmer inspect --gpu`. Raises UsageError or SourceError."""
    return gpu_inspection.inspect_gpu(reference, *_where(platform, progress))


def _where(platform: str | None, progress: Progress | None) -> tuple[Platform | None, Progress]:
    return Platform.parse(platform) if platform else None, progress if progress is not None else Silence()


def write_report(report: Report, path: str | os.PathLike[str]) -> None:
    """Write a report to a file, in the form that its suffix names: .json, .md or .html.

    Raises UsageError for another suffix, DestinationError when the file cannot be written.
    """
    reports.check(Path(path))
    reports.write(report, Path(path))
