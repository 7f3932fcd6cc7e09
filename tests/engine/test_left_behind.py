"""What killed runs left is removed by `slimmer clean`; what lives is not. Runs that are killed are in test_struck.py."""

from __future__ import annotations

import signal
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from slimmer.engine import Engine
from slimmer.reference import Tag
from slimmer.runs import Run

from handmade import file, make_tar

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from docker_cli import Docker

    Slimmer = Callable[..., subprocess.CompletedProcess[str]]

pytestmark = pytest.mark.engine


def test_clean_leaves_what_is_alive(docker: Docker, slimmer: Slimmer, tmp_path: Path) -> None:
    """Containers, trial images and files of a run that goes on stay, those of a process that is gone do not."""
    image = "slimmer-test/left:1"
    docker.image(image, [make_tar(file("data/x", b"x" * 9000))], {"Volumes": {"/data": {}}})
    before = docker.leftovers()
    alive = Run.this()
    dead = replace(alive, ticks=alive.ticks - 1)
    temporary, output = tmp_path / "tmp", tmp_path / "out"
    for run in (alive, dead):
        docker("tag", image, docker.will_make(f"slimmer-trial:{run}-1-result"))
        docker("create", "--name", f"slimmer-{run}-1", "--label", f"slimmer.run={run}", image, "/bin/x")
        (temporary / f".slimmer-{run}-strip").mkdir(parents=True)
        (output / "blobs" / f".slimmer-{run}-1").mkdir(parents=True)
    try:
        done = slimmer("clean", output, env={"TMPDIR": str(temporary)})

        assert done.returncode == 0, done.stderr
        assert done.stdout == ""
        assert done.stderr.splitlines() == [
            f"removed {temporary}/.slimmer-{dead}-strip", f"removed {output}/blobs/.slimmer-{dead}-1",
            f"removed the container slimmer-{dead}-1", f"removed the image slimmer-trial:{dead}-1-result",
        ]  # fmt: skip
        assert docker.has(f"slimmer-trial:{alive}-1-result")
        assert docker("ps", "-aq", "-f", f"name=slimmer-{alive}-1")
        assert [path.name for path in temporary.iterdir()] == [f".slimmer-{alive}-strip"]
        assert slimmer("clean", env={"TMPDIR": str(temporary)}).stderr == "nothing was left\n"
    finally:
        docker("rm", "-fv", f"slimmer-{alive}-1")
        docker("rmi", f"slimmer-trial:{alive}-1-result")
    assert docker.leftovers() == before


def test_an_interrupt_at_the_end_of_a_layer_leaves_no_image(docker: Docker) -> None:
    """All of a layer is made when Ctrl-C comes: the engine has not got the whole of it, and makes no image."""
    name = "slimmer-test/cut:1"
    tar = make_tar(file("x", b"x" * 9000))

    def layer() -> Iterator[bytes]:
        yield from (tar[:4096], tar[4096:])
        signal.raise_signal(signal.SIGINT)

    with Engine.connect() as engine, pytest.raises(KeyboardInterrupt):
        engine.import_layer(layer(), len(tar), Tag.parse(docker.will_make(name)))
    time.sleep(1)
    assert not docker.has(name)
