"""The engine as the benchmark uses it: images to measure on, and nothing left behind."""

from __future__ import annotations

import json
import subprocess
from typing import Any

REPOSITORY = "slimmer-bench"
CONTAINER = "slimmer-bench-source"
LABEL = "slimmer.bench"
GROWN_FROM = "slimmer-fixture/pytorch:latest"
_PACKAGES = "/usr/local/lib/python3.11/dist-packages"


def docker(*arguments: str, stdin: str | None = None) -> str:
    """Run a command of the engine's client and give what it prints."""
    done = subprocess.run(["docker", *arguments], input=stdin, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"docker {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout


def inspect(image: str) -> dict[str, Any]:
    """Give what the engine says of an image."""
    described: list[dict[str, Any]] = json.loads(docker("image", "inspect", image))
    return described[0]


def size(image: str) -> int:
    """Give an image's size as the engine shows it."""
    return int(inspect(image)["Size"])


def grow(gigabytes: list[int]) -> list[str]:
    """Make images of about so many GB and give their names, smallest first, each on top of the one before.

    They are the PyTorch fixture with its packages copied to further directories, a layer each: real libraries, as many
    files and objects a GB in each. The first is the fixture itself.
    """
    start = size(GROWN_FROM)
    names = [f"{REPOSITORY}/grown:0"]
    docker("tag", GROWN_FROM, names[0])
    unit = 0
    copies = 0
    for wanted in sorted(gigabytes)[1:]:
        missing = max(round((wanted * 1e9 - start) / unit), copies + 1) - copies if unit else 1
        steps = "".join(
            f'RUN ["cp", "-a", "{_PACKAGES}", "/copy-{copies + number}"]\n' for number in range(1, missing + 1)
        )
        names.append(f"{REPOSITORY}/grown:{copies + missing}")
        recipe = f"FROM {names[-2]}\nLABEL {LABEL}=1\nUSER root\n{steps}"
        _build(names[-1], recipe)
        copies += missing
        unit = (size(names[-1]) - start) // copies
    return names


def _build(name: str, recipe: str) -> None:
    # The classic builder, the only one that builds on an image of this engine without asking a registry for it.
    command = ["docker", "build", "--quiet", "--force-rm", "--tag", name, "-"]
    done = subprocess.run(
        ["env", "DOCKER_BUILDKIT=0", *command], input=recipe, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}: {done.stderr.strip()}")


def remove(name: str) -> None:
    """Take a name from the engine, and the image with its last name; nothing of that name is no fault."""
    subprocess.run(["docker", "rmi", "--force", name], capture_output=True, check=False)


def clean() -> None:
    """Remove all that a benchmark has in the engine, this one's or a killed one's."""
    for container in docker("ps", "-aq", "--filter", f"name=^{CONTAINER}").split():
        docker("rm", "--force", "--volumes", container)
    names = docker("images", "--format", "{{.Repository}}:{{.Tag}}", f"{REPOSITORY}/*").split()
    # A grown image lies under the next.
    for name in sorted(names, key=lambda name: (len(name), name), reverse=True):
        remove(name)
    docker("image", "prune", "--force", "--filter", f"label={LABEL}")
