"""`slimmer run`: slim an image, verify the result, put it where it is to go."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from slimmer import api, rules
from slimmer import reports as forms
from slimmer.api import CheckFailedError, GateFailedError
from slimmer.cli import colour
from slimmer.cli.configured import CONTEXT, Lines, config_option
from slimmer.cli.configured import checks as tables
from slimmer.cli.exits import EXIT_CODES, complain
from slimmer.errors import DestinationError
from slimmer.formats.compression import Compression
from slimmer.metadata.licences import CLAUSE
from slimmer.settings import GpuPtx, StripWith
from slimmer.summary import render
from slimmer.terminal import listener

if TYPE_CHECKING:
    from slimmer.report import Report


def _rules(_context: click.Context, _option: click.Parameter, begun: str) -> list[str]:
    return [rule.name for rule in rules.discover() if rule.name.startswith(begun)]


@click.command("run", epilog=EXIT_CODES, context_settings=CONTEXT)
@click.argument("image")
@config_option
@click.option("-t", "--tag", metavar="REF", help="Name of the result.  [default: IMAGE's own with -slim]")
@click.option(
    "-o", "--output", metavar="TARGET", default="docker-daemon:", show_default=True,
    help="Where the result goes: docker-archive:FILE, oci:DIR[:TAG], oci-archive:FILE[:TAG].",
)  # fmt: skip
@click.option(
    "--compression", type=click.Choice([str(choice) for choice in Compression]), default=None,
    help="How the layer is packed in oci: and oci-archive:.  [default: gzip]",
)  # fmt: skip
@click.option("--platform", metavar="OS/ARCH", help="Which image of several.  [default: the engine's]")
@click.option("--dry-run", is_flag=True, help="Print the exact estimate, write nothing.")
@click.option(
    "--only", metavar="RULE", multiple=True, shell_complete=_rules, help="Apply this rule and no other (repeatable)."
)
@click.option(
    "--also",
    metavar="RULE",
    multiple=True,
    shell_complete=_rules,
    help="Apply this rule too, which is off by default (repeatable).",
)
@click.option(
    "--skip", metavar="RULE", multiple=True, shell_complete=_rules, help="Do not apply this rule (repeatable)."
)
@click.option(
    "--exclude",
    metavar="GLOB",
    multiple=True,
    type=Lines(),
    help="Leave these paths alone (repeatable); * matches / too.",
)
@click.option(
    "--strip-with", type=click.Choice([str(choice) for choice in StripWith]), default=str(StripWith.LAYOUT),
    show_default=True,
    help="Write stripped objects with slimmer's own layout, or with this machine's strip where the proof agrees.",
)  # fmt: skip
@click.option("--include-proprietary", is_flag=True, help="Change libraries whose licence forbids it, too.")
@click.option(
    "--gpu-arch", metavar="ARCH", multiple=True,
    help="Keep GPU code for this GPU only (repeatable): sm_90, say; native: this machine's; torch: all that the "
    "image's PyTorch runs on.",
)  # fmt: skip
@click.option(
    "--gpu-ptx", type=click.Choice([str(choice) for choice in GpuPtx]), default=str(GpuPtx.KEEP), show_default=True,
    help="The newest PTX, for GPUs newer than those of --gpu-arch.",
)  # fmt: skip
@click.option(
    "--gpu-recompress", type=click.Choice(["zstd"]),
    help="Pack GPU code that is packed with LZ4 anew: needs driver 550.54.14 or newer.",
)  # fmt: skip
@click.option(
    "--debug-dir", metavar="DIR", type=click.Path(file_okay=False, path_type=Path),
    help="Save what is stripped as build-id debug files.",
)  # fmt: skip
@click.option(
    "--check", "checks", metavar="CMD", multiple=True, type=Lines(), envvar="SLIMMER_CHECK",
    help="A command that must end with the same exit status in both images (repeatable).",
)  # fmt: skip
@click.option(
    "--http-path", metavar="PATH", help="A path that the image's own service must answer at its EXPOSEd port."
)
@click.option("--keep-trial", is_flag=True, help="Leave the image in the engine when a check failed.")
@click.option("--no-verify", is_flag=True, help="Run no container. The report says so, loudly.")
@click.option("--max-size", metavar="SIZE", help="Exit 6, and tag nothing, when the result is larger: 6.2GB, 750MiB.")
@click.option("--min-saving", metavar="SHARE", help="Exit 6, and tag nothing, when less is saved: 5%, 300MB.")
@click.option("--compressed", is_flag=True, help="Measure what a pull transfers, also where nothing is compressed.")
@click.option(
    "--report", "reports", metavar="FILE", multiple=True, envvar="SLIMMER_REPORT",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the report; FILE ends in .json, .md or .html (repeatable).",
)  # fmt: skip
@click.option(
    "--progress", type=click.Choice(["auto", "plain", "none"]), default="auto", show_default=True,
    help="Bars on a terminal, lines elsewhere; or always lines; or nothing.",
)  # fmt: skip
@click.option("-q", "--quiet", is_flag=True, help="Print errors and the result only.")
@click.option("-v", "--verbose", is_flag=True, help="List every change, and show the traceback of a fault.")
@click.pass_context
def command(
    context: click.Context, *, image: str, tag: str | None, output: str, compression: str | None, platform: str | None,
    dry_run: bool, only: tuple[str, ...], also: tuple[str, ...], skip: tuple[str, ...],
    exclude: tuple[str, ...], strip_with: str, include_proprietary: bool, debug_dir: Path | None,
    gpu_arch: tuple[str, ...], gpu_ptx: str, gpu_recompress: str | None, checks: tuple[str, ...],
    http_path: str | None, keep_trial: bool, no_verify: bool, max_size: str | None, min_saving: str | None,
    compressed: bool, reports: tuple[Path, ...], progress: str, quiet: bool, verbose: bool,
) -> None:  # fmt: skip
    """Slim IMAGE, verify the result and tag it.

    IMAGE is a name or an ID in the Docker engine, which DOCKER_HOST may name, or docker-archive:FILE[:NAME],
    oci:DIR[:TAG] or oci-archive:FILE[:TAG]. It is never changed. The ID and the name of the result go to stdout.

    Every option may also stand in a variable, as SLIMMER_MAX_SIZE, or in slimmer.toml or [tool.slimmer] of
    pyproject.toml, as max_size. The command line comes first, then the environment, then the file.
    """
    for path in reports:
        forms.check(path)
    if include_proprietary and not quiet:
        click.echo(CLAUSE, err=True)
    try:
        report = api.run(
            image, tag=tag, output=output, compression=compression, platform=platform, dry_run=dry_run, only=only,
            also=also, skip=skip, exclude=exclude, strip_with=strip_with, include_proprietary=include_proprietary,
            debug_dir=debug_dir, verify=not no_verify, compressed=compressed, max_size=max_size, min_saving=min_saving,
            gpu_arch=gpu_arch, gpu_ptx=gpu_ptx, gpu_recompress=gpu_recompress,
            checks=[*tables(context), *({"command": text} for text in checks)], http_path=http_path,
            keep_trial=keep_trial, progress=listener("none" if quiet else progress, verbose=verbose),
        )  # fmt: skip
    except (CheckFailedError, GateFailedError) as failed:
        _show(failed.report, quiet=quiet, verbose=verbose)
        try:
            _write_reports(failed.report, reports)
        except DestinationError as error:
            complain(str(error))  # and what failed stays what this run ends with
        raise
    _show(report, quiet=quiet, verbose=verbose)
    if report.result is not None:
        click.echo(f"{report.result.id} {report.result.reference}")
    _write_reports(report, reports)


def _show(report: Report, *, quiet: bool, verbose: bool) -> None:
    if quiet:
        return
    text = render(report, every_change=verbose)
    in_colour = colour.wanted()
    click.echo(colour.painted(text) if in_colour else text, err=True, nl=False, color=in_colour)


def _write_reports(report: Report, reports: tuple[Path, ...]) -> None:
    for path in reports:
        forms.write(report, path)
