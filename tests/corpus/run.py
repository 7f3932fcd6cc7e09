"""Measure the strip rule on a corpus of wheels and a Debian system: what breaks, what is saved, what it costs.

    python tests/corpus/run.py [--directory DIR] [--report FILE.json] [--only ENVIRONMENT ...]

README.md says what comes out.
"""

from __future__ import annotations

import argparse
import json
import platform
import shutil
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.corpus import debian, programs, report
from tests.corpus.measure import Fate, cpu_seconds
from tests.corpus.parts import SYSTEM, compare
from tests.corpus.wheels import ENVIRONMENTS, distributions, installed

_SYSTEM_LIBRARIES = Path("/usr/lib/x86_64-linux-gnu")


def main() -> None:
    """Measure, print the figures and write the report."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--directory", type=Path, default=Path("/var/tmp/slimmer-corpus"))  # noqa: S108 - it can be chosen
    parser.add_argument("--report", type=Path, help="write every figure to this file")
    parser.add_argument("--only", nargs="*", default=[*ENVIRONMENTS, SYSTEM, "programs"], help="parts of the corpus")
    parser.add_argument("--no-cpu", action="store_true", help="do not measure CPU time")
    arguments = parser.parse_args()
    directory: Path = arguments.directory.resolve()
    scratch = directory / "scratch"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    found: dict[str, Any] = {"parts": {}, "objects": []}
    fates: list[Fate] = []
    names: set[str] = set()
    for part in [*ENVIRONMENTS, SYSTEM]:
        if part in arguments.only:
            root = installed(part, directory) if part != SYSTEM else _SYSTEM_LIBRARIES
            names.update(distributions(root))
            part_fates, found["parts"][part] = compare(part, root, scratch, debian.newer_strip(directory))
            fates += part_fates
            report.say_part(part, found["parts"][part])
    if "programs" in arguments.only:
        found["programs"] = programs.findings(directory, scratch)
    found["distributions"] = sorted(names)
    unique = list({fate.digest: fate for fate in reversed(fates)}.values())
    found["objects"] = [asdict(fate) for fate in unique]
    if not arguments.no_cpu:
        both = [Path(fate.root, fate.path) for fate in unique if fate.slimmed is not None and fate.gnu < fate.size]
        found["cpu"] = cpu_seconds(both, scratch)
    found["machine"] = f"{platform.machine()}, Python {platform.python_version()}"
    found["figures"] = report.figures(unique, found)
    report.say(unique, found)
    if arguments.report:
        arguments.report.write_text(json.dumps(found, indent=1) + "\n")
    shutil.rmtree(scratch)
    sys.exit(0 if report.reached(found["figures"]) else 1)


if __name__ == "__main__":
    main()
