"""Measure slimmer beside its peers on one image, paired, and its growth with the image's size.

    python tests/bench/run.py [--image NAME] [--rounds N] [--growth [GB ...]] [--report FILE.json] [--picture FILE.png]

README.md says what is measured and how.
"""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tests.bench import contestants, figures, images, machine
from tests.bench.process import CommandError, measure

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.bench.contestants import Tools

_REFERENCE = "slimmer-fixture/reference:latest"
_GIGABYTES = [1, 2, 4, 8]


def main() -> None:
    """Measure, print the figures, write the report and the picture; leave nothing else behind."""
    arguments = _arguments()
    for number in (signal.SIGINT, signal.SIGTERM):  # a shell starts what runs behind it with SIGINT ignored
        signal.signal(number, _interrupted)
    directory = Path(tempfile.mkdtemp(prefix="slimmer-bench-", dir=arguments.directory))
    images.clean()
    try:
        tools = contestants.install(directory, arguments.slimmer)
        found = _measured(Bench(tools, directory, warm=arguments.warm), arguments)
        figures.say(found)
        report = arguments.report or directory / "figures.json"
        report.write_text(json.dumps(found, indent=1) + "\n")
        if arguments.picture:
            plot = Path(__file__).with_name("plot.py")
            subprocess.run([tools.python, plot, report, arguments.picture], check=True)
    except KeyboardInterrupt:
        click.echo("interrupted; cleaning up", err=True)
        sys.exit(130)
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # not while it cleans up
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        images.clean()
        shutil.rmtree(directory)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--image", default=_REFERENCE, help="an image of this engine (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="how often each contestant runs (default: %(default)s)")
    parser.add_argument(
        "--only",
        nargs="+",
        choices=contestants.ALL,
        default=[*contestants.ALL],
        metavar="NAME",
        help=f"these and no others of {contestants.ALL}",
    )
    parser.add_argument("--growth", type=int, nargs="*", metavar="GB", help="and on images of so many GB (1 2 4 8)")
    parser.add_argument("--growth-rounds", type=int, default=3, metavar="N")
    parser.add_argument("--warm", action="store_true", help="leave the page cache as the run before left it")
    parser.add_argument("--slimmer", help="another slimmer program than this environment's, to compare with")
    parser.add_argument("--directory", default="/var/tmp", help="where temporary files go (default: %(default)s)")  # noqa: S108 - it can be chosen
    parser.add_argument("--report", type=Path, help="write every measurement to this file")
    parser.add_argument("--picture", type=Path, help="draw the comparison and the growth")
    return parser.parse_args()


def _interrupted(*_: object) -> None:
    raise KeyboardInterrupt


@dataclass
class Bench:
    """Runs contestants one after the other, each from the same state."""

    tools: Tools
    directory: Path
    warm: bool
    failed: dict[str, str] = field(default_factory=dict)
    reports: dict[str, Any] = field(default_factory=dict)
    """The last report of each of slimmer's commands."""
    estimates: set[tuple[int, int]] = field(default_factory=set)
    """Every estimate of slimmer's: bytes of content and of the layer. Of one image they must all be one."""
    has_forgotten: bool = True

    def run(self, name: str, image: str) -> figures.Row | None:
        """Run one contestant and give what it took; None when it failed, which ends the benchmark if it is slimmer."""
        scratch = self.directory / "scratch"
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir()
        images.docker("create", "--name", images.CONTAINER, "--entrypoint", "true", image)
        if not self.warm:
            self.has_forgotten &= machine.forget_files()
        command = contestants.command(name, image, self.tools, scratch)
        try:
            taken = measure(command, scratch, self.directory / "log", machine.engine_directory())
            if contestants.makes_an_image(name):
                size = int(images.inspect(f"{images.REPOSITORY}/result:1")["Size"])
        except CommandError as error:
            if name in contestants.SLIMMER:
                raise SystemExit(str(error)) from error
            self.failed[name] = str(error)
            return None
        finally:
            images.docker("rm", "--force", "--volumes", images.CONTAINER)
            images.remove(f"{images.REPOSITORY}/result:1")
        if name in contestants.SLIMMER:
            report = self.reports[name] = json.loads((scratch / "report.json").read_text())
            self.estimates.add((report["estimate"]["size"], report["estimate"]["layer_size"]))
            if name == contestants.RUN and size != report["estimate"]["size"]:
                raise SystemExit(f"the engine shows {size} bytes where {report['estimate']['size']} were estimated")
        row = {"name": name, "image": image, **asdict(taken)}
        figures.say_run(row)
        return row

    @property
    def cache(self) -> str:
        """How the page cache was treated."""
        if self.warm:
            return "left as the run before left it"
        return "emptied before each run" if self.has_forgotten else "left alone: only root can empty it"


def _measured(bench: Bench, arguments: argparse.Namespace) -> dict[str, Any]:
    described = images.inspect(arguments.image)
    _need_room(bench.directory, int(described["Size"]))
    found: dict[str, Any] = {"schema": "slimmer-bench/1", "machine": machine.described(bench.tools)}
    found["rounds"] = arguments.rounds
    found["runs"] = _rounds(bench, arguments.only, arguments.image, arguments.rounds)
    if len(bench.estimates) > 1:
        raise SystemExit(f"slimmer estimated one image differently: {bench.estimates}")
    changes = [change for report in bench.reports.values() for change in report["changes"]]
    found["image"] = {
        "reference": arguments.image, "id": described["Id"], "size": int(described["Size"]),
        "layers": len(described["RootFS"]["Layers"]),
        "largest_changed": max((change["before"] for change in changes if change["action"] == "replace"), default=0),
    }  # fmt: skip
    found["slimmer_timings"] = {name: report["timings"] for name, report in bench.reports.items()}
    found["growth"] = []
    if arguments.growth is not None:
        found["growth"] = _growth(bench, arguments.growth or _GIGABYTES, arguments.growth_rounds)
    found["failed"] = bench.failed
    found["cache"] = bench.cache
    found["figures"] = figures.figures(found)
    return found


def _rounds(bench: Bench, names: Sequence[str], image: str, rounds: int) -> list[figures.Row]:
    """Run every contestant once a round, each round beginning with another, so that none always follows the same."""
    rows: list[figures.Row] = []
    for number in range(rounds):
        click.echo(f"{image}, round {number + 1} of {rounds}")
        first = number % len(names)
        taken = (bench.run(name, image) for name in (*names[first:], *names[:first]) if name not in bench.failed)
        rows.extend({**row, "round": number} for row in taken if row is not None)
    return rows


def _growth(bench: Bench, gigabytes: list[int], rounds: int) -> list[figures.Row]:
    click.echo("making images to grow with")
    rows = []
    for image in images.grow(gigabytes):
        runs = _rounds(bench, (contestants.RUN, contestants.DRY_RUN, contestants.FLATTEN), image, rounds)
        seconds = figures.medians(runs, "seconds")
        memory = {row["name"]: max(other["memory"] for other in runs if other["name"] == row["name"]) for row in runs}
        rows += [
            {
                "size": images.size(image),
                "name": name,
                "seconds": seconds[name],
                "memory": memory[name],
                "rounds": rounds,
            }
            for name in seconds
        ]
    return rows


def _need_room(directory: Path, size: int) -> None:
    free = shutil.disk_usage(directory).free
    if free < 3 * size:
        raise SystemExit(f"{directory} has {free:,} bytes free; this takes three times the image, {3 * size:,}")


if __name__ == "__main__":
    main()
