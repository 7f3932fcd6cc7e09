"""What a person may get wrong: one sentence, the right exit code, nothing lost and nothing left."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from slimmer.errors import SourceError
from slimmer.progress import Silence
from slimmer.session import Session
from slimmer.transports.docker_daemon import Source

from forwarder import forwarded
from handmade import file, make_tar

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from docker_cli import Docker

    Slimmer = Callable[..., subprocess.CompletedProcess[str]]


def sentence(done: subprocess.CompletedProcess[str]) -> str:
    """Give the one sentence on stderr; there must be no traceback and nothing on stdout."""
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    *_, last = done.stderr.splitlines()
    return last


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run"], "Missing argument 'IMAGE'"),
        (["run", "app", "--only", "stirp"], "did you mean strip?"),
        (["run", "app", "--skip", "nothing"], "there are: apt_cache, build_tools"),
        (["run", "app", "--tag", "Not A Tag"], "'Not A Tag' is not an image reference"),
        (["run", "app", "--report", "r.pdf"], ".json"),
        (["run", "app", "--report", "/no/such/dir/r.json"], "there is no directory /no/such/dir"),
        (["run", "app", "--progress", "loud"], "loud"),
        (["rnu"], "rnu"),
    ],
)
def test_a_wrong_command_line_is_exit_2(slimmer: Slimmer, arguments: list[str], words: str) -> None:
    """The command line is judged before any engine is asked."""
    done = slimmer(*arguments, env={"DOCKER_HOST": "unix:///nonexistent.sock"})

    assert done.returncode == 2, done.stderr
    assert words in sentence(done)


def test_binutils_that_are_not_there_are_exit_2(slimmer: Slimmer, tmp_path: Path) -> None:
    """Asking for this machine's strip where there is none is told before any work is done."""
    done = slimmer("run", "app", "--strip-with", "binutils", env={"PATH": str(tmp_path)})

    assert done.returncode == 2, done.stderr
    assert "needs a strip program" in sentence(done)


def test_no_engine_is_exit_4_and_says_how_to_start_one(slimmer: Slimmer) -> None:
    """A machine without an engine is the most common first failure."""
    done = slimmer("run", "app", env={"DOCKER_HOST": "unix:///nonexistent.sock"})

    assert done.returncode == 4
    assert sentence(done).startswith("slimmer: no Docker engine answers at unix:///nonexistent.sock; start one")


def test_a_host_that_is_no_address_is_exit_4(slimmer: Slimmer) -> None:
    """DOCKER_HOST may be anything."""
    done = slimmer("run", "app", env={"DOCKER_HOST": "nonsense://x"})

    assert done.returncode == 4
    assert "nonsense://x" in sentence(done)


@pytest.mark.engine
def test_an_unknown_image_is_exit_4(docker: Docker, slimmer: Slimmer) -> None:
    """The engine's own word for it, with the image's name."""
    done = slimmer("run", "slimmer-test/no-such:1")

    assert done.returncode == 4
    assert "the engine has no image 'slimmer-test/no-such:1'" in sentence(done)
    assert not docker.has("slimmer-test/no-such:1-slim")


@pytest.mark.engine
def test_an_image_without_layers_is_exit_4(docker: Docker, slimmer: Slimmer) -> None:
    """An image that is a configuration only holds nothing to slim."""
    docker.will_make("slimmer-test/empty:1")
    subprocess.run(
        ["docker", "build", "-q", "-t", "slimmer-test/empty:1", "-"],
        input=b"FROM scratch\nLABEL a=b\n", check=True, capture_output=True, env={"DOCKER_BUILDKIT": "0", "PATH": "/usr/bin:/bin"},
    )  # fmt: skip

    done = slimmer("run", "slimmer-test/empty:1")

    assert done.returncode == 4
    assert "has no layers" in sentence(done)


@pytest.mark.engine
def test_an_image_without_files_is_exit_4(docker: Docker, slimmer: Slimmer) -> None:
    """A layer that holds nothing is nothing to slim either."""
    docker.image("slimmer-test/hollow:1", [make_tar()])

    done = slimmer("run", "slimmer-test/hollow:1")

    assert done.returncode == 4
    assert "holds no files" in sentence(done)


@pytest.mark.engine
def test_an_image_that_is_not_linux_is_refused(docker: Docker) -> None:
    """An engine on Linux with a graph driver loads no such image (20.10 refuses, or panics), so its answer is changed here."""
    docker.image("slimmer-test/windows:1", [make_tar(file("a", b"1"))])
    answer = docker.inspect("slimmer-test/windows:1")
    assert Source.of(answer, "app:1", Session(Silence())).engine_id == answer["Id"]

    with pytest.raises(SourceError, match="app:1 is an image for windows") as caught:
        Source.of({**answer, "Os": "windows"}, "app:1", Session(Silence()))

    assert caught.value.exit_code == 4


@pytest.mark.engine
def test_no_room_in_the_temporary_directory_is_exit_4(docker: Docker, slimmer: Slimmer, tmp_path: Path) -> None:
    """The room is looked for before the engine is asked to save, and named; a file system of 1 MiB has none."""
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", small], check=True)
    try:
        docker.image("slimmer-test/large:1", [make_tar(file("a", bytes(3 << 20)))])

        with forwarded() as remote:
            done = slimmer("run", "slimmer-test/large:1", env={"TMPDIR": str(small), "DOCKER_HOST": remote})

        assert done.returncode == 4
        assert "set TMPDIR" in sentence(done)
        assert list(small.iterdir()) == []
    finally:
        subprocess.run(["umount", small], check=True)


@pytest.mark.engine
def test_a_report_that_cannot_be_written_is_exit_5(docker: Docker, slimmer: Slimmer, tmp_path: Path) -> None:
    """A directory that takes no file is found when the report is written; the sentence names the report."""
    docker.image("slimmer-test/report:1", [make_tar(file("a", b"1"))])
    full = tmp_path / "full"
    full.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4k,nr_inodes=1", "tmpfs", full], check=True)
    try:
        done = slimmer("run", "--dry-run", "slimmer-test/report:1", "--report", full / "r.json")
    finally:
        subprocess.run(["umount", full], check=True)

    assert done.returncode == 5
    assert "the report cannot be written" in sentence(done)
