"""What is measured: slimmer, its peers and the engine's own commands, each with what it needs before and leaves after."""

from __future__ import annotations

import shutil
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path

from tests.bench import images

REQUIREMENTS = Path(__file__).with_name("requirements.txt")
FLATTEN = "docker export | docker import"
SQUASH = "docker-squash"
RUN = "slimmer run --no-verify"
DRY_RUN = "slimmer run --dry-run"
EXPORT = "docker export > file"
EXPORT_TO_NOTHING = "docker export > /dev/null"
SLIMMER = (RUN, DRY_RUN)
ALL = (FLATTEN, SQUASH, RUN, DRY_RUN, EXPORT, EXPORT_TO_NOTHING)


@dataclass(frozen=True, slots=True)
class Tools:
    """Where the programs are."""

    slimmer: str
    environment: Path
    """The virtual environment of the peers and of matplotlib."""

    @property
    def squash(self) -> str:
        """The docker-squash program."""
        return str(self.environment / "bin/docker-squash")

    @property
    def python(self) -> str:
        """The Python that has matplotlib."""
        return str(self.environment / "bin/python")


def install(directory: Path, slimmer: str | None) -> Tools:
    """Install the peers into DIRECTORY; slimmer is the one beside this Python, unless another is named."""
    found = slimmer or shutil.which("slimmer", path=str(Path(sys.executable).parent)) or shutil.which("slimmer")
    if found is None:
        raise SystemExit("slimmer is not installed; pip install -e .")
    environment = directory / "venv"
    venv.create(environment, with_pip=True)
    tools = Tools(found, environment)
    subprocess.run(
        [tools.python, "-m", "pip", "install", "--quiet", "--no-cache-dir", "--disable-pip-version-check",
         "--requirement", str(REQUIREMENTS)],
        check=True,
    )  # fmt: skip
    return tools


def command(name: str, image: str, tools: Tools, scratch: Path) -> list[str]:
    """Give the command of a contestant on IMAGE; a container of it is there under the name images.CONTAINER."""
    export = f"docker export {images.CONTAINER}"
    result = f"{images.REPOSITORY}/result:1"
    slimmer = [tools.slimmer, "run", "--progress", "none", "--report", str(scratch / "report.json")]
    commands = {
        FLATTEN: ["bash", "-o", "pipefail", "-c", f"{export} | docker import - {result}"],
        SQUASH: [tools.squash, "--tag", result, image],
        RUN: [*slimmer, "--no-verify", "--tag", result, image],
        DRY_RUN: [*slimmer, "--dry-run", image],
        EXPORT: ["bash", "-c", f"{export} > {scratch / 'exported.tar'}"],
        EXPORT_TO_NOTHING: ["bash", "-c", f"{export} > /dev/null"],
    }
    return commands[name]


def makes_an_image(name: str) -> bool:
    """Say whether a contestant leaves an image, which must be there afterwards and is then removed."""
    return name in {FLATTEN, SQUASH, RUN}
