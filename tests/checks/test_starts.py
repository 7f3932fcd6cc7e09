"""How long a container is waited for, with an engine: what is never healthy costs its time once."""

from __future__ import annotations

import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from slimmer.checks import Pair, Subject, watching
from slimmer.checks.starts import check
from slimmer.containers import Containers
from slimmer.engine import Engine
from slimmer.image import Config
from slimmer.plan import Plan
from slimmer.rootfs import Rootfs
from slimmer.runs import Run

from handmade import directory, file, make_tar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from slimmer.checks import Verdict

    from docker_cli import Docker

pytestmark = pytest.mark.engine

PATIENCE = 12
NEVER, AT_ONCE = "return 1;", "return 0;"
WRITING = 'return open("/app/written", O_CREAT | O_WRONLY, 0600) < 0;'


@pytest.fixture
def image(docker: Docker, tmp_path: Path) -> Callable[[str, str], Subject]:
    """Give a function that makes an image which stays up, and whose HEALTHCHECK has this body in C."""
    made: dict[str, bytes] = {}

    def program(body: str) -> bytes:
        if body not in made:
            (tmp_path / "x.c").write_text(f"#include <fcntl.h>\n#include <unistd.h>\nint main(void) {{ {body} }}\n")
            subprocess.run(["gcc", "-static", "-o", tmp_path / "x", tmp_path / "x.c"], check=True, capture_output=True)
            made[body] = (tmp_path / "x").read_bytes()
        return made[body]

    def make(name: str, health: str) -> Subject:
        layer = make_tar(
            directory("app"), file("app/run", program("for (;;) pause();"), mode=0o755),
            file("app/health", program(health), mode=0o755), directory("tmp"),
        )  # fmt: skip
        healthcheck = {"Test": ["CMD", "/app/health"], "Timeout": 10**9, "Retries": 1}
        tag = f"slimmer-test/{name}:1"
        docker.image(tag, [layer], {"Entrypoint": ["/app/run"], "Healthcheck": healthcheck})
        config = Config(docker.raw_config(tag))
        return Subject(str(docker.inspect(tag)["Id"]), Rootfs.of({}), config, docker.inspect(tag))

    return make


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Subject, Subject], tuple[Verdict, float]]]:
    """Give a function that makes the check on two images, and says how long it took; twelve seconds are its patience."""
    monkeypatch.setitem(watching._DEFAULTS, "Interval", (PATIENCE - 1) * 10**9)
    monkeypatch.setattr(watching, "_LATE", 3)
    with Engine.connect() as engine:

        def make(original: Subject, slimmed: Subject) -> tuple[Verdict, float]:
            plan = Plan(Rootfs.of({}), Rootfs.of({}), (), (), ())
            containers = Containers(engine, Run.this())
            began = time.monotonic()
            pair = Pair(original, slimmed, plan, containers, lambda: pytest.fail("nobody reads the image"))
            return check.examine(pair), time.monotonic() - began

        yield make


def test_never_healthy_costs_its_time_once(
    image: Callable[[str, str], Subject], judged: Callable[[Subject, Subject], tuple[Verdict, float]]
) -> None:
    """Whether a root that can be written would help is tried meanwhile."""
    never = image("never", NEVER)

    verdict, seconds = judged(never, never)

    assert (verdict.status, verdict.slimmed) == ("passed", "stays up, unhealthy")
    assert PATIENCE <= seconds < 1.8 * PATIENCE


def test_what_must_write_to_become_healthy(
    image: Callable[[str, str], Subject], judged: Callable[[Subject, Subject], tuple[Verdict, float]]
) -> None:
    """The original shows it on a root of its own, and then both are compared there."""
    writing, never = image("writing", WRITING), image("never", NEVER)

    same, _ = judged(writing, writing)
    other, _ = judged(writing, never)

    assert (same.status, same.slimmed) == ("passed", "stays up, healthy")
    assert (other.status, other.original, other.slimmed) == ("failed", "stays up, healthy", "stays up, unhealthy")


def test_what_the_original_does_soon_is_not_waited_for_long(
    image: Callable[[str, str], Subject],
    judged: Callable[[Subject, Subject], tuple[Verdict, float]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The slimmed image has three times as long as the original took, not as long as a HEALTHCHECK may take."""
    monkeypatch.setitem(watching._DEFAULTS, "Interval", 100 * 10**9)

    verdict, seconds = judged(image("at-once", AT_ONCE), image("never", NEVER))

    assert (verdict.status, verdict.original, verdict.slimmed) == ("failed", "stays up, healthy", "stays up, unhealthy")
    assert seconds < 50
