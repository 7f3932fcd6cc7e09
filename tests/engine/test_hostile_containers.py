"""Programs of an image that fight the checks: each is shut in, comes to an end, and leaves nothing; the host goes on.

Two of them, unless SLIMMER_FIGHTS asks for all.
"""

from __future__ import annotations

import os
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from slimmer.checks.command import CommandSpec
from slimmer.containers import Containers
from slimmer.engine import Engine
from slimmer.errors import CheckError
from slimmer.progress import Silence
from slimmer.runs import Run
from slimmer.slim import CheckFailedError, Options, slim
from slimmer.trial import Wanted

from handmade import Spec, directory, file, make_tar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from slimmer.checks import Verdict

    from docker_cli import Docker

pytestmark = pytest.mark.engine

NAME, RESULT = "slimmer-test/hostile:1", "slimmer-test/hostile:slim"
FIGHTS = {
    "fork bomb": "for (;;) fork();",
    "fork bomb that ignores SIGTERM": "for (int i = 1; i < 65; i++) signal(i, SIG_IGN); for (;;) { fork(); pause(); }",
    "writes without end": "for (;;) write(1 + rand() % 2, memset(block, 'x', sizeof block), sizeof block);",
    "writes lines without end": 'for (;;) puts("slimmer-probe: {\\"about\\": {}, \\"cases\\": {}}");',
    "takes all memory": "for (;;) { char *p = malloc(1 << 24); if (p) memset(p, 1, 1 << 24); }",
    "a lie": 'puts("slimmer-probe: [1]"); puts("slimmer-probe: {}");',
    "controls the terminal": 'puts("\\033]0;owned\\007\\033[2J\\342\\200\\256"); fprintf(stderr, "##[error]\\n::error::x\\n"); return 3;',
    "kills all": "for (;;) kill(-1, SIGKILL);",
}  # fmt: skip


@pytest.fixture
def docker(docker: Docker) -> Iterator[Docker]:
    """Give the engine, and see that nothing was left in it."""
    before = docker.leftovers()
    yield docker
    docker.clean()
    assert docker.leftovers() == before


@pytest.fixture
def static(tmp_path: Path) -> Callable[[str], bytes]:
    """Give a function that compiles a C program that needs nothing of an image."""

    def compile_program(body: str) -> bytes:
        headers = "".join(
            f"#include <{name}.h>\n" for name in ("signal", "stdio", "stdlib", "string", "sys/wait", "unistd")
        )
        (tmp_path / "program.c").write_text(
            f"{headers}static char block[65536];\nint main(void) {{ (void)block; {body} return 0; }}\n"
        )
        subprocess.run(
            ["gcc", "-static", "-w", "-o", tmp_path / "program", tmp_path / "program.c"],
            check=True,
            capture_output=True,
        )
        return (tmp_path / "program").read_bytes()

    return compile_program


def image(docker: Docker, program: bytes, **config: object) -> str:
    """Load an image whose entrypoint is PROGRAM, and whose python3 as well."""
    packages = "usr/lib/python3.11/site-packages/numpy"
    layer = make_tar(
        directory("usr"), directory("usr/bin"), file("usr/bin/python3", program, mode=0o755), file(f"{packages}/__init__.py", b""),
        file("usr/lib/answer.so", b"no library"), directory("tmp", mode=0o1777),
    )  # fmt: skip
    spec: Spec = {"Entrypoint": ["/usr/bin/python3"], **config}
    docker.image(NAME, [layer], spec)
    return NAME


@pytest.mark.parametrize("fight", list(FIGHTS) if os.environ.get("SLIMMER_FIGHTS") else list(FIGHTS)[1:3])
def test_a_program_that_fights_is_stopped(
    docker: Docker, static: Callable[[str], bytes], fight: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As its command, as its Python and as what the person asks to run; the run ends as any other."""
    monkeypatch.setattr("slimmer.checks.probe.TIME_LIMIT", 2)
    monkeypatch.setattr("slimmer.checks.watching._SETTLES", 1)
    monkeypatch.setattr("slimmer.containers._MEMORY", 256 << 20)
    monkeypatch.setitem(_shut_in(), "mem_limit", 256 << 20)
    monkeypatch.setitem(_shut_in(), "memswap_limit", 256 << 20)
    image(docker, static(FIGHTS[fight]))
    docker.will_make(RESULT)
    wanted = Wanted((CommandSpec("it", ("/usr/bin/python3",), in_shell=False, time_limit=2),))
    started = time.monotonic()

    try:
        found = slim(Options(NAME, tag=RESULT, wanted=wanted), Silence()).checks
    except CheckFailedError as failed:
        found = failed.report.checks

    assert time.monotonic() - started < 60
    verdicts: dict[str, Verdict] = {one.name: one.verdict for one in found}
    assert verdicts["files"].status == "passed"
    assert verdicts["numpy_linalg"].status in {"skipped", "failed", "passed"}
    assert len(verdicts["starts"].reason) < 1000


def _shut_in() -> dict[str, object]:
    from slimmer import containers  # noqa: PLC0415 - its private limits

    return containers._SHUT_IN


def test_what_is_asked_beside_a_service_has_an_end(docker: Docker, static: Callable[[str], bytes]) -> None:
    """A python that never ends, and one that writes for ever, when --http-path has the image's own asked."""
    image(docker, static("if (fork()) for (;;) pause(); for (;;) write(1, block, sizeof block);"))

    with Engine.connect() as engine, Containers(engine, Run.this()).started(NAME, None, read_only=True) as container:
        started = time.monotonic()
        done = container.execute(["/usr/bin/python3", "-c", "x"], 2)
        assert time.monotonic() - started < 10

        assert done.status is None
        assert len(done.stdout) <= 5 << 20


class Full:
    """A disk that is full at the second look."""

    looks = 0

    def require(self, who: str) -> None:
        """Raise, as a Room does (tests/test_escaping.py)."""
        self.looks += 1
        if self.looks > 1:
            raise CheckError(f"{who} wrote")


def test_a_container_that_fills_the_engines_disk_is_stopped(
    docker: Docker, static: Callable[[str], bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is looked at while a command runs, and while the image's own does; the container is gone at once."""
    monkeypatch.setattr("slimmer.containers.Room", lambda _: Full())
    image(docker, static("pause();"))
    started = time.monotonic()

    with Engine.connect() as engine, pytest.raises(CheckError, match=r"the container slimmer-.* wrote"):
        Containers(engine, Run.this()).run(NAME, ["/usr/bin/python3"], 60)
    with (
        Engine.connect() as engine,
        Containers(engine, Run.this()).started(NAME, None, read_only=True) as container,
        pytest.raises(CheckError, match=r"the container slimmer-.* wrote"),
    ):
        container.state()
        container.state()

    assert time.monotonic() - started < 30
