"""What tests share: compiled ELF objects, a real Docker engine, the installed command line."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from slimmer.blobs import File
from slimmer.content import Content
from slimmer.pieces import Piece

from docker_cli import Docker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FIXTURES = Path(__file__).parent.parent / "fixtures"


@pytest.fixture
def opened() -> Iterator[Callable[[Path], Content]]:
    """Give a function that opens files as contents and closes them after the test."""
    streams = []

    def open_content(path: Path) -> Content:
        stream = path.open("rb")
        streams.append(stream)
        return Content([Piece(File(stream), 0, path.stat().st_size)])

    yield open_content
    for stream in streams:
        stream.close()


@pytest.fixture
def compiled(tmp_path: Path) -> Callable[..., Path]:
    """Give a function that compiles a source of fixtures/elf to a shared library: `compiled("answer", "-g")`."""

    def compile_source(source: str, *flags: str, libraries: tuple[str, ...] = (), name: str | None = None) -> Path:
        result = tmp_path / (name or f"lib{source}.so")
        result.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(
            ["gcc", "-shared", "-fPIC", "-O1", *flags, "-o", result, FIXTURES / "elf" / f"{source}.c", *libraries],
            check=True,
            capture_output=True,
        )
        return result

    return compile_source


@pytest.fixture
def docker() -> Iterator[Docker]:
    """Give the engine; a test that needs one fails without it, with the command that starts one."""
    answer = subprocess.run(["docker", "info"], capture_output=True, check=False)
    assert answer.returncode == 0, "no Docker engine answers; sh fixtures/engine.sh starts one"
    wrapper = Docker()
    yield wrapper
    wrapper.clean()


ENGINES = ("graphdriver", "containerd", "podman")
"""The kinds of engine: Docker with a graph driver, Docker with images in containerd, Podman behind Docker's API."""


@pytest.fixture(scope="session")
def host() -> Iterator[Callable[[str], str | None]]:
    """Give a function that names the address of an engine of ENGINES; those that it starts end with the tests."""
    started: dict[str, str] = {}
    hosts: dict[str, str | None] = {"graphdriver": None}

    def find(kind: str) -> str | None:
        if kind not in hosts:
            script = str(FIXTURES / f"engine-{kind}.sh")
            done = subprocess.run([script], capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
            hosts[kind] = done.stdout.split()[-1]
            if done.stdout.startswith("engine started"):
                started[kind] = script
        return hosts[kind]

    yield find
    for script in started.values():
        subprocess.run([script, "--stop"], capture_output=True, check=True)


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest, docker: Docker, host: Callable[[str], str | None]) -> Iterator[Docker]:
    """Give each kind of engine in turn."""
    wrapper = Docker(host(request.param))
    yield wrapper
    wrapper.clean()


@pytest.fixture
def slimmer() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Give a function that runs the installed command line as a person would."""

    def run(*arguments: str | Path, env: dict[str, str] | None = None, **more: Any) -> subprocess.CompletedProcess[str]:
        program = shutil.which("slimmer", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
        assert program is not None, "slimmer is not installed; pip install -e ."
        return subprocess.run(
            [program, *arguments],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, **(env or {})},
            **more,
        )

    return run


def _fixture(name: str) -> str:
    subprocess.run([FIXTURES / "build.sh", name], check=True, capture_output=True)
    return f"slimmer-fixture/{name}:latest"


@pytest.fixture(scope="session")
def base() -> str:
    """Give the name of the base fixture, built when it is not there."""
    return _fixture("base")


@pytest.fixture(scope="session")
def numpy() -> str:
    """Give the name of the numpy fixture, built when it is not there."""
    return _fixture("numpy")


@pytest.fixture(scope="session")
def pytorch() -> str:
    """Give the name of the PyTorch fixture, built when it is not there."""
    return _fixture("pytorch")
