"""What a killed run left in the engine is removed by the next one and by `slimmer clean`; what lives is not."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from slimmer.runs import Run

from handmade import directory, file, make_tar

if TYPE_CHECKING:
    from collections.abc import Callable

    from docker_cli import Docker

    Slimmer = Callable[..., subprocess.CompletedProcess[str]]

pytestmark = pytest.mark.engine

NAME = "slimmer-test/left:1"


@pytest.fixture
def image(docker: Docker, tmp_path: Path) -> str:
    """Give an image whose interpreter takes its time, so that a check can be killed, with a volume."""
    program, source = tmp_path / "python3.11", Path(__file__).parent.parent.parent / "fixtures" / "elf" / "sleeper.c"
    subprocess.run(["gcc", "-static", "-o", program, source], check=True, capture_output=True)
    layer = make_tar(
        directory("usr"), directory("usr/bin"), file("usr/bin/python3.11", program.read_bytes(), mode=0o755),
        file("usr/lib/python3.11/dist-packages/numpy/__init__.py"), file("data/x", b"x" * 9000),
    )  # fmt: skip
    docker.image(NAME, [layer], {"Volumes": {"/data": {}}})
    return NAME


def test_the_next_run_removes_what_a_killed_one_left(docker: Docker, slimmer: Slimmer, image: str) -> None:
    """After kill -9 there are a container, its volume and a trial image; after the next run there are none."""
    before = docker.leftovers()
    docker.will_make(f"{NAME}-slim")
    program = Path(sys.executable).parent / "slimmer"
    assert shutil.which(program) is not None
    with subprocess.Popen([program, "run", image], stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        while "slimmer: verifying" not in process.stderr.readline():
            pass
        while not docker("ps", "-q"):
            pass
        process.send_signal(signal.SIGKILL)
    left = set(docker.leftovers()) - set(before)
    assert {line.split()[0] for line in left} == {"container", "volume", "trial"}

    done = slimmer("run", image)

    assert done.returncode == 0, done.stderr
    assert "which a run that was killed left in the engine" in done.stderr
    assert docker.leftovers() == before


def test_clean_leaves_what_is_alive(docker: Docker, slimmer: Slimmer, image: str) -> None:
    """Containers and trial images of a run that goes on stay, those of a process that is gone do not."""
    before = docker.leftovers()
    alive = Run.this()
    dead = replace(alive, ticks=alive.ticks - 1)
    for run in (alive, dead):
        docker("tag", image, docker.will_make(f"slimmer-trial:{run}-1-result"))
        docker("create", "--name", f"slimmer-{run}-1", "--label", f"slimmer.run={run}", image, "/usr/bin/python3.11")
    try:
        done = slimmer("clean")

        assert done.returncode == 0, done.stderr
        assert done.stdout == ""
        assert done.stderr.splitlines() == [
            f"removed the container slimmer-{dead}-1", f"removed the image slimmer-trial:{dead}-1-result",
        ]  # fmt: skip
        assert docker.has(f"slimmer-trial:{alive}-1-result")
        assert docker("ps", "-aq", "-f", f"name=slimmer-{alive}-1")
        assert slimmer("clean").stderr == "nothing was left\n"
    finally:
        docker("rm", "-fv", f"slimmer-{alive}-1")
        docker("rmi", f"slimmer-trial:{alive}-1-result")
    assert docker.leftovers() == before
