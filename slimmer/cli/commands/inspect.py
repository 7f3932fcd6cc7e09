"""`slimmer inspect`: where the bytes of an image are, and for which GPUs its code is."""

from __future__ import annotations

import json
from pathlib import Path

import click

from slimmer import reports as forms
from slimmer.cli.exits import EXIT_CODES
from slimmer.errors import UsageError
from slimmer.gpu_inspection import inspect_gpu
from slimmer.gputable import gpu_table
from slimmer.inspection import inspect
from slimmer.inventory import inventory
from slimmer.platforms import Platform
from slimmer.reports import inspection_page
from slimmer.terminal import listener


@click.command("inspect", short_help="Say where the bytes of IMAGE are, or its GPU code.", epilog=EXIT_CODES)
@click.argument("image")
@click.option("--platform", metavar="OS/ARCH", help="Which image of several.  [default: the engine's]")
@click.option("--gpu", is_flag=True, help="Show GPU code by library and architecture, and what --gpu-arch saves.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
@click.option(
    "--report", "reports", metavar="FILE", multiple=True, type=click.Path(dir_okay=False, path_type=Path),
    help="Write a page (.html) or the facts (.json) to FILE (repeatable).",
)  # fmt: skip
@click.option("-q", "--quiet", is_flag=True, help="Print errors and the result only.")
def command(
    *, image: str, platform: str | None, gpu: bool, as_json: bool, reports: tuple[Path, ...], quiet: bool
) -> None:
    """Say where the bytes of IMAGE are: by Python distribution, Debian package, rule and file. Nothing is written.

    Each file counts once, for the first that names it. With --gpu: which library holds code for which GPUs, and what
    each choice of GPUs would save. IMAGE is what `slimmer run` takes.
    """
    suffixes = {".json"} if gpu else {".html", ".json"}
    for path in reports:
        if path.suffix not in suffixes:
            what = "GPU code is" if gpu else "an inspection is"
            raise UsageError(f"--report {path}: {what} written as {' or '.join(sorted(suffixes))}")
        forms.check(path)
    wanted, progress = Platform.parse(platform) if platform else None, listener("none" if quiet else "auto")
    pages = [path for path in reports if path.suffix == ".html"]
    if gpu:
        code = inspect_gpu(image, wanted, progress)
        facts, shown = code.as_json(), gpu_table(code)
    else:
        found = inspect(image, wanted, progress)
        facts, shown = found.as_json(), inventory(found)
        for path in pages:
            forms.put(inspection_page.render(found), path)
    text = json.dumps(facts, ensure_ascii=False, indent=1) + "\n"
    for path in reports:
        if path not in pages:
            forms.put(text, path)
    click.echo(text if as_json else shown, nl=False)
