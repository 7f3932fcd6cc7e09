"""Commands, options and exit codes. The result goes to stdout, everything else to stderr."""

from __future__ import annotations

import os
import sys
import tempfile
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

import click

from slimmer import __version__, rules
from slimmer.errors import DestinationError, SlimmerError, UsageError
from slimmer.formats.compression import Compression
from slimmer.listing import rules_table, survey_table
from slimmer.platforms import Platform
from slimmer.report import write_json
from slimmer.settings import Settings, StripWith
from slimmer.slim import CheckFailedError, Options, slim
from slimmer.source_date import source_date
from slimmer.summary import render
from slimmer.survey import survey
from slimmer.terminal import listener

if TYPE_CHECKING:
    from slimmer.report import Report

_EXIT_CODES = """
\b
Exit status:
  0   done
  1   a fault of slimmer's own
  2   the command line is wrong
  3   a check failed; nothing was tagged
  4   the source image cannot be read
  5   the result cannot be written
  130 interrupted; nothing is left behind
"""


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80},
    epilog=_EXIT_CODES,
    no_args_is_help=True,
)
@click.version_option(__version__, prog_name="slimmer", message="%(prog)s %(version)s")
def commands() -> None:
    """Slim a built container image, and prove that it still works before anything is tagged."""


@commands.command(epilog=_EXIT_CODES)
@click.argument("image")
@click.option("-t", "--tag", metavar="REF", help="Name of the result.  [default: IMAGE's own with -slim]")
@click.option(
    "-o", "--output", metavar="TARGET", default="docker-daemon:", show_default=True,
    help="Where the result goes: docker-archive:FILE, oci:DIR[:TAG], oci-archive:FILE[:TAG].",
)  # fmt: skip
@click.option(
    "--compression", type=click.Choice([str(choice) for choice in Compression]), default=None,
    help="How the layer is packed in oci: and oci-archive:.  [default: gzip]",
)  # fmt: skip
@click.option("--platform", "wanted", metavar="OS/ARCH", help="Which image of several.  [default: the engine's]")
@click.option("--dry-run", is_flag=True, help="Print the exact estimate, write nothing.")
@click.option("--only", metavar="RULE", multiple=True, help="Apply this rule and no other (repeatable).")
@click.option(
    "--also", metavar="RULE", multiple=True, help="Apply this rule too, which is off by default (repeatable)."
)
@click.option("--skip", metavar="RULE", multiple=True, help="Do not apply this rule (repeatable).")
@click.option("--exclude", metavar="GLOB", multiple=True, help="Leave these paths alone (repeatable); * matches / too.")
@click.option(
    "--strip-with", type=click.Choice([str(choice) for choice in StripWith]), default=str(StripWith.LAYOUT),
    show_default=True,
    help="Write stripped objects with slimmer's own layout, or with this machine's strip where the proof agrees.",
)  # fmt: skip
@click.option("--include-proprietary", is_flag=True, help="Change libraries whose licence forbids it, too.")
@click.option(
    "--debug-dir", metavar="DIR", type=click.Path(file_okay=False, path_type=Path),
    help="Save what is stripped as build-id debug files.",
)  # fmt: skip
@click.option("--no-verify", is_flag=True, help="Run no container. The report says so, loudly.")
@click.option(
    "--report", "reports", metavar="FILE", multiple=True, type=click.Path(dir_okay=False, path_type=Path),
    help="Write the report; FILE ends in .json.",
)  # fmt: skip
@click.option(
    "--progress", type=click.Choice(["auto", "plain", "none"]), default="auto", show_default=True,
    help="Bars on a terminal, lines elsewhere; or always lines; or nothing.",
)  # fmt: skip
@click.option("-q", "--quiet", is_flag=True, help="Print errors and the result only.")
@click.option("-v", "--verbose", is_flag=True, help="List every change, and show the traceback of a fault.")
def run(
    *, image: str, tag: str | None, output: str, compression: str | None, wanted: str | None,
    dry_run: bool, only: tuple[str, ...], also: tuple[str, ...], skip: tuple[str, ...],
    exclude: tuple[str, ...], strip_with: str, include_proprietary: bool, debug_dir: Path | None,
    no_verify: bool, reports: tuple[Path, ...], progress: str, quiet: bool, verbose: bool,
) -> None:  # fmt: skip
    """Slim IMAGE, verify the result and tag it.

    IMAGE is a name or an ID in the Docker engine, which DOCKER_HOST may name, or docker-archive:FILE[:NAME],
    oci:DIR[:TAG] or oci-archive:FILE[:TAG]. It is never changed. The ID and the name of the result go to stdout.
    """
    for path in reports:
        _check_report(path)
    settings = Settings(StripWith(strip_with), include_proprietary=include_proprietary)
    options = Options(
        image, tag, output, Compression(compression) if compression else None,
        Platform.parse(wanted) if wanted else None, only, also, skip, exclude,
        dry_run=dry_run, verify=not no_verify, settings=settings, debug_dir=debug_dir,
        created=source_date(os.environ),
    )  # fmt: skip
    try:
        report = slim(options, listener("none" if quiet else progress, verbose=verbose))
    except CheckFailedError as failed:
        _show(failed.report, quiet=quiet, verbose=verbose)
        try:
            _write_reports(failed.report, reports)
        except DestinationError as error:
            _complain(str(error))  # and the check that failed stays what this run ends with
        raise
    _show(report, quiet=quiet, verbose=verbose)
    if report.result is not None:
        click.echo(f"{report.result.id} {report.result.reference}")
    _write_reports(report, reports)


@commands.command("rules", epilog=_EXIT_CODES)
@click.argument("image", required=False)
@click.option("--platform", "wanted", metavar="OS/ARCH", help="Which image of several.  [default: the engine's]")
@click.option("-q", "--quiet", is_flag=True, help="Print errors and the table only.")
def list_rules(*, image: str | None, wanted: str | None, quiet: bool) -> None:
    """List the rules: what each removes, and whether it is on by default; with IMAGE, what each would save there.

    Each rule is asked by itself: what two of them would take counts for both. Nothing is written.
    """
    if image is None:
        click.echo(rules_table(rules.discover()), nl=False)
        return
    platform = Platform.parse(wanted) if wanted else None
    found = survey(image, platform, listener("none" if quiet else "auto"))
    click.echo(survey_table(found), nl=False)


def _check_report(path: Path) -> None:
    """Raise before the work begins for a report that could not be written after it."""
    if path.suffix != ".json":
        raise UsageError(f"--report {path}: this version writes .json reports only")
    if not path.absolute().parent.is_dir():
        raise UsageError(f"--report {path}: there is no directory {path.absolute().parent}")
    try:
        with tempfile.TemporaryFile(dir=path.absolute().parent):
            pass
    except OSError as error:
        raise DestinationError(f"the report cannot be written to {path}: {error.strerror}") from error


def _show(report: Report, *, quiet: bool, verbose: bool) -> None:
    if not quiet:
        click.echo(render(report, every_change=verbose), err=True, nl=False)


def _write_reports(report: Report, reports: tuple[Path, ...]) -> None:
    for path in reports:
        try:
            write_json(report, path)
        except OSError as error:
            raise DestinationError(f"the report cannot be written to {path}: {error.strerror}") from error


def run_command_line() -> int:
    """Run the command that the process was given and give its exit status; one sentence for whatever goes wrong.

    KeyboardInterrupt is the caller's.
    """
    verbose = "-v" in sys.argv or "--verbose" in sys.argv
    try:
        commands.main(standalone_mode=False)
    except click.Abort as error:
        raise KeyboardInterrupt from error  # click's name for it
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except SlimmerError as error:
        if verbose:
            traceback.print_exc()
        _complain(str(error))
        return error.exit_code
    except Exception as error:  # noqa: BLE001 - the last boundary: whatever it is becomes a sentence
        if verbose:
            traceback.print_exc()
        _complain(
            f"a fault of slimmer's own: {type(error).__name__}: {error}; please report it with --verbose's output"
        )
        return SlimmerError.exit_code
    return 0


def _complain(sentence: str) -> None:
    click.echo(f"slimmer: {sentence}", err=True)
