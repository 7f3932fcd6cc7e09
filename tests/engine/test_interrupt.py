"""Ctrl-C and SIGTERM at any moment: exit 130, the source untouched, nothing left in the engine or on disk."""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from forwarder import forwarded
from handmade import file, make_tar
from interrupting import heard, start

if TYPE_CHECKING:
    from docker_cli import Docker

pytestmark = pytest.mark.engine

FIXTURES = Path(__file__).parent.parent.parent / "fixtures"


@pytest.fixture
def slow(docker: Docker, tmp_path: Path) -> str:
    """Give an image of 80 MB with an interpreter that takes its time, so that every stage lasts long enough."""
    program = tmp_path / "python3.11"
    subprocess.run(["gcc", "-static", "-o", program, FIXTURES / "elf" / "sleeper.c"], check=True, capture_output=True)
    layer = make_tar(
        file("usr/bin/python3.11", program.read_bytes(), mode=0o755),
        file("usr/lib/python3.11/dist-packages/numpy/__init__.py"),
        *(file(f"data/{number}", bytes([number]) * (8 << 20)) for number in range(10)),
    )
    docker.image("slimmer-test/slow:1", [layer], {"Volumes": {"/data": {}}})
    return "slimmer-test/slow:1"


# After which line of progress, and how many seconds later. Verifying lasts three seconds at the least.
MOMENTS = [
    *(("reading ", delay) for delay in (0.0, 0.1, 0.3)),
    ("flattening ", 0.0),
    *(("stripping ", delay) for delay in (0.0, 0.05)),
    *(("writing ", delay) for delay in (0.0, 0.05, 0.2, 0.4)),
    *(("verifying ", delay) for delay in (0.0, 0.5, 2.0)),
]


def test_interrupted_at_any_moment_nothing_is_left(docker: Docker, slow: str, tmp_path: Path) -> None:
    """Thirteen moments spread over a whole run, by SIGINT and SIGTERM in turn; only a remote engine sends the image."""
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    source = docker.inspect(slow)
    before = docker.leftovers()

    with forwarded() as remote:
        for number, (line, delay) in enumerate(MOMENTS):
            moment = f"{delay} s into {line}"
            process = start(slow, temporary, remote if line == "reading " else None)
            said = heard(process, line)
            time.sleep(delay)
            process.send_signal(signal.SIGTERM if number % 2 else signal.SIGINT)
            out, rest = process.communicate(timeout=60)
            said += rest

            assert process.returncode == 130, f"{moment}: exit {process.returncode}: {said}"
            assert out == ""
            assert said.splitlines()[-1] == "slimmer: interrupted; nothing was tagged and nothing is left behind"
            assert "Traceback" not in said
            assert not docker.has(f"{slow}-slim")
            assert docker.leftovers() == before, f"{moment}: {said}"
            assert list(temporary.iterdir()) == []
    assert docker.inspect(slow) == source


def test_left_alone_it_ends_well(docker: Docker, slow: str, tmp_path: Path) -> None:
    """The image of the interrupted runs is one that a whole run makes."""
    docker.will_make(f"{slow}-slim")

    process = start(slow, tmp_path)
    _, said = process.communicate(timeout=120)

    assert process.returncode == 0, said
    assert docker.has(f"{slow}-slim")
