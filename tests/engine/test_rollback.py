"""A result's name goes back to the image that it was made from, whatever kind of engine keeps both."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from handmade import directory, file, make_tar

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from docker_cli import Docker

    Slimmer = Callable[..., subprocess.CompletedProcess[str]]

pytestmark = pytest.mark.engine

NAME = "slimmer-test/rollback:1"
SLIM = f"{NAME}-slim"


@pytest.fixture
def layers(compiled: Callable[..., Path]) -> list[bytes]:
    """Give two layers with a library to strip."""
    library = compiled("answer", "-g3").read_bytes()
    return [make_tar(directory("usr"), directory("usr/lib"), file("usr/lib/answer.so", library)), make_tar(file("a"))]


def test_the_source_gets_the_name(engine: Docker, slimmer: Slimmer, layers: list[bytes]) -> None:
    """The name means the source again; the ID goes to stdout, and that the result stays is said."""
    source = engine.image(NAME, layers, {"Env": ["A=b"], "Labels": {"own": "label"}})
    engine.will_make(SLIM)
    assert slimmer("run", NAME, "--no-verify", env=engine.env).returncode == 0
    result = engine.inspect(SLIM)["Id"]

    done = slimmer("rollback", SLIM, env=engine.env)

    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{source} {SLIM}\n"
    assert engine.inspect(SLIM)["Id"] == source
    assert result in done.stderr
    engine("rmi", "-f", result)


def test_a_source_that_is_gone_is_named(docker: Docker, slimmer: Slimmer, layers: list[bytes]) -> None:
    """Exit 4, with the name to pull; the result keeps its name."""
    source = docker.image(NAME, layers)
    docker.will_make(SLIM)
    assert slimmer("run", NAME, "--no-verify").returncode == 0
    result = docker.inspect(SLIM)["Id"]
    docker("rmi", NAME)

    done = slimmer("rollback", SLIM)

    assert (done.returncode, done.stdout) == (4, "")
    assert f"pull {NAME} (its configuration is {source})" in done.stderr.splitlines()[-1]
    assert docker.inspect(SLIM)["Id"] == result


def test_what_slimmer_did_not_make_is_refused(docker: Docker, slimmer: Slimmer, layers: list[bytes]) -> None:
    """Neither an image of somebody else's nor one that was built on a result, which has its labels; exit 2."""
    docker.image(NAME, layers)
    docker.will_make(SLIM)
    assert slimmer("run", NAME, "--no-verify").returncode == 0
    subprocess.run(
        ["docker", "build", "-q", "-t", docker.will_make("slimmer-test/rollback:child"), "-"],
        input=f"FROM {SLIM}\nENV A=b\n".encode(), check=True, capture_output=True,
        env={"DOCKER_BUILDKIT": "0", "PATH": "/usr/bin:/bin"},
    )  # fmt: skip

    other, child, missing = (
        slimmer("rollback", name) for name in (NAME, "slimmer-test/rollback:child", "slimmer-test/no:1")
    )

    assert [done.returncode for done in (other, child, missing)] == [2, 2, 4]
    assert "has no label slimmer.source" in other.stderr
    assert "built on an image that was" in child.stderr
    assert "the engine has no image" in missing.stderr
